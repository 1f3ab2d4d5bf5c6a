//! Saving what can be read of a damaged ledger.

use std::fs;

use super::*;

/// Returns a ledger of two tenants, each with a delivered, a queued and a quarantined indicator.
fn filled() -> Folder {
    let folder = Folder::new();
    for source in ["crowdstrike", "carbonblack"] {
        let ledger = folder.open_as(source, "run");
        ledger.begin_run("live", window()).unwrap();
        ledger
            .advance_checkpoint(Window { start: at_minute(-61), end: at_minute(-60) }, None)
            .unwrap();
        for name in ["delivered", "quarantined", "queued"] {
            store(&ledger, name, &["d1", "d2"]);
        }
        let items = queue(&ledger);
        ledger.deliver_batch(ledger.begin_batch(&items[..1]).unwrap()).unwrap();
        quarantine(&ledger, &items[1], "no");
        ledger.finish_run(0, "{}", None).unwrap();
        count_rule_hits(&ledger, &[("example.com", 2), (source, 1)]);
        add_left_out_samples(&ledger, &[("left-out.example.com", "d", 3)]);
    }
    folder
}

/// Repairs the ledger, and asserts that everything is known as before.
fn assert_repaired(folder: &Folder, what: &str) {
    let damaged = folder.bytes();
    let opened = Ledger::open(&folder.ledger(), at_minute(0));
    assert!(
        matches!(opened, Err(LedgerError { problem: Problem::Damaged { .. }, .. })),
        "{what}: {opened:?}"
    );
    let repaired = Ledger::repair(&folder.ledger(), at_minute(0)).unwrap().expect("it was damaged");
    assert_eq!(repaired.incomplete, [""; 0], "{what}");
    // Of each tenant, two entries are in the outbox, and one was delivered.
    assert_eq!((repaired.pending, repaired.settled), (4, 2), "{what}");
    assert!(fs::read(&repaired.damaged).unwrap() == damaged, "{what}: the damaged file changed");
    fs::remove_file(repaired.damaged).unwrap();
    assert_eq!(folder.file_names(), ["ledger.db", "ledger.db.lock"], "{what}");
    Ledger::check_integrity(&folder.ledger(), at_minute(0)).unwrap();
    let rules = folder.reader().rules_hit_since(at_minute(0)).unwrap();
    let expected = ["carbonblack", "crowdstrike", "example.com"].map(str::to_owned);
    assert_eq!(rules, expected.into(), "{what}");
    let all = TenantFilter::default();
    let left_out = folder.reader().top_left_out(at_minute(0), 9, &all).unwrap();
    assert_eq!((left_out.len(), left_out[0].mentions), (1, 6), "{what}");
    for source in ["crowdstrike", "carbonblack"] {
        let ledger = folder.open_as(source, "next");
        assert_eq!(state(&ledger, "d2", "delivered"), "delivered", "{what}");
        assert_eq!(state(&ledger, "d1", "quarantined"), "quarantined", "{what}");
        assert_eq!(ledger.queued().unwrap(), 1, "{what}");
        assert_eq!(ledger.checkpoint().unwrap(), Some(at_minute(-60)), "{what}");
        assert_eq!(store(&ledger, "new", &["d9"]), [StoreOutcome::New]);
        assert!(queue(&ledger).last().unwrap().id.0 > 6, "{what}: an id is given twice");
    }
}

