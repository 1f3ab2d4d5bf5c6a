//! The ledger as a file: where it is, how it is created, and whether it is a ledger at all.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::error::{LedgerError, Result, from_io, with_path};
use super::schema;
use crate::local_file::{self, Accept};

/// No mutex within the process: a connection may change its thread, but two never share it.
const FLAGS: OpenFlags = OpenFlags::SQLITE_OPEN_READ_WRITE.union(OpenFlags::SQLITE_OPEN_NO_MUTEX);

/// How long to wait while another program, such as `sqlite3`, has the file locked. A batch that was
/// accepted and cannot be recorded is sent again, so this is longer than any query takes.
const BUSY: Duration = Duration::from_mins(1);

/// Options that create a file which only its owner can read and write.
pub(super) fn owner_only() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Returns the path with `suffix` added to its name.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// Returns the path of the ledger in its resolved folder: two names of one file must lead to one
/// lock. A ledger that exists is a regular file and not a link.
pub(super) fn resolve(path: &Path) -> Result<PathBuf> {
    let unwritable = |reason: String| LedgerError::Unwritable { path: path.to_owned(), reason };
    let resolved = local_file::resolve(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => unwritable("its folder does not exist".to_owned()),
        ErrorKind::Other => unwritable(error.to_string()),
        _ => from_io(&error, path),
    })?;
    local_file::verify(&resolved, Accept::File).map_err(|error| match error.kind() {
        ErrorKind::Other => unwritable(error.to_string()),
        _ => from_io(&error, path),
    })?;
    Ok(resolved)
}

/// Whether there is no ledger yet. An empty file is damaged, not new: ledgers are created under
/// another name and renamed.
pub(super) fn is_absent(path: &Path) -> Result<bool> {
    let damaged =
        |detail: &str| LedgerError::Damaged { path: path.to_owned(), detail: detail.to_owned() };
    match fs::metadata(path) {
        Ok(found) if found.len() == 0 => Err(damaged("the file is empty")),
        Ok(_) => Ok(false),
        // SQLite would apply a journal left by another file to the new one.
        Err(error) if error.kind() == ErrorKind::NotFound => {
            match fs::symlink_metadata(with_suffix(path, "-journal")) {
                Ok(_) => Err(damaged(
                    "the file is gone, but the journal of an unfinished change to it is still there",
                )),
                Err(_) => Ok(true),
            }
        }
        Err(error) => Err(from_io(&error, path)),
    }
}

/// Creates a ledger. It appears under its name only when it is complete and on disk. The caller
/// holds the lock.
pub(super) fn create(path: &Path) -> Result<()> {
    let temporary = with_suffix(path, ".tmp");
    let created = create_temporary(&temporary).and_then(|()| {
        let failed = |error: io::Error| from_io(&error, path);
        File::open(&temporary).and_then(|file| file.sync_all()).map_err(failed)?;
        fs::rename(&temporary, path).map_err(failed)?;
        sync_folder(path).map_err(failed)
    });
    created.map_err(|error| {
        let _kept = fs::remove_file(&temporary);
        // Report the caller's path, not the temporary file's.
        match error {
            LedgerError::Full { .. } => LedgerError::Full { path: path.to_owned() },
            LedgerError::Unwritable { reason, .. } => {
                LedgerError::Unwritable { path: path.to_owned(), reason }
            }
            other => other,
        }
    })
}

fn create_temporary(temporary: &Path) -> Result<()> {
    // Left by a run that was killed at this point; nothing was stored in it yet.
    for leftover in [temporary.to_owned(), with_suffix(temporary, "-journal")] {
        match fs::remove_file(leftover) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(from_io(&error, temporary));
            }
            _ => {}
        }
    }
    owner_only()
        .write(true)
        .create_new(true)
        .open(temporary)
        .map_err(|error| from_io(&error, temporary))?;
    let fill = || -> rusqlite::Result<()> {
        let db = Connection::open_with_flags(temporary, FLAGS)?;
        configure(&db)?;
        db.execute_batch("BEGIN")?;
        schema::create(&db)?;
        db.execute_batch("COMMIT")?;
        db.close().map_err(|(_, error)| error)
    };
    fill().map_err(|error| with_path(error.into(), temporary))
}

/// Makes a rename durable.
fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if cfg!(unix) => File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}

/// Opens an empty private ledger, and returns it with the name to call it by in errors.
///
/// `SQLite` keeps it in memory and, beyond its page cache, in an unnamed file that is gone when the
/// connection closes: in the first of `SQLITE_TMPDIR`, `TMPDIR`, `/var/tmp`, `/usr/tmp`, `/tmp` and
/// the working folder that can be written (<https://sqlite.org/tempfiles.html>).
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
        Err(error) => Err(with_path(error.into(), &path)),
    }
}

