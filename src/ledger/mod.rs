//! The ledger: the one file that a run leaves for the next, and the one place that knows SQL.
//!
//! An ordinary `SQLite` file with mode 0600, which the `sqlite3` tool reads, also during a run.
//! `application_id` marks it as a ledger; `user_version` is the version of its schema.
//!
//! [`TenantLedger`] is what a run sees: one tenant. [`LedgerReader`] reads the whole ledger for a
//! person, without a lock. [`Ledger`] changes the whole ledger for a person.
//!
//! # Tables
//! - `tenant`: a name, the source and customer whose alerts it has, and the account, Recorded
//!   Future token and organizations of its last run; with its checkpoint `read_until`: up to when
//!   all alerts were fetched, from `read_from` on.
//! - `outbox`: a submission that is not delivered, called an *entry*: `waiting`, or `quarantined`
//!   with Recorded Future's status and message, or without a status where its item is damaged.
//! - `repeat`: how many more detections named the indicator of an entry in the outbox.
//! - `batch`: entries that leave the outbox together: `sending`, `delivered`, or `dropped` by a
//!   person.
//! - `settled`: an entry that is in a batch, under the same id.
//! - `sighting`: an alert that names the indicator of an entry.
//! - `run`: a run; unfinished ones have no `finished_at`.
//! - `gap`: a span that no run read, until one reads it or a person gives it up.
//! - `exclusion_hit`: how often a rule of the exclusion file matched, and when last.
//! - `left_out`: samples of what runs left out, with the reason and the last alert.
//!
//! # Invariants
//! 1. An entry is in `outbox`, in `settled`, or in both: in both while its batch is `sending`, and
//!    after it was delivered until the row in `outbox` is deleted. The view `pending` has the rows
//!    of `outbox` that are not delivered.
//! 2. Before a request is sent, one transaction writes its batch. The response changes one row,
//!    that of the batch. Where no response came, the batch stays in state `sending`: it is in
//!    doubt. The next run looks for its entries, and queues again what Recorded Future does not
//!    have.
//! 3. Within a run an indicator has one entry. A sighting names the entry that it was merged into.
//!    A sighting whose entry was purged counts as never seen.
//! 4. An entry's id is never given twice, also where `sqlite_sequence` lost its count: opening
//!    restores it from the ids that are in use.
//! 5. The daily quota is the number of entries in the batches that were delivered on that UTC day
//!    with that token. Techniques are counted per batch, when it is written.
//! 6. A run never moves a checkpoint back, over a gap, beyond now, or by a clock that no service
//!    confirmed. Until there is one, `read_from` is where the next run starts.
//! 7. No secret is stored: accounts, customers and tokens come as digests.
//! 8. Times are RFC 3339 in UTC with milliseconds and a `Z`, so that they sort as text; only
//!    `sighting.created_at` is a number.
//!
//! # Durability
//! Each operation is one transaction, on disk when the call returns. Rollback journal rather than
//! WAL: one file, on any file system. While a run has the file open, the journal stays between
//! transactions (`PERSIST`), so that its space is there when the response of a batch is recorded.
//! `synchronous` is `EXTRA`, which is `FULL` plus a sync of the folder where a journal is deleted;
//! with `FULL` alone a power cut could bring the journal back, and it would undo the last commit.
//!
//! A new ledger is created under another name and renamed when complete. An empty file is therefore
//! not a new ledger but one that lost its content, and is refused like any other damaged one. A
//! damaged file is never renamed or deleted. Damage that is noticed when the file is opened leaves
//! every byte of it as it is; only the unfinished change of a killed run is undone first.
//!
//! # Damage
//! Opening a ledger compares the tables with what this program creates, and examines all that
//! decides what is sent: each table with its indexes, some of which exist for this alone. The
//! history of what was delivered is examined where the file is small, by `check`, and by a run
//! where the file is not as the last one left it: its length and checksum are in the lock file. So
//! are the samples of what was left out, on which nothing depends.
//! Before an entry is sent, its item is compared with its row. `outbox repair` saves what can be
//! read.

mod batch;
mod checkpoint;
mod columns;
mod delivered;
mod doubt;
mod error;
mod exclusion_hit;
mod files;
mod gap;
mod history;
mod left_out;
mod lock;
mod lookup;
mod maintenance;
mod outbox;
mod patience;
mod purge;
mod reader;
mod repair;
mod runs;
mod schema;
mod seal;
mod shared;
mod status;
mod store;
mod summary;
mod tenant;
mod tenant_ledger;

#[cfg(test)]
mod tests;

