//! Tests the mapping from a Falcon alert to a Collective Insights item, field by field.

use serde_json::{Value, json};

use crate::support::TestEnv;
use crate::support::alerts::{EVENT_TIME, falcon, sha256, with, without};

/// Returns the only item that is sent for an alert.
#[track_caller]
fn item(alert: Value) -> Value {
    let env = TestEnv::falcon(&[alert]);
    env.run("crowdstrike").assert_code(0);
    env.only_item()
}

/// Returns an alert with an indicator in `ioc_value`. `support::alerts` has its other fields.
fn alert() -> Value {
    falcon("cid:ind:1", "hash_sha256", &sha256(1))
}

#[test]
fn an_alert_is_mapped_as_documented() {
    assert_eq!(
        item(alert()),
        json!({
            "timestamp": "2026-11-21T08:00:00.123Z",
            "ioc": {
                "type": "hash",
                "value": sha256(1),
                "source_type": "crowdstrike:falcon",
                "field": "ioc_value",
            },
            "detection": {"type": "correlation", "id": "cid:ind:1", "name": "A file was written."},
            "incident": {"id": "cid:ind:1", "name": "FileWritten", "type": "crowdstrike-falcon-alert"},
            "mitre_codes": ["T1204", "TA0002"],
        })
    );
}

#[test]
fn absent_values_have_no_key() {
    let optional = [
        "description", "display_name", "severity", "confidence", "ioc_context", "tactic_id",
        "technique_id",
    ];
    let minimal = optional.iter().fold(alert(), |alert, key| without(alert, key));
    assert_eq!(
        item(minimal),
        json!({
            "timestamp": EVENT_TIME,
            "ioc": {"type": "hash", "value": sha256(1), "source_type": "crowdstrike:falcon", "field": "ioc_value"},
            "detection": {"type": "correlation", "id": "cid:ind:1"},
            "incident": {"id": "cid:ind:1", "type": "crowdstrike-falcon-alert"},
        })
    );
}

#[test]
fn ids_are_sent_unchanged() {
    for id in ["a:b|c:d", "with blanks and ümlauts", "\"quoted\" \\ 'also'", "17"] {
        let item = item(with(alert(), "composite_id", json!(id)));
        assert_eq!(item["detection"]["id"], id);
        assert_eq!(item["incident"]["id"], id);
    }
}

#[test]
fn the_names_of_detection_and_incident_fall_back_to_other_fields() {
    let named = with(alert(), "name", json!("WrittenByRule"));
    let no_text = without(named.clone(), "description");
    let no_title = without(no_text.clone(), "display_name");
    for (alert, name, incident) in [
        (named.clone(), "A file was written.", "FileWritten"),
        (no_text, "FileWritten", "FileWritten"),
        (no_title, "WrittenByRule", "WrittenByRule"),
        (without(named.clone(), "display_name"), "A file was written.", "WrittenByRule"),
        (with(named.clone(), "description", json!("")), "FileWritten", "FileWritten"),
        (with(named, "description", Value::Null), "FileWritten", "FileWritten"),
    ] {
        let item = item(alert);
        assert_eq!(item["detection"]["name"], name);
        assert_eq!(item["incident"]["name"], incident);
    }
}

#[test]
fn the_timestamp_is_the_event_time_in_milliseconds() {
    for (received, sent) in [
        ("2026-11-21T08:00:00Z", "2026-11-21T08:00:00.000Z"),
        ("2026-11-21T08:00:00.1Z", "2026-11-21T08:00:00.100Z"),
        ("2026-11-21T08:00:00.123456789Z", "2026-11-21T08:00:00.123Z"),
        ("2026-11-21T08:00:00.999999999Z", "2026-11-21T08:00:00.999Z"),
        ("2026-11-21T10:00:00.5+02:00", "2026-11-21T08:00:00.500Z"),
        // Long before the alert was created: a run reads what was created in its window.
        ("2026-10-01T08:00:00Z", "2026-10-01T08:00:00.000Z"),
    ] {
        assert_eq!(
            item(with(alert(), "timestamp", json!(received)))["timestamp"],
            sent,
            "{received}"
        );
    }
    for invalid in [
        Value::Null,
        json!(""),
        json!("yesterday"),
        json!("2026-11-21 08:00"),
        json!(1_795_248_000),
    ] {
        // The creation time is sent instead.
        let item = item(with(alert(), "timestamp", invalid.clone()));
        assert_eq!(item["timestamp"], "2026-11-21T08:01:00.123Z", "{invalid}");
    }
}

#[test]
fn mitre_codes_are_sent_once_and_other_codes_are_not_sent() {
    let listed = json!([
        {"tactic_id": "TA0005", "technique_id": "T1059.001"},
        {"tactic_id": "CSTA0004", "technique_id": "CST0007"},
        {"tactic_id": "TA0002", "technique_id": null},
        {"technique_id": "t1055"},
        "T1000", null, 17, {},
    ]);
    let alert = with(with(alert(), "mitre_attack", listed), "technique_id", json!("CST0007"));
    assert_eq!(item(alert)["mitre_codes"], json!(["T1055", "T1059.001", "TA0002", "TA0005"]));
}

#[test]
fn the_hashes_of_the_triggering_process_are_not_indicators() {
    let alert = with(with(alert(), "sha256", json!(sha256(8))), "md5", json!("0".repeat(32)));
    assert_eq!(item(alert)["ioc"]["value"], sha256(1));
}

#[test]
fn indicators_in_ioc_context_are_sent_too() {
    let context = json!([
        {"ioc_type": "hash_sha256", "ioc_value": sha256(2), "sha256": sha256(8), "md5": null},
        {"ioc_type": "domain", "ioc_value": "context.example.com"},
        {"ioc_type": "domain"},
        {"ioc_value": null, "ioc_type": null},
        "no object", null, 3,
    ]);
    let both = with(alert(), "ioc_context", context);
    let context_only = without(without(both.clone(), "ioc_type"), "ioc_value");
    for (alert, mut expected) in
        [(both, vec![format!("hash {}", sha256(1))]), (context_only, vec![])]
    {
        let env = TestEnv::falcon(&[alert]);
        env.run("crowdstrike").assert_code(0);
        expected.extend(["domain context.example.com".to_owned(), format!("hash {}", sha256(2))]);
        expected.sort();
        assert_eq!(env.stored_indicators(), expected);
        let from_context =
            env.items().into_iter().filter(|item| item["ioc"]["field"] == "ioc_context.ioc_value");
        assert_eq!(from_context.count(), 2);
    }
}

#[test]
fn alerts_without_an_indicator_are_counted() {
    let without_ioc = without(without(alert(), "ioc_type"), "ioc_value");
    let env = TestEnv::falcon(&[
        without_ioc.clone(),
        with(with(without_ioc.clone(), "composite_id", json!("2")), "ioc_type", json!("domain")),
        with(with(without_ioc, "composite_id", json!("3")), "ioc_value", json!(" , ,")),
    ]);
    let output = env.run("crowdstrike --json").assert_code(0);
    // A value without a type is an unsupported indicator.
    output.assert_counts(&[
        ("alerts_fetched", 3),
        ("alerts_without_indicator", 2),
        ("indicators_found", 1),
        ("indicators_unsupported", 1),
    ]);
}

#[test]
fn only_the_product_epp_is_requested() {
    let env = TestEnv::falcon(&[
        with(alert(), "product", json!("xdr")),
        with(falcon("2", "domain", "a.example.com"), "product", json!("epp")),
    ]);
    env.run("crowdstrike").assert_code(0);
    assert_eq!(env.stored_indicators(), ["domain a.example.com"]);
}
