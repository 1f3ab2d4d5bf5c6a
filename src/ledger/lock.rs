//! The lock of a ledger: one run, or one command that changes it, at a time.
//!
//! The lock is on a file of its own next to the ledger, never on the ledger itself: closing any
//! descriptor of that file would drop the locks that `SQLite` holds on it. The lock file stays when
//! a run ends, because deleting it would let two runs lock two files of the same name. The system
//! frees the lock itself, also after a crash.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write as _};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use super::columns::rfc3339;
use super::error::{LedgerError, Problem, Result};
use super::files;
use super::fingerprint::Fingerprint;
use crate::local_file::{self, Accept};

/// Holds the lock until it is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
    /// This process and the time, as they are in the lock file.
    holder: String,
    /// The fingerprint of the ledger as the last run or command left it; `None` where that is not
    /// known.
    fingerprint: Option<Fingerprint>,
}

impl Lock {
    /// Takes the lock of the ledger at `path` without waiting, and writes this process's id and the
    /// time into the lock file.
    pub(super) fn acquire(path: &Path, now: DateTime<Utc>) -> Result<Self> {
        let unwritable = |reason: &str| {
            let reason = format!("its lock file {}: {reason}", lock_path(path).display());
            Problem::Unwritable(reason).at(path)
        };
        let failed = |error: std::io::Error| {
            let error = Problem::from(error).at(path);
            match &error.problem {
                Problem::Unwritable(reason) | Problem::Other(reason) => unwritable(reason),
                _ => error,
            }
        };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file =
            local_file::open(&lock_path(path), &mut options, Accept::File).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(locked(path, &mut file)),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        // The note would overwrite any other file to which this is a hard link.
        let previous = read_note(&mut file).map_err(failed)?;
        if !is_note(&previous) {
            return Err(unwritable("it has other content than a lock, so it is not changed"));
        }
        let fingerprint =
            Fingerprint::parse(String::from_utf8_lossy(&previous).split_whitespace().skip(2));
        let holder = format!("{} {}", std::process::id(), rfc3339(now));
        let mut lock = Self { file, holder, fingerprint };
        lock.write().map_err(failed)?;
        Ok(lock)
    }

    /// Whether the ledger at `path` is as the last run or command left it.
    pub(super) fn is_unchanged(&self, path: &Path) -> Result<bool> {
        let Some(fingerprint) = self.fingerprint else {
            return Ok(false);
        };
        match Fingerprint::of(path) {
            Ok(found) => Ok(found == fingerprint),
            Err(error) => Err(Problem::from(error).at(path)),
        }
    }

    /// Records the ledger at `path` as this process leaves it.
    pub(super) fn record_fingerprint(&mut self, path: &Path) -> std::io::Result<()> {
        self.fingerprint = Some(Fingerprint::of(path)?);
        self.write()
    }

    fn write(&mut self) -> std::io::Result<()> {
        let mut note = self.holder.clone();
        if let Some(fingerprint) = self.fingerprint {
            // Writing to a String cannot fail.
            let _ = write!(note, " {fingerprint}");
        }
        note.push('\n');
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.file.write_all(note.as_bytes())
    }
}

/// Returns the path of the lock file of the ledger at `path`.
pub(crate) fn lock_path(path: &Path) -> PathBuf {
    files::with_suffix(path, ".lock")
}

/// Reads the beginning of a lock file: more bytes than any note has.
fn read_note(file: &mut File) -> std::io::Result<Vec<u8>> {
    let mut note = Vec::new();
    file.take(200).read_to_end(&mut note)?;
    Ok(note)
}

/// Whether this is a note, the beginning of one, or nothing: `1234 2026-03-01T00:00:00.000Z`, where
/// the length and the checksum of the ledger may follow.
fn is_note(content: &[u8]) -> bool {
    content.len() < 100
        && content.iter().all(|byte| byte.is_ascii_digit() || b" -:.TZ\n".contains(byte))
}

/// Returns the error that names the process which holds the lock, where its note can be read.
fn locked(path: &Path, file: &mut File) -> LedgerError {
    let note = read_note(file).unwrap_or_default();
    let note = String::from_utf8_lossy(&note);
    let mut words = note.split_whitespace();
    let process = words.next().and_then(|word| word.parse().ok());
    Problem::Locked { process, since: words.next().map(str::to_owned) }.at(path)
}
