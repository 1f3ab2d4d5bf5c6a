//! The concurrency limit of one service, shared by all its requests.
//!
//! A 429 pauses all requests for its wait and halves the limit; as many successes as the limit
//! raise it by one. When `X-RateLimit-Remaining` falls to the maximum of the limit, the limit
//! becomes 1 and all requests pause for a second. A vendor's requests have a ceiling per period,
//! too.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// The pause of all requests when few are left: the services refill their limits every second.
const NEARLY_EMPTY_PAUSE: Duration = Duration::from_secs(1);

/// How many requests may start in any period of this length.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestCeiling {
    pub requests: usize,
    pub period: Duration,
}

/// The limit on requests in flight to one service.
#[derive(Debug)]
pub(super) struct ConcurrencyLimit {
    max: usize,
    ceiling: Option<RequestCeiling>,
    state: Mutex<LimitState>,
    changed: Notify,
}

#[derive(Debug)]
struct LimitState {
    limit: usize,
    in_flight: usize,
    /// The number of successes since the limit changed or a 429 came.
    successes: usize,
    resume_at: Instant,
    lowered_at: Instant,
    /// When the latest requests started: at most as many as the ceiling allows per period.
    starts: VecDeque<Instant>,
}

impl LimitState {
    /// Returns when the next request may start: not during a pause, and not above the ceiling.
    fn next_start(&self, ceiling: Option<RequestCeiling>) -> Instant {
        let reached = ceiling.filter(|ceiling| self.starts.len() >= ceiling.requests);
        let below_ceiling =
            reached.and_then(|reached| Some(*self.starts.front()? + reached.period));
        below_ceiling.map_or(self.resume_at, |below| self.resume_at.max(below))
    }

    fn record_start(&mut self, now: Instant, ceiling: Option<RequestCeiling>) {
        self.in_flight += 1;
        let Some(ceiling) = ceiling else { return };
        if self.starts.len() >= ceiling.requests {
            self.starts.pop_front();
        }
        self.starts.push_back(now);
    }
}

/// Permission for one request in flight; dropping it admits the next.
#[derive(Debug)]
pub(super) struct Permit {
    limit: Arc<ConcurrencyLimit>,
    started: Instant,
}

impl ConcurrencyLimit {
    /// Creates a limit of `max` requests in flight, at least one, and of the requests per period.
    pub(super) fn new(max: usize, ceiling: Option<RequestCeiling>) -> Arc<Self> {
        let max = max.max(1);
        let now = Instant::now();
        let state = LimitState {
            limit: max,
            in_flight: 0,
            successes: 0,
            resume_at: now,
            lowered_at: now,
            starts: VecDeque::new(),
        };
        Arc::new(Self { max, ceiling, state: Mutex::new(state), changed: Notify::new() })
    }

    /// Waits until one more request may start.
    pub(super) async fn acquire(self: &Arc<Self>) -> Permit {
        loop {
            let changed = self.changed.notified();
            let pause = {
                let mut state = self.lock();
                let now = Instant::now();
                let next_start = state.next_start(self.ceiling);
                if now < next_start {
                    Some(next_start)
                } else if state.in_flight < state.limit {
                    state.record_start(now, self.ceiling);
                    return Permit { limit: Arc::clone(self), started: now };
                } else {
                    None
                }
            };
            match pause {
                Some(until) => tokio::time::sleep_until(until).await,
                None => changed.await,
            }
        }
    }

    /// Returns the end of the pause of all requests, if they pause.
    pub(super) fn resumes_at(&self) -> Option<Instant> {
        Some(self.lock().next_start(self.ceiling)).filter(|until| *until > Instant::now())
    }

    fn lock(&self) -> MutexGuard<'_, LimitState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    /// Records a success. `remaining` is the number of requests that the service still allows. If
    /// these are few, all requests pause, and it returns for how long.
    pub(super) fn on_success(&self, remaining: Option<u64>) -> Option<Duration> {
        let mut state = self.limit.lock();
        state.successes += 1;
        if state.successes >= state.limit && state.limit < self.limit.max {
            state.limit += 1;
            state.successes = 0;
            // Dropping the permit wakes one waiter; the raised limit admits a second.
            self.limit.changed.notify_one();
        }
        let few = u64::try_from(self.limit.max).unwrap_or(u64::MAX);
        remaining.filter(|remaining| *remaining <= few)?;
        state.limit = 1;
        state.successes = 0;
        state.resume_at = state.resume_at.max(Instant::now() + NEARLY_EMPTY_PAUSE);
        Some(NEARLY_EMPTY_PAUSE)
    }

