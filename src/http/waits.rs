//! Whom the run waits for at this moment: noted by the requests, read by whoever shows it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The waits that are on, of all services of a run.
#[derive(Debug, Clone, Default)]
pub struct PendingWaits(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    begun: u64,
    on: BTreeMap<u64, (String, Instant)>,
}

/// A wait; it is over when this is dropped, however that comes about.
#[derive(Debug)]
pub(crate) struct WaitGuard {
    waits: PendingWaits,
    number: u64,
}

impl PendingWaits {
    /// Notes that a host is waited for.
    pub(crate) fn start(&self, host: &str, until: tokio::time::Instant) -> WaitGuard {
        let mut state = self.state();
        state.begun += 1;
        let number = state.begun;
        state.on.insert(number, (host.to_owned(), until.into_std()));
        WaitGuard { waits: self.clone(), number }
    }

    /// The host that is waited for the longest from now on, and how long.
    #[must_use]
    pub fn longest_remaining(&self) -> Option<(String, Duration)> {
        let state = self.state();
        let (host, until) = state.on.values().max_by_key(|(_, until)| *until)?;
        let left = until.saturating_duration_since(Instant::now());
        (!left.is_zero()).then(|| (host.clone(), left))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for WaitGuard {
    fn drop(&mut self) {
        self.waits.state().on.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_wait_that_is_on_is_told() {
        let now = tokio::time::Instant::now();
        let minutes = |count| Duration::from_mins(count);
        let host = |waits: &PendingWaits| waits.longest_remaining().map(|(host, _)| host);
        let waits = PendingWaits::default();
        assert_eq!(host(&waits), None);
        let _first = waits.start("first", now + minutes(10));
        let second = waits.start("second", now + minutes(20));
        let _third = waits.start("third", now + minutes(5));
        let (longest, left) = waits.longest_remaining().unwrap();
        assert_eq!(longest, "second");
        assert!(left > minutes(10) && left <= minutes(20), "{left:?}");
        drop(second);
        assert_eq!(host(&waits).as_deref(), Some("first"));
    }

    #[test]
    fn a_wait_whose_time_has_come_is_not_told() {
        let waits = PendingWaits::default();
        let _waiting = waits.start("host", tokio::time::Instant::now());
        assert_eq!(waits.longest_remaining(), None);
    }
}
