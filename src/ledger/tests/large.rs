//! A ledger of 90 days with 15,000 submissions a day:
//! `cargo test --release --lib -- --ignored --nocapture large_ledger`.

use std::time::Instant;

use super::timing::{Stopwatch, large_alert, send_all, sha256, store_all};
use super::*;

const DAYS: usize = 90;
const PER_DAY: usize = 15_000;
const BATCH: usize = 1000;

/// The alert with this number: those of a day are created evenly over it.
fn mention(number: usize) -> (Detection, Indicator) {
    let milliseconds = 86_400_000 / PER_DAY * number;
    let created_at = at(0) + TimeDelta::milliseconds(i64::try_from(milliseconds).unwrap());
    (large_alert(number, created_at), sha256(number))
}

/// Writes what the runs of all days but the last left, faster than the runs would.
fn fill(db: &Connection, tenant: TenantId) -> rusqlite::Result<()> {
    let techniques = r#"{"T1055":211,"T1059.001":430,"T1071.001":87,"T1204.002":172,"T1566":100}"#;
    let counts = r#"{"alerts_fetched":15120,"indicators_found":15120,"indicators_repeated":120,"submitted":15000,"processed":15000}"#;
    db.execute_batch("PRAGMA synchronous = OFF; BEGIN")?;
    let mut run = db.prepare(
        "INSERT INTO run (id, tenant, mode, read_from, read_until, started_at, finished_at, exit_code, counts)
         VALUES (?1, ?2, 'live', ?3, ?4, ?4, ?4, 0, ?5)",
    )?;
    let mut batch = db.prepare(
        "INSERT INTO batch (id, tenant, token, state, entries, first_entry, last_entry, techniques, ended_at)
         VALUES (?1, ?2, ?3, 'delivered', ?4, ?5, ?6, ?7, ?8)",
    )?;
    let mut settled = db.prepare(
        "INSERT INTO settled (id, type, value, detections, batch) VALUES (?1, ?2, ?3, 1, ?4)",
    )?;
    let mut sighting = db.prepare(
        "INSERT INTO sighting (tenant, created_at, detection, entry) VALUES (?1, ?2, ?3, ?4)",
    )?;
    let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let batches_per_day = PER_DAY / BATCH;
    for day in 0..DAYS - 1 {
        let (first, end) = (day * PER_DAY, (day + 1) * PER_DAY);
        let now = columns::Time(at(number(day + 1) * DAY + 15));
        let from = columns::Time(at(number(day) * DAY + 15));
        run.execute(params![format!("{day:032x}"), tenant.0, from, now, counts])?;
        // Batches take entries by severity, so that the ids of each are from the whole day.
        for part in 0..batches_per_day {
            batch.execute(params![
                number(day * batches_per_day + part + 1),
                tenant.0,
                "d".repeat(64),
                number(BATCH),
                number(first + part + 1),
                number(end - batches_per_day + part + 1),
                techniques,
                now,
            ])?;
        }
        for entry in first..end {
            let (detection, indicator) = mention(entry);
            let in_batch = number(day * batches_per_day + entry % batches_per_day + 1);
            let kind = indicator.kind().as_str();
            settled.execute(params![number(entry + 1), kind, indicator.value(), in_batch])?;
            let created = detection.created_at.timestamp_millis();
            sighting.execute(params![tenant.0, created, detection.id, number(entry + 1)])?;
        }
    }
    db.execute(
        "INSERT INTO sqlite_sequence (name, seq) VALUES ('outbox', ?1)",
        [number((DAYS - 1) * PER_DAY)],
    )?;
    db.execute_batch("COMMIT; PRAGMA synchronous = EXTRA")
}

fn print_sizes(folder: &Folder) {
    println!("{} MB", std::fs::metadata(folder.ledger()).unwrap().len() / 1_000_000);
    let reader = folder.reader();
    let select =
        "SELECT name, sum(pgsize) / 1000000 FROM dbstat GROUP BY name ORDER BY 2 DESC LIMIT 4";
    let mut select = reader.db().prepare(select).unwrap();
    let mut rows = select.query([]).unwrap();
    while let Some(row) = rows.next().unwrap() {
        let (name, megabytes): (String, i64) = (row.get(0).unwrap(), row.get(1).unwrap());
        println!("  {name}: {megabytes} MB");
    }
}

