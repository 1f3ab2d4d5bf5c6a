//! A point in time as a person gives it.

use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeDelta, Utc};

/// The value of `--since` and `--until`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PointInTime {
    /// An instant that was given with a time zone.
    Instant(DateTime<Utc>),
    /// The first instant of a day, UTC.
    Date(NaiveDate),
    /// The first instant of the day this many days before today, UTC.
    DaysBeforeToday(u8),
    /// This span of time before now.
    Ago(TimeDelta),
}

impl PointInTime {
    /// Returns the instant, UTC; the start of 1970 if it would be earlier.
    pub(crate) fn at(self, now: DateTime<Utc>) -> DateTime<Utc> {
        let midnight = |date: NaiveDate| date.and_time(NaiveTime::MIN).and_utc();
        let instant = match self {
            Self::Instant(instant) => Some(instant),
            Self::Date(date) => Some(midnight(date)),
            Self::DaysBeforeToday(days) => {
                now.date_naive().checked_sub_days(Days::new(days.into())).map(midnight)
            }
            Self::Ago(span) => now.checked_sub_signed(span),
        };
        instant.unwrap_or_default().max(DateTime::UNIX_EPOCH)
    }

    /// Returns whether the instant was given as such. A run prints the instant of every other form.
    pub(crate) const fn is_explicit(self) -> bool {
        matches!(self, Self::Instant(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_an_instant() {
        let now: DateTime<Utc> = "2026-11-22T00:15:00.5Z".parse().unwrap();
        let date = NaiveDate::from_ymd_opt(2026, 11, 20).unwrap();
        for (point, expected) in [
            (PointInTime::Instant(now), "2026-11-22T00:15:00.500Z"),
            (PointInTime::Date(date), "2026-11-20T00:00:00Z"),
            (PointInTime::DaysBeforeToday(0), "2026-11-22T00:00:00Z"),
            (PointInTime::DaysBeforeToday(1), "2026-11-21T00:00:00Z"),
            (PointInTime::Ago(TimeDelta::hours(36)), "2026-11-20T12:15:00.500Z"),
            (PointInTime::Ago(TimeDelta::days(36_500)), "1970-01-01T00:00:00Z"),
            (PointInTime::Ago(TimeDelta::MAX), "1970-01-01T00:00:00Z"),
        ] {
            assert_eq!(point.at(now), expected.parse::<DateTime<Utc>>().unwrap(), "{point:?}");
        }
    }
}
