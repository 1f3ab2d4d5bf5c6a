//! Benchmarks of parts of the program: `cargo bench`, or `cargo bench -- decode` for some of them.
//!
//! `tests/compare/` measures the whole program, and the ignored tests in `src/ledger/tests/` the
//! ledger.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a benchmark fails by a panic"
)]

use std::fmt::Write as _;
use std::path::Path;

use chrono::{DateTime, Utc};
use collective_insights::bench_api::{
    CarbonBlackIndicators, ClaimedType, CrowdStrikeIndicators, Exclusions, Indicator,
    read_carbonblack_page, read_crowdstrike_page,
};
use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use sandbox::seed::{Recipe, carbon_black_alerts, falcon_alerts};
use serde_json::{Value, json};

/// The number of alerts on a page.
const PAGE: usize = 1000;

fn main() {
    divan::main();
}

fn now() -> DateTime<Utc> {
    "2026-11-22T00:15:00Z".parse().unwrap()
}

/// Returns a page as the services send it, with the alerts under the key `list`.
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
        .bench(|| read_crowdstrike_page(black_box(&page), CrowdStrikeIndicators::Ioc).unwrap());
}

#[divan::bench]
fn decode_a_carbonblack_page(bencher: Bencher<'_, '_>) {
    let page = page("results", &carbon_black_alerts(&Recipe::new(PAGE, now()).full_size()));
    bencher
        .counter(BytesCount::new(page.len()))
        .counter(ItemsCount::new(PAGE))
        .bench(|| read_carbonblack_page(black_box(&page), CarbonBlackIndicators::Process).unwrap());
}

/// Indicators of most types in spellings that have to be normalized.
const SPELLINGS: [(ClaimedType, &str); 6] = [
    (ClaimedType::Sha256, " E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855"),
    (ClaimedType::Md5, "D41D8CD98F00B204E9800998ECF8427E"),
    (ClaimedType::Domain, "WWW.Evil-Example.COM."),
    (ClaimedType::Domain, "b\u{fc}cher.example"),
    (ClaimedType::Address, "::ffff:1.2.3.4"),
    (ClaimedType::Url, "HTTP://user:pw@Evil.example:80/a/../b?q=1#f"),
];

#[divan::bench]
fn normalize_indicators(bencher: Bencher<'_, '_>) {
    bencher.counter(ItemsCount::new(SPELLINGS.len())).bench(|| {
        for (claim, text) in SPELLINGS {
            black_box(Indicator::parse(claim, black_box(text))).unwrap();
        }
    });
}

/// Returns 40,000 rules: hashes, domains with their subdomains, addresses and networks.
fn exclusions() -> Exclusions {
    let mut list = String::new();
    for number in 0..10_000_u32 {
        let (a, b) = (number / 250, number % 250);
        writeln!(list, "{number:064x}\n.good{number}.example\n8.{a}.{b}.1\n9.{a}.{b}.0/24")
            .unwrap();
    }
    Exclusions::parse(Path::new("list.txt"), list.as_bytes()).unwrap()
}

#[divan::bench]
fn look_up_exclusions(bencher: Bencher<'_, '_>) {
    let exclusions = exclusions();
    let indicators: Vec<Indicator> =
        SPELLINGS.map(|(claim, text)| Indicator::parse(claim, text).unwrap()).to_vec();
    bencher.counter(ItemsCount::new(indicators.len())).bench(|| {
        indicators.iter().filter_map(|indicator| exclusions.find(black_box(indicator))).count()
    });
}