#[test]
#[ignore = "a measurement, for release builds"]
fn large_ledger() {
    let folder = Folder::new();
    let mut ledger = folder.open();
    let started = Instant::now();
    fill(ledger.reader().db(), ledger.tenant).unwrap();
    println!("filled in {} s", started.elapsed().as_secs());
    // The last day as a run does it.
    let end = i64::try_from(DAYS).unwrap() * DAY;
    set_time(&mut ledger, end);
    let last_day: Vec<_> = ((DAYS - 1) * PER_DAY..DAYS * PER_DAY).map(mention).collect();
    let mut watch = Stopwatch::start();
    assert_eq!(store_all(&ledger, &last_day), PER_DAY);
    watch.lap("store 15,000 new");
    for _ in 0..20 {
        let items = ledger.next_items(BATCH, None).unwrap();
        let batch = ledger.begin_batch(&items).unwrap();
        ledger.release_batch(&batch).unwrap();
    }
    watch.lap("begin and release 20 batches");
    assert_eq!(send_all(&ledger, BATCH), PER_DAY / BATCH);
    watch.lap("begin and deliver 15 batches");
    ledger.delete_delivered().unwrap();
    watch.lap("delete 15,000 delivered rows");
    print_sizes(&folder);
    drop(ledger);
    watch.restart();
    let mut ledger = folder.open_as("crowdstrike", "next");
    watch.lap("open for a run");
    set_time(&mut ledger, end);
    assert_eq!(store_all(&ledger, &last_day), 0);
    watch.lap("look up 15,000 delivered of the last day");
    let again: Vec<_> = (DAYS * PER_DAY..DAYS * PER_DAY + 20_000)
        .map(|number| mention(if number % 4 == 0 { number - PER_DAY } else { number }))
        .collect();
    watch.restart();
    assert_eq!(store_all(&ledger, &again), 15_000);
    watch.lap("store 20,000, of which 5,000 are known");
    send_all(&ledger, BATCH);
    ledger.delete_delivered().unwrap();
    watch.lap("send them in 15 batches, and delete them");
    assert_eq!(ledger.purge_expired().unwrap(), purge::Purged::default());
    watch.lap("purge, nothing old enough");
    for day in [1, 2] {
        set_time(&mut ledger, end + day * DAY + 16);
        assert_eq!(ledger.purge_expired().unwrap().sightings, 15_000);
        watch.lap("purge a day");
    }
    set_time(&mut ledger, end + 11 * DAY + 16);
    assert_eq!(ledger.purge_expired().unwrap().sightings, 9 * 15_000);
    watch.lap("purge nine days at once");
    for _ in 0..PER_DAY / BATCH {
        count_delivered(&ledger, TOKEN, 1000, end - 400 * DAY);
    }
    watch.restart();
    assert_eq!(ledger.purge_expired().unwrap().batches, 15);
    watch.lap("purge the 15 batches of a day 400 days ago");
}

#[test]
#[ignore = "a measurement, for release builds"]
fn large_ledger_for_commands() {
    let folder = Folder::new();
    let mut ledger = folder.open();
    fill(ledger.reader().db(), ledger.tenant).unwrap();
    let end = i64::try_from(DAYS).unwrap() * DAY;
    set_time(&mut ledger, end);
    let last_day: Vec<_> = ((DAYS - 1) * PER_DAY..DAYS * PER_DAY).map(mention).collect();
    store_all(&ledger, &last_day);
    send_all(&ledger, BATCH);
    ledger.delete_delivered().unwrap();
    drop(ledger);
    let mut watch = Stopwatch::start();
    let reader = folder.reader();
    watch.lap("open a reader");
    let status = reader.status(at(end).date_naive()).unwrap();
    watch.lap("status");
    assert_eq!(status[0].used_today, u64::try_from(PER_DAY).unwrap());
    for days in [30, 90] {
        let top = reader.top_indicators(at(end - days * DAY), 10).unwrap();
        watch.lap(&format!("top indicators of {days} days"));
        assert_eq!(top.len(), 10);
        reader.techniques(at(end - days * DAY).date_naive(), 10).unwrap();
        watch.lap(&format!("techniques of {days} days"));
    }
    reader.runs(at(0)).unwrap();
    watch.lap("runs");
    drop(reader);
    watch.restart();
    let dry_run = folder.open_dry_run();
    watch.lap("open for a dry run");
    assert_eq!(store_all(&dry_run, &last_day), 0);
    watch.lap("look up 15,000 in a dry run");
    drop(dry_run);
    watch.restart();
    Ledger::verify(&folder.ledger(), at(end)).unwrap();
    watch.lap("verify the whole file");
}
