//! The message and the fields of a log event, sanitized, as text or JSON.

use std::fmt::{Debug, Write as _};

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};

use crate::redact;

/// The message and the fields of one event. Integers of up to 64 bits and booleans keep their type;
/// all other values become text.
#[derive(Debug, Default)]
pub(super) struct Fields {
    message: String,
    fields: Vec<(&'static str, Value)>,
}

impl Fields {
    /// Returns `message key=value key="two words"`.
    pub(super) fn to_text(&self) -> String {
        let mut text = self.message.clone();
        for (name, value) in &self.fields {
            let value = match value {
                Value::String(value) => quoted(value),
                value => value.to_string(),
            };
            // Writing to a String cannot fail.
            let _ = write!(text, " {name}={value}");
        }
        text
    }

    /// Adds the message and the fields to a JSON object.
    pub(super) fn add_to(self, object: &mut Map<String, Value>) {
        object.insert("message".into(), self.message.into());
        for (name, value) in self.fields {
            object.insert(name.into(), value);
        }
    }

    fn add(&mut self, field: &Field, value: impl Into<Value>) {
        match value.into() {
            Value::String(text) if field.name() == "message" => {
                self.message = redact::sanitize(&text);
            }
            Value::String(text) => {
                self.fields.push((field.name(), redact::sanitize(&text).into()));
            }
            value => self.fields.push((field.name(), value)),
        }
    }
}

impl Visit for Fields {
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.add(field, format!("{value:?}"));
    }
}

/// Puts a value into quotes unless it is one plain word.
fn quoted(value: &str) -> String {
    let is_plain = !value.is_empty()
        && !value.contains(|char: char| char.is_whitespace() || matches!(char, '"' | '='));
    if is_plain {
        return value.to_owned();
    }
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_quoted_where_needed() {
        for (value, expected) in [
            ("https://api.example.com/v1", "https://api.example.com/v1"),
            ("", "\"\""),
            ("two words", "\"two words\""),
            ("a=b", "\"a=b\""),
            ("say \"no\" \\", "\"say \\\"no\\\" \\\\\""),
        ] {
            assert_eq!(quoted(value), expected);
        }
    }
}
