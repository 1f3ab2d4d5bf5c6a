//! Tests that attacker-controlled text in alerts and responses never affects a terminal and never
//! forges a log line.

use std::fmt::Write as _;
use std::process::Command;

use rusqlite::Connection;
use sandbox::world::PageError;
use sandbox::{Fault, Service, World};
use serde_json::{Value, json};

use crate::support::alerts::{carbonblack, falcon, sha256, with};
use crate::support::safe_text::{assert_safe, is_unsafe};
use crate::support::{RunOutput, TestEnv};

/// A color sequence, a forged log line, and characters that ring, delete, hide or reverse text.
const HOSTILE: &str = "x\u{1b}[31mred\u{1b}]0;title\u{7}\r\n2026-11-22T00:15:00.000Z ERROR run=000000000000 forged\u{8}\u{0}\u{7f}\u{9b}1m\u{85}\u{202e}txt.exe\u{2066}\u{2028}\u{200f}";

/// Returns alerts with hostile text in every field that is sent, printed or logged.
fn alerts() -> [Vec<Value>; 2] {
    let hostile = json!(HOSTILE);
    let falcon = falcon(&format!("id{HOSTILE}"), "domain", "a.example.com");
    let falcon =
        with(with(falcon, "description", hostile.clone()), "display_name", hostile.clone());
    let without_time =
        with(with(falcon.clone(), "timestamp", json!("")), "composite_id", json!("2"));
    let invalid_and_unsupported = ["sha256", "registry_key", HOSTILE].map(|kind| {
        let alert = with(falcon.clone(), "composite_id", json!(format!("{kind}{HOSTILE}")));
        with(with(alert, "ioc_type", json!(kind)), "ioc_value", hostile.clone())
    });
    let carbonblack = carbonblack(&format!("id{HOSTILE}"), &sha256(1));
    let carbonblack = with(with(carbonblack, "reason", hostile.clone()), "ioc_hit", hostile);
    [[vec![falcon, without_time], invalid_and_unsupported.to_vec()].concat(), vec![carbonblack]]
}

fn test_env() -> TestEnv {
    let [falcon, carbonblack] = alerts();
    let without_times = |alert: &Value| {
        with(with(alert.clone(), "timestamp", json!("")), "created_timestamp", json!(HOSTILE))
    };
    let search_as = falcon[0].clone();
    let id = json!(format!("raw{HOSTILE}"));
    let raw = without_times(&with(search_as.clone(), "composite_id", id));
    let world = World::default().falcon_alerts(&falcon).carbon_black_alerts(&carbonblack);
    TestEnv::new(world.falcon_raw(raw.to_string(), &search_as))
}

#[test]
fn hostile_alerts_are_safe_in_every_mode() {
    // One Falcon alert is unreadable.
    for (vendor, code) in [("crowdstrike", 3), ("carbonblack", 0)] {
        for mode in [
            "",
            "--debug",
            "--dry-run",
            "--dry-run --json",
            "--json -l DEBUG",
            "--dry-run --debug --json",
        ] {
            let env = test_env();
            let output = env.run(&format!("{vendor} {mode}")).assert_code(code);
            assert_safe(&env, &output);
        }
    }
}

#[test]
fn a_dry_run_escapes_its_items_without_changing_them() {
    let env = test_env();
    let output = env.run("crowdstrike --dry-run --json").assert_code(3);
    let items = output.json()["items"].clone();
    let printed = env.run("crowdstrike --dry-run").assert_code(3);
    assert_safe(&env, &printed);
    let (table, _) = printed.stdout.split_once("\n\n").unwrap();
    // A heading, and two lines per item: the item and its description.
    assert_eq!(table.lines().count(), 1 + 2 * items.as_array().unwrap().len(), "{table}");
    env.run("crowdstrike").assert_code(3);
    assert_eq!(items, json!(env.items()));
    assert_eq!(items[0]["detection"]["id"], format!("id{HOSTILE}"), "an id is not changed");
}

#[test]
fn names_are_sent_without_control_characters() {
    for (vendor, code) in [("crowdstrike", 3), ("carbonblack", 0)] {
        let env = test_env();
        env.run(vendor).assert_code(code);
        for item in env.items() {
            let name = item["detection"]["name"].as_str().unwrap();
            assert!(!name.contains(char::is_control), "{name:?}");
            assert!(name.starts_with("x [31mred"), "{name:?}");
        }
    }
}

#[test]
fn hostile_error_messages_are_safe() {
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
                let env = test_env();
                env.sandbox.always(service, Some(Fault::status(code, body.clone())));
                let output = env.run(&format!("{vendor} --debug --no-ledger"));
                assert_safe(&env, &output);
                assert!(code == 200 || output.code != 0, "{vendor} {code}");
            }
        }
    }
}

