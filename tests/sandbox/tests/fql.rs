//! Tests of the filter language of Falcon (FQL) in the sandbox: which filters are valid, and which
//! alerts they match.

use sandbox::alert_store::SearchKeys;
use sandbox::falcon::FalconKeys;
use sandbox::fql::Filter;
use serde_json::{Value, json};

fn alert() -> Value {
    json!({
        "product": "epp", "type": "ldt", "composite_id": "c:ind:it's|1",
        "created_timestamp": "2026-11-21T08:00:00.123456789Z", "timestamp": "2026-11-21T08:00:00Z",
        "severity": 70, "confidence": 80,
    })
}

fn matches(filter: &str, alert: &Value, gt_includes_equal: bool) -> bool {
    let filter = Filter::parse(filter).unwrap_or_else(|error| panic!("{filter}: {error}"));
    filter.matches(&FalconKeys::from_alert(alert).expect("an object"), gt_includes_equal)
}

#[test]
fn filters_match() {
    for (filter, expected) in [
        ("product:'epp'", true),
        ("product:'idp'", false),
        ("product:['idp','epp']", true),
        ("product:['idp','xdr']", false),
        ("severity:70", true),
        ("severity:[60,70.0]", true),
        ("severity:>=70", true),
        ("severity:>70", false),
        ("severity:<=70", true),
        ("severity:<70", false),
        ("severity:>-1", true),
        (r"composite_id:'c:ind:it\'s|1'", true),
        (r"composite_id:'c:ind:its|1'", false),
        ("created_timestamp:>='2026-11-21T08:00:00.123456789Z'", true),
        ("created_timestamp:>='2026-11-21T08:00:00.12345679Z'", false),
        ("created_timestamp:<'2026-11-21T08:00:00.123456790Z'", true),
        ("created_timestamp:>'2026-11-21T08:00:00.123456789Z'", false),
        ("created_timestamp:>='2026-11-21T09:00:00+01:00'", true),
        ("timestamp:'2026-11-21T08:00:00.000Z'", true),
        // `+` binds tighter than `,`.
        ("product:'epp',product:'idp'+severity:0", true),
        ("(product:'epp',product:'idp')+severity:0", false),
        ("product:'idp'+severity:0,type:'ldt'", true),
        ("product:'epp'+(severity:>=90,(confidence:>=80+type:'ldt'))", true),
    ] {
        assert_eq!(matches(filter, &alert(), false), expected, "{filter}");
    }
}

#[test]
fn a_field_that_is_absent_or_of_another_type_never_matches() {
    let alert =
        json!({"product": "epp", "severity": null, "confidence": "80", "created_timestamp": 5});
    for filter in [
        "severity:>=0",
        "severity:<=100",
        "confidence:80",
        "type:'ldt'",
        "created_timestamp:>='1990-01-01T00:00:00Z'",
    ] {
        assert!(!matches(filter, &alert, false), "{filter}");
    }
}

#[test]
fn greater_than_can_include_the_instant_itself() {
    let filter = "created_timestamp:>'2026-11-21T08:00:00.123456789Z'";
    assert!(matches(filter, &alert(), true));
    assert!(!matches("severity:>70", &alert(), true), "numbers are not affected");
}

#[test]
fn invalid_filters_are_rejected() {
    let deep = format!("{}severity:1{}", "(".repeat(200), ")".repeat(200));
    for filter in [
        "",
        " ",
        "product",
        "product:",
        "product:epp",
        "product:\"epp\"",
        "product:''",
        "product:'epp",
        "product:'e\\pp'",
        "product:'it's'",
        "product:>'epp'",
        "product:!'epp'",
        "product:*'e*'",
        "product:[]",
        "product:['epp'",
        "product:['epp',]",
        "product:'epp'+",
        "+product:'epp'",
        "product:'epp' + type:'ldt'",
        "product:'epp'type:'ldt'",
        "(product:'epp'",
        "product:'epp')",
        "Product:'epp'",
        "hostname:'a'",
        "severity:'60'",
        "severity:>='60'",
        "severity:>=",
        "severity:>=6x",
        "severity:=>6",
        "severity:1.",
        "severity:--1",
        "severity:>[1,2]",
        "created_timestamp:>=2026-11-21T08:00:00Z",
        "created_timestamp:>='2026-11-21T08:00:00'",
        "created_timestamp:>='2026-11-21 08:00:00Z'",
        "created_timestamp:>='2026-11-21T08:00:00z'",
        "created_timestamp:>='2026-11-21'",
        "created_timestamp:>='now-24h'",
        "created_timestamp:>='2026-11-21T08:00:00.1234567890Z'",
        "created_timestamp:>='2026-02-30T08:00:00Z'",
        &deep,
    ] {
        assert!(Filter::parse(filter).is_err(), "{filter}");
    }
}
