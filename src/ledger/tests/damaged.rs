//! Damaged ledgers: each damage has its error, and each file stays as it is.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;

use super::*;
use crate::submission::DamagedItem;

/// A ledger with rows in most tables; those of `outbox` and `sighting` fill several pages.
pub(super) fn healthy() -> Folder {
    let folder = Folder::new();
    let ledger = folder.open();
    ledger.begin_run("live", window()).unwrap();
    for number in 0..60 {
        store(&ledger, &format!("n{number}"), &["d1", "d2"]);
    }
    count_rule_hits(&ledger, &[("example.com", 1)]);
    // Enough sightings for several pages.
    let ids: Vec<String> = (0..60).map(|number| format!("{number:0150}")).collect();
    store(&ledger, "n0", &ids.iter().map(String::as_str).collect::<Vec<_>>());
    let severe =
        Detection { mitre_codes: codes(&["T1059"]), ..alert_with_severity("d1", Some(100)) };
    add(&ledger, &severe, &domain("delivered"));
    let batch = ledger.begin_batch(&queue(&ledger)[..1]).unwrap();
    ledger.deliver_batch(batch).unwrap();
    ledger.delete_delivered().unwrap();
    folder
}

/// The same in a file that is too large to be examined whole when it is opened.
fn healthy_and_large() -> Folder {
    let folder = healthy();
    let db = Connection::open(folder.ledger()).unwrap();
    db.execute_batch("CREATE TABLE padding (x); INSERT INTO padding VALUES (zeroblob(5000000))")
        .unwrap();
    drop(db);
    folder.open_as("crowdstrike", "large");
    folder
}

/// Returns the errors of each way to open the file, after making sure that none changed the file.
pub(super) fn errors(folder: &Folder) -> [LedgerError; 5] {
    let (bytes, path) = (folder.bytes(), folder.ledger());
    let errors = [
        Ledger::open(&path, at_minute(0)).map(|_| ()).unwrap_err(),
        Ledger::open_existing(&path, at_minute(0)).map(|_| ()).unwrap_err(),
        Ledger::open_dry_run(&path, at_minute(0)).map(|_| ()).unwrap_err(),
        Ledger::check_integrity(&path, at_minute(0)).unwrap_err(),
        LedgerReader::open(&path).map(|_| ()).unwrap_err(),
    ];
    assert!(folder.bytes() == bytes, "the file changed");
    assert!(
        folder.file_names().iter().all(|name| ["ledger.db", "ledger.db.lock"].contains(&&**name))
    );
    errors
}

pub(super) fn assert_damaged(folder: &Folder, what: &str) {
    for error in errors(folder) {
        assert!(matches!(error.problem, Problem::Damaged { .. }), "{what}: {error}");
    }
}

#[test]
fn an_empty_file() {
    let folder = healthy();
    fs::write(folder.ledger(), "").unwrap();
    for error in errors(&folder) {
        let Problem::Damaged { detail, .. } = error.problem else { panic!("{error}") };
        assert_eq!(detail, "the file is empty");
    }
}

#[test]
fn a_zeroed_file() {
    let folder = healthy();
    for length in [1, 512, 4096, 40_960] {
        fs::write(folder.ledger(), vec![0; length]).unwrap();
        assert_damaged(&folder, &format!("{length} zeros"));
    }
}

#[test]
fn a_file_cut_short() {
    let folder = healthy();
    let whole = folder.bytes();
    let last = whole.len();
    let cuts = [1, 15, 16, 17, 50, 99, 100, 101, 511, 512, 1000, 4095, 4096, 4097, 8192];
    for cut in cuts.into_iter().chain([last / 2, last - 4096, last - 100, last - 1]) {
        fs::write(folder.ledger(), &whole[..cut]).unwrap();
        assert_damaged(&folder, &format!("cut after {cut} bytes of {last}"));
    }
    // The last cut took one byte, which SQLite alone might read as a zero and accept.
    for error in errors(&folder) {
        assert!(error.to_string().ends_with("bytes are missing"), "{error}");
    }
    fs::write(folder.ledger(), &whole).unwrap();
    drop(folder.open());
}

#[test]
fn a_file_cut_short_in_a_text() {
    let folder = Folder::new();
    let ledger = folder.open();
    store(&ledger, "a", &["d"]);
    quarantine(&ledger, &queue(&ledger)[0], &"y".repeat(20_000));
    drop(ledger);
    // The last page has only the end of that message. Cut, it would read as zeros, and no check of
    // the tables would fail.
    let whole = folder.bytes();
    assert_eq!(whole[whole.len() - 4092], b'y');
    fs::write(folder.ledger(), &whole[..whole.len() - 4092]).unwrap();
    assert_damaged(&folder, "cut");
}

