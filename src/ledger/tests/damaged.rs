//! Files that are not a ledger, or no longer one: each has its answer, and each stays as it is.

use std::fs;
use std::path::PathBuf;

use rusqlite::Connection;
use tempfile::TempDir;

use super::super::*;
use super::*;

struct Case {
    _folder: TempDir,
    path: PathBuf,
}

/// A ledger in which every table has rows, written over several pages.
fn case() -> Case {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("ledger.db");
    let ledger = open(&path);
    let tenant = tenant(&ledger);
    let entries: Vec<_> = (0..60).map(|n| entry(&format!("n{n}"), None, &["d1", "d2"])).collect();
    ledger.store(tenant, "run", &entries, false, at(0)).unwrap();
    ledger.begin_run(tenant, "run", "scheduled", None, at(0)).unwrap();
    let delivered = Entry {
        item: r#"{"mitre_codes":["T1059"]}"#.to_owned(),
        ..entry("delivered", Some(100), &["d1"])
    };
    ledger.store(tenant, "run", &[delivered], false, at(0)).unwrap();
    let id = first(&ledger, tenant);
    ledger.settle_delivered(tenant, TOKEN, &[id], at(0)).unwrap();
    Case { _folder: folder, path }
}

/// The errors of the three ways to open the file, having made sure that they left it and its folder alone.
fn errors(case: &Case) -> [LedgerError; 3] {
    let bytes = fs::read(&case.path).unwrap();
    let errors = [
        Ledger::open(&case.path, at(0)).map(|_| ()).unwrap_err(),
        Ledger::rehearse(&case.path, at(0)).map(|_| ()).unwrap_err(),
        View::open(&case.path).map(|_| ()).unwrap_err(),
    ];
    assert!(fs::read(&case.path).unwrap() == bytes, "the file changed");
    errors
}

fn is_damaged(case: &Case, what: &str) {
    for error in errors(case) {
        assert!(matches!(error, LedgerError::Damaged { .. }), "{what}: {error}");
    }
}

#[test]
fn an_empty_file() {
    let case = case();
    fs::write(&case.path, "").unwrap();
    for error in errors(&case) {
        let LedgerError::Damaged { detail, .. } = error else { panic!("{error}") };
        assert_eq!(detail, "the file is empty");
    }
}

#[test]
fn a_zeroed_file() {
    let case = case();
    for length in [1, 512, 4096, 40_960] {
        fs::write(&case.path, vec![0; length]).unwrap();
        is_damaged(&case, &format!("{length} zeros"));
    }
}

#[test]
fn a_file_cut_short() {
    let case = case();
    let whole = fs::read(&case.path).unwrap();
    let last = whole.len();
    let cuts = [1, 15, 16, 17, 50, 99, 100, 101, 511, 512, 1000, 4095, 4096, 4097, 8192];
    for cut in cuts.into_iter().chain([last / 2, last - 4096, last - 100, last - 1]) {
        fs::write(&case.path, &whole[..cut]).unwrap();
        is_damaged(&case, &format!("cut after {cut} bytes of {last}"));
    }
    // The last cut took one byte, which SQLite alone might read as a zero and pass over.
    for error in errors(&case) {
        assert!(error.to_string().ends_with("bytes are missing"), "{error}");
    }
    fs::write(&case.path, &whole).unwrap();
    open(&case.path);
}

#[test]
fn a_file_cut_short_in_a_text() {
    let folder = TempDir::new().unwrap();
    let case = Case { path: folder.path().join("ledger.db"), _folder: folder };
    let ledger = open(&case.path);
    let tenant = tenant(&ledger);
    ledger.store(tenant, "run", &[entry("a", None, &["d"])], false, at(0)).unwrap();
    let id = first(&ledger, tenant);
    let words = "y".repeat(20_000);
    ledger.quarantine(tenant, id, 400, &words, at(0)).unwrap();
    drop(ledger);
    // The last page holds nothing but the end of those words: cut, it would read as zeros, and no check of the tables
    // would object.
    let whole = fs::read(&case.path).unwrap();
    assert_eq!(whole[whole.len() - 4092], b'y');
    fs::write(&case.path, &whole[..whole.len() - 4092]).unwrap();
    is_damaged(&case, "cut");
}

