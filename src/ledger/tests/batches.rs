//! How entries leave the outbox, what counts for the quota, and what is purged.

use super::*;

fn used(ledger: &mut TenantLedger, minutes: i64) -> u64 {
    set_time(ledger, minutes);
    ledger.quota_used().unwrap()
}

fn rows(ledger: &TenantLedger, table: &str) -> i64 {
    let select = format!("SELECT count(*) FROM {table}");
    ledger.ledger().reader().db().query_row(&select, [], |row| row.get(0)).unwrap()
}

fn attempts(ledger: &TenantLedger) -> Vec<u32> {
    let entries = ledger.ledger().reader().list(&EntryFilter::default()).unwrap();
    entries.iter().map(|entry| entry.attempts).collect()
}

#[test]
fn a_batch_is_written_wholly_or_not_at_all_and_no_entry_is_in_two() {
    let mut ledger = temporary();
    for name in ["a", "b", "c"] {
        store(&ledger, name, &["d"]);
    }
    let items = queue(&ledger);
    let other = temporary();
    for name in ["a", "b", "c", "absent"] {
        store(&other, name, &["d"]);
    }
    let absent = &queue(&other)[3];
    let refused = |ledger: &TenantLedger, items: &[&QueuedItem]| {
        let batch = ledger.begin_batch(items.iter().copied());
        assert!(is_not_queued(&batch));
    };
    refused(&ledger, &[&items[0], absent]);
    refused(&ledger, &[&items[0], &items[0]]);
    assert_eq!((rows(&ledger, "batch"), rows(&ledger, "settled")), (0, 0));
    assert_eq!(queue(&ledger), items);
    set_time(&mut ledger, 1);
    let batch = ledger.begin_batch([&items[2]]).unwrap();
    refused(&ledger, &[&items[0], &items[2]]);
    ledger.quarantine_batch(&batch, 422, "first message").unwrap();
    refused(&ledger, &[&items[2]]);
    assert!(is_not_queued(&ledger.quarantine_batch(&batch, 400, "other message")));
    assert!(is_not_queued(&ledger.requeue_batch(&batch)));
    assert!(is_not_queued(&ledger.requeue_failed_batch(&batch)));
    assert_eq!(used(&mut ledger, 1), 0);
    let batch = ledger.begin_batch(&items[..2]).unwrap();
    refused(&ledger, &[&items[0]]);
    ledger.deliver_batch(batch).unwrap();
    refused(&ledger, &[&items[0]]);
    ledger.delete_delivered().unwrap();
    refused(&ledger, &[&items[0]]);
    assert_eq!((ledger.queued().unwrap(), used(&mut ledger, 1)), (0, 2));
    let entries = ledger.ledger().reader().list(&EntryFilter::default()).unwrap();
    assert_eq!(entries.len(), 1);
    let entry = &entries[0];
    assert_eq!((entry.status, entry.message.as_deref()), (Some(422), Some("first message")));
    assert_eq!((entry.attempts, entry.rejected_at), (1, Some(at_minute(1))));
}

#[test]
fn a_damaged_number_of_attempts_stops_no_delivery() {
    let ledger = temporary();
    add(&ledger, &alert_with_severity("d", None), &domain("a"));
    let damage = "UPDATE outbox SET attempts = -127";
    ledger.ledger().reader().db().execute(damage, []).unwrap();
    let items = queue(&ledger);
    assert_eq!(items.len(), 1);
    assert!(items[0].was_sent);
}

