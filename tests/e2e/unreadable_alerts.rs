//! One alert that cannot be read does not sink its page, and a page that the service itself calls
//! incomplete is not taken for a whole one.

use sandbox::world::{Nothing, PageError};
use sandbox::{Fault, Service, World};
use serde_json::{Value, json};

use crate::support::alerts::{HAPPENED, falcon, sha256, with, without};
use crate::support::vendor::{Vendor, at};
use crate::support::{Ran, Stage};

/// Three good alerts, the first of them before and the last behind where the raw one lies.
fn around(vendor: Vendor, raw: &str, like: &Value) -> Stage {
    let world = vendor.world(&[vendor.alert(1, at(1_000_000)), vendor.alert(2, at(2_000_000))]);
    let world = vendor.raw(world, raw, like);
    Stage::new(vendor.raw(
        world,
        &vendor.alert(3, at(3_000_000)).to_string(),
        &vendor.alert(3, at(3_000_000)),
    ))
}

/// Checks that the three good alerts arrived and the raw one was counted as unreadable.
#[track_caller]
fn only_one_is_lost(vendor: Vendor, stage: &Stage, raw: &str) -> Ran {
    let ran = stage.run(&format!("{} --json", vendor.command())).ended(0);
    ran.counts(&[
        ("alerts_fetched", 4),
        ("alerts_unreadable", 1),
        ("indicators_found", 3),
        ("submitted", 3),
        ("processed", 3),
    ]);
    let wanted = [sha256(1), sha256(2), sha256(3)];
    assert_eq!(stage.stored_values(), wanted, "{vendor:?} {raw}");
    assert!(stage.log().contains("an alert cannot be read"), "{raw}");
    assert!(ran.json()["notes"].to_string().contains("cannot be read"), "{raw}");
    ran
}

/// The text of an alert with one more field, written as it stands.
fn with_raw(alert: &Value, field: &str) -> String {
    let text = alert.to_string();
    format!("{}, {field}}}", text.strip_suffix('}').unwrap())
}

