//! The ledger: the file in which a run stores what it read and what it sent, for later runs. The
//! only module that knows SQL.
//!
//! An ordinary `SQLite` file with mode 0600, which the `sqlite3` tool reads, also during a run.
//! `application_id` marks it as a ledger; `user_version` is the version of its schema.
//!
//! [`TenantLedger`] is what a run uses: one tenant. [`LedgerReader`] reads the ledger of all
//! tenants without a lock, for commands such as `status`; [`Ledger`] changes it, for commands such
//! as `outbox drop`.
//!
//! # From an alert to a delivered indicator
//! 1. Alert A1 names `evil.example`. Nothing is known of it: a row in `outbox` is inserted, *entry*
//!    17, in state `waiting`; and a row in `sighting`: A1 is part of entry 17.
//! 2. Alert A2 names `evil.example` too, in the same run. It becomes a sighting of entry 17, and
//!    `repeat` counts it. If another run reads A1 again, the sighting shows that it is known.
//! 3. Before entry 17 is sent, a row in `batch` is inserted, in state `sending`, and one in
//!    `settled` with id 17 and this batch.
//! 4. Recorded Future confirms the request: the batch changes to `delivered`. At the end of the run
//!    row 17 of `outbox` is deleted; the one in `settled` stays for 90 days.
//! 5. If no response comes, the batch stays `sending`: it is *in doubt*. The next run searches
//!    Recorded Future for its entries; those that are found are delivered, and the others are
//!    queued again by deleting their rows in `settled`.
//! 6. If Recorded Future rejects entry 17 itself, its row in `settled` is deleted, and the one in
//!    `outbox` changes to `quarantined`. `outbox retry` changes it back to `waiting`. If the entry
//!    was sent more than once, `outbox retry` also puts it into a batch in doubt: an attempt before
//!    the rejection may have stored it.
//!
//! # Tables
//! - `tenant`: a name, the source and customer whose alerts it has, and the account, Recorded
//!   Future token and organizations of its last run; with its checkpoint `read_until`: up to when
//!   all alerts were fetched, from `read_from` on.
//! - `outbox`: entries that are not delivered: `waiting`, or `quarantined` with Recorded Future's
//!   status and message, or without a status if the stored item is damaged.
//! - `repeat`: how many more alerts named the indicator of an entry in the outbox.
//! - `batch`: entries that leave the outbox together: `sending`, `delivered`, or `dropped` by
//!   `outbox drop`.
//! - `settled`: an entry that is in a batch, under the same id.
//! - `sighting`: an alert that named the indicator of an entry.
//! - `run`: a run; unfinished ones have no `finished_at`.
//! - `gap`: a span that no run read, until one reads it or the user gives it up.
//! - `exclusion_hit`: how often a rule of the exclusion file matched, and when last.
//! - `left_out`: samples of what runs did not send, with the reason and the last alert.
//!
//! # Invariants
//! 1. An entry is in `outbox`, in `settled`, or in both: in both while its batch is `sending`, and
//!    after it was delivered until the row in `outbox` is deleted. The view `pending` has the rows
//!    of `outbox` that are not delivered.
//! 2. Before a request is sent, one transaction writes its batch. A response that confirms it
//!    changes one row, that of the batch.
//! 3. Within a run an indicator has one entry. A sighting names the entry that has its alert. A
//!    sighting whose entry was purged counts as never seen.
//! 4. The id of an entry or batch is never reused, even if `sqlite_sequence` lost its count:
//!    opening restores it from the ids that are in use.
//! 5. The number of entries in the batches that were delivered on a UTC day with a token is what
//!    is used of its daily quota. Techniques are counted per batch, when it is written, and again
//!    when a doubt about it ends.
//! 6. A run never moves a checkpoint back, over a gap that it does not record, beyond now, or by a
//!    clock that no service confirmed. Until there is a checkpoint, the next run starts at
//!    `read_from`.
//! 7. No secret is stored: accounts, customers and tokens are stored as digests.
//! 8. Times are RFC 3339 in UTC with milliseconds and a `Z`, so that they sort as text; only
//!    `sighting.created_at` and `settled.detected_at` are numbers.
//!
//! # Durability
//! Each operation is one transaction, on disk when the call returns. Rollback journal rather than
//! WAL: one file, on any file system. While a run has the file open, the journal stays between
//! transactions (`PERSIST`), so that its space is there when the response of a batch is recorded.
//! `synchronous` is `EXTRA`, which is `FULL` plus a sync of the folder when a journal is
//! deleted; with `FULL` alone a power cut could bring the journal back, and it would undo the last
//! commit.
//!
//! A new ledger is created under another name and renamed when complete. An empty file is therefore
//! not a new ledger but one that lost its content, and is refused like any other damaged one. A
//! damaged file is never deleted, and only `outbox repair` renames it. If damage is noticed when
//! the file is opened, no byte is changed, except that the unfinished change of a killed run is
//! undone first.
//!
//! # Checks against damage
//! - Each time the ledger is opened, its tables are compared with what this program creates, and
//!   `SQLite` checks the tables that decide what is sent. Some indexes exist only for this: they
//!   are a second copy of the columns that matter.
//! - The other tables, `settled`, `sighting` and `left_out`, are large. They are checked if the
//!   file is small, by `check`, and by a run if the file has another length or checksum than the
//!   last run recorded in the lock file.
//! - Before an entry is sent, its item is compared with the columns of its row.
//! - `outbox repair` copies what can be read into a new ledger.

