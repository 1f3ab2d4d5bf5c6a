//! One open ledger that several tenants may use at once, each operation on its own.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use chrono::{DateTime, Utc};
use tokio::sync::Notify;

use super::files::Check;
use super::{BusyRetry, Ledger, Lock, Result};
use crate::clock::Clock;

/// The options for opening the ledger for runs.
#[derive(Debug)]
pub(crate) struct LedgerOptions<'a> {
    /// The file; `None` for a private ledger that is gone after the runs.
    pub path: Option<&'a Path>,
    /// Whether the file is left as it is.
    pub dry_run: bool,
    /// The limit for waiting until other programs unlock the file.
    pub busy_retry: BusyRetry,
    /// The ledger's lock, if the process has taken it already, after waiting for it.
    pub lock: Option<Lock>,
}

/// The ledger of a process. Its clones are the same one.
///
/// One connection for all tenants: operations of several connections would wait for one another's
/// locks on the file, and each would have a cache of its own and check the file again.
#[derive(Debug, Clone)]
pub(crate) struct SharedLedger {
    ledger: Arc<Mutex<Ledger>>,
    /// Is notified when a tenant has to wait for the ledger.
    wanted: Arc<Notify>,
    /// The time as of which a tenant of this process purged.
    purged_as_of: Arc<Mutex<Option<DateTime<Utc>>>>,
    path: Arc<PathBuf>,
    /// Whether opening it created the file.
    is_new: bool,
    /// Whether this is the private ledger of a dry run, with the real one attached as `real`.
    real_is_attached: bool,
}

impl SharedLedger {
    /// Opens the ledger.
    ///
    /// # Errors
    /// When it cannot be opened, read or written.
    pub(crate) fn open(options: LedgerOptions<'_>, clock: Clock) -> Result<Self> {
        let LedgerOptions { path, dry_run, busy_retry, lock } = options;
        let ledger = match path {
            None => Ledger::temporary(),
            Some(path) if dry_run => {
                Ledger::open_dry_run_with(path, clock.now(), Check::Quick, busy_retry, lock)
            }
            Some(path) => Ledger::open_with(path, clock.now(), busy_retry, lock),
        }?;
        Ok(Self {
            path: Arc::new(ledger.reader().path().to_owned()),
            is_new: ledger.is_new,
            real_is_attached: ledger.real_is_attached,
            wanted: Arc::default(),
            purged_as_of: Arc::default(),
            ledger: Arc::new(Mutex::new(ledger)),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) const fn real_is_attached(&self) -> bool {
        self.real_is_attached
    }

    /// Returns the absolute path of the file that opening it created; `None` if it was there
    /// before, or is private.
    pub(crate) fn created_at(&self) -> Option<&Path> {
        self.is_new.then(|| self.path())
    }

    /// Returns the time as of which a tenant of this process purged. Until the result is dropped,
    /// other tenants wait here; none of them may have the ledger locked.
    pub(super) fn purged_as_of(&self) -> MutexGuard<'_, Option<DateTime<Utc>>> {
        self.purged_as_of.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns once a tenant waits for the ledger, or has waited since this returned the last time.
    pub(super) async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// Waits for the operations of other tenants, and returns the ledger for one operation, with
    /// its limit for waiting for other programs. A thread must not call this again before it has
    /// dropped the result.
    pub(super) fn lock(&self, busy_retry: &BusyRetry) -> MutexGuard<'_, Ledger> {
        let mut ledger = match self.ledger.try_lock() {
            Ok(ledger) => ledger,
            Err(TryLockError::Poisoned(error)) => error.into_inner(),
            Err(TryLockError::WouldBlock) => {
                self.wanted.notify_one();
                self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
            }
        };
        ledger.reader.set_busy_retry(busy_retry.clone());
        ledger
    }
}
