//! How long operations of the ledger take; `tests/compare/` measures whole runs. To measure:
//! `cargo test --release --lib -- --ignored --nocapture timing`.

use std::time::Instant;

use super::*;

const COUNT: usize = 100_000;

/// Prints how long each step took.
struct Stopwatch(Instant);

impl Stopwatch {
    fn start() -> Self {
        Self(Instant::now())
    }

    fn lap(&mut self, step: &str) {
        println!("{step:<52} {:>9.1} ms", self.0.elapsed().as_secs_f64() * 1000.0);
        self.0 = Instant::now();
    }

    /// Starts again, so that what was done since the last lap does not count.
    fn restart(&mut self) {
        self.0 = Instant::now();
    }
}

/// An alert with an id and an item of about the size that vendors have.
fn large_alert(number: usize, created_at: DateTime<Utc>) -> Detection {
    let (host, digits) = (number % 3001, 262_549_243_303 + number * 7919);
    Detection {
        observed_at: created_at,
        created_at,
        name: Some("Process that is known to be malicious was started by a script".to_owned()),
        incident_name: Some("Malicious process".to_owned()),
        mitre_codes: codes(&["T1059.001", "TA0002"]),
        ..alert_with_severity(
            &format!("{:032x}:ind:{host:032x}:{digits}-{}-{digits}", 0x5EED_u128, number % 97),
            u8::try_from(number % 5 * 20).ok(),
        )
    }
}

fn sha256(number: usize) -> Indicator {
    let spread = u64::try_from(number).unwrap().wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let text = format!("{spread:016x}{number:016x}{spread:016x}{spread:016x}");
    Indicator::parse(ClaimedType::Sha256, &text).unwrap()
}

/// Stores mentions in transactions of 1000, and returns how many were new.
fn store_all(ledger: &TenantLedger, mentions: &[(Detection, Indicator)]) -> usize {
    let store_page = |page: &[(Detection, Indicator)]| {
        ledger.store(|store| {
            let mut new = 0;
            for (detection, indicator) in page {
                if store.add(detection, indicator, "sha256")? == StoreOutcome::New {
                    new += 1;
                }
            }
            Ok(new)
        })
    };
    mentions.chunks(1000).map(|page| store_page(page).unwrap()).sum()
}

/// Sends everything in batches of `size`, and returns their number.
fn send_all(ledger: &TenantLedger, size: usize) -> usize {
    let mut batches = 0;
    loop {
        let items = ledger.next_items(size, None).unwrap().items;
        if items.is_empty() {
            return batches;
        }
        ledger.deliver_batch(ledger.begin_batch(&items).unwrap()).unwrap();
        batches += 1;
    }
}

#[test]
#[ignore = "a measurement, for release builds"]
fn timing_of_100_000_new_mentions() {
    let folder = Folder::new();
    let mentions: Vec<_> =
        (0..COUNT).map(|number| (large_alert(number, at_minute(0)), sha256(number))).collect();
    let mut watch = Stopwatch::start();
    let ledger = folder.open();
    watch.lap("create");
    assert_eq!(store_all(&ledger, &mentions), COUNT);
    watch.lap("store 100,000 new");
    assert_eq!(store_all(&ledger, &mentions), 0);
    watch.lap("store them again in the same run");
    drop(ledger);
    println!("{} MB", std::fs::metadata(folder.ledger()).unwrap().len() / 1_000_000);
    watch.restart();
    let mut ledger = folder.open_as("crowdstrike", "next");
    watch.lap("open with 100,000 queued");
    assert_eq!(store_all(&ledger, &mentions), 0);
    watch.lap("store them again in the next run");
    let mut after = None;
    while let Some(end) = ledger.next_items(1000, after).unwrap().end {
        after = Some(end);
    }
    watch.lap("read 100 batches by cursor");
    assert_eq!(send_all(&ledger, 1000), COUNT / 1000);
    watch.lap("begin and deliver 100 batches");
    ledger.delete_delivered().unwrap();
    watch.lap("delete 100,000 delivered rows");
    drop(ledger);
    watch.restart();
    ledger = folder.open_as("crowdstrike", "last");
    watch.lap("open with 100,000 delivered");
    assert_eq!(store_all(&ledger, &mentions), 0);
    watch.lap("look up 100,000 delivered");
    folder.reader().status(at_minute(0), &TenantFilter::default()).unwrap();
    watch.lap("open a reader and read the status");
    ledger.purge_expired_at(at_minute(0)).unwrap();
    watch.lap("purge, nothing old enough");
    set_time(&mut ledger, 100 * DAY);
    ledger.purge_expired_at(at_minute(100 * DAY)).unwrap();
    watch.lap("purge 100,000");
    let sample = |number: usize| {
        ("excluded", sha256(number).value().to_owned(), mentions[number].0.id.clone(), 1)
    };
    let left_out = LeftOut::from_samples((0..crate::selection::MAX_SAMPLES).map(sample));
    for _ in 0..2 {
        watch.restart();
        ledger.store(|store| store.add_left_out(&left_out)).unwrap();
        watch.lap("store 5,000 samples of what was left out");
    }
}

