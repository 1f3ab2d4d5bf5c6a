//! Entries of the outbox, as a person lists and chooses them.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Utc};
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef};
use rusqlite::{Row, ToSql, params};

use super::columns::{ItemColumn, JsonList, optional_time, text, time};
use super::tenant::OF_TENANTS;
use super::{LedgerError, LedgerReader, Result, TenantFilter};
use crate::submission;

/// The id of an entry, never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId(pub(super) i64);

impl ToSql for EntryId {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.into())
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The state of an entry in the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EntryState {
    /// It is waiting to be sent, or in doubt.
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

impl ToSql for EntryState {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.as_str().into())
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
    /// Only entries of these tenants.
    pub tenants: TenantFilter,
    /// Only entries in this state.
    pub state: Option<EntryState>,
    /// Only this entry and those stored before it.
    pub last: Option<EntryId>,
}

/// Returns the condition of a query on the table `outbox`, or on the view `pending` of its rows
/// that are not delivered. The first four parameters are those of [`EntryFilter::params`].
pub(super) fn entry_condition() -> String {
    format!("{OF_TENANTS} AND (?3 IS NULL OR state = ?3) AND (?4 IS NULL OR id <= ?4)")
}

impl EntryFilter {
    pub(super) fn params(&self) -> [&dyn ToSql; 4] {
        [&self.tenants.name, &self.tenants.source, &self.state, &self.last]
    }
}

/// An entry of the outbox, as a person sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OutboxEntry {
    /// Its id.
    pub id: EntryId,
    /// The tenant's name.
    pub tenant: String,
    /// The source's name.
    pub source: String,
    /// The Recorded Future organizations that receive it.
    pub organizations: Vec<String>,
    /// The run that stored it; empty if `verify` queued it again.
    pub run: String,
    /// The type of the indicator.
    pub indicator_type: String,
    /// The indicator.
    pub value: String,
    /// From 0 to 100, where the vendor gave one.
    pub severity: Option<u8>,
    /// When it was stored, UTC.
    pub stored_at: DateTime<Utc>,
    /// The number of attempts to send it.
    pub attempts: u32,
    /// Whether it is queued or in quarantine.
    pub state: EntryState,
    /// In quarantine, the HTTP status of the rejection, or `None` if the entry was not sent. While
    /// it is queued, this, `message` and `rejected_at` are `None`.
    pub status: Option<u16>,
    /// Recorded Future's message of the rejection, or why it was not sent.
    pub message: Option<String>,
    /// When it was put into quarantine, UTC.
    pub rejected_at: Option<DateTime<Utc>>,
}

/// Entries that are in quarantine for the same reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rejections {
    /// The HTTP status of the rejections; `None` where the entries were not sent.
    pub status: Option<u16>,
    /// Recorded Future's message, or why they were not sent.
    pub message: String,
    /// The number of entries.
    pub entries: u64,
    /// When the last of them was put into quarantine, UTC.
    pub last: DateTime<Utc>,
}

/// How many entries are read at once.
const PAGE: usize = 500;

