//! Batches: entries that leave the outbox together.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{Connection, Row, params};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::columns::{ItemColumn, Time, json_array, text};
use super::error::Problem;
use super::reader::query;
use super::{EntryId, Result, TenantId, TenantLedger};
use crate::indicator::IndicatorType;
use crate::submission::{self, DamagedItem};

/// The length of the range of ids that one transaction deletes: bounds the size of the journal.
const DELETE_CHUNK: i64 = 20_000;

/// The bytes by which the row of a batch grows when it is delivered: a time, and the difference of
/// `delivered` and `sending`.
const RESERVE: i64 = 24 + 2;

/// A queued entry that can be sent: its item was verified.
#[derive(Debug, Clone)]
pub(crate) struct QueuedItem {
    /// Its id.
    pub id: EntryId,
    /// The type of the indicator.
    pub indicator_type: IndicatorType,
    /// The severity, 0 to 100, where the vendor gave one.
    pub severity: Option<u8>,
    /// The exact JSON to send.
    pub json: Box<RawValue>,
    /// Whether it was sent before, without success.
    pub was_sent: bool,
}

/// The next entries of the queue.
#[derive(Debug, Default)]
pub(crate) struct NextItems {
    /// Those that can be sent.
    pub items: Vec<QueuedItem>,
    /// Those that cannot be sent, because the ledger is damaged.
    pub damaged: Vec<(EntryId, DamagedItem)>,
    /// The place after the last of them; `None` where there are none.
    pub end: Option<Cursor>,
}

/// The place after an entry in the order of the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// The negated severity; 1 if it is unknown. The queue is sorted by it.
    rank: i64,
    id: EntryId,
}

/// Entries that are being sent in one request.
#[derive(Debug)]
pub(crate) struct Batch {
    id: i64,
    begun_at: DateTime<Utc>,
    entries: Vec<EntryId>,
}

