//! A ledger of an older version is brought up to date with everything it holds.

use std::path::Path;

use rusqlite::Connection;
use tempfile::TempDir;

use super::super::*;
use super::*;

/// The ledgers of earlier versions, and how many rows of each table they hold: runs, tenants, in the outbox, sightings,
/// days of quota, techniques.
const EARLIER: [(&str, [usize; 6]); 2] = [
    (include_str!("version_1.sql"), [2, 2, 6, 10, 1, 0]),
    (include_str!("version_2.sql"), [3, 2, 2, 16, 1, 5]),
];

fn make(path: &Path, dump: &str) {
    Connection::open(path).unwrap().execute_batch(dump).unwrap();
}

fn texts(db: &Connection, select: &str) -> Vec<String> {
    db.prepare(select)
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(std::result::Result::unwrap)
        .collect()
}

/// Each table and index as it was defined.
fn schema(path: &Path) -> Vec<String> {
    let select = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name";
    texts(&Connection::open(path).unwrap(), select)
}

/// Each row of each table, with the state of a sighting put as version 1 put it.
fn rows(path: &Path) -> [Vec<String>; 6] {
    let db = Connection::open(path).unwrap();
    let has = |table: &str| db.table_exists(None, table).unwrap();
    let sightings = if has("settled") {
        "tenant, detection, sighting.kind, sighting.value, outbox.id, delivered_at, dropped_at
         FROM sighting LEFT JOIN outbox ON outbox.id = entry LEFT JOIN settled ON settled.id = entry"
    } else {
        "tenant, detection, kind, value, outbox, delivered_at, dropped_at FROM sighting"
    };
    [
        "tenant, id, mode, read_from, read_until, started_at, finished_at, exit_code, counts, error FROM run",
        "id, source, account, token, organizations, read_until FROM tenant",
        "id, tenant, run, kind, value, severity, rank, item, stored_at, tries, state, status, words, refused_at
         FROM outbox",
        &sightings.replace("tenant, d", "sighting.tenant, d"),
        "token, day, used FROM quota",
        "tenant, day, code, submissions FROM technique",
    ]
    .map(|table| {
        let (columns, table) = table.split_once("FROM ").unwrap();
        if table == "technique" && !has(table) {
            return Vec::new();
        }
        let select = format!("SELECT json_array({columns}) FROM {table} ORDER BY 1");
        texts(&db, &select)
    })
}

#[test]
fn every_version_keeps_its_rows_and_gets_the_tables_of_a_new_one() {
    let folder = TempDir::new().unwrap();
    let new = folder.path().join("ledger.db");
    drop(open(&new));
    for (dump, counts) in EARLIER {
        let old = folder.path().join(format!("{}.db", dump.len()));
        make(&old, dump);
        let before = rows(&old);
        assert_eq!(before.each_ref().map(Vec::len), counts);
        drop(open(&old));
        assert_eq!(rows(&old), before);
        assert_eq!(schema(&old), schema(&new));
        assert!(View::open(&old).unwrap().is_some());
    }
}

#[test]
fn what_was_settled_at_one_time_shares_a_number_that_the_outbox_never_gives() {
    let folder = TempDir::new().unwrap();
    for (dump, times) in [(EARLIER[0].0, 3), (EARLIER[1].0, 4)] {
        let path = folder.path().join(format!("{times}.db"));
        make(&path, dump);
        drop(open(&path));
        let db = Connection::open(&path).unwrap();
        let ids = texts(&db, "SELECT cast(id AS TEXT) FROM settled ORDER BY id DESC");
        let expected: Vec<_> = (1..=times).map(|n: i64| (-n).to_string()).collect();
        assert_eq!(ids, expected);
        let named =
            "SELECT DISTINCT cast(entry AS TEXT) FROM sighting WHERE entry < 0 ORDER BY entry DESC";
        assert_eq!(texts(&db, named), expected);
    }
}

