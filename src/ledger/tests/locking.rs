//! One run at a time, and other programs that use the file.

use super::*;

#[test]
fn the_refusal_of_a_second_run_names_the_process_that_has_the_lock() {
    let folder = Folder::new();
    let path = folder.ledger();
    let ledger = folder.open();
    let second = [
        Ledger::open(&path, at_minute(1)).map(|_| ()),
        Ledger::open_existing(&path, at_minute(1)).map(|_| ()),
        Ledger::open_dry_run(&path, at_minute(1)).map(|_| ()),
        Ledger::check_integrity(&path, at_minute(1)),
        TenantLedger::open_alone(Some(&path), false, options(), Clock::fixed(at_minute(1)))
            .map(|_| ()),
    ];
    for second in second {
        match second {
            Err(LedgerError { problem: Problem::Locked { process, since }, .. }) => {
                assert_eq!(process, Some(std::process::id()));
                assert_eq!(since.as_deref(), Some("2026-03-01T00:00:00.000Z"));
            }
            other => panic!("{other:?}"),
        }
    }
    #[cfg(unix)]
    {
        let link = path.with_file_name("another-name.db");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let refused = Ledger::open(&link, at_minute(1));
        assert!(
            matches!(refused, Err(LedgerError { problem: Problem::Unwritable { .. }, .. })),
            "{refused:?}"
        );
        let folder_link = path.parent().unwrap().with_extension("link");
        std::os::unix::fs::symlink(path.parent().unwrap(), &folder_link).unwrap();
        let locked = Ledger::open(&folder_link.join("ledger.db"), at_minute(1));
        std::fs::remove_file(folder_link).unwrap();
        assert!(
            matches!(locked, Err(LedgerError { problem: Problem::Locked { .. }, .. })),
            "it is the same ledger"
        );
    }
    assert!(LedgerReader::open(&path).unwrap().is_some(), "a reader needs no lock");
    drop(ledger);
    let dry_run = folder.open_dry_run();
    assert!(matches!(
        Ledger::open(&path, at_minute(3)),
        Err(LedgerError { problem: Problem::Locked { .. }, .. })
    ));
    drop(dry_run);
    folder.open();
}

#[test]
fn a_write_waits_for_another_program() {
    let folder = Folder::new();
    let mut ledger = folder.open();
    let path = folder.ledger();
    let while_another_writes = |work: &mut dyn FnMut()| {
        let other = Connection::open(&path).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let done = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(200));
            other.execute_batch("ROLLBACK").unwrap();
        });
        work();
        done.join().unwrap();
    };
    while_another_writes(&mut || assert_eq!(store(&ledger, "a", &["d"]), [StoreOutcome::New]));
    let items = queue(&ledger);
    let mut batch = None;
    while_another_writes(&mut || batch = Some(ledger.begin_batch(&items).unwrap()));
    while_another_writes(&mut || ledger.deliver_batch(batch.take().unwrap()).unwrap());
    while_another_writes(&mut || ledger.delete_delivered().unwrap());
    set_time(&mut ledger, 200 * DAY);
    while_another_writes(&mut || assert_eq!(ledger.purge_expired().unwrap().sightings, 1));
}

#[test]
fn another_program_reads_what_is_committed_while_a_run_stores() {
    let folder = Folder::new();
    let ledger = folder.open();
    store(&ledger, "a", &["d"]);
    let count = || folder.reader().list(&EntryFilter::default()).unwrap().len();
    ledger
        .store(|store| {
            store.add(&alert("d"), &domain("b"), "field")?;
            assert_eq!(count(), 1);
            Ok(())
        })
        .unwrap();
    assert_eq!(count(), 2);
}