impl TenantLedger {
    /// Returns the next entries, at most `limit`: the most severe first, then those stored first.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(crate) fn next_items(&self, limit: usize, after: Option<Cursor>) -> Result<NextItems> {
        let after = after.unwrap_or(Cursor { rank: i64::MIN, id: EntryId(0) });
        let rows: Vec<_> = self.read(|db| {
            let select = "SELECT id, rank, type, value, item, attempts <> 0 FROM outbox
                 WHERE tenant = ?1 AND state = 'waiting' AND (rank, id) > (?2, ?3)
                    AND NOT EXISTS (SELECT 1 FROM settled WHERE settled.id = outbox.id)
                 ORDER BY rank, id LIMIT ?4";
            let params = params![self.tenant.0, after.rank, after.id.0, clamp(limit)];
            Ok(query(db, select, params, queued_item)?)
        })?;
        let mut next =
            NextItems { end: rows.last().map(|(cursor, _)| *cursor), ..NextItems::default() };
        for (Cursor { id, .. }, item) in rows {
            match item {
                Ok(item) => next.items.push(item),
                Err(error) => next.damaged.push((id, error)),
            }
        }
        Ok(next)
    }

    /// Counts the `limit` most severe entries of these tenants that can be sent (queued, and not in
    /// a batch), by tenant. Tenants that have none of them are left out.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(crate) fn most_severe(
        &self,
        tenants: &[TenantId],
        limit: u64,
    ) -> Result<BTreeMap<TenantId, u64>> {
        let ids = json_array(tenants.iter().map(|tenant| tenant.0));
        self.read(|db| {
            let select = "SELECT tenant, count(*) FROM (
                     SELECT tenant FROM outbox
                     WHERE tenant IN (SELECT value FROM json_each(?1)) AND state = 'waiting'
                        AND NOT EXISTS (SELECT 1 FROM settled WHERE settled.id = outbox.id)
                     ORDER BY rank, id LIMIT ?2)
                 GROUP BY tenant";
            let counts = query(db, select, params![ids, clamp(limit)], |row| {
                Ok((TenantId(row.get(0)?), row.get(1)?))
            })?;
            Ok(counts)
        })
    }

    /// Writes the batch of a request that is about to be sent. Its row, and the journal, which
    /// `files::keep_journal` keeps between transactions, have the space that recording its delivery
    /// needs: neither the ledger nor the journal has to grow then.
    ///
    /// # Errors
    /// [`Problem::NotQueued`] when one of the entries is not queued for this tenant, and when the
    /// ledger cannot be written; then no batch is written.
    pub(crate) fn begin_batch<'a>(
        &self,
        items: impl IntoIterator<Item = &'a QueuedItem>,
    ) -> Result<Batch> {
        let items: Vec<(EntryId, SentItem)> =
            items.into_iter().map(|item| (item.id, SentItem::read(item.json.get()))).collect();
        let begun_at = self.clock().now();
        self.transaction(|db| write(db, (self.tenant, &self.token), &items, begun_at))
    }

    /// Records that Recorded Future confirmed a batch: its entries are delivered, and count for the
    /// quota and the techniques of the day.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    #[expect(clippy::needless_pass_by_value, reason = "a batch is delivered once")]
    pub(crate) fn deliver_batch(&self, batch: Batch) -> Result<()> {
        let now = self.clock().now();
        // `quota_used` finds a batch by `begun_at`, at most a day before its delivery, so a wrong
        // one is corrected. Not changed otherwise: it is in an index, for which a full disk may
        // have no space.
        let clock_was_corrected = now < batch.begun_at || now - batch.begun_at > TimeDelta::days(1);
        self.transaction(|db| {
            if clock_was_corrected {
                let update = "UPDATE batch SET begun_at = ?2 WHERE id = ?1";
                db.execute(update, params![batch.id, Time(now)])?;
            }
            let update = "UPDATE batch SET state = 'delivered', ended_at = ?2, reserve = NULL
                          WHERE id = ?1 AND state = 'sending'";
            match db.prepare_cached(update)?.execute(params![batch.id, Time(now)])? {
                1 => Ok(()),
                _ => Err(Problem::Other(format!("batch {} is not being sent", batch.id))),
            }
        })
    }

    /// Queues the entries of a rejected batch again, to be sent in smaller ones. No attempt counts.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub(crate) fn requeue_batch(&self, batch: &Batch) -> Result<()> {
        self.transaction(|db| requeue(db, batch))
    }

    /// Queues the entries of a batch that certainly did not arrive, or was refused as a whole, for
    /// a later run, and counts one more attempt for each.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub(crate) fn requeue_failed_batch(&self, batch: &Batch) -> Result<()> {
        self.transaction(|db| {
            requeue(db, batch)?;
            Ok(count_attempt(db, batch)?)
        })
    }

    /// Leaves a batch in doubt: it may have arrived. Counts one more attempt for each entry.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub(crate) fn leave_in_doubt(&self, batch: &Batch) -> Result<()> {
        self.transaction(|db| Ok(count_attempt(db, batch)?))
    }

    /// Puts the entries of a batch into quarantine, with the status and the message of the
    /// rejection.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub(crate) fn quarantine_batch(&self, batch: &Batch, status: u16, message: &str) -> Result<()> {
        let now = Time(self.clock().now());
        self.transaction(|db| {
            requeue(db, batch)?;
            let mut update = db.prepare_cached(
                "UPDATE outbox SET state = 'quarantined', attempts = attempts + 1,
                                   status = ?2, message = ?3, rejected_at = ?4
                 WHERE id = ?1",
            )?;
            for id in &batch.entries {
                update.execute(params![id.0, status, message, now])?;
            }
            Ok(())
        })
    }

    /// Puts an entry into quarantine that was not sent because its item is damaged.
    ///
    /// # Errors
    /// [`Problem::NotQueued`] when it is not queued for this tenant, and when the ledger cannot be
    /// written.
    pub(crate) fn quarantine_damaged(&self, id: EntryId, message: &str) -> Result<()> {
        let now = Time(self.clock().now());
        self.transaction(|db| {
            let update = "UPDATE outbox SET state = 'quarantined', message = ?3, rejected_at = ?4
                          WHERE id = ?1 AND tenant = ?2 AND state = 'waiting'
                            AND NOT EXISTS (SELECT 1 FROM settled WHERE settled.id = outbox.id)";
            match db.prepare_cached(update)?.execute(params![id.0, self.tenant.0, message, now])? {
                0 => Err(Problem::NotQueued(id)),
                _ => Ok(()),
            }
        })
    }

    /// Queues the entries of batches again whose rows are damaged or missing, and returns their
    /// number. In a dry run, which does not search for batches in doubt, also the entries of these.
    pub(super) fn requeue_lost(&self) -> Result<u64> {
        let is_dry_run = self.shared().real_is_attached();
        self.transaction(|db| {
            // CROSS JOIN keeps the order of the tables: the outbox, which has all of these entries,
            // is shorter. `batch.tenant` is NULL where the batch's row is missing, and another
            // tenant where it is damaged.
            let rows = db.execute(
                "DELETE FROM settled WHERE id IN (
                    SELECT outbox.id FROM outbox CROSS JOIN settled ON settled.id = outbox.id
                        LEFT JOIN batch ON batch.id = settled.batch
                    WHERE outbox.tenant = ?1 AND ifnull(batch.state, 'sending') = 'sending'
                        AND (?2 OR batch.tenant IS NOT ?1))",
                params![self.tenant.0, is_dry_run],
            )?;
            let delete = "DELETE FROM batch WHERE state = 'sending' AND tenant = ?1
                            AND (?2 OR NOT EXISTS (SELECT 1 FROM settled WHERE batch = batch.id))";
            db.execute(delete, params![self.tenant.0, is_dry_run])?;
            Ok(super::columns::row_count(rows))
        })
    }

    /// Deletes the rows of all tenants' delivered entries from the outbox, in the order in which
    /// they are in the file: deleting them batch by batch, by severity, would rewrite each page
    /// several times.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub(crate) fn delete_delivered(&self) -> Result<()> {
        let span = self.read(|db| {
            // One subquery for both would read the whole index.
            let select = "SELECT ifnull((SELECT min(id) FROM outbox), 0),
                                 ifnull((SELECT max(id) FROM outbox), -1)";
            Ok(db.query_row(select, [], |row| Ok((row.get(0)?, row.get(1)?)))?)
        })?;
        let (mut first, last): (i64, i64) = span;
        while first <= last {
            let until = first.saturating_add(DELETE_CHUNK - 1);
            self.transaction(|db| {
                let mut delete = db.prepare_cached(
                    "DELETE FROM outbox WHERE id BETWEEN ?1 AND ?2 AND EXISTS (
                        SELECT 1 FROM settled JOIN batch ON batch.id = settled.batch
                        WHERE settled.id = outbox.id AND batch.state <> 'sending')",
                )?;
                Ok(delete.execute([first, until])?)
            })?;
            first = until.saturating_add(1);
        }
        Ok(())
    }
}