impl LedgerReader {
    /// Returns the number of entries that match, by tenant.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(crate) fn count_by_tenant(&self, filter: &EntryFilter) -> Result<BTreeMap<String, u64>> {
        let select = format!(
            "SELECT name, number FROM
                (SELECT tenant, count(*) AS number FROM pending WHERE {} GROUP BY tenant)
             JOIN tenant ON tenant.id = tenant",
            entry_condition()
        );
        self.query(&select, &filter.params(), |row| Ok((row.get(0)?, row.get(1)?)))
    }

    /// Returns what is in quarantine by reason, most entries first.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(crate) fn rejections(&self, tenants: &TenantFilter) -> Result<Vec<Rejections>> {
        let select = format!(
            "SELECT status, message, count(*), max(rejected_at) FROM pending
             WHERE {OF_TENANTS} AND state = 'quarantined'
             GROUP BY status, message ORDER BY count(*) DESC, status, message",
        );
        self.query(&select, params![tenants.name, tenants.source], |row| {
            Ok(Rejections {
                status: row.get(0)?,
                message: text(row, 1)?,
                entries: row.get(2)?,
                last: time(row, 3)?,
            })
        })
    }

    /// Returns the number of entries that match and the id of the last one; `None` if there are
    /// none.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(crate) fn extent(&self, filter: &EntryFilter) -> Result<Option<(u64, EntryId)>> {
        self.read(|db| {
            let select =
                format!("SELECT count(*), max(id) FROM pending WHERE {}", entry_condition());
            let extent = db.prepare_cached(&select)?.query_row(filter.params(), |row| {
                Ok((row.get(0)?, row.get::<_, Option<i64>>(1)?))
            })?;
            Ok(extent.1.map(|last| (extent.0, EntryId(last))))
        })
    }

    /// Returns the id of the last of the first `count` entries that match; `None` if there are
    /// none.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(crate) fn last_of_first(
        &self,
        count: u32,
        filter: &EntryFilter,
    ) -> Result<Option<EntryId>> {
        self.read(|db| {
            let select = format!(
                "SELECT max(id) FROM (SELECT id FROM pending WHERE {} ORDER BY id LIMIT ?5)",
                entry_condition()
            );
            let [name, source, state, last] = filter.params();
            let params = params![name, source, state, last, count];
            let last: Option<i64> =
                db.prepare_cached(&select)?.query_row(params, |row| row.get(0))?;
            Ok(last.map(EntryId))
        })
    }

    /// Calls `each` with the entries that match, in the order in which they were stored.
    ///
    /// # Errors
    /// When the ledger cannot be read, or the first error of `each`.
    pub(crate) fn for_each_entry<E: From<LedgerError>>(
        &self,
        filter: &EntryFilter,
        each: impl FnMut(OutboxEntry) -> Result<(), E>,
    ) -> Result<(), E> {
        let select = format!(
            "SELECT pending.id, name, source, organizations, run, type, value, severity, stored_at, attempts,
                    state, status, message, rejected_at
             FROM (SELECT * FROM pending WHERE {} AND id > ?5 ORDER BY id LIMIT {PAGE}) AS pending
             JOIN tenant ON tenant.id = pending.tenant ORDER BY pending.id",
            entry_condition()
        );
        self.for_each(filter, &select, read_entry, each)
    }

    /// Calls `each` with the JSON of the entries that match, exactly as it would be sent, in the
    /// order in which they were stored. Returns the number of items that are damaged: they are not
    /// sent, and are left out.
    ///
    /// # Errors
    /// When the ledger cannot be read, or the first error of `each`.
    pub(crate) fn for_each_item<E: From<LedgerError>>(
        &self,
        filter: &EntryFilter,
        mut each: impl FnMut(String) -> Result<(), E>,
    ) -> Result<u64, E> {
        let select = format!(
            "SELECT id, item, type, value FROM pending WHERE {} AND id > ?5 ORDER BY id LIMIT {PAGE}",
            entry_condition()
        );
        let read = |row: &Row<'_>| {
            Ok((row.get::<_, ItemColumn>("item")?.0, text(row, "type")?, text(row, "value")?))
        };
        let mut damaged = 0;
        self.for_each(filter, &select, read, |(item, indicator_type, value)| {
            if submission::verify(&item, &indicator_type, &value).is_ok() {
                return each(item);
            }
            damaged += 1;
            Ok(())
        })?;
        Ok(damaged)
    }

    /// Calls `each` with what `read` returns for each entry that matches. What a run stores
    /// meanwhile is left out.
    fn for_each<T, E: From<LedgerError>>(
        &self,
        filter: &EntryFilter,
        select: &str,
        read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
        each: impl FnMut(T) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some((_, last)) = self.extent(filter)? else {
            return Ok(());
        };
        let filter = EntryFilter { last: Some(last), ..filter.clone() };
        self.for_each_row(select, &filter.params(), PAGE, read, each)
    }
}

fn read_entry(row: &Row<'_>) -> rusqlite::Result<OutboxEntry> {
    Ok(OutboxEntry {
        id: EntryId(row.get("id")?),
        tenant: row.get("name")?,
        source: row.get("source")?,
        organizations: row.get::<_, JsonList>("organizations")?.0,
        run: row.get("run")?,
        indicator_type: text(row, "type")?,
        value: text(row, "value")?,
        severity: row.get("severity")?,
        stored_at: time(row, "stored_at")?,
        attempts: row.get("attempts")?,
        state: row.get("state")?,
        status: row.get("status")?,
        message: row.get("message")?,
        rejected_at: optional_time(row, "rejected_at")?,
    })
}
