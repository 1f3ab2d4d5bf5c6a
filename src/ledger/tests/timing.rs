//! How long operations of the ledger take without the rest of a run, which `tests/compare/`
//! measures: `cargo test --release --lib -- --ignored --nocapture timing`.

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
        ..severe(
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
                if store.add(detection, indicator, "sha256")? == Stored::New {
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
        let items = ledger.next_items(size, None).unwrap();
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
        (0..COUNT).map(|number| (large_alert(number, at(0)), sha256(number))).collect();
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
    while let Some(last) = ledger.next_items(1000, after).unwrap().last() {
        after = Some(last.cursor());
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
    folder.reader().status(at(0)).unwrap();
    watch.lap("open a reader and read the status");
    ledger.purge_expired().unwrap();
    watch.lap("purge, nothing old enough");
    set_time(&mut ledger, 100 * DAY);
    assert_eq!(ledger.purge_expired().unwrap().sightings, 100_000);
    watch.lap("purge 100,000");
}
