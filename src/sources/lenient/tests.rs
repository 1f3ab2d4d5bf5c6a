use serde::Deserialize;
use serde_json::{Value, json};

use super::*;

/// One field of each kind of reading.
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
    #[serde(deserialize_with = "texts")]
    texts: Vec<String>,
    #[serde(deserialize_with = "list")]
    list: Vec<Lenient<Inner>>,
    #[serde(deserialize_with = "object")]
    object: Inner,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
struct Inner {
    #[serde(deserialize_with = "text")]
    name: Option<String>,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
struct Sheet {
    #[serde(deserialize_with = "elements")]
    rows: Vec<Lenient<Fields>>,
    #[serde(deserialize_with = "count")]
    total: Option<u64>,
}

impl WithElements<Fields> for Sheet {
    fn set_elements(&mut self, elements: Vec<Lenient<Fields>>) {
        self.rows = elements;
    }
}

fn field(name: &str, value: &Value) -> Fields {
    serde_json::from_value(json!({ name: value })).unwrap()
}

fn sheet(text: impl AsRef<[u8]>) -> Result<Sheet, MalformedBody> {
    page(text.as_ref(), "rows")
}

fn named(text: &str) -> Lenient<Fields> {
    Lenient::Parsed(Fields { text: Some(text.into()), ..Fields::default() })
}

#[test]
fn texts_are_spelled_out_and_trimmed() {
    for (value, wanted) in [
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
        assert_eq!(field("text", &value).text.as_deref(), wanted, "{value}");
    }
}

#[test]
fn instants_have_up_to_nine_digits_and_become_utc() {
    for (value, wanted) in [
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
        let wanted = wanted.map(|nanoseconds| start + chrono::TimeDelta::nanoseconds(nanoseconds));
        assert_eq!(field("instant", &value).instant, wanted, "{value}");
    }
}

#[test]
fn scores_are_cut_to_whole_and_to_a_byte() {
    for (value, wanted) in [
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
    ] {
        assert_eq!(field("score", &value).score, wanted, "{value}");
    }
}

#[test]
fn counts_are_whole_numbers() {
    for (value, wanted) in [
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
        assert_eq!(field("count", &value).count, wanted, "{value}");
    }
}

#[test]
fn lists_and_objects_of_another_form_are_empty() {
    for odd in [json!(null), json!("a"), json!(1), json!(false), json!({"name": "a"})] {
        assert_eq!(field("list", &odd).list, [], "{odd}");
        assert_eq!(field("texts", &odd).texts, [""; 0], "{odd}");
    }
    for odd in [json!(null), json!("a"), json!(1.5), json!([{"name": "a"}])] {
        assert_eq!(field("object", &odd).object, Inner::default(), "{odd}");
    }
    assert_eq!(field("texts", &json!(["a", null, "", 2, ["b", "c"], {}])).texts, ["a", "2", "b,c"]);
    let inner = || Inner { name: Some("a".into()) };
    assert_eq!(field("object", &json!({"name": "a", "x": []})).object, inner());
    let list = field("list", &json!([{"name": "a"}, "b", null, 3, [], {}])).list;
    let strange = || Lenient::Malformed;
    assert_eq!(
        list,
        [
            Lenient::Parsed(inner()),
            strange(),
            strange(),
            strange(),
            strange(),
            Lenient::Parsed(Inner::default())
        ]
    );
}

#[test]
fn elements_are_a_list_or_nothing() {
    assert_eq!(sheet("{}"), Ok(Sheet::default()));
    assert_eq!(sheet(r#"{"rows": null}"#), Ok(Sheet::default()));
    assert_eq!(sheet(r#"{"rows": []}"#), Ok(Sheet::default()));
    for odd in [r#"{"rows": {}}"#, r#"{"rows": "none"}"#, r#"{"rows": 0}"#, r#"{"rows": false}"#] {
        assert!(sheet(odd).is_err(), "{odd}");
    }
}

#[test]
fn a_page_is_a_json_object() {
    for odd in [
        "",
        " ",
        "[]",
        "null",
        "1",
        r#""rows""#,
        "<html>",
        r#"{"rows": [{]}"#,
        r#"{"rows": [{}]"#,
        r#"{"rows": [{}]} x"#,
    ] {
        assert!(sheet(odd).is_err(), "{odd}");
    }
}

#[test]
fn one_element_that_breaks_the_reading_is_strange_alone() {
    for broken in [
        r#"{"text": "a", "text": "b"}"#,
        r#"{"score": 1e999}"#,
        r#"{"text": "\ud800"}"#,
        r#"{"text": "\udc00\ud800"}"#,
        r#"{"\ud800": 1}"#,
        r#""\ud800""#,
        "1e999",
        "17",
        "[]",
    ] {
        let text = format!(
            r#"{{"rows": [{{"text": "before"}}, {broken}, {{"text": "behind"}}], "total": 3}}"#
        );
        let wanted = Sheet {
            rows: vec![named("before"), Lenient::Malformed, named("behind")],
            total: Some(3),
        };
        assert_eq!(sheet(&text), Ok(wanted), "{broken}");
    }
}

#[test]
fn bytes_that_are_no_utf_8_sink_nothing_else() {
    let text =
        b"{\"rows\": [{\"text\": \"before\"}, {\"text\": \"b\xfc\"}, {\"text\": \"behind\"}]}";
    let rows = sheet(text).unwrap().rows;
    assert_eq!(rows, [named("before"), named("b\u{fffd}"), named("behind")]);
}

#[test]
fn nesting_without_end_is_strange_and_no_end_of_the_stack() {
    for depth in [100, 200, 100_000] {
        let deep = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        for element in
            [format!(r#"{{"text": {deep}}}"#), format!(r#"{{"unknown": {deep}}}"#), deep.clone()]
        {
            let text = format!(r#"{{"rows": [{element}, {{"text": "behind"}}]}}"#);
            let rows = sheet(&text).unwrap().rows;
            assert_eq!(rows.len(), 2, "{depth}");
            assert_eq!(rows[1], named("behind"), "{depth}");
        }
    }
}

#[test]
fn what_is_wrong_is_told_without_the_payload() {
    let Err(MalformedBody(told)) = sheet(r#"{"rows": "s3cr3t"}"#) else {
        panic!("a text is no list");
    };
    assert!(!told.contains("s3cr3t"), "{told}");
}
