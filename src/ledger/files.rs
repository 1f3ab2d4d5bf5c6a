//! The ledger as a file: where it is, how it is created, and whether it is a ledger at all.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::busy_retry::{ATTEMPT, BusyRetry};
use super::error::{LedgerError, Problem, Result};
use super::schema;
use crate::local_file::{self, Accept};
use crate::platform::files::{open_owner_only, sync_folder as sync};

/// No mutex within the process: a connection may move to another thread, but two never share it.
const FLAGS: OpenFlags = OpenFlags::SQLITE_OPEN_READ_WRITE.union(OpenFlags::SQLITE_OPEN_NO_MUTEX);

/// Files up to this size in bytes are checked whole when they are opened: it takes milliseconds.
const SMALL: u64 = 4 << 20;

/// The size of the journal between transactions, in bytes. The pages that change when a batch
/// is written need less.
const KEPT_JOURNAL: u32 = 1 << 18;

/// Returns the path with `suffix` added to its name.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// Returns the path of the ledger in its resolved folder: two names of one file must lead to one
/// lock. A ledger that exists is a regular file and not a link.
pub(super) fn resolve(path: &Path) -> Result<PathBuf> {
    let failed = |error: io::Error| match error.kind() {
        // A kind of file that `local_file` does not accept.
        ErrorKind::Other => Problem::Unwritable(error.to_string()).at(path),
        _ => Problem::from(error).at(path),
    };
    let resolved = local_file::resolve(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => Problem::Unwritable("its folder does not exist".to_owned()).at(path),
        _ => failed(error),
    })?;
    local_file::verify(&resolved, Accept::File).map_err(failed)?;
    Ok(resolved)
}

/// Returns the path of a ledger that exists, as [`resolve`] does; `None` where there is none.
pub(super) fn resolve_existing(path: &Path) -> Result<Option<PathBuf>> {
    let resolved = match resolve(path) {
        Ok(resolved) => resolved,
        // Without the folder there cannot be a ledger.
        Err(LedgerError { problem: Problem::Unwritable(_), .. }) if does_not_exist(path) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    Ok((!is_absent(&resolved)?).then_some(resolved))
}

/// Whether there is neither a file nor a link of that name.
fn does_not_exist(path: &Path) -> bool {
    fs::symlink_metadata(path).is_err_and(|error| error.kind() == ErrorKind::NotFound)
}

/// Whether there is no ledger yet. An empty file is damaged, not new: ledgers are created under
/// another name and renamed.
pub(super) fn is_absent(path: &Path) -> Result<bool> {
    let problem = match fs::metadata(path) {
        Ok(found) if found.len() == 0 => Problem::refused("the file is empty"),
        Ok(_) => return Ok(false),
        // SQLite would apply a journal left by another file to the new one.
        Err(error) if error.kind() == ErrorKind::NotFound => {
            if !has_hot_journal(path) {
                return Ok(true);
            }
            Problem::refused(
                "the file is gone, but the journal of an unfinished change to it is still there",
            )
        }
        Err(error) => error.into(),
    };
    Err(problem.at(path))
}

/// Returns the path of the journal of the ledger at `path`.
pub(super) fn journal_path(path: &Path) -> PathBuf {
    with_suffix(path, "-journal")
}

/// Whether there is the journal of an unfinished change, which `SQLite` undoes when it opens the
/// file. The journal of a finished change begins with zeros. A journal that cannot be read counts
/// as unfinished.
fn has_hot_journal(path: &Path) -> bool {
    let mut first = [0];
    match File::open(journal_path(path)).and_then(|mut journal| journal.read(&mut first)) {
        Ok(length) => length > 0 && first != [0],
        Err(error) => error.kind() != ErrorKind::NotFound,
    }
}

/// Creates a ledger. It appears under its name only when it is complete and on disk. The caller
/// holds the lock.
pub(super) fn create(path: &Path) -> Result<()> {
    let temporary = with_suffix(path, ".tmp");
    let create = || -> Result<(), Problem> {
        create_temporary(&temporary)?;
        // Windows syncs only files that are open for writing.
        OpenOptions::new().write(true).open(&temporary)?.sync_all()?;
        fs::rename(&temporary, path)?;
        Ok(sync_folder(path)?)
    };
    create().map_err(|problem| {
        let _kept = fs::remove_file(&temporary);
        problem.at(path)
    })
}

fn create_temporary(temporary: &Path) -> Result<(), Problem> {
    // Left by a run that was killed at this point; nothing was stored in it yet.
    for leftover in [temporary.to_owned(), journal_path(temporary)] {
        match fs::remove_file(leftover) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    open_owner_only(temporary, OpenOptions::new().write(true).create_new(true))?;
    let db = Connection::open_with_flags(temporary, FLAGS)?;
    configure(&db)?;
    db.execute_batch("BEGIN")?;
    schema::create(&db)?;
    db.execute_batch("COMMIT")?;
    Ok(db.close().map_err(|(_, error)| error)?)
}

/// Makes a rename durable.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), sync)
}

/// Opens an empty private ledger, and returns it with the name to call it by in errors.
///
/// `SQLite` keeps it in memory and, beyond its page cache, in a file that is gone when the
/// connection closes. On Unix it has no name, and is in the first of `SQLITE_TMPDIR`, `TMPDIR`,
/// `/var/tmp`, `/usr/tmp`, `/tmp` and the working folder that can be written; on Windows it is in
/// the user's folder for temporary files (<https://sqlite.org/tempfiles.html>).
pub(super) fn temporary() -> Result<(Connection, PathBuf)> {
    let path = PathBuf::from("(temporary)");
    let open = || -> rusqlite::Result<Connection> {
        let flags = FLAGS | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_URI;
        let db = Connection::open_with_flags("", flags)?;
        configure(&db)?;
        schema::create(&db)?;
        Ok(db)
    };
    match open() {
        Ok(db) => Ok((db, path)),
        Err(error) => Err(Problem::from(error).at(&path)),
    }
}

/// The part of a ledger that is checked when it is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Check {
    /// All tables but `settled`, `sighting` and `left_out`, which would take a second: they are
    /// checked only in a small file.
    Quick,
    /// Everything.
    Full,
}

