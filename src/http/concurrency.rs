//! The concurrency limit of one service, shared by all its requests.
//!
//! A 429 pauses all requests for its wait and halves the limit; each full round of successes raises
//! the limit by one. When `X-RateLimit-Remaining` falls to the maximum, the limit becomes 1 and all
//! requests pause for a second.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// How long all requests pause when few are left: the services refill their limits every second.
const NEARLY_EMPTY_PAUSE: Duration = Duration::from_secs(1);

/// The limit on requests in flight to one service.
#[derive(Debug)]
pub(super) struct ConcurrencyLimit {
    max: usize,
    state: Mutex<LimitState>,
    changed: Notify,
}

#[derive(Debug)]
struct LimitState {
    limit: usize,
    in_flight: usize,
    /// Since the limit last changed.
    successes: usize,
    resume_at: Instant,
    lowered_at: Instant,
}

/// Permission for one request in flight; dropping it admits the next.
#[derive(Debug)]
pub(super) struct Permit {
    limit: Arc<ConcurrencyLimit>,
    started: Instant,
}

impl ConcurrencyLimit {
    /// Creates a limit of `max` requests in flight, at least one.
    pub(super) fn new(max: usize) -> Arc<Self> {
        let max = max.max(1);
        let now = Instant::now();
        let state =
            LimitState { limit: max, in_flight: 0, successes: 0, resume_at: now, lowered_at: now };
        Arc::new(Self { max, state: Mutex::new(state), changed: Notify::new() })
    }

    /// Waits until one more request may start.
    pub(super) async fn acquire(self: &Arc<Self>) -> Permit {
        loop {
            let changed = self.changed.notified();
            let pause = {
                let mut state = self.lock();
                let now = Instant::now();
                if now < state.resume_at {
                    Some(state.resume_at)
                } else if state.in_flight < state.limit {
                    state.in_flight += 1;
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
        Some(self.lock().resume_at).filter(|until| *until > Instant::now())
    }

    fn lock(&self) -> MutexGuard<'_, LimitState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    /// Records a success. `remaining` is the number of requests that the service still allows.
    pub(super) fn on_success(&self, remaining: Option<u64>) {
        let mut state = self.limit.lock();
        state.successes += 1;
        if state.successes >= state.limit && state.limit < self.limit.max {
            state.limit += 1;
            state.successes = 0;
            // Dropping the permit wakes one waiter; the raised limit admits a second.
            self.limit.changed.notify_one();
        }
        let few = u64::try_from(self.limit.max).unwrap_or(u64::MAX);
        if remaining.is_some_and(|remaining| remaining <= few) {
            state.limit = 1;
            state.successes = 0;
            state.resume_at = state.resume_at.max(Instant::now() + NEARLY_EMPTY_PAUSE);
        }
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
    async fn rate_limits_of_one_round_halve_the_limit_once_and_pause_all_requests() {
        let limit = ConcurrencyLimit::new(8);
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
        let limit = ConcurrencyLimit::new(3);
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
        let limit = ConcurrencyLimit::new(4);
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
        let limit = ConcurrencyLimit::new(8);
        limit.acquire().await.on_success(Some(3));
        let before = Instant::now();
        let _permit = limit.acquire().await;
        assert!(before.elapsed() >= NEARLY_EMPTY_PAUSE);
        assert_eq!(current(&limit), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_requests_than_the_limit_are_in_flight() {
        let limit = ConcurrencyLimit::new(2);
        let _first = limit.acquire().await;
        let second = limit.acquire().await;
        let third = tokio::time::timeout(Duration::from_secs(1), limit.acquire()).await;
        assert!(third.is_err());
        drop(second);
        let third = tokio::time::timeout(Duration::from_secs(1), limit.acquire()).await;
        assert!(third.is_ok());
    }
}
