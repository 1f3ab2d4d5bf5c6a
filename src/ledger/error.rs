//! The errors of a ledger, with their help.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;
use rusqlite::ffi::{SQLITE_IOERR_SHORT_READ, SQLITE_IOERR_WRITE};

use super::{EntryId, files, lock_path};
use crate::failure::{Failure, FailureKind, Signal};
use crate::platform::advice::{self, MOVE};
use crate::platform::files::is_unreadable;
use crate::platform::ownership;

/// The result type of the ledger's functions.
pub(crate) type Result<T, E = LedgerError> = std::result::Result<T, E>;

/// An operation on the ledger failed. The ledger is as it was before the call.
#[derive(Debug)]
pub struct LedgerError {
    /// The ledger.
    pub path: PathBuf,
    /// The reason.
    pub problem: Problem,
}

/// The reason why an operation on a ledger failed.
#[derive(Debug)]
pub enum Problem {
    /// Another run, or a command that changes the ledger, has it open.
    Locked {
        /// The process id of the other run, where its note in the lock file can be read.
        process: Option<u32>,
        /// When the other run locked the ledger (RFC 3339), where its note can be read.
        since: Option<String>,
    },
    /// The file is not a ledger, or is damaged.
    Damaged {
        /// The damage.
        detail: String,
        /// Whether this was noticed before anything was written.
        unchanged: bool,
    },
    /// Written by a newer release. The file was left as it is.
    Newer {
        /// Its version.
        found: u32,
        /// The newest version that this release knows.
        known: u32,
    },
    /// The system denies access, for this reason. [`Problem::at`] replaces it by one of the next
    /// two.
    Denied(String),
    /// This user may not read the file: why not, and who owns it.
    Unreadable(String),
    /// The file or its folder cannot be written: why not.
    Unwritable(String),
    /// The disk is full.
    Full,
    /// Another program kept the file locked for as long as the run could wait: what `SQLite`
    /// reports.
    Busy(String),
    /// This signal ended the run while another program kept the file locked.
    Interrupted(Signal),
    /// This entry is not queued for the tenant: unknown, already sent, or quarantined.
    NotQueued(EntryId),
    /// The tenant's alerts come from another source.
    OtherSource {
        /// The tenant's name.
        tenant: String,
        /// The source's name.
        source: String,
    },
    /// The run reads the alerts of another customer than the earlier runs of the tenant of this
    /// name.
    OtherCustomer(String),
    /// Anything else: the message of `SQLite` or of the system.
    Other(String),
}

impl fmt::Display for LedgerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.problem {
            Problem::Locked { process, since } => {
                write!(f, "the ledger {path} is in use by another run")?;
                match (process, since) {
                    (Some(process), Some(since)) => {
                        write!(f, " (process {process}, since {since})")
                    }
                    (Some(process), None) => write!(f, " (process {process})"),
                    _ => Ok(()),
                }
            }
            Problem::Damaged { detail, .. } => write!(f, "the ledger {path} is damaged: {detail}"),
            Problem::Newer { found, known } => write!(
                f,
                "the ledger {path} has version {found}; this release knows versions up to {known}"
            ),
            Problem::Unreadable(reason) => {
                write!(f, "the ledger {path} cannot be read: {reason}")
            }
            Problem::Denied(reason) | Problem::Unwritable(reason) => {
                write!(f, "the ledger {path} cannot be written: {reason}")
            }
            Problem::Full => write!(f, "the ledger {path} cannot grow: the disk is full"),
            Problem::Busy(detail) => {
                write!(f, "the ledger {path}: another program keeps it locked ({detail})")
            }
            Problem::Interrupted(signal) => write!(
                f,
                "{} ended the run while another program kept the ledger {path} locked",
                signal.name()
            ),
            Problem::NotQueued(id) => write!(f, "entry {id} is not queued in the ledger {path}"),
            Problem::OtherSource { tenant, source } => {
                write!(f, "tenant {tenant} reads {source}, and this run another source")
            }
            Problem::OtherCustomer(tenant) => {
                write!(f, "tenant {tenant} belongs to another customer")
            }
            Problem::Other(detail) => write!(f, "the ledger {path} failed: {detail}"),
        }
    }
}

impl std::error::Error for LedgerError {}

impl From<LedgerError> for Failure {
    fn from(error: LedgerError) -> Self {
        let kind = match &error.problem {
            Problem::Locked { .. } => FailureKind::Locked,
            Problem::Interrupted(signal) => FailureKind::Interrupted(*signal),
            Problem::OtherSource { .. } | Problem::OtherCustomer(_) => FailureKind::Configuration,
            _ => FailureKind::Ledger,
        };
        Self::new(kind, error.to_string(), help(&error))
    }
}