    /// Records a 429: no request starts before the wait is over.
    pub(super) fn on_rate_limited(&self, wait: Duration) {
        let mut state = self.limit.lock();
        let now = Instant::now();
        state.resume_at = state.resume_at.max(now + wait);
        // Requests that were in flight together are rejected together: halve only once.
        if self.started >= state.lowered_at {
            state.limit = (state.limit / 2).max(1);
            state.lowered_at = now;
        }
        state.successes = 0;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.limit.lock().in_flight -= 1;
        self.limit.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn current(limit: &ConcurrencyLimit) -> usize {
        limit.lock().limit
    }

    #[tokio::test(start_paused = true)]
    async fn rejections_of_one_round_halve_the_limit_once_and_pause_all_requests() {
        let limit = ConcurrencyLimit::new(8, None);
        let round = [limit.acquire().await, limit.acquire().await, limit.acquire().await];
        tokio::time::advance(Duration::from_millis(10)).await;
        for permit in &round {
            permit.on_rate_limited(Duration::from_secs(7));
        }
        drop(round);
        assert_eq!(current(&limit), 4);
        let before = Instant::now();
        let resumes_at = before + Duration::from_secs(7);
        assert_eq!(limit.resumes_at(), Some(resumes_at));
        let permit = limit.acquire().await;
        assert!(before.elapsed() >= Duration::from_secs(7));
        assert_eq!(limit.resumes_at(), None);
        permit.on_rate_limited(Duration::ZERO);
        assert_eq!(current(&limit), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn the_limit_grows_by_one_per_round_up_to_the_maximum() {
        let limit = ConcurrencyLimit::new(3, None);
        limit.acquire().await.on_rate_limited(Duration::ZERO);
        assert_eq!(current(&limit), 1);
        limit.acquire().await.on_success(None);
        assert_eq!(current(&limit), 2);
        limit.acquire().await.on_success(None);
        assert_eq!(current(&limit), 2);
        for _ in 0..20 {
            limit.acquire().await.on_success(Some(5000));
        }
        assert_eq!(current(&limit), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_requests_use_the_raised_limit() {
        let limit = ConcurrencyLimit::new(4, None);
        limit.acquire().await.on_rate_limited(Duration::ZERO);
        let round = [limit.acquire().await, limit.acquire().await];
        for _ in 0..4 {
            let limit = Arc::clone(&limit);
            tokio::spawn(async move {
                let _permit = limit.acquire().await;
                std::future::pending::<()>().await;
            });
        }
        tokio::task::yield_now().await;
        for permit in round {
            permit.on_success(None);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(current(&limit), 3);
        assert_eq!(limit.lock().in_flight, 3);
    }

    #[tokio::test(start_paused = true)]
    async fn requests_pause_before_the_rate_limit_is_used_up() {
        let limit = ConcurrencyLimit::new(8, None);
        limit.acquire().await.on_success(Some(3));
        let before = Instant::now();
        let _permit = limit.acquire().await;
        assert!(before.elapsed() >= NEARLY_EMPTY_PAUSE);
        assert_eq!(current(&limit), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_requests_than_the_ceiling_start_in_any_period() {
        const PERIOD: Duration = Duration::from_mins(1);
        let ceiling = RequestCeiling { requests: 5, period: PERIOD };
        let limit = ConcurrencyLimit::new(3, Some(ceiling));
        let begin = Instant::now();
        let mut starts = Vec::new();
        for number in 0_u64..13 {
            drop(limit.acquire().await);
            starts.push(begin.elapsed());
            tokio::time::advance(Duration::from_secs(number % 3)).await;
        }
        assert!(starts[4] < Duration::from_secs(10), "the first ones do not wait: {starts:?}");
        for (first, sixth) in starts.iter().zip(starts.iter().skip(5)) {
            assert!(*sixth >= *first + PERIOD, "{starts:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_at_the_ceiling_is_reported() {
        let ceiling = RequestCeiling { requests: 1, period: Duration::from_mins(1) };
        let limit = ConcurrencyLimit::new(3, Some(ceiling));
        assert_eq!(limit.resumes_at(), None);
        let started = Instant::now();
        drop(limit.acquire().await);
        assert_eq!(limit.resumes_at(), Some(started + Duration::from_mins(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_requests_than_the_limit_are_in_flight() {
        let limit = ConcurrencyLimit::new(2, None);
        let _first = limit.acquire().await;
        let second = limit.acquire().await;
        let third = tokio::time::timeout(Duration::from_secs(1), limit.acquire()).await;
        assert!(third.is_err());
        drop(second);
        let third = tokio::time::timeout(Duration::from_secs(1), limit.acquire()).await;
        assert!(third.is_ok());
    }
}