/// What is examined when a ledger is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Examine {
    /// Every table but the long history of sightings, which would take seconds.
    Short,
    /// Everything.
    All,
}

/// Connects to an existing file and verifies that it is a ledger, whole, and not newer than this
/// program. Returns its version.
pub(super) fn connect(path: &Path, examine: Examine) -> Result<(Connection, u32)> {
    if let Some((application, version)) = read_header(path) {
        check_header(application, version, path)?;
    }
    let open = || -> rusqlite::Result<(Connection, i32, i32)> {
        // Not read-only even for a reader: a killed run may have left a journal, which is rolled
        // back.
        let db = Connection::open_with_flags(path, FLAGS)?;
        configure(&db)?;
        let application = db.pragma_query_value(None, "application_id", |row| row.get(0))?;
        let version = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
        Ok((db, application, version))
    };
    let (db, application, version) = open().map_err(|error| with_path(error.into(), path))?;
    let version = check_header(application, version, path)?;
    integrity_check(&db, path, examine)?;
    Ok((db, version))
}

/// Verifies that the file has its full length and that its tables are well formed.
fn integrity_check(db: &Connection, path: &Path, examine: Examine) -> Result<()> {
    let failed = |error: rusqlite::Error| with_path(error.into(), path);
    let damaged = |detail| Err(LedgerError::Damaged { path: path.to_owned(), detail });
    // One transaction, so that the file cannot grow or shrink between the two readings of its
    // length.
    let transaction = db.unchecked_transaction().map_err(failed)?;
    let pragma = |what| transaction.pragma_query_value(None, what, |row| row.get::<_, u32>(0));
    let pages = pragma("page_count").map_err(failed)?;
    let size = pragma("page_size").map_err(failed)?;
    let whole = u64::from(pages) * u64::from(size);
    let length = fs::metadata(path).map_err(|error| from_io(&error, path))?.len();
    // SQLite reads the missing end of a last page as zeros, which may well pass for content.
    if length < whole {
        return damaged(format!("{} of its {whole} bytes are missing", whole - length));
    }
    let check = |table: Option<&str>| -> rusqlite::Result<String> {
        match table {
            Some(table) => {
                transaction
                    .query_row(&format!("PRAGMA quick_check('{table}')"), [], |row| row.get(0))
            }
            None => transaction.pragma_query_value(None, "quick_check", |row| row.get(0)),
        }
    };
    let tables: &[Option<&str>] = match examine {
        Examine::Short => {
            &[Some("tenant"), Some("run"), Some("batch"), Some("outbox"), Some("repeat")]
        }
        Examine::All => &[None],
    };
    for table in tables {
        let health = check(*table).map_err(failed)?;
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

fn check_header(application: i32, version: i32, path: &Path) -> Result<u32> {
    let path = path.to_owned();
    if application != schema::APPLICATION_ID {
        return Err(LedgerError::Damaged {
            path,
            detail: "it is the database of another program".to_owned(),
        });
    }
    match u32::try_from(version) {
        Ok(found) if found > schema::VERSION => {
            Err(LedgerError::Newer { path, found, known: schema::VERSION })
        }
        Ok(found) if found > 0 => Ok(found),
        _ => Err(LedgerError::Damaged { path, detail: format!("no ledger has version {version}") }),
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
    db.busy_timeout(BUSY)?;
    db.set_prepared_statement_cache_capacity(64);
    // Without it, SQLite prepares a statement again each time a value is bound to it.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    db.execute_batch(
        "PRAGMA journal_mode = DELETE;
         PRAGMA synchronous = EXTRA;
         PRAGMA foreign_keys = ON;
         PRAGMA trusted_schema = OFF;
         PRAGMA cell_size_check = ON;
         PRAGMA cache_size = -2048;",
    )
}

/// Fails where the owner made the file read-only: root could still write it, and must not.
pub(super) fn must_be_writable(db: &Connection, path: &Path) -> Result<()> {
    let protected =
        fs::metadata(path).map_err(|error| from_io(&error, path))?.permissions().readonly();
    let read_only = db.is_readonly("main").map_err(|error| with_path(error.into(), path))?;
    if protected || read_only {
        return Err(LedgerError::Unwritable {
            path: path.to_owned(),
            reason: "the file is read-only".to_owned(),
        });
    }
    Ok(())
}
