//! The ledger as one run sees it: its own tenant and its own id.

#[cfg(test)]
use std::path::Path;
use std::sync::{PoisonError, RwLock};

use chrono::{DateTime, Days, NaiveDate, Utc};
use rusqlite::{Connection, params};

#[cfg(test)]
use super::LedgerOptions;
use super::columns::optional_time;
use super::error::Problem;
use super::tenant::{Properties, Tenant, TenantId};
use super::{BusyRetry, Result, SharedLedger};
use crate::clock::Clock;
use crate::detection::SourceInfo;

/// The options of a run that uses the ledger.
#[derive(Debug)]
pub(crate) struct TenantOptions<'a> {
    /// The tenant of the run.
    pub tenant: Tenant,
    /// The source, for the items that are stored.
    pub source: SourceInfo,
    /// The run's id.
    pub run_id: &'a str,
    /// Whether indicators that were delivered are stored again.
    pub resend: bool,
    /// The limit for waiting until other programs unlock the file.
    pub busy_retry: BusyRetry,
}

/// The ledger of one run.
#[derive(Debug)]
pub(crate) struct TenantLedger {
    shared: SharedLedger,
    busy_retry: BusyRetry,
    pub(super) tenant: TenantId,
    /// The tenant's properties before this run.
    pub(super) before: Properties,
    /// The tenant's properties in this run.
    pub(super) own: Properties,
    pub(super) token: String,
    pub(super) source: SourceInfo,
    pub(super) run_id: String,
    pub(super) resend: bool,
    clock: RwLock<Clock>,
}

impl TenantLedger {
    /// Opens the ledger for a run. Adds the tenant if it is new, queues the entries of damaged
    /// batches again, and deletes delivered entries from the outbox.
    ///
    /// # Errors
    /// When the ledger cannot be read or written, and when the tenant has another source or
    /// customer.
    pub(crate) fn open(
        shared: &SharedLedger,
        options: TenantOptions<'_>,
        clock: Clock,
    ) -> Result<Self> {
        let (tenant, before) =
            shared.lock(&options.busy_retry).find_or_add_tenant(&options.tenant)?;
        let opened = Self {
            shared: shared.clone(),
            busy_retry: options.busy_retry,
            tenant,
            before,
            own: options.tenant.properties(),
            token: options.tenant.token,
            source: options.source,
            run_id: options.run_id.to_owned(),
            resend: options.resend,
            clock: RwLock::new(clock),
        };
        opened.requeue_lost()?;
        opened.delete_delivered()?;
        Ok(opened)
    }

    /// Opens a ledger for one run: the one at `path`, or else a private one.
    #[cfg(test)]
    pub(crate) fn open_alone(
        path: Option<&Path>,
        dry_run: bool,
        options: TenantOptions<'_>,
        clock: Clock,
    ) -> Result<Self> {
        let busy_retry = options.busy_retry.clone();
        let file = LedgerOptions { path, dry_run, busy_retry, lock: None };
        Self::open(&SharedLedger::open(file, clock)?, options, clock)
    }

    /// Returns the whole ledger. It stays locked until the result is dropped.
    #[cfg(test)]
    pub(crate) fn ledger(&self) -> std::sync::MutexGuard<'_, super::Ledger> {
        self.shared.lock(&self.busy_retry)
    }

    /// Does `work` as one transaction: wholly or not at all.
    pub(super) fn transaction<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Problem>,
    ) -> Result<T> {
        self.shared.lock(&self.busy_retry).transaction(work)
    }

    /// Runs a query, again while another program has the file locked.
    pub(super) fn read<T>(&self, query: impl Fn(&Connection) -> Result<T, Problem>) -> Result<T> {
        self.shared.lock(&self.busy_retry).reader().read(query)
    }

    /// Returns once another tenant waits for the ledger: a transaction should end soon then.
    pub(crate) async fn wanted_by_others(&self) {
        self.shared.wanted().await;
    }

    pub(super) const fn shared(&self) -> &SharedLedger {
        &self.shared
    }

    /// Returns the clock whose times are stored.
    pub(super) fn clock(&self) -> Clock {
        *self.clock.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Uses another clock from now on.
    pub(crate) fn set_clock(&self, clock: Clock) {
        *self.clock.write().unwrap_or_else(PoisonError::into_inner) = clock;
    }

    /// Returns the id of the tenant.
    pub(crate) const fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// Returns the number of entries that are queued.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(crate) fn queued(&self) -> Result<u64> {
        self.read(|db| Ok(count_pending(db, self.tenant, "waiting")?))
    }

    /// Returns when the oldest queued entry was stored (UTC).
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(crate) fn oldest_queued(&self) -> Result<Option<DateTime<Utc>>> {
        self.read(|db| Ok(oldest_queued(db, self.tenant)?))
    }

    /// Returns the number of indicators delivered with this token on the current UTC day, by all
    /// tenants.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(crate) fn quota_used(&self) -> Result<u64> {
        self.quota_used_on(self.clock().now().date_naive())
    }

    /// Returns the number of indicators delivered with this token on a UTC day, by all tenants.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(crate) fn quota_used_on(&self, day: NaiveDate) -> Result<u64> {
        self.read(|db| Ok(quota_used(db, &self.token, day)?))
    }
}

/// Returns the number of a tenant's pending entries in `state`.
pub(super) fn count_pending(
    db: &Connection,
    tenant: TenantId,
    state: &str,
) -> rusqlite::Result<u64> {
    let mut count =
        db.prepare_cached("SELECT count(*) FROM pending WHERE tenant = ?1 AND state = ?2")?;
    count.query_row(params![tenant.0, state], |row| row.get(0))
}

/// Returns when the oldest of a tenant's queued entries was stored.
pub(super) fn oldest_queued(
    db: &Connection,
    tenant: TenantId,
) -> rusqlite::Result<Option<DateTime<Utc>>> {
    let mut select = db.prepare_cached(
        "SELECT min(stored_at) AS time FROM pending WHERE tenant = ?1 AND state = 'waiting'",
    )?;
    select.query_row([tenant.0], |row| optional_time(row, "time"))
}

/// Returns the number of entries delivered with a token on a UTC day.
pub(super) fn quota_used(db: &Connection, token: &str, day: NaiveDate) -> rusqlite::Result<u64> {
    let next = day.succ_opt().unwrap_or(day);
    // The index has only when a batch began: at most a day before it was delivered.
    let earliest = day.checked_sub_days(Days::new(2)).unwrap_or(day);
    let mut select = db.prepare_cached(
        "SELECT ifnull(sum(entries), 0) FROM batch
         WHERE token = ?1 AND begun_at >= ?2 AND begun_at < ?4
            AND ended_at >= ?3 AND ended_at < ?4 AND state = 'delivered'",
    )?;
    let days = params![token, earliest.to_string(), day.to_string(), next.to_string()];
    select.query_row(days, |row| row.get(0))
}
