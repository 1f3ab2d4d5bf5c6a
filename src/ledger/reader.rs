//! Reading the ledger without a lock, also during a run.

use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::error::{Cause, LedgerError, with_path};
use super::files::Examine;
use super::patience::Patience;
use super::{Result, files};

/// The ledger, open for reading. It takes no lock and changes nothing.
#[derive(Debug)]
pub(crate) struct LedgerReader {
    db: Connection,
    path: PathBuf,
    patience: Patience,
}

impl LedgerReader {
    /// Opens the ledger at `path`; `None` when there is none.
    ///
    /// # Errors
    /// When the file is not a ledger that can be read.
    pub(crate) fn open(path: &Path) -> Result<Option<Self>> {
        let Some(path) = files::resolve_existing(path)? else {
            return Ok(None);
        };
        let patience = Patience::default();
        let (db, _) = files::connect(&path, Examine::Short, &patience)?;
        let reader = Self::new(db, path, patience);
        reader.read(|db| Ok(db.pragma_update(None, "query_only", true)?))?;
        Ok(Some(reader))
    }

    /// Lets all reads from here on see the same state, whatever a run writes meanwhile, which waits
    /// with it until the reader is dropped. So they should be fast: they sort with two threads.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(crate) fn freeze(&self) -> Result<()> {
        self.read(|db| Ok(db.execute_batch("PRAGMA threads = 2; BEGIN")?))
    }

    pub(super) const fn new(db: Connection, path: PathBuf, patience: Patience) -> Self {
        Self { db, path, patience }
    }

    pub(super) fn set_patience(&mut self, patience: Patience) {
        self.patience = patience;
    }

    pub(super) const fn patience(&self) -> &Patience {
        &self.patience
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) const fn db(&self) -> &Connection {
        &self.db
    }

    /// Runs a query, again while another program has the file locked.
    pub(super) fn read<T>(&self, query: impl Fn(&Connection) -> Result<T, Cause>) -> Result<T> {
        self.patience.retry(Cause::is_busy, || query(&self.db)).map_err(|cause| self.failed(cause))
    }

    /// Turns a cause into an error. What ended a wait for the file may have been a signal.
    pub(super) fn failed(&self, cause: Cause) -> LedgerError {
        match (with_path(cause, &self.path), self.patience.signal()) {
            (LedgerError::Busy { path, .. }, Some(signal)) => {
                LedgerError::Interrupted { path, signal }
            }
            (error, _) => error,
        }
    }
}
