//! Delivered entries, for the comparison with Recorded Future.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension as _, Row, params};

use super::columns::{Time, json_array, milliseconds, optional_text, row_count, text, time};
use super::{EntryId, Ledger, LedgerError, LedgerReader, Result};

/// How many entries are read at once, so that a run can write between.
const PAGE: usize = 5000;

/// An entry that was delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeliveredEntry {
    /// Its id.
    pub id: EntryId,
    /// The tenant's name.
    pub tenant: String,
    /// The type of the indicator.
    pub indicator_type: String,
    /// The indicator.
    pub value: String,
    /// When Recorded Future confirmed it, UTC; for one that was in doubt, when its batch began.
    pub delivered_at: DateTime<Utc>,
    /// The time of its detection as it was sent, UTC; `delivered_at` where it is not known.
    pub detected_at: DateTime<Utc>,
}

/// The parts of a sent item that the ledger has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SentEntry {
    /// Its id.
    pub id: EntryId,
    /// The source's name.
    pub source: String,
    /// The type of the indicator.
    pub indicator_type: String,
    /// The indicator.
    pub value: String,
    /// The time of its detection, UTC.
    pub detected_at: DateTime<Utc>,
    /// The field of the alert that named it.
    pub field: String,
    /// Its MITRE codes, with spaces between them.
    pub mitre_codes: String,
    /// The id of the earliest alert that named it.
    pub alert: String,
}

impl LedgerReader {
    /// Calls `each` with the entries of these tenants that were delivered with this token (its
    /// digest) since a time, in the order in which they were stored.
    ///
    /// # Errors
    /// When the ledger cannot be read, or the first error of `each`.
    pub(crate) fn for_each_delivered<E: From<LedgerError>>(
        &self,
        tenants: &[String],
        token: &str,
        since: DateTime<Utc>,
        each: impl FnMut(DeliveredEntry) -> Result<(), E>,
    ) -> Result<(), E> {
        // CROSS JOIN keeps the order of the tables: the long one is read by id.
        let select = format!(
            "SELECT settled.id, name, type, value, ended_at, detected_at
             FROM settled CROSS JOIN batch ON batch.id = settled.batch
                CROSS JOIN tenant ON tenant.id = batch.tenant
             WHERE settled.id > ?4 AND settled.id >= ifnull(
                    (SELECT min(first_entry) FROM batch WHERE state = 'delivered' AND ended_at >= ?1), 0)
                AND state = 'delivered' AND ended_at >= ?1
                AND name IN (SELECT value FROM json_each(?2)) AND batch.token = ?3
             ORDER BY settled.id LIMIT {PAGE}"
        );
        let names = json_array(tenants.iter().map(String::as_str));
        self.for_each_row(&select, params![Time(since), names, token], PAGE, read_delivered, each)
    }

    /// Returns the digest of the token that the last run of a tenant had; `None` if the ledger has
    /// no such tenant.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(crate) fn token_of(&self, tenant: &str) -> Result<Option<String>> {
        self.read(|db| {
            let mut select = db.prepare_cached("SELECT token FROM tenant WHERE name = ?1")?;
            Ok(select.query_row([tenant], |row| row.get(0)).optional()?)
        })
    }

    /// Calls `each` with the type and the indicator of every entry that is in the ledger, whatever
    /// became of it; twice if it is in both tables.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(crate) fn for_each_indicator(&self, mut each: impl FnMut(&str, &str)) -> Result<()> {
        for table in ["settled", "outbox"] {
            let select = format!(
                "SELECT id, type, value FROM {table} WHERE id > ?1 ORDER BY id LIMIT {PAGE}"
            );
            let read = |row: &Row<'_>| Ok((text(row, 1)?, text(row, 2)?));
            self.for_each_row(&select, &[], PAGE, read, |(indicator_type, value)| {
                each(&indicator_type, &value);
                Ok::<_, LedgerError>(())
            })?;
        }
        Ok(())
    }

    /// Returns what is needed to send these entries again. An entry whose alert, time or field is
    /// not known any more is left out.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(crate) fn sent_entries(&self, entries: &[EntryId]) -> Result<Vec<SentEntry>> {
        let ids = json_array(entries.iter().map(|id| id.0));
        // The table has no index by entry, so it is read once for all.
        let select = "SELECT entry, alert, min(created_at) FROM sighting
                      WHERE entry IN (SELECT value FROM json_each(?1)) GROUP BY entry";
        let alerts: BTreeMap<i64, String> =
            self.query(select, &[&ids], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let select = "SELECT settled.id, source, type, value, detected_at, field, mitre_codes
             FROM settled JOIN batch ON batch.id = settled.batch JOIN tenant ON tenant.id = batch.tenant
             WHERE settled.id IN (SELECT value FROM json_each(?1))
                AND detected_at IS NOT NULL AND field IS NOT NULL";
        let entries: Vec<_> = self.query(select, &[&ids], |row| {
            let Some(alert) = alerts.get(&row.get(0)?).cloned() else { return Ok(None) };
            let Some(detected_at) = milliseconds(row, "detected_at")? else { return Ok(None) };
            Ok(Some(SentEntry {
                id: EntryId(row.get(0)?),
                source: text(row, "source")?,
                indicator_type: text(row, "type")?,
                value: text(row, "value")?,
                detected_at,
                field: text(row, "field")?,
                mitre_codes: optional_text(row, "mitre_codes")?.unwrap_or_default(),
                alert,
            }))
        })?;
        Ok(entries.into_iter().flatten().collect())
    }
}

impl Ledger {
    /// Queues delivered entries again with these items, and returns their number. Entries that are
    /// not in the ledger as delivered, or whose row in the table `outbox` was not deleted yet, are
    /// left out.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub(crate) fn requeue_delivered(
        &self,
        items: &[(EntryId, String)],
        now: DateTime<Utc>,
    ) -> Result<u64> {
        self.transaction(|db| {
            let mut queued = 0;
            for (id, item) in items {
                let insert =
                    "INSERT INTO outbox (id, tenant, run, type, value, severity, stored_at, item)
                              SELECT settled.id, tenant, '', type, value, severity, ?2, ?3
                              FROM settled JOIN batch ON batch.id = settled.batch
                              WHERE settled.id = ?1 AND state = 'delivered' AND NOT EXISTS
                                (SELECT 1 FROM outbox WHERE outbox.id = ?1)";
                let is_queued =
                    db.prepare_cached(insert)?.execute(params![id.0, Time(now), item])? == 1;
                if is_queued {
                    let repeats = "INSERT INTO repeat (entry, count)
                                   SELECT id, detections - 1 FROM settled WHERE id = ?1 AND detections > 1";
                    db.prepare_cached(repeats)?.execute([id.0])?;
                    db.prepare_cached("DELETE FROM settled WHERE id = ?1")?.execute([id.0])?;
                    queued += 1;
                }
            }
            Ok(row_count(queued))
        })
    }
}

fn read_delivered(row: &Row<'_>) -> rusqlite::Result<DeliveredEntry> {
    let delivered_at = time(row, "ended_at")?;
    Ok(DeliveredEntry {
        id: EntryId(row.get(0)?),
        tenant: row.get("name")?,
        indicator_type: text(row, "type")?,
        value: text(row, "value")?,
        delivered_at,
        detected_at: milliseconds(row, "detected_at")?.unwrap_or(delivered_at),
    })
}
