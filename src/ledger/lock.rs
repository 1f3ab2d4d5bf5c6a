//! One run at a time.
//!
//! The lock is on a file of its own beside the ledger. Never on the ledger itself: closing any descriptor of that
//! file would drop the locks `SQLite` holds on it. The file stays when a run ends, because deleting it would let two
//! runs lock two files of the same name; the lock itself is freed by the system, also after a crash.

use std::fs::{File, TryLockError};
use std::io::{Read, Write};
use std::path::Path;

use chrono::{DateTime, Utc};

use super::columns::text;
use super::error::{LedgerError, Result, explain_io};
use super::files;

/// Held as long as it lives.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of the ledger at `path` without waiting, and leaves this process's number and the time in it.
    pub(super) fn take(path: &Path, now: DateTime<Utc>) -> Result<Self> {
        let failed = |error: &std::io::Error| match explain_io(error, path) {
            LedgerError::Unwritable { path, reason } => {
                LedgerError::Unwritable { path, reason: format!("its lock file: {reason}") }
            }
            other => other,
        };
        let mut file = files::private()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(files::beside(path, ".lock"))
            .map_err(|error| failed(&error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(locked(path, &mut file)),
            Err(TryLockError::Error(error)) => return Err(failed(&error)),
        }
        let note = format!("{} {}\n", std::process::id(), text(now));
        file.set_len(0)
            .and_then(|()| file.write_all(note.as_bytes()))
            .map_err(|error| failed(&error))?;
        Ok(Self { _file: file })
    }
}

/// The error that names the holder. A note that cannot be read makes it less helpful, not less true.
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
