//! The checkpoint: up to when all alerts of a tenant were fetched.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, params};

use super::columns::{Time, optional_time, row_count};
use super::{Ledger, Result, TenantId, TenantLedger, gap};
use crate::clock::MAX_DIFFERENCE;
use crate::window::Window;

/// The result of moving a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Advance {
    /// It moved forward.
    Moved,
    /// The window ends at or before the checkpoint, or starts in the future.
    Unchanged,
    /// The window starts after the checkpoint, or, while there is none, after the start of the
    /// first window: the alerts between were never fetched.
    WouldLeaveGap,
}

impl TenantLedger {
    /// Returns the checkpoint; `None` before the first one.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(crate) fn checkpoint(&self) -> Result<Option<DateTime<Utc>>> {
        self.read(|db| Ok(read_span(db, self.tenant)?.1))
    }

    /// Returns the span from the start of the first window to the checkpoint: `None` before the
    /// first window, and of zero length before the first checkpoint.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(crate) fn fetched(&self) -> Result<Option<Window>> {
        self.read(|db| {
            let (start, end) = read_span(db, self.tenant)?;
            Ok(start.map(|start| Window { start, end: end.unwrap_or(start) }))
        })
    }

    /// Records the start of the first window, while there is no checkpoint. If the first run is
    /// killed, the next run still starts there. If the clock of the killed run was ahead, the next
    /// run records its own, earlier start.
    ///
    /// # Errors
    /// When the ledger cannot be read or written.
    pub(crate) fn record_first_window(&self, start: DateTime<Utc>) -> Result<()> {
        self.transaction(|db| {
            let update = "UPDATE tenant SET read_from = ?2 WHERE id = ?1 AND read_until IS NULL";
            Ok(db.execute(update, params![self.tenant.0, Time(start)]).map(|_| ())?)
        })
    }

    /// Moves the checkpoint for a run that fetched all alerts of a window, where that is safe. It
    /// moves forward only, never past now, and never over a gap unless the run reports it as `gap`;
    /// that one is recorded. The first checkpoint is set only if no earlier window started before
    /// this one.
    ///
    /// Call it after everything that was fetched is stored, and only if a service's `Date` header
    /// confirmed or corrected the clock.
    ///
    /// # Errors
    /// When the ledger cannot be read or written.
    pub(crate) fn advance_checkpoint(
        &self,
        fetched: Window,
        gap: Option<Window>,
    ) -> Result<Advance> {
        let fetched_from = gap.map_or(fetched.start, |gap| gap.start);
        let now = self.clock().now();
        // Rounded down as the column does, because claiming less is safe.
        let whole = |time: DateTime<Utc>| {
            DateTime::from_timestamp_millis(time.timestamp_millis()).unwrap_or(time)
        };
        let target = whole(fetched.end.min(now));
        self.transaction(|db| {
            let (first, checkpoint) = read_span(db, self.tenant)?;
            if fetched_from > target || checkpoint.is_some_and(|checkpoint| target <= checkpoint) {
                return Ok(Advance::Unchanged);
            }
            // A first window in the future comes from a wrong clock.
            let complete_until = checkpoint.or(first.filter(|first| *first <= now));
            if complete_until.is_some_and(|complete_until| fetched_from > complete_until) {
                return Ok(Advance::WouldLeaveGap);
            }
            if let Some(gap) = gap {
                gap::add(db, self.tenant, gap, now)?;
            }
            let first = first.map_or(fetched_from, |first| first.min(fetched_from));
            let update = "UPDATE tenant SET read_from = ?3, read_until = ?2 WHERE id = ?1";
            db.execute(update, params![self.tenant.0, Time(target), Time(first)])?;
            Ok(Advance::Moved)
        })
    }
}

impl Ledger {
    /// Sets each checkpoint that is more than [`MAX_DIFFERENCE`] in the future back to `back_to`,
    /// or to the start of the first window where that is later, and returns how many there were.
    /// Where the first window is in the future too, the tenant starts like a new one.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub(crate) fn reset_checkpoints(
        &self,
        now: DateTime<Utc>,
        back_to: DateTime<Utc>,
    ) -> Result<u64> {
        self.transaction(|db| {
            // `max` of two is the later one, and NULL where one of them is NULL.
            let update = "UPDATE tenant SET
                    read_until = max(CASE WHEN read_from <= ?1 THEN read_from END, ?2),
                    read_from = CASE WHEN read_from <= ?1 THEN read_from END
                 WHERE read_until > ?1";
            Ok(row_count(db.execute(update, [Time(now + MAX_DIFFERENCE), Time(back_to)])?))
        })
    }
}

type Span = (Option<DateTime<Utc>>, Option<DateTime<Utc>>);

/// Returns the start of the first window, and the checkpoint.
fn read_span(db: &Connection, tenant: TenantId) -> rusqlite::Result<Span> {
    let mut select = db.prepare_cached("SELECT read_from, read_until FROM tenant WHERE id = ?1")?;
    select.query_row([tenant.0], |row| {
        Ok((optional_time(row, "read_from")?, optional_time(row, "read_until")?))
    })
}
