//! What is stored in the outbox, and in which order it is sent.

use serde_json::Value;

use super::*;

#[test]
fn tenants_never_mix() {
    let folder = Folder::new();
    let one = folder.open();
    store(&one, "a", &["d"]);
    let items = queue(&one);
    assert!(matches!(
        one.advance_checkpoint(Window { start: at_minute(-5), end: at_minute(0) }, None).unwrap(),
        Advance::Moved
    ));
    drop(one);
    let two = folder.open_as("carbonblack", "two");
    assert_eq!(state(&two, "d", "a"), "new");
    assert!(queue(&two).is_empty());
    assert_eq!(two.queued().unwrap(), 0);
    assert_eq!(two.checkpoint().unwrap(), None);
    assert!(is_not_queued(&two.begin_batch(&items)), "it is queued, but for another tenant");
    assert_eq!(store(&two, "a", &["d"]), [StoreOutcome::New]);
    deliver_all(&two);
    assert!(is_not_queued(&two.begin_batch(&items)));
    drop(two);
    let one = folder.open_as("crowdstrike", "next");
    assert_eq!((state(&one, "d", "a").as_str(), one.queued().unwrap()), ("waiting", 1));
    assert_eq!(queue(&one), items);
}

#[test]
fn the_alerts_merged_into_an_entry_share_its_state() {
    let mut ledger = temporary();
    assert_eq!(store(&ledger, "a", &["d1", "d2"]), [StoreOutcome::New, StoreOutcome::Duplicate]);
    let states = |ledger: &TenantLedger| ["d1", "d2", "d3"].map(|id| state(ledger, id, "a"));
    assert_eq!(states(&ledger), ["waiting", "waiting", "new"]);
    let items = queue(&ledger);
    let batch = ledger.begin_batch(&items).unwrap();
    assert_eq!(states(&ledger), ["sending", "sending", "new"]);
    ledger.requeue_batch(&batch).unwrap();
    assert_eq!(states(&ledger), ["waiting", "waiting", "new"]);
    quarantine(&ledger, &items[0], "bad");
    assert_eq!(states(&ledger), ["quarantined", "quarantined", "new"]);
    assert_eq!(
        ledger.ledger().retry_quarantined(&EntryFilter::default(), at_minute(0)).unwrap(),
        1
    );
    deliver_all(&ledger);
    assert_eq!(states(&ledger), ["delivered", "delivered", "new"]);
    next_run(&mut ledger, "next");
    assert_eq!(states(&ledger), ["delivered", "delivered", "new"]);
    // The same alert with another indicator is another sighting.
    assert_eq!(state(&ledger, "d1", "b"), "new");
}

#[test]
fn dropped_alerts_are_remembered_although_the_clock_is_behind() {
    let mut ledger = temporary();
    ledger.begin_run("live", window()).unwrap();
    store(&ledger, "a", &["d1"]);
    let dropped =
        ledger.ledger().drop_entries(&EntryFilter::default(), at_minute(-100 * DAY)).unwrap();
    assert_eq!(dropped, 1);
    set_time(&mut ledger, DAY);
    ledger.purge_expired().unwrap();
    assert_eq!(state(&ledger, "d1", "a"), "dropped");
}

#[test]
fn what_is_known_is_not_stored_again() {
    let folder = Folder::new();
    let ledger = folder.open();
    assert_eq!(store(&ledger, "a", &["d1"]), [StoreOutcome::New]);
    assert_eq!(store(&ledger, "a", &["d1"]), [StoreOutcome::Duplicate]);
    drop(ledger);
    let mut ledger = folder.open_as("crowdstrike", "next");
    assert_eq!(store(&ledger, "a", &["d1"]), [StoreOutcome::Duplicate]);
    ledger.resend = true;
    assert_eq!(store(&ledger, "a", &["d1"]), [StoreOutcome::Duplicate], "it was not delivered");
    quarantine(&ledger, &queue(&ledger)[0], "bad");
    assert_eq!(store(&ledger, "a", &["d1"]), [StoreOutcome::Duplicate]);
    assert_eq!((ledger.queued().unwrap(), quarantined(&ledger)), (0, 1));
    // A new alert with the indicator is a new sighting.
    ledger.resend = false;
    assert_eq!(store(&ledger, "a", &["d1", "d2"]), [StoreOutcome::Duplicate, StoreOutcome::New]);
    assert_eq!(state(&ledger, "d1", "a"), "quarantined");
    assert_eq!(state(&ledger, "d2", "a"), "waiting");
}

