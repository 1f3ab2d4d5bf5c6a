//! Tests that a dry run sees the ledger and leaves it as it is. Test mode (`--debug`) opens the
//! ledger in the same way.

use super::*;

/// Returns a ledger with an entry in each state, whose alert and domain have the name of the state.
fn ledger_with_all_states() -> Folder {
    let folder = Folder::new();
    let ledger = folder.open();
    for name in ["queued", "quarantined", "delivered", "deleted", "dropped", "sending"] {
        store(&ledger, name, &[name]);
    }
    let items = queue(&ledger);
    let deliver = |item| ledger.deliver_batch(ledger.begin_batch([item]).unwrap()).unwrap();
    deliver(&items[3]);
    ledger.delete_delivered().unwrap();
    deliver(&items[2]);
    quarantine(&ledger, &items[4], "no");
    let filter = EntryFilter { state: Some(EntryState::Quarantined), ..EntryFilter::default() };
    ledger.ledger().drop_entries(&filter, at_minute(0)).unwrap();
    quarantine(&ledger, &items[1], "no");
    let _being_sent = ledger.begin_batch([&items[5]]).unwrap();
    ledger.begin_run("live", window()).unwrap();
    assert_eq!(
        ledger
            .advance_checkpoint(Window { start: at_minute(-60), end: at_minute(0) }, None)
            .unwrap(),
        Advance::Moved
    );
    drop(ledger);
    folder
}

#[test]
fn a_dry_run_of_an_absent_ledger_creates_none() {
    let folder = Folder::new();
    let dry_run = folder.open_dry_run();
    assert_eq!(store(&dry_run, "evil", &["alert"]), [StoreOutcome::New]);
    deliver_all(&dry_run);
    dry_run.delete_delivered().unwrap();
    assert_eq!(state(&dry_run, "alert", "evil"), "delivered");
    drop(dry_run);
    assert!(folder.file_names().is_empty());
}

#[test]
fn a_dry_run_sees_everything() {
    let folder = ledger_with_all_states();
    let before = folder.bytes();
    let mut dry_run = folder.open_dry_run();
    let stored = |ledger: &TenantLedger, name: &str| would_add(ledger, &alert(name), &domain(name));
    for name in ["queued", "quarantined", "dropped", "sending"] {
        assert_eq!(stored(&dry_run, name), StoreOutcome::Duplicate, "{name}");
    }
    for name in ["delivered", "deleted"] {
        assert_eq!(stored(&dry_run, name), StoreOutcome::AlreadyDelivered, "{name}");
    }
    assert_eq!(stored(&dry_run, "new"), StoreOutcome::New);
    dry_run.resend = true;
    assert_eq!(stored(&dry_run, "deleted"), StoreOutcome::New);
    let names: Vec<_> = dry_run
        .ledger()
        .reader()
        .list(&EntryFilter::default())
        .unwrap()
        .into_iter()
        .map(|entry| entry.value)
        .collect();
    assert_eq!(
        names,
        ["queued", "quarantined", "sending"].map(|name| domain(name).value().to_owned())
    );
    assert_eq!(
        queue(&dry_run).len(),
        2,
        "a dry run does not search: it queues again what is in doubt"
    );
    assert_eq!(dry_run.quota_used().unwrap(), 2);
    assert_eq!(dry_run.checkpoint().unwrap(), Some(at_minute(0)));
    assert_eq!(
        dry_run
            .ledger()
            .reader()
            .runs(DateTime::UNIX_EPOCH, &TenantFilter::default())
            .unwrap()
            .len(),
        1
    );
    drop(dry_run);
    assert!(folder.bytes() == before, "the file changed");
}

