//! What is fetched and not yet delivered: how it comes in, and in which order it goes out.

use std::borrow::Borrow;
use std::convert::Infallible;
use std::fmt;

use chrono::{DateTime, Utc};
use rusqlite::{CachedStatement, Connection, OptionalExtension, params};

use super::columns::{Count, Named, text};
use super::error::Fault;
use super::{Ledger, Result, TenantId};
use crate::indicator::{Indicator, IndicatorType};

/// A submission to be stored.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What is submitted.
    pub indicator: Indicator,
    /// From 0 to 100, where the vendor gives one.
    pub severity: Option<u8>,
    /// The exact JSON that will be sent.
    pub item: String,
    /// The detections it stands for: first the one that stands in the item, then its repeats. Never empty.
    pub detections: Vec<String>,
}

/// The number of an entry in the outbox, never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId(pub(super) i64);

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::str::FromStr for EntryId {
    type Err = std::num::ParseIntError;

    /// Reads a number that a person typed. Whether there is such an entry is another question.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// What the ledger knows about a detection with an indicator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// Nothing.
    New,
    /// It is in the outbox.
    Waiting,
    /// Recorded Future refused it.
    Quarantined,
    /// Recorded Future has it.
    Delivered,
    /// A person took it out of the outbox.
    Dropped,
}

/// An entry that waits to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// Its number.
    pub id: EntryId,
    /// What kind of indicator it submits.
    pub kind: IndicatorType,
    /// The exact JSON to send.
    pub item: String,
    /// From 0 to 100, where the vendor gave one.
    pub severity: Option<u8>,
}

/// A place in the order of the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    rank: i64,
    id: EntryId,
}

impl Pending {
    /// The place right after this entry, for the next [`Ledger::batch`].
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        Cursor { rank: -self.severity.map_or(-1, i64::from), id: self.id }
    }
}

impl Ledger {
    /// Stores entries in the outbox, all or none, and returns how many.
    ///
    /// A detection that is known with the indicator already keeps its state, and an entry none of whose detections
    /// is new is not stored. With `resend` what was delivered counts as new, but not what a person dropped.
    ///
    /// # Errors
    /// When the ledger cannot be written, or an entry stands for no detection at all.
    pub fn store(
        &self,
        tenant: TenantId,
        run: &str,
        entries: &[Entry],
        resend: bool,
        now: DateTime<Utc>,
    ) -> Result<u64> {
        let entries = entries.iter().map(Ok::<_, Infallible>);
        self.store_each(tenant, run, entries, resend, now)
    }

