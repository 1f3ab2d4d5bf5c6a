//! Entries of the outbox, as a person lists and chooses them.

use std::fmt;

use chrono::{DateTime, Utc};
use rusqlite::Row;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, Value, ValueRef};
use serde::de::IgnoredAny;

use super::columns::{ItemColumn, JsonList, Time, TypeColumn, time};
use super::{LedgerReader, Result};
use crate::indicator::IndicatorType;

/// The id of an entry, never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId(pub(super) i64);

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The state of an entry in the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EntryState {
    /// It will be sent.
    Queued,
    /// Recorded Future rejected it, or its item is damaged.
    Quarantined,
}

impl EntryState {
    /// Returns its name in the ledger and in JSON.
    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "waiting",
            Self::Quarantined => "quarantined",
        }
    }
}

impl FromSql for EntryState {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let name = value.as_str()?;
        [Self::Queued, Self::Quarantined]
            .into_iter()
            .find(|state| state.as_str() == name)
            .ok_or(FromSqlError::InvalidType)
    }
}

/// Which entries of the outbox are meant. `None` means any; the default means all.
#[derive(Debug, Clone, Default)]
pub(crate) struct EntryFilter {
    /// Those from this source.
    pub source: Option<String>,
    /// Those in this state.
    pub state: Option<EntryState>,
    /// Those stored up to this one.
    pub last: Option<EntryId>,
}

/// The condition of a query on `outbox` or `pending` that [`EntryFilter::columns`] completes.
pub(super) const MATCHES: &str = "(?1 IS NULL OR tenant IN (SELECT id FROM tenant WHERE source = ?1)) AND (?2 IS NULL OR state = ?2) AND (?3 IS NULL OR id <= ?3)";

impl EntryFilter {
    pub(super) fn columns(&self) -> [Value; 3] {
        [
            self.source.clone().into(),
            self.state.map(|state| state.as_str().to_owned()).into(),
            self.last.map(|entry| entry.0).into(),
        ]
    }
}

/// An entry of the outbox, as a person sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OutboxEntry {
    /// Its id.
    pub id: EntryId,
    /// The source's name.
    pub source: String,
    /// The Recorded Future organizations that receive it.
    pub organizations: Vec<String>,
    /// The run that stored it.
    pub run: String,
    /// The type of the indicator.
    pub indicator_type: IndicatorType,
    /// The indicator.
    pub value: String,
    /// From 0 to 100, where the vendor gave one.
    pub severity: Option<u8>,
    /// When it was stored, UTC.
    pub stored_at: DateTime<Utc>,
    /// How often it was sent without success.
    pub attempts: u32,
    /// Whether it is queued or in quarantine.
    pub state: EntryState,
    /// The HTTP status of the rejection; `None` where it was not sent.
    pub status: Option<u16>,
    /// Recorded Future's message of the rejection, or why it was not sent.
    pub message: Option<String>,
    /// When it was put into quarantine, UTC.
    pub rejected_at: Option<DateTime<Utc>>,
}

impl LedgerReader {
    /// Returns the entries that match, in the order in which they were stored.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(crate) fn list(&self, filter: &EntryFilter) -> Result<Vec<OutboxEntry>> {
        self.read(|db| {
            let select = format!(
                "SELECT pending.id, source, organizations, run, type, value, severity, stored_at, attempts,
                        state, status, message, rejected_at
                 FROM (SELECT * FROM pending WHERE {MATCHES}) AS pending
                 JOIN tenant ON tenant.id = pending.tenant ORDER BY pending.id"
            );
            let mut select = db.prepare_cached(&select)?;
            let rows = select.query_map(filter.columns(), read_entry)?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Returns the JSON of the entries that match, exactly as it would be sent, in the order in
    /// which they were stored, and the number of items that are not valid JSON. Those are left out:
    /// they are not sent.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(crate) fn export(&self, filter: &EntryFilter) -> Result<(Vec<String>, usize)> {
        self.read(|db| {
            let select = format!("SELECT item FROM pending WHERE {MATCHES} ORDER BY id");
            let mut select = db.prepare_cached(&select)?;
            let rows =
                select.query_map(filter.columns(), |row| Ok(row.get::<_, ItemColumn>(0)?.0))?;
            let items: Vec<String> = rows.collect::<rusqlite::Result<_>>()?;
            let is_json = |item: &String| serde_json::from_str::<IgnoredAny>(item).is_ok();
            let (items, damaged): (Vec<_>, Vec<_>) = items.into_iter().partition(is_json);
            Ok((items, damaged.len()))
        })
    }
}

fn read_entry(row: &Row<'_>) -> rusqlite::Result<OutboxEntry> {
    Ok(OutboxEntry {
        id: EntryId(row.get("id")?),
        source: row.get("source")?,
        organizations: row.get::<_, JsonList>("organizations")?.0,
        run: row.get("run")?,
        indicator_type: row.get::<_, TypeColumn>("type")?.0,
        value: row.get("value")?,
        severity: row.get("severity")?,
        stored_at: row.get::<_, Time>("stored_at")?.0,
        attempts: row.get("attempts")?,
        state: row.get("state")?,
        status: row.get("status")?,
        message: row.get("message")?,
        rejected_at: time(row, "rejected_at")?,
    })
}
