//! The one clock of a run: what time it is, and how long a wait lasts.
//!
//! Tests need days that are over in a second. Builds with debug assertions therefore read two
//! variables; a release build does not look at them:
//! `COLLECTIVE_INSIGHTS_TEST_NOW` (RFC 3339) sets the time at which the run starts, and
//! `COLLECTIVE_INSIGHTS_TEST_WAIT_DIVISOR` divides every wait between tries.

use std::time::{Duration, Instant};

use chrono::{DateTime, DurationRound, TimeDelta, Utc};

/// Tells the time in UTC and scales the waits between tries.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    started_at: DateTime<Utc>,
    started: Instant,
    wait_divisor: u32,
}

impl Clock {
    /// The machine's clock (or the test's, see the module's header).
    #[must_use]
    pub fn from_environment() -> Self {
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

    /// The machine's clock, with waits between tries that are over at once.
    #[cfg(test)]
    pub(crate) fn without_waits() -> Self {
        Self { started_at: Utc::now(), started: Instant::now(), wait_divisor: u32::MAX }
    }

    /// A clock that stands still at a time, for a day at least.
    #[cfg(test)]
    pub(crate) fn fixed(now: DateTime<Utc>) -> Self {
        // The time since an instant yet to come is zero.
        let started = Instant::now() + Duration::from_hours(24);
        Self { started_at: now, started, wait_divisor: 1 }
    }

    /// Now, in UTC.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        TimeDelta::from_std(self.started.elapsed())
            .ok()
            .and_then(|elapsed| self.started_at.checked_add_signed(elapsed))
            .unwrap_or(self.started_at)
    }

    /// Now, cut to whole milliseconds: the precision both vendors' windows are asked in.
    #[must_use]
    pub fn now_to_the_millisecond(&self) -> DateTime<Utc> {
        let now = self.now();
        now.duration_trunc(TimeDelta::milliseconds(1)).unwrap_or(now)
    }

    /// How long to really sleep for a wait of this length.
    #[must_use]
    pub fn scaled(&self, wait: Duration) -> Duration {
        wait / self.wait_divisor
    }
}
