//! Tests the mapping from a Carbon Black alert to a Collective Insights item, field by field.

use serde_json::{Value, json};

use crate::support::TestEnv;
use crate::support::alerts::{EVENT_TIME, carbonblack, sha256, with, without};

/// A valid MD5.
const MD5: &str = "00000000000000000000000000000bad";

/// Returns the only item that is sent for an alert.
#[track_caller]
fn item(alert: Value) -> Value {
    let env = TestEnv::carbonblack(&[alert]);
    env.run("carbonblack").assert_code(0);
    env.only_item()
}

/// Returns an alert about a process that hit an indicator of a watchlist.
fn alert() -> Value {
    carbonblack("a1", &sha256(1))
}

/// Returns an alert about a process (hash 1) that tried to start a blocked file (hash 2).
fn blocked_alert() -> Value {
    let alert = with(alert(), "blocked_sha256", json!(sha256(2)));
    without(with(alert, "type", json!("CB_ANALYTICS")), "ioc_hit")
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
                "source_type": "carbonblack:cloud",
                "field": "process_sha256",
            },
            "detection": {"type": "correlation", "id": "a1", "name": "A process matched a watchlist."},
            "incident": {"id": "a1", "type": "carbonblack-cloud-alert"},
            "mitre_codes": ["T1059.001", "T1204.002"],
        })
    );
}

#[test]
fn absent_values_have_no_key() {
    let optional = ["reason", "severity", "attack_tactic", "attack_technique", "ttps"];
    let minimal = optional.iter().fold(alert(), |alert, key| without(alert, key));
    assert_eq!(
        item(minimal),
        json!({
            "timestamp": EVENT_TIME,
            "ioc": {"type": "hash", "value": sha256(1), "source_type": "carbonblack:cloud", "field": "process_sha256"},
            "detection": {"type": "correlation", "id": "a1"},
            "incident": {"id": "a1", "type": "carbonblack-cloud-alert"},
        })
    );
}

#[test]
fn an_alert_has_an_indicator_if_a_file_was_blocked_or_an_ioc_was_hit() {
    let without_hit = without(alert(), "ioc_hit");
    for key in ["blocked_sha256", "blocked_md5", "ioc_hit"] {
        let env = TestEnv::carbonblack(&[with(without_hit.clone(), key, json!("anything at all"))]);
        env.run("carbonblack").assert_code(0);
        assert_eq!(env.stored_values(), [sha256(1)], "{key}");
    }
    for empty in [Value::Null, json!(""), json!("  "), json!([]), json!({})] {
        let keys = ["blocked_sha256", "blocked_md5", "ioc_hit"];
        let alert =
            keys.iter().fold(without_hit.clone(), |alert, key| with(alert, key, empty.clone()));
        let env = TestEnv::carbonblack(&[alert]);
        let output = env.run("carbonblack --json").assert_code(0);
        output.assert_counts(&[("alerts_fetched", 1), ("alerts_without_indicator", 1)]);
    }
}

#[test]
fn all_alert_types_are_read_even_unknown_ones() {
    for kind in [
        "WATCHLIST",
        "CB_ANALYTICS",
        "HOST_BASED_FIREWALL",
        "INTRUSION_DETECTION_SYSTEM",
        "FUTURE_TYPE",
    ] {
        assert_eq!(item(with(alert(), "type", json!(kind)))["ioc"]["value"], sha256(1), "{kind}");
    }
}

