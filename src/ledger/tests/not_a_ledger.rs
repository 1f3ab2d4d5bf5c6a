//! Files of other programs and versions, and paths that cannot be used: each has its error.

use std::fs;

use super::damaged::{assert_damaged, errors, healthy};
use super::*;

#[test]
fn a_text_file() {
    let folder = healthy();
    for text in ["x", "2026-03-01 all quiet\n", "SQLite format 3\0 and then prose"] {
        fs::write(folder.ledger(), text.repeat(if text.len() > 20 { 1 } else { 300 })).unwrap();
        assert_damaged(&folder, text);
    }
}

#[test]
fn a_database_of_another_program() {
    for journal in ["DELETE", "WAL"] {
        let folder = Folder::new();
        let db = Connection::open(folder.ledger()).unwrap();
        db.pragma_update(None, "journal_mode", journal).unwrap();
        db.execute_batch("CREATE TABLE bookmark (url TEXT); INSERT INTO bookmark VALUES ('x')")
            .unwrap();
        if journal == "DELETE" {
            drop(db);
            assert_damaged(&folder, journal);
        } else {
            // In use by its own program meanwhile.
            let names = folder.file_names();
            let path = folder.ledger();
            let before = folder.bytes();
            for opened in [
                Ledger::open(&path, at_minute(0)).map(|_| ()),
                Ledger::open_dry_run(&path, at_minute(0)).map(|_| ()),
                Ledger::check_integrity(&path, at_minute(0)),
                LedgerReader::open(&path).map(|_| ()),
            ] {
                assert!(
                    matches!(opened, Err(LedgerError { problem: Problem::Damaged { .. }, .. })),
                    "{opened:?}"
                );
            }
            assert!(folder.bytes() == before, "the file changed");
            let kept: Vec<_> =
                folder.file_names().into_iter().filter(|name| !name.ends_with("lock")).collect();
            assert_eq!(kept, names);
            assert_eq!(db.query_row("SELECT count(*) FROM bookmark", [], |row| row.get(0)), Ok(1));
        }
    }
}

#[test]
fn a_newer_version_and_impossible_ones() {
    let folder = healthy();
    let set = |version: i32| {
        let db = Connection::open(folder.ledger()).unwrap();
        db.pragma_update(None, "user_version", version).unwrap();
    };
    set(2);
    for error in errors(&folder) {
        assert!(matches!(error.problem, Problem::Newer { found: 2, known: 1 }), "{error}");
    }
    for impossible in [0, -1] {
        set(impossible);
        assert_damaged(&folder, &format!("version {impossible}"));
    }
}

#[test]
fn a_folder_a_missing_folder_and_a_path_without_a_name() {
    let folder = healthy();
    let parent = folder.0.path();
    let absent = parent.join("absent/ledger.db");
    for path in
        [parent.to_owned(), absent.clone(), folder.ledger().join("below-a-file"), PathBuf::new()]
    {
        let existing =
            Ledger::open_existing(&path, at_minute(0)).map(|found| assert!(found.is_none()));
        let is_none = path == absent || path == Path::new("");
        assert_eq!(existing.is_ok(), is_none, "{}: {existing:?}", path.display());
        for opened in [
            Ledger::open(&path, at_minute(0)).map(|_| ()),
            Ledger::open_dry_run(&path, at_minute(0)).map(|_| ()),
            Ledger::check_integrity(&path, at_minute(0)),
        ] {
            let refused =
                matches!(opened, Err(LedgerError { problem: Problem::Unwritable { .. }, .. }));
            assert!(refused, "{}: {opened:?}", path.display());
        }
    }
    assert!(LedgerReader::open(parent).is_err());
    assert!(LedgerReader::open(&absent).unwrap().is_none());
}

#[cfg(unix)]
mod on_unix {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_link_to_nowhere() {
        let folder = healthy();
        let link = folder.ledger().with_file_name("link.db");
        symlink("/nowhere/ledger.db", &link).unwrap();
        for opened in [Ledger::open(&link, at_minute(0)), Ledger::open_dry_run(&link, at_minute(0))]
        {
            assert!(
                matches!(opened, Err(LedgerError { problem: Problem::Unwritable { .. }, .. })),
                "{opened:?}"
            );
        }
        assert!(LedgerReader::open(&link).is_err());
    }

    #[test]
    fn a_read_only_file() {
        let folder = healthy();
        set_mode(&folder.ledger(), 0o400);
        let bytes = folder.bytes();
        let path = folder.ledger();
        for opened in [Ledger::open(&path, at_minute(0)), Ledger::open_dry_run(&path, at_minute(0))]
        {
            assert!(
                matches!(opened, Err(LedgerError { problem: Problem::Unwritable { .. }, .. })),
                "{opened:?}"
            );
        }
        // It can still be read.
        assert_eq!(folder.reader().list(&EntryFilter::default()).unwrap().len(), 60);
        assert!(folder.bytes() == bytes);
    }

    #[test]
    fn a_read_only_folder() {
        let folder = healthy();
        let (path, parent) = (folder.ledger(), folder.0.path());
        let bytes = folder.bytes();
        set_mode(parent, 0o500);
        if fs::write(parent.join("probe"), "").is_ok() {
            eprintln!("skipped: this user writes to read-only folders");
            return;
        }
        let absent = parent.join("new.db");
        let mut opened =
            vec![Ledger::open(&path, at_minute(0)), Ledger::open(&absent, at_minute(0))];
        set_mode(parent, 0o700);
        fs::remove_file(parent.join("ledger.db.lock")).unwrap();
        set_mode(parent, 0o500);
        opened.push(Ledger::open(&path, at_minute(0)));
        opened.push(Ledger::open_dry_run(&path, at_minute(0)));
        let listed = folder.reader().list(&EntryFilter::default()).map(|entries| entries.len());
        set_mode(parent, 0o700);
        for opened in opened {
            assert!(
                matches!(opened, Err(LedgerError { problem: Problem::Unwritable { .. }, .. })),
                "{opened:?}"
            );
        }
        assert_eq!(listed.unwrap(), 60);
        assert!(folder.bytes() == bytes);
    }
}