/// The table or index that each page belongs to; `None` where it is free.
fn owners(folder: &Folder) -> Vec<Option<String>> {
    let reader = folder.reader();
    let mut select = reader.db().prepare("SELECT name FROM dbstat WHERE pageno = ?1").unwrap();
    let pages = folder.bytes().len() / 4096;
    (1..=i64::try_from(pages).unwrap())
        .map(|page| select.query_row([page], |row| row.get(0)).optional().unwrap())
        .collect()
}

/// The tables and indexes that are examined in a file of any size.
const ALWAYS_EXAMINED: [&str; 14] = [
    "sqlite_schema",
    "sqlite_sequence",
    "tenant",
    "sqlite_autoindex_tenant_1",
    "tenant_state",
    "run",
    "run_times",
    "batch",
    "batch_quota",
    "outbox",
    "outbox_order",
    "repeat",
    "gap",
    "exclusion_hit",
];

#[test]
fn a_page_of_noise_in_a_large_file() {
    let folder = healthy_and_large();
    let whole = folder.bytes();
    let mut examined = BTreeSet::new();
    for (page, owner) in owners(&folder).into_iter().enumerate() {
        let Some(name) = owner.filter(|name| name != "padding" && examined.insert(name.clone()))
        else {
            continue;
        };
        let mut broken = whole.clone();
        broken[page * 4096..(page + 1) * 4096].fill(0x5A);
        fs::write(folder.ledger(), &broken).unwrap();
        if ALWAYS_EXAMINED.contains(&&*name) {
            assert_damaged(&folder, &name);
            continue;
        }
        // A reader does not examine `settled` and `sighting`, which takes a second, nor `left_out`,
        // on which nothing depends. A run does, because the file changed since the last run.
        drop(folder.reader());
        for opened in [
            Ledger::open(&folder.ledger(), at_minute(0)).map(|_| ()),
            Ledger::open_dry_run(&folder.ledger(), at_minute(0)).map(|_| ()),
            Ledger::check_integrity(&folder.ledger(), at_minute(0)),
        ] {
            let Err(LedgerError { problem: Problem::Damaged { unchanged: true, .. }, .. }) = opened
            else {
                panic!("{name}: {opened:?}")
            };
        }
        assert!(folder.bytes() == broken, "{name}: the file changed");
    }
    assert_eq!(examined.len(), ALWAYS_EXAMINED.len() + 3, "{examined:?}");
}

#[test]
fn a_page_of_zeros_or_noise() {
    let folder = healthy();
    let whole = folder.bytes();
    let owners = owners(&folder);
    for (page, owner) in owners.iter().enumerate() {
        for byte in [0, 0x5A] {
            let mut broken = whole.clone();
            broken[page * 4096..(page + 1) * 4096].fill(byte);
            fs::write(folder.ledger(), &broken).unwrap();
            let what = format!("page {page} of {owner:?} filled with {byte}");
            if owner.is_some() {
                assert_damaged(&folder, &what);
            } else {
                drop(Ledger::open_dry_run(&folder.ledger(), at_minute(0)));
            }
            assert!(folder.bytes() == broken, "{what}: the file changed");
        }
    }
    let count = |name: &str| owners.iter().flatten().filter(|owner| *owner == name).count();
    for name in ALWAYS_EXAMINED.into_iter().chain(["sighting", "settled", "left_out"]) {
        assert!(count(name) > 0, "{name}");
    }
    assert!(count("outbox") > 3 && count("sighting") > 1, "{owners:?}");
    assert!(owners.iter().flatten().count() > owners.len() / 2, "{owners:?}");
    fs::write(folder.ledger(), &whole).unwrap();
    Ledger::check_integrity(&folder.ledger(), at_minute(0)).unwrap();
}

#[test]
fn damage_that_comes_while_a_run_has_the_file_open_is_reported_where_it_is_read() {
    let folder = healthy_and_large();
    let whole = folder.bytes();
    let owners = owners(&folder);
    for name in ["sighting", "settled"] {
        for dry_run in [false, true] {
            fs::write(folder.ledger(), &whole).unwrap();
            let path = folder.ledger();
            let options = TenantOptions { run_id: name, ..options() };
            let clock = Clock::fixed(at_minute(0));
            let ledger = TenantLedger::open_alone(Some(&path), dry_run, options, clock).unwrap();
            let file = OpenOptions::new().write(true).open(&path).unwrap();
            for (page, _) in
                owners.iter().enumerate().filter(|(_, owner)| owner.as_deref() == Some(name))
            {
                file.write_all_at(&[0x5A; 4096], page as u64 * 4096).unwrap();
            }
            // Another program changed the file, so that nothing of it is in the cache any more.
            let other = Connection::open(&path).unwrap();
            other.execute_batch("CREATE TABLE other (x); DROP TABLE other").unwrap();
            let damaged =
                ledger.store(|store| store.add(&alert("d1"), &domain("delivered"), "field"));
            let Err(LedgerError { problem: Problem::Damaged { unchanged: false, .. }, .. }) =
                damaged
            else {
                panic!("{name}: {damaged:?}")
            };
        }
    }
}

