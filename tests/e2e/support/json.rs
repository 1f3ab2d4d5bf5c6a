//! Short ways to read JSON values.

use serde_json::Value;

/// Returns the string at a JSON pointer.
#[track_caller]
pub fn text(value: &Value, pointer: &str) -> String {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_else(|| panic!("no string at {pointer} in {value}"))
        .to_owned()
}

/// Returns the keys of a JSON object, sorted.
#[track_caller]
pub fn keys(object: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = object.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

/// Returns the strings in a JSON array.
#[track_caller]
pub fn texts(array: &Value) -> Vec<&str> {
    let texts = array.as_array().unwrap().iter();
    texts.map(|text| text.as_str().unwrap()).collect()
}
