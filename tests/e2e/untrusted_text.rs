//! What an attacker writes into a vendor's text never acts on a terminal, a log or their reader.

use std::fmt::Write as _;
use std::process::Command;

use sandbox::world::PageError;
use sandbox::{Fault, Service, World};
use serde_json::{Value, json};

use crate::support::alerts::{carbonblack, falcon, sha256, with};
use crate::support::{Ran, Stage};

/// An escape that colours, a line of a log that never was, what rings, deletes, hides and turns about.
const HOSTILE: &str = "x\u{1b}[31mred\u{1b}]0;title\u{7}\r\n2026-11-22T00:15:00.000Z ERROR run=000000000000 forged\u{8}\u{0}\u{7f}\u{9b}1m\u{85}\u{202e}txt.exe\u{2066}\u{2028}\u{200f}";

fn acts(char: char) -> bool {
    let turns =
        matches!(char, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}');
    (char.is_control() && char != '\n') || turns || matches!(char, '\u{2028}' | '\u{2029}')
}

/// Checks all that a run has written: nothing acts, and every line of the log is one of ours.
#[track_caller]
fn harmless(stage: &Stage, ran: &Ran) {
    for (name, text) in [("stdout", &ran.stdout), ("stderr", &ran.stderr), ("log", &stage.log())] {
        assert!(!text.contains(acts), "{name}: {}", text.escape_debug());
        for line in text.lines() {
            assert!(
                !line.starts_with("2026-11-22T00:15:00.000Z ERROR run=000000000000"),
                "{name}: {line}"
            );
        }
    }
    for line in stage.log().lines() {
        assert_eq!(
            line.split(' ').find(|word| word.starts_with("run=")).map(str::len),
            Some(16),
            "{line}"
        );
    }
}

/// Alerts with hostile texts wherever a text goes on to somewhere.
fn alerts() -> [Vec<Value>; 2] {
    let hostile = json!(HOSTILE);
    let falcon = falcon(&format!("id{HOSTILE}"), "domain", "a.example.com");
    let falcon =
        with(with(falcon, "description", hostile.clone()), "display_name", hostile.clone());
    let nameless = with(with(falcon.clone(), "timestamp", json!("")), "composite_id", json!("2"));
    let fates = ["sha256", "registry_key", HOSTILE].map(|kind| {
        let alert = with(falcon.clone(), "composite_id", json!(format!("{kind}{HOSTILE}")));
        with(with(alert, "ioc_type", json!(kind)), "ioc_value", hostile.clone())
    });
    let carbonblack = carbonblack(&format!("id{HOSTILE}"), &sha256(1));
    let carbonblack = with(with(carbonblack, "reason", hostile.clone()), "ioc_hit", hostile);
    [[vec![falcon, nameless], fates.to_vec()].concat(), vec![carbonblack]]
}

fn stage() -> Stage {
    let [falcon, carbonblack] = alerts();
    let untimed = |alert: &Value| {
        with(with(alert.clone(), "timestamp", json!("")), "created_timestamp", json!(HOSTILE))
    };
    let like = falcon[0].clone();
    let raw = untimed(&with(like.clone(), "composite_id", json!(format!("raw{HOSTILE}"))));
    let world = World::default().falcon_alerts(&falcon).carbon_black_alerts(&carbonblack);
    Stage::new(world.falcon_raw(raw.to_string(), &like))
}

#[test]
fn vendors_texts_in_every_mode() {
    for vendor in ["crowdstrike", "carbonblack"] {
        for mode in [
            "",
            "--debug",
            "--dry-run",
            "--dry-run --json",
            "--json -l DEBUG",
            "--dry-run --debug --json",
        ] {
            let stage = stage();
            let ran = stage.run(&format!("{vendor} {mode}")).ended(0);
            harmless(&stage, &ran);
        }
    }
}

#[test]
fn the_items_of_a_dry_run_say_the_same_in_safe_letters() {
    let stage = stage();
    let ran = stage.run("crowdstrike --dry-run --json").ended(0);
    let items = ran.json()["items"].clone();
    let printed = stage.run("crowdstrike --dry-run").ended(0);
    let lines: Vec<Value> = printed
        .stdout
        .lines()
        .filter(|line| line.starts_with('{'))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    stage.run("crowdstrike").ended(0);
    assert_eq!(items, json!(stage.items()));
    assert_eq!(json!(lines), items);
    assert_eq!(items[0]["detection"]["id"], format!("id{HOSTILE}"), "an identity is not changed");
}

#[test]
fn names_are_sent_without_what_controls() {
    for (vendor, stage) in [("crowdstrike", stage()), ("carbonblack", stage())] {
        stage.run(vendor).ended(0);
        for item in stage.items() {
            let name = item["detection"]["name"].as_str().unwrap();
            assert!(!name.contains(char::is_control), "{name:?}");
            assert!(name.starts_with("x [31mred"), "{name:?}");
        }
    }
}

