//! Assertions on runs that must fail with a helpful error.

use sandbox::{Fault, Service, World};

use super::TestEnv;
use super::alerts::{carbonblack, falcon, sha256};

/// Returns a world with one alert with one indicator per vendor.
pub fn one_alert_per_vendor() -> World {
    let world = World::default().falcon_alerts(&[falcon("1", "domain", "a.example.com")]);
    world.carbon_black_alerts(&[carbonblack("a1", &sha256(1))])
}

/// Runs in a changed world, and asserts the exit code and these texts in the error.
#[track_caller]
pub fn assert_fails_in(
    arguments: &str,
    change: impl FnOnce(&mut World),
    code: i32,
    texts: &[&str],
) -> TestEnv {
    let env = TestEnv::new(one_alert_per_vendor().with(change));
    assert_fails(env, arguments, code, texts)
}

/// Runs with a permanent fault of a service, and asserts the exit code and these texts in the
/// error.
#[track_caller]
pub fn assert_fails_on(
    arguments: &str,
    service: Service,
    fault: Fault,
    code: i32,
    texts: &[&str],
) -> TestEnv {
    let env = TestEnv::new(one_alert_per_vendor());
    env.sandbox.always(service, Some(fault));
    assert_fails(env, arguments, code, texts)
}

/// Asserts the exit code and these texts in the error on stderr. The JSON document and the log must
/// contain the same error, and nothing may be stored.
#[track_caller]
pub fn assert_fails(env: TestEnv, arguments: &str, code: i32, texts: &[&str]) -> TestEnv {
    let output = env.run(&format!("{arguments} --json")).assert_code(code);
    output.assert_stderr(texts);
    output.assert_stderr(&["error: ", "  help: "]);
    assert_eq!(
        output.stderr.lines().filter(|line| !line.starts_with("  ")).count(),
        1,
        "more than one error: {}",
        output.stderr
    );
    let error = &output.json()["error"];
    let log = env.log();
    for part in ["message", "hint"] {
        let text = error[part].as_str().unwrap();
        assert!(log.contains(text), "no {text:?} in {log}");
    }
    assert!(env.items().is_empty());
    env
}
