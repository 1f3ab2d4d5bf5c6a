//! Tests of sources that have nothing to share: a run explains why, and a source that has had no
//! alerts for three days is reported as quiet.

use serde_json::{Value, json};

use crate::support::TestEnv;
use crate::support::alerts::{carbonblack, falcon, sha256, with, without};
use crate::support::vendor::Vendor;

/// Returns the notes of a run, as one text.
fn notes(env: &TestEnv, command: &str) -> String {
    let output = env.run(&format!("{command} --json")).assert_code(0);
    output.assert_counts_add_up();
    output.notes().join("\n")
}

#[test]
fn crowdstrike_alerts_without_an_indicator_are_explained() {
    let without_ioc = |id: &str| without(falcon(id, "", ""), "ioc_value");
    let scan = with(with(without_ioc("2"), "type", json!("ods")), "sha256", json!(sha256(2)));
    let alerts = [without_ioc("1"), scan, without(without_ioc("3"), "type")];
    let env = TestEnv::falcon(&alerts);
    assert_eq!(
        notes(&env, "crowdstrike"),
        "no indicator in 3 alerts: 3 without one in the chosen fields (1 ldt, 1 ods, 1 of no type); \
         1 of these names files that Falcon stopped or quarantined, or that a scan found, which \
         --indicator both sends too"
    );
    assert_eq!(notes(&env, "crowdstrike --indicator both"), "");
    let env = TestEnv::falcon(&[falcon("1", "domain", "a.example.com")]);
    let other = notes(&env, "crowdstrike --indicator files");
    assert!(other.ends_with("1 of these names IOCs, which --indicator both sends too"), "{other}");
    let below = notes(&env, "crowdstrike --min-severity critical");
    assert_eq!(below, "no indicator in 1 alert: 1 below the thresholds");
    assert_eq!(notes(&TestEnv::falcon(&[]), "crowdstrike"), "");
}

#[test]
fn carbon_black_alerts_without_an_indicator_are_explained() {
    let malware = with(
        without(carbonblack("1", &sha256(1)), "ioc_hit"),
        "process_effective_reputation",
        json!("KNOWN_MALWARE"),
    );
    let dismissed =
        with(carbonblack("2", &sha256(2)), "determination", json!({"value": "FALSE_POSITIVE"}));
    let env = TestEnv::carbonblack(&[malware, dismissed]);
    assert_eq!(
        notes(&env, "carbonblack --skip-dismissed"),
        "no indicator in 2 alerts: 1 dismissed by an analyst, 1 without one in the chosen fields \
         (1 WATCHLIST); 1 of these names what Carbon Black judges to be malicious, which --indicator \
         malicious sends"
    );
    let env = TestEnv::carbonblack(&[carbonblack("3", &sha256(3))]);
    let malicious = notes(&env, "carbonblack --indicator malicious");
    assert!(
        malicious.ends_with("; Carbon Black judges no file in these to be malicious"),
        "{malicious}"
    );
}

#[test]
fn many_and_hostile_alert_types_are_shortened_and_escaped() {
    let of_hostile_type = |number: usize| {
        let kind = format!("{number:02}\u{1b}[31m{}", "x".repeat(1000));
        with(without(falcon(&number.to_string(), "", ""), "ioc_value"), "type", json!(kind))
    };
    let env = TestEnv::falcon(&(0..30).map(of_hostile_type).collect::<Vec<_>>());
    let output = env.run("crowdstrike").assert_code(0).stdout;
    let note = output.lines().find(|line| line.contains("no indicator in 30 alerts")).unwrap();
    assert!(note.contains("20 others") && note.len() < 1000, "{note}");
    assert!(!output.contains('\u{1b}') && !env.log().contains('\u{1b}'), "{note:?}");
}

#[test]
fn a_source_without_alerts_for_three_days_is_reported_as_quiet() {
    for vendor in Vendor::ALL {
        let command = vendor.command();
        let alert = vendor.alert(1, "2026-11-20T23:50:00Z".parse().unwrap());
        let env = TestEnv::new(vendor.world(&[alert]));
        for day in 21..=26 {
            let now = format!("2026-11-{day}T00:15:00Z");
            env.run_at(&now, &format!("{command} --hours 1")).assert_code(0);
            let source = env.run_at(&now, "status --json").json()["sources"][0].clone();
            // The second run reads the alert again, because it is near the checkpoint.
            let last_alerts = format!("2026-11-{}T00:15:0", day.min(22));
            let is_quiet = day >= 25;
            assert_eq!(source["quiet"], is_quiet, "{now}");
            assert!(source["last_alerts"].as_str().unwrap().starts_with(&last_alerts));
            let text = env.run_at(&now, "status").assert_code(0).stdout;
            let warning = format!("no alerts from {command} since 2026-11-22T00:15:0");
            assert_eq!(text.contains(&warning), is_quiet, "{text}");
            let checked = env.run_at(&now, &format!("check {command} --offline")).assert_code(0);
            assert_eq!(checked.stderr.contains(&warning), is_quiet, "{}", checked.stderr);
        }
    }
}

#[test]
fn a_source_that_never_had_alerts_is_not_quiet() {
    let env = TestEnv::falcon(&[]);
    for day in 21..=25 {
        env.run_at(&format!("2026-11-{day}T00:15:00Z"), "crowdstrike").assert_code(0);
    }
    let source = env.run_at("2026-11-25T00:15:00Z", "status --json").json()["sources"][0].clone();
    assert_eq!((&source["quiet"], &source["last_alerts"]), (&json!(false), &Value::Null));
}