#[test]
fn a_file_that_changed_since_the_last_run_is_examined_whole() {
    let folder = healthy_and_large();
    let whole = folder.bytes();
    let page = owners(&folder).iter().position(|owner| owner.as_deref() == Some("settled"));
    let mut broken = whole.clone();
    broken[page.unwrap() * 4096..][..4096].fill(0x5A);
    let lock = lock_path(&folder.ledger());
    let note_of_last_run = fs::read(&lock).unwrap();
    for note in [
        &*note_of_last_run,
        b"",
        b"1234 2026-03-01T00:00:00.000Z\n",
        b"1 2026-03-01T00:00:00.000Z 7 7\n",
    ] {
        fs::write(&lock, note).unwrap();
        fs::write(folder.ledger(), &broken).unwrap();
        let opened = Ledger::open(&folder.ledger(), at_minute(0));
        assert!(
            matches!(
                opened,
                Err(LedgerError { problem: Problem::Damaged { unchanged: true, .. }, .. })
            ),
            "{opened:?}"
        );
        assert!(folder.bytes() == broken, "the file changed");
        fs::write(folder.ledger(), &whole).unwrap();
        folder.open_as("crowdstrike", "again");
    }
}

#[test]
fn a_value_that_the_ledger_never_writes() {
    let folder = healthy();
    let db = Connection::open(folder.ledger()).unwrap();
    db.execute_batch(
        "UPDATE outbox SET type = 'rumour', stored_at = 'yesterday';
         UPDATE tenant SET read_until = 'soon';
         UPDATE settled SET type = 'rumour';
         UPDATE run SET started_at = 'today'",
    )
    .unwrap();
    drop(db);
    let ledger = folder.open_as("crowdstrike", "next");
    let mut damaged = vec![
        ledger.checkpoint().map(|_| ()),
        ledger
            .advance_checkpoint(Window { start: at_minute(0), end: at_minute(0) }, None)
            .map(|_| ()),
    ];
    let whole = ledger.ledger();
    let reader = whole.reader();
    damaged.extend([
        reader.list(&EntryFilter::default()).map(|_| ()),
        reader.status(at_minute(0), &TenantFilter::default()).map(|_| ()),
        reader.runs(DateTime::UNIX_EPOCH, &TenantFilter::default()).map(|_| ()),
        reader.top_indicators(DateTime::UNIX_EPOCH, 9, &TenantFilter::default()).map(|_| ()),
    ]);
    for (number, result) in damaged.into_iter().enumerate() {
        assert!(
            matches!(result, Err(LedgerError { problem: Problem::Damaged { .. }, .. })),
            "{number}: {result:?}"
        );
    }
}

