//! The checkpoint: up to when all alerts of a vendor were fetched.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, params};

use super::columns::{Time, time};
use super::tenant_ledger::latest_run;
use super::{Result, TenantId, TenantLedger};
use crate::window::Window;

/// What became of the checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Advance {
    /// It moved forward.
    Moved,
    /// The run fetched nothing that was not fetched before.
    Unchanged,
    /// The run started after the checkpoint: the alerts between them were never fetched.
    WouldLeaveGap,
    /// The clock is behind an earlier run, or behind the checkpoint, so it cannot be trusted.
    ClockWentBack,
}

impl TenantLedger {
    /// Returns the checkpoint; `None` before the first one.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(crate) fn checkpoint(&self) -> Result<Option<DateTime<Utc>>> {
        Ok(self.fetched()?.map(|fetched| fetched.end))
    }

    /// Returns the span from the start of the first window to the checkpoint. It is empty where no
    /// run has fetched anything yet.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(crate) fn fetched(&self) -> Result<Option<Window>> {
        self.reader().read(|db| {
            let mut select =
                db.prepare_cached("SELECT read_from, read_until FROM tenant WHERE id = ?1")?;
            let (start, end) = select.query_row([self.tenant.0], |row| {
                Ok((time(row, "read_from")?, time(row, "read_until")?))
            })?;
            Ok(start.zip(end).map(|(start, end)| Window { start, end }))
        })
    }

    /// Sets the first checkpoint to the start of this window. If the first run is killed, the next
    /// one still starts here.
    ///
    /// # Errors
    /// When the ledger cannot be read or written.
    pub(crate) fn init_checkpoint(&self, window_start: DateTime<Utc>) -> Result<()> {
        if self.checkpoint()?.is_none() {
            self.advance_checkpoint(window_start, window_start)?;
        }
        Ok(())
    }

    /// Moves the checkpoint for a run that fetched all alerts from `fetched_from` to
    /// `fetched_until`, where that is safe: forward only, over no gap, not beyond now. The
    /// first one may be anywhere.
    ///
    /// Call it after everything that was fetched is stored.
    ///
    /// # Errors
    /// When the ledger cannot be read or written.
    pub(crate) fn advance_checkpoint(
        &self,
        fetched_from: DateTime<Utc>,
        fetched_until: DateTime<Utc>,
    ) -> Result<Advance> {
        let now = self.clock.now();
        // Rounded down as the column does, because claiming less is safe.
        let whole = |time: DateTime<Utc>| {
            DateTime::from_timestamp_millis(time.timestamp_millis()).unwrap_or(time)
        };
        let target = whole(fetched_until.min(now));
        self.ledger.transaction(|db| {
            let checkpoint = checkpoint(db, self.tenant)?;
            let latest = latest_run(db, self.tenant)?.max(checkpoint);
            if latest.is_some_and(|latest| now < latest) {
                return Ok(Advance::ClockWentBack);
            }
            if fetched_from > target || checkpoint.is_some_and(|checkpoint| target <= checkpoint) {
                return Ok(Advance::Unchanged);
            }
            if checkpoint.is_some_and(|checkpoint| fetched_from > checkpoint) {
                return Ok(Advance::WouldLeaveGap);
            }
            let update = "UPDATE tenant SET read_from = ifnull(read_from, ?3), read_until = ?2 WHERE id = ?1";
            db.execute(update, params![self.tenant.0, Time(target), Time(fetched_from)])?;
            Ok(Advance::Moved)
        })
    }
}

fn checkpoint(db: &Connection, tenant: TenantId) -> rusqlite::Result<Option<DateTime<Utc>>> {
    let mut select = db.prepare_cached("SELECT read_until FROM tenant WHERE id = ?1")?;
    select.query_row([tenant.0], |row| time(row, "read_until"))
}
