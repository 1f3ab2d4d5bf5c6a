//! Timestamps in the formats of the services. Parsed ones are UTC.

use chrono::{DateTime, SecondsFormat, Utc};

/// Parses RFC 3339 with 0 to 9 fractional digits and a zone: `Z` or an offset.
/// Stricter than chrono, which also accepts a space or `t` between date and time.
pub fn parse_rfc3339(text: &str) -> Option<DateTime<Utc>> {
    let bytes = text.as_bytes();
    if !text.is_ascii() || bytes.get(10) != Some(&b'T') || text.ends_with('z') {
        return None;
    }
    let fraction = text.split_once('.').map_or("", |(_, rest)| rest);
    if fraction.bytes().take_while(u8::is_ascii_digit).count() > 9 {
        return None;
    }
    Some(DateTime::parse_from_rfc3339(text).ok()?.with_timezone(&Utc))
}

/// Parses RFC 3339 with the zone `Z`; an offset is rejected.
pub fn parse_zulu(text: &str) -> Option<DateTime<Utc>> {
    parse_rfc3339(text).filter(|_| text.ends_with('Z'))
}

/// Reports whether a text is a valid timestamp of the form `YYYY-MM-DDTHH:MM:SS.mmmZ`.
pub fn is_millis_zulu(text: &str) -> bool {
    text.len() == "2026-11-21T08:00:00.000Z".len()
        && parse_zulu(text).is_some_and(|instant| millis(instant) == text)
}

/// Formats an instant as `YYYY-MM-DDTHH:MM:SS.mmmZ`.
pub fn millis(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Formats an instant as an HTTP date: `Sun, 22 Nov 2026 00:15:00 GMT`.
pub fn http_date(instant: DateTime<Utc>) -> String {
    instant.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// Formats an instant as RFC 3339 with 0 to 9 fractional digits and without trailing zeros, like
/// Falcon.
pub fn trimmed(instant: DateTime<Utc>) -> String {
    let text = instant.to_rfc3339_opts(SecondsFormat::Nanos, true);
    let digits = text.trim_end_matches('Z').trim_end_matches('0').trim_end_matches('.');
    format!("{digits}Z")
}
