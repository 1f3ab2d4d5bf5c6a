//! Alerts of any form, for the tests of each vendor.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::parsed_alert::ParsedAlert;
use crate::detection::AlertOutcome;
use crate::http::Response;

/// Any JSON value, a few levels deep.
pub(super) fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        special_text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((any_key(), inner), 0..4)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

/// An alert with some of these fields and any values.
pub(super) fn any_alert(fields: &'static [&'static str]) -> impl Strategy<Value = Value> {
    let field = (prop::sample::select(fields), any_json());
    prop_oneof![
        1 => any_json(),
        5 => prop::collection::vec(field, 0..10).prop_map(|fields| {
            let fields = fields.into_iter().map(|(key, value)| (key.to_owned(), value));
            Value::Object(fields.collect::<Map<_, _>>())
        }),
    ]
}

/// Texts that have a meaning in some field, and similar ones that have none.
fn special_text() -> impl Strategy<Value = &'static str> {
    prop::sample::select(
        &[
            "",
            " , ,",
            "domain",
            "url",
            "HASH_SHA256",
            "ip",
            "example.com,10.0.0.1,\u{0}",
            "http://example.com/?a,b",
            "TA0002",
            "MITRE_T1059_001_X",
            "MITRE_",
            "2026-11-21T08:00:00.123456789Z",
            "2016-12-31T23:59:60Z",
            "0000-01-01T00:00:00+23:59",
            "9999-12-31T23:59:59-23:59",
            "-1",
            "1e5",
        ][..],
    )
}

fn any_key() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        prop::sample::select(&["ioc_type", "ioc_value", "tactic_id", "technique_id"][..])
            .prop_map(str::to_owned),
    ]
}

/// A response with a page of these alerts under the key `list`.
pub(super) fn page_of(list: &str, alerts: &[Value]) -> Response {
    let page = json!({list: alerts, "num_found": alerts.len(), "meta": {"pagination": {"total": alerts.len()}}});
    Response::new(200, page.to_string())
}

/// Checks that each alert is malformed exactly if it is not an object, and each detection usable.
pub(super) fn check_outcomes(parsed: Vec<ParsedAlert>, alerts: &[Value]) {
    assert_eq!(parsed.len(), alerts.len());
    for (parsed, alert) in parsed.into_iter().zip(alerts) {
        assert_eq!(parsed.outcome == AlertOutcome::MALFORMED, !alert.is_object(), "{alert}");
        if let AlertOutcome::Detection(detection) = parsed.outcome {
            assert!(!detection.id.is_empty() && !detection.mentions.is_empty(), "{alert}");
        }
    }
}
