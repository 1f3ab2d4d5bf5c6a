//! Parsers of single values. Each error names the accepted form and gives an example.

use chrono::{DateTime, NaiveDate, SubsecRound as _, TimeDelta};
use clap::ValueEnum;
use tracing::Level;

use crate::settings::PointInTime;

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

/// Parses a number of hours, from 1 to 8760.
pub(super) fn hours(text: &str) -> Result<u32, String> {
    let hours = match duration(text) {
        Ok(duration) if duration.num_seconds() % 3600 == 0 => {
            u32::try_from(duration.num_hours()).ok()
        }
        Ok(_) => None,
        Err(_) => text.parse().ok(),
    };
    hours
        .filter(|hours| (1..=8760).contains(hours))
        .ok_or_else(|| "a number of hours is in 1..=8760; for example 24 or 24h".into())
}

/// Parses a point in time.
pub(super) fn point_in_time(text: &str) -> Result<PointInTime, String> {
    let days_before_today = match text.to_ascii_lowercase().as_str() {
        "today" => Some(0),
        "yesterday" => Some(1),
        _ => None,
    };
    let date = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
    // The ledger and the services know milliseconds.
    let instant = || Some(DateTime::parse_from_rfc3339(text).ok()?.to_utc().trunc_subsecs(3));
    days_before_today
        .map(PointInTime::DaysBeforeToday)
        .or_else(|| date().map(PointInTime::Date))
        .or_else(|| duration(text).ok().map(PointInTime::Ago))
        .or_else(|| instant().map(PointInTime::Instant))
        .ok_or_else(|| {
            "a time is a day (2026-11-21, from midnight UTC), yesterday, a duration before now (7d), or in RFC 3339 format with a time zone (2026-11-21T00:15:00Z)".into()
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

    #[test]
    fn durations_have_units() {
        for (text, seconds) in [("90s", 90), ("10m", 600), ("2 h", 7200), ("7D", 604_800)] {
            assert_eq!(duration(text), Ok(TimeDelta::seconds(seconds)), "{text}");
        }
        for text in ["", "0s", "10", "h", "-1h", "1.5h", "1w", "9999999999999999d"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn hours_may_have_a_unit() {
        for (text, expected) in [("1", 1), ("8760", 8760), ("24h", 24), ("7d", 168), ("120m", 2)] {
            assert_eq!(hours(text), Ok(expected), "{text}");
        }
        for text in ["", "0", "0h", "8761", "366d", "90m", "30s", "-1", "day", "99999999999h"] {
            assert!(hours(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_point_in_time_has_several_forms() {
        let date = NaiveDate::from_ymd_opt(2026, 11, 20).unwrap();
        let instant = DateTime::parse_from_rfc3339("2026-11-19T23:00:00Z").unwrap().to_utc();
        for (text, expected) in [
            ("2026-11-20", PointInTime::Date(date)),
            ("Yesterday", PointInTime::DaysBeforeToday(1)),
            ("today", PointInTime::DaysBeforeToday(0)),
            ("7d", PointInTime::Ago(TimeDelta::days(7))),
            ("36h", PointInTime::Ago(TimeDelta::hours(36))),
            ("2026-11-20T01:00:00+02:00", PointInTime::Instant(instant)),
            ("2026-11-19T23:00:00.0009Z", PointInTime::Instant(instant)),
        ] {
            assert_eq!(point_in_time(text), Ok(expected), "{text}");
        }
        for text in ["", "2026-13-01", "2026-11-20T00:00:00", "tomorrow", "7", "20.11.2026", "0d"] {
            assert!(point_in_time(text).is_err(), "{text}");
        }
    }
}
