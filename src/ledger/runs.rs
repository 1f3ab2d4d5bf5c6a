//! The records of runs.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{Row, params};

use super::columns::{Time, optional_time, time};
use super::error::Problem;
use super::tenant::OF_TENANTS;
use super::{LedgerReader, Result, TenantFilter, TenantLedger};
use crate::clock::MAX_DIFFERENCE;
use crate::window::Window;

/// A run, as recorded in the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RunRecord {
    /// The run's id.
    pub id: String,
    /// The tenant's name.
    pub tenant: String,
    /// The source's name.
    pub source: String,
    /// The name of its mode.
    pub mode: String,
    /// The span of time it was to fetch.
    pub window: Option<Window>,
    /// When it started, UTC.
    pub started_at: DateTime<Utc>,
    /// When it ended, UTC; `None` while it runs, or when it was killed.
    pub finished_at: Option<DateTime<Utc>>,
    /// Its exit code; `None` as above.
    pub exit_code: Option<i32>,
    /// Its numbers, as JSON.
    pub counts: Option<String>,
    /// The error, if it failed.
    pub error: Option<String>,
}

impl RunRecord {
    /// Returns how long the run took; `None` while it runs, and where it was killed.
    pub(crate) fn duration(&self) -> Option<TimeDelta> {
        // A clock that was set back meanwhile must not lead to a negative time.
        Some((self.finished_at? - self.started_at).max(TimeDelta::zero()))
    }
}

impl TenantLedger {
    /// Records that the run started.
    ///
    /// # Errors
    /// When the ledger cannot be written, or the tenant has a run of this id.
    pub(crate) fn begin_run(&self, mode: &str, window: Window) -> Result<()> {
        let (from, until, now) = (Time(window.start), Time(window.end), Time(self.clock().now()));
        self.transaction(|db| {
            let mut insert = db.prepare_cached(
                "INSERT INTO run (tenant, id, mode, read_from, read_until, started_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?;
            insert.execute(params![self.tenant.0, self.run_id, mode, from, until, now])?;
            Ok(())
        })
    }

    /// Records the run as started now, with this window, after its clock was found to be wrong.
    ///
    /// # Errors
    /// When the ledger cannot be written, or the run has not started or has ended already.
    pub(crate) fn restart_clock(&self, window: Window) -> Result<()> {
        let (from, until, now) = (Time(window.start), Time(window.end), Time(self.clock().now()));
        self.transaction(|db| {
            let mut update = db.prepare_cached(
                "UPDATE run SET read_from = ?3, read_until = ?4, started_at = ?5
                 WHERE tenant = ?1 AND id = ?2 AND finished_at IS NULL",
            )?;
            match update.execute(params![self.tenant.0, self.run_id, from, until, now])? {
                0 => Err(self.is_not_open()),
                _ => Ok(()),
            }
        })
    }

    fn is_not_open(&self) -> Problem {
        Problem::Other(format!("run {} has not started, or has ended", self.run_id))
    }

    /// Records how the run ended: its exit code, its numbers as JSON, and what went wrong.
    ///
    /// # Errors
    /// When the ledger cannot be written, or the run has not started or has ended already.
    pub(crate) fn finish_run(
        &self,
        exit_code: u8,
        counts: &str,
        error: Option<&str>,
    ) -> Result<()> {
        let now = Time(self.clock().now());
        self.transaction(|db| {
            let mut update = db.prepare_cached(
                "UPDATE run SET finished_at = ?3, exit_code = ?4, counts = ?5, error = ?6
                 WHERE tenant = ?1 AND id = ?2 AND finished_at IS NULL",
            )?;
            let columns = params![self.tenant.0, self.run_id, now, exit_code, counts, error];
            match update.execute(columns)? {
                0 => Err(self.is_not_open()),
                _ => Ok(()),
            }
        })
    }
}

/// The columns that [`read_run`] reads.
const COLUMNS: &str = "run.id, name, source, mode, run.read_from, run.read_until, started_at,
    finished_at, exit_code, counts, error";

impl LedgerReader {
    /// Returns each tenant's last run of those that have ended. A run that a wrong clock put into
    /// the future is returned only if the tenant has no other.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(crate) fn last_ended_runs(&self, now: DateTime<Utc>) -> Result<Vec<RunRecord>> {
        let select = format!(
            "SELECT {COLUMNS} FROM tenant JOIN run ON run.tenant = tenant.id AND run.id =
                (SELECT id FROM run AS ended WHERE ended.tenant = tenant.id
                    AND ended.finished_at IS NOT NULL
                 ORDER BY ended.started_at > ?1, ended.started_at DESC, ended.id DESC LIMIT 1)",
        );
        self.query(&select, params![Time(now + MAX_DIFFERENCE)], read_run)
    }

    /// Returns when the earliest recorded run of this mode of each of these tenants started, UTC.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(crate) fn first_runs(
        &self,
        mode: &str,
        tenants: &TenantFilter,
    ) -> Result<BTreeMap<String, DateTime<Utc>>> {
        let select = format!(
            "SELECT name, min(started_at) FROM run JOIN tenant ON tenant.id = run.tenant
             WHERE {OF_TENANTS} AND mode = ?3 GROUP BY name",
        );
        self.query(&select, params![tenants.name, tenants.source, mode], |row| {
            Ok((row.get(0)?, time(row, 1)?))
        })
    }

    /// Returns the runs of these tenants that started since a time, the oldest first.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(crate) fn runs(
        &self,
        since: DateTime<Utc>,
        tenants: &TenantFilter,
    ) -> Result<Vec<RunRecord>> {
        let select = format!(
            "SELECT {COLUMNS} FROM run JOIN tenant ON tenant.id = run.tenant
             WHERE {OF_TENANTS} AND started_at >= ?3 ORDER BY started_at, run.tenant, run.id",
        );
        self.query(&select, params![tenants.name, tenants.source, Time(since)], read_run)
    }
}

fn read_run(row: &Row<'_>) -> rusqlite::Result<RunRecord> {
    Ok(RunRecord {
        id: row.get("id")?,
        tenant: row.get("name")?,
        source: row.get("source")?,
        mode: row.get("mode")?,
        window: optional_time(row, "read_from")?
            .zip(optional_time(row, "read_until")?)
            .map(|(start, end)| Window { start, end }),
        started_at: time(row, "started_at")?,
        finished_at: optional_time(row, "finished_at")?,
        exit_code: row.get("exit_code")?,
        counts: row.get("counts")?,
        error: row.get("error")?,
    })
}