/// Connects to an existing file and verifies that it is a ledger, whole, and not newer than this
/// program. Returns its version. Writes nothing, except that it undoes the unfinished change of a
/// killed run.
pub(super) fn connect(
    path: &Path,
    check: Check,
    busy_retry: &BusyRetry,
) -> Result<(Connection, u32)> {
    let hot = has_hot_journal(path);
    connect_and_check(path, check, busy_retry).map_err(|problem| {
        let error = problem.at(path);
        if hot { error } else { error.unchanged() }
    })
}

fn connect_and_check(
    path: &Path,
    check: Check,
    busy_retry: &BusyRetry,
) -> Result<(Connection, u32), Problem> {
    if let Some((application, version)) = read_header(path) {
        check_header(application, version)?;
    }
    let open = || -> Result<(Connection, i32, i32), Problem> {
        // Not read-only even for a reader: a killed run may have left a journal, which is rolled
        // back.
        let db = Connection::open_with_flags(path, FLAGS)?;
        configure(&db)?;
        let application = db.pragma_query_value(None, "application_id", |row| row.get(0))?;
        let version = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
        Ok((db, application, version))
    };
    let (db, application, version) = busy_retry.retry(open)?;
    let version = check_header(application, version)?;
    busy_retry.retry(|| integrity_check(&db, path, check, version == schema::VERSION))?;
    Ok((db, version))
}