#[test]
fn what_was_not_accepted_is_queued_again_in_the_same_order() {
    let mut ledger = temporary();
    for (name, severity) in [("a", None), ("b", Some(90)), ("c", Some(10))] {
        add(&ledger, &alert_with_severity("d", severity), &domain(name));
    }
    let items = queue(&ledger);
    let batch = ledger.begin_batch(&items[..2]).unwrap();
    assert_eq!(queue(&ledger), items[2..]);
    ledger.requeue_batch(&batch).unwrap();
    assert_eq!((queue(&ledger), attempts(&ledger)), (items.clone(), vec![0, 0, 0]));
    let batch = ledger.begin_batch(&items[..2]).unwrap();
    ledger.requeue_failed_batch(&batch).unwrap();
    let ids = |items: &[QueuedItem]| items.iter().map(|item| item.id).collect::<Vec<_>>();
    assert_eq!((ids(&queue(&ledger)), attempts(&ledger)), (ids(&items), vec![0, 1, 1]));
    assert_eq!((rows(&ledger, "batch"), rows(&ledger, "settled")), (0, 0));
    assert_eq!(used(&mut ledger, 0), 0);
}

#[test]
fn an_empty_batch_changes_no_entry() {
    let mut ledger = temporary();
    store(&ledger, "a", &["d"]);
    for _ in 0..2 {
        let batch = ledger.begin_batch([]).unwrap();
        ledger.requeue_failed_batch(&batch).unwrap();
        let batch = ledger.begin_batch([]).unwrap();
        ledger.quarantine_batch(&batch, 400, "no").unwrap();
        let batch = ledger.begin_batch([]).unwrap();
        ledger.deliver_batch(batch).unwrap();
    }
    assert_eq!((ledger.queued().unwrap(), used(&mut ledger, 0)), (1, 0));
    set_time(&mut ledger, 401 * DAY);
    assert_eq!(ledger.purge_expired().unwrap().batches, 2);
}

#[test]
fn an_entry_with_a_damaged_rejection_time_keeps_no_other_in_quarantine() {
    let ledger = temporary();
    store(&ledger, "a", &["d"]);
    store(&ledger, "b", &["d"]);
    let batch = ledger.begin_batch(&queue(&ledger)).unwrap();
    ledger.requeue_failed_batch(&batch).unwrap();
    for item in queue(&ledger) {
        quarantine(&ledger, &item, "bad");
    }
    let damage = "UPDATE outbox SET rejected_at = 'yesterday' WHERE value = 'a.evil.net'";
    assert_eq!(ledger.ledger().reader().db().execute(damage, []).unwrap(), 1);
    let retried = ledger.ledger().retry_quarantined(&EntryFilter::default(), at_minute(5)).unwrap();
    assert_eq!(retried, 2);
    // Both were sent more than once: the attempt before the rejection may have stored them.
    let in_doubt = ledger.batches_in_doubt().unwrap();
    let entries: Vec<_> = in_doubt.iter().map(|batch| batch.entries.len()).collect();
    assert_eq!((entries, in_doubt[0].age(at_minute(5))), (vec![2], TimeDelta::zero()));
}

#[test]
fn the_batch_of_a_killed_run_is_in_doubt_until_the_next_run_of_its_tenant_has_looked_it_up() {
    let folder = Folder::new();
    for (source, run) in [("crowdstrike", "one"), ("carbonblack", "two")] {
        let ledger = folder.open_as(source, run);
        store(&ledger, "a", &["d"]);
        store(&ledger, "b", &["d"]);
        // Killed while one entry is being sent and another was delivered.
        let items = queue(&ledger);
        let batch = ledger.begin_batch(&items[..1]).unwrap();
        ledger.deliver_batch(batch).unwrap();
        let _batch = ledger.begin_batch(&items[1..]).unwrap();
        assert_eq!(ledger.queued().unwrap(), 1, "pending until its batch is delivered");
        assert!(queue(&ledger).is_empty());
    }
    let mut ledger = folder.open_as("crowdstrike", "three");
    assert_eq!((ledger.queued().unwrap(), queue(&ledger).len()), (1, 0));
    resolve_doubt(&ledger, |_| false);
    assert_eq!(queue(&ledger).len(), 1);
    assert_eq!(
        (state(&ledger, "d", "a"), state(&ledger, "d", "b")),
        ("delivered".into(), "waiting".into())
    );
    assert_eq!(attempts(&ledger), [1, 0], "the attempt of the killed run counts");
    assert_eq!(rows(&ledger, "batch WHERE state = 'sending'"), 1, "that of the other tenant");
    deliver_all(&ledger);
    assert_eq!(used(&mut ledger, 0), 3);
    drop(ledger);
    let ledger = folder.open_as("carbonblack", "four");
    resolve_doubt(&ledger, |_| false);
    assert_eq!((queue(&ledger).len(), rows(&ledger, "batch WHERE state = 'sending'")), (1, 0));
}

