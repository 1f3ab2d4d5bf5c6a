//! Tests of the sandbox's Recorded Future: which submissions it accepts, rejects and stores.

mod common;

use common::*;
use sandbox::{Fault, RF_TOKEN, Sandbox, Service, World};
use serde_json::{Value, json};

const HASH: &str = "00112233445566778899aabbccddeeff";

fn batch_with(change: impl FnOnce(&mut Value)) -> Value {
    let mut body = batch(&[item("hash", HASH)]);
    change(&mut body);
    body
}

/// Returns a batch whose only item has this value at `pointer`.
fn batch_with_item_field(pointer: &str, value: Value) -> Value {
    batch_with(|body| {
        let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
        body.pointer_mut(&format!("/data/0{parent}")).expect("a parent")[key] = value;
    })
}

#[test]
fn a_batch_with_all_fields_is_accepted_and_stored() {
    let sandbox = Sandbox::start(World::default());
    let mut full = item("ip", "1.2.3.4");
    full["incident"] = json!({"id": "1", "name": "n", "type": "crowdstrike-falcon-alert"});
    full["mitre_codes"] = json!(["TA0002", "T1059.001", "T1055"]);
    let mut body = batch(&[full.clone(), item("domain", "a.example.com"), item("hash", HASH)]);
    body["organization_ids"] = json!(["uhash:a"]);
    let response = submit(&sandbox, &body);
    let processed = json!({"ip": 1, "domain": 1, "hash": 1, "vulnerability": 0, "url": 0});
    let result = json!({"status": "OK", "debug": false, "summary": {"processed": processed}});
    assert_eq!((response.status, response.json()), (200, json!({"result": result})));
    let stored = sandbox.stored();
    assert_eq!(stored.len(), 3);
    assert_eq!((&stored[0].item, stored[0].request), (&full, 0));
    assert_eq!(stored[0].organization_ids.as_deref(), Some(&["uhash:a".to_owned()][..]));
    assert!(!sandbox.overlapping_posts());
}

#[test]
fn debug_stores_nothing() {
    let sandbox = Sandbox::start(World::default());
    let response = submit(&sandbox, &batch_with(|body| body["options"]["debug"] = true.into()));
    assert_eq!((response.status, &response.json()["result"]["debug"]), (200, &json!(true)));
    assert!(sandbox.stored().is_empty());
}

#[test]
fn the_headers_are_checked() {
    let sandbox = Sandbox::start(World::default());
    let body = batch(&[item("hash", HASH)]).to_string();
    let status = |headers: &[(&str, &str)]| {
        let response = send(
            sandbox.port(),
            "POST",
            "/collective-insights/detections",
            headers,
            body.as_bytes(),
        )
        .expect("a response");
        if response.status != 200 {
            let error = response.json();
            assert!(
                error["message"].is_string()
                    && error["trace_id"].is_string()
                    && error["status_code"] == response.status
            );
        }
        response.status
    };
    let headers = rf_headers(RF_TOKEN);
    let without =
        |name: &str| headers.iter().copied().filter(|(key, _)| *key != name).collect::<Vec<_>>();
    assert_eq!(status(&headers), 200);
    assert_eq!(status(&rf_headers("wrong")), 401);
    assert_eq!(status(&without("X-RFToken")), 401);
    assert_eq!(status(&without("User-Agent")), 400);
    assert_eq!(status(&without("Content-Type")), 415);
    assert_eq!(status(&without("Accept")), 406);
    sandbox.change(|world| world.recorded_future.accounts[0].collective_insights = false);
    assert_eq!(status(&headers), 403);
}

#[test]
fn an_invalid_item_rejects_the_whole_batch_and_the_error_names_its_path() {
    let sandbox = Sandbox::start(World::default());
    let invalid = [
        ("options", json!({})),
        ("options", json!({"debug": false, "summary": false})),
        ("options", json!({"debug": "false", "summary": true})),
        ("options", json!({"debug": false, "summary": true, "x": 1})),
        ("summary", json!({})),
        ("organization_ids", json!([])),
        ("organization_ids", json!([""])),
        ("organization_ids", Value::Null),
        ("data", json!([])),
        ("data", json!({})),
    ];
    for (key, value) in invalid {
        let response = submit(&sandbox, &batch_with(|body| body[key] = value.clone()));
        assert_eq!(response.status, 400, "{key}: {value}");
    }
    let invalid = [
        ("/timestamp", json!("2026-11-21T08:00:00Z")),
        ("/timestamp", json!("2026-11-21T08:00:00.000+00:00")),
        ("/timestamp", json!("2026-13-21T08:00:00.000Z")),
        ("/timestamp", Value::Null),
        ("/transient_id", json!("x")),
        ("/ioc/type", json!("hash_sha256")),
        ("/ioc/value", json!("")),
        ("/ioc/value", json!(HASH.to_uppercase())),
        ("/ioc/source_type", json!(" ")),
        ("/ioc/field", Value::Null),
        ("/ioc/extra", json!("x")),
        ("/detection/type", json!("alert")),
        ("/detection/id", json!("")),
        ("/detection/name", Value::Null),
        ("/detection/sub_type", json!("x")),
        ("/incident", json!({})),
        ("/incident", Value::Null),
        ("/incident", json!({"id": ""})),
        ("/mitre_codes", json!([])),
        ("/mitre_codes", json!(["CST0007"])),
        ("/mitre_codes", json!(["T1059.1"])),
        ("/mitre_codes", json!(["T1055", "T1055"])),
    ];
    for (pointer, value) in invalid {
        let mut body = batch_with_item_field(pointer, value.clone());
        body["data"] = json!([item("hash", HASH), body["data"][0]]);
        let response = submit(&sandbox, &body);
        let path = format!("data[1]{}", pointer.replace('/', "."));
        assert_eq!(response.status, 400, "{pointer}: {value}");
        let message = response.json()["message"].as_str().unwrap_or_default().to_owned();
        assert!(message.starts_with(&path), "{message} does not name {path}");
    }
    assert!(sandbox.stored().is_empty());
}

