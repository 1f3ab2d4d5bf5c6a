//! Tests that each indicator is sent once per run: the earliest detection represents it, with the
//! MITRE codes of all its detections.

use serde_json::{Value, json};

use crate::support::TestEnv;
use crate::support::alerts::{carbonblack, falcon, sha256, with};
use crate::support::json::text;

/// Returns an alert for the hash `sha256(1)`, with this event time and creation time.
fn alert(id: &str, event_time: &str, created: &str, technique: &str) -> Value {
    let alert = with(falcon(id, "hash_sha256", &sha256(1)), "timestamp", json!(event_time));
    let alert = with(alert, "created_timestamp", json!(created));
    let alert = with(alert, "description", json!(format!("seen by {id}")));
    with(with(alert, "tactic_id", json!("")), "technique_id", json!(technique))
}

/// Returns the six orders of three values.
fn orders([a, b, c]: [Value; 3]) -> [[Value; 3]; 6] {
    [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]
        .map(|order| order.map(|at| [&a, &b, &c][at].clone()))
}

#[test]
fn the_earliest_detection_represents_the_indicator_in_any_order() {
    let created = ["2026-11-21T10:00:00Z", "2026-11-21T11:00:00Z", "2026-11-21T12:00:00Z"];
    for created in orders(created.map(Value::from)) {
        let [a, b, c] = created.each_ref().map(|created| created.as_str().unwrap());
        let env = TestEnv::falcon(&[
            alert("late", "2026-11-21T07:00:00Z", a, "T1002"),
            alert("early", "2026-11-20T05:00:00Z", b, "T1003"),
            alert("latest", "2026-11-21T09:00:00Z", c, "T1001"),
        ]);
        let output = env.run("crowdstrike --json").assert_code(0);
        output.assert_counts(&[
            ("alerts_fetched", 3),
            ("indicators_found", 3),
            ("indicators_repeated", 2),
            ("submitted", 1),
            ("processed", 1),
        ]);
        let item = env.only_item();
        assert_eq!(text(&item, "/detection/id"), "early", "{created:?}");
        assert_eq!(text(&item, "/detection/name"), "seen by early");
        assert_eq!(text(&item, "/incident/id"), "early");
        assert_eq!(text(&item, "/timestamp"), "2026-11-20T05:00:00.000Z");
        assert_eq!(item["mitre_codes"], json!(["T1001", "T1002", "T1003"]));
    }
}

#[test]
fn the_order_of_detections_at_the_same_time_does_not_matter() {
    let (time, created) = ("2026-11-21T07:00:00Z", "2026-11-21T10:00:00Z");
    let alerts = ["b", "a", "c"].map(|id| alert(id, time, created, "T1001"));
    for order in orders(alerts) {
        let env = TestEnv::falcon(&order);
        env.run("crowdstrike").assert_code(0);
        assert_eq!(text(&env.only_item(), "/detection/id"), "a");
    }
}

#[test]
fn different_spellings_are_one_indicator() {
    let env = TestEnv::falcon(&[
        falcon("1", "domain", "Example.com"),
        falcon("2", "domain", "example.COM."),
        falcon("3", "url", "http://example.com"),
        falcon("4", "url", "HTTP://EXAMPLE.com:80/"),
        falcon("5", "ip", "2606:4700:0::1"),
        falcon("6", "ipv6", "2606:4700::0:1"),
        falcon("7", "hash_md5", &"AB".repeat(16)),
        falcon("8", "md5", &"ab".repeat(16)),
    ]);
    let output = env.run("crowdstrike --json").assert_code(0);
    assert_eq!(output.assert_counts_add_up().count("indicators_repeated"), 4);
    let hash = format!("hash {}", "ab".repeat(16));
    let expected = ["domain example.com", &hash, "ip 2606:4700::1", "url http://example.com/"];
    assert_eq!(env.stored_indicators(), expected);
}

#[test]
fn an_indicator_that_is_mentioned_twice_in_one_alert_is_sent_once() {
    let context = json!([
        {"ioc_type": "domain", "ioc_value": "a.example.com"},
        {"ioc_type": "domain", "ioc_value": "a.example.com"},
    ]);
    let alert = with(falcon("1", "domain", "a.example.com"), "ioc_context", context);
    let env = TestEnv::falcon(&[alert]);
    let output = env.run("crowdstrike --json").assert_code(0);
    assert_eq!(output.assert_counts_add_up().count("indicators_repeated"), 2);
    assert_eq!(env.stored_indicators(), ["domain a.example.com"]);
}

#[test]
fn an_alert_that_is_returned_twice_is_counted_once() {
    let alert = falcon("1", "domain", "a.example.com");
    let env = TestEnv::falcon(&[alert.clone(), alert]);
    let output = env.run("crowdstrike --json").assert_code(0);
    output.assert_counts(&[
        ("alerts_fetched", 1),
        ("indicators_found", 1),
        ("submitted", 1),
        ("processed", 1),
    ]);
}

#[test]
fn an_indicator_in_many_alerts_is_sent_once() {
    let alerts: Vec<Value> =
        (0..50).map(|number| carbonblack(&format!("a{number}"), &sha256(1))).collect();
    let env = TestEnv::carbonblack(&alerts);
    let output = env.run("carbonblack --json").assert_code(0);
    assert_eq!(output.assert_counts_add_up().count("indicators_repeated"), 49);
    assert_eq!(text(&env.only_item(), "/detection/id"), "a0");
}
