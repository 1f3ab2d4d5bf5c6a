//! Batches in doubt: Recorded Future may have stored them, but no response confirmed it.
//!
//! They stay in state `sending` until a later run has searched for their entries. They come from
//! runs that were killed or got no response, and from `outbox retry`.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{Connection, params};
use serde::Deserialize;

use super::batch::{SentItem, Techniques};
use super::columns::{ItemColumn, json_array, text, time};
use super::reader::query;
use super::{EntryId, Result, TenantLedger};

/// A batch in doubt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BatchInDoubt {
    id: i64,
    begun_at: DateTime<Utc>,
    /// Its entries; those whose items are damaged are left out.
    pub entries: Vec<EntryInDoubt>,
}

impl BatchInDoubt {
    /// Returns how long the batch has been in doubt; negative where a clock was or is wrong.
    pub(crate) fn age(&self, now: DateTime<Utc>) -> TimeDelta {
        now.signed_duration_since(self.begun_at)
    }
}

/// An entry of a batch in doubt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EntryInDoubt {
    pub id: EntryId,
    /// The type of the indicator.
    pub indicator_type: String,
    /// The indicator.
    pub value: String,
    /// The id of the alert that was sent with it.
    pub alert: String,
    /// The time of the detection, UTC.
    pub detected_at: DateTime<Utc>,
}

/// The parts of an item that identify it, in addition to its indicator.
#[derive(Deserialize)]
struct Item {
    timestamp: DateTime<Utc>,
    detection: ItemDetection,
}

#[derive(Deserialize)]
struct ItemDetection {
    id: String,
}

impl TenantLedger {
    /// Returns the tenant's batches in doubt, by id. A batch that this run is sending is in the
    /// same state, so this is for the time before.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(crate) fn batches_in_doubt(&self) -> Result<Vec<BatchInDoubt>> {
        self.read(|db| {
            let select =
                "SELECT id, begun_at FROM batch WHERE state = 'sending' AND tenant = ?1 ORDER BY id";
            let batches = query(db, select, &[&self.tenant.0], |row| {
                let id = row.get(0)?;
                Ok(BatchInDoubt { id, begun_at: time(row, 1)?, entries: entries(db, id)? })
            })?;
            Ok(batches)
        })
    }

    /// Returns whether another tenant may send the same alerts with the same token to other
    /// organizations: then a search cannot tell which of the two sent an item.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(crate) fn may_match_other_tenants(&self) -> Result<bool> {
        self.read(|db| {
            let select = "SELECT EXISTS (
                SELECT 1 FROM tenant AS own JOIN tenant AS other
                    ON other.id <> own.id AND other.token = own.token AND other.source = own.source
                WHERE own.id = ?1 AND other.organizations <> own.organizations
                    AND ifnull(other.customer = own.customer, TRUE))";
            Ok(db.query_row(select, [self.tenant.0], |row| row.get(0))?)
        })
    }

    /// Ends the doubt about a batch. The entries that were found count as delivered at the time
    /// when the batch began; the others are queued again, with at least one attempt. Returns the
    /// number of delivered ones.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub(crate) fn resolve_batch(
        &self,
        batch: &BatchInDoubt,
        found: &BTreeSet<EntryId>,
    ) -> Result<u64> {
        self.transaction(|db| {
            // A run that was killed did not count its attempt.
            db.execute(
                "UPDATE outbox SET attempts = max(attempts, 1)
                 WHERE id IN (SELECT id FROM settled WHERE batch = ?1)",
                [batch.id],
            )?;
            db.execute(
                "DELETE FROM settled WHERE batch = ?1 AND id NOT IN (SELECT value FROM json_each(?2))",
                params![batch.id, json_array(found.iter().map(|id| id.0))],
            )?;
            let mut techniques = Techniques::default();
            let select = "SELECT item FROM settled JOIN outbox USING (id) WHERE batch = ?1";
            let mut select = db.prepare(select)?;
            let mut items = select.query([batch.id])?;
            let mut delivered = 0_u64;
            while let Some(row) = items.next()? {
                techniques.add(&SentItem::read(&row.get::<_, ItemColumn>(0)?.0));
                delivered += 1;
            }
            if delivered == 0 {
                db.execute("DELETE FROM batch WHERE id = ?1", [batch.id])?;
            } else {
                // The reserve is the space of the two columns that are set here.
                let update = "UPDATE batch SET state = 'delivered', ended_at = begun_at, reserve = NULL,
                                 entries = ?2, techniques = ?3 WHERE id = ?1";
                db.execute(update, params![batch.id, delivered, techniques.json()])?;
            }
            Ok(delivered)
        })
    }
}

/// Returns the entries of a batch, in the order in which they were stored.
fn entries(db: &Connection, batch: i64) -> rusqlite::Result<Vec<EntryInDoubt>> {
    let select = "SELECT outbox.id, outbox.type, outbox.value, item
         FROM settled JOIN outbox ON outbox.id = settled.id WHERE batch = ?1 ORDER BY outbox.id";
    let entries: Vec<_> = query(db, select, &[&batch], |row| {
        let item = row.get::<_, ItemColumn>("item")?.0;
        let Ok(Item { timestamp, detection }) = serde_json::from_str(&item) else {
            return Ok(None);
        };
        Ok(Some(EntryInDoubt {
            id: EntryId(row.get(0)?),
            indicator_type: text(row, "type")?,
            value: text(row, "value")?,
            alert: detection.id,
            detected_at: timestamp,
        }))
    })?;
    Ok(entries.into_iter().flatten().collect())
}
