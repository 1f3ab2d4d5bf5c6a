//! Tests that each mention that is not sent is logged with its reason, at debug level.

use sandbox::World;
use serde_json::{Value, json};

use crate::support::TestEnv;
use crate::support::alerts::{carbonblack, falcon, sha256, with};
use crate::support::json::text;
use crate::support::safe_text::assert_safe;

/// The SHA-256 of an empty file.
const EMPTY_FILE: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const RUN: &str = "crowdstrike --json --log-format json --exclusion-file list.txt --min-severity 40 --skip-dismissed";
/// The exclusion file. The tests expect the rules in lines 3 and 5 to match.
const EXCLUSIONS: &str = "# ours\nunused.example\n.good.example\n\n8.8.0.0/16\n";

/// Returns alerts with a mention for most reasons, and one that is sent.
fn alerts() -> Vec<Value> {
    let tags = json!(["false_positive"]);
    vec![
        falcon("sent", "domain", "evil.example,EVIL.example."),
        falcon("excluded", "domain", "a.b.good.example,good.example"),
        falcon("excluded-url", "url", "http://8.8.4.4/x"),
        falcon("unsupported", "registry_key", " HKLM\\Software\\x.y, z "),
        falcon("invalid", "domain", "not a domain"),
        falcon("empty", "sha256", EMPTY_FILE),
        falcon("internal", "ip", "10.1.2.3,8.8.4.4"),
        falcon("internal-name", "domain", "host.corp.local"),
        falcon("internal-url", "url", "http://me:s3cret@intranet/a.b"),
        with(falcon("dismissed", "domain", "dismissed.example"), "tags", tags),
    ]
}

/// Returns the log lines about mentions that were not sent: alert, field, value, reason, and the
/// line of the exclusion file.
fn skipped(env: &TestEnv) -> Vec<[String; 5]> {
    let log = env.log();
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut skipped: Vec<_> = lines
        .filter(|line| line["message"] == "an indicator is not sent")
        .map(|line| {
            assert_eq!(line["level"], "DEBUG");
            let key = |key: &str| text(&line, &format!("/{key}"));
            let number = line.get("line").map(Value::to_string).unwrap_or_default();
            [key("alert"), key("field"), key("value"), key("reason"), number]
        })
        .collect();
    skipped.sort();
    skipped
}

/// Returns an environment with [`alerts`], and with one alert whose severity is too low but which
/// the service returns.
fn env() -> TestEnv {
    let search_as = falcon("low", "domain", "low.example,fd00::1");
    let low = with(search_as.clone(), "severity", json!(39));
    let world = World::default().falcon_alerts(&alerts());
    let env = TestEnv::new(world.falcon_raw(low.to_string(), &search_as));
    env.write("list.txt", EXCLUSIONS);
    env
}

#[test]
fn each_mention_that_is_not_sent_is_logged_with_its_value_and_reason() {
    let env = env();
    let output = env.run(&format!("{RUN} -l debug")).assert_code(0);
    output.assert_counts_add_up();
    assert_eq!(env.stored_values(), ["evil.example"]);
    let expected = [
        ["dismissed", "dismissed.example", "dismissed", ""],
        ["empty", EMPTY_FILE, "invalid", ""],
        ["excluded", "a.b.good.example", "excluded", "3"],
        ["excluded", "good.example", "excluded", "3"],
        ["excluded-url", "http://8.8.4.4/x", "excluded", "5"],
        ["internal", "10[.]1[.]2[.]3", "internal", ""],
        ["internal", "8.8.4.4", "excluded", "5"],
        ["internal-name", "host[.]corp[.]local", "internal", ""],
        ["internal-url", "hxxp://intranet/a[.]b", "internal", ""],
        ["invalid", "not a domain", "invalid", ""],
        ["low", "fd00[:][:]1", "below threshold", ""],
        ["low", "low.example", "below threshold", ""],
        ["sent", "evil.example", "repeated", ""],
        ["unsupported", "HKLM\\Software\\x[.]y, z", "unsupported", ""],
    ];
    let expected = expected.map(|[alert, value, reason, line]| {
        [alert, "ioc_value", value, reason, line].map(str::to_owned)
    });
    assert_eq!(skipped(&env), expected);
    assert!(env.log().contains("the hash of an empty file"), "{}", env.log());
    assert!(!env.log().contains("s3cret"));
    let logged = |reason: &str| {
        let count = expected.iter().filter(|line| line[3] == reason).count();
        u64::try_from(count).unwrap()
    };
    for (reason, count) in [
        ("excluded", "indicators_excluded"),
        ("unsupported", "indicators_unsupported"),
        ("invalid", "indicators_invalid"),
        ("internal", "indicators_private"),
        ("repeated", "indicators_repeated"),
    ] {
        assert_eq!(output.count(count), logged(reason), "{reason}");
    }
    // The next run reads the same alerts.
    std::fs::remove_file(env.path("collective-insights.log")).unwrap();
    let output = env.run(&format!("{RUN} -l debug")).assert_code(0);
    output.assert_counts_add_up();
    assert_eq!(output.count("already_delivered"), 2);
    let delivered = skipped(&env).into_iter().filter(|line| line[3] == "already delivered");
    let delivered: Vec<_> = delivered.map(|[alert, ..]| alert).collect();
    assert_eq!(delivered, ["sent", "sent"]);
}

#[test]
fn trusted_files_are_logged_with_their_reason() {
    let alert = carbonblack("a1", &sha256(1));
    let trusted = with(alert, "process_effective_reputation", json!("TRUSTED_WHITE_LIST"));
    let env = TestEnv::carbonblack(&[trusted]);
    env.run("carbonblack --skip-trusted --log-format json -l debug").assert_code(0);
    let hash = sha256(1);
    assert_eq!(skipped(&env), [["a1", "process_sha256", &hash, "trusted", ""]]);
}

#[test]
fn without_debug_level_no_mention_is_logged() {
    let env = env();
    env.run(RUN).assert_code(0);
    assert_eq!(skipped(&env), [[""; 5]; 0]);
    assert!(!env.log().contains("good.example"));
}

#[test]
fn hostile_and_huge_values_are_escaped_and_truncated() {
    let hostile = "x\u{1b}[31m\r\n2026-11-22T00:15:00.000Z ERROR run=000000000000 forged\u{202e}";
    let huge = format!("{hostile}{}", "y".repeat(2_000_000));
    let env = TestEnv::falcon(&[
        falcon(&format!("id{hostile}"), "registry_key", hostile),
        falcon("huge", "domain", &huge),
        falcon("url", "url", &format!("http://{}@10.1.2.3/", "p".repeat(9000))),
    ]);
    for format in ["text", "json"] {
        let run = format!("crowdstrike -l debug --dry-run --log-format {format}");
        let output = env.run(&format!("{run} --log-file {format}.log")).assert_code(0);
        let log = std::fs::read_to_string(env.path(&format!("{format}.log"))).unwrap();
        let lines: Vec<&str> =
            log.lines().filter(|line| line.contains("an indicator is not sent")).collect();
        assert_eq!(lines.len(), 3, "{log}");
        assert!(lines.iter().all(|line| line.len() < 900), "{lines:?}");
        assert!(!log.contains(['\u{1b}', '\r', '\u{202e}']), "{}", log.escape_debug());
        assert_safe(&env, &output);
    }
}