#[test]
fn the_indicator_option_selects_the_hash() {
    let md5_only =
        with(with(blocked_alert(), "blocked_md5", json!(MD5)), "blocked_sha256", json!(""));
    let both_hashes = with(blocked_alert(), "blocked_md5", json!(MD5));
    let [process, blocked] = [1, 2].map(sha256);
    for (choice, alert, expected) in [
        ("", blocked_alert(), vec![process.as_str()]),
        ("--indicator process", blocked_alert(), vec![&process]),
        ("--indicator blocked", blocked_alert(), vec![&blocked]),
        ("--indicator BOTH", blocked_alert(), vec![&process, &blocked]),
        ("--indicator blocked", both_hashes.clone(), vec![&blocked]),
        ("--indicator blocked", md5_only.clone(), vec![MD5]),
        ("--indicator both", md5_only, vec![&process, MD5]),
        // A watchlist hit without a blocked file.
        ("--indicator both", carbonblack("a1", &process), vec![&process]),
    ] {
        let env = TestEnv::carbonblack(&[alert]);
        env.run(&format!("carbonblack {choice}")).assert_code(0);
        let mut expected = expected.clone();
        expected.sort_unstable();
        assert_eq!(env.stored_values(), expected, "{choice}");
    }
    let env = TestEnv::carbonblack(&[carbonblack("a1", &process)]);
    let output = env.run("carbonblack --indicator blocked --json").assert_code(0);
    output.assert_counts(&[("alerts_fetched", 1), ("alerts_without_indicator", 1)]);
}

#[test]
fn each_item_names_the_field_of_its_indicator() {
    let env = TestEnv::carbonblack(&[blocked_alert()]);
    env.run("carbonblack --indicator both").assert_code(0);
    for item in env.items() {
        let field =
            if item["ioc"]["value"] == sha256(1) { "process_sha256" } else { "blocked_sha256" };
        assert_eq!(item["ioc"]["field"], field);
    }
}

#[test]
fn a_process_hash_is_validated_and_sent_in_lower_case() {
    let upper = format!("{:064X}", 0xabc_def);
    assert_eq!(item(carbonblack("a1", &upper))["ioc"]["value"], upper.to_lowercase());
    for malformed in ["abc", MD5, &"g".repeat(64), &"a".repeat(65)] {
        let env = TestEnv::carbonblack(&[carbonblack("a1", malformed)]);
        let output = env.run("carbonblack --json").assert_code(0);
        output.assert_counts(&[
            ("alerts_fetched", 1),
            ("indicators_found", 1),
            ("indicators_invalid", 1),
        ]);
    }
    for absent in [Value::Null, json!("")] {
        let env = TestEnv::carbonblack(&[with(alert(), "process_sha256", absent)]);
        let output = env.run("carbonblack --json").assert_code(0);
        output.assert_counts(&[("alerts_fetched", 1), ("alerts_without_indicator", 1)]);
    }
}

#[test]
fn the_timestamp_is_the_detection_time() {
    // The sensor was offline: the alert reached the backend days after the detection.
    let late = with(alert(), "detection_timestamp", json!("2026-11-12T01:02:03.004Z"));
    assert_eq!(item(late)["timestamp"], "2026-11-12T01:02:03.004Z");
    for invalid in [Value::Null, json!(""), json!("yesterday")] {
        let item = item(with(alert(), "detection_timestamp", invalid));
        assert_eq!(item["timestamp"], "2026-11-21T08:01:00.123Z");
    }
}

#[test]
fn mitre_codes_come_from_tactic_technique_and_ttps() {
    let alert = with(alert(), "attack_tactic", json!("TA0002"));
    let alert = with(alert, "attack_technique", json!("t1059.001"));
    let ttps = json!([
        "MITRE_T1059_001_POWERSHELL",
        "MITRE_T1055_PROCESS_INJECT",
        "RUN_CMD_SHELL",
        "",
        null,
        5
    ]);
    let codes = &item(with(alert, "ttps", ttps))["mitre_codes"];
    assert_eq!(*codes, json!(["T1055", "T1059.001", "TA0002"]));
}

#[test]
fn unusual_values_of_unused_fields_are_ignored() {
    let alert = with(with(alert(), "determination", Value::Null), "tags", Value::Null);
    let alert =
        with(with(alert, "process_issuer", json!(["A", "B"])), "netconn_local_port", json!(-12));
    assert_eq!(item(alert)["ioc"]["value"], sha256(1));
}

#[test]
fn alert_types_that_never_have_a_hash_are_not_requested() {
    let env = TestEnv::carbonblack(&[with(alert(), "type", json!("DEVICE_CONTROL"))]);
    let output = env.run("carbonblack --json").assert_code(0);
    output.assert_counts(&[]);
}