#[test]
fn services_error_messages() {
    for (service, vendor) in [
        (Service::FalconToken, "crowdstrike"),
        (Service::FalconAlerts, "crowdstrike"),
        (Service::CarbonBlack, "carbonblack"),
        (Service::RecordedFuture, "crowdstrike"),
        (Service::RecordedFuture, "carbonblack"),
    ] {
        for body in [
            json!({"message": HOSTILE, "trace_id": HOSTILE}).to_string(),
            json!({"errors": [{"code": 1, "message": HOSTILE}], "meta": {"trace_id": HOSTILE}})
                .to_string(),
            json!({"error": {"message": HOSTILE}, "traceId": HOSTILE}).to_string(),
            format!("<html>{HOSTILE}"),
        ] {
            for code in [200, 308, 403, 418, 422] {
                let stage = stage();
                stage.sandbox.always(service, Some(Fault::status(code, body.clone())));
                let ran = stage.run(&format!("{vendor} --debug --no-ledger"));
                harmless(&stage, &ran);
                assert!(code == 200 || ran.code != 0, "{vendor} {code}");
            }
        }
    }
}

#[test]
fn what_is_in_quarantine() {
    let stage = stage();
    stage.sandbox.always(Service::RecordedFuture, Some(Fault::status(422, HOSTILE)));
    let ran = stage.run("crowdstrike").ended(3);
    harmless(&stage, &ran);
    for command in ["outbox list", "outbox list --json", "outbox export", "status", "status --json"]
    {
        let ran = stage.run(command).ended(0);
        assert!(!ran.stdout.contains(acts), "{command}: {}", ran.stdout.escape_debug());
    }
    let exported: Value = stage.run("outbox export").json();
    assert_eq!(exported[0]["detection"]["id"], format!("id{HOSTILE}"));
}

#[test]
fn errors_beside_alerts() {
    let stage = stage();
    stage.sandbox.change(|world| {
        world.falcon.page_error = Some(PageError {
            code: 7,
            message: format!("{HOSTILE}{}", "long ".repeat(100_000)),
            keep_resources: true,
        });
    });
    for mode in ["--json", "--debug"] {
        let ran = stage.run(&format!("crowdstrike {mode}")).ended(3);
        harmless(&stage, &ran);
        assert!(ran.stdout.len() < 5000, "{}", ran.stdout.len());
    }
}

#[test]
fn arguments_and_file_names() {
    let stage = stage();
    for arguments in [
        ["--base-url", HOSTILE],
        ["--exclusion-file", HOSTILE],
        ["--member-cid", HOSTILE],
        ["--rf-api-url", HOSTILE],
        ["--organization-id", HOSTILE],
    ] {
        // No argument can hold a NUL.
        let arguments = arguments.map(|argument| argument.replace('\0', ""));
        let ran = Ran::of(stage.command("crowdstrike --no-ledger").args(&arguments));
        harmless(&stage, &ran);
    }
}

#[test]
fn huge_texts_stay_bearable() {
    let huge = "n".repeat(1_000_000);
    let mut nested = String::new();
    write!(nested, "{}{}", "[".repeat(100), "]".repeat(100)).unwrap();
    let alert = with(falcon("1", "domain", "a.example.com"), "description", json!(huge));
    let alert = with(with(alert, "display_name", json!(huge)), "technique_id", json!(huge));
    let alert = with(alert, "ioc_context", serde_json::from_str(&nested).unwrap());
    let unreadable =
        with(with(alert.clone(), "composite_id", json!(huge)), "timestamp", json!(huge));
    let raw = with(unreadable, "created_timestamp", json!(huge)).to_string();
    let stage = Stage::new(
        World::default().falcon_alerts(std::slice::from_ref(&alert)).falcon_raw(raw, &alert),
    );
    let ran = stage.run("crowdstrike --json").ended(0);
    assert_eq!(ran.adds_up().count("alerts_unreadable"), 1);
    let item = stage.only_item();
    assert_eq!(item["detection"]["name"].as_str().unwrap().chars().count(), 2000);
    assert_eq!(item["incident"]["name"].as_str().unwrap().chars().count(), 2000);
    assert!(ran.stdout.len() + ran.stderr.len() < 5000);
    assert!(stage.log().len() < 10_000, "{}", stage.log().len());
}

/// The command with no more than so much memory, in MiB.
fn within(mebibytes: u32, command: &Command) -> Command {
    let mut limited = Command::new("/bin/sh");
    limited
        .args(["-c", "ulimit -v \"$0\"; exec \"$@\""])
        .arg((mebibytes * 1024).to_string())
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear()
        .envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .current_dir(command.get_current_dir().unwrap());
    limited
}

#[test]
fn an_answer_that_swells_in_memory_is_broken() {
    let swelling = format!("[{}0]", "0,".repeat(6_000_000));
    let body = format!(r#"{{"resources":{swelling},"results":{swelling}}}"#);
    for (service, vendor) in
        [(Service::FalconAlerts, "crowdstrike"), (Service::CarbonBlack, "carbonblack")]
    {
        for (status, code) in [(200, 5), (403, 4)] {
            let stage = stage();
            let fault = Fault::status(status, body.clone());
            stage.sandbox.always(service, Some(fault));
            let command = stage.command(&format!("{vendor} --json"));
            let ran = Ran::of(&mut within(450, &command)).ended(code);
            ran.adds_up();
        }
    }
}
