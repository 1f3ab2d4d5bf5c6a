//! The status of each tenant.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use rusqlite::{Connection, OptionalExtension, Params, Row, params};

use super::columns::{JsonList, Time, optional_time};
use super::reader::query;
use super::tenant_ledger::{count_pending, oldest_queued, quota_used};
use super::{LedgerReader, Result, TenantFilter, TenantId, gap};
use crate::clock::MAX_DIFFERENCE;
use crate::window::Window;

/// A source that brought alerts before may bring none for this long: three days, less an hour
/// because the run of a day may end earlier than that of the day before.
pub(super) const QUIET: TimeDelta = TimeDelta::hours(71);

/// The status of one tenant. The default is that of one that has never run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TenantStatus {
    /// The tenant's name.
    pub tenant: String,
    /// The source's name.
    pub source: String,
    /// The Recorded Future organizations that receive its detections.
    pub organizations: Vec<String>,
    /// The beginning of the account's digest: enough to tell two accounts apart. Empty for a tenant
    /// that has never run.
    pub account: String,
    /// The beginning of the customer's digest, where it is known.
    pub customer: Option<String>,
    /// When the last run started, UTC. Runs in the future, by a wrong clock, count only if all runs
    /// are in the future.
    pub last_run: Option<DateTime<Utc>>,
    /// The last run's exit code; `None` while it runs, or when it was killed.
    pub last_exit_code: Option<i32>,
    /// The error of the last run.
    pub last_error: Option<String>,
    /// When the last run with exit code 0 ended, UTC; never in the future.
    pub last_success: Option<DateTime<Utc>>,
    /// When the last run that found any alerts ended, UTC; never in the future.
    pub last_alerts: Option<DateTime<Utc>>,
    /// Whether a run succeeded 71 h or longer after the last one that found alerts. A source whose
    /// API was switched off looks like this.
    pub is_quiet: bool,
    /// The checkpoint: up to when all alerts were fetched, UTC.
    pub read_until: Option<DateTime<Utc>>,
    /// Whether the checkpoint is in the future.
    pub is_checkpoint_in_future: bool,
    /// The spans that no run read, the earliest first.
    pub gaps: Vec<Window>,
    /// The number of queued entries.
    pub queued: u64,
    /// The number of entries in quarantine.
    pub quarantined: u64,
    /// When the oldest queued entry was stored, UTC.
    pub oldest_queued: Option<DateTime<Utc>>,
    /// The number of indicators delivered today (UTC) with this token, by all tenants.
    pub used_today: u64,
}

impl TenantStatus {
    /// Returns the warning about a source that has brought no alerts for a long time.
    pub(crate) fn no_alerts_warning(&self) -> Option<String> {
        let since = self.last_alerts.filter(|_| self.is_quiet)?;
        let since = since.to_rfc3339_opts(SecondsFormat::Secs, true);
        Some(format!(
            "no alerts from {} since {since}, although runs succeed: look for newer ones in its console; if there are any, its API may have changed (update this program)",
            self.source
        ))
    }
}

impl LedgerReader {
    /// Returns the status of these tenants, with what they have used of the quota on the UTC day of
    /// `now`.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(crate) fn status(
        &self,
        now: DateTime<Utc>,
        tenants: &TenantFilter,
    ) -> Result<Vec<TenantStatus>> {
        self.read(|db| {
            let select = "SELECT id, name, source, substr(account, 1, 8) AS account,
                    substr(customer, 1, 8) AS customer, token, organizations, read_until
                 FROM tenant WHERE (?1 IS NULL OR name = ?1) AND (?2 IS NULL OR source = ?2)
                 ORDER BY source, id";
            let params = params![tenants.name, tenants.source];
            Ok(query(db, select, params, |row| tenant_status(db, row, now))?)
        })
    }
}

fn tenant_status(
    db: &Connection,
    row: &Row<'_>,
    now: DateTime<Utc>,
) -> rusqlite::Result<TenantStatus> {
    let tenant = TenantId(row.get("id")?);
    let latest = now + MAX_DIFFERENCE;
    let last = last_run(db, tenant, latest)?;
    let read_until = optional_time(row, "read_until")?;
    let last_success = query_time(
        db,
        "SELECT max(finished_at) AS time FROM run
         WHERE tenant = ?1 AND exit_code = 0 AND finished_at <= ?2",
        params![tenant.0, Time(latest)],
    )?;
    let last_alerts = query_time(
        db,
        "SELECT max(finished_at) AS time FROM run WHERE tenant = ?1 AND finished_at <= ?2
            AND CASE WHEN json_valid(counts) THEN counts ->> '$.alerts_fetched' > 0 END",
        params![tenant.0, Time(latest)],
    )?;
    let quiet_for = last_success.zip(last_alerts).map(|(success, alerts)| success - alerts);
    Ok(TenantStatus {
        tenant: row.get("name")?,
        source: row.get("source")?,
        organizations: row.get::<_, JsonList>("organizations")?.0,
        account: row.get("account")?,
        customer: row.get("customer")?,
        last_run: last.as_ref().and_then(|last| last.0),
        last_exit_code: last.as_ref().and_then(|last| last.1),
        last_error: last.and_then(|last| last.2),
        last_success,
        last_alerts,
        is_quiet: quiet_for.is_some_and(|quiet| quiet >= QUIET),
        read_until,
        is_checkpoint_in_future: read_until.is_some_and(|checkpoint| checkpoint > latest),
        gaps: gap::gaps(db, tenant)?,
        queued: count_pending(db, tenant, "waiting")?,
        quarantined: count_pending(db, tenant, "quarantined")?,
        oldest_queued: oldest_queued(db, tenant)?,
        used_today: quota_used(db, &row.get::<_, String>("token")?, now.date_naive())?,
    })
}

type LastRun = (Option<DateTime<Utc>>, Option<i32>, Option<String>);

fn last_run(
    db: &Connection,
    tenant: TenantId,
    latest: DateTime<Utc>,
) -> rusqlite::Result<Option<LastRun>> {
    let mut select = db.prepare_cached(
        "SELECT started_at, exit_code, error FROM run WHERE tenant = ?1
         ORDER BY started_at > ?2, started_at DESC, id DESC LIMIT 1",
    )?;
    select
        .query_row(params![tenant.0, Time(latest)], |row| {
            Ok((optional_time(row, "started_at")?, row.get("exit_code")?, row.get("error")?))
        })
        .optional()
}

fn query_time(
    db: &Connection,
    select: &str,
    values: impl Params,
) -> rusqlite::Result<Option<DateTime<Utc>>> {
    db.prepare_cached(select)?.query_row(values, |row| optional_time(row, "time"))
}
