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
pub(super) struct Throttle {
    most: usize,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    limit: usize,
    under_way: usize,
    good_in_a_row: usize,
    resume_at: Instant,
    slowed_at: Instant,
}

/// The right to have one request under way.
#[derive(Debug)]
pub(super) struct Turn {
    throttle: Arc<Throttle>,
    began: Instant,
}

impl Throttle {
    /// At most this many requests side by side, at least one.
    pub fn new(most: usize) -> Arc<Self> {
        let most = most.max(1);
        let now = Instant::now();
        let state =
            State { limit: most, under_way: 0, good_in_a_row: 0, resume_at: now, slowed_at: now };
        Arc::new(Self { most, state: Mutex::new(state), changed: Notify::new() })
    }

    /// Waits until one more request may begin.
    pub async fn turn(self: &Arc<Self>) -> Turn {
        loop {
            let changed = self.changed.notified();
            let pause = {
                let mut state = self.state();
                let now = Instant::now();
                if now < state.resume_at {
                    Some(state.resume_at)
                } else if state.under_way < state.limit {
                    state.under_way += 1;
                    return Turn { throttle: Arc::clone(self), began: now };
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

impl Turn {
    /// The request was answered well, and so many requests are left as far as the service tells.
    pub fn went_well(&self, remaining: Option<u64>) {
        let mut state = self.throttle.state();
        state.good_in_a_row += 1;
        if state.good_in_a_row >= state.limit && state.limit < self.throttle.most {
            state.limit += 1;
            state.good_in_a_row = 0;
            // The end of this request makes room for one; this is for the other.
            self.throttle.changed.notify_one();
        }
        let hardly_any = u64::try_from(self.throttle.most).unwrap_or(u64::MAX);
        if remaining.is_some_and(|remaining| remaining <= hardly_any) {
            state.limit = 1;
            state.resume_at = state.resume_at.max(Instant::now() + NEARLY_EMPTY_PAUSE);
        }
    }

    /// The service asked to slow down: nothing begins before the wait is over.
    pub fn slow_down(&self, wait: Duration) {
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

impl Drop for Turn {
    fn drop(&mut self) {
        self.throttle.state().under_way -= 1;
        self.throttle.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(throttle: &Throttle) -> usize {
        throttle.state().limit
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_of_one_round_halve_once_and_hold_everyone_back() {
        let throttle = Throttle::new(8);
        let round = [throttle.turn().await, throttle.turn().await, throttle.turn().await];
        tokio::time::advance(Duration::from_millis(10)).await;
        for turn in &round {
            turn.slow_down(Duration::from_secs(7));
        }
        drop(round);
        assert_eq!(limit(&throttle), 4);
        let before = Instant::now();
        let resumes_at = before + Duration::from_secs(7);
        assert_eq!(throttle.resumes_at(), Some(resumes_at));
        let turn = throttle.turn().await;
        assert!(before.elapsed() >= Duration::from_secs(7));
        assert_eq!(throttle.resumes_at(), None);
        turn.slow_down(Duration::ZERO);
        assert_eq!(limit(&throttle), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn it_grows_back_by_one_a_round_up_to_the_most() {
        let throttle = Throttle::new(3);
        throttle.turn().await.slow_down(Duration::ZERO);
        assert_eq!(limit(&throttle), 1);
        throttle.turn().await.went_well(None);
        assert_eq!(limit(&throttle), 2);
        throttle.turn().await.went_well(None);
        assert_eq!(limit(&throttle), 2);
        for _ in 0..20 {
            throttle.turn().await.went_well(Some(5000));
        }
        assert_eq!(limit(&throttle), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_wait_use_what_grew_back() {
        let throttle = Throttle::new(4);
        throttle.turn().await.slow_down(Duration::ZERO);
        let round = [throttle.turn().await, throttle.turn().await];
        for _ in 0..4 {
            let throttle = Arc::clone(&throttle);
            tokio::spawn(async move {
                let _turn = throttle.turn().await;
                std::future::pending::<()>().await;
            });
        }
        tokio::task::yield_now().await;
        for turn in round {
            turn.went_well(None);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(limit(&throttle), 3);
        assert_eq!(throttle.state().under_way, 3);
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_requests_are_not_used_up_in_a_hurry() {
        let throttle = Throttle::new(8);
        throttle.turn().await.went_well(Some(3));
        let before = Instant::now();
        let _turn = throttle.turn().await;
        assert!(before.elapsed() >= NEARLY_EMPTY_PAUSE);
        assert_eq!(limit(&throttle), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_than_the_limit_are_under_way() {
        let throttle = Throttle::new(2);
        let _first = throttle.turn().await;
        let second = throttle.turn().await;
        let third = tokio::time::timeout(Duration::from_secs(1), throttle.turn()).await;
        assert!(third.is_err());
        drop(second);
        let third = tokio::time::timeout(Duration::from_secs(1), throttle.turn()).await;
        assert!(third.is_ok());
    }
}