#[test]
fn damaged_items_are_not_among_those_to_send() {
    let ledger = temporary();
    let other = format!(r#"{{"ioc": {{"type": "domain", "value": "{}"}}}}"#, domain("z").value());
    for (item, name) in ["null", "7", "{}", "[", "", r#"{"mitre_codes": ["T1059"]}"#, &other]
        .into_iter()
        .zip(["a", "b", "c", "d", "e", "f", "g"])
    {
        store(&ledger, name, &["d"]);
        let damage = "UPDATE outbox SET item = ?1 WHERE value = ?2";
        let indicator = domain(name);
        let values = [item, indicator.value()];
        assert_eq!(ledger.ledger().reader().db().execute(damage, values).unwrap(), 1);
    }
    store(&ledger, "good", &["d"]);
    // The item names another indicator than its row.
    store(&ledger, "swapped", &["d"]);
    let swap =
        "UPDATE outbox SET item = (SELECT item FROM outbox WHERE value = ?1) WHERE value = ?2";
    let values = [domain("good"), domain("swapped")].map(|indicator| indicator.value().to_owned());
    assert_eq!(ledger.ledger().reader().db().execute(swap, values).unwrap(), 1);
    store(&ledger, "odd", &["d"]);
    let update = "UPDATE outbox SET type = 'odd', item = json_set(item, '$.ioc.type', 'odd')
                  WHERE value = ?1";
    let changed = ledger.ledger().reader().db().execute(update, [domain("odd").value()]).unwrap();
    assert_eq!(changed, 1);
    let next = ledger.next_items(usize::MAX, None).unwrap();
    assert_eq!(next.items.iter().map(|item| item.id.0).collect::<Vec<_>>(), [8]);
    let damaged: Vec<_> = next.damaged.iter().map(|(id, _)| id.0).collect();
    assert_eq!(damaged, [1, 2, 3, 4, 5, 6, 7, 9, 10]);
    assert!(matches!(next.damaged[7].1, DamagedItem::OtherIndicator));
    assert!(matches!(next.damaged[8].1, DamagedItem::UnknownType));
    assert!(ledger.next_items(1, next.end).unwrap().end.is_none());
    for (id, error) in next.damaged {
        ledger.quarantine_damaged(id, &error.to_string()).unwrap();
    }
    assert_eq!((ledger.queued().unwrap(), quarantined(&ledger)), (1, 9));
}

#[test]
fn a_damaged_item_is_replaced_by_that_of_the_next_alert() {
    let folder = healthy();
    let ledger = folder.open_as("crowdstrike", "next");
    for (name, item) in
        [("a", "'{'"), ("b", "''"), ("c", "'[1]'"), ("d", "CAST(x'7B22FF227D' AS TEXT)")]
    {
        store(&ledger, name, &["d1"]);
        let value = domain(name);
        let damage = format!("UPDATE outbox SET item = {item} WHERE value = ?1");
        ledger.ledger().reader().db().execute(&damage, [value.value()]).unwrap();
        assert_eq!(
            add(&ledger, &alert_with_severity("d2", Some(7)), &value),
            StoreOutcome::Duplicate
        );
        let entries = queue(&ledger);
        let item: serde_json::Value = serde_json::from_str(entries[0].json.get()).unwrap();
        assert_eq!(
            (&item["detection"]["id"], &item["ioc"]["value"]),
            (&"d2".into(), &value.value().into())
        );
        deliver_all(&ledger);
        assert_eq!(state(&ledger, "d1", name), "delivered");
    }
}

#[test]
fn an_id_is_not_given_again_when_the_count_of_the_outbox_is_lost() {
    let folder = healthy();
    // At first a delivered entry has the highest id, then a queued one; in the last case, only a
    // sighting names it.
    for (name, id, lose) in [
        ("late", 62, "DELETE FROM sqlite_sequence"),
        ("later", 63, "UPDATE sqlite_sequence SET seq = 9"),
        ("latest", 64, "UPDATE sqlite_sequence SET seq = 'much'"),
        ("last", 65, "DELETE FROM sqlite_sequence; DELETE FROM outbox; DELETE FROM settled"),
    ] {
        if name == "late" {
            let ledger = folder.open();
            deliver_all(&ledger);
            ledger.delete_delivered().unwrap();
        }
        Connection::open(folder.ledger()).unwrap().execute_batch(lose).unwrap();
        let dry_run = folder.open_dry_run();
        let last_queued_id = |ledger: &TenantLedger| queue(ledger).last().unwrap().id.0;
        assert_eq!(store(&dry_run, name, &["d9"]), [StoreOutcome::New]);
        assert_eq!(last_queued_id(&dry_run), id, "{name}, dry run");
        drop(dry_run);
        let ledger = folder.open_as("crowdstrike", name);
        assert_eq!(store(&ledger, name, &["d9"]), [StoreOutcome::New]);
        assert_eq!(last_queued_id(&ledger), id, "{name}");
    }
    deliver_all(&folder.open());
}

#[test]
fn a_batch_id_is_not_given_again_when_the_count_of_the_batches_is_lost() {
    let folder = healthy();
    let db = Connection::open(folder.ledger()).unwrap();
    db.execute_batch(
        "UPDATE settled SET batch = 7; DELETE FROM batch; DELETE FROM sqlite_sequence",
    )
    .unwrap();
    let ledger = folder.open_as("crowdstrike", "next");
    deliver_all(&ledger);
    let last = db.query_row("SELECT max(id) FROM batch", [], |row| row.get::<_, i64>(0));
    assert_eq!(last.unwrap(), 8);
}

#[test]
fn a_sighting_whose_entry_is_nowhere_counts_as_never_seen() {
    let folder = healthy();
    let db = Connection::open(folder.ledger()).unwrap();
    db.execute_batch("DELETE FROM outbox WHERE id = 1").unwrap();
    drop(db);
    let ledger = folder.open_as("crowdstrike", "next");
    assert_eq!(state(&ledger, "d1", "n0"), "new");
    assert_eq!(state(&ledger, "d1", "n1"), "waiting");
    assert_eq!(store(&ledger, "n0", &["d1", "d2"]), [StoreOutcome::New, StoreOutcome::Duplicate]);
    deliver_all(&ledger);
    assert_eq!(
        (state(&ledger, "d1", "n0"), state(&ledger, "d2", "n0")),
        ("delivered".into(), "delivered".into())
    );
}
