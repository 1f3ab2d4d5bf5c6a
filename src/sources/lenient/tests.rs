use serde::Deserialize;
use serde_json::{Value, json};

use super::*;
use crate::http::MalformedBody;

/// One field for each function.
#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
struct Fields {
    #[serde(deserialize_with = "text")]
    text: Option<String>,
    #[serde(deserialize_with = "instant")]
    instant: Option<DateTime<Utc>>,
    #[serde(deserialize_with = "score")]
    score: Option<u8>,
    #[serde(deserialize_with = "count")]
    count: Option<u64>,
    #[serde(deserialize_with = "flag")]
    flag: bool,
    #[serde(deserialize_with = "texts")]
    texts: Vec<String>,
    #[serde(deserialize_with = "list")]
    list: Vec<Lenient<Object>>,
    #[serde(deserialize_with = "object")]
    object: Object,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
struct Object {
    #[serde(deserialize_with = "text")]
    name: Option<String>,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
struct Page {
    #[serde(deserialize_with = "elements")]
    rows: Vec<Lenient<Fields>>,
    #[serde(deserialize_with = "count")]
    total: Option<u64>,
}

fn field(name: &str, value: &Value) -> Fields {
    serde_json::from_value(json!({ name: value })).unwrap()
}

fn page(bytes: impl AsRef<[u8]>) -> Result<Page, MalformedBody> {
    decode_page(bytes.as_ref(), "rows", |text| serde_json::from_str(text))
}

fn row(text: &str) -> Lenient<Fields> {
    Lenient(Some(Fields { text: Some(text.into()), ..Fields::default() }))
}

#[test]
fn texts_are_converted_and_trimmed() {
    for (value, expected) in [
        (json!("a"), Some("a")),
        (json!(" \t a b \r\n"), Some("a b")),
        (json!(17), Some("17")),
        (json!(-17), Some("-17")),
        (json!(1.5), Some("1.5")),
        (json!(u64::MAX), Some("18446744073709551615")),
        (json!(true), Some("true")),
        (json!(["a", " b ", null, 3, {}, ""]), Some("a,b,3")),
        (json!([["a"], ["b", ["c"]]]), Some("a,b,c")),
        (json!(""), None),
        (json!(" \u{a0}\n"), None),
        (json!(null), None),
        (json!([]), None),
        (json!([null, "", {}]), None),
        (json!({"text": "a"}), None),
    ] {
        assert_eq!(field("text", &value).text.as_deref(), expected, "{value}");
    }
}

#[test]
fn instants_have_up_to_nine_digits_and_are_converted_to_utc() {
    for (value, expected) in [
        (json!("2026-11-21T08:00:00Z"), Some(0)),
        (json!("2026-11-21T08:00:00.5Z"), Some(500_000_000)),
        (json!("2026-11-21T08:00:00.123456789Z"), Some(123_456_789)),
        (json!("2026-11-21T09:30:00.000000001+01:30"), Some(1)),
        (json!(" 2026-11-21T08:00:00Z "), Some(0)),
        (json!("2026-11-21"), None),
        (json!("2026-11-21T08:00:00"), None),
        (json!("2026-13-21T08:00:00Z"), None),
        (json!("9999-12-31T23:59:59-01:00"), None),
        (json!("0001-01-01T00:00:00Z"), None),
        (json!(1_795_248_000), None),
        (json!(null), None),
        (json!({}), None),
    ] {
        let start: DateTime<Utc> = "2026-11-21T08:00:00Z".parse().unwrap();
        let expected =
            expected.map(|nanoseconds| start + chrono::TimeDelta::nanoseconds(nanoseconds));
        assert_eq!(field("instant", &value).instant, expected, "{value}");
    }
}

#[test]
fn a_leap_second_is_the_second_before_it() {
    for (value, expected) in [
        ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59Z"),
        ("2016-12-31T23:59:60.123456Z", "2016-12-31T23:59:59.123456Z"),
        ("2017-01-01T01:59:60+02:00", "2016-12-31T23:59:59Z"),
        ("2026-11-21T08:00:60Z", "2026-11-21T08:00:59Z"),
    ] {
        let instant = field("instant", &json!(value)).instant.unwrap();
        assert_eq!(instant.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true), expected);
    }
    assert_eq!(field("instant", &json!("2016-12-31T23:59:61Z")).instant, None);
}

#[test]
fn scores_are_truncated_to_a_byte() {
    for (value, expected) in [
        (json!(0), Some(0)),
        (json!(70), Some(70)),
        (json!(70.9), Some(70)),
        (json!("70"), Some(70)),
        (json!("70.9"), Some(70)),
        (json!(255), Some(255)),
        (json!(256), Some(255)),
        (json!(u64::MAX), Some(255)),
        (json!(-1), None),
        (json!("high"), None),
        (json!(""), None),
        (json!(null), None),
        (json!(true), None),
        (json!({}), None),
        (json!([70]), Some(70)),
        (json!(["70"]), Some(70)),
        (json!([70, 80]), None),
        (json!([1.5, 2]), None),
    ] {
        assert_eq!(field("score", &value).score, expected, "{value}");
    }
}

#[test]
fn flags_are_true_in_any_form() {
    for (value, expected) in [
        (json!(true), true),
        (json!("True"), true),
        (json!(1), true),
        (json!([true]), true),
        (json!(false), false),
        (json!("false"), false),
        (json!(0), false),
        (json!(null), false),
        (json!(""), false),
        (json!({}), false),
    ] {
        assert_eq!(field("flag", &value).flag, expected, "{value}");
    }
}

#[test]
fn counts_are_integers() {
    for (value, expected) in [
        (json!(0), Some(0)),
        (json!("12"), Some(12)),
        (json!(u64::MAX), Some(u64::MAX)),
        (json!(1.5), None),
        (json!(-1), None),
        (json!("many"), None),
        (json!([]), None),
        (json!([7]), Some(7)),
        (json!(["7", null]), Some(7)),
    ] {
        assert_eq!(field("count", &value).count, expected, "{value}");
    }
}

#[test]
fn values_of_another_form_are_empty_lists_and_objects() {
    for odd in [json!(null), json!("a"), json!(1), json!(false), json!({"name": "a"})] {
        assert_eq!(field("list", &odd).list, [], "{odd}");
        assert_eq!(field("texts", &odd).texts, [""; 0], "{odd}");
    }
    for odd in [json!(null), json!("a"), json!(1.5), json!([{"name": "a"}])] {
        assert_eq!(field("object", &odd).object, Object::default(), "{odd}");
    }
    assert_eq!(field("texts", &json!(["a", null, "", 2, ["b", "c"], {}])).texts, ["a", "2", "b,c"]);
    let object = || Object { name: Some("a".into()) };
    assert_eq!(field("object", &json!({"name": "a", "x": []})).object, object());
    let list = field("list", &json!([{"name": "a"}, "b", null, 3, [], {}])).list;
    let expected = [Some(object()), None, None, None, None, Some(Object::default())];
    assert_eq!(list, expected.map(Lenient));
}

#[test]
fn the_list_of_a_page_is_a_list_or_null_or_absent() {
    let empty = || Ok(Page::default());
    assert_eq!(page("{}"), empty());
    assert_eq!(page(r#"{"rows": null}"#), empty());
    assert_eq!(page(r#"{"rows": []}"#), empty());
    for odd in [r#"{"rows": {}}"#, r#"{"rows": "none"}"#, r#"{"rows": 0}"#, r#"{"rows": false}"#] {
        assert!(page(odd).is_err(), "{odd}");
    }
}

#[test]
fn the_keys_around_the_list_are_decoded_in_any_order() {
    let expected = || Ok(Page { rows: vec![row("a")], total: Some(3) });
    assert_eq!(page(r#"{"total": 3, "rows": [{"text": "a"}]}"#), expected());
    assert_eq!(page(r#"{"x": {}, "rows": [{"text": "a"}], "y": [1], "total": 3}"#), expected());
}

#[test]
fn a_list_that_appears_twice_is_the_last_one() {
    let rows = page(r#"{"rows": [{"text": "a"}], "rows": [{"text": "b"}]}"#).unwrap().rows;
    assert_eq!(rows, [row("b")]);
}

#[test]
fn a_list_longer_than_any_page_is_an_error() {
    let zeros = vec!["0"; 100_001].join(",");
    assert!(page(format!(r#"{{"rows": [{zeros}]}}"#)).is_err());
}

#[test]
fn a_page_is_a_json_object() {
    for odd in [
        "", " ", "[]", "null", "1", r#""rows""#, "<html>", r#"{"rows": [{]}"#, r#"{"rows": [{}]"#,
        r#"{"rows": [{}]} x"#,
    ] {
        assert!(page(odd).is_err(), "{odd}");
    }
}

#[test]
fn an_element_that_breaks_the_decoding_is_repaired() {
    let score = |score| Lenient(Some(Fields { score, ..Fields::default() }));
    let too_long = |key| format!(r#"{{"{key}": [{}]}}"#, vec!["0"; 100_001].join(","));
    for (broken, expected) in [
        (r#"{"text": "a", "text": "b"}"#, row("b")),
        (r#"{"score": 1e999}"#, score(None)),
        (r#"{"score": 1e999, "x": 1, "x": 2, "score": 7}"#, score(Some(7))),
        (r#"{"text": "\ud800"}"#, row("\u{fffd}")),
        (r#"{"text": "\udc00\ud800"}"#, row("\u{fffd}\u{fffd}")),
        (r#"{"\ud800": 1, "text": "a"}"#, row("a")),
        ("{\"text\": \"a\u{1}b\"}", row("a b")),
        (r#""\ud800""#, Lenient(None)),
        ("1e999", Lenient(None)),
        ("17", Lenient(None)),
        ("[]", Lenient(None)),
        (&too_long("texts"), Lenient(None)),
        (&too_long("text"), Lenient(None)),
        (&too_long("score"), Lenient(None)),
    ] {
        let text = format!(
            r#"{{"rows": [{{"text": "before"}}, {broken}, {{"text": "after"}}], "total": 3}}"#
        );
        let rows = vec![row("before"), expected, row("after")];
        assert_eq!(page(&text), Ok(Page { rows, total: Some(3) }), "{broken}");
    }
}

#[test]
fn the_keys_around_the_list_are_repaired() {
    for keys in [
        r#""total": 1, "total": 3"#,
        r#""x": "\ud800", "total": 3"#,
        r#""total": 3, "\ud800": 1e999"#,
    ] {
        let text = format!(r#"{{{keys}, "rows": [{{"text": "a", "text": "b"}}]}}"#);
        assert_eq!(page(&text), Ok(Page { rows: vec![row("b")], total: Some(3) }), "{keys}");
    }
}

#[test]
fn bytes_that_are_not_utf_8_break_only_their_text() {
    let text =
        b"{\"rows\": [{\"text\": \"before\"}, {\"text\": \"b\xfc\"}, {\"text\": \"after\"}]}";
    let rows = page(text).unwrap().rows;
    assert_eq!(rows, [row("before"), row("b\u{fffd}"), row("after")]);
}

#[test]
fn deep_nesting_breaks_only_its_element_and_does_not_overflow_the_stack() {
    for depth in [100, 200, 100_000] {
        let deep = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        for element in
            [format!(r#"{{"text": {deep}}}"#), format!(r#"{{"unknown": {deep}}}"#), deep.clone()]
        {
            let text = format!(r#"{{"rows": [{element}, {{"text": "after"}}]}}"#);
            let rows = page(&text).unwrap().rows;
            assert_eq!(rows.len(), 2, "{depth}");
            assert_eq!(rows[1], row("after"), "{depth}");
        }
    }
}

#[test]
fn errors_do_not_quote_the_payload() {
    let Err(MalformedBody(message)) = page(r#"{"rows": "s3cr3t"}"#) else {
        panic!("a text is not a list");
    };
    assert!(!message.contains("s3cr3t"), "{message}");
}