/// Reads a row of `next_items`, and verifies its item.
fn queued_item(row: &Row<'_>) -> rusqlite::Result<(Cursor, Result<QueuedItem, DamagedItem>)> {
    let cursor = Cursor { id: EntryId(row.get(0)?), rank: row.get(1)? };
    let (indicator_type, value) = (text(row, 2)?, text(row, 3)?);
    let item = row.get::<_, ItemColumn>(4)?.0;
    let was_sent = row.get(5)?;
    let verified = || {
        submission::verify(&item, &indicator_type, &value)?;
        let indicator_type =
            IndicatorType::from_name(&indicator_type).ok_or(DamagedItem::UnknownType)?;
        let severity = cursor.rank.checked_neg().and_then(|severity| u8::try_from(severity).ok());
        let json = RawValue::from_string(item)?;
        Ok(QueuedItem { id: cursor.id, indicator_type, severity, json, was_sent })
    };
    Ok((cursor, verified()))
}

/// Converts a limit for a query. The largest number means no limit.
fn clamp(limit: impl TryInto<i64>) -> i64 {
    limit.try_into().unwrap_or(i64::MAX)
}

/// Writes a batch of entries in state `sending`, for a tenant and its token.
pub(super) fn write(
    db: &Connection,
    (tenant, token): (TenantId, &str),
    items: &[(EntryId, SentItem)],
    begun_at: DateTime<Utc>,
) -> Result<Batch, Problem> {
    let mut techniques = Techniques::default();
    for (_, item) in items {
        techniques.add(item);
    }
    let entries: Vec<EntryId> = items.iter().map(|(id, _)| *id).collect();
    let insert =
        "INSERT INTO batch (tenant, token, state, entries, first_entry, last_entry, techniques,
                                     begun_at, reserve)
                  VALUES (?1, ?2, 'sending', ?3, ?4, ?5, ?6, ?7, zeroblob(?8))";
    db.prepare_cached(insert)?.execute(params![
        tenant.0,
        token,
        entries.len(),
        entries.iter().min(),
        entries.iter().max(),
        techniques.json(),
        Time(begun_at),
        RESERVE,
    ])?;
    let batch = db.last_insert_rowid();
    let mut settle = db.prepare_cached(
        "INSERT INTO settled (id, type, value, detections, batch, severity,
                              detected_at, field, mitre_codes)
         SELECT id, type, value, 1 + ifnull(count, 0), ?3, severity, ?4, ?5, ?6
         FROM outbox LEFT JOIN repeat ON entry = id
         WHERE id = ?1 AND tenant = ?2 AND state = 'waiting'
            AND NOT EXISTS (SELECT 1 FROM settled WHERE settled.id = outbox.id)",
    )?;
    for (id, item) in items {
        let detected_at = item.timestamp.map(|time| time.timestamp_millis());
        let columns = params![id, tenant.0, batch, detected_at, item.field(), item.mitre_codes()];
        if settle.execute(columns)? == 0 {
            return Err(Problem::NotQueued(*id));
        }
    }
    Ok(Batch { id: batch, begun_at, entries })
}