#[test]
fn a_page_of_zeros_or_noise() {
    let case = case();
    let whole = fs::read(&case.path).unwrap();
    for page in 0..whole.len() / 4096 {
        for byte in [0, 0x5A] {
            let mut broken = whole.clone();
            broken[page * 4096..(page + 1) * 4096].fill(byte);
            fs::write(&case.path, &broken).unwrap();
            is_damaged(&case, &format!("page {page} filled with {byte}"));
        }
    }
}

#[test]
fn a_text_file() {
    let case = case();
    for text in ["x", "2026-03-01 all quiet\n", "SQLite format 3\0 and then prose"] {
        fs::write(&case.path, text.repeat(if text.len() > 20 { 1 } else { 300 })).unwrap();
        is_damaged(&case, text);
    }
}

#[test]
fn a_database_of_another_program() {
    for journal in ["DELETE", "WAL"] {
        let case = case();
        fs::remove_file(&case.path).unwrap();
        let db = Connection::open(&case.path).unwrap();
        db.pragma_update(None, "journal_mode", journal).unwrap();
        db.execute_batch("CREATE TABLE bookmark (url TEXT); INSERT INTO bookmark VALUES ('x')")
            .unwrap();
        if journal == "DELETE" {
            drop(db);
            is_damaged(&case, journal);
        } else {
            // In use by its own program while we look.
            is_damaged(&case, journal);
            assert_eq!(db.query_row("SELECT count(*) FROM bookmark", [], |row| row.get(0)), Ok(1));
        }
    }
}

#[test]
fn a_newer_version_and_impossible_ones() {
    let case = case();
    let set = |version: i32| {
        Connection::open(&case.path).unwrap().pragma_update(None, "user_version", version).unwrap();
    };
    set(4);
    for error in errors(&case) {
        assert!(matches!(error, LedgerError::Newer { found: 4, known: 3, .. }), "{error}");
    }
    for impossible in [0, -1] {
        set(impossible);
        is_damaged(&case, &format!("version {impossible}"));
    }
}

#[test]
fn a_value_that_we_never_wrote() {
    let case = case();
    let db = Connection::open(&case.path).unwrap();
    db.execute_batch("UPDATE outbox SET kind = 'rumour', stored_at = 'yesterday'; UPDATE tenant SET read_until = 'soon'").unwrap();
    drop(db);
    let ledger = open(&case.path);
    let tenant = tenant(&ledger);
    assert!(matches!(ledger.batch(tenant, 1, None), Err(LedgerError::Damaged { .. })));
    assert!(matches!(ledger.checkpoint(tenant), Err(LedgerError::Damaged { .. })));
    assert!(matches!(ledger.view().list(&Filter::default()), Err(LedgerError::Damaged { .. })));
    assert!(matches!(ledger.view().status(at(0).date_naive()), Err(LedgerError::Damaged { .. })));
}

#[test]
fn a_lost_count_of_the_outbox() {
    let case = case();
    let ledger = open(&case.path);
    let tenant = tenant(&ledger);
    let ids = || -> Vec<_> {
        let waiting = ledger.batch(tenant, 99, None).unwrap();
        waiting.iter().map(|pending| pending.id).collect()
    };
    let settle = |ids: &[EntryId]| ledger.settle_delivered(tenant, TOKEN, ids, at(1));
    settle(&ids()).unwrap();
    let db = Connection::open(&case.path).unwrap();
    // What was settled has the highest numbers, then what waits.
    for (name, number) in [("late", 62), ("later", 63)] {
        db.execute_batch("DELETE FROM sqlite_sequence").unwrap();
        let late = [entry(name, None, &["d1"])];
        ledger.store(tenant, "run", &late, false, at(2)).unwrap();
        assert_eq!(ids().last(), Some(&EntryId(number)));
    }
    // Nothing but sightings knows of them any more.
    db.execute_batch("DELETE FROM sqlite_sequence; DELETE FROM outbox; DELETE FROM settled")
        .unwrap();
    let late = [entry("last", None, &["d1"])];
    ledger.store(tenant, "run", &late, false, at(2)).unwrap();
    assert_eq!(ids(), [EntryId(64)]);
    settle(&ids()).unwrap();
}

