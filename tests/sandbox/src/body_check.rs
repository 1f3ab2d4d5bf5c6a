//! Checks of the values in a JSON body. An error names the path of the value.

use serde_json::{Map, Value};

/// A value, or the first violation.
pub(crate) type Checked<T> = Result<T, String>;

/// Checks that a value is a string that is not empty.
pub(crate) fn text<'a>(at: &str, value: &'a Value) -> Checked<&'a str> {
    let text = value.as_str().ok_or_else(|| format!("{at} must be a string"))?;
    if text.trim().is_empty() { Err(format!("{at} must not be empty")) } else { Ok(text) }
}

/// Checks that a value is one of these strings.
pub(crate) fn one_of<'a>(at: &str, value: &'a Value, known: &[&str]) -> Checked<&'a str> {
    let text = text(at, value)?;
    if known.contains(&text) {
        Ok(text)
    } else {
        Err(format!("{at} must be one of {}", known.join(", ")))
    }
}

/// Checks that a value is a list that is not empty.
pub(crate) fn list<'a>(at: &str, value: &'a Value) -> Checked<&'a Vec<Value>> {
    let list = value.as_array().ok_or_else(|| format!("{at} must be a list"))?;
    if list.is_empty() { Err(format!("{at} must not be empty")) } else { Ok(list) }
}

/// Checks that a value is an object with all required keys and no unknown ones.
pub(crate) fn object<'a>(
    at: &str,
    value: &'a Value,
    required: &[&str],
    optional: &[&str],
) -> Checked<&'a Map<String, Value>> {
    let object = value.as_object().ok_or_else(|| format!("{at} must be an object"))?;
    if let Some(key) = required.iter().find(|key| !object.contains_key(**key)) {
        return Err(format!("{at}.{key} is required"));
    }
    let known = |key: &str| required.contains(&key) || optional.contains(&key);
    match object.keys().find(|key| !known(key)) {
        Some(key) => Err(format!("{at}.{key} is not a known key")),
        None => Ok(object),
    }
}