#[test]
fn a_damaged_index_a_header_or_a_definition_loses_nothing() {
    let flips: [(&str, usize, &[u8]); 5] = [
        ("the name of the format", 3, b"?"),
        ("the version", 63, b"\x03"),
        ("the application", 68, b"?"),
        ("the number of pages", 31, b"\x05"),
        ("the encoding", 59, b"\x03"),
    ];
    for (what, offset, bytes) in flips {
        let folder = filled();
        let mut damaged = folder.bytes();
        damaged[offset..offset + bytes.len()].copy_from_slice(bytes);
        fs::write(folder.ledger(), damaged).unwrap();
        if what == "the version" {
            // The file counts as one of a newer release.
            let repaired = Ledger::repair(&folder.ledger(), at_minute(0));
            assert!(
                matches!(repaired, Err(LedgerError { problem: Problem::Newer { .. }, .. })),
                "{repaired:?}"
            );
        } else {
            assert_repaired(&folder, what);
        }
    }
    for index in ["outbox_order", "tenant_state", "batch_quota", "run_times"] {
        let folder = filled();
        let select = format!("SELECT rootpage FROM sqlite_schema WHERE name = '{index}'");
        let reader = folder.reader();
        let page: usize =
            reader.db().query_row(&select, [], |row| row.get::<_, u32>(0)).unwrap() as usize;
        drop(reader);
        let mut damaged = folder.bytes();
        damaged[(page - 1) * 4096..page * 4096].fill(0x5A);
        fs::write(folder.ledger(), damaged).unwrap();
        assert_repaired(&folder, index);
    }
    let folder = filled();
    let mut damaged = folder.bytes();
    // Every copy of the definition: a page may have one that is not in use.
    for at in 0..damaged.len() - 16 {
        if damaged[at..].starts_with(b"severity    INTE") {
            damaged[at] = b'r';
        }
    }
    fs::write(folder.ledger(), damaged).unwrap();
    assert_repaired(&folder, "the definition of a table");
}

#[test]
fn a_damaged_table_is_named_and_all_others_are_saved() {
    let folder = filled();
    let reader = folder.reader();
    let select = "SELECT rootpage FROM sqlite_schema WHERE name = 'settled'";
    let page: usize =
        reader.db().query_row(select, [], |row| row.get::<_, u32>(0)).unwrap() as usize;
    drop(reader);
    let mut damaged = folder.bytes();
    damaged[(page - 1) * 4096..page * 4096].fill(0x5A);
    fs::write(folder.ledger(), damaged).unwrap();
    let repaired = Ledger::repair(&folder.ledger(), at_minute(0)).unwrap().expect("it was damaged");
    assert_eq!(repaired.incomplete.len(), 1);
    assert!(repaired.incomplete[0].starts_with("settled: "), "{repaired:?}");
    // One delivered row was still in the outbox, and nothing says any more that it was delivered.
    assert_eq!((repaired.pending, repaired.settled), (5, 0));
}

#[test]
fn a_file_that_is_not_damaged_or_not_a_ledger_stays_as_it_is() {
    let folder = filled();
    let bytes = folder.bytes();
    assert_eq!(Ledger::repair(&folder.ledger(), at_minute(0)).unwrap(), None);
    assert!(folder.bytes() == bytes);
    for content in [&b"Dear diary"[..], &[0; 8192], b""] {
        fs::write(folder.ledger(), content).unwrap();
        let repaired = Ledger::repair(&folder.ledger(), at_minute(0)).map(|_| ());
        assert!(repaired.is_err(), "{content:?}");
        assert!(folder.bytes() == content, "the file changed");
        assert_eq!(folder.file_names(), ["ledger.db", "ledger.db.lock"]);
    }
    fs::remove_file(folder.ledger()).unwrap();
    assert_eq!(Ledger::repair(&folder.ledger(), at_minute(0)).unwrap(), None);
    assert!(!folder.ledger().exists());
}

#[test]
fn an_entry_that_is_being_sent_counts_once() {
    let folder = Folder::new();
    let ledger = folder.open();
    store(&ledger, "sending", &["d1"]);
    let _batch = ledger.begin_batch(&queue(&ledger)).unwrap();
    drop(ledger);
    let mut damaged = folder.bytes();
    // The name of the format.
    damaged[3] = b'?';
    fs::write(folder.ledger(), damaged).unwrap();
    let repaired = Ledger::repair(&folder.ledger(), at_minute(0)).unwrap().expect("it was damaged");
    assert_eq!((repaired.pending, repaired.settled), (1, 0));
}
