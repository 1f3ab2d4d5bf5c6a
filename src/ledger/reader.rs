//! Reading the ledger, also while a run is on.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, Value, ValueRef};
use rusqlite::{Connection, Row};

use super::columns::{Named, Time, Words, time};
use super::error::{Fault, LedgerError, explain};
use super::{EntryId, Result, TenantId, files, schema};
use crate::indicator::IndicatorType;

/// The ledger, to be looked at. It takes no lock and changes nothing.
#[derive(Debug)]
pub struct View {
    db: Connection,
    path: PathBuf,
}

/// The state of an entry in the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It will be sent.
    Waiting,
    /// Recorded Future refused it.
    Quarantined,
}

impl State {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Quarantined => "quarantined",
        }
    }
}

impl FromSql for State {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let name = value.as_str()?;
        [Self::Waiting, Self::Quarantined]
            .into_iter()
            .find(|state| state.as_str() == name)
            .ok_or(FromSqlError::InvalidType)
    }
}

/// Which entries of the outbox are meant. Whatever is None is no condition; the default means all.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Those from this vendor.
    pub source: Option<String>,
    /// Those of this tenant.
    pub tenant: Option<TenantId>,
    /// Those in this state.
    pub state: Option<State>,
    /// Those with these numbers. An empty list means none.
    pub ids: Option<Vec<EntryId>>,
}

/// The condition of a query on `outbox` that [`Filter::columns`] completes.
pub(super) const MATCHES: &str =
    "(?1 IS NULL OR tenant IN (SELECT id FROM tenant WHERE source = ?1))
    AND (?2 IS NULL OR tenant = ?2)
    AND (?3 IS NULL OR state = ?3)
    AND (?4 IS NULL OR outbox.id IN (SELECT value FROM json_each(?4)))";

impl Filter {
    pub(super) fn columns(&self) -> [Value; 4] {
        let ids = self.ids.as_ref().map(|ids| {
            let numbers: Vec<String> = ids.iter().map(ToString::to_string).collect();
            format!("[{}]", numbers.join(","))
        });
        [
            self.source.clone().into(),
            self.tenant.map(|tenant| tenant.0).into(),
            self.state.map(|state| state.as_str().to_owned()).into(),
            ids.into(),
        ]
    }
}

/// An entry of the outbox, as a person may want to see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Its number.
    pub id: EntryId,
    /// Whose it is.
    pub tenant: TenantId,
    /// The vendor's name.
    pub source: String,
    /// The Recorded Future organizations it goes to.
    pub organizations: Vec<String>,
    /// The run that stored it.
    pub run: String,
    /// What kind of indicator it submits.
    pub kind: IndicatorType,
    /// The indicator.
    pub value: String,
    /// From 0 to 100, where the vendor gave one.
    pub severity: Option<u8>,
    /// When it was stored.
    pub stored_at: DateTime<Utc>,
    /// How often it was sent without success.
    pub tries: u32,
    /// Whether it waits or was refused.
    pub state: State,
    /// Recorded Future's status, for one that was refused.
    pub status: Option<u16>,
    /// Recorded Future's words.
    pub words: Option<String>,
    /// When it was refused.
    pub refused_at: Option<DateTime<Utc>>,
}

impl View {
    /// Opens the ledger at `path` for reading; None when there is none.
    ///
    /// # Errors
    /// When the file is not a ledger that can be read.
    pub fn open(path: &Path) -> Result<Option<Self>> {
        let path = match files::locate(path) {
            Ok(path) => path,
            // No folder, no ledger.
            Err(LedgerError::Unwritable { .. }) if is_nowhere(path) => return Ok(None),
            Err(error) => return Err(error),
        };
        if files::is_absent(&path)? {
            return Ok(None);
        }
        let (db, version) = files::connect(&path)?;
        let view = Self::new(db, path);
        if version < schema::VERSION {
            return Err(LedgerError::Older {
                path: view.path,
                found: version,
                known: schema::VERSION,
            });
        }
        view.read(|db| Ok(db.pragma_update(None, "query_only", true)?))?;
        Ok(Some(view))
    }

    pub(super) fn new(db: Connection, path: PathBuf) -> Self {
        Self { db, path }
    }

    /// Where the ledger is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn db(&self) -> &Connection {
        &self.db
    }

    pub(super) fn must_be_writable(&self) -> Result<()> {
        files::must_be_writable(&self.db, &self.path)
    }

    /// Asks the ledger something.
    pub(super) fn read<T>(&self, work: impl FnOnce(&Connection) -> Result<T, Fault>) -> Result<T> {
        work(&self.db).map_err(|fault| explain(fault, &self.path))
    }

    /// The entries that match, in the order in which they were stored.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn list(&self, filter: &Filter) -> Result<Vec<Held>> {
        self.read(|db| {
            let select = format!(
                "SELECT outbox.id, tenant, source, organizations, run, kind, value, severity, stored_at, tries, state,
                        status, words, refused_at
                 FROM outbox JOIN tenant ON tenant.id = outbox.tenant
                 WHERE {MATCHES} ORDER BY outbox.id"
            );
            let mut select = db.prepare_cached(&select)?;
            let rows = select.query_map(filter.columns(), read_held)?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// The JSON of the entries that match, exactly as it would be sent, in the order in which they were stored.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn export(&self, filter: &Filter) -> Result<Vec<String>> {
        self.read(|db| {
            let mut select = db.prepare_cached(&format!(
                "SELECT item FROM outbox WHERE {MATCHES} ORDER BY outbox.id"
            ))?;
            let rows = select.query_map(filter.columns(), |row| row.get(0))?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }
}

/// Whether neither the file nor a link of that name is there.
fn is_nowhere(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}

fn read_held(row: &Row<'_>) -> rusqlite::Result<Held> {
    Ok(Held {
        id: EntryId(row.get("id")?),
        tenant: TenantId(row.get("tenant")?),
        source: row.get("source")?,
        organizations: row.get::<_, Words>("organizations")?.0,
        run: row.get("run")?,
        kind: row.get::<_, Named>("kind")?.0,
        value: row.get("value")?,
        severity: row.get("severity")?,
        stored_at: row.get::<_, Time>("stored_at")?.0,
        tries: row.get("tries")?,
        state: row.get("state")?,
        status: row.get("status")?,
        words: row.get("words")?,
        refused_at: time(row, "refused_at")?,
    })
}
