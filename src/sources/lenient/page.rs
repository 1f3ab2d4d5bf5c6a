//! Decodes a page of alerts.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, MapAccess};
use serde_json::Error;
use serde_json::value::{RawValue, to_raw_value};

use super::{AnyValue, Converter, ListConverter};
use crate::http::MalformedBody;

/// Decodes a page with `decode`. If an element of its `list` breaks that (a duplicate key, a number
/// out of range), decodes it again with `null` in the place of each such element. The first pass is
/// enough for everything that real services send.
///
/// # Errors
/// When the bytes are not a JSON object, or when the second pass fails.
pub(in crate::sources) fn decode_page<P>(
    bytes: &[u8],
    list: &str,
    decode: impl Fn(&str) -> Result<P, Error>,
) -> Result<P, MalformedBody> {
    // Bytes that are not UTF-8 break only their text. A lossy conversion in any case is slower.
    let text =
        std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed);
    if !text.trim_start().starts_with('{') {
        return Err(MalformedBody("not a JSON object".into()));
    }
    let is_valid = |element: &str| decode(&format!(r#"{{"{list}":[{element}]}}"#)).is_ok();
    decode(&text).or_else(|error| {
        without_invalid_elements(&text, list, is_valid)
            .and_then(|text| decode(&text))
            .map_err(|_| MalformedBody::json(&error))
    })
}

fn without_invalid_elements(
    text: &str,
    list: &str,
    is_valid: impl Fn(&str) -> bool,
) -> Result<String, Error> {
    let mut keys: BTreeMap<String, &RawValue> = serde_json::from_str(text)?;
    let raw = keys.remove(list).map_or("null", RawValue::get);
    let raw_elements: Vec<&RawValue> = elements(&mut serde_json::Deserializer::from_str(raw))?;
    let valid_elements: Vec<Option<&RawValue>> = raw_elements
        .into_iter()
        .map(|element| is_valid(element.get()).then_some(element))
        .collect();
    let valid_elements = to_raw_value(&valid_elements)?;
    keys.insert(list.to_owned(), &valid_elements);
    serde_json::to_string(&keys)
}

/// Decodes the list of a page: a list, or `null`. Anything else is an error, because treating it as
/// an empty list would lose the alerts.
pub(in crate::sources) fn elements<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let elements: Option<Elements<T>> = Option::deserialize(deserializer)?;
    Ok(elements.map(|elements| elements.0).unwrap_or_default())
}

struct Elements<T>(Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Elements<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(AnyValue(ListConverter(PhantomData))).map(Self)
    }
}

/// A value that is `None` unless it is an object.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::sources) struct Lenient<T>(pub Option<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Lenient<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue(ObjectConverter(PhantomData))).map(Self)
    }
}

struct ObjectConverter<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Converter<'de> for ObjectConverter<T> {
    type Value = Option<T>;

    fn fallback(self) -> Option<T> {
        None
    }

    fn map<A: MapAccess<'de>>(self, map: A) -> Result<Option<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Some)
    }
}