#[test]
fn resend_stores_again_what_was_delivered_but_not_what_a_person_dropped() {
    let folder = Folder::new();
    let ledger = folder.open();
    store(&ledger, "a", &["d1"]);
    store(&ledger, "b", &["d2"]);
    let items = queue(&ledger);
    let batch = ledger.begin_batch(&items[..1]).unwrap();
    ledger.deliver_batch(batch).unwrap();
    ledger.ledger().drop_entries(&EntryFilter::default(), at_minute(1)).unwrap();
    drop(ledger);
    let mut ledger = folder.open_as("crowdstrike", "next");
    let store_both = |ledger: &TenantLedger| {
        [add(ledger, &alert("d1"), &domain("a")), add(ledger, &alert("d2"), &domain("b"))]
    };
    assert_eq!(store_both(&ledger), [StoreOutcome::AlreadyDelivered, StoreOutcome::Duplicate]);
    ledger.resend = true;
    assert_eq!(store_both(&ledger), [StoreOutcome::New, StoreOutcome::Duplicate]);
    assert_eq!(store_both(&ledger), [StoreOutcome::Duplicate, StoreOutcome::Duplicate]);
    assert_eq!(state(&ledger, "d1", "a"), "waiting");
    assert_eq!(state(&ledger, "d2", "b"), "dropped");
    assert!(queue(&ledger)[0].id > items[1].id, "an id is never given twice");
}

#[test]
fn within_a_run_an_indicator_has_one_entry_with_what_all_its_alerts_say() {
    let folder = Folder::new();
    let ledger = folder.open();
    let seen = |id: &str, minutes, severity, names: &[&str]| Detection {
        observed_at: at_minute(minutes),
        mitre_codes: codes(names),
        ..alert_with_severity(id, severity)
    };
    let alerts = [
        seen("d1", 5, Some(10), &["T1059"]),
        seen("d2", 3, None, &["T1204"]),
        seen("d3", 4, Some(70), &[]),
        seen("d4", 3, Some(30), &["T1059", "TA0002"]),
    ];
    let stored = alerts.each_ref().map(|alert| add(&ledger, alert, &domain("a")));
    let (new, known) = (StoreOutcome::New, StoreOutcome::Duplicate);
    assert_eq!(stored, [new, known, known, known]);
    // Once more: an alert that is fetched twice, or names the indicator twice, counts once.
    assert_eq!(add(&ledger, &alerts[2], &domain("a")), StoreOutcome::Duplicate);
    let entries = ledger.ledger().reader().list(&EntryFilter::default()).unwrap();
    assert_eq!((entries.len(), entries[0].severity), (1, Some(70)));
    let item: Value = serde_json::from_str(queue(&ledger)[0].json.get()).unwrap();
    assert_eq!(
        (item["detection"]["id"].as_str(), item["ioc"]["field"].as_str()),
        (Some("d2"), Some("field"))
    );
    assert_eq!(item["mitre_codes"], serde_json::json!(["T1059", "T1204", "TA0002"]));
    assert_eq!(detections_of(&ledger, "outbox"), [4]);
    deliver_all(&ledger);
    assert_eq!(detections_of(&ledger, "settled"), [4]);
    drop(ledger);
    // The next run sends it again only for an alert that no run has seen.
    let ledger = folder.open_as("crowdstrike", "next");
    assert_eq!(add(&ledger, &alerts[0], &domain("a")), StoreOutcome::AlreadyDelivered);
    assert_eq!(store(&ledger, "a", &["d5"]), [StoreOutcome::New]);
    assert_eq!(detections_of(&ledger, "outbox"), [1]);
}

