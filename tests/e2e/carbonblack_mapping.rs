//! From a Carbon Black alert to the item that Recorded Future gets, field by field.

use serde_json::{Value, json};

use crate::support::Stage;
use crate::support::alerts::{HAPPENED, carbonblack, sha256, with, without};

const MD5: &str = "00000000000000000000000000000bad";

/// The one item that comes of an alert.
#[track_caller]
fn item(alert: Value) -> Value {
    let stage = Stage::carbonblack(&[alert]);
    stage.run("carbonblack").ended(0);
    stage.only_item()
}

fn alert() -> Value {
    carbonblack("a1", &sha256(1))
}

/// An alert of a process that was to start another one, which was blocked.
fn blocked() -> Value {
    let alert = with(alert(), "blocked_sha256", json!(sha256(2)));
    without(with(alert, "type", json!("CB_ANALYTICS")), "ioc_hit")
}

#[test]
fn an_alert_arrives_as_the_contract_says() {
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
fn absent_values_leave_no_key_behind() {
    let bare = ["reason", "severity", "attack_tactic", "attack_technique", "ttps"];
    let bare = bare.iter().fold(alert(), |alert, key| without(alert, key));
    assert_eq!(
        item(bare),
        json!({
            "timestamp": HAPPENED,
            "ioc": {"type": "hash", "value": sha256(1), "source_type": "carbonblack:cloud", "field": "process_sha256"},
            "detection": {"type": "correlation", "id": "a1"},
            "incident": {"id": "a1", "type": "carbonblack-cloud-alert"},
        })
    );
}

#[test]
fn an_alert_is_wanted_when_it_blocked_a_file_or_hit_an_ioc() {
    let nothing = without(alert(), "ioc_hit");
    for key in ["blocked_sha256", "blocked_md5", "ioc_hit"] {
        let stage = Stage::carbonblack(&[with(nothing.clone(), key, json!("anything at all"))]);
        stage.run("carbonblack").ended(0);
        assert_eq!(stage.stored_values(), [sha256(1)], "{key}");
    }
    for absent in [Value::Null, json!(""), json!("  "), json!([]), json!({})] {
        let keys = ["blocked_sha256", "blocked_md5", "ioc_hit"];
        let alert =
            keys.iter().fold(nothing.clone(), |alert, key| with(alert, key, absent.clone()));
        let stage = Stage::carbonblack(&[alert]);
        let ran = stage.run("carbonblack --json").ended(0);
        ran.counts(&[("alerts_fetched", 1), ("alerts_without_indicator", 1)]);
    }
}

#[test]
fn any_type_of_alert_is_read_those_yet_to_come_too() {
    for kind in [
        "WATCHLIST",
        "CB_ANALYTICS",
        "HOST_BASED_FIREWALL",
        "INTRUSION_DETECTION_SYSTEM",
        "OF_TOMORROW",
    ] {
        assert_eq!(item(with(alert(), "type", json!(kind)))["ioc"]["value"], sha256(1), "{kind}");
    }
}

#[test]
fn the_indicator_is_the_one_that_was_chosen() {
    let md5_only = with(with(blocked(), "blocked_md5", json!(MD5)), "blocked_sha256", json!(""));
    let two = with(blocked(), "blocked_md5", json!(MD5));
    let [process, child] = [1, 2].map(sha256);
    for (choice, alert, wanted) in [
        ("", blocked(), vec![process.as_str()]),
        ("--indicator process", blocked(), vec![&process]),
        ("--indicator blocked", blocked(), vec![&child]),
        ("--indicator BOTH", blocked(), vec![&process, &child]),
        ("--indicator blocked", two.clone(), vec![&child]),
        ("--indicator blocked", md5_only.clone(), vec![MD5]),
        ("--indicator both", md5_only, vec![&process, MD5]),
        // A watchlist's hit that blocked nothing.
        ("--indicator both", carbonblack("a1", &process), vec![&process]),
    ] {
        let stage = Stage::carbonblack(&[alert]);
        stage.run(&format!("carbonblack {choice}")).ended(0);
        let mut wanted = wanted.clone();
        wanted.sort_unstable();
        assert_eq!(stage.stored_values(), wanted, "{choice}");
    }
    let stage = Stage::carbonblack(&[carbonblack("a1", &process)]);
    let ran = stage.run("carbonblack --indicator blocked --json").ended(0);
    ran.counts(&[("alerts_fetched", 1), ("alerts_without_indicator", 1)]);
}

#[test]
fn each_indicator_says_which_field_it_stood_in() {
    let stage = Stage::carbonblack(&[blocked()]);
    stage.run("carbonblack --indicator both").ended(0);
    for item in stage.items() {
        let field =
            if item["ioc"]["value"] == sha256(1) { "process_sha256" } else { "blocked_sha256" };
        assert_eq!(item["ioc"]["field"], field);
    }
}

#[test]
fn a_process_hash_is_checked_and_written_in_lower_case() {
    let upper = format!("{:064X}", 0xabc_def);
    assert_eq!(item(carbonblack("a1", &upper))["ioc"]["value"], upper.to_lowercase());
    for malformed in ["abc", MD5, &"g".repeat(64), &"a".repeat(65)] {
        let stage = Stage::carbonblack(&[carbonblack("a1", malformed)]);
        let ran = stage.run("carbonblack --json").ended(0);
        ran.counts(&[("alerts_fetched", 1), ("indicators_found", 1), ("indicators_invalid", 1)]);
    }
    for absent in [Value::Null, json!("")] {
        let stage = Stage::carbonblack(&[with(alert(), "process_sha256", absent)]);
        let ran = stage.run("carbonblack --json").ended(0);
        ran.counts(&[("alerts_fetched", 1), ("alerts_without_indicator", 1)]);
    }
}

#[test]
fn the_time_is_that_of_the_detection() {
    // Days before it reached the backend: the sensor was offline.
    let late = with(alert(), "detection_timestamp", json!("2026-11-12T01:02:03.004Z"));
    assert_eq!(item(late)["timestamp"], "2026-11-12T01:02:03.004Z");
    for nothing in [Value::Null, json!(""), json!("yesterday")] {
        let item = item(with(alert(), "detection_timestamp", nothing));
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
fn oddities_of_other_fields_do_not_matter() {
    let alert = with(with(alert(), "determination", Value::Null), "tags", Value::Null);
    let alert =
        with(with(alert, "process_issuer", json!(["A", "B"])), "netconn_local_port", json!(-12));
    assert_eq!(item(alert)["ioc"]["value"], sha256(1));
}

#[test]
fn types_that_never_have_the_fields_are_not_asked_for() {
    let stage = Stage::carbonblack(&[with(alert(), "type", json!("DEVICE_CONTROL"))]);
    let ran = stage.run("carbonblack --json").ended(0);
    ran.counts(&[]);
}
