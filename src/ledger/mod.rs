//! The ledger: the one file that remembers, and the one place that knows SQL.
//!
//! An ordinary `SQLite` file, 0600, that the `sqlite3` tool reads, also while a run is on.
//! What makes it ours is its `application_id`; `user_version` is the version of its schema.
//!
//! # Tables
//! | table | a row is | |
//! |---|---|---|
//! | `tenant` | a source, account, Recorded Future token and set of organizations | with its checkpoint `read_until`: up to when the vendor has been read completely |
//! | `outbox` | a submission that has not been delivered | `waiting`, or `quarantined` with Recorded Future's status and words |
//! | `settled` | a submission that left the outbox, under the same number | `delivered_at`, or `dropped_at` (since version 3) |
//! | `sighting` | a detection together with an indicator it named | in the state of its `entry`, a row of one of those two |
//! | `quota` | a token and a UTC day | with the number of submissions `used` |
//! | `run` | a run | unfinished ones have no `finished_at` |
//! | `technique` | a tenant, a UTC day and a MITRE technique | with the number of `submissions` delivered that named it (since version 2) |
//!
//! # Invariants
//! 1. A sighting is in exactly one state, that of the one entry it names: in the outbox, or delivered, or dropped by a
//!    person. An entry is in exactly one of `outbox` and `settled`: it is taken out of the one and put into the other
//!    in one transaction, and no entry gets a number that `settled` has. No foreign key can lead to one of two tables;
//!    a sighting whose entry is in neither is reported as damage when it is asked about.
//! 2. At least one sighting names each row of the outbox: they are stored in one transaction, and a sighting comes to
//!    name another entry only on a `resend`, when its own was delivered. The detections merged into a submission share
//!    its fate.
//! 3. A row leaves the outbox only as delivered or dropped, and its number is never given again. What was settled is
//!    forgotten together with the sightings that name it. A number below zero stands for all that version 2 settled
//!    at one time; a file that came from version 2 has as much free room in it as it held, which later days fill.
//! 4. The quota grows in the same transaction that settles, so a submission is never counted twice.
//! 5. A checkpoint never moves back, never over a gap, never beyond now, and not under a clock that went back.
//! 6. Every question of a run about a sighting, a batch or a checkpoint names one tenant; only a person's look at the
//!    whole ledger, through a [`View`], spans them. The quota alone belongs to the token.
//! 7. No secret is in here: accounts and tokens come as digests.
//! 8. Times are RFC 3339 in UTC with milliseconds and a `Z`, so that they sort as text.
//! 9. A technique's number grows in the same transaction that settles as delivered: once for each delivery of a
//!    submission, so a `resend` counts again. It is read from the item, the JSON that was sent; an item without a list
//!    of `mitre_codes` adds nothing and is settled like any other. What a ledger of version 1 delivered has no number.
//!
//! # Durability
//! Each operation is one transaction, on disk when the call returns. Rollback journal rather than WAL: one file,
//! on any file system. `synchronous` is `EXTRA`, which is `FULL` plus a sync of the folder once the journal is
//! gone; with `FULL` alone a power cut could bring the journal back, and it would undo the last commit.
//!
//! A new ledger is made under another name and renamed when complete. An empty file is therefore never a young
//! ledger: it is one that lost its content, and is refused like any other damaged one. No damaged file is ever
//! written to, renamed or deleted.

mod checkpoint;
mod columns;
mod error;
mod files;
mod history;
mod lock;
mod outbox;
mod quota;
mod reader;
mod remedy;
mod runs;
mod schema;
mod settle;
mod status;
mod tenant;

#[cfg(test)]
mod tests;

pub use checkpoint::Advance;
pub use error::{LedgerError, Result};
pub use history::{Seen, Technique};
pub use outbox::{Cursor, Entry, EntryId, Known, Pending};
pub use quota::{Forgotten, RUNS_KEPT, SIGHTINGS_KEPT};
pub use reader::{Filter, Held, State, View};
pub use runs::Run;
pub use status::SourceStatus;
pub use tenant::{TenantId, TenantKey};

use std::path::Path;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, Transaction};

use error::{Fault, explain};
use lock::Lock;

/// The ledger, open for a run or a command that changes it.
///
/// Reading is in [`View`], which [`Ledger::view`] lends.
#[derive(Debug)]
pub struct Ledger {
    // Before the lock, because fields are dropped in this order: the lock outlives the connection.
    view: View,
    rehearsal: bool,
    _lock: Option<Lock>,
}

/// The ledger, read as of one moment.
#[derive(Debug)]
pub struct AtOnce<'a> {
    _reading: Option<Transaction<'a>>,
}

