//! What can go wrong with a ledger, told so that a person knows what to do.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;
use rusqlite::ffi::SQLITE_IOERR_SHORT_READ;

use super::EntryId;

/// What the ledger's functions return.
pub type Result<T, E = LedgerError> = std::result::Result<T, E>;

/// Why the ledger could not do what was asked. In every case it is as it was before the call.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// Another run has it.
    #[error("the ledger {} is in use by another run{}", path.display(), holder(*process, since.as_deref()))]
    Locked {
        /// The ledger.
        path: PathBuf,
        /// The process that holds it, where it left its number.
        process: Option<u32>,
        /// Since when, where it left the time.
        since: Option<String>,
    },
    /// Not a ledger, or no longer one. The file was left exactly as it is.
    #[error("the ledger {} is damaged: {detail}", path.display())]
    Damaged {
        /// The ledger.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// Written by a newer release. The file was left exactly as it is.
    #[error("the ledger {} has version {found}, and this release knows versions up to {known}", path.display())]
    Newer {
        /// The ledger.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The newest version known here.
        known: u32,
    },
    /// Written by an older release, and not brought up to date by what may change it: to look changes nothing.
    #[error("the ledger {} still has version {found}; the next run brings it up to {known}", path.display())]
    Older {
        /// The ledger.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The version that a run makes of it.
        known: u32,
    },
    /// The file or its folder cannot be written to.
    #[error("the ledger {} cannot be written: {reason}", path.display())]
    Unwritable {
        /// The ledger.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// No room on the disk.
    #[error("the ledger {} cannot grow: the disk is full", path.display())]
    Full {
        /// The ledger.
        path: PathBuf,
    },
    /// Asked to settle something that is not waiting for this tenant: unknown, settled before, or quarantined.
    #[error("entry {id} is not waiting in the ledger {}", path.display())]
    NotWaiting {
        /// The ledger.
        path: PathBuf,
        /// The entry.
        id: EntryId,
    },
    /// Anything else.
    #[error("the ledger {} failed: {detail}", path.display())]
    Other {
        /// The ledger.
        path: PathBuf,
        /// What `SQLite` or the system said.
        detail: String,
    },
}

fn holder(process: Option<u32>, since: Option<&str>) -> String {
    match (process, since) {
        (Some(process), Some(since)) => format!(" (process {process}, since {since})"),
        (Some(process), None) => format!(" (process {process})"),
        _ => String::new(),
    }
}

/// A failure inside an operation, before the path is added to it.
#[derive(Debug)]
pub(super) enum Fault {
    Sql(rusqlite::Error),
    NotWaiting(EntryId),
    Other(String),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

/// Turns a fault into the error of the ledger at `path`.
pub(super) fn explain(fault: Fault, path: &Path) -> LedgerError {
    let path = path.to_owned();
    match fault {
        Fault::Sql(error) => explain_sql(&error, path),
        Fault::NotWaiting(id) => LedgerError::NotWaiting { path, id },
        Fault::Other(detail) => LedgerError::Other { path, detail },
    }
}

fn explain_sql(error: &rusqlite::Error, path: PathBuf) -> LedgerError {
    let detail = error.to_string();
    // A value that cannot be what we wrote: somebody else did, or the disk.
    let foreign = matches!(
        error,
        rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
    );
    let short =
        error.sqlite_error().is_some_and(|error| error.extended_code == SQLITE_IOERR_SHORT_READ);
    match error.sqlite_error_code() {
        _ if foreign || short => LedgerError::Damaged { path, detail },
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            LedgerError::Damaged { path, detail }
        }
        Some(ErrorCode::DiskFull) => LedgerError::Full { path },
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            LedgerError::Unwritable { path, reason: detail }
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            LedgerError::Other { path, detail: format!("another program keeps it busy ({detail})") }
        }
        _ => LedgerError::Other { path, detail },
    }
}

/// Turns an error of the file system into the error of the ledger at `path`.
pub(super) fn explain_io(error: &io::Error, path: &Path) -> LedgerError {
    let path = path.to_owned();
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => LedgerError::Full { path },
        io::ErrorKind::PermissionDenied
        | io::ErrorKind::ReadOnlyFilesystem
        | io::ErrorKind::NotFound
        | io::ErrorKind::NotADirectory
        | io::ErrorKind::IsADirectory => {
            LedgerError::Unwritable { path, reason: error.to_string() }
        }
        _ => LedgerError::Other { path, detail: error.to_string() },
    }
}
