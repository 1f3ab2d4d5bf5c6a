//! The rate limits of services that several tenants of a process use.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::Url;

use super::concurrency::{ConcurrencyLimit, Permit, RequestCeiling};

/// One limit per address (scheme, host and port), which clients share. If a service tells one of
/// them to wait, all wait, and the ceiling counts the requests of all. The number of requests in
/// flight is not limited here, so that hanging requests of one tenant do not hold up the others.
#[derive(Debug, Clone, Default)]
pub(crate) struct AddressLimits(Arc<Mutex<BTreeMap<String, Arc<ConcurrencyLimit>>>>);

impl AddressLimits {
    /// Returns the limit of the address of a URL. The first call for an address sets the ceiling:
    /// two vendors have no address in common, except in tests.
    pub(super) fn of(&self, url: &Url, ceiling: RequestCeiling) -> Arc<ConcurrencyLimit> {
        let mut limits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let limit = limits.entry(url.origin().ascii_serialization());
        Arc::clone(limit.or_insert_with(|| ConcurrencyLimit::new(usize::MAX, Some(ceiling))))
    }
}

/// Requests one after the other, for all clients that share it.
#[derive(Debug, Clone)]
pub(crate) struct OneAtATime(pub(super) Arc<ConcurrencyLimit>);

impl Default for OneAtATime {
    fn default() -> Self {
        Self(ConcurrencyLimit::new(1, None))
    }
}

/// Permission for one request in flight: from its client's own limit, and from the limit of its
/// address if that is shared.
#[derive(Debug)]
pub(super) struct Turn {
    pub own: Permit,
    pub address: Option<Permit>,
}

impl Turn {
    /// Records a success. `remaining` is the number of requests that the service still allows.
    pub(super) fn on_success(&self, remaining: Option<u64>) {
        let pause = self.own.on_success(remaining);
        if let Some((address, pause)) = self.address.as_ref().zip(pause) {
            address.on_rate_limited(pause);
        }
    }

    /// Records a 429: no request starts before the wait is over.
    pub(super) fn on_rate_limited(&self, wait: Duration) {
        self.own.on_rate_limited(wait);
        if let Some(address) = &self.address {
            address.on_rate_limited(wait);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(limits: &AddressLimits, url: &str) -> Arc<ConcurrencyLimit> {
        let ceiling = RequestCeiling { requests: 3, period: Duration::from_mins(1) };
        limits.of(&url.parse().unwrap(), ceiling)
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_has_one_limit_whatever_the_path() {
        let limits = AddressLimits::default();
        let one = of(&limits, "https://api.example.com/a");
        let same = of(&limits.clone(), "https://api.example.com:443/b");
        let other = of(&limits, "https://api.example.net/a");
        one.acquire().await.on_rate_limited(Duration::from_secs(7));
        assert!(same.resumes_at().is_some());
        assert_eq!(other.resumes_at(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn all_clients_together_stay_below_the_ceiling() {
        let limits = AddressLimits::default();
        let started = tokio::time::Instant::now();
        for number in 0..4 {
            let limit = of(&limits, &format!("https://api.example.com/{number}"));
            drop(limit.acquire().await);
        }
        assert!(started.elapsed() >= Duration::from_mins(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_is_told_to_wait_makes_the_others_wait() {
        let limits = AddressLimits::default();
        let own = ConcurrencyLimit::new(8, None);
        let turn = || async {
            let address = Some(of(&limits, "https://api.example.com").acquire().await);
            Turn { own: own.acquire().await, address }
        };
        let others_wait = || of(&limits, "https://api.example.com").resumes_at().is_some();
        turn().await.on_success(Some(9));
        assert!(!others_wait());
        turn().await.on_success(Some(8));
        assert!(others_wait(), "few requests are left");
        tokio::time::sleep(Duration::from_secs(2)).await;
        turn().await.on_rate_limited(Duration::from_secs(7));
        assert!(others_wait());
    }
}
