//! How fast the parts are on their own: `cargo bench`, or `cargo bench -- ledger` for some of them.
//!
//! Each has its throughput, so that a later change can be compared with what was before it. How fast the
//! whole is, beside what a user would write instead, is what `tests/compare/` measures.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a benchmark that cannot go on should stop where it is"
)]

use std::convert::Infallible;

use chrono::{DateTime, Utc};
use collective_insights::bench_api::{
    AlertOutcome, ClaimedType, Entry, Exclusions, HashChoice, Indicator, Known, Ledger, Past,
    Selection, TenantId, TenantKey, Thresholds, read_carbonblack_page, read_crowdstrike_page,
};
use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use sandbox::seed::{Recipe, carbon_black_alerts, falcon_alerts};
use serde_json::{Value, json};
use tempfile::TempDir;

const PAGE: usize = 1000;
const READINGS: usize = 200_000;
const ROWS: usize = 100_000;

fn main() {
    divan::main();
}

fn now() -> DateTime<Utc> {
    "2026-11-22T00:15:00Z".parse().unwrap()
}

/// A page as the services send them, of alerts of about 3.7 KB.
fn page(list: &str, alerts: &[Value]) -> Vec<u8> {
    json!({list: alerts, "meta": {"pagination": {"total": alerts.len()}}, "num_found": alerts.len()})
        .to_string()
        .into_bytes()
}

#[divan::bench]
fn decode_a_crowdstrike_page(bencher: Bencher<'_, '_>) {
    let page = page("resources", &falcon_alerts(&Recipe::new(PAGE, now()).full_size()));
    bencher
        .counter(BytesCount::new(page.len()))
        .counter(ItemsCount::new(PAGE))
        .bench(|| read_crowdstrike_page(black_box(&page)).unwrap());
}

#[divan::bench]
fn decode_a_carbonblack_page(bencher: Bencher<'_, '_>) {
    let page = page("results", &carbon_black_alerts(&Recipe::new(PAGE, now()).full_size()));
    bencher
        .counter(BytesCount::new(page.len()))
        .counter(ItemsCount::new(PAGE))
        .bench(|| read_carbonblack_page(black_box(&page), HashChoice::Process).unwrap());
}

/// One of each kind, in a spelling that has to be made normal.
const SPELLINGS: [(ClaimedType, &str); 6] = [
    (ClaimedType::Sha256, " E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855"),
    (ClaimedType::Md5, "D41D8CD98F00B204E9800998ECF8427E"),
    (ClaimedType::Domain, "WWW.Evil-Example.COM."),
    (ClaimedType::Domain, "b\u{fc}cher.example"),
    (ClaimedType::Address, "::ffff:1.2.3.4"),
    (ClaimedType::Url, "HTTP://user:pw@Evil.example:80/a/../b?q=1#f"),
];

#[divan::bench]
fn normalise_indicators(bencher: Bencher<'_, '_>) {
    bencher.counter(ItemsCount::new(SPELLINGS.len())).bench(|| {
        for (claim, text) in SPELLINGS {
            black_box(Indicator::parse(claim, black_box(text))).unwrap();
        }
    });
}

/// Readings of made alerts; the same thousand values of each kind come again and again.
fn outcomes() -> Vec<AlertOutcome> {
    let recipe = Recipe::new(READINGS, now());
    let alerts = falcon_alerts(&recipe);
    let pages = alerts.chunks(PAGE);
    pages.flat_map(|alerts| read_crowdstrike_page(&page("resources", alerts)).unwrap()).collect()
}

#[divan::bench(sample_count = 10)]
fn select_from_200_000_readings(bencher: Bencher<'_, '_>) {
    let outcomes = outcomes();
    bencher.counter(ItemsCount::new(READINGS)).with_inputs(|| outcomes.clone()).bench_values(
        |outcomes| {
            let mut selection = Selection::new(Thresholds::default(), Exclusions::default());
            for reading in outcomes {
                let taken = selection.take(reading, |_, _| Ok::<_, Infallible>(Past::New));
                taken.unwrap();
            }
            selection.finish()
        },
    );
}

/// A ledger in a file.
struct Shelf {
    ledger: Ledger,
    tenant: TenantId,
    // After the ledger, because fields are dropped in this order.
    _folder: TempDir,
}

impl Shelf {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let ledger = Ledger::open(&folder.path().join("ledger.db"), now()).unwrap();
        let tenant = ledger
            .tenant(&TenantKey {
                source: "crowdstrike".into(),
                account: "account".into(),
                token: "token".into(),
                organizations: Vec::new(),
            })
            .unwrap();
        Self { ledger, tenant, _folder: folder }
    }

    fn store(&self, entries: &[Entry]) -> u64 {
        let stored = self.ledger.store(self.tenant, "run", entries, false, now());
        stored.unwrap()
    }

    fn look_up(&self, entries: &[Entry]) -> Vec<Known> {
        let _at_once = self.ledger.at_once().unwrap();
        let known = |entry: &Entry| {
            let known = self.ledger.known(self.tenant, &entry.detections[0], &entry.indicator);
            known.unwrap()
        };
        entries.iter().map(known).collect()
    }
}

/// Entries of about the size that detections and items have.
fn entries() -> Vec<Entry> {
    let entry = |number| Entry {
        indicator: Indicator::parse(ClaimedType::Sha256, &format!("{number:064x}")).unwrap(),
        severity: u8::try_from(number % 100).ok(),
        item: format!(r#"{{"ioc":{number},"pad":"{}"}}"#, "y".repeat(600)),
        detections: vec![format!("{number:x}:ind:{number:032}:{}", "x".repeat(60))],
    };
    (0..ROWS).map(entry).collect()
}

#[divan::bench(sample_count = 5)]
fn ledger_insert_100_000(bencher: Bencher<'_, '_>) {
    let entries = entries();
    bencher
        .counter(ItemsCount::new(ROWS))
        .with_inputs(Shelf::new)
        .bench_refs(|shelf| shelf.store(&entries));
}

#[divan::bench(sample_count = 5)]
fn ledger_look_up_100_000(bencher: Bencher<'_, '_>) {
    let (shelf, entries) = (Shelf::new(), entries());
    shelf.store(&entries);
    bencher.counter(ItemsCount::new(ROWS)).bench_local(|| shelf.look_up(&entries));
}
