//! Severity and confidence thresholds: they are part of the request, and the response is checked
//! again.

use sandbox::{Service, World};
use serde_json::{Value, json};

use crate::support::TestEnv;
use crate::support::alerts::{falcon, sha256, with, without};
use crate::support::json::text;

/// Returns alerts with these severities, each with the indicator `sha256(severity)`.
fn severities(severities: &[u64]) -> Vec<Value> {
    let alert = |&severity: &u64| {
        let alert = falcon(&format!("id:{severity}"), "hash_sha256", &sha256(severity));
        with(alert, "severity", json!(severity))
    };
    severities.iter().map(alert).collect()
}

/// Returns the filter of the only request for alerts.
#[track_caller]
fn filter(env: &TestEnv) -> String {
    let requests = env.sandbox.requests_to(Service::FalconAlerts);
    assert_eq!(requests.len(), 1);
    text(&requests[0].json().unwrap(), "/filter")
}

/// Returns an environment whose service does not filter by scores: searches see 100 for each.
fn env_without_server_filter(alerts: &[Value]) -> TestEnv {
    let search_as =
        |alert: &Value| with(with(alert.clone(), "severity", json!(100)), "confidence", json!(100));
    let world = alerts.iter().fold(World::default(), |world, alert| {
        world.falcon_raw(alert.to_string(), &search_as(alert))
    });
    TestEnv::new(world)
}

#[test]
fn without_thresholds_all_alerts_are_requested_and_pass() {
    let without_scores =
        without(without(falcon("x", "domain", "a.example.com"), "severity"), "confidence");
    let env = TestEnv::falcon(&[severities(&[1, 100]), vec![without_scores]].concat());
    let output = env.run("crowdstrike --json").assert_code(0);
    assert_eq!(output.assert_sums().count("processed"), 3);
    let filter = filter(&env);
    assert!(!filter.contains("severity") && !filter.contains("confidence"), "{filter}");
}

#[test]
fn both_thresholds_are_part_of_the_request() {
    let env = TestEnv::falcon(&severities(&[59, 60, 61]));
    let output = env.run("crowdstrike --json --min-severity 60 --min-confidence 80").assert_code(0);
    let filter = filter(&env);
    assert!(filter.ends_with("+severity:>=60+confidence:>=80"), "{filter}");
    // Alerts that the server filters out do not count as fetched.
    output.assert_counts(&[
        ("alerts_fetched", 2),
        ("indicators_found", 2),
        ("submitted", 2),
        ("processed", 2),
    ]);
    assert_eq!(env.stored_values(), [sha256(60), sha256(61)]);
}

#[test]
fn severity_is_checked_again() {
    let env = env_without_server_filter(&severities(&[1, 59, 60, 61, 100]));
    let output = env.run("crowdstrike --json --min-severity 60").assert_code(0);
    output.assert_counts(&[
        ("alerts_fetched", 5),
        ("alerts_below_threshold", 2),
        ("indicators_found", 3),
        ("submitted", 3),
        ("processed", 3),
    ]);
    assert_eq!(env.stored_values(), [60, 61, 100].map(sha256));
}

#[test]
fn confidence_is_checked_again() {
    let alert = |confidence: u64| {
        let alert = falcon(&format!("id:{confidence}"), "hash_sha256", &sha256(confidence));
        with(alert, "confidence", json!(confidence))
    };
    let env = env_without_server_filter(&[79, 80, 81].map(alert));
    let output = env.run("crowdstrike --json --min-confidence 80").assert_code(0);
    assert_eq!(output.assert_sums().count("alerts_below_threshold"), 1);
    assert_eq!(env.stored_values(), [80, 81].map(sha256));
}

#[test]
fn an_alert_without_a_valid_score_is_below_any_threshold() {
    let alert = falcon("id", "hash_sha256", &sha256(1));
    for (field, flag) in [("severity", "--min-severity"), ("confidence", "--min-confidence")] {
        let missing = [
            without(alert.clone(), field),
            with(alert.clone(), field, Value::Null),
            with(alert.clone(), field, json!("high")),
            with(alert.clone(), field, json!(-5)),
            with(alert.clone(), field, json!({"value": 90})),
        ];
        for alert in missing {
            let env = env_without_server_filter(std::slice::from_ref(&alert));
            let output = env.run(&format!("crowdstrike --json {flag} 1")).assert_code(0);
            output.assert_counts(&[("alerts_fetched", 1), ("alerts_below_threshold", 1)]);
            let output = env.run(&format!("crowdstrike --json {flag} 0")).assert_code(0);
            assert_eq!(output.count("processed"), 1, "{alert}");
        }
    }
}

#[test]
fn an_alert_below_the_threshold_is_counted_only_once() {
    let without_ioc = without(without(falcon("id", "", ""), "ioc_type"), "ioc_value");
    let env = env_without_server_filter(&[with(without_ioc, "severity", json!(10))]);
    let output = env.run("crowdstrike --json --min-severity low").assert_code(0);
    output.assert_counts(&[("alerts_fetched", 1), ("alerts_below_threshold", 1)]);
}

#[test]
fn scores_in_other_formats_are_accepted() {
    let alert = |id: &str, severity: Value| {
        with(falcon(id, "hash_sha256", &sha256(1)), "severity", severity)
    };
    for severity in [json!(60), json!(60.0), json!("60"), json!(300), json!([60])] {
        let env = env_without_server_filter(&[alert("id", severity.clone())]);
        let output = env.run("crowdstrike --json --min-severity 60").assert_code(0);
        assert_eq!(output.count("processed"), 1, "{severity}");
    }
}

#[test]
fn a_severity_name_means_its_lower_bound() {
    for (band, min) in
        [("informational", 0), ("low", 20), ("Medium", 40), ("HIGH", 60), ("critical", 80)]
    {
        let env = TestEnv::falcon(&severities(&[1, 19, 20, 39, 40, 59, 60, 79, 80, 100]));
        env.run(&format!("crowdstrike --min-severity {band}")).assert_code(0);
        let expected: Vec<String> = [1, 19, 20, 39, 40, 59, 60, 79, 80, 100]
            .into_iter()
            .filter(|severity| *severity >= min)
            .map(sha256)
            .collect();
        assert_eq!(env.stored_values(), expected, "{band}");
    }
}