#[test]
fn what_is_found_of_a_batch_in_doubt_is_delivered_since_it_was_sent() {
    let mut ledger = temporary();
    for (name, code) in [("a", "T1001"), ("b", "T1002"), ("c", "T1003")] {
        let alert = Detection { mitre_codes: codes(&[code]), ..alert(name) };
        add(&ledger, &alert, &domain(name));
    }
    let items = queue(&ledger);
    set_time(&mut ledger, 5);
    let batch = ledger.begin_batch(&items).unwrap();
    ledger.leave_in_doubt(&batch).unwrap();
    assert_eq!((ledger.queued().unwrap(), queue(&ledger).len()), (3, 0));
    assert_eq!(attempts(&ledger), [1, 1, 1]);
    set_time(&mut ledger, 2 * DAY);
    let in_doubt = ledger.batches_in_doubt().unwrap();
    let [batch] = in_doubt.as_slice() else { panic!("{in_doubt:?}") };
    let names: Vec<_> = batch
        .entries
        .iter()
        .map(|entry| (entry.indicator_type.as_str(), entry.value.as_str(), entry.alert.as_str()))
        .collect();
    assert_eq!(
        names,
        [
            ("domain", "a.evil.net", "a"),
            ("domain", "b.evil.net", "b"),
            ("domain", "c.evil.net", "c")
        ]
    );
    assert!(batch.entries.iter().all(|entry| entry.detected_at == at_minute(0)));
    let found = [items[0].id, items[2].id].into();
    assert_eq!(ledger.resolve_batch(batch, &found).unwrap(), 2);
    assert_eq!(queue(&ledger).iter().map(|item| item.id).collect::<Vec<_>>(), [items[1].id]);
    assert_eq!(ledger.batches_in_doubt().unwrap(), []);
    assert_eq!(used(&mut ledger, 2 * DAY), 0, "they were sent on another day");
    assert_eq!(used(&mut ledger, 6), 2);
    let reader = ledger.ledger();
    let techniques =
        reader.reader().techniques(Period::since(at_minute(0)), 9, &TenantFilter::default());
    let codes: Vec<_> = techniques.unwrap().into_iter().map(|one| one.code).collect();
    assert_eq!(codes, ["T1001", "T1003"]);
}

#[test]
fn a_batch_that_was_queued_again_cannot_be_delivered() {
    let mut ledger = temporary();
    store(&ledger, "a", &["d"]);
    let batch = ledger.begin_batch(&queue(&ledger)).unwrap();
    resolve_doubt(&ledger, |_| false);
    let late = ledger.deliver_batch(batch);
    assert!(matches!(late, Err(LedgerError { problem: Problem::Other { .. }, .. })), "{late:?}");
    assert_eq!((ledger.queued().unwrap(), used(&mut ledger, 0)), (1, 0));
}

