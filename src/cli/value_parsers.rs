//! Parsers of single values. Each refusal names the range and gives an example.

use std::convert::Infallible;

use chrono::{DateTime, Utc};
use clap::ValueEnum;
use secrecy::SecretString;
use tracing::Level;

/// The log's levels, by the names the scripts took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "UPPER")]
pub enum LogLevel {
    /// Everything, each request included.
    Debug,
    /// What a run does, and its numbers.
    Info,
    /// What a person should look at.
    Warning,
    /// What ended a run.
    Error,
    /// The same as ERROR.
    Critical,
}

impl LogLevel {
    /// The level in the log's own terms.
    pub(super) const fn level(self) -> Level {
        match self {
            Self::Debug => Level::DEBUG,
            Self::Info => Level::INFO,
            Self::Warning => Level::WARN,
            Self::Error | Self::Critical => Level::ERROR,
        }
    }
}

/// A secret: any text.
#[allow(clippy::unnecessary_wraps, reason = "clap's value parsers return a Result")]
pub(super) fn secret(text: &str) -> Result<SecretString, Infallible> {
    Ok(SecretString::from(text))
}

/// A least severity: a number, or the name of a band (its lower end).
pub(super) fn severity(text: &str) -> Result<u8, String> {
    match text.to_ascii_lowercase().as_str() {
        "informational" => Ok(0),
        "low" => Ok(20),
        "medium" => Ok(40),
        "high" => Ok(60),
        "critical" => Ok(80),
        other => other.parse().ok().filter(|number| *number <= 100).ok_or_else(|| {
            "a severity is a number from 0 to 100 or one of informational, low, medium, high, critical; for example 60 or high".into()
        }),
    }
}

/// A size in bytes, at least one KiB.
pub(super) fn size(text: &str) -> Result<u64, String> {
    const SMALLEST: u64 = 1024;
    let digits = text.trim_end_matches(|char: char| !char.is_ascii_digit());
    let unit = text.get(digits.len()..).unwrap_or_default().trim().to_ascii_lowercase();
    let factor: Option<u64> = match unit.as_str() {
        "" | "b" => Some(1),
        "k" | "kib" => Some(1 << 10),
        "m" | "mib" => Some(1 << 20),
        "g" | "gib" => Some(1 << 30),
        _ => None,
    };
    let bytes = factor.and_then(|factor| digits.parse::<u64>().ok()?.checked_mul(factor));
    bytes.filter(|bytes| *bytes >= SMALLEST).ok_or_else(|| {
        "a size is a number of bytes, or of KiB, MiB or GiB, and at least 1KiB; for example 10MiB".into()
    })
}

/// An instant.
pub(super) fn instant(text: &str) -> Result<DateTime<Utc>, String> {
    DateTime::parse_from_rfc3339(text).map(|time| time.to_utc()).map_err(|_| {
        "a time is RFC 3339 with its time zone; for example 2026-11-21T00:15:00Z".into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in
            [("1024", 1024), ("4KiB", 4096), ("10 MiB", 10 << 20), ("1g", 1 << 30), ("2M", 2 << 20)]
        {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in [
            "",
            "0",
            "1023",
            "MiB",
            "-1",
            "10MB",
            "1.5MiB",
            "99999999999999999999",
            "99999999999GiB",
        ] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn severities_are_numbers_or_bands() {
        for (text, least) in [
            ("0", 0),
            ("100", 100),
            ("informational", 0),
            ("Low", 20),
            ("MEDIUM", 40),
            ("high", 60),
            ("critical", 80),
        ] {
            assert_eq!(severity(text), Ok(least), "{text}");
        }
        for text in ["101", "-1", "", "severe", "6.5"] {
            assert!(severity(text).is_err(), "{text}");
        }
    }
}
