//! One run at a time.
//!
//! The lock is on a file of its own next to the ledger, never on the ledger itself: closing any
//! descriptor of that file would drop the locks that `SQLite` holds on it. The lock file stays when
//! a run ends, because deleting it would let two runs lock two files of the same name. The system
//! frees the lock itself, also after a crash.

use std::fs::{File, TryLockError};
use std::io::{Read, Write};
use std::path::Path;

use chrono::{DateTime, Utc};

use super::columns::rfc3339;
use super::error::{LedgerError, Result, from_io};
use super::files;

/// Holds the lock until it is dropped.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of the ledger at `path` without waiting, and writes this process's id and the
    /// time into the lock file.
    pub(super) fn acquire(path: &Path, now: DateTime<Utc>) -> Result<Self> {
        let failed = |error: &std::io::Error| match from_io(error, path) {
            LedgerError::Unwritable { path, reason } => {
                LedgerError::Unwritable { path, reason: format!("its lock file: {reason}") }
            }
            other => other,
        };
        let mut file = files::owner_only()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(files::with_suffix(path, ".lock"))
            .map_err(|error| failed(&error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(locked(path, &mut file)),
            Err(TryLockError::Error(error)) => return Err(failed(&error)),
        }
        let note = format!("{} {}\n", std::process::id(), rfc3339(now));
        file.set_len(0)
            .and_then(|()| file.write_all(note.as_bytes()))
            .map_err(|error| failed(&error))?;
        Ok(Self { _file: file })
    }
}

/// Returns the error that names the process which holds the lock, where its note can be read.
fn locked(path: &Path, file: &mut File) -> LedgerError {
    let mut note = String::new();
    let _unread = file.take(200).read_to_string(&mut note);
    let mut words = note.split_whitespace();
    LedgerError::Locked {
        path: path.to_owned(),
        process: words.next().and_then(|word| word.parse().ok()),
        since: words.next().map(str::to_owned),
    }
}