#[test]
fn what_a_killed_run_was_sending_is_not_taken_for_delivered_by_a_dry_run() {
    // Also if `sqlite_sequence` lost the last id of a batch, and the dry run deleted that batch.
    for lose in ["", "DELETE FROM sqlite_sequence"] {
        let folder = Folder::new();
        let ledger = folder.open();
        store(&ledger, "a", &["a"]);
        let _being_sent = ledger.begin_batch(&queue(&ledger)).unwrap();
        ledger.ledger().reader().db().execute_batch(lose).unwrap();
        drop(ledger);
        let dry_run = folder.open_dry_run();
        store(&dry_run, "b", &["b"]);
        let items = queue(&dry_run);
        dry_run.deliver_batch(dry_run.begin_batch(&items[1..]).unwrap()).unwrap();
        assert_eq!(
            would_add(&dry_run, &alert("a"), &domain("a")),
            StoreOutcome::Duplicate,
            "{lose}"
        );
        assert_eq!(would_add(&dry_run, &alert("b"), &domain("b")), StoreOutcome::AlreadyDelivered);
    }
}

#[test]
fn a_dry_run_changes_nothing_in_the_ledger() {
    let folder = ledger_with_all_states();
    let before = (folder.bytes(), folder.file_names());
    let mut dry_run = folder.open_dry_run();
    dry_run.begin_run("dry-run", window()).unwrap();
    dry_run
        .store(|store| {
            for number in 0..2000 {
                let stored = store.add(&alert("many"), &domain(&format!("n{number}")), "field")?;
                assert_eq!(stored, StoreOutcome::New);
            }
            Ok(())
        })
        .unwrap();
    let ids: Vec<_> = queue(&dry_run).iter().map(|queued| queued.id.0).collect();
    assert_eq!((ids.len(), ids.iter().max()), (2002, Some(&2006)), "ids go on from the ledger's");
    quarantine(&dry_run, &queue(&dry_run)[0], "no");
    let item = queue(&dry_run)[0].clone();
    deliver_all(&dry_run);
    assert!(is_not_queued(&dry_run.begin_batch([&item])), "an error ends only its own operation");
    dry_run.delete_delivered().unwrap();
    assert_eq!(state(&dry_run, "many", "n7"), "delivered");
    assert_eq!((dry_run.queued().unwrap(), quarantined(&dry_run)), (0, 2));
    assert_eq!(dry_run.quota_used().unwrap(), 2003);
    assert_eq!(
        dry_run.ledger().retry_quarantined(&EntryFilter::default(), at_minute(0)).unwrap(),
        2
    );
    set_time(&mut dry_run, 500 * DAY);
    assert_eq!(
        dry_run
            .advance_checkpoint(Window { start: at_minute(-60), end: at_minute(5) }, None)
            .unwrap(),
        Advance::Moved
    );
    dry_run.finish_run(0, "{}", None).unwrap();
    dry_run.purge_expired().unwrap();
    assert_eq!(folder.file_names(), before.1, "no journal while it runs");
    drop(dry_run);
    assert!((folder.bytes(), folder.file_names()) == before, "a file changed");
}

#[test]
fn a_dry_run_works_while_another_program_reads_the_ledger() {
    let folder = ledger_with_all_states();
    let other = Connection::open(folder.ledger()).unwrap();
    other.execute_batch("BEGIN; SELECT count(*) FROM outbox").unwrap();
    let dry_run = folder.open_dry_run();
    assert_eq!(store(&dry_run, "deleted", &["deleted"]), [StoreOutcome::AlreadyDelivered]);
    assert_eq!(store(&dry_run, "new", &["new"]), [StoreOutcome::New]);
    drop(other);
}

#[test]
fn a_debug_run_knows_what_it_delivered_itself() {
    let folder = ledger_with_all_states();
    let dry_run = folder.open_dry_run();
    // Sent at the start of the run, then fetched again.
    deliver_all(&dry_run);
    assert_eq!(store(&dry_run, "queued", &["queued"]), [StoreOutcome::AlreadyDelivered]);
    dry_run.delete_delivered().unwrap();
    assert_eq!(store(&dry_run, "queued", &["queued"]), [StoreOutcome::AlreadyDelivered]);
    let filter = EntryFilter { state: Some(EntryState::Quarantined), ..EntryFilter::default() };
    assert_eq!(dry_run.ledger().drop_entries(&filter, at_minute(1)).unwrap(), 1);
    assert_eq!(store(&dry_run, "quarantined", &["quarantined"]), [StoreOutcome::Duplicate]);
}
