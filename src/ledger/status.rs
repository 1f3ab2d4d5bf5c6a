//! How each source stands.

use chrono::{DateTime, NaiveDate, Utc};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::columns::{Words, time};
use super::outbox::count;
use super::quota::used;
use super::{Result, TenantId, View};

/// How one source stands, for one tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceStatus {
    /// The vendor's name.
    pub source: String,
    /// The Recorded Future organizations it goes to.
    pub organizations: Vec<String>,
    /// The tenant's number.
    pub tenant: TenantId,
    /// The beginning of the account's digest: enough to tell two accounts apart.
    pub account: String,
    /// When the last run began.
    pub last_run: Option<DateTime<Utc>>,
    /// The last run's exit code; None while it is on, or when it was killed.
    pub last_exit_code: Option<i32>,
    /// What went wrong in the last run.
    pub last_error: Option<String>,
    /// When the last run ended that ended with exit code 0.
    pub last_success: Option<DateTime<Utc>>,
    /// Up to when the vendor has been read completely.
    pub read_until: Option<DateTime<Utc>>,
    /// How many entries wait.
    pub waiting: u64,
    /// How many entries are in quarantine.
    pub quarantined: u64,
    /// When the oldest waiting entry was stored.
    pub oldest_waiting: Option<DateTime<Utc>>,
    /// How many submissions the token used today, by whichever tenant.
    pub used_today: u64,
}

impl View {
    /// How each source stands, with the quota of the UTC day `today`.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn status(&self, today: NaiveDate) -> Result<Vec<SourceStatus>> {
        self.read(|db| {
            let mut select = db.prepare_cached(
                "SELECT id, source, substr(account, 1, 8) AS account, token, organizations, read_until FROM tenant
                 ORDER BY source, id",
            )?;
            let rows = select.query_map([], |row| status_of(db, row, today))?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }
}

fn status_of(db: &Connection, row: &Row<'_>, today: NaiveDate) -> rusqlite::Result<SourceStatus> {
    let tenant = TenantId(row.get("id")?);
    let last = last_run(db, tenant)?;
    Ok(SourceStatus {
        source: row.get("source")?,
        organizations: row.get::<_, Words>("organizations")?.0,
        tenant,
        account: row.get("account")?,
        last_run: last.as_ref().and_then(|last| last.0),
        last_exit_code: last.as_ref().and_then(|last| last.1),
        last_error: last.and_then(|last| last.2),
        last_success: the_time(
            db,
            "SELECT max(finished_at) AS time FROM run WHERE tenant = ?1 AND exit_code = 0",
            tenant,
        )?,
        read_until: time(row, "read_until")?,
        waiting: count(db, tenant, "waiting")?,
        quarantined: count(db, tenant, "quarantined")?,
        oldest_waiting: the_time(
            db,
            "SELECT min(stored_at) AS time FROM outbox WHERE tenant = ?1 AND state = 'waiting'",
            tenant,
        )?,
        used_today: used(db, &row.get::<_, String>("token")?, today)?,
    })
}

type LastRun = (Option<DateTime<Utc>>, Option<i32>, Option<String>);

fn last_run(db: &Connection, tenant: TenantId) -> rusqlite::Result<Option<LastRun>> {
    let mut select = db.prepare_cached(
        "SELECT started_at, exit_code, error FROM run WHERE tenant = ?1 ORDER BY started_at DESC, id DESC LIMIT 1",
    )?;
    select
        .query_row(params![tenant.0], |row| {
            Ok((time(row, "started_at")?, row.get("exit_code")?, row.get("error")?))
        })
        .optional()
}

fn the_time(
    db: &Connection,
    select: &str,
    tenant: TenantId,
) -> rusqlite::Result<Option<DateTime<Utc>>> {
    db.prepare_cached(select)?.query_row([tenant.0], |row| time(row, "time"))
}