/// A ledger of version 2, brought up to date, and its tenant with the most rows.
fn upgraded(path: &Path) -> (Ledger, TenantId) {
    make(path, EARLIER[1].0);
    let ledger = open(path);
    let status = ledger.view().status(at(0).date_naive()).unwrap();
    let falcon = status.iter().find(|one| one.source == "crowdstrike");
    let tenant = falcon.unwrap().tenant;
    (ledger, tenant)
}

/// The sightings of version 2's ledger, one or more in each state: the end of the detection, and the indicator.
const DELIVERED: (&str, &str) = ("6fb:262549243303-13", "b3d9677281d9bd3b");
const DROPPED: (&str, &str) = ("3a9a:890212306659-36", "ede298be0a5f1666");
const QUARANTINED: (&str, &str) = ("6481:483306401755-8", "3512aa3f7f051063");
const WAITING: (&str, &str) = ("6481:483306401755-8", "65e3e0d199c56ee1");
const MERGED: (&str, &str) = ("6481:999999999999-9", "65e3e0d199c56ee1");

/// A submission of that sighting alone.
fn submission(ledger: &Ledger, (detection, value): (&str, &str)) -> Entry {
    let select = "SELECT detection, value FROM sighting WHERE detection LIKE '%' || ?1 AND value LIKE ?2 || '%'";
    let (detection, value): (String, String) =
        ledger.view().db().query_row(select, [detection, value], |row| row.try_into()).unwrap();
    Entry {
        indicator: Indicator::parse(ClaimedType::Sha256, &value).unwrap(),
        ..entry("again", None, &[&detection])
    }
}

fn known(ledger: &Ledger, tenant: TenantId, sighting: (&str, &str)) -> Known {
    let entry = submission(ledger, sighting);
    ledger.known(tenant, &entry.detections[0], &entry.indicator).unwrap()
}

#[test]
fn every_sighting_of_version_2_is_in_the_state_it_was() {
    let folder = TempDir::new().unwrap();
    let (ledger, tenant) = upgraded(&folder.path().join("ledger.db"));
    let states = [DELIVERED, DROPPED, QUARANTINED, WAITING, MERGED]
        .map(|sighting| known(&ledger, tenant, sighting));
    assert_eq!(
        states,
        [Known::Delivered, Known::Dropped, Known::Quarantined, Known::Waiting, Known::Waiting]
    );
    let seen = ledger.view().most_seen(DateTime::UNIX_EPOCH, 99).unwrap();
    assert_eq!(seen.len(), 12);
}

#[test]
fn what_version_2_settled_is_sent_again_or_not_as_before() {
    let folder = TempDir::new().unwrap();
    let (ledger, tenant) = upgraded(&folder.path().join("ledger.db"));
    let both = [DELIVERED, DROPPED].map(|sighting| submission(&ledger, sighting));
    let store = |resend| ledger.store(tenant, "run", &both, resend, at(0)).unwrap();
    assert_eq!(store(false), 0);
    assert_eq!(store(true), 1);
    assert_eq!(known(&ledger, tenant, DELIVERED), Known::Waiting);
    assert_eq!(known(&ledger, tenant, DROPPED), Known::Dropped);
    // Delivered in the same batch, and so under the same number.
    let companion = ("334677f88:69515665837-3", "ba336a2b65a11bbc");
    assert_eq!(known(&ledger, tenant, companion), Known::Delivered);
}