/// Verifies that the file has its full length, and that its tables are well formed and agree with
/// their indexes.
fn integrity_check(
    db: &Connection,
    path: &Path,
    check: Check,
    is_current: bool,
) -> Result<(), Problem> {
    let damaged = |detail: String| Err(Problem::refused(detail));
    // One transaction, so that the file cannot grow or shrink between the two readings of its
    // length.
    let transaction = db.unchecked_transaction()?;
    let pragma = |what| transaction.pragma_query_value(None, what, |row| row.get::<_, u32>(0));
    let pages = pragma("page_count")?;
    let size = pragma("page_size")?;
    let whole = u64::from(pages) * u64::from(size);
    let length = fs::metadata(path)?.len();
    // SQLite reads the missing end of a last page as zeros, which may well pass for content.
    if length < whole {
        return damaged(format!("{} of its {whole} bytes are missing", whole - length));
    }
    // What SQLite adds would be written over it.
    if length > whole {
        return damaged(format!("it has {length} bytes and not {whole}, as its header says"));
    }
    if is_current && let Some(name) = schema::find_difference(&transaction)? {
        return damaged(format!("{name} is missing or not as this program created it"));
    }
    let checks: &[&str] = match check {
        Check::Quick if length > SMALL => &[
            "integrity_check('tenant')",
            "integrity_check('run')",
            "integrity_check('batch')",
            "integrity_check('outbox')",
            "integrity_check('repeat')",
            "integrity_check('gap')",
            "integrity_check('exclusion_hit')",
            "integrity_check('sqlite_sequence')",
        ],
        Check::Quick | Check::Full => &["integrity_check"],
    };
    for name in checks {
        let health: String =
            transaction.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0))?;
        if health != "ok" {
            return damaged(health);
        }
    }
    Ok(())
}

/// Reads the header without a lock, a journal or any other trace, so that a foreign database stays
/// as it is. `None` when that fails: then the real opening finds out why.
fn read_header(path: &Path) -> Option<(i32, i32)> {
    let db = Connection::open_with_flags(
        uri(path, "immutable=1"),
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI,
    )
    .ok()?;
    let application = db.pragma_query_value(None, "application_id", |row| row.get(0)).ok()?;
    let version = db.pragma_query_value(None, "user_version", |row| row.get(0)).ok()?;
    Some((application, version))
}

fn check_header(application: i32, version: i32) -> Result<u32, Problem> {
    if application != schema::APPLICATION_ID {
        return Err(Problem::refused("it is the database of another program"));
    }
    match u32::try_from(version) {
        Ok(found) if found > schema::VERSION => {
            Err(Problem::Newer { found, known: schema::VERSION })
        }
        Ok(found) if found > 0 => Ok(found),
        _ => Err(Problem::refused(format!("no ledger has version {version}"))),
    }
}

/// Returns the path as a URI that `SQLite` reads, with a query.
pub(super) fn uri(path: &Path, query: &str) -> String {
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_encoded_bytes() {
        // Writing to a String cannot fail.
        let _ = write!(uri, "%{byte:02X}");
    }
    uri.push('?');
    uri.push_str(query);
    uri
}

/// Sets what every connection needs. Neither vendors' values nor a schema that somebody changed are
/// trusted.
fn configure(db: &Connection) -> rusqlite::Result<()> {
    db.busy_timeout(ATTEMPT)?;
    db.set_prepared_statement_cache_capacity(64);
    // Without it, SQLite prepares a statement again each time a value is bound to it.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    db.execute_batch(
        "PRAGMA synchronous = EXTRA;
         PRAGMA foreign_keys = ON;
         PRAGMA trusted_schema = OFF;
         PRAGMA cell_size_check = ON;
         PRAGMA cache_size = -2048;",
    )
}

/// Keeps the journal's space between transactions: recording the delivery of a batch needs no more
/// of it than writing the batch did, so it succeeds also when the disk is full by then.
pub(super) fn keep_journal(db: &Connection) -> rusqlite::Result<()> {
    db.pragma_update(None, "journal_mode", "PERSIST")?;
    db.pragma_update(None, "journal_size_limit", KEPT_JOURNAL)
}

/// Deletes the journal that [`keep_journal`] keeps.
pub(super) fn delete_journal(db: &Connection) -> rusqlite::Result<()> {
    db.pragma_update(None, "journal_mode", "DELETE")
}

/// Fails where the owner made the file read-only: root could still write it, and must not.
pub(super) fn must_be_writable(db: &Connection, path: &Path) -> Result<(), Problem> {
    if fs::metadata(path)?.permissions().readonly() || db.is_readonly("main")? {
        return Err(Problem::Denied("the file is read-only".to_owned()));
    }
    Ok(())
}
