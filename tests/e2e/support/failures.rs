//! Runs that must fail, and say what to do.

use sandbox::{Fault, Service, World};

use super::Stage;
use super::alerts::{carbonblack, falcon, sha256};

/// One alert with one indicator, at each vendor.
pub fn world() -> World {
    let world = World::default().falcon_alerts(&[falcon("1", "domain", "a.example.com")]);
    world.carbon_black_alerts(&[carbonblack("a1", &sha256(1))])
}

/// Runs in a world; the run must end with that code and say these words, also in its document and log.
#[track_caller]
pub fn fails(arguments: &str, change: impl FnOnce(&mut World), code: i32, words: &[&str]) -> Stage {
    let stage = Stage::new(world().with(change));
    told(stage, arguments, code, words)
}

/// The same, where a service always answers like this.
#[track_caller]
pub fn answered(
    arguments: &str,
    service: Service,
    fault: Fault,
    code: i32,
    words: &[&str],
) -> Stage {
    let stage = Stage::new(world());
    stage.sandbox.always(service, Some(fault));
    told(stage, arguments, code, words)
}

#[track_caller]
pub fn told(stage: Stage, arguments: &str, code: i32, words: &[&str]) -> Stage {
    let ran = stage.run(&format!("{arguments} --json")).ended(code);
    ran.says(words);
    ran.says(&["error: ", "  help: "]);
    assert_eq!(
        ran.stderr.lines().filter(|line| !line.starts_with("  ")).count(),
        1,
        "one block: {}",
        ran.stderr
    );
    let error = &ran.json()["error"];
    let log = stage.log();
    for part in ["message", "hint"] {
        let text = error[part].as_str().unwrap();
        assert!(log.contains(text), "no {text:?} in {log}");
    }
    assert!(stage.items().is_empty());
    stage
}