#[test]
fn what_version_2_held_goes_its_way_and_is_forgotten_in_time() {
    let folder = TempDir::new().unwrap();
    let (ledger, tenant) = upgraded(&folder.path().join("ledger.db"));
    let settled = DateTime::parse_from_rfc3339("2026-11-22T12:10:08.763Z").unwrap();
    let now = settled.to_utc();
    ledger.retry_quarantined(&Filter::default()).unwrap();
    let waiting = ledger.batch(tenant, 99, None).unwrap();
    let ids: Vec<_> = waiting.iter().map(|pending| pending.id).collect();
    assert_eq!(ids, [EntryId(12), EntryId(13)]);
    ledger.settle_delivered(tenant, TOKEN, &ids, now + SIGHTINGS_KEPT).unwrap();
    let states = [QUARANTINED, WAITING, MERGED].map(|sighting| known(&ledger, tenant, sighting));
    assert_eq!(states, [Known::Delivered; 3]);
    // The dropped one is the youngest of those that version 2 settled: 13 sightings, of three times and two tenants.
    let forgotten = ledger.forget(now + SIGHTINGS_KEPT).unwrap();
    assert_eq!(forgotten.sightings, 12);
    assert_eq!(known(&ledger, tenant, DROPPED), Known::Dropped);
    let later = now + SIGHTINGS_KEPT + TimeDelta::milliseconds(1);
    assert_eq!(ledger.forget(later).unwrap().sightings, 1);
    assert_eq!(known(&ledger, tenant, MERGED), Known::Delivered);
}

#[test]
fn what_waited_in_version_1_is_counted_when_it_is_delivered() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("ledger.db");
    make(&path, EARLIER[0].0);
    let ledger = Ledger::open(&path, at(0)).unwrap();
    let status = ledger.view().status(at(0).date_naive()).unwrap();
    let tenant = status.iter().find(|status| status.waiting > 0).unwrap().tenant;
    let ids: Vec<_> =
        ledger.batch(tenant, 99, None).unwrap().iter().map(|pending| pending.id).collect();
    ledger.settle_delivered(tenant, TOKEN, &ids, at(1)).unwrap();
    let techniques = ledger.view().techniques(at(0).date_naive(), 9).unwrap();
    let named: Vec<_> = techniques
        .iter()
        .map(|technique| (technique.code.as_str(), technique.submissions))
        .collect();
    assert_eq!(named, [("T1071.001", 3), ("T1055.012", 1)]);
}

#[test]
fn to_look_and_to_rehearse_leave_an_earlier_version_as_it_is() {
    let folder = TempDir::new().unwrap();
    for (version, (dump, counts)) in (1..).zip(EARLIER) {
        let path = folder.path().join(format!("{version}.db"));
        make(&path, dump);
        let before = std::fs::read(&path).unwrap();
        let refused = View::open(&path).map(|_| ()).unwrap_err().to_string();
        let told = format!("still has version {version}; the next run brings it up to 3");
        assert!(refused.contains(&told), "{refused}");
        let rehearsal = Ledger::rehearse(&path, at(0)).unwrap();
        let held = rehearsal.view().list(&Filter::default()).unwrap();
        assert_eq!(held.len(), counts[2]);
        drop(rehearsal);
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }
}

#[test]
fn a_killed_upgrade_leaves_version_2_which_the_next_run_brings_up() {
    let folder = TempDir::new().unwrap();
    let (path, killed) = (folder.path().join("ledger.db"), folder.path().join("killed.db"));
    make(&path, EARLIER[1].0);
    let (whole, before) = (std::fs::read(&path).unwrap(), rows(&path));
    let db = Connection::open(&path).unwrap();
    // With so small a cache, the file holds half of the changes before any is committed.
    db.execute_batch("PRAGMA cache_size = 1; BEGIN").unwrap();
    schema::migrate(&db, 2).unwrap();
    let beside = |path: &Path| files::beside(path, "-journal");
    std::fs::copy(&path, &killed).unwrap();
    std::fs::copy(beside(&path), beside(&killed)).unwrap();
    drop(db);
    assert_ne!(std::fs::read(&killed).unwrap(), whole);
    assert!(matches!(View::open(&killed), Err(LedgerError::Older { found: 2, .. })));
    assert_eq!(rows(&killed), before);
    drop(open(&killed));
    assert_eq!(rows(&killed), before);
}