/// Fills a ledger with the history of 90 days with 15,000 submissions each, and with a queue.
fn fill_history(ledger: &TenantLedger, queued: u32) {
    let whole = ledger.ledger();
    let db = whole.reader().db();
    db.execute_batch(&format!(
        "BEGIN;
         CREATE TEMP TABLE number AS
            WITH RECURSIVE number (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM number WHERE n < 1350000)
            SELECT n FROM number;
         INSERT INTO batch (tenant, token, state, entries, first_entry, last_entry, techniques, begun_at, ended_at)
            SELECT {tenant}, '{TOKEN}', 'delivered', 1000, n * 1000 - 999, n * 1000,
                   '{{\"T1059\":90,\"T1059.001\":70,\"T1204\":40}}', '2026-01-01T00:00:00.000Z', '2026-01-01T00:00:00.000Z'
            FROM number WHERE n <= 1350;
         INSERT INTO settled (id, type, value, detections, batch, severity, detected_at, field, mitre_codes)
            SELECT n, 'hash', lower(hex(randomblob(32))), 1, (n + 999) / 1000, n % 5 * 20,
                   1760000000000 + n * 5760, 'process_sha256', 'T1059.001 TA0002' FROM number;
         INSERT INTO sighting (tenant, created_at, alert, entry)
            SELECT {tenant}, 1760000000000 + n * 5760, 'ldt:' || lower(hex(randomblob(16))) || ':' || n, n FROM number;
         INSERT INTO run (id, tenant, mode, started_at, finished_at, exit_code, counts)
            SELECT printf('%012x', n), {tenant}, 'live', '2026-01-01T00:00:00.000Z', '2026-01-01T00:01:00.000Z', 0, '{{}}'
            FROM number WHERE n <= 800;
         UPDATE sqlite_sequence SET seq = 1350000 WHERE name = 'outbox';
         INSERT INTO sqlite_sequence (name, seq) SELECT 'outbox', 1350000 WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'outbox');
         COMMIT",
        tenant = ledger.tenant.0,
    ))
    .unwrap();
    let mentions: Vec<_> = (0..queued as usize)
        .map(|number| (large_alert(number, at_minute(0)), sha256(number)))
        .collect();
    store_all(ledger, &mentions);
}

#[test]
#[ignore = "a measurement, for release builds"]
fn timing_of_opening_a_ledger_of_90_days() {
    for queued in [0, 15_000] {
        let folder = Folder::new();
        fill_history(&folder.open(), queued);
        println!(
            "{queued} queued, {} MB",
            std::fs::metadata(folder.ledger()).unwrap().len() / 1_000_000
        );
        let mut watch = Stopwatch::start();
        for _ in 0..2 {
            let reader = folder.reader();
            watch.lap("open a reader");
            reader.status(at_minute(0), &TenantFilter::default()).unwrap();
            watch.lap("read the status");
            let (asked, all) = (sha256(7), TenantFilter::default());
            reader.find(Some(&asked), "absent", &all).unwrap();
            watch.lap("find an indicator and its alerts");
            for check in [
                "tenant", "run", "batch", "outbox", "repeat", "exclusion_hit", "sqlite_sequence",
                "settled", "sighting",
            ] {
                let pragma = format!("PRAGMA integrity_check('{check}')");
                let health: String = reader.db().query_row(&pragma, [], |row| row.get(0)).unwrap();
                assert_eq!(health, "ok");
                watch.lap(&pragma);
            }
            watch.restart();
            let ledger = folder.open_as("crowdstrike", "next");
            watch.lap("open for a run");
            drop(ledger);
            watch.lap("close");
        }
        Ledger::check_integrity(&folder.ledger(), at_minute(0)).unwrap();
        watch.lap("examine everything");
    }
}
