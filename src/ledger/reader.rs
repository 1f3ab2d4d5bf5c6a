//! Reading the ledger without the lock of runs (module `lock`), also during a run.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, Row, ToSql};

use super::busy_retry::BusyRetry;
use super::error::{LedgerError, Problem};
use super::files::Check;
use super::{Result, files};

/// The ledger, open for reading. It takes no lock but `SQLite`'s own during a read, and changes
/// nothing, except that opening it undoes the unfinished change of a killed run.
#[derive(Debug)]
pub(crate) struct LedgerReader {
    db: Connection,
    path: PathBuf,
    busy_retry: BusyRetry,
}

impl LedgerReader {
    /// Opens the ledger at `path`; `None` when there is none.
    ///
    /// # Errors
    /// When the file is not a ledger that can be read.
    pub(crate) fn open(path: &Path) -> Result<Option<Self>> {
        let Some(path) = files::resolve_existing(path)? else {
            return Ok(None);
        };
        let busy_retry = BusyRetry::default();
        let (db, _) = files::connect(&path, Check::Quick, &busy_retry)?;
        let reader = Self::new(db, path, busy_retry);
        reader.read(|db| Ok(db.pragma_update(None, "query_only", true)?))?;
        Ok(Some(reader))
    }

    /// Lets all reads from here on see the same state. A run that writes meanwhile waits until the
    /// reader is dropped, so the reads should be fast: they sort with up to two more threads.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(crate) fn freeze(&self) -> Result<()> {
        self.read(|db| Ok(db.execute_batch("PRAGMA threads = 2; BEGIN")?))
    }

    pub(super) const fn new(db: Connection, path: PathBuf, busy_retry: BusyRetry) -> Self {
        Self { db, path, busy_retry }
    }

    pub(super) fn set_busy_retry(&mut self, busy_retry: BusyRetry) {
        self.busy_retry = busy_retry;
    }

    pub(super) const fn busy_retry(&self) -> &BusyRetry {
        &self.busy_retry
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) const fn db(&self) -> &Connection {
        &self.db
    }

    /// Runs a query, again while another program has the file locked.
    pub(super) fn read<T>(&self, query: impl Fn(&Connection) -> Result<T, Problem>) -> Result<T> {
        self.busy_retry.retry(|| query(&self.db)).map_err(|problem| self.failed(problem))
    }

    /// Runs a query, and collects what `read` returns for each row.
    pub(super) fn query<T, C: FromIterator<T>>(
        &self,
        sql: &str,
        params: &[&dyn ToSql],
        read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<C> {
        self.read(|db| Ok(query(db, sql, params, &read)?))
    }

    /// Runs a query that reads a long table in pages, and calls `each` with what `read` returns for
    /// each row. Between two pages the ledger is not locked, also while `each` writes to a slow
    /// reader such as `less`.
    ///
    /// The first column is the id by which the rows are sorted. The last parameter is the id after
    /// which a page begins; `page_size` is the limit of the query.
    pub(super) fn for_each_row<T, E: From<LedgerError>>(
        &self,
        sql: &str,
        params: &[&dyn ToSql],
        page_size: usize,
        read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
        mut each: impl FnMut(T) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut after = i64::MIN;
        loop {
            let params = [params, &[&after]].concat();
            let page: Vec<(i64, T)> =
                self.query(sql, &params, |row| Ok((row.get(0)?, read(row)?)))?;
            let is_last = page.len() < page_size;
            for (id, row) in page {
                after = id;
                each(row)?;
            }
            if is_last {
                return Ok(());
            }
        }
    }

    /// Returns the error of this ledger. If it was busy and there is a signal, the signal ended the
    /// wait.
    pub(super) fn failed(&self, problem: Problem) -> LedgerError {
        let problem = match (problem, self.busy_retry.signal()) {
            (Problem::Busy(_), Some(signal)) => Problem::Interrupted(signal),
            (other, _) => other,
        };
        problem.at(&self.path)
    }
}

/// Runs a query, and collects what `read` returns for each row. The statement stays prepared for
/// the next time.
pub(super) fn query<T, C: FromIterator<T>>(
    db: &Connection,
    sql: &str,
    params: &[&dyn ToSql],
    read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<C> {
    db.prepare_cached(sql)?.query_map(params, read)?.collect()
}