mod batch;
mod busy_retry;
mod checkpoint;
mod columns;
mod delivered;
mod doubt;
mod error;
mod exclusion_hit;
mod files;
mod fingerprint;
mod gap;
mod history;
mod left_out;
mod lock;
mod lookup;
mod maintenance;
mod outbox;
mod purge;
mod reader;
mod repair;
mod runs;
mod schema;
mod shared;
mod status;
mod store;
mod summary;
mod tenant;
mod tenant_ledger;

#[cfg(test)]
mod tests;

pub(crate) use batch::{Batch, QueuedItem};
pub(crate) use busy_retry::BusyRetry;
pub(crate) use checkpoint::Advance;
pub(crate) use delivered::{DeliveredEntry, SentEntry};
pub(crate) use doubt::BatchInDoubt;
pub(crate) use error::{LedgerError, Problem, Result};
pub(crate) use exclusion_hit::RuleHits;
pub(crate) use history::{Technique, TopIndicator};
pub(crate) use left_out::{LeftOutSample, LeftOutTotal};
pub(crate) use lock::{Lock, lock_path};
pub(crate) use lookup::{Alerts, Fate, KnownEntry, SpanRead};
pub(crate) use outbox::{EntryFilter, EntryId, EntryState, OutboxEntry, Rejections};
pub(crate) use purge::INDICATORS_KEPT;
pub(crate) use reader::LedgerReader;
pub(crate) use runs::RunRecord;
pub(crate) use shared::{LedgerOptions, SharedLedger};
pub(crate) use status::TenantStatus;
pub(crate) use summary::{Delivered, DeliveriesByDay, IndicatorOrigin, Period, Summary};
pub(crate) use tenant::{Tenant, TenantFilter, TenantId};
pub(crate) use tenant_ledger::{TenantLedger, TenantOptions};

use std::path::Path;

use chrono::{DateTime, Utc};
use rusqlite::Connection;

use self::files::Check;

/// The ledger, open for a run or a command that changes it.
///
/// Everything that only reads is in [`LedgerReader`], which [`Ledger::reader`] lends.
#[derive(Debug)]
pub(crate) struct Ledger {
    // Declared before the lock, because fields are dropped in order: the lock outlives the
    // connection.
    reader: LedgerReader,
    /// Whether this is the private ledger of a dry run, with the real one attached as `real`, which
    /// is only read.
    real_is_attached: bool,
    /// Whether opening it created the file.
    is_new: bool,
    /// `None` for a temporary ledger.
    lock: Option<Lock>,
}

