//! How vendor JSON is read: any field may be missing, null, or of another type than promised, and one
//! alert that cannot be read must not sink its page.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use chrono::{DateTime, Datelike as _, Utc};
use serde::de::value::MapAccessDeserializer;
use serde::de::{
    Deserialize, DeserializeOwned, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::value::RawValue;

use crate::http::MalformedBody;

/// The most elements of a list that are taken: a hundred times those of the largest page. A small answer
/// can swell to a list of a hundred million zeros, and each takes the place of an alert.
const MOST_ELEMENTS: usize = 100_000;

/// A list's element that is read when it is an object, and passed over when it is anything else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Lenient<T> {
    /// An object of the wanted form.
    Parsed(T),
    /// Something else.
    Malformed,
}

/// Decodes a page. Where a single element breaks the decoding (a key twice, a number beyond all
/// ranges), the page is read again element by element, and only that one is [`Lenient::Malformed`].
///
/// `list` names the key whose value is the list of elements. The first of the two passes reads
/// everything that real services send.
///
/// # Errors
/// When the bytes are not JSON at all, or not an object.
pub(super) fn page<P, T>(bytes: &[u8], list: &str) -> Result<P, MalformedBody>
where
    P: DeserializeOwned + WithElements<T>,
    T: DeserializeOwned,
{
    // Checked as a whole, text is read faster than string by string. Bytes that are no text may still be a
    // page whose needed parts are.
    let decoded = match std::str::from_utf8(bytes) {
        Ok(text) => serde_json::from_str(text),
        Err(_) => serde_json::from_slice(bytes),
    };
    let error = match decoded {
        Ok(Lenient::Parsed(page)) => return Ok(page),
        Ok(Lenient::Malformed) => return Err(MalformedBody("not a JSON object".into())),
        Err(error) => error,
    };
    let text = String::from_utf8_lossy(bytes);
    let mut keys: std::collections::BTreeMap<String, Box<RawValue>> =
        serde_json::from_str(&text).map_err(|_| MalformedBody::json(&error))?;
    let Elements(elements): Elements<Box<RawValue>> = match keys.remove(list) {
        Some(raw) => serde_json::from_str(raw.get()).map_err(|_| MalformedBody::json(&error))?,
        None => return Err(MalformedBody::json(&error)),
    };
    let rest = serde_json::to_string(&keys).map_err(|error| MalformedBody::json(&error))?;
    let mut page: P = serde_json::from_str(&rest).map_err(|error| MalformedBody::json(&error))?;
    let slots =
        elements.iter().map(|raw| serde_json::from_str(raw.get()).unwrap_or(Lenient::Malformed));
    page.set_elements(slots.collect());
    Ok(page)
}

/// A page whose elements can be put in after the rest was read.
pub(super) trait WithElements<T> {
    /// Puts the elements in.
    fn set_elements(&mut self, elements: Vec<Lenient<T>>);
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Lenient<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Any(SlotReader(PhantomData)))
    }
}

/// A text: a string, or a number or truth value spelled out; a list's texts joined by commas.
/// Anything else, and white space alone, is `None`.
pub(super) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    deserializer.deserialize_any(Any(owned()))
}

/// As [`text`], without a copy where the page has it in one piece.
pub(super) fn borrowed<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Cow<'de, str>>, D::Error> {
    deserializer.deserialize_any(Any(BorrowedReader))
}

/// An instant: RFC 3339 with 0 to 9 fractional digits, made UTC. Anything else is `None`.
pub(super) fn instant<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<DateTime<Utc>>, D::Error> {
    let instant = |text: &str| {
        let time = DateTime::parse_from_rfc3339(text).ok()?.to_utc();
        // Beyond these years it is no instant at which anything was seen, and from 9999 on an offset can
        // make it one that RFC 3339 cannot spell.
        (1970..9999).contains(&time.year()).then_some(time)
    };
    deserializer.deserialize_any(Any(TextReader(instant)))
}

/// A score: a number, or a text that is one, cut to whole and to 255 at most. Anything else is `None`.
pub(super) fn score<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u8>, D::Error> {
    let whole = |text: &str| text.split('.').next()?.parse().ok();
    let number = deserializer.deserialize_any(Any(NumberReader(whole)))?;
    Ok(number.map(|number| u8::try_from(number).unwrap_or(u8::MAX)))
}

/// A count: a number, or a text that is one. Anything else is `None`.
pub(super) fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    deserializer.deserialize_any(Any(NumberReader(|text: &str| text.parse().ok())))
}

/// A list; anything else is empty.
pub(super) fn list<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    deserializer.deserialize_any(Any(ListReader(PhantomData)))
}

/// The list a page is about: a list, or `null`; anything else breaks the page, because taking it for
/// empty would lose what it holds.
pub(super) fn elements<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let list: Option<Elements<T>> = Option::deserialize(deserializer)?;
    Ok(list.map_or_else(Vec::new, |Elements(list)| list))
}

