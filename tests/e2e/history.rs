//! Tests `history`, which shows what was sent on previous days.

use sandbox::{Fault, Service, World};
use serde_json::{Value, json};

use crate::support::alerts::{carbonblack, falcon, falcon_at, sha256, with};
use crate::support::{NOW, TestEnv};

/// The time of the second run.
const SECOND_RUN: &str = "2026-11-23T00:15:00Z";
/// The time of the `history` command, after both runs.
const AFTER_RUNS: &str = "2026-11-23T09:00:00Z";

/// Moves an alert to the next day.
fn on_next_day(alert: Value) -> Value {
    let alert = with(alert, "timestamp", json!("2026-11-22T08:00:00.123Z"));
    with(alert, "created_timestamp", json!("2026-11-22T08:01:00.123456789Z"))
}

/// Returns an environment with two alerts of Falcon for one file, one for another, one for the
/// first file a day later, and one of Carbon Black for a third file.
fn test_env() -> TestEnv {
    TestEnv::new(
        World::default()
            .falcon_alerts(&[
                falcon("cid:ind:1", "hash_sha256", &sha256(1)),
                falcon("cid:ind:2", "hash_sha256", &sha256(1)),
                falcon("cid:ind:3", "hash_sha256", &sha256(2)),
                on_next_day(falcon("cid:ind:4", "hash_sha256", &sha256(1))),
            ])
            .carbon_black_alerts(&[carbonblack("a1", &sha256(3))]),
    )
}

/// Returns the JSON document of `history`.
fn history(env: &TestEnv, arguments: &str) -> Value {
    env.run_at(AFTER_RUNS, &format!("history --json {arguments}")).assert_code(0).json()
}

/// Returns the number with this name of each row.
fn column(rows: &Value, name: &str) -> Vec<u64> {
    let rows = rows.as_array().unwrap();
    rows.iter().map(|row| row[name].as_u64().unwrap()).collect()
}

#[test]
fn days_indicators_and_techniques_are_counted() {
    let env = test_env();
    env.run("crowdstrike").assert_code(0);
    env.run("carbonblack").assert_code(0);
    env.run_at(SECOND_RUN, "crowdstrike").assert_code(0);
    let document = history(&env, "");
    assert_eq!(document["schema_version"], 1);
    assert_eq!(document["since"], "2026-10-25");
    // The days are under the key `nights`.
    let days = &document["nights"];
    let rows: Vec<(&str, &str)> = days
        .as_array()
        .unwrap()
        .iter()
        .map(|day| (day["date"].as_str().unwrap(), day["source"].as_str().unwrap()))
        .collect();
    assert_eq!(
        rows,
        [
            ("2026-11-22", "carbonblack"),
            ("2026-11-22", "crowdstrike"),
            ("2026-11-23", "crowdstrike")
        ]
    );
    assert_eq!(column(days, "sent"), [1, 2, 1]);
    assert_eq!(column(days, "processed"), [1, 2, 1]);
    assert_eq!(column(days, "runs"), [1, 1, 1]);
    assert_eq!(column(days, "waiting"), [0, 0, 0]);
    let indicators = &document["indicators"];
    assert_eq!(indicators[0]["value"], sha256(1).as_str());
    assert_eq!(indicators[0]["type"], "hash");
    assert!(indicators[0]["last_delivered"].as_str().unwrap().starts_with("2026-11-23T00:15:"));
    assert_eq!(column(indicators, "detections"), [3, 1, 1]);
    // Each of the three Falcon submissions has T1204. That of Carbon Black has the other two.
    assert_eq!(
        document["techniques"],
        json!([
            {"code": "T1204", "submissions": 3},
            {"code": "T1059.001", "submissions": 1},
            {"code": "T1204.002", "submissions": 1},
        ])
    );
    let last_day = history(&env, "--days 1");
    assert_eq!(column(&last_day["nights"], "sent"), [1]);
    assert_eq!(column(&last_day["indicators"], "detections"), [1]);
    assert_eq!(column(&last_day["techniques"], "submissions"), [1]);
}

#[test]
fn dry_runs_debug_runs_and_runs_without_a_ledger_are_not_counted() {
    let env = test_env();
    env.run("crowdstrike").assert_code(0);
    let before = history(&env, "");
    env.run("crowdstrike --resend --dry-run").assert_code(0);
    env.run("crowdstrike --resend --debug").assert_code(0);
    env.run("carbonblack --debug").assert_code(0);
    env.run("carbonblack --no-ledger").assert_code(0);
    assert_eq!(history(&env, ""), before);
}