impl Ledger {
    /// Opens the ledger at `path`, creating it when there is none, and holds its lock until
    /// dropped.
    ///
    /// # Errors
    /// [`Problem::Locked`] at once when another run has it, and when the file or its folder cannot
    /// be used.
    pub(crate) fn open(path: &Path, now: DateTime<Utc>) -> Result<Self> {
        Self::open_with(path, now, BusyRetry::default(), None)
    }

    /// Takes the lock of the ledger at `path` without opening it, for a run that waits until
    /// another one ends.
    ///
    /// # Errors
    /// [`Problem::Locked`] at once when another run has it, and when its file cannot be used.
    pub(crate) fn lock(path: &Path, now: DateTime<Utc>) -> Result<Lock> {
        Lock::acquire(&files::resolve(path)?, now)
    }

    /// Opens the ledger as [`Ledger::open`] does, for a run: with the run's limit for waiting until
    /// other programs unlock the file, and with the lock if the run has taken it already.
    fn open_with(
        path: &Path,
        now: DateTime<Utc>,
        busy_retry: BusyRetry,
        lock: Option<Lock>,
    ) -> Result<Self> {
        let path = files::resolve(path)?;
        let lock = lock.map_or_else(|| Lock::acquire(&path, now), Ok)?;
        let is_new = files::is_absent(&path)?;
        if is_new {
            files::create(&path)?;
        }
        // A checksum takes less time than the check of all tables.
        let check = if lock.is_unchanged(&path)? { Check::Quick } else { Check::Full };
        let (db, version) = files::connect(&path, check, &busy_retry)?;
        files::must_be_writable(&db, &path)
            .and_then(|()| Ok(files::keep_journal(&db)?))
            .map_err(|problem| problem.at(&path))?;
        let reader = LedgerReader::new(db, path, busy_retry);
        let ledger = Self { reader, real_is_attached: false, is_new, lock: Some(lock) };
        // Also when the version is current: this proves now, not after an hour of fetching, that
        // the folder takes a journal and the disk has space. This is the first transaction, so an
        // error in it leaves the file as it is.
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

    /// Opens an empty private ledger that is deleted when dropped, for `--no-ledger` and for dry
    /// runs without a ledger.
    ///
    /// # Errors
    /// When no folder for temporary files can be written.
    pub(crate) fn temporary() -> Result<Self> {
        let (db, path) = files::temporary()?;
        let reader = LedgerReader::new(db, path, BusyRetry::default());
        Ok(Self { reader, real_is_attached: false, is_new: false, lock: None })
    }

    /// Opens the ledger as a dry run does, and checks the whole file.
    ///
    /// # Errors
    /// As [`Ledger::open_dry_run_with`].
    pub(crate) fn check_integrity(path: &Path, now: DateTime<Utc>) -> Result<()> {
        Self::open_dry_run_with(path, now, Check::Full, BusyRetry::default(), None).map(|_| ())
    }

    /// Opens a private ledger for `--debug` and `--dry-run` that sees everything in the ledger at
    /// `path`, locks it as a run does, and changes nothing in it. All that is written is gone
    /// when it is dropped. Where there is no ledger, none is created. `check` is for a file that is
    /// as the last run left it; any other is checked completely.
    ///
    /// # Errors
    /// As [`Ledger::open`] and [`Ledger::temporary`], and when the file has an older version.
    fn open_dry_run_with(
        path: &Path,
        now: DateTime<Utc>,
        check: Check,
        busy_retry: BusyRetry,
        lock: Option<Lock>,
    ) -> Result<Self> {
        let path = files::resolve(path)?;
        if files::is_absent(&path)? {
            return Self::temporary();
        }
        let lock = lock.map_or_else(|| Lock::acquire(&path, now), Ok)?;
        let check = if lock.is_unchanged(&path)? { check } else { Check::Full };
        let (db, version) = files::connect(&path, check, &busy_retry)?;
        files::must_be_writable(&db, &path).map_err(|problem| problem.at(&path))?;
        drop(db);
        if version < schema::VERSION {
            let detail = format!("it still has version {version}; the next real run updates it");
            return Err(Problem::Other(detail).at(&path));
        }
        let (db, temporary_path) = files::temporary()?;
        let reader = LedgerReader::new(db, temporary_path, busy_retry);
        let mut ledger = Self { reader, real_is_attached: false, is_new: false, lock: Some(lock) };
        ledger.attach_real(&path)?;
        ledger.real_is_attached = true;
        Ok(ledger)
    }

    /// Attaches the real ledger and copies its tables. Not copied: `sighting` and most of
    /// `settled`, which are long and are looked up in `real`, and the hits of exclusion rules and
    /// the samples, to which a run only adds.
    fn attach_real(&self, path: &Path) -> Result<()> {
        let db = self.reader.db();
        let attach = || Ok(db.execute("ATTACH ?1 AS real", [files::uri(path, "mode=ro")])?);
        let copy = || -> Result<(), Problem> {
            // An attempt that found the ledger locked may have left its transaction.
            if !db.is_autocommit() {
                db.execute_batch("ROLLBACK")?;
            }
            db.execute_batch(
                "BEGIN;
                 INSERT INTO tenant SELECT * FROM real.tenant;
                 INSERT INTO run SELECT * FROM real.run;
                 INSERT INTO batch SELECT * FROM real.batch;
                 INSERT INTO outbox (id, tenant, run, type, value, severity, stored_at, attempts,
                                     state, status, message, rejected_at, item)
                 SELECT id, tenant, run, type, value, severity, stored_at, attempts,
                        state, status, message, rejected_at, item
                 FROM real.outbox;
                 INSERT INTO repeat SELECT * FROM real.repeat;
                 INSERT INTO gap SELECT * FROM real.gap;
                 INSERT INTO settled SELECT * FROM real.settled WHERE id IN (SELECT id FROM real.outbox);
                 DELETE FROM sqlite_sequence;
                 INSERT INTO sqlite_sequence (name, seq) SELECT name, seq FROM real.sqlite_sequence;",
            )?;
            schema::restore_sequences(db, "real")?;
            Ok(db.execute_batch("COMMIT")?)
        };
        let busy_retry = self.reader.busy_retry();
        let attached = busy_retry.retry(attach).and_then(|_| busy_retry.retry(copy));
        attached.map_err(|problem| problem.at(path))
    }

    /// Returns the part that reads.
    #[must_use]
    pub(crate) const fn reader(&self) -> &LedgerReader {
        &self.reader
    }

    /// Does `work` as one transaction: wholly or not at all.
    ///
    /// `IMMEDIATE` takes the write lock at the beginning: a transaction that first reads and then
    /// wants to write would fail at once if another program writes, instead of waiting. Both
    /// `BEGIN` and `COMMIT` are retried while another program has the file locked.
    fn transaction<T>(&self, work: impl FnOnce(&Connection) -> Result<T, Problem>) -> Result<T> {
        let db = self.reader.db();
        let execute =
            |statement| self.reader.busy_retry().retry(|| Ok(db.execute_batch(statement)?));
        let transaction = || {
            execute("BEGIN IMMEDIATE")?;
            let _open = OpenTransaction(db);
            let value = work(db)?;
            execute("COMMIT")?;
            Ok(value)
        };
        transaction().map_err(|problem| self.reader.failed(problem))
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
        let Some(lock) = self.lock.as_mut().filter(|_| !self.real_is_attached) else {
            return;
        };
        // Where these fail, an empty journal stays, and the next run checks the whole file.
        let _deleted = files::delete_journal(self.reader.db());
        if self.reader.db().is_autocommit() {
            let _written = lock.record_fingerprint(self.reader.path());
        }
    }
}
