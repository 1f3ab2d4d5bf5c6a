//! The file: how it is created, who can read it, and what happens when the disk is full.

use super::*;

#[test]
fn a_ledger_keeps_what_was_stored_and_only_its_owner_can_read_it() {
    let folder = Folder::new();
    assert!(LedgerReader::open(&folder.ledger()).unwrap().is_none());
    assert!(Ledger::open_existing(&folder.ledger(), at_minute(0)).unwrap().is_none());
    Ledger::check_integrity(&folder.ledger(), at_minute(0)).unwrap();
    assert_eq!(folder.file_names().len(), 0, "nothing is created by looking");
    let ledger = folder.open();
    store(&ledger, "a", &["d"]);
    assert_eq!(folder.reader().list(&EntryFilter::default()).unwrap().len(), 1);
    drop(ledger);
    assert_eq!(state(&folder.open_as("crowdstrike", "next"), "d", "a"), "waiting");
    let names = folder.file_names();
    assert_eq!(names, ["ledger.db", "ledger.db.lock"]);
    #[cfg(unix)]
    for name in names {
        use std::os::unix::fs::PermissionsExt;
        let path = folder.ledger().with_file_name(&name);
        let mode = std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn a_reader_cannot_write() {
    let folder = Folder::new();
    drop(folder.open());
    let reader = folder.reader();
    assert!(reader.db().execute("DELETE FROM tenant", []).is_err());
}

#[test]
fn a_transaction_that_is_left_open_fails_what_comes_next() {
    let folder = Folder::new();
    for dry_run in [false, true] {
        drop(folder.open());
        let ledger =
            if dry_run { folder.open_dry_run() } else { folder.open_as("crowdstrike", "next") };
        let before = folder.bytes();
        ledger.ledger().reader().db().execute_batch("BEGIN").unwrap();
        let refused = ledger.begin_run("live", window());
        assert!(
            matches!(refused, Err(LedgerError { problem: Problem::Other { .. }, .. })),
            "{refused:?}"
        );
        let refused = ledger.store(|store| store.add(&alert("d"), &domain("a"), "field"));
        assert!(
            matches!(refused, Err(LedgerError { problem: Problem::Other { .. }, .. })),
            "{refused:?}"
        );
        drop(ledger);
        assert!(folder.bytes() == before, "the file changed");
    }
    assert!(
        folder.reader().runs(DateTime::UNIX_EPOCH, &TenantFilter::default()).unwrap().is_empty()
    );
}

#[test]
fn a_full_disk_undoes_only_the_operation_that_fails() {
    let store_many = |ledger: &TenantLedger| {
        ledger.store(|store| {
            for number in 0..2000 {
                store.add(&alert("d2"), &domain(&format!("n{number}")), "field")?;
            }
            Ok(())
        })
    };
    for dry_run in [false, true] {
        let folder = Folder::new();
        drop(folder.open());
        let ledger =
            if dry_run { folder.open_dry_run() } else { folder.open_as("crowdstrike", "next") };
        store(&ledger, "a", &["d"]);
        let limit = |pages: i64| {
            ledger.ledger().reader().db().pragma_update(None, "max_page_count", pages).unwrap();
        };
        let pages =
            ledger.ledger().reader().db().pragma_query_value(None, "page_count", |row| row.get(0));
        limit(pages.unwrap_or(0) + 5);
        let full = store_many(&ledger);
        assert!(matches!(full, Err(LedgerError { problem: Problem::Full, .. })), "{full:?}");
        assert_eq!(ledger.queued().unwrap(), 1);
        assert_eq!(state(&ledger, "d2", "n0"), "new");
        deliver_all(&ledger);
        assert_eq!(state(&ledger, "d", "a"), "delivered");
        limit(1_000_000);
        store_many(&ledger).unwrap();
        assert_eq!(ledger.queued().unwrap(), 2000);
        drop(ledger);
        let entries = folder.reader().list(&EntryFilter::default()).unwrap();
        assert_eq!(entries.len(), if dry_run { 0 } else { 2000 });
    }
}

#[test]
fn a_journal_without_its_ledger_is_never_applied_to_a_new_one() {
    let folder = Folder::new();
    let path = folder.ledger();
    std::fs::write(path.with_file_name("ledger.db-journal"), "left behind").unwrap();
    assert!(matches!(
        Ledger::open(&path, at_minute(0)),
        Err(LedgerError { problem: Problem::Damaged { .. }, .. })
    ));
    assert!(matches!(
        Ledger::open_dry_run(&path, at_minute(0)),
        Err(LedgerError { problem: Problem::Damaged { .. }, .. })
    ));
    assert!(matches!(
        LedgerReader::open(&path),
        Err(LedgerError { problem: Problem::Damaged { .. }, .. })
    ));
    assert!(!path.exists());
}

#[test]
fn what_a_killed_creation_left_is_not_a_ledger_and_is_replaced() {
    let folder = Folder::new();
    let path = folder.ledger();
    for name in ["ledger.db.tmp", "ledger.db.tmp-journal"] {
        std::fs::write(path.with_file_name(name), "left behind").unwrap();
    }
    assert!(LedgerReader::open(&path).unwrap().is_none());
    drop(folder.open());
    assert_eq!(folder.file_names(), ["ledger.db", "ledger.db.lock"]);
}

#[test]
fn a_new_ledger_has_its_mark_and_version() {
    let folder = Folder::new();
    drop(folder.open());
    let db = Connection::open(folder.ledger()).unwrap();
    let pragma =
        |name: &str| db.pragma_query_value(None, name, |row| row.get::<_, i32>(0)).unwrap();
    assert_eq!(pragma("application_id"), 0x4349_6E73);
    assert_eq!(pragma("user_version"), 1);
}

#[test]
fn a_killed_write_is_undone_when_the_ledger_is_opened() {
    let folder = Folder::new();
    let ledger = folder.open();
    store(&ledger, "a", &["d"]);
    let whole = folder.bytes();
    let killed = folder.ledger().with_file_name("killed.db");
    // With so small a cache the file has half of the changes before any is committed.
    ledger.ledger().reader().db().execute_batch("PRAGMA cache_size = 1").unwrap();
    ledger
        .store(|store| {
            for number in 0..500 {
                store.add(&alert("d2"), &domain(&format!("n{number}")), "field")?;
            }
            std::fs::copy(folder.ledger(), &killed).unwrap();
            let journal = |path: &Path| crate::ledger::files::with_suffix(path, "-journal");
            std::fs::copy(journal(&folder.ledger()), journal(&killed)).unwrap();
            Ok(())
        })
        .unwrap();
    assert!(std::fs::read(&killed).unwrap() != whole);
    let reader = LedgerReader::open(&killed).unwrap().unwrap();
    assert_eq!(reader.list(&EntryFilter::default()).unwrap().len(), 1);
    drop(reader);
    let ledger =
        TenantLedger::open_alone(Some(&killed), false, options(), Clock::fixed(at_minute(0)))
            .unwrap();
    assert_eq!(state(&ledger, "d", "a"), "waiting");
    assert_eq!(state(&ledger, "d2", "n0"), "new");
}