#[test]
fn a_sighting_whose_entry_is_nowhere() {
    let case = case();
    let db = Connection::open(&case.path).unwrap();
    db.execute_batch("DELETE FROM outbox WHERE id = 1").unwrap();
    drop(db);
    let ledger = open(&case.path);
    let tenant = tenant(&ledger);
    let known = |name: &str| ledger.known(tenant, "d1", &domain(name));
    assert!(matches!(known("n0"), Err(LedgerError::Damaged { .. })));
    assert_eq!(known("n1").unwrap(), Known::Waiting);
}

#[test]
fn a_folder_a_missing_folder_and_no_name() {
    let case = case();
    let folder = case.path.parent().unwrap();
    for path in [
        folder.to_owned(),
        folder.join("absent/ledger.db"),
        case.path.join("below-a-file"),
        PathBuf::new(),
    ] {
        for opened in [Ledger::open(&path, at(0)), Ledger::rehearse(&path, at(0))] {
            assert!(
                matches!(opened, Err(LedgerError::Unwritable { .. })),
                "{}: {opened:?}",
                path.display()
            );
        }
    }
    assert!(View::open(folder).is_err());
    assert!(View::open(&folder.join("absent/ledger.db")).unwrap().is_none());
}

#[cfg(unix)]
mod on_unix {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_link_to_nowhere() {
        let case = case();
        let link = case.path.with_file_name("link.db");
        symlink("/nowhere/ledger.db", &link).unwrap();
        for opened in [Ledger::open(&link, at(0)), Ledger::rehearse(&link, at(0))] {
            assert!(matches!(opened, Err(LedgerError::Unwritable { .. })), "{opened:?}");
        }
        assert!(View::open(&link).is_err());
    }

    #[test]
    fn a_read_only_file() {
        let case = case();
        fs::set_permissions(&case.path, fs::Permissions::from_mode(0o400)).unwrap();
        let bytes = fs::read(&case.path).unwrap();
        for opened in [Ledger::open(&case.path, at(0)), Ledger::rehearse(&case.path, at(0))] {
            assert!(matches!(opened, Err(LedgerError::Unwritable { .. })), "{opened:?}");
        }
        let view = View::open(&case.path).unwrap().expect("it can still be read");
        assert_eq!(view.list(&Filter::default()).unwrap().len(), 60);
        assert!(fs::read(&case.path).unwrap() == bytes);
    }

    #[test]
    fn a_read_only_folder() {
        let case = case();
        let folder = case.path.parent().unwrap();
        let bytes = fs::read(&case.path).unwrap();
        fs::set_permissions(folder, fs::Permissions::from_mode(0o500)).unwrap();
        if fs::write(folder.join("probe"), "").is_ok() {
            eprintln!("skipped: this user writes to read-only folders");
            return;
        }
        let absent = folder.join("new.db");
        let mut opened = vec![Ledger::open(&case.path, at(0)), Ledger::open(&absent, at(0))];
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).unwrap();
        fs::remove_file(folder.join("ledger.db.lock")).unwrap();
        fs::set_permissions(folder, fs::Permissions::from_mode(0o500)).unwrap();
        opened.push(Ledger::open(&case.path, at(0)));
        opened.push(Ledger::rehearse(&case.path, at(0)));
        let view = View::open(&case.path)
            .unwrap()
            .map(|view| view.list(&Filter::default()).unwrap().len());
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).unwrap();
        for opened in opened {
            assert!(matches!(opened, Err(LedgerError::Unwritable { .. })), "{opened:?}");
        }
        assert_eq!(view, Some(60));
        assert!(fs::read(&case.path).unwrap() == bytes);
    }
}
