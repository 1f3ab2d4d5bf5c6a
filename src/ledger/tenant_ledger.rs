//! The ledger as one run sees it: its own tenant and its own id.

use std::path::Path;

use chrono::{DateTime, Days, NaiveDate, Utc};
use rusqlite::{Connection, params};

use super::columns::{RowCount, time};
use super::files::Examine;
use super::tenant::{Properties, Tenant, TenantId};
use super::{Ledger, LedgerReader, Lock, Patience, Result};
use crate::clock::Clock;
use crate::detection::SourceInfo;

/// How a run opens its ledger.
#[derive(Debug)]
pub(crate) struct TenantOptions<'a> {
    /// The file; `None` for a private ledger that is gone after the run.
    pub path: Option<&'a Path>,
    /// Whether the file is left as it is.
    pub dry_run: bool,
    /// Whose run it is.
    pub tenant: Tenant,
    /// The source, for the items that are stored.
    pub source: SourceInfo,
    /// The run's id.
    pub run_id: &'a str,
    /// Whether indicators that were delivered are stored again.
    pub resend: bool,
    /// How long to wait while another program has the file locked.
    pub patience: Patience,
    /// The ledger's lock, where the run has waited for it.
    pub lock: Option<Lock>,
}

/// The ledger of one run.
#[derive(Debug)]
pub(crate) struct TenantLedger {
    pub(super) ledger: Ledger,
    pub(super) tenant: TenantId,
    /// The tenant's properties before this run.
    pub(super) before: Properties,
    /// Those of this run.
    pub(super) own: Properties,
    pub(super) token: String,
    pub(super) source: SourceInfo,
    pub(super) run_id: String,
    pub(super) resend: bool,
    pub(super) clock: Clock,
}

impl TenantLedger {
    /// Opens the ledger for a run, and queues again what a killed run left in a batch.
    ///
    /// # Errors
    /// When the ledger cannot be opened, read or written, and when the tenant has another source or
    /// customer.
    pub(crate) fn open(options: TenantOptions<'_>, clock: Clock) -> Result<Self> {
        let ledger = match options.path {
            None => Ledger::temporary(),
            Some(path) if options.dry_run => Ledger::open_dry_run_examined(
                path,
                clock.now(),
                Examine::Short,
                options.patience,
                options.lock,
            ),
            Some(path) => Ledger::open_patiently(path, clock.now(), options.patience, options.lock),
        }?;
        let (tenant, before) = ledger.tenant(&options.tenant)?;
        let opened = Self {
            ledger,
            tenant,
            before,
            own: options.tenant.properties(),
            token: options.tenant.token,
            source: options.source,
            run_id: options.run_id.to_owned(),
            resend: options.resend,
            clock,
        };
        opened.requeue_interrupted()?;
        opened.delete_delivered()?;
        Ok(opened)
    }

    pub(super) const fn reader(&self) -> &LedgerReader {
        self.ledger.reader()
    }

    /// Returns the absolute path of the file that opening it created; `None` if it was there
    /// before, or is private.
    pub(crate) fn created_at(&self) -> Option<&Path> {
        self.ledger.is_new.then(|| self.reader().path())
    }

    /// Uses another clock from now on.
    pub(crate) fn set_clock(&mut self, clock: Clock) {
        self.clock = clock;
    }

    /// Returns the number of entries that are queued.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(crate) fn queued(&self) -> Result<u64> {
        self.reader().read(|db| Ok(count_pending(db, self.tenant, "waiting")?))
    }

    /// Returns when the oldest queued entry was stored (UTC).
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(crate) fn oldest_queued(&self) -> Result<Option<DateTime<Utc>>> {
        self.reader().read(|db| Ok(oldest_queued(db, self.tenant)?))
    }

    /// Returns the number of indicators delivered with this token on the UTC day of now, by all
    /// tenants.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(crate) fn quota_used(&self) -> Result<u64> {
        let today = self.clock.now().date_naive();
        self.reader().read(|db| Ok(quota_used(db, &self.token, today)?))
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
    count.query_row(params![tenant.0, state], |row| Ok(row.get::<_, RowCount>(0)?.0))
}

/// Returns when the oldest of a tenant's queued entries was stored.
pub(super) fn oldest_queued(
    db: &Connection,
    tenant: TenantId,
) -> rusqlite::Result<Option<DateTime<Utc>>> {
    let mut select = db.prepare_cached(
        "SELECT min(stored_at) AS time FROM pending WHERE tenant = ?1 AND state = 'waiting'",
    )?;
    select.query_row([tenant.0], |row| time(row, "time"))
}

/// Returns the number of entries delivered with a token on a UTC day.
pub(super) fn quota_used(db: &Connection, token: &str, day: NaiveDate) -> rusqlite::Result<u64> {
    let next = day.succ_opt().unwrap_or(day);
    // The index has only when a batch began: a run, and so a request, takes a day at most.
    let earliest = day.checked_sub_days(Days::new(2)).unwrap_or(day);
    let mut select = db.prepare_cached(
        "SELECT ifnull(sum(entries), 0) FROM batch
         WHERE token = ?1 AND begun_at >= ?2 AND begun_at < ?4
            AND ended_at >= ?3 AND ended_at < ?4 AND state = 'delivered'",
    )?;
    let days = params![token, earliest.to_string(), day.to_string(), next.to_string()];
    select.query_row(days, |row| Ok(row.get::<_, RowCount>(0)?.0))
}