#[test]
fn the_text_is_at_most_80_columns_wide() {
    let env = test_env();
    env.run("crowdstrike").assert_code(0);
    env.run("carbonblack").assert_code(0);
    env.run_at(SECOND_RUN, "crowdstrike").assert_code(0);
    let text = env.run_at(AFTER_RUNS, "history").assert_code(0).stdout;
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    // Fetched, sent, processed, queued, in quarantine, and a bar of the length of what was sent.
    for row in [
        vec!["2026-11-22", "crowdstrike", "3", "2", "2", "0", "0", "######"],
        vec!["2026-11-22", "carbonblack", "1", "1", "1", "0", "0", "###"],
        vec!["3", "alerts,", "last", "delivered", "2026-11-23,", "hash"],
        vec!["3", "T1204", "##########"],
    ] {
        assert!(rows.contains(&row), "{row:?} in\n{text}");
    }
    assert!(text.contains(&sha256(1)), "{text}");
}

#[test]
fn incomplete_and_missing_days_are_shown() {
    let env = test_env();
    let mut faults = vec![Fault::status(503, ""); 6];
    faults[0] = Fault::None;
    env.sandbox.queue_faults(Service::RecordedFuture, faults);
    env.run("crowdstrike --batch-size 1").assert_code(5);
    let text = env.run_at("2026-11-24T09:00:00Z", "history").assert_code(0).stdout;
    let day = text.lines().find(|line| line.contains("2026-11-22")).unwrap();
    let row: Vec<&str> = day.split_whitespace().collect();
    assert_eq!(row, ["2026-11-22", "crowdstrike", "3", "1", "1", "1", "0", "!", "######"]);
    assert!(text.contains("2026-11-23 crowdstrike no run\n"), "{text}");
    assert!(!text.contains("2026-11-24"), "today's run can still happen: {text}");
    assert!(text.contains("`collective-insights status`"), "{text}");
}

#[test]
fn missing_runs_are_reported() {
    let env = TestEnv::new(World::default());
    env.run("carbonblack").assert_code(0);
    let text = env.run_at("2027-11-22T00:15:00Z", "history").assert_code(0).stdout;
    assert_eq!(text, "no run since 2027-10-24 (the last 30 days, UTC)\n");
    let document = env.run_at("2027-11-22T00:15:00Z", "history --json").assert_code(0).json();
    assert_eq!(document["nights"], json!([]));
    assert_eq!(document["techniques"], json!([]));
    assert!(env.run_at(NOW, "history").assert_code(0).stdout.contains("carbonblack"));
}

#[test]
fn the_start_of_the_indicator_retention_is_shown() {
    let env = test_env();
    env.run("crowdstrike").assert_code(0);
    let text = env.run_at(AFTER_RUNS, "history --days 400").assert_code(0).stdout;
    assert!(text.contains("Top indicators (records go back to 2026-08-25)\n"), "{text}");
    let document = history(&env, "--days 400");
    assert_eq!(document["since"], "2025-10-20");
    assert_eq!(document["indicators_since"], "2026-08-25");
}

#[test]
fn invalid_numbers_of_days_are_rejected() {
    let env = TestEnv::new(World::default());
    for days in ["0", "401", "-1", "many", "1e3", ""] {
        let output = env.run(&format!("history --days={days}")).assert_code(2);
        assert!(output.stderr.contains("--days"), "{}", output.stderr);
    }
}

#[test]
fn a_damaged_ledger_is_an_error_and_is_not_changed() {
    let env = TestEnv::new(World::default());
    env.write("collective-insights.db", "no ledger at all");
    let output = env.run("history").assert_code(6);
    assert!(output.stderr.starts_with("error: "), "{}", output.stderr);
    assert_eq!(std::fs::read(env.path("collective-insights.db")).unwrap(), b"no ledger at all");
}

#[test]
fn a_failed_run_and_its_error_are_shown_a_month_later() {
    let env = TestEnv::falcon(&[falcon_at(1, "2026-11-21T08:00:00Z")]);
    env.run_at("2026-11-22T00:15:00Z", "crowdstrike").assert_code(0);
    env.sandbox.always(Service::RecordedFuture, Some(Fault::status(401, "")));
    env.run_at("2026-11-23T00:15:00Z", "crowdstrike --tenant acme --hours 48").assert_code(4);
    let now = "2026-12-20T00:00:00Z";
    let document = env.run_at(now, "history --runs --json").assert_code(0).json();
    let runs = document["runs"].as_array().unwrap();
    let shown: Vec<_> = runs.iter().map(|run| (&run["tenant"], &run["exit_code"])).collect();
    assert_eq!(shown, [(&json!("crowdstrike"), &json!(0)), (&json!("acme"), &json!(4))]);
    assert!(runs[1]["error"].as_str().unwrap().contains("401"), "{document}");
    assert_eq!((&runs[0]["error"], &runs[0]["mode"]), (&json!(null), &json!("live")));
    let text = env.run_at(now, "history --runs --tenant acme").assert_code(0).stdout;
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(text.contains("exit code 4: ") && text.contains("401"), "{text}");
    let none = env.run_at(now, "history --runs --days 2").assert_code(0).stdout;
    assert!(none.starts_with("no run since 2026-12-19"), "{none}");
}