fn detections_of(ledger: &TenantLedger, table: &str) -> Vec<u32> {
    let select = match table {
        "outbox" => {
            "SELECT 1 + ifnull(count, 0) FROM outbox LEFT JOIN repeat ON entry = id ORDER BY id"
        }
        _ => "SELECT detections FROM settled ORDER BY id",
    };
    let whole = ledger.ledger();
    let mut select = whole.reader().db().prepare(select).unwrap();
    let rows = select.query_map([], |row| row.get(0)).unwrap();
    rows.map(|row| row.unwrap()).collect()
}

#[test]
fn an_entry_of_an_earlier_run_stays_as_it_is() {
    let folder = Folder::new();
    let ledger = folder.open();
    store(&ledger, "a", &["d1"]);
    let item = queue(&ledger)[0].clone();
    drop(ledger);
    let ledger = folder.open_as("crowdstrike", "next");
    let changed =
        Detection { mitre_codes: codes(&["T1059"]), ..alert_with_severity("d1", Some(90)) };
    assert_eq!(add(&ledger, &changed, &domain("a")), StoreOutcome::Duplicate);
    assert_eq!(add(&ledger, &alert_with_severity("d2", Some(1)), &domain("a")), StoreOutcome::New);
    let queue = queue(&ledger);
    assert_eq!((queue.len(), &queue[1]), (2, &item));
}

#[test]
fn an_alert_is_known_by_its_id_and_its_time_of_creation() {
    let ledger = temporary();
    let url = Indicator::parse(ClaimedType::Url, "http://a.evil.net/").unwrap();
    assert_eq!(add(&ledger, &alert("d"), &domain("a")), StoreOutcome::New);
    assert_eq!(add(&ledger, &alert("d"), &url), StoreOutcome::New);
    let later = Detection { created_at: at_minute(1), ..alert("d") };
    assert_eq!(add(&ledger, &later, &domain("a")), StoreOutcome::Duplicate);
    // Seen at another time, it is the same alert.
    let same = Detection { observed_at: at_minute(1), ..alert("d") };
    assert_eq!(add(&ledger, &same, &domain("a")), StoreOutcome::Duplicate);
    assert_eq!(detections_of(&ledger, "outbox"), [2, 1]);
}

#[test]
fn a_store_that_fails_stores_nothing() {
    let ledger = temporary();
    let failed: Result<()> = ledger.store(|store| {
        assert_eq!(store.add(&alert("d1"), &domain("a"), "field")?, StoreOutcome::New);
        assert_eq!(store.add(&alert("d2"), &domain("a"), "field")?, StoreOutcome::Duplicate);
        Err(undo())
    });
    let Err(LedgerError { problem: Problem::Other(detail), .. }) = failed else {
        panic!("{failed:?}")
    };
    assert_eq!(detail, "undo", "the caller's error comes back");
    assert_eq!((ledger.queued().unwrap(), state(&ledger, "d1", "a").as_str()), (0, "new"));
    assert_eq!(store(&ledger, "a", &["d1"]), [StoreOutcome::New], "no entry of this run is left");
}

