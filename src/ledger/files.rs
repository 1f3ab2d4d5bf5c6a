//! The ledger as a file: where it is, how it is made, and whether it is one.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::error::{Fault, LedgerError, Result, explain, explain_io};
use super::schema;

/// No lock within the process: a connection never leaves its thread.
const FLAGS: OpenFlags = OpenFlags::SQLITE_OPEN_READ_WRITE.union(OpenFlags::SQLITE_OPEN_NO_MUTEX);

/// How long to wait for a person's `sqlite3` to let go.
const BUSY: Duration = Duration::from_secs(5);

/// Options that create a file for its owner alone.
pub(super) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// The path with `ending` added to its name.
pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}

/// The one true path of the ledger: two names of one file must lead to one lock.
pub(super) fn locate(path: &Path) -> Result<PathBuf> {
    let unwritable =
        |reason: &str| LedgerError::Unwritable { path: path.to_owned(), reason: reason.to_owned() };
    match fs::canonicalize(path) {
        Ok(found) if found.is_file() => return Ok(found),
        Ok(found) if found.is_dir() => return Err(unwritable("it is a folder")),
        Ok(_) => return Err(unwritable("it is not an ordinary file")),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(explain_io(&error, path)),
    }
    // A link to nowhere is a disk that is not mounted rather than a wish for a new ledger.
    if fs::symlink_metadata(path).is_ok() {
        return Err(unwritable("it is a link to a file that does not exist"));
    }
    let name = path.file_name().ok_or_else(|| unwritable("the path names no file"))?;
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    match fs::canonicalize(folder) {
        Ok(folder) => Ok(folder.join(name)),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Err(unwritable("its folder does not exist"))
        }
        Err(error) => Err(explain_io(&error, path)),
    }
}

/// Whether there is no ledger yet. An empty file is not that: a ledger is never made empty, so it lost its content.
pub(super) fn is_absent(path: &Path) -> Result<bool> {
    let damaged =
        |detail: &str| LedgerError::Damaged { path: path.to_owned(), detail: detail.to_owned() };
    match fs::metadata(path) {
        Ok(found) if found.len() == 0 => Err(damaged("the file is empty")),
        Ok(_) => Ok(false),
        // SQLite would play a journal left by another file into the new one.
        Err(error) if error.kind() == ErrorKind::NotFound => {
            match fs::symlink_metadata(beside(path, "-journal")) {
                Ok(_) => Err(damaged(
                    "the file is gone, but the journal of an unfinished change to it is still there",
                )),
                Err(_) => Ok(true),
            }
        }
        Err(error) => Err(explain_io(&error, path)),
    }
}

/// Makes a new ledger, which is under its name only when it is complete and on disk. The caller holds the lock.
pub(super) fn create(path: &Path) -> Result<()> {
    let draft = beside(path, ".half-made");
    let made = draw_up(&draft).and_then(|()| {
        let failed = |error: io::Error| explain_io(&error, path);
        File::open(&draft).and_then(|file| file.sync_all()).map_err(failed)?;
        fs::rename(&draft, path).map_err(failed)?;
        sync_folder(path).map_err(failed)
    });
    made.map_err(|error| {
        let _kept = fs::remove_file(&draft);
        match error {
            // Nobody has heard of the draft.
            LedgerError::Full { .. } => LedgerError::Full { path: path.to_owned() },
            LedgerError::Unwritable { reason, .. } => {
                LedgerError::Unwritable { path: path.to_owned(), reason }
            }
            other => other,
        }
    })
}

fn draw_up(draft: &Path) -> Result<()> {
    // Left by a run that was killed right here. It never held anything.
    for leftover in [draft.to_owned(), beside(draft, "-journal")] {
        match fs::remove_file(leftover) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(explain_io(&error, draft));
            }
            _ => {}
        }
    }
    private()
        .write(true)
        .create_new(true)
        .open(draft)
        .map_err(|error| explain_io(&error, draft))?;
    let make = || -> rusqlite::Result<()> {
        let db = Connection::open_with_flags(draft, FLAGS)?;
        settle_in(&db)?;
        db.execute_batch("BEGIN")?;
        schema::migrate(&db, 0)?;
        db.execute_batch("COMMIT")?;
        db.close().map_err(|(_, error)| error)
    };
    make().map_err(|error| explain(error.into(), draft))
}

/// Makes a rename durable.
fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if cfg!(unix) => File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}