#[test]
fn delivered_rows_can_be_deleted_at_any_time() {
    let ledger = temporary();
    for name in ["a", "b", "c", "d"] {
        // Ids so far apart that several transactions are needed.
        let update = "UPDATE sqlite_sequence SET seq = seq + 15000";
        ledger.ledger().reader().db().execute(update, []).unwrap();
        store(&ledger, name, &["d"]);
    }
    let items = queue(&ledger);
    let batch = ledger.begin_batch([&items[0], &items[3]]).unwrap();
    ledger.delete_delivered().unwrap();
    assert_eq!(rows(&ledger, "outbox"), 4, "it is being sent");
    ledger.deliver_batch(batch).unwrap();
    assert_eq!((rows(&ledger, "outbox"), rows(&ledger, "pending")), (4, 2));
    let listed = ledger.ledger().reader().list(&EntryFilter::default()).unwrap();
    let exported = ledger.ledger().reader().export(&EntryFilter::default()).unwrap();
    for _ in 0..2 {
        ledger.delete_delivered().unwrap();
        assert_eq!((rows(&ledger, "outbox"), rows(&ledger, "pending")), (2, 2));
        assert_eq!(ledger.ledger().reader().list(&EntryFilter::default()).unwrap(), listed);
        assert_eq!(ledger.ledger().reader().export(&EntryFilter::default()).unwrap(), exported);
        assert_eq!(queue(&ledger), items[1..3]);
    }
    deliver_all(&ledger);
    ledger.delete_delivered().unwrap();
    assert_eq!((rows(&ledger, "outbox"), rows(&ledger, "settled")), (0, 4));
    ledger.delete_delivered().unwrap();
}

#[test]
fn the_quota_belongs_to_the_token_and_the_utc_day() {
    let folder = Folder::new();
    for (source, run) in [("crowdstrike", "one"), ("carbonblack", "two")] {
        let mut ledger = folder.open_as(source, run);
        store(&ledger, "a", &["d"]);
        store(&ledger, "b", &["d"]);
        set_time(&mut ledger, 1);
        let items = queue(&ledger);
        let batch = ledger.begin_batch(&items[..1]).unwrap();
        ledger.deliver_batch(batch).unwrap();
        let batch = ledger.begin_batch(&items[1..]).unwrap();
        assert_eq!(used(&mut ledger, 1), if source == "crowdstrike" { 1 } else { 2 });
        ledger.requeue_failed_batch(&batch).unwrap();
    }
    let mut ledger = folder.open_as("crowdstrike", "three");
    ledger.ledger().drop_entries(&EntryFilter::default(), at_minute(1)).unwrap();
    record_delivered_at(&ledger, TOKEN, 40, DAY - 1);
    record_delivered_at(&ledger, TOKEN, 7, DAY);
    record_delivered_at(&ledger, "another", 3, 0);
    assert_eq!(used(&mut ledger, -1), 0);
    assert_eq!(used(&mut ledger, 0), 42);
    assert_eq!(used(&mut ledger, DAY), 7);
    "another".clone_into(&mut ledger.token);
    assert_eq!(used(&mut ledger, 0), 3);
}

#[test]
fn dropping_leaves_a_trace_and_takes_only_what_matches() {
    let folder = Folder::new();
    let one = folder.open_as("crowdstrike", "one");
    store(&one, "a", &["d"]);
    store(&one, "b", &["d"]);
    quarantine(&one, &queue(&one)[0], "bad");
    drop(one);
    let two = folder.open_as("carbonblack", "two");
    store(&two, "c", &["d"]);
    drop(two);
    let dropped = |source: Option<&str>, state| {
        let filter = EntryFilter {
            tenants: TenantFilter { name: None, source: source.map(str::to_owned) },
            state,
            ..EntryFilter::default()
        };
        folder.open_whole().drop_entries(&filter, at_minute(2)).unwrap()
    };
    let quarantined = Some(EntryState::Quarantined);
    assert_eq!(dropped(Some("' OR 1 --"), None), 0);
    assert_eq!(dropped(Some("carbonblack"), quarantined), 0);
    assert_eq!(dropped(None, quarantined), 1);
    assert_eq!(state(&folder.open_as("crowdstrike", "three"), "d", "a"), "dropped");
    assert_eq!(dropped(Some("carbonblack"), Some(EntryState::Queued)), 1);
    assert_eq!(folder.reader().list(&EntryFilter::default()).unwrap().len(), 1);
    assert_eq!(dropped(None, None), 1);
    assert_eq!(dropped(None, None), 0);
    assert!(folder.reader().list(&EntryFilter::default()).unwrap().is_empty());
    let ledger = folder.open_as("carbonblack", "four");
    assert_eq!(state(&ledger, "d", "c"), "dropped");
    assert_eq!((rows(&ledger, "batch"), rows(&ledger, "settled")), (3, 3));
}

