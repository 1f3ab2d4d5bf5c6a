//! Backing off together: how many requests of one service are under way, and when none may begin.
//!
//! One 429 slows all: its wait holds for every request, and half as many go side by side afterwards;
//! each full round without another lets one more go. A service that tells how many requests are left is
//! taken at its word before nothing is left.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// How long all requests pause when the service says that hardly any are left: its limits refill by the
/// second.
const NEARLY_EMPTY_PAUSE: Duration = Duration::from_secs(1);

/// The shared state of all requests to one service.
#[derive(Debug)]
pub(super) struct ConcurrencyLimit {
    max: usize,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    limit: usize,
    in_flight: usize,
    good_in_a_row: usize,
    resume_at: Instant,
    slowed_at: Instant,
}

/// The right to have one request under way.
#[derive(Debug)]
pub(super) struct Permit {
    throttle: Arc<ConcurrencyLimit>,
    began: Instant,
}

impl ConcurrencyLimit {
    /// At max this many requests side by side, at least one.
    pub fn new(max: usize) -> Arc<Self> {
        let max = max.max(1);
        let now = Instant::now();
        let state =
            State { limit: max, in_flight: 0, good_in_a_row: 0, resume_at: now, slowed_at: now };
        Arc::new(Self { max, state: Mutex::new(state), changed: Notify::new() })
    }

    /// PendingWaits until one more request may begin.
    pub async fn acquire(self: &Arc<Self>) -> Permit {
        loop {
            let changed = self.changed.notified();
            let pause = {
                let mut state = self.state();
                let now = Instant::now();
                if now < state.resume_at {
                    Some(state.resume_at)
                } else if state.in_flight < state.limit {
                    state.in_flight += 1;
                    return Permit { throttle: Arc::clone(self), began: now };
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

    /// Until when all requests pause, where they do.
    pub fn resumes_at(&self) -> Option<Instant> {
        Some(self.state().resume_at).filter(|until| *until > Instant::now())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    /// The request was answered well, and so many requests are left as far as the service tells.
    pub fn on_success(&self, remaining: Option<u64>) {
        let mut state = self.throttle.state();
        state.good_in_a_row += 1;
        if state.good_in_a_row >= state.limit && state.limit < self.throttle.max {
            state.limit += 1;
            state.good_in_a_row = 0;
            // The end of this request makes room for one; this is for the other.
            self.throttle.changed.notify_one();
        }
        let hardly_any = u64::try_from(self.throttle.max).unwrap_or(u64::MAX);
        if remaining.is_some_and(|remaining| remaining <= hardly_any) {
            state.limit = 1;
            state.resume_at = state.resume_at.max(Instant::now() + NEARLY_EMPTY_PAUSE);
        }
    }

    /// The service asked to slow down: nothing begins before the wait is over.
    pub fn on_rate_limited(&self, wait: Duration) {
        let mut state = self.throttle.state();
        let now = Instant::now();
        state.resume_at = state.resume_at.max(now + wait);
        // Requests that were under way together are refused together: that is one reason to halve.
        if self.began >= state.slowed_at {
            state.limit = (state.limit / 2).max(1);
            state.slowed_at = now;
        }
        state.good_in_a_row = 0;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.throttle.state().in_flight -= 1;
        self.throttle.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(throttle: &ConcurrencyLimit) -> usize {
        throttle.state().limit
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_of_one_round_halve_once_and_hold_everyone_back() {
        let throttle = ConcurrencyLimit::new(8);
        let round = [throttle.acquire().await, throttle.acquire().await, throttle.acquire().await];
        tokio::time::advance(Duration::from_millis(10)).await;
        for turn in &round {
            turn.on_rate_limited(Duration::from_secs(7));
        }
        drop(round);
        assert_eq!(limit(&throttle), 4);
        let before = Instant::now();
        let resumes_at = before + Duration::from_secs(7);
        assert_eq!(throttle.resumes_at(), Some(resumes_at));
        let turn = throttle.acquire().await;
        assert!(before.elapsed() >= Duration::from_secs(7));
        assert_eq!(throttle.resumes_at(), None);
        turn.on_rate_limited(Duration::ZERO);
        assert_eq!(limit(&throttle), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn it_grows_back_by_one_a_round_up_to_the_most() {
        let throttle = ConcurrencyLimit::new(3);
        throttle.acquire().await.on_rate_limited(Duration::ZERO);
        assert_eq!(limit(&throttle), 1);
        throttle.acquire().await.on_success(None);
        assert_eq!(limit(&throttle), 2);
        throttle.acquire().await.on_success(None);
        assert_eq!(limit(&throttle), 2);
        for _ in 0..20 {
            throttle.acquire().await.on_success(Some(5000));
        }
        assert_eq!(limit(&throttle), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_wait_use_what_grew_back() {
        let throttle = ConcurrencyLimit::new(4);
        throttle.acquire().await.on_rate_limited(Duration::ZERO);
        let round = [throttle.acquire().await, throttle.acquire().await];
        for _ in 0..4 {
            let throttle = Arc::clone(&throttle);
            tokio::spawn(async move {
                let _turn = throttle.acquire().await;
                std::future::pending::<()>().await;
            });
        }
        tokio::task::yield_now().await;
        for turn in round {
            turn.on_success(None);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(limit(&throttle), 3);
        assert_eq!(throttle.state().in_flight, 3);
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_requests_are_not_used_up_in_a_hurry() {
        let throttle = ConcurrencyLimit::new(8);
        throttle.acquire().await.on_success(Some(3));
        let before = Instant::now();
        let _turn = throttle.acquire().await;
        assert!(before.elapsed() >= NEARLY_EMPTY_PAUSE);
        assert_eq!(limit(&throttle), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_than_the_limit_are_under_way() {
        let throttle = ConcurrencyLimit::new(2);
        let _first = throttle.acquire().await;
        let second = throttle.acquire().await;
        let third = tokio::time::timeout(Duration::from_secs(1), throttle.acquire()).await;
        assert!(third.is_err());
        drop(second);
        let third = tokio::time::timeout(Duration::from_secs(1), throttle.acquire()).await;
        assert!(third.is_ok());
    }
}
