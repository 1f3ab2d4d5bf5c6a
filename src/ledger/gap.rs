//! Gaps: spans that no run read, because they were older than the limit for catching up.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, params};

use super::columns::{Time, time};
use super::error::Problem;
use super::reader::query;
use super::{Result, TenantId, TenantLedger};
use crate::window::Window;

impl TenantLedger {
    /// Removes from the tenant's gaps what was read meanwhile.
    ///
    /// # Errors
    /// When the ledger cannot be read or written.
    pub(crate) fn close_gaps(&self, read: Window) -> Result<()> {
        self.transaction(|db| {
            for gap in gaps(db, self.tenant)? {
                if gap.end <= read.start || read.end <= gap.start {
                    continue;
                }
                delete(db, self.tenant, gap)?;
                for rest in [
                    Window { start: gap.start, end: read.start },
                    Window { start: read.end, end: gap.end },
                ] {
                    add(db, self.tenant, rest, self.clock().now())?;
                }
            }
            Ok(())
        })
    }

    /// Gives up all gaps of the tenant, and returns them, the earliest first.
    ///
    /// # Errors
    /// When the ledger cannot be read or written.
    pub(crate) fn accept_gaps(&self) -> Result<Vec<Window>> {
        self.transaction(|db| {
            let gaps = gaps(db, self.tenant)?;
            gaps.iter().try_for_each(|gap| delete(db, self.tenant, *gap))?;
            Ok(gaps)
        })
    }
}

/// Returns a tenant's gaps, the earliest first.
pub(super) fn gaps(db: &Connection, tenant: TenantId) -> rusqlite::Result<Vec<Window>> {
    let select = "SELECT start, until FROM gap WHERE tenant = ?1 ORDER BY start";
    query(db, select, &[&tenant.0], |row| Ok(Window { start: time(row, 0)?, end: time(row, 1)? }))
}

/// Adds a gap, unless it is empty.
pub(super) fn add(
    db: &Connection,
    tenant: TenantId,
    gap: Window,
    now: DateTime<Utc>,
) -> Result<(), Problem> {
    if gap.start < gap.end {
        let insert = "INSERT INTO gap (tenant, start, until, found_at) VALUES (?1, ?2, ?3, ?4)
                      ON CONFLICT DO UPDATE SET until = max(until, excluded.until)";
        db.prepare_cached(insert)?.execute(params![
            tenant.0,
            Time(gap.start),
            Time(gap.end),
            Time(now)
        ])?;
    }
    Ok(())
}

fn delete(db: &Connection, tenant: TenantId, gap: Window) -> Result<(), Problem> {
    let delete = "DELETE FROM gap WHERE tenant = ?1 AND start = ?2";
    db.prepare_cached(delete)?.execute(params![tenant.0, Time(gap.start)])?;
    Ok(())
}
