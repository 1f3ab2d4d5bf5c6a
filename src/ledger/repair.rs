//! Copies what can be read of a damaged ledger into a new one.

use std::fs::{self, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use rusqlite::config::DbConfig;
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::error::{LedgerError, Problem, Result};
use super::files::{self, Check};
use super::lock::Lock;
use super::reader::query;
use super::{BusyRetry, Ledger, schema};
use crate::platform::files::open_owner_only;

/// The result of a repair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Repaired {
    /// The name that the damaged file has now.
    pub damaged: PathBuf,
    /// The number of entries in the outbox that were saved.
    pub pending: u64,
    /// The number of delivered or dropped entries that were saved.
    pub settled: u64,
    /// The first error in each table that may lack rows, with the name of the table.
    pub incomplete: Vec<String>,
}

/// The tables in the order in which they refer to each other, and their keys.
const TABLES: [(&str, &str); 10] = [
    ("tenant", "rowid"),
    ("run", "tenant, id"),
    ("batch", "rowid"),
    ("outbox", "rowid"),
    ("repeat", "rowid"),
    ("settled", "rowid"),
    ("sighting", "tenant, created_at, alert, entry"),
    ("gap", "tenant, start"),
    ("exclusion_hit", "tenant, rule"),
    ("left_out", "tenant, reason, type, value"),
];

/// Deletes rows whose tenant or entry could not be read.
const DELETE_ORPHANS: &str = "
DELETE FROM run WHERE tenant NOT IN (SELECT id FROM tenant);
DELETE FROM batch WHERE tenant NOT IN (SELECT id FROM tenant);
DELETE FROM outbox WHERE tenant NOT IN (SELECT id FROM tenant);
DELETE FROM sighting WHERE tenant NOT IN (SELECT id FROM tenant);
DELETE FROM gap WHERE tenant NOT IN (SELECT id FROM tenant);
DELETE FROM exclusion_hit WHERE tenant NOT IN (SELECT id FROM tenant);
DELETE FROM left_out WHERE tenant NOT IN (SELECT id FROM tenant);
DELETE FROM repeat WHERE entry NOT IN (SELECT id FROM outbox);";

impl Ledger {
    /// Replaces a damaged ledger by a new one with everything that can be read of it; the damaged
    /// file is renamed. `None` where there is no ledger, or it is not damaged: then it stays.
    ///
    /// # Errors
    /// As [`Ledger::open`], and when nothing can be read of the file.
    pub(crate) fn repair(path: &Path, now: DateTime<Utc>) -> Result<Option<Repaired>> {
        let path = files::resolve(path)?;
        let _lock = Lock::acquire(&path, now)?;
        if !path.exists() {
            return files::is_absent(&path).map(|_| None);
        }
        match files::connect(&path, Check::Full, &BusyRetry::default()) {
            Ok(_) => return Ok(None),
            Err(LedgerError { problem: Problem::Damaged { .. }, .. }) => {}
            Err(other) => return Err(other),
        }
        let copy = files::with_suffix(&path, ".copy");
        let repaired = files::with_suffix(&path, ".repaired");
        let saved = save(&path, &copy, &repaired).and_then(|saved| {
            files::connect(&repaired, Check::Full, &BusyRetry::default())?;
            let damaged = free_name(&path)?;
            let failed = |error: io::Error| Problem::from(error).at(&path);
            replace(&path, &damaged, &repaired).map_err(failed)?;
            if let Err(error) = files::sync_folder(&path) {
                tracing::warn!("the new ledger may be lost by a power cut: {error}");
            }
            Ok(Repaired { damaged, ..saved })
        });
        for leftover in [copy, repaired] {
            // `repaired` still exists only where something failed, which is reported.
            let _ = fs::remove_file(files::journal_path(&leftover));
            let _ = fs::remove_file(leftover);
        }
        saved.map(Some)
    }
}

/// Gives the damaged file another name, and its name to the repaired one. Where the file system has
/// hard links, a ledger has the name at any moment, even if the process is killed.
fn replace(path: &Path, damaged: &Path, repaired: &Path) -> io::Result<()> {
    if fs::hard_link(path, damaged).is_ok() {
        return fs::rename(repaired, path).inspect_err(|_| {
            // The error is the one to report.
            let _ = fs::remove_file(damaged);
        });
    }
    fs::rename(path, damaged)?;
    fs::rename(repaired, path).inspect_err(|_| {
        let _ = fs::rename(damaged, path);
    })
}

/// Returns a name for the damaged file that no other file has.
fn free_name(path: &Path) -> Result<PathBuf> {
    let names = (1..100).map(|number| match number {
        1 => files::with_suffix(path, ".damaged"),
        _ => files::with_suffix(path, &format!(".damaged-{number}")),
    });
    names
        .into_iter()
        .find(|name| fs::symlink_metadata(name).is_err())
        .ok_or_else(|| Problem::Other("there are too many damaged files of it".to_owned()).at(path))
}

