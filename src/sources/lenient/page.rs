//! Decodes a page: the keys around its list of alerts, and each alert on its own.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{
    Deserialize, DeserializeOwned, DeserializeSeed, Deserializer, Error, IntoDeserializer as _,
    MapAccess, SeqAccess, Visitor,
};
use serde_json::value::RawValue;

use super::{AnyValue, Converter, ListConverter};
use crate::http::MalformedBody;

/// An element of a list: decoded if it is an object, skipped if it is anything else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sources) enum Lenient<T> {
    /// An object of the expected form.
    Parsed(T),
    /// Anything else.
    Malformed,
}

/// Decodes a page: `P` from all keys but `list`, and the elements of `list` with `element`.
///
/// If a single element breaks the decoding (a duplicate key, a number out of range), the page is
/// decoded again element by element, and only that element is [`Lenient::Malformed`]. The first
/// pass is enough for everything that real services send.
///
/// # Errors
/// When the bytes are not a JSON object.
pub(in crate::sources) fn decode_page<P, S, T>(
    bytes: &[u8],
    list: &'static str,
    element: S,
) -> Result<(P, Vec<Lenient<T>>), MalformedBody>
where
    P: DeserializeOwned,
    S: for<'de> DeserializeSeed<'de, Value = T> + Copy,
{
    let seed = PageSeed { list, element, page: PhantomData };
    // Text that is validated as a whole decodes faster. Bytes that are not UTF-8 can still be a
    // page whose required parts are.
    let decoded = match std::str::from_utf8(bytes) {
        Ok(text) => decode(serde_json::Deserializer::from_str(text), seed),
        Err(_) => decode(serde_json::Deserializer::from_slice(bytes), seed),
    };
    match decoded {
        Ok(Some(page)) => Ok(page),
        Ok(None) => Err(MalformedBody("not a JSON object".into())),
        Err(error) => page_by_element(bytes, list, element, &error),
    }
}

/// The second pass: `first_error` ended the first one.
fn page_by_element<P, S, T>(
    bytes: &[u8],
    list: &str,
    element: S,
    first_error: &serde_json::Error,
) -> Result<(P, Vec<Lenient<T>>), MalformedBody>
where
    P: DeserializeOwned,
    S: for<'de> DeserializeSeed<'de, Value = T> + Copy,
{
    let malformed = |_| MalformedBody::json(first_error);
    let text = String::from_utf8_lossy(bytes);
    let mut keys: BTreeMap<String, Box<RawValue>> =
        serde_json::from_str(&text).map_err(malformed)?;
    let list = keys.remove(list).ok_or_else(|| MalformedBody::json(first_error))?;
    let raw_elements = decode(
        serde_json::Deserializer::from_str(list.get()),
        ElementsSeed(PhantomData::<Box<RawValue>>),
    )
    .map_err(malformed)?;
    let envelope = serde_json::to_string(&keys).map_err(|error| MalformedBody::json(&error))?;
    let envelope = serde_json::from_str(&envelope).map_err(|error| MalformedBody::json(&error))?;
    let elements = raw_elements.iter().map(|raw| {
        let json = serde_json::Deserializer::from_str(raw.get());
        decode(json, LenientSeed(element)).unwrap_or(Lenient::Malformed)
    });
    Ok((envelope, elements.collect()))
}

/// Decodes a whole JSON document.
fn decode<'de, R, S>(
    mut json: serde_json::Deserializer<R>,
    seed: S,
) -> Result<S::Value, serde_json::Error>
where
    R: serde_json::de::Read<'de>,
    S: DeserializeSeed<'de>,
{
    let value = seed.deserialize(&mut json)?;
    json.end()?;
    Ok(value)
}

/// Decodes a page; `None` if it is not an object.
struct PageSeed<P, S> {
    list: &'static str,
    element: S,
    page: PhantomData<P>,
}

impl<'de, P, S> DeserializeSeed<'de> for PageSeed<P, S>
where
    P: Deserialize<'de>,
    S: DeserializeSeed<'de> + Copy,
{
    type Value = Option<(P, Vec<Lenient<S::Value>>)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(AnyValue(self))
    }
}

impl<'de, P, S> Converter<'de> for PageSeed<P, S>
where
    P: Deserialize<'de>,
    S: DeserializeSeed<'de> + Copy,
{
    type Value = Option<(P, Vec<Lenient<S::Value>>)>;

    fn fallback(self) -> Self::Value {
        None
    }

    fn map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        let mut elements = None;
        let envelope = P::deserialize(MapAccessDeserializer::new(Envelope {
            map,
            list: self.list,
            element: self.element,
            elements: &mut elements,
        }))?;
        Ok(Some((envelope, elements.unwrap_or_default())))
    }
}

/// The keys of a page without its list, which is decoded on the way.
struct Envelope<'a, A, S, T> {
    map: A,
    list: &'static str,
    element: S,
    elements: &'a mut Option<Vec<Lenient<T>>>,
}

impl<'de, A, S> MapAccess<'de> for Envelope<'_, A, S, S::Value>
where
    A: MapAccess<'de>,
    S: DeserializeSeed<'de> + Copy,
{
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        while let Some(key) = self.map.next_key::<String>()? {
            if key != self.list {
                return seed.deserialize(key.into_deserializer()).map(Some);
            }
            if self.elements.is_some() {
                return Err(A::Error::duplicate_field(self.list));
            }
            let list = ElementsSeed(LenientSeed(self.element));
            *self.elements = Some(self.map.next_value_seed(list)?);
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

/// Decodes the list of a page: a list, or `null`. Anything else is an error, because treating it as
/// an empty list would lose the alerts.
struct ElementsSeed<S>(S);

impl<'de, S: DeserializeSeed<'de> + Copy> DeserializeSeed<'de> for ElementsSeed<S> {
    type Value = Vec<S::Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, S: DeserializeSeed<'de> + Copy> Visitor<'de> for ElementsSeed<S> {
    type Value = Vec<S::Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        ListConverter(self.0).seq(seq)
    }
}

/// Decodes an object with `S`; anything else is [`Lenient::Malformed`].
#[derive(Clone, Copy)]
pub(super) struct LenientSeed<S>(pub(super) S);

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for LenientSeed<S> {
    type Value = Lenient<S::Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(AnyValue(self))
    }
}

impl<'de, S: DeserializeSeed<'de>> Converter<'de> for LenientSeed<S> {
    type Value = Lenient<S::Value>;

    fn fallback(self) -> Self::Value {
        Lenient::Malformed
    }

    fn map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        self.0.deserialize(MapAccessDeserializer::new(map)).map(Lenient::Parsed)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Lenient<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        LenientSeed(PhantomData).deserialize(deserializer)
    }
}