    /// As [`Ledger::store`], for entries that are made one by one, so that they need not all be in memory.
    ///
    /// # Errors
    /// As [`Ledger::store`], and when one of them cannot be made; then none is stored.
    pub fn store_each<E: fmt::Display>(
        &self,
        tenant: TenantId,
        run: &str,
        entries: impl IntoIterator<Item = Result<impl Borrow<Entry>, E>>,
        resend: bool,
        now: DateTime<Utc>,
    ) -> Result<u64> {
        self.atomically(|db| {
            let mut insert = db.prepare_cached(
                "INSERT INTO outbox (id, tenant, run, kind, value, severity, item, stored_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?;
            let mut link = db.prepare_cached(
                "INSERT INTO sighting (tenant, detection, kind, value, entry) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT DO UPDATE SET entry = excluded.entry
                 WHERE ?6 AND EXISTS (SELECT 1 FROM settled WHERE id = sighting.entry AND delivered_at IS NOT NULL)",
            )?;
            let now = text(now);
            let mut id = last_id(db)?;
            let mut stored = 0;
            for entry in entries {
                let entry = entry.map_err(|error| Fault::Other(error.to_string()))?;
                let entry = entry.borrow();
                if entry.detections.is_empty() {
                    return Err(Fault::Other("an entry stands for no detection".to_owned()));
                }
                let (kind, value) = (entry.indicator.kind().as_str(), entry.indicator.value());
                id.0 += 1;
                insert.execute(params![id.0, tenant.0, run, kind, value, entry.severity, entry.item, now])?;
                if link_all(&mut link, tenant, id, entry, resend)? {
                    stored += 1;
                } else {
                    db.prepare_cached("DELETE FROM outbox WHERE id = ?1")?.execute([id.0])?;
                }
            }
            Ok(stored)
        })
    }

    /// What is known about a detection with an indicator. Many are best asked about [at once](Ledger::at_once).
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn known(&self, tenant: TenantId, detection: &str, indicator: &Indicator) -> Result<Known> {
        self.view.read(|db| Ok(known(db, tenant, detection, indicator)?))
    }

    /// The next entries to send: the most severe first, then those stored first. `after` skips what was handed out
    /// before and is waiting still, so that a run does not take the same entry twice; what is stored meanwhile and is
    /// more severe than the cursor comes only to a walk begun anew.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn batch(
        &self,
        tenant: TenantId,
        limit: usize,
        after: Option<Cursor>,
    ) -> Result<Vec<Pending>> {
        let after = after.unwrap_or(Cursor { rank: i64::MIN, id: EntryId(0) });
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.view.read(|db| {
            let mut select = db.prepare_cached(
                "SELECT id, kind, item, severity FROM outbox
                 WHERE tenant = ?1 AND state = 'waiting' AND (rank, id) > (?2, ?3)
                 ORDER BY rank, id LIMIT ?4",
            )?;
            let rows =
                select.query_map(params![tenant.0, after.rank, after.id.0, limit], |row| {
                    Ok(Pending {
                        id: EntryId(row.get(0)?),
                        kind: row.get::<_, Named>(1)?.0,
                        item: row.get(2)?,
                        severity: row.get(3)?,
                    })
                })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// How many entries wait.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn waiting(&self, tenant: TenantId) -> Result<u64> {
        self.view.read(|db| Ok(count(db, tenant, "waiting")?))
    }

    /// How many entries of the same account wait under another token or for other organizations: no run of this
    /// tenant sends them.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn waiting_elsewhere(&self, tenant: TenantId) -> Result<u64> {
        self.view.read(|db| {
            let mut select = db.prepare_cached(
                "SELECT count(*) FROM outbox JOIN tenant AS other ON other.id = outbox.tenant
                 JOIN tenant AS this ON this.source = other.source AND this.account = other.account
                 WHERE this.id = ?1 AND other.id <> ?1 AND state = 'waiting'",
            )?;
            Ok(select.query_row([tenant.0], |row| Ok(row.get::<_, Count>(0)?.0))?)
        })
    }

    /// Notes one more try for entries that were sent and are still waiting, because no verdict came back.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub fn tried(&self, tenant: TenantId, ids: &[EntryId]) -> Result<()> {
        self.atomically(|db| {
            let mut update = db.prepare_cached(
                "UPDATE outbox SET tries = tries + 1 WHERE id = ?1 AND tenant = ?2 AND state = 'waiting'",
            )?;
            for id in ids {
                if update.execute([id.0, tenant.0])? == 0 {
                    return Err(Fault::NotWaiting(*id));
                }
            }
            Ok(())
        })
    }
}

fn known(
    db: &Connection,
    tenant: TenantId,
    detection: &str,
    indicator: &Indicator,
) -> rusqlite::Result<Known> {
    let mut find = db.prepare_cached(
        "SELECT ifnull((SELECT iif(dropped_at IS NULL, 'delivered', 'dropped') FROM settled WHERE id = entry),
                       (SELECT state FROM outbox WHERE id = entry))
         FROM sighting WHERE tenant = ?1 AND detection = ?2 AND kind = ?3 AND value = ?4",
    )?;
    let key = params![tenant.0, detection, indicator.kind().as_str(), indicator.value()];
    let known = find.query_row(key, |row| {
        Ok(match row.get_ref(0)?.as_str()? {
            "waiting" => Known::Waiting,
            "quarantined" => Known::Quarantined,
            "delivered" => Known::Delivered,
            _ => Known::Dropped,
        })
    });
    Ok(known.optional()?.unwrap_or(Known::New))
}

/// The highest number ever given. `AUTOINCREMENT` keeps it, but a ledger put together again from a damaged one may have
/// lost that; an entry with the number of a settled one could be sent but never settled, and one with a number that a
/// sighting names would take it over.
fn last_id(db: &Connection) -> rusqlite::Result<EntryId> {
    let mut select = db.prepare_cached(
        "SELECT coalesce((SELECT max(seq) FROM sqlite_sequence WHERE name = 'outbox'),
                         (SELECT max(entry) FROM sighting), 0)",
    )?;
    select.query_row([], |row| row.get(0).map(EntryId))
}

/// Lets the entry's sightings name it; whether there were any that may.
fn link_all(
    link: &mut CachedStatement<'_>,
    tenant: TenantId,
    id: EntryId,
    entry: &Entry,
    resend: bool,
) -> rusqlite::Result<bool> {
    let (kind, value) = (entry.indicator.kind().as_str(), entry.indicator.value());
    let mut linked = 0;
    for detection in &entry.detections {
        linked += link.execute(params![tenant.0, detection, kind, value, id.0, resend])?;
    }
    Ok(linked > 0)
}

/// How many of a tenant's entries are in `state`.
pub(super) fn count(db: &Connection, tenant: TenantId, state: &str) -> rusqlite::Result<u64> {
    let mut count =
        db.prepare_cached("SELECT count(*) FROM outbox WHERE tenant = ?1 AND state = ?2")?;
    count.query_row(params![tenant.0, state], |row| Ok(row.get::<_, Count>(0)?.0))
}