/// Writes everything that can be read of the file at `path` into a new ledger at `repaired`. `copy`
/// is where the file is copied to first, to change its header and schema.
fn save(path: &Path, copy: &Path, repaired: &Path) -> Result<Repaired> {
    copy_with_known_header(path, copy).map_err(|error| Problem::from(error).at(path))?;
    files::create(repaired)?;
    let copied = || -> rusqlite::Result<Option<Repaired>> {
        restore_schema(copy)?;
        let from = Connection::open(copy)?;
        let to = Connection::open(repaired)?;
        to.execute_batch("PRAGMA foreign_keys = OFF; BEGIN")?;
        let mut incomplete = Vec::new();
        for (table, key) in TABLES {
            if let Some(error) = copy_table(&from, &to, table, key)? {
                incomplete.push(format!("{table}: {error}"));
            }
        }
        if incomplete.len() == TABLES.len() {
            return Ok(None);
        }
        to.execute_batch(DELETE_ORPHANS)?;
        schema::restore_sequences(&to, "main")?;
        to.execute_batch("COMMIT")?;
        let count =
            |rows| to.query_row(&format!("SELECT count(*) FROM {rows}"), [], |row| row.get(0));
        let pending = count("pending")?;
        // Those that are being sent are in both.
        let settled = count("settled WHERE id NOT IN (SELECT id FROM pending)")?;
        Ok(Some(Repaired { damaged: PathBuf::new(), pending, settled, incomplete }))
    };
    copied()
        .map_err(|error| Problem::from(error).at(path).unchanged())?
        .ok_or_else(|| Problem::refused("none of its tables can be read").at(path))
}

/// Copies a file, and overwrites the fields of its header that are the same in each ledger.
fn copy_with_known_header(path: &Path, copy: &Path) -> io::Result<()> {
    let mut from = fs::File::open(path)?;
    let mut options = OpenOptions::new();
    let mut to = open_owner_only(copy, options.write(true).create(true).truncate(true))?;
    let pages = u32::try_from(io::copy(&mut from, &mut to)? / 4096).unwrap_or(u32::MAX);
    let write = |to: &mut fs::File, offset, bytes: &[u8]| {
        to.seek(SeekFrom::Start(offset)).and_then(|_| to.write_all(bytes))
    };
    // https://sqlite.org/fileformat2.html#the_database_header
    write(&mut to, 0, b"SQLite format 3\0\x10\x00\x01\x01\x00\x40\x20\x20")?;
    write(&mut to, 28, &pages.to_be_bytes())?;
    for (offset, number) in [(44, 4), (48, 0), (52, 0), (56, 1), (60, schema::VERSION), (64, 0)] {
        write(&mut to, offset, &number.to_be_bytes())?;
    }
    write(&mut to, 68, &schema::APPLICATION_ID.to_be_bytes())
}

/// Restores the names and definitions of the tables, indexes and views in a copy.
fn restore_schema(copy: &Path) -> rusqlite::Result<()> {
    let db = Connection::open(copy)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, false)?;
    db.pragma_update(None, "writable_schema", true)?;
    let objects = schema::objects()?;
    let mut find =
        db.prepare("SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE rowid = ?1 AND name = ?2)")?;
    let mut known = 0;
    for object in &objects {
        known +=
            usize::from(find.query_row((object.row, &object.name), |row| row.get::<_, bool>(0))?);
    }
    // The objects are in the order of their creation, unless somebody rebuilt the file.
    let key = if known + 1 >= objects.len() { "rowid = ?1" } else { "name = ?3 AND ?1" };
    let mut update = db.prepare(&format!(
        "UPDATE sqlite_schema SET type = ?2, name = ?3, tbl_name = ?4, sql = ?5 WHERE {key}"
    ))?;
    for object in objects {
        let schema::Object { row, kind, name, table, sql } = object;
        update.execute((row, kind, name, table, sql))?;
    }
    Ok(())
}

/// Copies the rows of a table that can be read and that the new table accepts. Reading stops at a
/// damaged page, so it is read twice: from the first row forwards, and from the last row backwards.
/// Returns the first error.
fn copy_table(
    from: &Connection,
    to: &Connection,
    table: &str,
    key: &str,
) -> rusqlite::Result<Option<rusqlite::Error>> {
    let select = format!("SELECT name FROM pragma_table_info('{table}')");
    let columns: Vec<String> = query(to, &select, &[], |row| row.get(0))?;
    let (names, placeholders) = (columns.join(", "), vec!["?"; columns.len()].join(", "));
    let mut first_error = None;
    // A row that comes from both sides is inserted once.
    let backwards = key.replace(',', " DESC,") + " DESC";
    for (order, insert) in [(key, "INSERT"), (&*backwards, "INSERT OR IGNORE")] {
        let insert = format!("{insert} INTO {table} ({names}) VALUES ({placeholders})");
        let mut insert = to.prepare(&insert)?;
        let select = format!("SELECT {names} FROM {table} NOT INDEXED ORDER BY {order}");
        let mut read = || -> rusqlite::Result<Vec<rusqlite::Error>> {
            let mut rejected = Vec::new();
            let mut select = from.prepare(&select)?;
            let mut rows = select.query([])?;
            while let Some(row) = rows.next()? {
                let values: Vec<Value> =
                    (0..columns.len()).map(|column| row.get(column)).collect::<Result<_, _>>()?;
                if let Err(error) = insert.execute(params_from_iter(values)) {
                    rejected.push(error);
                }
            }
            Ok(rejected)
        };
        match read() {
            Ok(rejected) => {
                let first = rejected.into_iter().next();
                return Ok(first_error.or(first));
            }
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    Ok(first_error)
}
