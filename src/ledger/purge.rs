//! Retention: what is deleted, and when.

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{Connection, params};

use super::columns::Time;
use super::{Result, TenantLedger};

/// The time for which delivered and dropped indicators are kept, and samples of unsent ones.
pub(crate) const INDICATORS_KEPT: TimeDelta = TimeDelta::days(90);
/// The time for which runs, batches and the hits of exclusion rules are kept: a year can be
/// compared with the year before.
const RUNS_KEPT: TimeDelta = TimeDelta::days(400);

/// The time for which a process does not purge again.
const PURGE_INTERVAL: TimeDelta = TimeDelta::hours(1);

impl TenantLedger {
    /// Purges as [`TenantLedger::purge_expired_at`] does, unless a tenant of this process did it
    /// within the last hour: one purge is for all tenants, and reads all runs and batches.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub(crate) fn purge_expired_once(&self, now: DateTime<Utc>) -> Result<()> {
        let mut purged = self.shared().purged_as_of();
        if purged.is_none_or(|purged| now.signed_duration_since(purged) > PURGE_INTERVAL) {
            self.purge_expired_at(now)?;
            *purged = Some(now);
        }
        Ok(())
    }

    /// Deletes what was delivered, dropped or left out more than 90 days before `now`, and runs,
    /// batches and hits of exclusion rules from more than 400 days before, of all tenants. Nothing
    /// that is in the outbox is ever deleted. A `now` in the future would delete what later runs
    /// need in order to send nothing twice.
    pub(super) fn purge_expired_at(&self, now: DateTime<Utc>) -> Result<()> {
        let before = |kept| now.checked_sub_signed(kept).unwrap_or(DateTime::<Utc>::MIN_UTC);
        let (settled, runs) = (before(INDICATORS_KEPT), before(RUNS_KEPT));
        self.transaction(|db| {
            purge_settled(db, settled)?;
            for (delete, before) in [
                ("DELETE FROM run WHERE started_at < ?1", runs),
                ("DELETE FROM batch WHERE ended_at < ?1 AND first_entry IS NULL", runs),
                ("DELETE FROM exclusion_hit WHERE last_hit_at < ?1", runs),
                ("DELETE FROM left_out WHERE last_at < ?1", settled),
            ] {
                db.execute(delete, [Time(before)])?;
            }
            Ok(())
        })
    }
}

/// Deletes the entries of batches that ended before a time, and their sightings.
fn purge_settled(db: &Connection, before: DateTime<Utc>) -> rusqlite::Result<()> {
    const EXPIRED: &str = "FROM batch WHERE ended_at < ?1 AND first_entry IS NOT NULL";
    // On most days there is nothing, and then the far longer tables need not be read.
    let any = format!("SELECT EXISTS (SELECT 1 {EXPIRED})");
    if !db.query_row(&any, [Time(before)], |row| row.get(0))? {
        return Ok(());
    }
    // An alert was created before it was delivered, so only the oldest sightings are read. One with
    // a later time, from a clock that was wrong, stays; without its entry it counts as never
    // seen.
    db.execute(
        "DELETE FROM sighting WHERE tenant IN (SELECT id FROM tenant) AND created_at < ?2 AND EXISTS (
            SELECT 1 FROM settled JOIN batch ON batch.id = settled.batch
            WHERE settled.id = sighting.entry AND ended_at < ?1)",
        params![Time(before), before.timestamp_millis()],
    )?;
    // One range of ids for all batches: entries are sent by severity, so the ids of a batch are
    // spread over everything that was queued with it.
    db.execute(
        &format!(
            "DELETE FROM settled
             WHERE id BETWEEN (SELECT min(first_entry) {EXPIRED}) AND (SELECT max(last_entry) {EXPIRED})
                AND batch IN (SELECT id {EXPIRED})"
        ),
        [Time(before)],
    )?;
    db.execute(
        "UPDATE batch SET first_entry = NULL, last_entry = NULL WHERE ended_at < ?1",
        [Time(before)],
    )?;
    Ok(())
}