pub(crate) use batch::{Batch, QueuedItem};
pub(crate) use checkpoint::Advance;
pub(crate) use delivered::{DeliveredEntry, SentEntry};
pub(crate) use doubt::BatchInDoubt;
pub(crate) use error::{LedgerError, Result};
pub(crate) use exclusion_hit::RuleHits;
pub(crate) use history::{Technique, TopIndicator};
pub(crate) use left_out::{LeftOutSample, TopLeftOut};
pub(crate) use lock::{Lock, lock_path};
pub(crate) use lookup::{Alerts, Fate, KnownEntry, SpanRead};
pub(crate) use outbox::{EntryFilter, EntryId, EntryState, OutboxEntry, Rejections};
pub(crate) use patience::Patience;
pub(crate) use purge::SIGHTINGS_KEPT;
pub(crate) use reader::LedgerReader;
pub(crate) use runs::Run;
pub(crate) use shared::{LedgerOptions, SharedLedger};
pub(crate) use status::TenantStatus;
pub(crate) use summary::{Delivered, DeliveriesByDay, Origin, Period, Summary};
pub(crate) use tenant::{Tenant, TenantFilter, TenantId};
pub(crate) use tenant_ledger::{TenantLedger, TenantOptions};

use std::path::Path;

use chrono::{DateTime, Utc};
use rusqlite::Connection;

use self::error::{Cause, with_path};
use self::files::Examine;
use self::patience::is_busy;

/// The ledger, open for a run or a command that changes it.
///
/// Everything that only reads is in [`LedgerReader`], which [`Ledger::reader`] lends.
#[derive(Debug)]
pub(crate) struct Ledger {
    // Declared before the lock, because fields are dropped in order: the lock outlives the
    // connection.
    reader: LedgerReader,
    /// Whether the real ledger is attached as `prior`, to be read only.
    has_prior: bool,
    /// Whether opening it created the file.
    is_new: bool,
    lock: Option<Lock>,
}

impl Ledger {
    /// Opens the ledger at `path`, creating it when there is none, and holds its lock until
    /// dropped.
    ///
    /// # Errors
    /// [`LedgerError::Locked`] at once when another run has it; every other variant but
    /// [`LedgerError::NotQueued`] for a file or folder that cannot be used.
    pub(crate) fn open(path: &Path, now: DateTime<Utc>) -> Result<Self> {
        Self::open_patiently(path, now, Patience::default(), None)
    }

    /// Takes the lock of the ledger at `path` without opening it, for a run that waits for another
    /// one's.
    ///
    /// # Errors
    /// [`LedgerError::Locked`] at once when another run has it, and when its file cannot be used.
    pub(crate) fn lock(path: &Path, now: DateTime<Utc>) -> Result<Lock> {
        Lock::acquire(&files::resolve(path)?, now)
    }

    /// Opens the ledger as [`Ledger::open`] does, for a run that waits as long as this for a file
    /// that another program uses. The run may have its lock already.
    fn open_patiently(
        path: &Path,
        now: DateTime<Utc>,
        patience: Patience,
        lock: Option<Lock>,
    ) -> Result<Self> {
        let path = files::resolve(path)?;
        let lock = lock.map_or_else(|| Lock::acquire(&path, now), Ok)?;
        let is_new = files::is_absent(&path)?;
        if is_new {
            files::create(&path)?;
        }
        // Damage shows in the time of the checksum; the examination of a file that changed takes
        // longer.
        let examine = if lock.is_unchanged(&path)? { Examine::Short } else { Examine::All };
        let (db, version) = files::connect(&path, examine, &patience)?;
        files::must_be_writable(&db, &path)?;
        files::keep_journal(&db).map_err(|error| with_path(error.into(), &path))?;
        let reader = LedgerReader::new(db, path, patience);
        let ledger = Self { reader, has_prior: false, is_new, lock: Some(lock) };
        // Also when the version is current: this proves now, not after an hour of fetching, that
        // the folder takes a journal and the disk has space. The first transaction: what fails in
        // it leaves the file as it is.
        let opened = ledger.transaction(|db| {
            schema::migrate(db, version)?;
            Ok(schema::restore_sequences(db, "main")?)
        });
        opened.map_err(LedgerError::unchanged)?;
        Ok(ledger)
    }

    /// Opens the ledger for a command that changes it; `None` where there is none, and then none is
    /// created.
    ///
    /// # Errors
    /// As [`Ledger::open`].
    pub(crate) fn open_existing(path: &Path, now: DateTime<Utc>) -> Result<Option<Self>> {
        match files::resolve_existing(path)? {
            Some(path) => Self::open(&path, now).map(Some),
            None => Ok(None),
        }
    }

    /// Opens an empty private ledger that is deleted when dropped, for `--no-ledger`.
    ///
    /// # Errors
    /// When no folder for temporary files can be written.
    pub(crate) fn temporary() -> Result<Self> {
        let (db, path) = files::temporary()?;
        let reader = LedgerReader::new(db, path, Patience::default());
        Ok(Self { reader, has_prior: false, is_new: false, lock: None })
    }

    /// Opens the ledger as [`Ledger::open_dry_run_examined`] does for a run.
    #[cfg(test)]
    pub(crate) fn open_dry_run(path: &Path, now: DateTime<Utc>) -> Result<Self> {
        Self::open_dry_run_examined(path, now, Examine::Short, Patience::default(), None)
    }

    /// Opens the ledger as a dry run does, after an examination of the whole file.
    ///
    /// # Errors
    /// As [`Ledger::open_dry_run_examined`].
    pub(crate) fn verify(path: &Path, now: DateTime<Utc>) -> Result<()> {
        Self::open_dry_run_examined(path, now, Examine::All, Patience::default(), None).map(|_| ())
    }

