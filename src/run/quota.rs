//! The quota of a Recorded Future key for one day, which all tenants with this key share.
//!
//! Each tenant may send its share (the quota divided by the number of tenants) as soon as it has
//! read its alerts. What is left then goes to the most severe of all, once every tenant has sent
//! its share or failed. A tenant that takes too long does not hold back the others: when most of
//! the time is over, they divide what is left besides its share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::clock::Clock;
use crate::http::OneAtATime;
use crate::ledger::{Result, TenantId, TenantLedger};

/// The quota of one key in this process.
#[derive(Debug)]
pub(crate) struct KeyQuota {
    /// The tenants with this key.
    tenants: u64,
    /// The maximum number of indicators per UTC day: the highest one of the tenants.
    limit: u64,
    /// When what is left is divided at the latest; `None` for a single run.
    divided_at: Option<Instant>,
    /// The clock of the process: the clocks of the tenants follow their vendors'. `None` for a
    /// single run.
    clock: Option<Clock>,
    /// Recorded Future gets the batches of a key one after the other.
    pub(super) turns: OneAtATime,
    state: Mutex<QuotaState>,
}

#[derive(Debug, Default)]
struct QuotaState {
    /// The indicators that were delivered on this day before the first share was known.
    used_before: Option<u64>,
    /// The indicators that were delivered since.
    delivered: u64,
    /// The tenants that have not sent their share yet.
    in_first_part: u64,
    /// The indicators in batches that are being sent.
    in_flight: u64,
    /// The tenants that wait for what is left.
    waiting: Vec<TenantId>,
    /// The rest of the quota, divided among the tenants that waited, until they take their part.
    allowances: BTreeMap<TenantId, u64>,
}

impl KeyQuota {
    /// Creates the quota of a key that only one run uses.
    pub(crate) fn alone() -> Arc<Self> {
        Self::new(1, u64::MAX, None, None)
    }

    /// Creates the quota of a key of several tenants. None of them may have started.
    pub(crate) fn shared(tenants: u64, limit: u64, divided_at: Instant, clock: Clock) -> Arc<Self> {
        Self::new(tenants, limit, Some(divided_at), Some(clock))
    }

    fn new(
        tenants: u64,
        limit: u64,
        divided_at: Option<Instant>,
        clock: Option<Clock>,
    ) -> Arc<Self> {
        let state = QuotaState { in_first_part: tenants, ..QuotaState::default() };
        let (turns, state) = (OneAtATime::default(), Mutex::new(state));
        Arc::new(Self { tenants, limit, divided_at, clock, turns, state })
    }

    /// Returns the number of tenants with this key.
    pub(super) const fn tenants(&self) -> u64 {
        self.tenants
    }

    /// Whether a tenant that has sent its share may get more.
    pub(super) const fn is_shared(&self) -> bool {
        self.tenants > 1
    }

    /// Returns the guard of a tenant's first part, which ends when it is dropped.
    pub(crate) fn first_part(self: &Arc<Self>) -> FirstPart {
        FirstPart(Arc::clone(self))
    }

    /// Returns how many indicators a tenant with this limit may send before the rest is divided.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(super) fn share(&self, limit: u64, ledger: &TenantLedger) -> Result<u64> {
        if !self.is_shared() {
            return Ok(u64::MAX);
        }
        let used = self.used_before(&mut self.lock(), ledger)?;
        Ok(limit.saturating_sub(used) / self.tenants)
    }

    fn used_before(&self, state: &mut QuotaState, ledger: &TenantLedger) -> Result<u64> {
        match state.used_before {
            Some(used) => Ok(used),
            None => Ok(*state.used_before.insert(self.used_today(ledger)?)),
        }
    }

    /// Returns what is used on the day of the tenant, and on that of the process if it is more:
    /// the time of one tenant's vendor must not give the others a new day.
    fn used_today(&self, ledger: &TenantLedger) -> Result<u64> {
        let used = ledger.quota_used()?;
        match self.clock {
            Some(clock) => Ok(used.max(ledger.quota_used_on(clock.now().date_naive())?)),
            None => Ok(used),
        }
    }

    /// Returns what is used and being sent. If the day of the tenant is another than that of the
    /// others, what they delivered since the first share was known counts too.
    fn taken(&self, state: &mut QuotaState, ledger: &TenantLedger) -> Result<u64> {
        let used = self.used_today(ledger)?;
        let used = if self.is_shared() {
            used.max(self.used_before(state, ledger)?.saturating_add(state.delivered))
        } else {
            used
        };
        Ok(used.saturating_add(state.in_flight))
    }

    /// Reserves `wanted` indicators for a run, or as many as its limit has left.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(super) fn reserve(
        self: &Arc<Self>,
        wanted: u64,
        limit: u64,
        ledger: &TenantLedger,
    ) -> Result<Reservation> {
        let mut state = self.lock();
        let taken = self.taken(&mut state, ledger)?;
        let count = wanted.min(limit.saturating_sub(taken));
        state.in_flight += count;
        Ok(Reservation { quota: Arc::clone(self), count })
    }

    /// Registers a tenant for a part of what will be left.
    pub(super) fn wait(&self, tenant: TenantId) {
        self.lock().waiting.push(tenant);
    }

    /// Whether what is left can be divided.
    pub(super) fn is_divisible(&self) -> bool {
        self.lock().in_first_part == 0
            || self.divided_at.is_some_and(|latest| Instant::now() >= latest)
    }

    /// Returns how many indicators a tenant that waited may send: its part of the most severe ones
    /// of all tenants that wait. The first of them divides what is left.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(super) fn allowance(&self, ledger: &TenantLedger) -> Result<u64> {
        let mut state = self.lock();
        if !state.waiting.is_empty() {
            let used = self.used_before(&mut state, ledger)?;
            let share = self.limit.saturating_sub(used) / self.tenants;
            let kept = [
                self.taken(&mut state, ledger)?,
                share.saturating_mul(state.in_first_part),
                state.allowances.values().sum(),
            ];
            let kept = kept.into_iter().fold(0, u64::saturating_add);
            let waiting = std::mem::take(&mut state.waiting);
            let left = self.limit.saturating_sub(kept);
            state.allowances.extend(ledger.most_severe(&waiting, left)?);
        }
        Ok(state.allowances.remove(&ledger.tenant()).unwrap_or_default())
    }

    fn lock(&self) -> MutexGuard<'_, QuotaState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The time in which a tenant has not sent its share yet.
