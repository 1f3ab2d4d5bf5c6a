//! The promises of the ledger, one by one, and then in any order.

mod damaged;
mod history;
mod holding;
mod model;
mod reading_on;
mod settling;
mod storing;
mod timing;
mod upgrading;

use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};

use super::outbox::count;
use super::quota::add_used;
use super::{Entry, EntryId, Ledger, TenantId, TenantKey};
use crate::indicator::{ClaimedType, Indicator};

const TOKEN: &str = "t0k3n";

/// A day in the life of the tests, `minutes` after it began.
fn at(minutes: i64) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339("2026-03-01T00:00:00Z").unwrap().to_utc()
        + TimeDelta::minutes(minutes)
}

fn open(path: &Path) -> Ledger {
    Ledger::open(path, at(0)).unwrap()
}

fn key(source: &str, account: &str) -> TenantKey {
    TenantKey {
        source: source.to_owned(),
        account: account.to_owned(),
        token: TOKEN.to_owned(),
        organizations: vec!["uhash:b".to_owned(), "uhash:a".to_owned()],
    }
}

fn tenant(ledger: &Ledger) -> TenantId {
    ledger.tenant(&key("crowdstrike", "account")).unwrap()
}

fn domain(name: &str) -> Indicator {
    Indicator::parse(ClaimedType::Domain, &format!("{name}.evil.net")).unwrap()
}

/// An entry whose item says what it is, so that a test can tell which one came back.
fn entry(name: &str, severity: Option<u8>, detections: &[&str]) -> Entry {
    Entry {
        indicator: domain(name),
        severity,
        item: format!(r#"{{"indicator":"{name}"}}"#),
        detections: detections.iter().map(ToString::to_string).collect(),
    }
}

fn temporary() -> (Ledger, TenantId) {
    let ledger = Ledger::temporary().unwrap();
    let tenant = tenant(&ledger);
    (ledger, tenant)
}

/// The entry that would be sent first.
fn first(ledger: &Ledger, tenant: TenantId) -> EntryId {
    ledger.batch(tenant, 1, None).unwrap()[0].id
}

fn quarantined(ledger: &Ledger, tenant: TenantId) -> u64 {
    ledger.view.read(|db| Ok(count(db, tenant, "quarantined")?)).unwrap()
}

/// Submissions by whoever else sends with the same token.
fn count_used(ledger: &Ledger, token: &str, count: u64, now: DateTime<Utc>) {
    ledger.atomically(|db| Ok(add_used(db, token, count, now)?)).unwrap();
}