#[test]
fn entries_stored_after_the_last_one_of_the_filter_are_not_dropped() {
    let folder = Folder::new();
    let ledger = folder.open();
    for name in ["a", "b", "c"] {
        store(&ledger, name, &["d"]);
    }
    drop(ledger);
    let entries = folder.reader().list(&EntryFilter::default()).unwrap();
    let filter = EntryFilter { last: Some(entries[1].id), ..EntryFilter::default() };
    assert_eq!(folder.open_whole().drop_entries(&filter, at_minute(1)).unwrap(), 2);
    let left = folder.reader().list(&EntryFilter::default()).unwrap();
    assert_eq!(left.iter().map(|entry| entry.id).collect::<Vec<_>>(), [entries[2].id]);
}

#[test]
fn what_a_killed_run_was_sending_can_be_dropped_but_not_what_it_delivered() {
    let folder = Folder::new();
    let ledger = folder.open();
    for name in ["a", "b", "c"] {
        store(&ledger, name, &["d"]);
    }
    let items = queue(&ledger);
    let batch = ledger.begin_batch(&items[..1]).unwrap();
    ledger.deliver_batch(batch).unwrap();
    let _batch = ledger.begin_batch(&items[1..2]).unwrap();
    drop(ledger);
    let whole = folder.open_whole();
    assert_eq!(whole.drop_entries(&EntryFilter::default(), at_minute(1)).unwrap(), 2);
    drop(whole);
    let mut ledger = folder.open_as("crowdstrike", "next");
    let states = ["a", "b", "c"].map(|name| state(&ledger, "d", name));
    assert_eq!(states, ["delivered", "dropped", "dropped"]);
    assert_eq!((ledger.queued().unwrap(), used(&mut ledger, 0)), (0, 1));
    assert_eq!(rows(&ledger, "batch WHERE state = 'sending'"), 0);
    assert_eq!(rows(&ledger, "pragma_foreign_key_check"), 0);
}

#[test]
fn only_what_was_delivered_or_dropped_is_purged_and_only_when_it_is_old() {
    let mut ledger = temporary();
    for name in ["a", "b", "c", "d"] {
        store(&ledger, name, &["d1", "d2"]);
    }
    let items = queue(&ledger);
    quarantine(&ledger, &items[1], "bad");
    let filter = EntryFilter { state: Some(EntryState::Quarantined), ..EntryFilter::default() };
    ledger.ledger().drop_entries(&filter, at_minute(0)).unwrap();
    quarantine(&ledger, &items[2], "bad");
    let batch = ledger.begin_batch(&items[..1]).unwrap();
    ledger.deliver_batch(batch).unwrap();
    ledger.delete_delivered().unwrap();
    ledger.begin_run("live", window()).unwrap();
    let purge = |ledger: &mut TenantLedger, days| {
        set_time(ledger, days * DAY);
        ledger.purge_expired().unwrap()
    };
    assert_eq!(purge(&mut ledger, 90), Purged::default());
    assert_eq!((rows(&ledger, "sighting"), rows(&ledger, "settled")), (8, 2));
    assert_eq!(purge(&mut ledger, 91), Purged { sightings: 4, ..Purged::default() });
    assert_eq!(purge(&mut ledger, 91), Purged::default());
    assert_eq!((rows(&ledger, "sighting"), rows(&ledger, "settled")), (4, 0));
    next_run(&mut ledger, "next");
    assert_eq!(state(&ledger, "d1", "a"), "new");
    assert_eq!(used(&mut ledger, 0), 1, "batches are kept longer than their entries");
    assert_eq!(purge(&mut ledger, 400), Purged::default());
    assert_eq!(purge(&mut ledger, 401), Purged { runs: 1, batches: 2, ..Purged::default() });
    assert_eq!((ledger.queued().unwrap(), quarantined(&ledger)), (1, 1));
    for time in [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC] {
        ledger.set_clock(Clock::fixed(time));
        assert!(ledger.purge_expired().is_ok());
    }
    assert_eq!((ledger.queued().unwrap(), quarantined(&ledger)), (1, 1));
}