/// A database that is deleted when it is closed, and the name to call it by in errors. It may grow beyond memory.
pub(super) fn temporary() -> Result<(Connection, PathBuf)> {
    let path = PathBuf::from("(temporary)");
    let open = || -> rusqlite::Result<Connection> {
        let db = Connection::open_with_flags("", FLAGS | OpenFlags::SQLITE_OPEN_CREATE)?;
        settle_in(&db)?;
        Ok(db)
    };
    match open() {
        Ok(db) => Ok((db, path)),
        Err(error) => Err(explain(error.into(), &path)),
    }
}

/// Connects to an existing ledger and makes sure that it is one, whole, and not newer than this program.
/// Returns its version.
pub(super) fn connect(path: &Path) -> Result<(Connection, u32)> {
    if let Some((application, version)) = peek(path) {
        identify(application, version, path)?;
    }
    let open = || -> rusqlite::Result<(Connection, i32, i32)> {
        // Not read-only even for a view: a run that was killed may have left a journal to be played back first.
        let db = Connection::open_with_flags(path, FLAGS)?;
        settle_in(&db)?;
        let application = db.pragma_query_value(None, "application_id", |row| row.get(0))?;
        let version = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
        Ok((db, application, version))
    };
    let (db, application, version) = open().map_err(|error| explain(error.into(), path))?;
    let version = identify(application, version, path)?;
    examine(&db, path)?;
    Ok((db, version))
}

/// Makes sure that the file is whole. Some 30 ms for 100,000 sightings: cheap enough to do it always.
fn examine(db: &Connection, path: &Path) -> Result<()> {
    let failed = |error: rusqlite::Error| explain(error.into(), path);
    let damaged = |detail| Err(LedgerError::Damaged { path: path.to_owned(), detail });
    // In one transaction, so that no run makes the file grow or shrink between its header and its length.
    let transaction = db.unchecked_transaction().map_err(failed)?;
    let ask = |what| transaction.pragma_query_value(None, what, |row| row.get::<_, u32>(0));
    let pages = ask("page_count").map_err(failed)?;
    let size = ask("page_size").map_err(failed)?;
    let whole = u64::from(pages) * u64::from(size);
    let length = fs::metadata(path).map_err(|error| explain_io(&error, path))?.len();
    // SQLite reads the missing end of a last page as zeros, which may well pass for content.
    if length < whole {
        return damaged(format!("{} of its {whole} bytes are missing", whole - length));
    }
    let health: String =
        transaction.pragma_query_value(None, "quick_check", |row| row.get(0)).map_err(failed)?;
    if health == "ok" { Ok(()) } else { damaged(health) }
}

/// Reads whose file it is without a lock, a journal or any other trace, so that a foreign database stays as it is.
/// None when that fails: then the real opening finds out why.
fn peek(path: &Path) -> Option<(i32, i32)> {
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_encoded_bytes() {
        write!(uri, "%{byte:02X}").ok()?;
    }
    uri.push_str("?immutable=1");
    let db = Connection::open_with_flags(
        uri,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI,
    )
    .ok()?;
    let application = db.pragma_query_value(None, "application_id", |row| row.get(0)).ok()?;
    let version = db.pragma_query_value(None, "user_version", |row| row.get(0)).ok()?;
    Some((application, version))
}

fn identify(application: i32, version: i32, path: &Path) -> Result<u32> {
    let path = path.to_owned();
    if application != schema::APPLICATION {
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

/// What every connection needs. Values that come from vendors are never trusted, nor is a schema that was tampered with.
fn settle_in(db: &Connection) -> rusqlite::Result<()> {
    db.busy_timeout(BUSY)?;
    db.set_prepared_statement_cache_capacity(64);
    db.execute_batch(
        "PRAGMA journal_mode = DELETE;
         PRAGMA synchronous = EXTRA;
         PRAGMA foreign_keys = ON;
         PRAGMA trusted_schema = OFF;
         PRAGMA cell_size_check = ON;
         PRAGMA cache_size = -4096;",
    )
}

/// Why the file cannot be written to, for one that its owner protected: root could, and must not either.
pub(super) fn must_be_writable(db: &Connection, path: &Path) -> Result<()> {
    let protected =
        fs::metadata(path).map_err(|error| explain_io(&error, path))?.permissions().readonly();
    let read_only = db.is_readonly("main").map_err(|error| explain(Fault::from(error), path))?;
    if protected || read_only {
        return Err(LedgerError::Unwritable {
            path: path.to_owned(),
            reason: "the file is read-only".to_owned(),
        });
    }
    Ok(())
}
