//! Repairs JSON that the decoder rejects although its values can be told apart: lone surrogates,
//! numbers out of range, control characters in texts, deep nesting, duplicate keys.

use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

/// Lists and objects that are nested deeper, counted from the page, become `null`: no field that is
/// read is at a depth of more than 8, and decoders give up at 128.
const MAX_DEPTH: usize = 64;
/// The longest value from which duplicate keys are removed, in bytes: decoded, it takes more than a
/// hundred times as much memory. Real alerts have up to 30 KB.
const MAX_BYTES: usize = 1024 * 1024;

/// Returns the text with values that the decoder accepts; `None` if a closing bracket does not
/// match or a text does not end. Other errors of syntax stay.
///
/// Half of a surrogate pair (a text that was cut in the middle of an emoji) becomes U+FFFD, which
/// no indicator contains, a number out of range becomes `null`, and a control character becomes a
/// space. Duplicate keys remain; see [`without_duplicate_keys`].
pub(super) fn repair(text: &str) -> Option<String> {
    let mut repaired = String::with_capacity(text.len());
    let mut open = Vec::new();
    let mut rest = text;
    while let Some(byte) = rest.bytes().next() {
        let length = match byte {
            b'"' => text_length(rest)?,
            b'-' | b'0'..=b'9' => number_length(rest),
            _ => rest.chars().next().map_or(1, char::len_utf8),
        };
        let (token, after) = rest.split_at(length);
        rest = after;
        match byte {
            b'{' | b'[' => {
                open.push(if byte == b'{' { b'}' } else { b']' });
                if open.len() == MAX_DEPTH + 1 {
                    repaired.push_str("null");
                }
            }
            b'}' | b']' => {
                if open.pop() != Some(byte) {
                    return None;
                }
                if open.len() == MAX_DEPTH {
                    continue;
                }
            }
            _ => {}
        }
        if open.len() > MAX_DEPTH {
            continue;
        }
        match byte {
            b'"' => repair_text(&mut repaired, token),
            b'-' | b'0'..=b'9' if token.parse().is_ok_and(f64::is_infinite) => {
                repaired.push_str("null");
            }
            _ => repaired.push_str(token),
        }
    }
    Some(repaired)
}

/// Returns a value with only the last of duplicate keys, as most decoders do; `None` if it is not
/// JSON, or too long.
pub(super) fn without_duplicate_keys(value: &RawValue) -> Option<Box<RawValue>> {
    if value.get().len() > MAX_BYTES {
        return None;
    }
    let value: Value = serde_json::from_str(value.get()).ok()?;
    to_raw_value(&value).ok()
}

/// Returns the length of the text that begins here, with both quotes; `None` if it does not end.
fn text_length(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    let end = text.bytes().skip(1).position(|byte| {
        let ends = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        ends
    })?;
    Some(end + 2)
}

fn number_length(text: &str) -> usize {
    let is_part = |byte: u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
    text.bytes().position(|byte| !is_part(byte)).unwrap_or(text.len())
}

fn repair_text(repaired: &mut String, text: &str) {
    let mut rest = text;
    while let Some(position) = rest.find(|char: char| char == '\\' || char < ' ') {
        let (before, special) = rest.split_at(position);
        repaired.push_str(before);
        let (length, replacement) = match surrogates(special) {
            Some((length, is_pair)) => (length, (!is_pair).then_some("\u{fffd}")),
            None if special.starts_with('\\') => {
                (1 + special.chars().nth(1).map_or(0, char::len_utf8), None)
            }
            None => (1, Some(" ")),
        };
        let (token, after) = special.split_at(length);
        repaired.push_str(replacement.unwrap_or(token));
        rest = after;
    }
    repaired.push_str(rest);
}

/// Returns the length of the escaped surrogates that the text begins with, and whether they are a
/// pair; `None` if it does not begin with one.
fn surrogates(text: &str) -> Option<(usize, bool)> {
    match escaped_unit(text)? {
        0xD800..=0xDBFF => {
            let next = text.get(6..).and_then(escaped_unit);
            let is_pair = next.is_some_and(|unit| (0xDC00..=0xDFFF).contains(&unit));
            Some((if is_pair { 12 } else { 6 }, is_pair))
        }
        0xDC00..=0xDFFF => Some((6, false)),
        _ => None,
    }
}

/// Returns the UTF-16 unit that is escaped at the beginning of the text.
fn escaped_unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sources::tests::any_json;

    #[test]
    fn what_decoders_reject_is_replaced() {
        for (text, expected) in [
            (r#"{"a": "cut \ud83d"}"#, "{\"a\": \"cut \u{fffd}\"}"),
            (
                r#"["\ud83d\ude00", "\udc00\ud800", "\ud800\u0041"]"#,
                "[\"\\ud83d\\ude00\", \"\u{fffd}\u{fffd}\", \"\u{fffd}\\u0041\"]",
            ),
            (r#"["\\ud800", "\"", "\n"]"#, r#"["\\ud800", "\"", "\n"]"#),
            ("[1e999, -1e999, 1e-999, 17, -0.5]", "[null, null, 1e-999, 17, -0.5]"),
            ("[\"a\tb\nc\u{0}\"]", "[\"a b c \"]"),
        ] {
            assert_eq!(repair(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn deep_nesting_is_replaced() {
        let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(repair(&nested(64)), Some(nested(64)));
        for depth in [65, 66, 200, 100_000] {
            let expected = format!("{}null{}", "[".repeat(64), "]".repeat(64));
            assert_eq!(repair(&nested(depth)), Some(expected), "{depth}");
        }
    }

    #[test]
    fn mismatched_brackets_and_texts_without_end_are_not_repaired() {
        for text in ["[}", "{]", "]", r#"["a"#, r#"["a\"]"#] {
            assert_eq!(repair(text), None, "{text}");
        }
        let deep = "[".repeat(70);
        assert_eq!(repair(&format!("{deep}}}")), None);
    }

    #[test]
    fn the_last_of_duplicate_keys_counts() {
        let value = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
        let repaired = without_duplicate_keys(&value(r#"{"a": 1, "b": {"c": 2, "c": 3}, "a": 4}"#));
        assert_eq!(repaired.unwrap().get(), r#"{"a":4,"b":{"c":3}}"#);
        let too_long = value(&format!("[{}0]", "0,".repeat(MAX_BYTES / 2)));
        assert!(without_duplicate_keys(&too_long).is_none());
    }

    proptest! {
        #[test]
        fn valid_json_is_unchanged(value in any_json()) {
            let text = value.to_string();
            prop_assert_eq!(repair(&text), Some(text));
        }

        #[test]
        fn any_text_is_repaired_or_rejected(text in r#"(\PC|["\\\[\]{}u:,0-9eD]|\\ud[89c]00){0,60}"#) {
            if let Some(repaired) = repair(&text) {
                prop_assert!(repair(&repaired).is_some());
            }
        }
    }
}
