//! Changes to the outbox by commands.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use rusqlite::{Connection, params};

use super::batch::{self, SentItem};
use super::columns::{ItemColumn, Time, optional_time, row_count, text};
use super::outbox::entry_condition;
use super::reader::query;
use super::{EntryFilter, EntryId, EntryState, INDICATORS_KEPT, Ledger, Result, TenantId};

impl Ledger {
    /// Requeues the quarantined entries that match the filter, and returns their number. Those that
    /// were sent more than once are in doubt: an attempt before the rejection may have stored them,
    /// so the next run searches for them first.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub(crate) fn retry_quarantined(
        &self,
        filter: &EntryFilter,
        now: DateTime<Utc>,
    ) -> Result<u64> {
        let filter = EntryFilter { state: Some(EntryState::Quarantined), ..filter.clone() };
        self.transaction(|db| {
            let in_doubt = sent_more_than_once(db, &filter)?;
            let update = format!(
                "UPDATE outbox SET state = 'waiting', status = NULL, message = NULL, rejected_at = NULL WHERE {}",
                entry_condition()
            );
            let changed = db.prepare_cached(&update)?.execute(filter.params())?;
            for ((tenant, token, _), items) in in_doubt {
                let begun_at = doubt_begins_at(db, tenant, now)?;
                batch::write(db, (TenantId(tenant), &token), &items, begun_at)?;
            }
            Ok(row_count(changed))
        })
    }

    /// Drops the entries that match the filter, and returns their number. The ledger remembers
    /// their alerts, so that the next run does not send them again.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub(crate) fn drop_entries(&self, filter: &EntryFilter, now: DateTime<Utc>) -> Result<u64> {
        self.transaction(|db| {
            let tenants: Vec<i64> = query(db, "SELECT id FROM tenant", &[], |row| row.get(0))?;
            let mut dropped = 0;
            for tenant in tenants {
                // `pending` has those in doubt too. Nothing searches for a dropped one any more.
                let chosen = format!("FROM pending WHERE ({}) AND tenant = {tenant}", entry_condition());
                // Not before the last run: this machine's clock may be behind, and that run may
                // have had a service's time. If the last run was ahead, the entry is kept for too
                // long, which does no harm.
                let dropped_at = last_run(db, tenant)?.map_or(now, |last_run| last_run.max(now));
                let insert = "INSERT INTO batch (tenant, token, state, entries, techniques, begun_at, ended_at)
                              SELECT id, token, 'dropped', 0, '{}', ?2, ?2 FROM tenant WHERE id = ?1";
                db.execute(insert, params![tenant, Time(dropped_at)])?;
                let batch = db.last_insert_rowid();
                let settle = format!(
                    "INSERT OR REPLACE INTO settled (id, type, value, detections, batch, severity)
                     SELECT id, type, value, 1 + ifnull(count, 0), {batch}, severity
                     FROM outbox LEFT JOIN repeat ON entry = id WHERE id IN (SELECT id {chosen})"
                );
                dropped += db.execute(&settle, filter.params())?;
                db.execute(
                    "DELETE FROM outbox WHERE id IN (SELECT id FROM settled WHERE batch = ?1)",
                    [batch],
                )?;
                db.execute(
                    "UPDATE batch SET (entries, first_entry, last_entry) =
                        (SELECT count(*), min(id), max(id) FROM settled WHERE batch = ?1) WHERE id = ?1",
                    [batch],
                )?;
                db.execute("DELETE FROM batch WHERE id = ?1 AND entries = 0", [batch])?;
            }
            Ok(row_count(dropped))
        })
    }
}

/// Returns when the doubt about retried entries begins: now, unless this machine's clock is behind
/// the tenant's last run or more than 90 days ahead of it; then at that run. A command asks no
/// service for the time, and what is found counts as delivered then.
fn doubt_begins_at(
    db: &Connection,
    tenant: i64,
    now: DateTime<Utc>,
) -> rusqlite::Result<DateTime<Utc>> {
    let is_plausible = |last_run| last_run <= now && now <= last_run + INDICATORS_KEPT;
    Ok(last_run(db, tenant)?.filter(|last_run| !is_plausible(*last_run)).unwrap_or(now))
}

/// Returns when the last run of a tenant started, UTC.
fn last_run(db: &Connection, tenant: i64) -> rusqlite::Result<Option<DateTime<Utc>>> {
    let select = "SELECT max(started_at) FROM run WHERE tenant = ?1";
    db.query_row(select, [tenant], |row| optional_time(row, 0))
}

/// The entries that become one batch in doubt, by tenant, the digest of its Recorded Future token,
/// and the UTC day of the detection.
type Batches = BTreeMap<(i64, String, Option<NaiveDate>), Vec<(EntryId, SentItem)>>;

/// Returns the entries that match and were sent more than once. Those of one day are one batch: a
/// batch is searched for from its first detection to its last.
fn sent_more_than_once(db: &Connection, filter: &EntryFilter) -> rusqlite::Result<Batches> {
    let select = format!(
        "SELECT tenant, (SELECT token FROM tenant WHERE tenant.id = outbox.tenant), id, item
         FROM outbox WHERE {} AND attempts > 1
            AND NOT EXISTS (SELECT 1 FROM settled WHERE settled.id = outbox.id)",
        entry_condition()
    );
    let rows: Vec<_> = query(db, &select, &filter.params(), |row| {
        let item = SentItem::read(&row.get::<_, ItemColumn>(3)?.0);
        let day = item.timestamp.map(|time| time.date_naive());
        Ok(((row.get(0)?, text(row, 1)?, day), (EntryId(row.get(2)?), item)))
    })?;
    let mut batches = Batches::new();
    for (batch, entry) in rows {
        batches.entry(batch).or_default().push(entry);
    }
    Ok(batches)
}
