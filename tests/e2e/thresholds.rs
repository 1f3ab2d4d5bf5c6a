//! Severity and confidence: asked for on the server, and checked again on what comes back.

use sandbox::{Service, World};
use serde_json::{Value, json};

use crate::support::alerts::{falcon, sha256, with, without};
use crate::support::{Stage, text};

/// Alerts of these severities, each with the indicator of its number.
fn severities(severities: &[u64]) -> Vec<Value> {
    let alert = |&severity: &u64| {
        let alert = falcon(&format!("id:{severity}"), "hash_sha256", &sha256(severity));
        with(alert, "severity", json!(severity))
    };
    severities.iter().map(alert).collect()
}

/// The filter of the one query for alerts.
#[track_caller]
fn filter(stage: &Stage) -> String {
    let asked = stage.sandbox.requests_to(Service::FalconAlerts);
    assert_eq!(asked.len(), 1);
    text(&asked[0].json().unwrap(), "/filter")
}

/// A world whose service does not filter by scores: it sees good ones, and sends these.
fn blind(alerts: &[Value]) -> Stage {
    let fine =
        |alert: &Value| with(with(alert.clone(), "severity", json!(100)), "confidence", json!(100));
    let world = alerts
        .iter()
        .fold(World::default(), |world, alert| world.falcon_raw(alert.to_string(), &fine(alert)));
    Stage::new(world)
}

#[test]
fn without_thresholds_nothing_is_asked_and_everything_passes() {
    let bare = without(without(falcon("x", "domain", "a.example.com"), "severity"), "confidence");
    let stage = Stage::falcon(&[severities(&[1, 100]), vec![bare]].concat());
    let ran = stage.run("crowdstrike --json").ended(0);
    assert_eq!(ran.adds_up().count("processed"), 3);
    let filter = filter(&stage);
    assert!(!filter.contains("severity") && !filter.contains("confidence"), "{filter}");
}

#[test]
fn the_server_is_asked_for_both_thresholds() {
    let stage = Stage::falcon(&severities(&[59, 60, 61]));
    let ran = stage.run("crowdstrike --json --min-severity 60 --min-confidence 80").ended(0);
    let filter = filter(&stage);
    assert!(filter.ends_with("+severity:>=60+confidence:>=80"), "{filter}");
    // What the server keeps back is not fetched.
    ran.counts(&[
        ("alerts_fetched", 2),
        ("indicators_found", 2),
        ("submitted", 2),
        ("processed", 2),
    ]);
    assert_eq!(stage.stored_values(), [sha256(60), sha256(61)]);
}

#[test]
fn severity_is_checked_again() {
    let stage = blind(&severities(&[1, 59, 60, 61, 100]));
    let ran = stage.run("crowdstrike --json --min-severity 60").ended(0);
    ran.counts(&[
        ("alerts_fetched", 5),
        ("alerts_below_threshold", 2),
        ("indicators_found", 3),
        ("submitted", 3),
        ("processed", 3),
    ]);
    assert_eq!(stage.stored_values(), [60, 61, 100].map(sha256));
}

#[test]
fn confidence_is_checked_again() {
    let alert = |confidence: u64| {
        let alert = falcon(&format!("id:{confidence}"), "hash_sha256", &sha256(confidence));
        with(alert, "confidence", json!(confidence))
    };
    let stage = blind(&[79, 80, 81].map(alert));
    let ran = stage.run("crowdstrike --json --min-confidence 80").ended(0);
    assert_eq!(ran.adds_up().count("alerts_below_threshold"), 1);
    assert_eq!(stage.stored_values(), [80, 81].map(sha256));
}

#[test]
fn a_missing_score_fails_any_threshold() {
    let whole = falcon("id", "hash_sha256", &sha256(1));
    for (field, flag) in [("severity", "--min-severity"), ("confidence", "--min-confidence")] {
        let missing = [
            without(whole.clone(), field),
            with(whole.clone(), field, Value::Null),
            with(whole.clone(), field, json!("high")),
            with(whole.clone(), field, json!(-5)),
            with(whole.clone(), field, json!({"value": 90})),
        ];
        for alert in missing {
            let stage = blind(std::slice::from_ref(&alert));
            let ran = stage.run(&format!("crowdstrike --json {flag} 1")).ended(0);
            ran.counts(&[("alerts_fetched", 1), ("alerts_below_threshold", 1)]);
            let ran = stage.run(&format!("crowdstrike --json {flag} 0")).ended(0);
            assert_eq!(ran.count("processed"), 1, "{alert}");
        }
    }
}

#[test]
fn an_alert_below_the_threshold_counts_as_that_and_nothing_else() {
    let without_ioc = without(without(falcon("id", "", ""), "ioc_type"), "ioc_value");
    let stage = blind(&[with(without_ioc, "severity", json!(10))]);
    let ran = stage.run("crowdstrike --json --min-severity low").ended(0);
    ran.counts(&[("alerts_fetched", 1), ("alerts_below_threshold", 1)]);
}

#[test]
fn scores_may_be_written_in_other_forms() {
    let alert = |id: &str, severity: Value| {
        with(falcon(id, "hash_sha256", &sha256(1)), "severity", severity)
    };
    for severity in [json!(60), json!(60.0), json!("60"), json!(300), json!([60])] {
        let stage = blind(&[alert("id", severity.clone())]);
        let ran = stage.run("crowdstrike --json --min-severity 60").ended(0);
        assert_eq!(ran.count("processed"), 1, "{severity}");
    }
}

#[test]
fn bands_are_their_lower_ends() {
    for (band, least) in
        [("informational", 0), ("low", 20), ("Medium", 40), ("HIGH", 60), ("critical", 80)]
    {
        let stage = Stage::falcon(&severities(&[1, 19, 20, 39, 40, 59, 60, 79, 80, 100]));
        stage.run(&format!("crowdstrike --min-severity {band}")).ended(0);
        let wanted: Vec<String> = [1, 19, 20, 39, 40, 59, 60, 79, 80, 100]
            .into_iter()
            .filter(|severity| *severity >= least)
            .map(sha256)
            .collect();
        assert_eq!(stage.stored_values(), wanted, "{band}");
    }
}
