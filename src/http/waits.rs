//! Active waits before retries and during pauses of a service, for the progress line.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The active waits for all services of a run.
#[derive(Debug, Clone, Default)]
pub(crate) struct PendingWaits(Arc<Mutex<Waits>>);

#[derive(Debug, Default)]
struct Waits {
    started: u64,
    active: BTreeMap<u64, (String, Instant)>,
}

/// An active wait; dropping the guard ends it.
#[derive(Debug)]
pub(crate) struct WaitGuard {
    waits: PendingWaits,
    id: u64,
}

impl PendingWaits {
    /// Registers a wait for a host.
    pub(crate) fn start(&self, host: &str, until: tokio::time::Instant) -> WaitGuard {
        let mut waits = self.lock();
        waits.started += 1;
        let id = waits.started;
        waits.active.insert(id, (host.to_owned(), until.into_std()));
        WaitGuard { waits: self.clone(), id }
    }

    /// Returns the host with the longest remaining wait, and that wait.
    pub(crate) fn longest_remaining(&self) -> Option<(String, Duration)> {
        let waits = self.lock();
        let (host, until) = waits.active.values().max_by_key(|(_, until)| *until)?;
        let remaining = until.saturating_duration_since(Instant::now());
        (!remaining.is_zero()).then(|| (host.clone(), remaining))
    }

    fn lock(&self) -> MutexGuard<'_, Waits> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for WaitGuard {
    fn drop(&mut self) {
        self.waits.lock().active.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_active_wait_is_returned() {
        let now = tokio::time::Instant::now();
        let minutes = |count| Duration::from_mins(count);
        let host = |waits: &PendingWaits| waits.longest_remaining().map(|(host, _)| host);
        let waits = PendingWaits::default();
        assert_eq!(host(&waits), None);
        let _first = waits.start("first", now + minutes(10));
        let second = waits.start("second", now + minutes(20));
        let _third = waits.start("third", now + minutes(5));
        let (longest, remaining) = waits.longest_remaining().unwrap();
        assert_eq!(longest, "second");
        assert!(remaining > minutes(10) && remaining <= minutes(20), "{remaining:?}");
        drop(second);
        assert_eq!(host(&waits).as_deref(), Some("first"));
    }

    #[test]
    fn an_expired_wait_is_not_returned() {
        let waits = PendingWaits::default();
        let _guard = waits.start("host", tokio::time::Instant::now());
        assert_eq!(waits.longest_remaining(), None);
    }
}
