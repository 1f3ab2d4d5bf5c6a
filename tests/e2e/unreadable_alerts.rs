//! Tests that an unreadable alert does not affect the others on its page, and that a page with
//! errors is not treated as complete.

use sandbox::world::{MissingValue, PageError};
use sandbox::{Fault, Service, World};
use serde_json::{Value, json};

use crate::support::alerts::{EVENT_TIME, falcon, hashes, sha256, with, without};
use crate::support::vendor::{Vendor, millis_into_day};
use crate::support::{RunOutput, TestEnv};

/// Returns an environment with two readable alerts, an alert with this raw text, and one more
/// readable alert.
fn env_with_raw(vendor: Vendor, raw: &str, search_as: &Value) -> TestEnv {
    let world = vendor.world(&[
        vendor.alert(1, millis_into_day(1_000_000)),
        vendor.alert(2, millis_into_day(2_000_000)),
    ]);
    let world = vendor.add_raw(world, raw, search_as);
    TestEnv::new(vendor.add_raw(
        world,
        &vendor.alert(3, millis_into_day(3_000_000)).to_string(),
        &vendor.alert(3, millis_into_day(3_000_000)),
    ))
}

/// Asserts that the three readable alerts arrived, and that the alert with the raw text is counted
/// as unreadable.
#[track_caller]
fn assert_only_raw_is_unreadable(vendor: Vendor, env: &TestEnv, raw: &str) -> RunOutput {
    let output = env.run(&format!("{} --json", vendor.command())).assert_code(3);
    output.assert_stderr(&["1 alert cannot be read"]);
    output.assert_counts(&[
        ("alerts_fetched", 4),
        ("alerts_unreadable", 1),
        ("indicators_found", 3),
        ("submitted", 3),
        ("processed", 3),
    ]);
    let expected = [sha256(1), sha256(2), sha256(3)];
    assert_eq!(env.stored_values(), expected, "{vendor:?} {raw}");
    assert!(env.log().contains("an alert cannot be read"), "{raw}");
    assert_eq!(output.json()["error"]["kind"], "partial", "{raw}");
    output
}

/// Appends the text of a field to the text of an alert.
fn with_raw_field(alert: &Value, field: &str) -> String {
    let text = alert.to_string();
    format!("{}, {field}}}", text.strip_suffix('}').unwrap())
}

