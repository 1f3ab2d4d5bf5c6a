//! What was sent, looked back upon.

use sandbox::World;
use serde_json::{Value, json};

use crate::support::alerts::{carbonblack, falcon, sha256, with};
use crate::support::{NOW, Stage};

const NEXT_NIGHT: &str = "2026-11-23T00:15:00Z";
const NEXT_DAY: &str = "2026-11-23T09:00:00Z";

/// An alert of the day after the others.
fn of_the_next_day(alert: Value) -> Value {
    let alert = with(alert, "timestamp", json!("2026-11-22T08:00:00.123Z"));
    with(alert, "created_timestamp", json!("2026-11-22T08:01:00.123456789Z"))
}

/// Two alerts that name one file, one that names another, and the first file again a day later.
fn stage() -> Stage {
    Stage::new(
        World::default()
            .falcon_alerts(&[
                falcon("cid:ind:1", "hash_sha256", &sha256(1)),
                falcon("cid:ind:2", "hash_sha256", &sha256(1)),
                falcon("cid:ind:3", "hash_sha256", &sha256(2)),
                of_the_next_day(falcon("cid:ind:4", "hash_sha256", &sha256(1))),
            ])
            .carbon_black_alerts(&[carbonblack("a1", &sha256(3))]),
    )
}

fn history(stage: &Stage, arguments: &str) -> Value {
    stage.run_at(NEXT_DAY, &format!("history --json {arguments}")).ended(0).json()
}

fn column(rows: &Value, name: &str) -> Vec<u64> {
    let rows = rows.as_array().unwrap();
    rows.iter().map(|row| row[name].as_u64().unwrap()).collect()
}

#[test]
fn nights_indicators_and_techniques_are_counted() {
    let stage = stage();
    stage.run("crowdstrike").ended(0);
    stage.run("carbonblack").ended(0);
    stage.run_at(NEXT_NIGHT, "crowdstrike").ended(0);
    let told = history(&stage, "");
    assert_eq!(told["schema_version"], 1);
    assert_eq!(told["since"], "2026-10-25");
    let nights = &told["nights"];
    let rows: Vec<(&str, &str)> = nights
        .as_array()
        .unwrap()
        .iter()
        .map(|night| (night["date"].as_str().unwrap(), night["source"].as_str().unwrap()))
        .collect();
    assert_eq!(
        rows,
        [
            ("2026-11-22", "carbonblack"),
            ("2026-11-22", "crowdstrike"),
            ("2026-11-23", "crowdstrike")
        ]
    );
    assert_eq!(column(nights, "sent"), [1, 2, 1]);
    assert_eq!(column(nights, "processed"), [1, 2, 1]);
    assert_eq!(column(nights, "runs"), [1, 1, 1]);
    assert_eq!(column(nights, "waiting"), [0, 0, 0]);
    let indicators = &told["indicators"];
    assert_eq!(indicators[0]["value"], sha256(1).as_str());
    assert_eq!(indicators[0]["type"], "hash");
    assert!(indicators[0]["last_delivered"].as_str().unwrap().starts_with("2026-11-23T00:15:"));
    assert_eq!(column(indicators, "detections"), [3, 1, 1]);
    // T1204 with each of Falcon's three submissions; Carbon Black's names two.
    assert_eq!(
        told["techniques"],
        json!([
            {"code": "T1204", "submissions": 3},
            {"code": "T1059.001", "submissions": 1},
            {"code": "T1204.002", "submissions": 1},
        ])
    );
    let last_day = history(&stage, "--days 1");
    assert_eq!(column(&last_day["nights"], "sent"), [1]);
    assert_eq!(column(&last_day["indicators"], "detections"), [1]);
    assert_eq!(column(&last_day["techniques"], "submissions"), [1]);
}

