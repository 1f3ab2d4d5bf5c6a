//! The history of runs.

use chrono::{DateTime, Utc};
use rusqlite::{Row, params};

use super::columns::{Time, time};
use super::error::Fault;
use super::{Ledger, Result, TenantId, View};

/// A run as it was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The id the run gave itself.
    pub id: String,
    /// Whose run it was.
    pub tenant: TenantId,
    /// The vendor's name.
    pub source: String,
    /// How it was started.
    pub mode: String,
    /// The span of time it meant to read, from and until; None for a run that reads nothing.
    pub window: Option<(DateTime<Utc>, DateTime<Utc>)>,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended; None while it is on, or when it was killed.
    pub finished_at: Option<DateTime<Utc>>,
    /// Its exit code, once it ended.
    pub exit_code: Option<i32>,
    /// Its numbers, as JSON.
    pub counts: Option<String>,
    /// What went wrong.
    pub error: Option<String>,
}

impl Ledger {
    /// Records that a run began.
    ///
    /// # Errors
    /// When the ledger cannot be written, or the tenant has a run of this id.
    pub fn begin_run(
        &self,
        tenant: TenantId,
        run: &str,
        mode: &str,
        window: Option<(DateTime<Utc>, DateTime<Utc>)>,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let (from, until) =
            (window.map(|window| Time(window.0)), window.map(|window| Time(window.1)));
        self.atomically(|db| {
            let mut insert = db.prepare_cached(
                "INSERT INTO run (tenant, id, mode, read_from, read_until, started_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?;
            insert.execute(params![tenant.0, run, mode, from, until, Time(now)])?;
            Ok(())
        })
    }

    /// Records how a run ended: its exit code, its numbers as JSON, and what went wrong.
    ///
    /// # Errors
    /// When the ledger cannot be written, or the tenant has no run of this id that is still open.
    pub fn finish_run(
        &self,
        tenant: TenantId,
        run: &str,
        exit_code: i32,
        counts: &str,
        error: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<()> {
        self.atomically(|db| {
            let mut update = db.prepare_cached(
                "UPDATE run SET finished_at = ?3, exit_code = ?4, counts = ?5, error = ?6
                 WHERE tenant = ?1 AND id = ?2 AND finished_at IS NULL",
            )?;
            match update.execute(params![tenant.0, run, Time(now), exit_code, counts, error])? {
                0 => Err(Fault::Other(format!("no run {run} is open"))),
                _ => Ok(()),
            }
        })
    }
}

impl View {
    /// The runs begun since a time, the oldest first.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn runs(&self, since: DateTime<Utc>) -> Result<Vec<Run>> {
        self.read(|db| {
            let mut select = db.prepare_cached(
                "SELECT run.id, run.tenant, source, mode, read_from, run.read_until, started_at, finished_at,
                        exit_code, counts, error
                 FROM run JOIN tenant ON tenant.id = run.tenant
                 WHERE started_at >= ?1 ORDER BY started_at, run.tenant, run.id",
            )?;
            let rows = select.query_map([Time(since)], read_run)?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }
}

fn read_run(row: &Row<'_>) -> rusqlite::Result<Run> {
    Ok(Run {
        id: row.get("id")?,
        tenant: TenantId(row.get("tenant")?),
        source: row.get("source")?,
        mode: row.get("mode")?,
        window: time(row, "read_from")?.zip(time(row, "read_until")?),
        started_at: row.get::<_, Time>("started_at")?.0,
        finished_at: time(row, "finished_at")?,
        exit_code: row.get("exit_code")?,
        counts: row.get("counts")?,
        error: row.get("error")?,
    })
}