#[test]
fn a_batch_that_is_being_sent_is_never_purged() {
    let mut ledger = temporary();
    store(&ledger, "a", &["d"]);
    let batch = ledger.begin_batch(&queue(&ledger)).unwrap();
    set_time(&mut ledger, 999 * DAY);
    assert_eq!(ledger.purge_expired().unwrap(), Purged::default());
    ledger.deliver_batch(batch).unwrap();
    assert_eq!(state(&ledger, "d", "a"), "delivered");
}

#[test]
fn a_sighting_without_its_entry_counts_as_never_seen() {
    let mut ledger = temporary();
    // Created long after it was delivered, by a clock that was wrong.
    let odd = Detection { created_at: at_minute(200 * DAY), ..alert("odd") };
    add(&ledger, &odd, &domain("a"));
    deliver_all(&ledger);
    ledger.delete_delivered().unwrap();
    assert_eq!(add(&ledger, &odd, &domain("a")), StoreOutcome::AlreadyDelivered);
    set_time(&mut ledger, 91 * DAY);
    assert_eq!(ledger.purge_expired().unwrap(), Purged::default());
    next_run(&mut ledger, "next");
    assert_eq!(add(&ledger, &odd, &domain("a")), StoreOutcome::New);
    assert_eq!(add(&ledger, &odd, &domain("a")), StoreOutcome::Duplicate);
    assert_eq!(queue(&ledger).len(), 1);
}

#[test]
fn recording_a_response_changes_one_page_and_the_header() {
    let folder = Folder::new();
    let ledger = folder.open();
    for number in 0..300 {
        store(&ledger, &format!("n{number}"), &["d"]);
    }
    for item in queue(&ledger) {
        let batch = ledger.begin_batch([&item]).unwrap();
        let before = folder.bytes();
        ledger.deliver_batch(batch).unwrap();
        let after = folder.bytes();
        assert_eq!(after.len(), before.len(), "the file does not grow");
        let changed =
            before.chunks(4096).zip(after.chunks(4096)).filter(|(one, next)| one != next).count();
        assert!(changed <= 2, "{changed} pages of batch {}", item.id);
    }
}

#[test]
fn what_a_killed_run_was_sending_is_queued_again_although_the_row_of_its_batch_is_damaged() {
    for damage in [
        "UPDATE batch SET first_entry = 90, last_entry = 99",
        "UPDATE batch SET first_entry = NULL, last_entry = NULL, entries = 0",
        "PRAGMA foreign_keys = OFF; UPDATE batch SET tenant = 99",
        "DELETE FROM batch",
    ] {
        let folder = Folder::new();
        let ledger = folder.open();
        for name in ["a", "b", "c"] {
            store(&ledger, name, &["d"]);
        }
        ledger.begin_batch(&queue(&ledger)[..2]).unwrap();
        drop(ledger);
        Connection::open(folder.ledger()).unwrap().execute_batch(damage).unwrap();
        let ledger = folder.open_as("crowdstrike", "next");
        resolve_doubt(&ledger, |_| false);
        assert_eq!(queue(&ledger).len(), 3, "{damage}");
        deliver_all(&ledger);
    }
}

#[test]
fn tenants_of_a_process_purge_once_an_hour() {
    let ledger = temporary();
    let purge = |days: i64, minutes: i64| {
        store(&ledger, &format!("a{days}-{minutes}"), &["d"]);
        deliver_all(&ledger);
        ledger.delete_delivered().unwrap();
        ledger.purge_expired_once(at_minute(days * 24 * 60 + minutes)).unwrap();
        rows(&ledger, "settled")
    };
    assert_eq!(purge(0, 0), 1);
    // The clock of the first purge was 91 days behind: it does not prevent that of another tenant.
    assert_eq!(purge(91, 0), 0);
    assert_eq!(purge(91, 60), 1);
    assert_eq!(purge(91, 61), 0);
}
