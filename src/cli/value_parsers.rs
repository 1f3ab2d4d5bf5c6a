//! Parsers of single values. Each error names the accepted form and gives an example.

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use clap::ValueEnum;
use tracing::Level;

/// The log levels, named as in the Python scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "UPPER")]
pub(crate) enum LogLevel {
    /// Everything, including each request.
    Debug,
    /// The steps and numbers of a run.
    Info,
    /// Events that need attention.
    Warning,
    /// Failures.
    Error,
    /// The same as ERROR.
    Critical,
}

impl LogLevel {
    /// Returns the corresponding level of `tracing`.
    pub(super) const fn level(self) -> Level {
        match self {
            Self::Debug => Level::DEBUG,
            Self::Info => Level::INFO,
            Self::Warning => Level::WARN,
            Self::Error | Self::Critical => Level::ERROR,
        }
    }
}

/// Parses a size in bytes, at least 1 KiB.
pub(super) fn size(text: &str) -> Result<u64, String> {
    const MIN_BYTES: u64 = 1024;
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
    bytes.filter(|bytes| *bytes >= MIN_BYTES).ok_or_else(|| {
        "a size is a number of bytes, KiB, MiB or GiB, and at least 1KiB; for example 10MiB".into()
    })
}

/// Parses a number of seconds, minutes, hours or days, at least one second.
pub(super) fn duration(text: &str) -> Result<TimeDelta, String> {
    let digits = text.trim_end_matches(|char: char| !char.is_ascii_digit());
    let unit = text.get(digits.len()..).unwrap_or_default().trim().to_ascii_lowercase();
    let seconds = match unit.as_str() {
        "s" => 1,
        "m" | "min" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => 0,
    };
    let duration = digits.parse::<i64>().ok().and_then(|number| number.checked_mul(seconds));
    let duration = duration.filter(|seconds| *seconds > 0).and_then(TimeDelta::try_seconds);
    duration.ok_or_else(|| "a duration is a number of s, m, h or d; for example 26h".into())
}

/// Parses a point in time.
pub(super) fn instant(text: &str) -> Result<DateTime<Utc>, String> {
    // The ledger and the services know milliseconds.
    let time = DateTime::parse_from_rfc3339(text).map(|time| time.to_utc().trunc_subsecs(3));
    time.map_err(|_| {
        "a time is in RFC 3339 format with a time zone; for example 2026-11-21T00:15:00Z".into()
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
            "", "0", "1023", "MiB", "-1", "10MB", "1.5MiB", "99999999999999999999",
            "99999999999GiB",
        ] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