#[test]
fn hostile_quarantined_items_are_safe() {
    let env = test_env();
    env.sandbox.always(Service::RecordedFuture, Some(Fault::status(422, HOSTILE)));
    let output = env.run("crowdstrike").assert_code(3);
    assert_safe(&env, &output);
    for command in ["outbox list", "outbox list --json", "outbox export", "status", "status --json"]
    {
        let output = env.run(command).assert_code(0);
        assert!(!output.stdout.contains(is_unsafe), "{command}: {}", output.stdout.escape_debug());
    }
    let exported: Value = env.run("outbox export").json();
    assert_eq!(exported[0]["detection"]["id"], format!("id{HOSTILE}"));
}

#[test]
fn hostile_texts_in_the_ledger_are_escaped_in_json_documents() {
    let env = TestEnv::falcon(&[falcon("1", "domain", "a.example.com")]);
    env.sandbox.always(Service::RecordedFuture, Some(Fault::status(422, "no")));
    env.run("crowdstrike").assert_code(3);
    let ledger = Connection::open(env.path("collective-insights.db")).unwrap();
    let change = "UPDATE run SET error = 'a' || char(8238);
        UPDATE tenant SET organizations = json_array('a' || char(8238));
        UPDATE outbox SET value = 'a' || char(8238), run = 'a' || char(8238);";
    ledger.execute_batch(change).unwrap();
    for (command, texts) in [
        ("status --json", ["/sources/0/last_error", "/sources/0/organizations/0"]),
        ("outbox list --json", ["/entries/0/value", "/entries/0/run"]),
    ] {
        let document = env.run(command).assert_code(0).json();
        for text in texts {
            assert_eq!(document.pointer(text).unwrap(), "a\\u{202e}", "{command}: {text}");
        }
    }
}

#[test]
fn hostile_page_errors_are_safe() {
    let env = test_env();
    env.sandbox.change(|world| {
        world.falcon.page_error = Some(PageError {
            code: 7,
            message: format!("{HOSTILE}{}", "long ".repeat(100_000)),
            keep_resources: true,
        });
    });
    for mode in ["--json", "--debug"] {
        let output = env.run(&format!("crowdstrike {mode}")).assert_code(3);
        assert_safe(&env, &output);
        assert!(output.stdout.len() < 5000, "{}", output.stdout.len());
    }
}

#[test]
fn hostile_arguments_are_safe() {
    let env = test_env();
    for arguments in [
        ["--base-url", HOSTILE],
        ["--exclusion-file", HOSTILE],
        ["--member-cid", HOSTILE],
        ["--rf-api-url", HOSTILE],
        ["--organization-id", HOSTILE],
    ] {
        // An argument cannot contain a NUL.
        let arguments = arguments.map(|argument| argument.replace('\0', ""));
        let output = RunOutput::capture(env.command("crowdstrike --no-ledger").args(&arguments));
        assert_safe(&env, &output);
    }
}

#[test]
fn huge_texts_are_shortened() {
    let huge = "n".repeat(1_000_000);
    let mut nested = String::new();
    write!(nested, "{}{}", "[".repeat(100), "]".repeat(100)).unwrap();
    let alert = with(falcon("1", "domain", "a.example.com"), "description", json!(huge));
    let alert = with(with(alert, "display_name", json!(huge)), "technique_id", json!(huge));
    let alert = with(alert, "ioc_context", serde_json::from_str(&nested).unwrap());
    let unreadable =
        with(with(alert.clone(), "composite_id", json!(huge)), "timestamp", json!(huge));
    let raw = with(unreadable, "created_timestamp", json!(huge)).to_string();
    let env = TestEnv::new(
        World::default().falcon_alerts(std::slice::from_ref(&alert)).falcon_raw(raw, &alert),
    );
    let output = env.run("crowdstrike --json").assert_code(3);
    assert_eq!(output.assert_counts_add_up().count("alerts_unreadable"), 1);
    let item = env.only_item();
    assert_eq!(item["detection"]["name"].as_str().unwrap().chars().count(), 2000);
    assert_eq!(item["incident"]["name"].as_str().unwrap().chars().count(), 2000);
    assert!(output.stdout.len() + output.stderr.len() < 5000);
    // The length of the log itself varies: on a slow machine it has more progress lines.
    let longest = env.log().lines().map(str::len).max();
    assert!(longest < Some(3000), "{longest:?}");
}

/// Limits the memory of a command, in MiB.
fn with_memory_limit(mebibytes: u32, command: &Command) -> Command {
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
fn a_response_that_needs_too_much_memory_is_an_error() {
    let large = format!("[{}0]", "0,".repeat(6_000_000));
    let body = format!(r#"{{"resources":{large},"results":{large}}}"#);
    for (service, vendor) in
        [(Service::FalconAlerts, "crowdstrike"), (Service::CarbonBlack, "carbonblack")]
    {
        for (status, code) in [(200, 5), (403, 4)] {
            let env = test_env();
            let fault = Fault::status(status, body.clone());
            env.sandbox.always(service, Some(fault));
            let command = env.command(&format!("{vendor} --json"));
            let output =
                RunOutput::capture(&mut with_memory_limit(450, &command)).assert_code(code);
            output.assert_counts_add_up();
        }
    }
}
