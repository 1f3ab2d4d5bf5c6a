//! What can go wrong with a ledger, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;
use rusqlite::ffi::{SQLITE_IOERR_SHORT_READ, SQLITE_IOERR_WRITE};

use super::busy_retry::is_busy;
use super::{EntryId, files, lock_path};
use crate::failure::{Failure, FailureKind, Signal};
use crate::platform::advice::{self, MOVE};
use crate::platform::files::is_unreadable;
use crate::platform::ownership;

/// What the ledger's functions return.
pub(crate) type Result<T, E = LedgerError> = std::result::Result<T, E>;

/// Why an operation on the ledger failed. In every case the ledger is as it was before the call.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// Another run has it.
    #[error("the ledger {} is in use by another run{}", path.display(), holder(*process, since.as_deref()))]
    Locked {
        /// The ledger.
        path: PathBuf,
        /// The process id of the other run, where its note in the lock file can be read.
        process: Option<u32>,
        /// When the other run locked the ledger (RFC 3339), where its note can be read.
        since: Option<String>,
    },
    /// Not a ledger, or damaged.
    #[error("the ledger {} is damaged: {detail}", path.display())]
    Damaged {
        /// The ledger.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
        /// Whether this was noticed before anything was written.
        unchanged: bool,
    },
    /// Written by a newer release. The file was left as it is.
    #[error("the ledger {} has version {found}; this release knows versions up to {known}", path.display())]
    Newer {
        /// The ledger.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The newest version that this release knows.
        known: u32,
    },
    /// This user may not read the file.
    #[error("the ledger {} cannot be read: {reason}", path.display())]
    Unreadable {
        /// The ledger.
        path: PathBuf,
        /// Why not, and who owns it.
        reason: String,
    },
    /// The file or its folder cannot be written.
    #[error("the ledger {} cannot be written: {reason}", path.display())]
    Unwritable {
        /// The ledger.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The disk is full.
    #[error("the ledger {} cannot grow: the disk is full", path.display())]
    Full {
        /// The ledger.
        path: PathBuf,
    },
    /// Another program kept the file locked for as long as the run could wait.
    #[error("the ledger {}: another program keeps it locked ({detail})", path.display())]
    Busy {
        /// The ledger.
        path: PathBuf,
        /// What `SQLite` reports.
        detail: String,
    },
    /// A signal ended the run while another program kept the file locked.
    #[error("{} ended the run while another program kept the ledger {} locked", signal.name(), path.display())]
    Interrupted {
        /// The ledger.
        path: PathBuf,
        /// The signal.
        signal: Signal,
    },
    /// An entry that is not queued for this tenant: unknown, already sent, or quarantined.
    #[error("entry {id} is not queued in the ledger {}", path.display())]
    NotQueued {
        /// The ledger.
        path: PathBuf,
        /// The entry.
        id: EntryId,
    },
    /// The tenant's alerts come from another source.
    #[error("tenant {tenant} reads {source_name}, and this run another source")]
    OtherSource {
        /// The tenant's name.
        tenant: String,
        /// The source's name.
        source_name: String,
    },
    /// The run reads the alerts of another customer than the tenant's earlier runs.
    #[error("tenant {tenant} belongs to another customer")]
    OtherCustomer {
        /// The tenant's name.
        tenant: String,
    },
    /// Anything else.
    #[error("the ledger {} failed: {detail}", path.display())]
    Other {
        /// The ledger.
        path: PathBuf,
        /// The message of `SQLite` or of the system.
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

impl From<LedgerError> for Failure {
    fn from(error: LedgerError) -> Self {
        let kind = match &error {
            LedgerError::Locked { .. } => FailureKind::Locked,
            LedgerError::Interrupted { signal, .. } => FailureKind::Interrupted(*signal),
            LedgerError::OtherSource { .. } | LedgerError::OtherCustomer { .. } => {
                FailureKind::Configuration
            }
            _ => FailureKind::Ledger,
        };
        Self::new(kind, error.to_string(), help(&error))
    }
}

fn help(error: &LedgerError) -> String {
    match error {
        LedgerError::Locked { .. } => "Wait for the other run to end (a run waits with --wait <DURATION>, for example --wait 2h); `collective-insights status` shows it. Sources that run at the same time need one ledger each (--ledger).".to_owned(),
        LedgerError::Damaged { path, unchanged, .. } => repair(path, *unchanged),
        LedgerError::Newer { .. } => "Install the newer release again, or name another file with --ledger; this file was left as it is.".to_owned(),
        LedgerError::Unreadable { path, .. } => format!(
            "{}; --ledger <FILE> names another one.",
            advice::take_over(path)
        ),
        LedgerError::Unwritable { path, .. } => format!(
            "Give this user write access to the file and its folder (`{}`), or name another file with --ledger <FILE>; --no-ledger runs without a ledger.",
            advice::show_access(path)
        ),
        LedgerError::Full { path } => format!(
            "Free some space (`{}`), then run again: nothing that was stored is lost.",
            advice::disk_space_of(path)
        ),
        LedgerError::Interrupted { .. } => "Run again: nothing that was stored is lost.".to_owned(),
        LedgerError::Busy { .. } => "Find the program that has the file open (`fuser -v <FILE>`) and end it, then run again: nothing that was stored is lost.".to_owned(),
        LedgerError::OtherSource { .. } => {
            "Give each source a tenant of its own with --tenant <NAME>.".to_owned()
        }
        LedgerError::OtherCustomer { .. } => "If this run is for another customer, or for all of them (--all-cids), give it a tenant of its own with --tenant <NAME>. If it is the same customer under a new id, run once with --adopt. Nothing was stored or sent.".to_owned(),
        LedgerError::NotQueued { .. } | LedgerError::Other { .. } => {
            "Run again; if the error persists, check the file with `sqlite3 <FILE> 'PRAGMA integrity_check'`.".to_owned()
        }
    }
}

impl LedgerError {
    /// A file that was not opened, because it is not a ledger or damaged. Nothing was written.
    pub(super) fn refused(path: &Path, detail: &str) -> Self {
        Self::Damaged { path: path.to_owned(), detail: detail.to_owned(), unchanged: true }
    }

    /// Notes that nothing was written.
    pub(super) fn unchanged(self) -> Self {
        match self {
            Self::Damaged { path, detail, .. } => Self::Damaged { path, detail, unchanged: true },
            other => other,
        }
    }

    /// Whether another program has the file locked.
    pub(super) const fn is_busy(&self) -> bool {
        matches!(self, Self::Busy { .. })
    }
}

/// Returns what to do about a damaged file.
fn repair(path: &Path, unchanged: bool) -> String {
    if !path.exists() {
        let journal = files::journal_path(path).display().to_string();
        return format!(
            "Put the file back next to its journal. If it is lost, move the journal away (`{MOVE} {journal} {journal}.lost`): the next run starts with an empty ledger and fetches the last --hours, so it may send indicators again."
        );
    }
    let state = if unchanged {
        "The file was left as it is."
    } else {
        "What was written before this was noticed is kept."
    };
    let path = path.display();
    format!(
        "{state} Check its disk. `collective-insights outbox repair --ledger {path}` saves what can be read in a new file, and keeps this one. If it cannot, move the file away (`{MOVE} {path} {path}.damaged`): the next run starts with an empty ledger and fetches the last --hours, so it may send indicators again."
    )
}

/// Why an operation failed, before the path is added to it.
#[derive(Debug)]
pub(super) enum Cause {
    Sql(rusqlite::Error),
    NotQueued(EntryId),
    OtherSource { tenant: String, source: String },
    OtherCustomer { tenant: String },
    Other(String),
}

impl Cause {
    /// Whether another program has the file locked.
    pub(super) fn is_busy(&self) -> bool {
        matches!(self, Self::Sql(error) if is_busy(error))
    }
}

impl From<rusqlite::Error> for Cause {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

/// Turns a cause into the error of the ledger at `path`.
pub(super) fn with_path(cause: Cause, path: &Path) -> LedgerError {
    let path = path.to_owned();
    match cause {
        Cause::Sql(error) => from_sql(&error, path),
        Cause::NotQueued(id) => LedgerError::NotQueued { path, id },
        Cause::OtherSource { tenant, source } => {
            LedgerError::OtherSource { tenant, source_name: source }
        }
        Cause::OtherCustomer { tenant } => LedgerError::OtherCustomer { tenant },
        Cause::Other(detail) => LedgerError::Other { path, detail },
    }
}

fn from_sql(error: &rusqlite::Error, path: PathBuf) -> LedgerError {
    let detail = error.to_string();
    // A value that this program cannot have written.
    let foreign = matches!(
        error,
        rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
    );
    let is = |code| error.sqlite_error().is_some_and(|error| error.extended_code == code);
    let short = is(SQLITE_IOERR_SHORT_READ);
    match error.sqlite_error_code() {
        _ if foreign || short => LedgerError::Damaged { path, detail, unchanged: false },
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            LedgerError::Damaged { path, detail, unchanged: false }
        }
        _ if is(SQLITE_IOERR_WRITE) => LedgerError::Other {
            path,
            detail: format!(
                "{detail}: the disk failed, or the file is larger than allowed ({})",
                advice::FILE_SIZE_LIMIT
            ),
        },
        Some(ErrorCode::DiskFull) => LedgerError::Full { path },
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            inaccessible(path, &detail)
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            LedgerError::Busy { path, detail }
        }
        _ => LedgerError::Other { path, detail },
    }
}

/// Turns an error of the file system into the error of the ledger at `path`.
pub(super) fn from_io(error: &io::Error, path: &Path) -> LedgerError {
    let path = path.to_owned();
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => LedgerError::Full { path },
        io::ErrorKind::PermissionDenied => inaccessible(path, &error.to_string()),
        io::ErrorKind::ReadOnlyFilesystem
        | io::ErrorKind::NotFound
        | io::ErrorKind::NotADirectory
        | io::ErrorKind::IsADirectory => {
            LedgerError::Unwritable { path, reason: error.to_string() }
        }
        _ => LedgerError::Other { path, detail: error.to_string() },
    }
}

/// Returns the error of a file that this user may not read, or not write, with its owner.
pub(super) fn inaccessible(path: PathBuf, reason: &str) -> LedgerError {
    let owner = ownership::describe_owner(&path)
        .or_else(|| ownership::describe_owner(&lock_path(&path)))
        .map_or_else(String::new, |owner| format!("; {owner}"));
    let reason = format!("{reason}{owner}");
    if is_unreadable(&path) {
        LedgerError::Unreadable { path, reason }
    } else {
        LedgerError::Unwritable { path, reason }
    }
}