#[derive(Debug)]
pub(crate) struct FirstPart(Arc<KeyQuota>);

impl Drop for FirstPart {
    fn drop(&mut self) {
        self.0.lock().in_first_part -= 1;
    }
}

/// Indicators that may be sent; dropping it gives back what was not delivered.
#[derive(Debug)]
pub(super) struct Reservation {
    quota: Arc<KeyQuota>,
    pub count: u64,
}

impl Reservation {
    /// Records that some of them were delivered. No other tenant sees them as both delivered and
    /// being sent.
    ///
    /// # Errors
    /// The errors of `record`.
    pub(super) fn commit(&mut self, count: u64, record: impl FnOnce() -> Result<()>) -> Result<()> {
        let mut state = self.quota.lock();
        record()?;
        let count = count.min(self.count);
        state.in_flight -= count;
        state.delivered = state.delivered.saturating_add(count);
        self.count -= count;
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.quota.lock().in_flight -= self.count;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::detection::SourceInfo;
    use crate::ledger::{BusyRetry, LedgerOptions, SharedLedger, Tenant, TenantOptions};

    fn clock() -> Clock {
        Clock::fixed("2026-11-22T00:15:00Z".parse().unwrap())
    }

    /// Returns a quota that is divided in an hour.
    fn quota() -> Arc<KeyQuota> {
        KeyQuota::shared(2, 10, Instant::now() + Duration::from_hours(1), clock())
    }

    fn ledgers<const N: usize>() -> [TenantLedger; N] {
        let clock = clock();
        let busy_retry = BusyRetry::default();
        let file = LedgerOptions { path: None, dry_run: false, busy_retry, lock: None };
        let shared = SharedLedger::open(file, clock).unwrap();
        std::array::from_fn(|number| {
            let tenant = Tenant {
                name: format!("tenant-{number}"),
                source: "crowdstrike".to_owned(),
                account: String::new(),
                customer: None,
                token: "token".to_owned(),
                organizations: Vec::new(),
                adopt: false,
            };
            let source = SourceInfo {
                name: "crowdstrike",
                title: "CrowdStrike Falcon",
                source_type: "crowdstrike:falcon",
                incident_type: "crowdstrike-falcon-alert",
            };
            let busy_retry = BusyRetry::default();
            let options =
                TenantOptions { tenant, source, run_id: "run", resend: false, busy_retry };
            TenantLedger::open(&shared, options, clock).unwrap()
        })
    }

    #[test]
    fn what_is_being_sent_is_reserved_until_it_has_failed_or_counts() {
        let [ledger, other] = ledgers();
        let quota = quota();
        assert_eq!(quota.share(10, &ledger).unwrap(), 5);
        let first = quota.reserve(7, 10, &ledger).unwrap();
        let second = quota.reserve(7, 10, &other).unwrap();
        assert_eq!((first.count, second.count), (7, 3));
        assert_eq!(quota.reserve(1, 10, &ledger).unwrap().count, 0);
        drop(first);
        assert_eq!(quota.reserve(9, 10, &ledger).unwrap().count, 7);
    }

    #[test]
    fn what_is_left_is_divided_once_all_have_sent_their_share_or_time_is_over() {
        let quota = quota();
        let [one, other] = [quota.first_part(), quota.first_part()];
        drop(one);
        assert!(!quota.is_divisible());
        drop(other);
        assert!(quota.is_divisible());
        let late = KeyQuota::shared(2, 10, Instant::now(), clock());
        let _hangs = late.first_part();
        assert!(late.is_divisible());
    }
}