#[test]
fn what_no_json_library_would_write() {
    for vendor in Vendor::BOTH {
        let like = vendor.alert(7, at(2_500_000));
        for field in [
            format!(r#""{}": "a second time""#, vendor.id_key()),
            format!(r#""{}": "2026-11-21T09:00:00.000Z""#, vendor.arrival_key()),
        ] {
            let raw = with_raw(&like, &field);
            only_one_is_lost(vendor, &around(vendor, &raw, &like), &raw);
        }
        let bare = without(like.clone(), "severity");
        for field in [r#""severity": 1e999"#, r#""severity": -1e999"#, r#""severity": 1.7e400"#] {
            let raw = with_raw(&bare, field);
            only_one_is_lost(vendor, &around(vendor, &raw, &like), &raw);
        }
        let bare = without(like.clone(), vendor.id_key());
        for id in [r"\ud800", r"\udc00", r"\ud800\u0041"] {
            let raw = with_raw(&bare, &format!(r#""{}": "{id}""#, vendor.id_key()));
            only_one_is_lost(vendor, &around(vendor, &raw, &like), &raw);
        }
        let deep = format!(r#""x": {}{}"#, "[".repeat(200), "]".repeat(200));
        let raw = with_raw(
            &without(like.clone(), vendor.id_key()),
            &deep.replace("\"x\"", &format!("{:?}", vendor.id_key())),
        );
        only_one_is_lost(vendor, &around(vendor, &raw, &like), &raw);
    }
}

#[test]
fn what_is_no_object() {
    for vendor in Vendor::BOTH {
        for raw in [
            "17",
            "-0.5",
            "null",
            "true",
            r#""an alert""#,
            "[]",
            r#"[{"id": "x"}]"#,
            "1e999",
            r#""\ud800""#,
        ] {
            only_one_is_lost(vendor, &around(vendor, raw, &Value::Null), raw);
        }
    }
}

#[test]
fn what_lacks_an_identity_or_any_time() {
    for vendor in Vendor::BOTH {
        let like = vendor.alert(7, at(2_500_000));
        let timeless =
            ["timestamp", "created_timestamp", "detection_timestamp", "backend_timestamp"];
        let yesterday =
            timeless.iter().fold(like.clone(), |alert, key| with(alert, key, json!("yesterday")));
        for alert in [
            without(like.clone(), vendor.id_key()),
            with(like.clone(), vendor.id_key(), Value::Null),
            with(like.clone(), vendor.id_key(), json!("")),
            with(like.clone(), vendor.id_key(), json!({"of": "another form"})),
            yesterday,
        ] {
            let raw = alert.to_string();
            only_one_is_lost(vendor, &around(vendor, &raw, &like), &raw);
        }
    }
}

#[test]
fn oddities_in_fields_that_nobody_needs_harm_nothing() {
    for vendor in Vendor::BOTH {
        let like = vendor.alert(7, at(2_500_000));
        let deep = format!(r#""x": {}{}"#, "[".repeat(120), "]".repeat(120));
        for field in [r#""x": 1, "x": 2"#, r#""x": 1e999"#, r#""x": "\ud800""#, &deep] {
            let raw = with_raw(&like, field);
            let stage = around(vendor, &raw, &like);
            let ran = stage.run(&format!("{} --json", vendor.command())).ended(0);
            assert_eq!(ran.adds_up().count("processed"), 4, "{vendor:?} {raw}");
        }
    }
}

#[test]
fn fields_of_another_type_than_promised_are_as_good_as_absent() {
    for vendor in Vendor::BOTH {
        for odd in
            [Value::Null, json!(""), json!({"a": 1}), json!([]), json!(" "), json!([null, {}])]
        {
            let fields = [
                "severity",
                "confidence",
                "description",
                "display_name",
                "name",
                "reason",
                "ioc_context",
                "tactic_id",
                "technique_id",
                "mitre_attack",
                "attack_tactic",
                "attack_technique",
                "ttps",
                "blocked_sha256",
                "blocked_md5",
            ];
            let odd_one = fields
                .iter()
                .fold(vendor.alert(1, at(1_000_000)), |alert, key| with(alert, key, odd.clone()));
            let stage = Stage::new(vendor.world(&[odd_one]));
            stage.run(vendor.command()).ended(0);
            let item = stage.only_item();
            assert_eq!(item["timestamp"], HAPPENED, "{vendor:?} {odd}");
            assert_eq!(item.get("mitre_codes"), None, "{vendor:?} {odd}");
            assert_eq!(item["detection"].get("name"), None, "{vendor:?} {odd}");
        }
    }
}

fn flawed(code: i64, keep_resources: bool) -> Stage {
    let alerts = [falcon("id:1", "hash_sha256", &sha256(1))];
    Stage::new(World::default().falcon_alerts(&alerts).with(|world| {
        world.falcon.page_error =
            Some(PageError { code, message: "a shard did not answer".into(), keep_resources });
        world.falcon.no_resources = Nothing::Null;
    }))
}

#[test]
fn errors_beside_alerts_make_the_run_a_partial_one() {
    for code in [400, 403, 429, 500, 0, -1] {
        let stage = flawed(code, true);
        let ran = stage.run("crowdstrike --json").ended(3);
        ran.says(&["a shard did not answer", "trace"]);
        assert_eq!(ran.adds_up().count("processed"), 1, "{code}");
        assert_eq!(ran.json()["error"]["kind"], "partial", "{code}");
        assert_eq!(stage.stored_values(), [sha256(1)], "{code}");
    }
}

#[test]
fn errors_without_alerts_are_the_error() {
    for (code, exit) in [(400, 1), (403, 4), (429, 5), (500, 5), (0, 1)] {
        let stage = flawed(code, false);
        let ran = stage.run("crowdstrike --json").ended(exit);
        ran.says(&["a shard did not answer", "trace"]);
        ran.counts(&[]);
    }
}

#[test]
fn an_answer_that_says_nothing_is_not_taken_for_an_empty_night() {
    for vendor in Vendor::BOTH {
        for body in [
            "{}",
            "[]",
            "null",
            r#"{"resources": {}, "results": {}}"#,
            "<html>",
            "",
            r#"{"resources": [{]}"#,
        ] {
            let stage = Stage::new(World::default());
            stage.sandbox.always(vendor.service(), Some(Fault::status(200, body)));
            let ran = stage.run(&format!("{} --json", vendor.command())).ended(5);
            ran.says(&["malformed response"]);
            assert_eq!(stage.asked(Service::RecordedFuture), 0, "{vendor:?} {body}");
        }
    }
}
