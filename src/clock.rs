//! The clock of a run: the current time, and the scale of waits and intervals.
//!
//! Tests need a fixed time and short waits. Builds with debug assertions read two variables for
//! them, which release builds ignore: `COLLECTIVE_INSIGHTS_TEST_NOW` (RFC 3339) is the time at
//! which the run starts, and `COLLECTIVE_INSIGHTS_TEST_WAIT_DIVISOR` divides waits and intervals.

use std::time::{Duration, Instant};

use chrono::{DateTime, DurationRound, TimeDelta, Utc};

/// A larger difference between this machine's clock and a service's means that one is wrong. A
/// smaller one does no harm, and cannot be measured exactly: `Date` has whole seconds and comes
/// late by the latency of the network.
pub(crate) const MAX_DIFFERENCE: TimeDelta = TimeDelta::minutes(5);

/// Describes how far a clock is ahead of another (negative: behind), for example `5 h ahead of`.
pub(crate) fn describe_difference(ahead: TimeDelta) -> String {
    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    let seconds = ahead.num_seconds().abs();
    // Rounded to the nearest.
    let count = |unit: i64| (seconds + unit / 2) / unit;
    let size = if seconds < 2 * MINUTE {
        format!("{seconds} s")
    } else if seconds < 2 * HOUR {
        format!("{} min", count(MINUTE))
    } else if seconds < 2 * DAY {
        format!("{} h", count(HOUR))
    } else {
        format!("{} days", count(DAY))
    };
    let direction = if ahead < TimeDelta::zero() { "behind" } else { "ahead of" };
    format!("{size} {direction}")
}

/// Returns the time in UTC, and scales waits and intervals.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    started_at: DateTime<Utc>,
    started: Instant,
    wait_divisor: u32,
}

impl Clock {
    /// Creates the system clock, or a test's (see the module documentation).
    pub(crate) fn from_environment() -> Self {
        let variable =
            |name: &str| cfg!(debug_assertions).then(|| std::env::var(name).ok()).flatten();
        let started_at = variable("COLLECTIVE_INSIGHTS_TEST_NOW")
            .and_then(|text| DateTime::parse_from_rfc3339(&text).ok())
            .map_or_else(Utc::now, |time| time.to_utc());
        let wait_divisor = variable("COLLECTIVE_INSIGHTS_TEST_WAIT_DIVISOR")
            .and_then(|text| text.parse().ok())
            .filter(|divisor| *divisor > 0)
            .unwrap_or(1);
        Self { started_at, started: Instant::now(), wait_divisor }
    }

    /// Creates the system clock with waits of practically no length.
    #[cfg(test)]
    pub(crate) fn without_waits() -> Self {
        Self { started_at: Utc::now(), started: Instant::now(), wait_divisor: u32::MAX }
    }

    /// Returns a clock that stands still, for a day at least.
    #[cfg(test)]
    pub(crate) fn fixed(now: DateTime<Utc>) -> Self {
        // The time since a future instant is zero.
        let started = Instant::now() + Duration::from_hours(24);
        Self { started_at: now, started, wait_divisor: 1 }
    }

    /// Returns this clock, set forward by a span of time, or back if it is negative.
    pub(crate) fn shifted(self, by: TimeDelta) -> Self {
        let started_at = self.started_at.checked_add_signed(by).unwrap_or(self.started_at);
        Self { started_at, ..self }
    }

    /// Returns the current time, in UTC.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        TimeDelta::from_std(self.started.elapsed())
            .ok()
            .and_then(|elapsed| self.started_at.checked_add_signed(elapsed))
            .unwrap_or(self.started_at)
    }

    /// Returns the current time truncated to milliseconds, the precision of requested windows.
    pub(crate) fn now_to_the_millisecond(&self) -> DateTime<Utc> {
        let now = self.now();
        now.duration_trunc(TimeDelta::milliseconds(1)).unwrap_or(now)
    }

    /// Returns how long to sleep for a wait of this length.
    pub(crate) fn scaled(&self, wait: Duration) -> Duration {
        wait / self.wait_divisor
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_described_in_the_unit_of_its_size() {
        for (seconds, expected) in [
            (0, "0 s ahead of"),
            (-119, "119 s behind"),
            (300, "5 min ahead of"),
            (-17_999, "5 h behind"),
            (18_001, "5 h ahead of"),
            (8_640_000 - 1, "100 days ahead of"),
        ] {
            assert_eq!(describe_difference(TimeDelta::seconds(seconds)), expected);
        }
    }

    #[test]
    fn a_shifted_clock_is_ahead_or_behind_by_that_much() {
        let now = DateTime::UNIX_EPOCH;
        let clock = Clock::fixed(now);
        for hours in [5, -5] {
            assert_eq!(clock.shifted(TimeDelta::hours(hours)).now(), now + TimeDelta::hours(hours));
        }
    }
}