#[test]
fn trials_never_count() {
    let stage = stage();
    stage.run("crowdstrike").ended(0);
    let before = history(&stage, "");
    stage.run("crowdstrike --resend --dry-run").ended(0);
    stage.run("crowdstrike --resend --debug").ended(0);
    stage.run("carbonblack --debug").ended(0);
    stage.run("carbonblack --no-ledger").ended(0);
    assert_eq!(history(&stage, ""), before);
}

#[test]
fn the_text_fits_on_80_columns() {
    let stage = stage();
    stage.run("crowdstrike").ended(0);
    stage.run("carbonblack").ended(0);
    stage.run_at(NEXT_NIGHT, "crowdstrike").ended(0);
    let text = stage.run_at(NEXT_DAY, "history").ended(0).stdout;
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    for row in [
        vec!["2026-11-22", "crowdstrike", "3", "2", "2", "0", "0", "##########"],
        vec!["2026-11-22", "carbonblack", "1", "1", "1", "0", "0", "#####"],
        vec!["3", "detections,", "last", "delivered", "2026-11-23,", "hash"],
        vec!["3", "T1204", "##########"],
    ] {
        assert!(rows.contains(&row), "{row:?} in\n{text}");
    }
    assert!(text.contains(&sha256(1)), "{text}");
}

#[test]
fn a_bad_night_and_a_missed_one_show() {
    let stage = stage();
    stage.run("crowdstrike --daily-limit 1").ended(5);
    let text = stage.run_at("2026-11-24T09:00:00Z", "history").ended(0).stdout;
    let night = text.lines().find(|line| line.starts_with("2026-11-22")).unwrap();
    let told: Vec<&str> = night.split_whitespace().collect();
    assert_eq!(told, ["2026-11-22", "crowdstrike", "3", "1", "1", "1", "0", "!", "##########"]);
    assert!(text.contains("2026-11-23 crowdstrike no run\n"), "{text}");
    assert!(!text.contains("2026-11-24"), "today's run may come: {text}");
    assert!(text.contains("`collective-insights status`"), "{text}");
}

#[test]
fn without_a_ledger_or_runs_it_says_so() {
    let stage = Stage::new(World::default());
    let text = stage.run("history").ended(0).stdout;
    assert!(text.contains("does not exist yet"), "{text}");
    let told = stage.run("history --json").ended(0).json();
    assert_eq!(told["nights"], json!([]));
    assert_eq!(told["techniques"], json!([]));
    stage.run("carbonblack").ended(0);
    let text = stage.run_at("2027-11-22T00:15:00Z", "history").ended(0).stdout;
    assert_eq!(text, "no run since 2027-10-24 (the last 30 days, UTC)\n");
    assert!(stage.run_at(NOW, "history").ended(0).stdout.contains("carbonblack"));
}

#[test]
fn longer_than_indicators_are_remembered_it_says_since_when() {
    let stage = stage();
    stage.run("crowdstrike").ended(0);
    let text = stage.run_at(NEXT_DAY, "history --days 400").ended(0).stdout;
    assert!(text.contains("Top indicators, kept since 2026-08-25\n"), "{text}");
    let told = history(&stage, "--days 400");
    assert_eq!(told["since"], "2025-10-20");
    assert_eq!(told["indicators_since"], "2026-08-25");
}

#[test]
fn impossible_spans_are_refused() {
    let stage = Stage::new(World::default());
    for days in ["0", "401", "-1", "many", "1e3", ""] {
        let refused = stage.run(&format!("history --days={days}")).ended(2);
        assert!(refused.stderr.contains("--days"), "{}", refused.stderr);
    }
}

#[test]
fn a_damaged_ledger_is_told_and_left_alone() {
    let stage = Stage::new(World::default());
    stage.write("collective-insights.db", "no ledger at all");
    let refused = stage.run("history").ended(6);
    assert!(refused.stderr.starts_with("error: "), "{}", refused.stderr);
    assert_eq!(std::fs::read(stage.path("collective-insights.db")).unwrap(), b"no ledger at all");
}
