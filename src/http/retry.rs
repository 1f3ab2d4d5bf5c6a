//! The retry policy: which responses are retried, and how long to wait before each attempt.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};

/// How often one request is sent at most.
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
/// A time in the past means no wait; an unreadable value counts as no request.
pub(super) fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
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

/// Returns the wait after the given attempt (1 for the first) if the service requests none:
/// exponential with full jitter, from one second to one minute.
pub(super) fn backoff(attempt: u32) -> Duration {
    let ceiling = SHORTEST_WAIT.saturating_mul(2_u32.saturating_pow(attempt)).min(LONGEST_WAIT);
    SHORTEST_WAIT + ceiling.saturating_sub(SHORTEST_WAIT).mul_f64(fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(name: &'static str, value: &str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        retry_after(&headers, "2026-11-22T00:15:00Z".parse().unwrap())
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