impl Ledger {
    /// Opens the ledger at `path` for one run, creating it when there is none, and holds its lock until dropped.
    ///
    /// # Errors
    /// [`LedgerError::Locked`] at once when another run has it; every other variant but
    /// [`LedgerError::NotWaiting`] for a file or folder that cannot serve.
    pub fn open(path: &Path, now: DateTime<Utc>) -> Result<Self> {
        let path = files::locate(path)?;
        let lock = Lock::take(&path, now)?;
        if files::is_absent(&path)? {
            files::create(&path)?;
        }
        let (db, version) = files::connect(&path)?;
        let view = View::new(db, path);
        view.must_be_writable()?;
        let ledger = Self { view, rehearsal: false, _lock: Some(lock) };
        // Writing the version also when it is current proves now, and not after an hour of reading from a
        // vendor, that the folder takes a journal and the disk has room.
        ledger.atomically(|db| Ok(schema::migrate(db, version)?))?;
        Ok(ledger)
    }

    /// Opens the ledger for a command that changes what is in it, as a run does; `None` where there is none, and then
    /// none is made.
    ///
    /// # Errors
    /// As [`Ledger::open`].
    pub fn open_existing(path: &Path, now: DateTime<Utc>) -> Result<Option<Self>> {
        if files::is_absent(&files::locate(path)?)? {
            return Ok(None);
        }
        Self::open(path, now).map(Some)
    }

    /// A ledger without a past and without a future, for `--no-ledger`: private, deleted when dropped.
    ///
    /// # Errors
    /// When the system's folder for temporary files cannot be written to.
    pub fn temporary() -> Result<Self> {
        let (db, path) = files::temporary()?;
        let ledger = Self { view: View::new(db, path), rehearsal: false, _lock: None };
        ledger.atomically(|db| Ok(schema::migrate(db, 0)?))?;
        Ok(ledger)
    }

    /// Opens the ledger for `--debug` and `--dry-run`: it sees everything and may write, but all that was written
    /// is gone when it is dropped. Where there is no ledger, none is created, and the rehearsal starts from nothing.
    ///
    /// # Errors
    /// As [`Ledger::open`].
    pub fn rehearse(path: &Path, now: DateTime<Utc>) -> Result<Self> {
        let path = files::locate(path)?;
        if files::is_absent(&path)? {
            return Self::temporary();
        }
        let lock = Lock::take(&path, now)?;
        let (db, version) = files::connect(&path)?;
        let view = View::new(db, path);
        view.must_be_writable()?;
        // Neither the ledger nor a journal beside it is written to: the changes stay in memory, and a rehearsal
        // that is killed leaves nothing to clean up.
        view.read(|db| {
            Ok(db.execute_batch("PRAGMA cache_spill = OFF; PRAGMA journal_mode = MEMORY; BEGIN")?)
        })?;
        let ledger = Self { view, rehearsal: true, _lock: Some(lock) };
        ledger.atomically(|db| Ok(schema::migrate(db, version)?))?;
        Ok(ledger)
    }

    /// Everything that can be read, as this ledger sees it.
    #[must_use]
    pub fn view(&self) -> &View {
        &self.view
    }

    /// Whether what is written here will be forgotten.
    #[must_use]
    pub fn is_rehearsal(&self) -> bool {
        self.rehearsal
    }

    /// While this is held, everything is read as of one moment. Many questions in it are several times as fast as
    /// each by itself, because `SQLite` locks the file once. Nothing can be written until it is dropped.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn at_once(&self) -> Result<AtOnce<'_>> {
        if self.rehearsal {
            // It is all one transaction anyway.
            return Ok(AtOnce { _reading: None });
        }
        match self.view.db().unchecked_transaction() {
            Ok(reading) => Ok(AtOnce { _reading: Some(reading) }),
            Err(error) => Err(explain(error.into(), self.view.path())),
        }
    }

    /// Does `work` wholly or not at all: as a transaction, and in a rehearsal as a part of the one that is never
    /// committed.
    fn atomically<T>(
        &self,
        work: impl FnOnce(&Connection) -> std::result::Result<T, Fault>,
    ) -> Result<T> {
        let db = self.view.db();
        let tell = |fault| explain(fault, self.view.path());
        // SQLite itself ends a transaction after some errors. Going on in a rehearsal would then write for real,
        // and going on with one left open would write nothing.
        if db.is_autocommit() == self.rehearsal {
            return Err(tell(Fault::Other(
                "an earlier error ended the transaction it was in".to_owned(),
            )));
        }
        // A savepoint would do for both, but SQLite copies every page it changes to a second journal for it. Immediate,
        // because one that has read something and then wants to write does not wait for another program.
        let (begin, end, undo) = if self.rehearsal {
            ("SAVEPOINT step", "RELEASE step", "ROLLBACK TO step; RELEASE step")
        } else {
            ("BEGIN IMMEDIATE", "COMMIT", "ROLLBACK")
        };
        db.execute_batch(begin).map_err(|error| tell(error.into()))?;
        let done = work(db).and_then(|value| {
            db.execute_batch(end)?;
            Ok(value)
        });
        done.map_err(|fault| {
            // When even this fails, the check above refuses whatever comes next; the first fault is the one to tell.
            let _undone = db.is_autocommit() || db.execute_batch(undo).is_ok();
            tell(fault)
        })
    }
}
