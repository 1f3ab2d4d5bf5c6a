//! The clock of a service, compared with this machine's.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{Datelike as _, TimeDelta};

use super::response::Response;
use crate::clock::MAX_DIFFERENCE;

/// The years in which a `Date` can be right. Others come from a service whose clock was never set.
const PLAUSIBLE_YEARS: std::ops::Range<i32> = 2026..2100;

/// The offset of a service's clock from this machine's, measured by the `Date` of its responses.
///
/// Shared by the clones of a client. A response without a `Date` changes nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct ServiceClock(Arc<Mutex<Option<TimeDelta>>>);

impl ServiceClock {
    /// Returns how far the service's clock is ahead (negative: behind): zero if any `Date` was
    /// within [`MAX_DIFFERENCE`], and `None` if there was no usable `Date`.
    pub(crate) fn offset(&self) -> Option<TimeDelta> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Compares the `Date` of a response with the local time at which its head arrived.
    pub(super) fn observe(&self, response: &Response) {
        // A response with an age comes from a cache, and its date is that of the original.
        let is_cached = response.header("age").is_some_and(|age| age.trim() != "0");
        let date = response.date().filter(|date| PLAUSIBLE_YEARS.contains(&date.year()));
        if let Some(date) = date.filter(|_| !is_cached) {
            let difference = date - response.received_at;
            let mut offset = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            *offset = Some(combine(*offset, difference));
        }
    }
}

/// Returns the offset after one more response. If the clocks of one service and of this machine
/// agree, they are right, whatever other responses say. Otherwise the earliest time counts: alerts
/// after it cannot have been read.
fn combine(earlier: Option<TimeDelta>, difference: TimeDelta) -> TimeDelta {
    if difference.abs() <= MAX_DIFFERENCE || earlier.is_some_and(|earlier| earlier.is_zero()) {
        return TimeDelta::zero();
    }
    earlier.map_or(difference, |earlier| earlier.min(difference))
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::*;

    /// Returns the offset after responses with these headers at 00:15.
    fn offset(responses: &[&[(&'static str, &str)]]) -> Option<i64> {
        let clock = ServiceClock::default();
        for headers in responses {
            let mut response = Response::new(200, "");
            response.received_at = "2026-11-22T00:15:00Z".parse::<DateTime<Utc>>().unwrap();
            for (name, value) in *headers {
                response.headers.insert(*name, value.parse().unwrap());
            }
            clock.observe(&response);
        }
        clock.offset().map(|offset| offset.num_seconds())
    }

    #[test]
    fn a_date_within_five_minutes_confirms_the_clock() {
        for (date, seconds) in [
            ("Sun, 22 Nov 2026 00:15:00 GMT", 0),
            ("Sun, 22 Nov 2026 00:20:00 GMT", 0),
            ("Sun, 22 Nov 2026 00:10:00 GMT", 0),
            ("Sun, 22 Nov 2026 00:20:01 GMT", 301),
            ("Sun, 22 Nov 2026 00:09:59 GMT", -301),
        ] {
            assert_eq!(offset(&[&[("date", date)]]), Some(seconds), "{date}");
        }
    }

    #[test]
    fn a_response_without_a_plausible_date_says_nothing() {
        for date in [
            "soon",
            "",
            "Thu, 01 Jan 1970 00:00:00 GMT",
            "Wed, 31 Dec 2025 23:59:59 GMT",
            "Fri, 01 Jan 2100 00:00:00 GMT",
            "Fri, 31 Dec 9999 23:59:59 GMT",
        ] {
            assert_eq!(offset(&[&[("date", date)]]), None, "{date}");
        }
        let date = ("date", "Sun, 22 Nov 2026 00:15:00 GMT");
        assert_eq!(offset(&[&[date, ("age", "60")]]), None, "from a cache");
        assert_eq!(offset(&[&[date, ("age", "0")]]), Some(0));
        assert_eq!(offset(&[]), None);
    }

    #[test]
    fn of_several_dates_one_that_agrees_counts_or_else_the_earliest() {
        let right: &[_] = &[("date", "Sun, 22 Nov 2026 00:14:00 GMT")];
        let ahead: &[_] = &[("date", "Sun, 22 Nov 2026 05:15:00 GMT")];
        let behind: &[_] = &[("date", "Sat, 21 Nov 2026 23:15:00 GMT")];
        for responses in [[right, ahead, behind], [ahead, right, behind], [behind, ahead, right]] {
            assert_eq!(offset(&responses), Some(0));
        }
        assert_eq!(offset(&[ahead, behind]), Some(-3600));
        assert_eq!(offset(&[behind, ahead, &[]]), Some(-3600));
    }
}
