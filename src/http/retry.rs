//! The retry policy: which responses are retried, and how long to wait before each attempt.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::StatusCode;
use reqwest::header::RETRY_AFTER;

use super::response::Response;

/// The maximum number of attempts of a request.
pub(super) const MAX_ATTEMPTS: u32 = 5;
/// The longest wait that a service may request; a longer one ends the run as a temporary error.
pub(super) const MAX_RETRY_AFTER: Duration = Duration::from_mins(5);
/// CrowdStrike's header: when its limit is lifted, in epoch seconds.
const RETRY_AT: &str = "x-ratelimit-retryafter";
const SHORTEST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// Returns whether a request with this response status may succeed later. 520 to 530 are those of
/// Cloudflare, which stands in front of Recorded Future, for an origin that does not respond.
pub(super) fn is_retryable(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429 | 500 | 502..=504 | 520..=527 | 529 | 530)
}

/// Returns the wait that the service requests: `Retry-After` in seconds or as a date, or
/// CrowdStrike's timestamp.
///
/// Instants are those of the service's clock, so they are measured against the response's `Date`;
/// without one against `local_time`. An instant in the past means no wait; an unreadable value
/// counts as no request.
pub(super) fn retry_after(response: &Response, local_time: DateTime<Utc>) -> Option<Duration> {
    let now = response.date().unwrap_or(local_time);
    let text = |name: &str| response.header(name).map(str::trim);
    let until = |time: DateTime<Utc>| (time - now).to_std().unwrap_or_default();
    if let Some(epoch) = text(RETRY_AT).and_then(|text| text.parse().ok()) {
        return DateTime::from_timestamp(epoch, 0).map(until);
    }
    let requested = text(RETRY_AFTER.as_str())?;
    if let Ok(seconds) = requested.parse() {
        return Some(Duration::from_secs(seconds));
    }
    httpdate::parse_http_date(requested).ok().map(|date| until(date.into()))
}

/// Returns the shortest wait after the given attempt (1 for the first): exponential with full
/// jitter, from one second to one minute.
pub(super) fn backoff(attempt: u32) -> Duration {
    let ceiling = SHORTEST_WAIT.saturating_mul(2_u32.saturating_pow(attempt)).min(LONGEST_WAIT);
    SHORTEST_WAIT + ceiling.saturating_sub(SHORTEST_WAIT).mul_f64(fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the wait that a response with these headers requests at 00:15.
    fn wait_for(headers: &[(&'static str, &str)]) -> Option<Duration> {
        let mut response = Response::new(429, "");
        for (name, value) in headers {
            response.headers.insert(*name, value.parse().unwrap());
        }
        retry_after(&response, "2026-11-22T00:15:00Z".parse().unwrap())
    }

    fn wait(name: &'static str, value: &str) -> Option<Duration> {
        wait_for(&[(name, value)])
    }

    #[test]
    fn retry_after_is_read_in_each_of_its_forms() {
        assert_eq!(wait("retry-after", "7"), Some(Duration::from_secs(7)));
        assert_eq!(
            wait("retry-after", "Sun, 22 Nov 2026 00:15:30 GMT"),
            Some(Duration::from_secs(30))
        );
        assert_eq!(wait("retry-after", "Sun, 22 Nov 2026 00:14:30 GMT"), Some(Duration::ZERO));
        assert_eq!(wait("x-ratelimit-retryafter", "1795306520"), Some(Duration::from_secs(20)));
        assert_eq!(wait("x-ratelimit-retryafter", "99999999999999999"), None);
        assert_eq!(wait("retry-after", "soon"), None);
        assert_eq!(wait("retry-after", "-1"), None);
    }

    #[test]
    fn instants_are_measured_against_the_date_of_the_response() {
        let minute = Some(Duration::from_mins(1));
        for (date, until, epoch) in [
            ("Sun, 22 Nov 2026 00:05:00 GMT", "Sun, 22 Nov 2026 00:06:00 GMT", "1795305960"),
            ("Sun, 22 Nov 2026 00:25:00 GMT", "Sun, 22 Nov 2026 00:26:00 GMT", "1795307160"),
            // Not a date: the local time counts.
            ("now", "Sun, 22 Nov 2026 00:16:00 GMT", "1795306560"),
        ] {
            assert_eq!(wait_for(&[("date", date), ("retry-after", until)]), minute, "{date}");
            let epoch = [("date", date), ("x-ratelimit-retryafter", epoch)];
            assert_eq!(wait_for(&epoch), minute, "{date}");
        }
        let seconds = [("date", "Sun, 22 Nov 2026 00:05:00 GMT"), ("retry-after", "60")];
        assert_eq!(wait_for(&seconds), minute);
    }

    #[test]
    fn backoff_stays_between_a_second_and_a_minute_and_grows() {
        for attempt in 1..40 {
            for _ in 0..50 {
                let wait = backoff(attempt);
                assert!((SHORTEST_WAIT..=LONGEST_WAIT).contains(&wait), "{attempt}: {wait:?}");
            }
        }
        assert!((0..50).all(|_| backoff(1) <= Duration::from_secs(2)));
    }
}
