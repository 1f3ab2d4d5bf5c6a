//! Tests of the thresholds of severity and confidence: they are part of the request for alerts, and
//! the alerts in the response are checked again.

use std::time::Duration;

use sandbox::{Fault, Service, World};
use serde_json::{Value, json};

use crate::support::TestEnv;
use crate::support::alerts::{carbonblack, falcon, sha256, with, without};
use crate::support::json::text;

/// Returns alerts with these severities, each with the indicator `sha256(severity)`.
fn severities(severities: &[u64]) -> Vec<Value> {
    let alert = |&severity: &u64| {
        let alert = falcon(&format!("id:{severity}"), "hash_sha256", &sha256(severity));
        with(alert, "severity", json!(severity))
    };
    severities.iter().map(alert).collect()
}

/// Returns the filter of the first request for alerts.
fn filter(env: &TestEnv) -> String {
    text(&env.sandbox.requests_to(Service::FalconAlerts)[0].json().unwrap(), "/filter")
}

/// Returns Carbon Black alerts with these severities, each with the indicator `sha256(severity)`.
fn carbonblack_severities(severities: &[u64]) -> Vec<Value> {
    let alert = |&severity: &u64| {
        let alert = carbonblack(&format!("id{severity}"), &sha256(severity));
        with(alert, "severity", json!(severity))
    };
    severities.iter().map(alert).collect()
}

/// Returns an environment whose service does not filter by severity and confidence: its searches
/// see 100 for both in every alert.
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
    assert_eq!(output.assert_counts_add_up().count("processed"), 3);
    let filter = filter(&env);
    assert!(!filter.contains("severity") && !filter.contains("confidence"), "{filter}");
}

#[test]
fn both_thresholds_are_part_of_the_request() {
    let env = TestEnv::falcon(&severities(&[59, 60, 61]));
    let output = env.run("crowdstrike --json --min-severity 60 --min-confidence 80").assert_code(0);
    let filter = filter(&env);
    assert!(filter.ends_with("+severity:>=60+confidence:>=80"), "{filter}");
    output.assert_counts(&[
        ("alerts_fetched", 3),
        ("alerts_below_threshold", 1),
        ("indicators_found", 2),
        ("submitted", 2),
        ("processed", 2),
    ]);
    assert_eq!(env.stored_values(), [sha256(60), sha256(61)]);
}

#[test]
fn alerts_that_the_service_leaves_out_are_counted_with_one_small_request() {
    let env = TestEnv::falcon(&severities(&[10, 20, 30, 60, 70]));
    let output = env.run("crowdstrike --json --min-severity 60").assert_code(0);
    output.assert_counts_add_up().assert_counts(&[
        ("alerts_fetched", 5),
        ("alerts_below_threshold", 3),
        ("indicators_found", 2),
        ("submitted", 2),
        ("processed", 2),
    ]);
    let requests = env.sandbox.requests_to(Service::FalconAlerts);
    assert_eq!(requests.len(), 2);
    let last = requests[1].json().unwrap();
    assert!(!text(&last, "/filter").contains("severity"), "{last}");
    assert_eq!(last["limit"], 2);

    let env = TestEnv::carbonblack(&carbonblack_severities(&[1, 4, 5, 10]));
    let output = env.run("carbonblack --json --min-severity 5").assert_code(0);
    output.assert_counts_add_up().assert_counts(&[
        ("alerts_fetched", 4),
        ("alerts_below_threshold", 2),
        ("indicators_found", 2),
        ("submitted", 2),
        ("processed", 2),
    ]);
    let requests = env.sandbox.requests_to(Service::CarbonBlack);
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0].json().unwrap()["criteria"], json!({"minimum_severity": 5}));
    let last = requests[1].json().unwrap();
    assert_eq!((&last["rows"], last.get("criteria")), (&json!(1), None));
}

#[test]
fn an_alert_at_the_end_of_the_window_is_not_counted_as_left_out() {
    let alert =
        |id: &str, time: &str| with(carbonblack(id, &sha256(1)), "backend_timestamp", json!(time));
    let alerts =
        [alert("in", "2026-11-22T00:14:59.999Z"), alert("after", "2026-11-22T00:15:00.000Z")];
    let env = TestEnv::carbonblack(&alerts);
    let flags = format!("{} --json --min-severity 1", crate::support::vendor::DAY_WINDOW);
    let output = env.run(&format!("carbonblack {flags}")).assert_code(0);
    assert_eq!(output.count("alerts_fetched"), 1);
    assert_eq!(output.count("alerts_below_threshold"), 0);
}

#[test]
fn if_the_number_of_alerts_left_out_cannot_be_read_there_is_a_note() {
    let env = TestEnv::falcon(&severities(&[10, 60]));
    let fault = Fault::status(403, r#"{"errors": [{"code": 403, "message": "made up"}]}"#);
    env.sandbox.queue_faults(Service::FalconAlerts, vec![Fault::None, fault]);
    let output = env.run("crowdstrike --json --min-severity 60").assert_code(0);
    output.assert_counts(&[
        ("alerts_fetched", 1),
        ("indicators_found", 1),
        ("submitted", 1),
        ("processed", 1),
    ]);
    assert!(output.stdout.contains("are not counted"), "{}", output.stdout);
}

#[test]
fn a_request_for_the_number_that_hangs_does_not_delay_the_delivery_for_long() {
    let env = TestEnv::falcon(&severities(&[10, 60]));
    let hang = Fault::HangThenRespond(Duration::from_mins(1));
    env.sandbox.queue_faults(Service::FalconAlerts, vec![Fault::None, hang]);
    let output = env.run("crowdstrike --json --min-severity 60").assert_code(0);
    assert_eq!(output.assert_counts_add_up().count("processed"), 1);
    assert!(output.stdout.contains("no answer within 10 s"), "{}", output.stdout);
}

#[test]
fn what_was_not_read_completely_is_not_counted_as_below_the_threshold() {
    let env = TestEnv::falcon(&severities(&[10, 60, 70]));
    env.sandbox.change(|world| world.falcon.max_page_size = 1);
    // The first page is read, the second fails in all five attempts, and a request for the number
    // of alerts would succeed.
    let mut faults = vec![Fault::status(503, ""); 6];
    faults[0] = Fault::None;
    env.sandbox.queue_faults(Service::FalconAlerts, faults);
    let output = env.run("crowdstrike --json --min-severity 60 --concurrency 1").assert_code(5);
    output.assert_counts(&[
        ("alerts_fetched", 1),
        ("indicators_found", 1),
        ("submitted", 1),
        ("processed", 1),
    ]);
}

#[test]
fn carbon_black_severity_is_checked_again() {
    let search_as = |alert: &Value| with(alert.clone(), "severity", json!(10));
    let alerts = carbonblack_severities(&[1, 4, 5]);
    let world = alerts.iter().fold(World::default(), |world, alert| {
        world.carbon_black_raw(alert.to_string(), &search_as(alert))
    });
    let env = TestEnv::new(world);
    let output = env.run("carbonblack --json --min-severity 5").assert_code(0);
    assert_eq!(output.assert_counts_add_up().count("alerts_below_threshold"), 2);
    assert_eq!(env.stored_values(), [sha256(5)]);
    for invalid in ["0", "11", "high"] {
        env.run(&format!("carbonblack --min-severity {invalid}")).assert_code(2);
    }
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
    assert_eq!(output.assert_counts_add_up().count("alerts_below_threshold"), 1);
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
