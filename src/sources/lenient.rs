//! Decodes vendor JSON in which any field may be missing, null or of an unexpected type. One alert
//! that cannot be decoded does not fail its page.

mod page;

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use chrono::{DateTime, Datelike as _, Utc};
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

pub(super) use self::page::{Lenient, decode_page, elements};

/// The maximum length of a list: a hundred times the largest page. Without it, a small compressed
/// response could expand to a list of a hundred million zeros.
const MAX_ELEMENTS: usize = 100_000;

/// Decodes a text: a string, or a number or boolean as text; the texts of a list joined by commas.
/// Anything else, and white space only, is `None`.
pub(super) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    deserializer.deserialize_any(AnyValue(owned_text()))
}

/// Decodes a text like [`text`], borrowed from the page where possible.
pub(super) fn borrowed<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Cow<'de, str>>, D::Error> {
    deserializer.deserialize_any(AnyValue(BorrowedConverter))
}

/// Decodes an instant in RFC 3339 with 0 to 9 fractional digits, converted to UTC. Anything else is
/// `None`.
pub(super) fn instant<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<DateTime<Utc>>, D::Error> {
    let instant = |text: &str| {
        let time = DateTime::parse_from_rfc3339(text).ok()?.to_utc();
        // No alert is from other years, and from 9999 on an offset can lead to a year that RFC 3339
        // cannot express.
        (1970..9999).contains(&time.year()).then_some(time)
    };
    deserializer.deserialize_any(AnyValue(TextConverter(instant)))
}

/// Decodes a score: a number, or a text that is one, truncated to an integer of at most 255.
/// Anything else is `None`.
pub(super) fn score<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u8>, D::Error> {
    let integer = |text: &str| text.split('.').next()?.parse().ok();
    let number = deserializer.deserialize_any(AnyValue(NumberConverter(integer)))?;
    Ok(number.map(|number| u8::try_from(number).unwrap_or(u8::MAX)))
}

/// Decodes a count: an integer, or a text that is one. Anything else is `None`.
pub(super) fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    deserializer.deserialize_any(AnyValue(NumberConverter(|text: &str| text.parse().ok())))
}

/// Decodes a list; anything else is an empty list.
pub(super) fn list<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    deserializer.deserialize_any(AnyValue(ListConverter(PhantomData)))
}

/// Decodes a list of texts without the elements that are not texts; anything else is an empty list.
pub(super) fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let elements: Vec<Text> = list(deserializer)?;
    Ok(elements.into_iter().filter_map(|text| text.0).collect())
}

/// Decodes an object; anything else is the default value.
pub(super) fn object<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    let object: Lenient<T> = Lenient::deserialize(deserializer)?;
    Ok(object.0.unwrap_or_default())
}

struct Text(Option<String>);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text(deserializer).map(Text)
    }
}

/// Converts each of the forms that a JSON value can have.
trait Converter<'de>: Sized {
    type Value;
    /// Returns the value for every form without a method of its own.
    fn fallback(self) -> Self::Value;
    /// Converts a string, or a number or boolean as text.
    fn scalar(self, text: &str) -> Self::Value {
        let _ = text;
        self.fallback()
    }
    fn number(self, number: u64) -> Self::Value {
        self.scalar(&number.to_string())
    }
    fn borrowed(self, text: &'de str) -> Self::Value {
        self.scalar(text)
    }
    fn seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(self.fallback())
    }
    fn map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(self.fallback())
    }
}

/// Converts a text that is not empty.
struct TextConverter<F>(F);

fn owned_text() -> TextConverter<impl FnOnce(&str) -> Option<String>> {
    TextConverter(|text: &str| Some(text.to_owned()))
}

impl<'de, T, F: FnOnce(&str) -> Option<T>> Converter<'de> for TextConverter<F> {
    type Value = Option<T>;

    fn fallback(self) -> Option<T> {
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

/// Converts like [`TextConverter`], but takes a number as it is, without formatting and parsing it.
struct NumberConverter<F>(F);

impl<'de, F: FnOnce(&str) -> Option<u64>> Converter<'de> for NumberConverter<F> {
    type Value = Option<u64>;

    fn fallback(self) -> Option<u64> {
        None
    }

    fn scalar(self, text: &str) -> Option<u64> {
        TextConverter(self.0).scalar(text)
    }

    fn number(self, number: u64) -> Option<u64> {
        Some(number)
    }

    fn seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Option<u64>, A::Error> {
        TextConverter(self.0).seq(seq)
    }
}

struct BorrowedConverter;

impl<'de> Converter<'de> for BorrowedConverter {
    type Value = Option<Cow<'de, str>>;

    fn fallback(self) -> Self::Value {
        None
    }

    fn scalar(self, text: &str) -> Self::Value {
        owned_text().scalar(text).map(Cow::Owned)
    }

    fn borrowed(self, text: &'de str) -> Self::Value {
        match text.trim() {
            "" => None,
            text => Some(Cow::Borrowed(text)),
        }
    }

    fn seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        let text = owned_text().seq(seq)?;
        Ok(text.map(Cow::Owned))
    }
}

struct ListConverter<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Converter<'de> for ListConverter<T> {
    type Value = Vec<T>;

    fn fallback(self) -> Self::Value {
        Vec::new()
    }

    fn seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = seq.next_element()? {
            if list.len() == MAX_ELEMENTS {
                return Err(A::Error::custom("a list longer than any page"));
            }
            list.push(element);
        }
        Ok(list)
    }
}

/// Passes a JSON value of any form to a converter.
struct AnyValue<C>(C);

impl<'de, C: Converter<'de>> Visitor<'de> for AnyValue<C> {
    type Value = C::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<C::Value, E> {
        Ok(self.0.scalar(if value { "true" } else { "false" }))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<C::Value, E> {
        Ok(self.0.scalar(&value.to_string()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<C::Value, E> {
        Ok(self.0.number(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<C::Value, E> {
        Ok(self.0.scalar(&value.to_string()))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<C::Value, E> {
        Ok(self.0.scalar(value))
    }

    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<C::Value, E> {
        Ok(self.0.borrowed(value))
    }

    fn visit_unit<E: Error>(self) -> Result<C::Value, E> {
        Ok(self.0.fallback())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<C::Value, A::Error> {
        self.0.seq(seq)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<C::Value, A::Error> {
        self.0.map(map)
    }
}

#[cfg(test)]
mod tests;