    /// Opens a private ledger for `--debug` and `--dry-run` that sees everything in the ledger at
    /// `path`, locks it as a run does, and changes nothing in it. All that is written is gone
    /// when it is dropped. Where there is no ledger, none is created.
    ///
    /// # Errors
    /// As [`Ledger::open`] and [`Ledger::temporary`].
    fn open_dry_run_examined(
        path: &Path,
        now: DateTime<Utc>,
        examine: Examine,
        patience: Patience,
        lock: Option<Lock>,
    ) -> Result<Self> {
        let path = files::resolve(path)?;
        if files::is_absent(&path)? {
            return Self::temporary();
        }
        let lock = lock.map_or_else(|| Lock::acquire(&path, now), Ok)?;
        let examine = if lock.is_unchanged(&path)? { examine } else { Examine::All };
        let (db, version) = files::connect(&path, examine, &patience)?;
        files::must_be_writable(&db, &path)?;
        drop(db);
        if version < schema::VERSION {
            return Err(LedgerError::Other {
                path,
                detail: format!("it still has version {version}; the next real run updates it"),
            });
        }
        let (db, temporary_path) = files::temporary()?;
        let reader = LedgerReader::new(db, temporary_path, patience);
        let mut ledger = Self { reader, has_prior: false, is_new: false, lock: Some(lock) };
        ledger.attach_prior(&path)?;
        ledger.has_prior = true;
        Ok(ledger)
    }

    /// Attaches the real ledger and copies what a run changes: all but the long history.
    fn attach_prior(&self, path: &Path) -> Result<()> {
        let db = self.reader.db();
        let attach = || db.execute("ATTACH ?1 AS prior", [files::uri(path, "mode=ro")]);
        let copy = || -> rusqlite::Result<()> {
            // An attempt that found the ledger locked may have left its transaction.
            if !db.is_autocommit() {
                db.execute_batch("ROLLBACK")?;
            }
            db.execute_batch(
                "BEGIN;
                 INSERT INTO tenant SELECT * FROM prior.tenant;
                 INSERT INTO run SELECT * FROM prior.run;
                 INSERT INTO batch SELECT * FROM prior.batch;
                 INSERT INTO outbox (id, tenant, run, type, value, severity, stored_at, attempts,
                                     state, status, message, rejected_at, item)
                 SELECT id, tenant, run, type, value, severity, stored_at, attempts,
                        state, status, message, rejected_at, item
                 FROM prior.outbox;
                 INSERT INTO repeat SELECT * FROM prior.repeat;
                 INSERT INTO gap SELECT * FROM prior.gap;
                 INSERT INTO settled SELECT * FROM prior.settled WHERE id IN (SELECT id FROM prior.outbox);
                 DELETE FROM sqlite_sequence;
                 INSERT INTO sqlite_sequence (name, seq) SELECT name, seq FROM prior.sqlite_sequence;",
            )?;
            schema::restore_sequences(db, "prior")?;
            db.execute_batch("COMMIT")
        };
        let patience = self.reader.patience();
        patience
            .retry(is_busy, attach)
            .and_then(|_| patience.retry(is_busy, copy))
            .map_err(|error| with_path(error.into(), path))
    }

    /// Returns the part that reads.
    #[must_use]
    pub(crate) const fn reader(&self) -> &LedgerReader {
        &self.reader
    }

    /// Does `work` as one transaction: wholly or not at all.
    ///
    /// It is immediate, because one that has read something and then wants to write does not wait
    /// for another program. `SQLite` waits for others when it begins and when it commits; what it
    /// did is kept while it does.
    fn transaction<T>(&self, work: impl FnOnce(&Connection) -> Result<T, Cause>) -> Result<T> {
        let db = self.reader.db();
        let execute =
            |statement| self.reader.patience().retry(is_busy, || db.execute_batch(statement));
        execute("BEGIN IMMEDIATE").map_err(|error| self.reader.failed(error.into()))?;
        let open = OpenTransaction(db);
        let done = work(db).and_then(|value| {
            execute("COMMIT")?;
            Ok(value)
        });
        drop(open);
        done.map_err(|cause| self.reader.failed(cause))
    }
}

/// A transaction that is rolled back unless it was committed, also when the work in it panics: the
/// runs of other tenants go on with the same connection.
struct OpenTransaction<'a>(&'a Connection);

impl Drop for OpenTransaction<'_> {
    fn drop(&mut self) {
        // SQLite itself ends a transaction after some errors. Where even this fails, the next BEGIN
        // does too; the first cause is the one to report.
        let _rolled_back = self.0.is_autocommit() || self.0.execute_batch("ROLLBACK").is_ok();
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        let Some(lock) = self.lock.as_mut().filter(|_| !self.has_prior) else {
            return;
        };
        // Where these fail, an empty journal stays, and the next run examines the whole file.
        let _deleted = files::delete_journal(self.reader.db());
        if self.reader.db().is_autocommit() {
            let _sealed = lock.seal(self.reader.path());
        }
    }
}