#[test]
fn the_most_severe_are_sent_first_and_then_the_oldest() {
    let ledger = temporary();
    let severities = [
        ("a", None),
        ("b", Some(0)),
        ("c", Some(90)),
        ("d", Some(255)),
        ("e", Some(90)),
        ("f", None),
    ];
    for (name, severity) in severities {
        add(&ledger, &alert_with_severity("d", severity), &domain(name));
    }
    let expected = ["d", "c", "e", "b", "a", "f"].map(|name| domain(name).value().to_owned());
    let value = |queued: &QueuedItem| {
        let item: Value = serde_json::from_str(queued.json.get()).unwrap();
        item["ioc"]["value"].as_str().unwrap().to_owned()
    };
    for size in 1..=7_usize {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let next = ledger.next_items(size, after).unwrap();
            if next.end.is_none() {
                break;
            }
            after = next.end;
            found.extend(next.items.iter().map(value));
        }
        assert_eq!(found, expected, "{size} at a time");
    }
}

#[test]
fn hostile_values_come_back_as_they_were() {
    for text in ["'; DROP TABLE outbox; --", "\u{0}\u{202e}\\\"%_?1", "𝕏\n\r\t"] {
        let mut ledger = temporary();
        text.clone_into(&mut ledger.run_id);
        assert_eq!(store(&ledger, "a", &[text]), [StoreOutcome::New]);
        assert_eq!(state(&ledger, text, "a"), "waiting");
        let items = ledger.ledger().reader().export(&EntryFilter::default()).unwrap();
        assert_eq!(items, [queue(&ledger)[0].json.get()]);
        let item: Value = serde_json::from_str(&items[0]).unwrap();
        assert_eq!(item["detection"]["id"], text);
        quarantine(&ledger, &queue(&ledger)[0], text);
        let entries = ledger.ledger().reader().list(&EntryFilter::default()).unwrap();
        assert_eq!((entries[0].message.as_deref(), entries[0].run.as_str()), (Some(text), text));
        ledger.ledger().drop_entries(&EntryFilter::default(), at_minute(0)).unwrap();
        assert_eq!(state(&ledger, text, "a"), "dropped");
    }
}

#[test]
fn a_withdrawn_run_leaves_what_was_there_before() {
    let rows = |ledger: &TenantLedger, table: &str| {
        let select = format!("SELECT * FROM {table}");
        let whole = ledger.ledger();
        let mut select = whole.reader().db().prepare(&select).unwrap();
        let columns = select.column_count();
        let row = |row: &rusqlite::Row<'_>| {
            (0..columns).map(|at| row.get::<_, rusqlite::types::Value>(at)).collect()
        };
        select.query_map([], row).unwrap().collect::<rusqlite::Result<Vec<Vec<_>>>>().unwrap()
    };
    // Each returns its rows in the order of its key.
    let tables = ["outbox", "repeat", "sighting", "settled", "batch"];
    let folder = Folder::new();
    let first = folder.open();
    store(&first, "delivered", &["d1", "d2"]);
    deliver_all(&first);
    first.delete_delivered().unwrap();
    store(&first, "queued", &["d3", "d4"]);
    let before = tables.map(|table| rows(&first, table));
    drop(first);

    let path = folder.ledger();
    let options = TenantOptions { run_id: "second", resend: true, ..options() };
    let clock = Clock::fixed(at_minute(1));
    let second = TenantLedger::open_alone(Some(&path), false, options, clock).unwrap();
    second.begin_run("live", window()).unwrap();
    // Sent again, still queued, and new.
    assert_eq!(
        store(&second, "delivered", &["d1", "d2"]),
        [StoreOutcome::New, StoreOutcome::Duplicate]
    );
    assert_eq!(store(&second, "queued", &["d3"]), [StoreOutcome::Duplicate]);
    assert_eq!(store(&second, "new", &["d5", "d6"]), [StoreOutcome::New, StoreOutcome::Duplicate]);
    assert_ne!(tables.map(|table| rows(&second, table)), before);
    second.withdraw_run("of several customers").unwrap();
    assert_eq!(tables.map(|table| rows(&second, table)), before);
    second.finish_run(2, "{}", Some("of several customers")).unwrap();
    // Storing works as before.
    assert_eq!(store(&second, "new", &["d5"]), [StoreOutcome::New]);
}
