//! A ledger of an older version is brought up to date with everything it holds.

use std::path::Path;

use rusqlite::Connection;
use tempfile::TempDir;

use super::super::*;
use super::*;

fn version_1(path: &Path) {
    Connection::open(path)
        .unwrap()
        .execute_batch(include_str!("version_1.sql"))
        .unwrap();
}

/// Each table and index as it was defined, and each row of the tables of version 1.
fn content(path: &Path) -> (Vec<String>, Vec<String>) {
    let db = Connection::open(path).unwrap();
    let texts = |select: &str| -> Vec<String> {
        db.prepare(select)
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .map(std::result::Result::unwrap)
            .collect()
    };
    let schema = texts("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name");
    let rows = [
        "tenant, id, mode, started_at, finished_at, exit_code, counts, error FROM run",
        "id, source, account, token, organizations, read_until FROM tenant",
        "id, tenant, run, kind, value, severity, item, stored_at, tries, state, status, words FROM outbox",
        "tenant, detection, kind, value, outbox, delivered_at, dropped_at FROM sighting",
        "token, day, used FROM quota",
    ]
    .map(|table| table.split_once(" FROM ").unwrap())
    .map(|(columns, table)| {
        texts(&format!("SELECT json_array({columns}) FROM {table} ORDER BY 1"))
    });
    (schema, rows.concat())
}

#[test]
fn version_1_keeps_its_rows_and_gets_the_tables_of_a_new_one() {
    let folder = TempDir::new().unwrap();
    let (old, new) = (
        folder.path().join("old.db"),
        folder.path().join("ledger.db"),
    );
    version_1(&old);
    let (_, rows) = content(&old);
    assert_eq!(rows.len(), 2 + 2 + 6 + 10 + 1);

    drop(Ledger::open(&old, at(0)).unwrap());
    drop(Ledger::open(&new, at(0)).unwrap());
    let (schema, kept) = content(&old);
    assert_eq!(kept, rows);
    assert_eq!(schema, content(&new).0);
    assert!(View::open(&old).unwrap().is_some());
}

#[test]
fn what_waited_in_version_1_is_counted_when_it_is_delivered() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("ledger.db");
    version_1(&path);
    let ledger = Ledger::open(&path, at(0)).unwrap();
    let status = ledger.view().status(at(0).date_naive()).unwrap();
    let tenant = status
        .iter()
        .find(|status| status.waiting > 0)
        .unwrap()
        .tenant;
    let ids: Vec<_> = ledger
        .batch(tenant, 99, None)
        .unwrap()
        .iter()
        .map(|pending| pending.id)
        .collect();
    ledger.settle_delivered(tenant, TOKEN, &ids, at(1)).unwrap();
    let techniques = ledger.view().techniques(at(0).date_naive(), 9).unwrap();
    let named: Vec<_> = techniques
        .iter()
        .map(|technique| (technique.code.as_str(), technique.submissions))
        .collect();
    assert_eq!(named, [("T1071.001", 3), ("T1055.012", 1)]);
}

#[test]
fn to_look_and_to_rehearse_leave_version_1_as_it_is() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("ledger.db");
    version_1(&path);
    let before = std::fs::read(&path).unwrap();
    let refused = View::open(&path).map(|_| ()).unwrap_err().to_string();
    assert!(
        refused.contains("still has version 1; the next run brings it up to 2"),
        "{refused}"
    );
    let rehearsal = Ledger::rehearse(&path, at(0)).unwrap();
    assert_eq!(rehearsal.view().list(&Filter::default()).unwrap().len(), 6);
    drop(rehearsal);
    assert_eq!(std::fs::read(&path).unwrap(), before);
}
