//! How entries leave the outbox, or go into quarantine and back.

use chrono::{DateTime, Utc};
use rusqlite::{CachedStatement, Connection, OptionalExtension, params};

use super::columns::{Time, text};
use super::error::Fault;
use super::history::Techniques;
use super::quota::add_used;
use super::reader::{Filter, MATCHES, State};
use super::{EntryId, Ledger, Result, TenantId};

impl Ledger {
    /// Settles what Recorded Future confirmed: the detections behind the entries are delivered, the entries leave the
    /// outbox, their techniques are counted, and the token's quota of the day grows by their number. All or nothing.
    ///
    /// # Errors
    /// [`LedgerError::NotWaiting`](super::LedgerError::NotWaiting) when one of them is not waiting for this tenant: a
    /// second settling would count the quota twice, so it is refused rather than passed over.
    pub fn settle_delivered(
        &self,
        tenant: TenantId,
        token: &str,
        ids: &[EntryId],
        now: DateTime<Utc>,
    ) -> Result<()> {
        self.atomically(|db| {
            let mut find = db.prepare_cached(
                "SELECT item FROM outbox WHERE id = ?1 AND tenant = ?2 AND state = 'waiting'",
            )?;
            let mut way_out = WayOut::new(db, "delivered_at", now)?;
            let mut techniques = Techniques::default();
            for id in ids {
                let counted = find.query_row([id.0, tenant.0], |row| {
                    techniques.add(row.get_ref(0)?.as_str()?);
                    Ok(())
                });
                counted.optional()?.ok_or(Fault::NotWaiting(*id))?;
                way_out.take(id.0)?;
            }
            let used = u64::try_from(ids.len()).unwrap_or(u64::MAX);
            techniques.store(db, tenant, now)?;
            Ok(add_used(db, token, used, now)?)
        })
    }

    /// Puts an entry that Recorded Future refused alone into quarantine, with its status and words.
    ///
    /// # Errors
    /// [`LedgerError::NotWaiting`](super::LedgerError::NotWaiting) when it is not waiting for this tenant: the words of
    /// an earlier refusal are not overwritten.
    pub fn quarantine(
        &self,
        tenant: TenantId,
        id: EntryId,
        status: u16,
        words: &str,
        now: DateTime<Utc>,
    ) -> Result<()> {
        self.atomically(|db| {
            let mut update = db.prepare_cached(
                "UPDATE outbox SET state = 'quarantined', tries = tries + 1, status = ?3, words = ?4, refused_at = ?5
                 WHERE id = ?1 AND tenant = ?2 AND state = 'waiting'",
            )?;
            match update.execute(params![id.0, tenant.0, status, words, Time(now)])? {
                0 => Err(Fault::NotWaiting(id)),
                _ => Ok(()),
            }
        })
    }

    /// Lets the quarantined entries among those that match wait again, and returns how many there were.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub fn retry_quarantined(&self, filter: &Filter) -> Result<u64> {
        let filter = Filter { state: Some(State::Quarantined), ..filter.clone() };
        self.atomically(|db| {
            let update = format!(
                "UPDATE outbox SET state = 'waiting', status = NULL, words = NULL, refused_at = NULL WHERE {MATCHES}"
            );
            let changed = db.prepare_cached(&update)?.execute(filter.columns())?;
            Ok(u64::try_from(changed).unwrap_or(u64::MAX))
        })
    }

    /// Takes the entries that match out of the outbox, and returns how many there were. Their detections are
    /// remembered as dropped, or the next night would fetch and send them again.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub fn drop_entries(&self, filter: &Filter, now: DateTime<Utc>) -> Result<u64> {
        self.atomically(|db| {
            let ids: Vec<i64> = db
                .prepare_cached(&format!("SELECT id FROM outbox WHERE {MATCHES}"))?
                .query_map(filter.columns(), |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            let mut way_out = WayOut::new(db, "dropped_at", now)?;
            for id in &ids {
                way_out.take(*id)?;
            }
            Ok(u64::try_from(ids.len()).unwrap_or(u64::MAX))
        })
    }
}

/// The one way out of the outbox: what leaves the one table enters the other.
struct WayOut<'a> {
    remove: CachedStatement<'a>,
    note: CachedStatement<'a>,
    now: String,
}

impl<'a> WayOut<'a> {
    /// `column` of the table of settled entries holds when.
    fn new(db: &'a Connection, column: &str, now: DateTime<Utc>) -> rusqlite::Result<Self> {
        let note = format!("INSERT INTO settled (id, {column}) VALUES (?1, ?2)");
        Ok(Self {
            remove: db.prepare_cached("DELETE FROM outbox WHERE id = ?1")?,
            note: db.prepare_cached(&note)?,
            now: text(now),
        })
    }

    /// Takes out an entry that is in the outbox.
    fn take(&mut self, id: i64) -> rusqlite::Result<()> {
        self.remove.execute([id])?;
        self.note.execute(params![id, self.now])?;
        Ok(())
    }
}