fn count_attempt(db: &Connection, batch: &Batch) -> rusqlite::Result<()> {
    let mut update =
        db.prepare_cached("UPDATE outbox SET attempts = attempts + 1 WHERE id = ?1")?;
    for id in &batch.entries {
        update.execute([id.0])?;
    }
    Ok(())
}

fn requeue(db: &Connection, batch: &Batch) -> Result<(), Problem> {
    let mut delete = db.prepare_cached("DELETE FROM settled WHERE id = ?1 AND batch = ?2")?;
    for id in &batch.entries {
        if delete.execute([id.0, batch.id])? == 0 {
            return Err(Problem::NotQueued(*id));
        }
    }
    db.prepare_cached("DELETE FROM batch WHERE id = ?1 AND state = 'sending'")?
        .execute([batch.id])?;
    Ok(())
}

/// How many items of a batch name each technique.
#[derive(Debug, Default)]
pub(super) struct Techniques(BTreeMap<String, u64>);

/// The parts of a sent item that stay in the ledger.
#[derive(Debug, Default, Deserialize)]
pub(super) struct SentItem {
    pub(super) timestamp: Option<DateTime<Utc>>,
    #[serde(default)]
    ioc: SentIndicator,
    #[serde(default)]
    mitre_codes: BTreeSet<String>,
}

#[derive(Debug, Default, Deserialize)]
struct SentIndicator {
    field: Option<String>,
}

impl SentItem {
    /// Reads the parts of an item; those of a damaged one are empty.
    pub(super) fn read(item: &str) -> Self {
        serde_json::from_str(item).unwrap_or_default()
    }

    /// Returns the field of the alert that named the indicator.
    pub(super) fn field(&self) -> Option<&str> {
        self.ioc.field.as_deref()
    }

    /// Returns the codes with spaces between them.
    pub(super) fn mitre_codes(&self) -> String {
        self.mitre_codes.iter().map(String::as_str).collect::<Vec<_>>().join(" ")
    }
}

impl Techniques {
    /// Counts the techniques that an item names, each once. Tactics (`TA0002`) are left out: nearly
    /// every technique comes with one.
    pub(super) fn add(&mut self, item: &SentItem) {
        for code in item.mitre_codes.iter().filter(|code| is_technique(code)) {
            *self.0.entry(code.clone()).or_default() += 1;
        }
    }

    /// Returns the counts as a JSON object, by technique.
    pub(super) fn json(&self) -> String {
        let map: serde_json::Map<String, Value> =
            self.0.iter().map(|(code, count)| (code.clone(), (*count).into())).collect();
        Value::Object(map).to_string()
    }
}

/// Whether the code begins with a `T` and a digit.
fn is_technique(code: &str) -> bool {
    code.strip_prefix('T')
        .is_some_and(|number| number.starts_with(|first: char| first.is_ascii_digit()))
}
