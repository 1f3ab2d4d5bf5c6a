//! Decodes a page of alerts.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, MapAccess};
use serde_json::Error;
use serde_json::value::{RawValue, to_raw_value};

use super::repair::{repair, without_duplicate_keys};
use super::{AnyValue, Converter, ListConverter};
use crate::http::MalformedBody;

/// Decodes a page with `decode`; `list` is the key of its alerts. The first pass is enough for
/// everything that real services usually send. If it fails, values that no decoder accepts are
/// repaired. If that is not enough, duplicate keys are removed too, and only an alert that still
/// cannot be decoded becomes `null`.
///
/// # Errors
/// When the bytes are not a JSON object, or when the last pass fails.
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
    decode(&text).or_else(|error| {
        // The error itself may quote the page.
        let malformed = MalformedBody::json(&error);
        tracing::warn!(reason = %malformed, "a page has values that cannot be decoded; they are repaired");
        let repaired = repair(&text).ok_or_else(|| malformed.clone())?;
        decode(&repaired).or_else(|_| {
            let is_valid = |element: &str| decode(&format!(r#"{{"{list}":[{element}]}}"#)).is_ok();
            repair_keys(&repaired, list, is_valid)
                .and_then(|text| decode(&text))
                .map_err(|_| malformed)
        })
    })
}

/// Removes duplicate keys from the elements of `list` that are not valid, and from all other values
/// of the page. An element that remains invalid becomes `null`.
fn repair_keys(page: &str, list: &str, is_valid: impl Fn(&str) -> bool) -> Result<String, Error> {
    let is_valid = |element: &RawValue| is_valid(element.get());
    let mut keys: BTreeMap<String, Cow<'_, RawValue>> = BTreeMap::new();
    for (key, raw) in serde_json::from_str::<BTreeMap<String, &RawValue>>(page)? {
        let value = if key == list {
            let elements: Vec<&RawValue> =
                elements(&mut serde_json::Deserializer::from_str(raw.get()))?;
            let elements = elements.into_iter().map(|element| {
                if is_valid(element) {
                    return Some(Cow::Borrowed(element));
                }
                without_duplicate_keys(element).filter(|element| is_valid(element)).map(Cow::Owned)
            });
            Cow::Owned(to_raw_value(&elements.collect::<Vec<_>>())?)
        } else {
            without_duplicate_keys(raw).map_or(Cow::Borrowed(raw), Cow::Owned)
        };
        keys.insert(key, value);
    }
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

/// A decoded object; `None` for any other JSON value.
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
