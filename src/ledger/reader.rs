//! Reading the ledger without a lock, also during a run.

use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::error::{Cause, LedgerError, with_path};
use super::files::Examine;
use super::{Result, files};

/// The ledger, open for reading. It takes no lock and changes nothing.
#[derive(Debug)]
pub(crate) struct LedgerReader {
    db: Connection,
    path: PathBuf,
}

impl LedgerReader {
    /// Opens the ledger at `path`; `None` when there is none.
    ///
    /// # Errors
    /// When the file is not a ledger that can be read.
    pub(crate) fn open(path: &Path) -> Result<Option<Self>> {
        let path = match files::resolve(path) {
            Ok(path) => path,
            // Without the folder there cannot be a ledger.
            Err(LedgerError::Unwritable { .. }) if does_not_exist(path) => return Ok(None),
            Err(error) => return Err(error),
        };
        if files::is_absent(&path)? {
            return Ok(None);
        }
        let (db, _) = files::connect(&path, Examine::Short)?;
        let reader = Self::new(db, path);
        reader.read(|db| Ok(db.pragma_update(None, "query_only", true)?))?;
        Ok(Some(reader))
    }

    pub(super) const fn new(db: Connection, path: PathBuf) -> Self {
        Self { db, path }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) const fn db(&self) -> &Connection {
        &self.db
    }

    /// Runs a query.
    pub(super) fn read<T>(&self, query: impl FnOnce(&Connection) -> Result<T, Cause>) -> Result<T> {
        query(&self.db).map_err(|cause| with_path(cause, &self.path))
    }
}

/// Whether there is neither a file nor a link of that name.
fn does_not_exist(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}