/// A list of no more than [`MOST_ELEMENTS`], and nothing else.
struct Elements<T>(Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Elements<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(OnlyList(PhantomData)).map(Self)
    }
}

struct OnlyList<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for OnlyList<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Vec<T>, A::Error> {
        ListReader(PhantomData).seq(seq)
    }
}

/// A list of texts; elements that are none are left out, anything else is empty.
pub(super) fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let found: Vec<Text> = list(deserializer)?;
    Ok(found.into_iter().filter_map(|text| text.0).collect())
}

/// An object; anything else is its default.
pub(super) fn object<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(match Lenient::deserialize(deserializer)? {
        Lenient::Parsed(value) => value,
        Lenient::Malformed => T::default(),
    })
}

struct Text(Option<String>);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text(deserializer).map(Text)
    }
}

/// What a reader makes of each of the forms a JSON value can have.
trait Reads<'de>: Sized {
    type Value;
    fn nothing(self) -> Self::Value;
    fn scalar(self, text: &str) -> Self::Value {
        let _ = text;
        self.nothing()
    }
    fn number(self, number: u64) -> Self::Value {
        self.scalar(&number.to_string())
    }
    fn borrowed(self, text: &'de str) -> Self::Value {
        self.scalar(text)
    }
    fn seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(self.nothing())
    }
    fn map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(self.nothing())
    }
}

struct SlotReader<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Reads<'de> for SlotReader<T> {
    type Value = Lenient<T>;

    fn nothing(self) -> Lenient<T> {
        Lenient::Malformed
    }

    fn map<A: MapAccess<'de>>(self, map: A) -> Result<Lenient<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Lenient::Parsed)
    }
}

struct TextReader<F>(F);

/// A reader that keeps the text.
fn owned() -> TextReader<impl FnOnce(&str) -> Option<String>> {
    TextReader(|text: &str| Some(text.to_owned()))
}

impl<'de, T, F: FnOnce(&str) -> Option<T>> Reads<'de> for TextReader<F> {
    type Value = Option<T>;

    fn nothing(self) -> Option<T> {
        None
    }

    fn scalar(self, text: &str) -> Option<T> {
        match text.trim() {
            "" => None,
            text => (self.0)(text),
        }
    }

    fn seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Option<T>, A::Error> {
        let mut texts = Vec::new();
        while let Some(element) = seq.next_element::<Text>()? {
            texts.extend(element.0);
        }
        Ok(if texts.is_empty() { None } else { (self.0)(&texts.join(",")) })
    }
}

/// As [`TextReader`], where a number is wanted: a number is taken as it is, not spelled out and read again.
struct NumberReader<F>(F);

impl<'de, F: FnOnce(&str) -> Option<u64>> Reads<'de> for NumberReader<F> {
    type Value = Option<u64>;

    fn nothing(self) -> Option<u64> {
        None
    }

    fn scalar(self, text: &str) -> Option<u64> {
        TextReader(self.0).scalar(text)
    }

    fn number(self, number: u64) -> Option<u64> {
        Some(number)
    }

    fn seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Option<u64>, A::Error> {
        TextReader(self.0).seq(seq)
    }
}

struct BorrowedReader;

impl<'de> Reads<'de> for BorrowedReader {
    type Value = Option<Cow<'de, str>>;

    fn nothing(self) -> Self::Value {
        None
    }

    fn scalar(self, text: &str) -> Self::Value {
        let text = owned().scalar(text);
        text.map(Cow::Owned)
    }

    fn borrowed(self, text: &'de str) -> Self::Value {
        match text.trim() {
            "" => None,
            text => Some(Cow::Borrowed(text)),
        }
    }

    fn seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        let text = owned().seq(seq)?;
        Ok(text.map(Cow::Owned))
    }
}

struct ListReader<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Reads<'de> for ListReader<T> {
    type Value = Vec<T>;

    fn nothing(self) -> Vec<T> {
        Vec::new()
    }

    fn seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = seq.next_element()? {
            if list.len() == MOST_ELEMENTS {
                return Err(A::Error::custom("a list longer than any page"));
            }
            list.push(element);
        }
        Ok(list)
    }
}

/// Hands every form of a JSON value to a reader; refuses none.
struct Any<R>(R);

impl<'de, R: Reads<'de>> Visitor<'de> for Any<R> {
    type Value = R::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<R::Value, E> {
        Ok(self.0.scalar(if value { "true" } else { "false" }))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<R::Value, E> {
        Ok(self.0.scalar(&value.to_string()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<R::Value, E> {
        Ok(self.0.number(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<R::Value, E> {
        Ok(self.0.scalar(&value.to_string()))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<R::Value, E> {
        Ok(self.0.scalar(value))
    }

    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<R::Value, E> {
        Ok(self.0.borrowed(value))
    }

    fn visit_unit<E: Error>(self) -> Result<R::Value, E> {
        Ok(self.0.nothing())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<R::Value, A::Error> {
        self.0.seq(seq)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<R::Value, A::Error> {
        self.0.map(map)
    }
}

#[cfg(test)]
mod tests;
