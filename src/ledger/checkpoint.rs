//! How far a vendor has been read completely.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, params};

use super::columns::{Time, time};
use super::{Ledger, Result, TenantId};

/// What became of the checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advance {
    /// It moved forward.
    Moved,
    /// The run read nothing that was not read before.
    Unchanged,
    /// The run began reading after the checkpoint: what lies between was never read.
    WouldLeaveGap,
    /// The clock shows an earlier time than a run before, or than the checkpoint: it cannot be trusted.
    ClockWentBack,
}

impl Ledger {
    /// Up to when the vendor has been read completely; None before the first time.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn checkpoint(&self, tenant: TenantId) -> Result<Option<DateTime<Utc>>> {
        self.view.read(|db| Ok(checkpoint(db, tenant)?))
    }

    /// Moves the checkpoint for a run that read everything from `read_from` until `read_until`, where that is safe:
    /// forward only, over no gap, not beyond `now`. Where there is none yet, any window sets it, because a scheduled run
    /// reads on from there.
    ///
    /// Call it after everything read was stored.
    ///
    /// # Errors
    /// When the ledger cannot be read or written.
    pub fn advance(
        &self,
        tenant: TenantId,
        read_from: DateTime<Utc>,
        read_until: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<Advance> {
        // As it will stand in the file: rounded down, because claiming less is safe.
        let whole = |time: DateTime<Utc>| {
            DateTime::from_timestamp_millis(time.timestamp_millis()).unwrap_or(time)
        };
        let target = whole(read_until.min(now));
        self.atomically(|db| {
            let checkpoint = checkpoint(db, tenant)?;
            let latest = last_run(db, tenant)?.max(checkpoint);
            if latest.is_some_and(|latest| now < latest) {
                return Ok(Advance::ClockWentBack);
            }
            if read_from > target || checkpoint.is_some_and(|checkpoint| target <= checkpoint) {
                return Ok(Advance::Unchanged);
            }
            if checkpoint.is_some_and(|checkpoint| read_from > checkpoint) {
                return Ok(Advance::WouldLeaveGap);
            }
            let update = "UPDATE tenant SET read_until = ?2 WHERE id = ?1";
            db.execute(update, params![tenant.0, Time(target)])?;
            Ok(Advance::Moved)
        })
    }
}

fn checkpoint(db: &Connection, tenant: TenantId) -> rusqlite::Result<Option<DateTime<Utc>>> {
    let mut select = db.prepare_cached("SELECT read_until FROM tenant WHERE id = ?1")?;
    select.query_row([tenant.0], |row| time(row, "read_until"))
}

/// The latest time at which this tenant's runs saw the clock.
fn last_run(db: &Connection, tenant: TenantId) -> rusqlite::Result<Option<DateTime<Utc>>> {
    let mut select = db
        .prepare_cached("SELECT max(max(started_at, ifnull(finished_at, started_at))) AS seen FROM run WHERE tenant = ?1")?;
    select.query_row([tenant.0], |row| time(row, "seen"))
}