#[test]
fn values_must_be_normalized_and_public() {
    let sandbox = Sandbox::start(World::default());
    let long = "a".repeat(64);
    for (kind, value, valid) in [
        ("hash", HASH, true),
        ("hash", &long, true),
        ("hash", &long[..40], true),
        ("hash", &long[..28], false),
        ("hash", "g0112233445566778899aabbccddeeff", false),
        ("domain", "a-b.example.com", true),
        ("domain", "A.example.com", false),
        ("domain", "example.com.", false),
        ("domain", "localhost", false),
        ("domain", "1.2.3.4", false),
        ("domain", "a..com", false),
        ("domain", "a b.com", false),
        ("ip", "1.2.3.4", true),
        ("ip", "01.2.3.4", false),
        ("ip", "10.0.0.1", false),
        ("ip", "172.16.0.1", false),
        ("ip", "192.168.1.1", false),
        ("ip", "127.0.0.1", false),
        ("ip", "169.254.0.1", false),
        ("ip", "100.64.0.1", false),
        ("ip", "100.128.0.1", true),
        ("ip", "192.0.2.1", false),
        ("ip", "198.51.100.1", false),
        ("ip", "203.0.113.1", false),
        ("ip", "0.0.0.0", false),
        ("ip", "255.255.255.255", false),
        ("ip", "2a00:1450::1", true),
        ("ip", "2A00:1450::1", false),
        ("ip", "2a00:1450:0::1", false),
        ("ip", "2001:db8::1", false),
        ("ip", "fd00::1", false),
        ("ip", "fe80::1", false),
        ("ip", "::1", false),
        ("ip", "::ffff:1.2.3.4", false),
        ("url", "https://example.com/a?b,c", true),
        ("url", "ftp://example.com/", false),
        ("url", "http://", false),
        ("url", "http://a b/", false),
        ("vulnerability", "CVE-2021-44228", true),
        ("vulnerability", "cve-2021-44228", false),
    ] {
        let response = submit(&sandbox, &batch(&[item(kind, value)]));
        assert_eq!(response.status == 200, valid, "{kind} {value}: {}", response.text());
    }
}

#[test]
fn a_batch_over_a_limit_or_with_a_rejected_value_is_rejected() {
    let sandbox = Sandbox::start(World::default().reject_value("bad.example.com", 422));
    let two = batch(&[item("hash", HASH), item("domain", "bad.example.com")]);
    assert_eq!(submit(&sandbox, &two).status, 422);
    assert_eq!(submit(&sandbox, &batch(&[item("hash", HASH)])).status, 200);
    sandbox.change(|world| {
        world.recorded_future.rejected_values.clear();
        world.recorded_future.max_items = 1;
    });
    assert_eq!(submit(&sandbox, &two).status, 413);
    sandbox.change(|world| {
        (world.recorded_future.max_items, world.recorded_future.max_bytes) = (9, 100)
    });
    assert_eq!(submit(&sandbox, &two).status, 413);
    sandbox.change(|world| {
        (world.recorded_future.max_bytes, world.recorded_future.store_limit) = (9999, Some(2))
    });
    let over = submit(&sandbox, &two);
    assert_eq!(over.status, 429);
    assert!(over.text().contains("Daily quota exceeded"));
    assert_eq!(
        submit(&sandbox, &batch(&[item("hash", HASH)])).status,
        200,
        "the daily quota still allows one"
    );
    assert_eq!(sandbox.stored().len(), 2);
}

#[test]
fn status_and_summary_of_the_response_can_be_configured() {
    let sandbox = Sandbox::start(World::default().with(|world| {
        world.recorded_future.status = "ok".into();
        world.recorded_future.summary = false;
    }));
    let body = batch(&[item("hash", HASH), item("ip", "1.2.3.4"), item("ip", "1.2.3.5")]);
    assert_eq!(submit(&sandbox, &body).json(), json!({"result": {"status": "ok", "debug": false}}));
    sandbox.change(|world| world.recorded_future.summary = true);
    sandbox.queue_faults(
        Service::RecordedFuture,
        vec![Fault::FewerProcessed(2), Fault::WrongDebugEcho],
    );
    let response = submit(&sandbox, &body).json();
    let counts = json!({"ip": 0, "domain": 0, "hash": 1, "vulnerability": 0, "url": 0});
    assert_eq!(response["result"]["summary"]["processed"], counts);
    assert_eq!(sandbox.stored().len(), 6);
    assert_eq!(submit(&sandbox, &body).json()["result"]["debug"], true);
    assert_eq!(sandbox.stored().len(), 6, "a wrong echo stores nothing");
}
