//! How long it takes. `cargo test --release -- --ignored --nocapture timing`

use std::time::Instant;

use tempfile::TempDir;

use super::super::*;
use super::*;

const N: usize = 100_000;

/// Prints what each step took.
struct Clock(Instant);

impl Clock {
    fn lap(&mut self, what: &str) {
        println!("{what:<40} {:>8.1} ms", self.0.elapsed().as_secs_f64() * 1000.0);
        self.0 = Instant::now();
    }
}

#[test]
#[ignore = "a measurement, for release builds"]
fn timing() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("ledger.db");
    let entries: Vec<Entry> = (1..=N).map(numbered).collect();
    let mut clock = Clock(Instant::now());
    let ledger = open(&path);
    clock.lap("create");
    let tenant = tenant(&ledger);
    look_up(&ledger, &entries, Known::New);
    clock.lap("100,000 lookups, all new");
    ledger.store(tenant, "run", &entries, false, at(0)).unwrap();
    clock.lap("store 100,000 in one transaction");
    look_up(&ledger, &entries, Known::Waiting);
    clock.lap("100,000 lookups, all waiting");
    let at_once = ledger.at_once().unwrap();
    look_up(&ledger, &entries, Known::Waiting);
    drop(at_once);
    clock.lap("100,000 lookups at once, all waiting");
    drop(ledger);
    println!("{} MB", std::fs::metadata(&path).unwrap().len() / 1_000_000);
    let ledger = open(&path);
    clock.lap("open with 100,000 waiting");
    drain(&ledger, tenant, &mut clock);
    drop(ledger);
    clock.lap("close");
    let ledger = open(&path);
    clock.lap("open with 100,000 delivered");
    look_up(&ledger, &entries, Known::Delivered);
    clock.lap("100,000 lookups, all delivered");
    View::open(&path).unwrap().unwrap().status(at(0).date_naive()).unwrap();
    clock.lap("view and status");
    ledger.forget(at(0)).unwrap();
    clock.lap("forget, nothing old enough");
    ledger.forget(at(100 * 24 * 60)).unwrap();
    clock.lap("forget 100,000");
}

/// An entry of about the size that vendors and items have.
fn numbered(n: usize) -> Entry {
    Entry {
        indicator: Indicator::parse(ClaimedType::Sha256, &format!("{n:064x}")).unwrap(),
        severity: u8::try_from(n % 100).ok(),
        item: format!(r#"{{"ioc":{n},"pad":"{}"}}"#, "y".repeat(600)),
        detections: vec![format!("{n:x}:ind:{n:032}:{}", "x".repeat(60))],
    }
}

fn look_up(ledger: &Ledger, entries: &[Entry], expected: Known) {
    let tenant = tenant(ledger);
    for entry in entries {
        assert_eq!(ledger.known(tenant, &entry.detections[0], &entry.indicator).unwrap(), expected);
    }
}

fn drain(ledger: &Ledger, tenant: TenantId, clock: &mut Clock) {
    let mut after = None;
    while let Some(last) = ledger.batch(tenant, 500, after).unwrap().last() {
        after = Some(last.cursor());
    }
    clock.lap("200 batches by cursor, none settled");
    loop {
        let batch = ledger.batch(tenant, 500, None).unwrap();
        let ids: Vec<_> = batch.iter().map(|pending| pending.id).collect();
        if ids.is_empty() {
            break;
        }
        ledger.settle_delivered(tenant, TOKEN, &ids, at(1)).unwrap();
    }
    clock.lap("200 batches, each settled");
}