fn help(LedgerError { path, problem }: &LedgerError) -> String {
    match problem {
        Problem::Locked { .. } => "Wait for the other run to end (a run waits with --wait <DURATION>, for example --wait 2h); `collective-insights status` shows it. Sources that run at the same time need one ledger each (--ledger).".to_owned(),
        Problem::Damaged { unchanged, .. } => repair(path, *unchanged),
        Problem::Newer { .. } => "Install the newer release again, or name another file with --ledger; this file was left as it is.".to_owned(),
        Problem::Unreadable(_) => format!(
            "{}; --ledger <FILE> names another one.",
            advice::take_over(path)
        ),
        Problem::Denied(_) | Problem::Unwritable(_) => format!(
            "Give this user write access to the file and its folder (`{}`), or name another file with --ledger <FILE>; --no-ledger runs without a ledger.",
            advice::show_access(path)
        ),
        Problem::Full => format!(
            "Free some space (`{}`), then run again: nothing that was stored is lost.",
            advice::disk_space_of(path)
        ),
        Problem::Interrupted(_) => "Run again: nothing that was stored is lost.".to_owned(),
        Problem::Busy(_) => "Find the program that has the file open (`fuser -v <FILE>`) and end it, then run again: nothing that was stored is lost.".to_owned(),
        Problem::OtherSource { .. } => {
            "Give each source a tenant of its own with --tenant <NAME>.".to_owned()
        }
        Problem::OtherCustomer(_) => "If this run is for another customer, or for all of them (--all-cids), give it a tenant of its own with --tenant <NAME>. If it is the same customer under a new id, run once with --adopt. Nothing was stored or sent.".to_owned(),
        Problem::NotQueued(_) | Problem::Other(_) => {
            "Run again; if the error persists, check the file with `sqlite3 <FILE> 'PRAGMA integrity_check'`.".to_owned()
        }
    }
}

impl LedgerError {
    /// Notes that nothing was written.
    pub(super) fn unchanged(mut self) -> Self {
        if let Problem::Damaged { unchanged, .. } = &mut self.problem {
            *unchanged = true;
        }
        self
    }
}

impl Problem {
    /// Returns the problem of a file that is not opened, because it is not a ledger or is damaged.
    /// Nothing was written.
    pub(super) fn refused(detail: impl Into<String>) -> Self {
        Self::Damaged { detail: detail.into(), unchanged: true }
    }

    /// Returns the error of the ledger at `path`.
    pub(crate) fn at(self, path: &Path) -> LedgerError {
        let problem = match self {
            Self::Denied(reason) => denied(path, &reason),
            other => other,
        };
        LedgerError { path: path.to_owned(), problem }
    }
}

/// Returns the problem of a file that this user may not read, or else not write, with its owner.
fn denied(path: &Path, reason: &str) -> Problem {
    let owner = ownership::describe_owner(path)
        .or_else(|| ownership::describe_owner(&lock_path(path)))
        .map_or_else(String::new, |owner| format!("; {owner}"));
    let reason = format!("{reason}{owner}");
    if is_unreadable(path) { Problem::Unreadable(reason) } else { Problem::Unwritable(reason) }
}

impl From<rusqlite::Error> for Problem {
    fn from(error: rusqlite::Error) -> Self {
        let detail = error.to_string();
        // A value that this program cannot have written.
        let foreign = matches!(
            error,
            rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::IntegralValueOutOfRange(..)
        );
        let is = |code| error.sqlite_error().is_some_and(|error| error.extended_code == code);
        match error.sqlite_error_code() {
            _ if foreign || is(SQLITE_IOERR_SHORT_READ) => {
                Self::Damaged { detail, unchanged: false }
            }
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Damaged { detail, unchanged: false }
            }
            _ if is(SQLITE_IOERR_WRITE) => Self::Other(format!(
                "{detail}: the disk failed, or the file is larger than allowed ({})",
                advice::FILE_SIZE_LIMIT
            )),
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                Self::Denied(detail)
            }
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy(detail),
            _ => Self::Other(detail),
        }
    }
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        let reason = error.to_string();
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            io::ErrorKind::PermissionDenied => Self::Denied(reason),
            io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::NotFound
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::IsADirectory => Self::Unwritable(reason),
            _ => Self::Other(reason),
        }
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