/// Values that no JSON library writes, or that no decoder accepts.
fn odd_values() -> [String; 8] {
    let nested = |open: &str, close: &str| format!("{}{}", open.repeat(200), close.repeat(200));
    [
        r#""cut \ud83d""#.to_owned(),
        r#"["\udc00\ud800"]"#.to_owned(),
        "1e999".to_owned(),
        "[-1.7e400]".to_owned(),
        nested("[", "]"),
        format!("{}1{}", r#"{"x":"#.repeat(200), "}".repeat(200)),
        r#"{"a": 1, "a": 2}"#.to_owned(),
        "\"a\u{1}\u{1b}\"".to_owned(),
    ]
}

#[test]
fn an_odd_value_in_any_field_but_the_id_does_not_affect_the_indicator() {
    for vendor in Vendor::ALL {
        let fields = [
            "severity", "confidence", "description", "display_name", "name", "reason",
            "ioc_context", "tactic_id", "technique_id", "mitre_attack", "attack_tactic",
            "attack_technique", "ttps", "blocked_sha256", "blocked_md5", "timestamp",
            "detection_timestamp", "unknown",
        ];
        let mut world = World::default();
        let mut number = 0;
        for field in fields {
            for odd in odd_values() {
                for copies in 1..=2 {
                    number += 1;
                    let alert = vendor.alert(number, millis_into_day(number * 1000));
                    let odd = vec![format!(r#""{field}": {odd}"#); copies].join(", ");
                    let raw = with_raw_field(&without(alert.clone(), field), &odd);
                    world = vendor.add_raw(world, &raw, &alert);
                }
            }
        }
        let env = TestEnv::new(world);
        let output = env.run(&format!("{} --json", vendor.command())).assert_code(0);
        assert_eq!(output.assert_counts_add_up().count("alerts_fetched"), number, "{vendor:?}");
        assert_eq!(env.stored_values(), hashes(1..=number), "{vendor:?}");
    }
}

#[test]
fn an_odd_id_or_time_is_repaired_or_makes_the_alert_unreadable() {
    for vendor in Vendor::ALL {
        let alert = vendor.alert(7, millis_into_day(2_500_000));
        let key = vendor.id_key();
        for (id, expected) in [
            (format!(r#""{key}": "id:ind:9", "{key}": "id:ind:8""#), "id:ind:8"),
            (format!(r#""{key}": "\ud800x""#), "\u{fffd}x"),
        ] {
            let raw = with_raw_field(&without(alert.clone(), key), &id);
            let env = TestEnv::new(vendor.add_raw(World::default(), &raw, &alert));
            env.run(vendor.command()).assert_code(0);
            assert_eq!(env.only_item()["detection"]["id"], expected, "{vendor:?} {raw}");
        }
        for id in ["1e999".to_owned(), format!("{}{}", "[".repeat(200), "]".repeat(200))] {
            let raw = with_raw_field(&without(alert.clone(), key), &format!(r#""{key}": {id}"#));
            assert_only_raw_is_unreadable(vendor, &env_with_raw(vendor, &raw, &alert), &raw);
        }
    }
}

#[test]
fn an_indicator_with_a_damaged_character_is_invalid() {
    let alert = falcon("id:1", "url", "http://evil.example.com/");
    let raw = alert.to_string().replace("example.com/", r"example.com/\ud83d");
    let env = TestEnv::new(World::default().falcon_raw(raw, &alert));
    let output = env.run("crowdstrike --json").assert_code(0);
    output.assert_counts(&[
        ("alerts_fetched", 1),
        ("indicators_found", 1),
        ("indicators_invalid", 1),
    ]);
    assert!(env.items().is_empty());
}

#[test]
fn elements_that_are_not_objects_are_unreadable() {
    for vendor in Vendor::ALL {
        for raw in [
            "17", "-0.5", "null", "true", r#""an alert""#, "[]", r#"[{"id": "x"}]"#, "1e999",
            r#""\ud800""#,
        ] {
            assert_only_raw_is_unreadable(vendor, &env_with_raw(vendor, raw, &Value::Null), raw);
        }
    }
}

#[test]
fn alerts_without_an_id_or_a_time_are_unreadable() {
    for vendor in Vendor::ALL {
        let alert = vendor.alert(7, millis_into_day(2_500_000));
        let time_keys =
            ["timestamp", "created_timestamp", "detection_timestamp", "backend_timestamp"];
        let invalid_times =
            time_keys.iter().fold(alert.clone(), |alert, key| with(alert, key, json!("yesterday")));
        for unreadable in [
            without(alert.clone(), vendor.id_key()),
            with(alert.clone(), vendor.id_key(), Value::Null),
            with(alert.clone(), vendor.id_key(), json!("")),
            with(alert.clone(), vendor.id_key(), json!({"of": "another form"})),
            invalid_times,
        ] {
            let raw = unreadable.to_string();
            assert_only_raw_is_unreadable(vendor, &env_with_raw(vendor, &raw, &alert), &raw);
        }
    }
}

#[test]
fn invalid_values_in_unused_fields_are_ignored() {
    for vendor in Vendor::ALL {
        let alert = vendor.alert(7, millis_into_day(2_500_000));
        let deep = format!(r#""x": {}{}"#, "[".repeat(120), "]".repeat(120));
        for field in [r#""x": 1, "x": 2"#, r#""x": 1e999"#, r#""x": "\ud800""#, &deep] {
            let raw = with_raw_field(&alert, field);
            let env = env_with_raw(vendor, &raw, &alert);
            let output = env.run(&format!("{} --json", vendor.command())).assert_code(0);
            assert_eq!(output.assert_counts_add_up().count("processed"), 4, "{vendor:?} {raw}");
        }
    }
}

#[test]
fn fields_of_an_unexpected_type_are_treated_as_absent() {
    for vendor in Vendor::ALL {
        for unexpected in
            [Value::Null, json!(""), json!({"a": 1}), json!([]), json!(" "), json!([null, {}])]
        {
            let fields = [
                "severity", "confidence", "description", "display_name", "name", "reason",
                "ioc_context", "tactic_id", "technique_id", "mitre_attack", "attack_tactic",
                "attack_technique", "ttps", "blocked_sha256", "blocked_md5",
            ];
            let alert =
                fields.iter().fold(vendor.alert(1, millis_into_day(1_000_000)), |alert, key| {
                    with(alert, key, unexpected.clone())
                });
            let env = TestEnv::new(vendor.world(&[alert]));
            env.run(vendor.command()).assert_code(0);
            let item = env.only_item();
            assert_eq!(item["timestamp"], EVENT_TIME, "{vendor:?} {unexpected}");
            assert_eq!(item.get("mitre_codes"), None, "{vendor:?} {unexpected}");
            assert_eq!(item["detection"].get("name"), None, "{vendor:?} {unexpected}");
        }
    }
}

/// Returns an environment whose page has an error, with or without its alert.
fn env_with_page_error(code: i64, keep_resources: bool) -> TestEnv {
    let alerts = [falcon("id:1", "hash_sha256", &sha256(1))];
    TestEnv::new(World::default().falcon_alerts(&alerts).with(|world| {
        world.falcon.page_error =
            Some(PageError { code, message: "a shard did not answer".into(), keep_resources });
        world.falcon.empty_resources = MissingValue::Null;
    }))
}

#[test]
fn a_page_with_alerts_and_errors_makes_the_run_partial() {
    for code in [400, 403, 429, 500, 0, -1] {
        let env = env_with_page_error(code, true);
        let output = env.run("crowdstrike --json").assert_code(3);
        output.assert_stderr(&["a shard did not answer", "trace"]);
        assert_eq!(output.assert_counts_add_up().count("processed"), 1, "{code}");
        assert_eq!(output.json()["error"]["kind"], "partial", "{code}");
        assert_eq!(env.stored_values(), [sha256(1)], "{code}");
    }
}

#[test]
fn a_page_with_only_errors_is_an_error() {
    for (code, exit) in [(400, 1), (403, 4), (429, 5), (500, 5), (0, 1)] {
        let env = env_with_page_error(code, false);
        let output = env.run("crowdstrike --json").assert_code(exit);
        output.assert_stderr(&["a shard did not answer", "trace"]);
        output.assert_counts(&[]);
    }
}

#[test]
fn a_response_without_a_valid_page_is_an_error() {
    for vendor in Vendor::ALL {
        for body in [
            "{}",
            "[]",
            "null",
            r#"{"resources": {}, "results": {}}"#,
            "<html>",
            "",
            r#"{"resources": [{]}"#,
        ] {
            let env = TestEnv::new(World::default());
            env.sandbox.always(vendor.service(), Some(Fault::status(200, body)));
            let output = env.run(&format!("{} --json", vendor.command())).assert_code(5);
            output.assert_stderr(&["malformed response"]);
            assert_eq!(env.request_count(Service::RecordedFuture), 0, "{vendor:?} {body}");
        }
    }
}
