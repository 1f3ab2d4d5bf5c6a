//! Decodes vendor JSON in which any field may be missing, null or of an unexpected type. One alert
//! that cannot be decoded does not fail its page.

mod page;
mod repair;

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use chrono::{DateTime, Datelike as _, Timelike as _, Utc};
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

pub(super) use self::page::{Lenient, decode_page, elements};

/// The maximum length of a list: a hundred times the largest page. A small compressed response
/// could expand to one of a hundred million zeros. The sum of all lists is limited by the size of a
/// body only.
const MAX_ELEMENTS: usize = 100_000;

/// A text, borrowed from the page where possible: a string, or a number or boolean as text; the
/// texts of a list joined by commas. Anything else, and white space only, is `None`.
#[derive(Debug, Default)]
pub(super) struct Text<'a>(pub Option<Cow<'a, str>>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(scalar(deserializer)?.map(|scalar| match scalar {
            Scalar::Text(text) => text,
            Scalar::Number(number) => number.to_string().into(),
        })))
    }
}

impl<'a> Deref for Text<'a> {
    type Target = Option<Cow<'a, str>>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

/// Decodes a [`Text`] that is copied from the page.
pub(super) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Text::deserialize(deserializer)?.0.map(Cow::into_owned))
}

/// Decodes an instant in RFC 3339, converted to UTC; fractional digits after the ninth are ignored.
/// A leap second (`:60`) is decoded as the second before it, because not every program accepts one.
/// Anything else is `None`.
pub(super) fn instant<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<DateTime<Utc>>, D::Error> {
    let text = Text::deserialize(deserializer)?.0;
    let instant = text.and_then(|text| DateTime::parse_from_rfc3339(&text).ok());
    // No alert is from other years, and from 9999 on an offset can lead to a year that RFC 3339
    // cannot express.
    Ok(instant
        .map(|time| without_leap_second(time.to_utc()))
        .filter(|time| (1970..9999).contains(&time.year())))
}

/// Replaces a leap second, which chrono represents as a fraction of a second and more.
fn without_leap_second(time: DateTime<Utc>) -> DateTime<Utc> {
    let nanosecond = time.nanosecond() % 1_000_000_000;
    time.with_nanosecond(nanosecond).unwrap_or(time)
}

/// Decodes a score: a number that is not negative, or a text that is one, truncated to an integer
/// of at most 255; a list of one such value counts as it. Anything else is `None`.
pub(super) fn score<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u8>, D::Error> {
    let number = scalar(deserializer)?.and_then(|scalar| match scalar {
        // A list of several values.
        Scalar::Text(text) if text.contains(',') => None,
        Scalar::Text(text) => text.split('.').next()?.parse().ok(),
        Scalar::Number(number) => Some(number),
    });
    Ok(number.map(|number| u8::try_from(number).unwrap_or(u8::MAX)))
}

/// Decodes a count: an integer that is not negative, or a text that is one; a list of one such
/// value counts as it. Anything else is `None`.
pub(super) fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    Ok(scalar(deserializer)?.and_then(|scalar| match scalar {
        Scalar::Text(text) => text.parse().ok(),
        Scalar::Number(number) => Some(number),
    }))
}

/// Decodes a truth value: `true`, also as a text in any case, or a positive integer; a list of one
/// `true` counts as it. Anything else is `false`.
pub(super) fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(scalar(deserializer)?.is_some_and(|scalar| match scalar {
        Scalar::Text(text) => text.eq_ignore_ascii_case("true"),
        Scalar::Number(number) => number != 0,
    }))
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
    let elements: Vec<Text<'_>> = list(deserializer)?;
    Ok(elements.into_iter().filter_map(|text| text.0).map(Cow::into_owned).collect())
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

/// Converts each of the forms that a JSON value can have.
trait Converter<'de>: Sized {
    type Value;
    /// Returns the value for every form without a method of its own.
    fn fallback(self) -> Self::Value;
    /// Converts a string, or a boolean, negative or fractional number as text.
    fn text(self, _text: &str) -> Self::Value {
        self.fallback()
    }
    fn number(self, _number: u64) -> Self::Value {
        self.fallback()
    }
    fn borrowed(self, text: &'de str) -> Self::Value {
        self.text(text)
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

/// An integer that is not negative, or any other scalar as a text that is not empty. A list is the
/// text of its elements, joined by commas.
enum Scalar<'de> {
    Text(Cow<'de, str>),
    Number(u64),
}

fn scalar<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Scalar<'de>>, D::Error> {
    deserializer.deserialize_any(AnyValue(ScalarConverter))
}

struct ScalarConverter;

impl<'de> Converter<'de> for ScalarConverter {
    type Value = Option<Scalar<'de>>;

    fn fallback(self) -> Self::Value {
        None
    }

    fn text(self, text: &str) -> Self::Value {
        let text = text.trim();
        (!text.is_empty()).then(|| Scalar::Text(text.to_owned().into()))
    }

    fn number(self, number: u64) -> Self::Value {
        Some(Scalar::Number(number))
    }

    fn borrowed(self, text: &'de str) -> Self::Value {
        let text = text.trim();
        (!text.is_empty()).then_some(Scalar::Text(text.into()))
    }

    fn seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        let elements: Vec<Text<'_>> = ListConverter(PhantomData).seq(seq)?;
        let texts: Vec<_> = elements.into_iter().filter_map(|element| element.0).collect();
        Ok(self.text(&texts.join(",")))
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
        Ok(self.0.text(if value { "true" } else { "false" }))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<C::Value, E> {
        Ok(self.0.text(&value.to_string()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<C::Value, E> {
        Ok(self.0.number(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<C::Value, E> {
        Ok(self.0.text(&value.to_string()))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<C::Value, E> {
        Ok(self.0.text(value))
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
