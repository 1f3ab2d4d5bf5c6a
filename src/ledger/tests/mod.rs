//! What the ledger guarantees: one guarantee after the other, and then any order of operations.

mod batches;
mod checkpoint;
mod damaged;
mod dry_run;
mod exclusion_hit;
mod files;
mod history;
mod left_out;
mod locking;
mod lookup;
mod model;
mod not_a_ledger;
mod repair;
mod storing;
mod tenants;
mod timing;

use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{OptionalExtension, params};
use tempfile::TempDir;

use super::files::Check;
use super::*;
use crate::clock::Clock;
use crate::detection::{Assessment, Detection, SourceInfo};
use crate::indicator::{ClaimedType, Indicator};
use crate::mitre::{MitreCode, MitreCodes};
use crate::selection::LeftOut;
use crate::submission::StoreOutcome;
use crate::window::Window;

const TOKEN: &str = "t0k3n";
const DAY: i64 = 24 * 60;

const SOURCE: SourceInfo = SourceInfo {
    name: "crowdstrike",
    title: "CrowdStrike Falcon",
    source_type: "endpoint",
    incident_type: "crowdstrike-alert",
};

/// The time `minutes` after the first day of the tests began.
fn at_minute(minutes: i64) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339("2026-03-01T00:00:00Z").unwrap().to_utc()
        + TimeDelta::minutes(minutes)
}

/// A tenant with the name of its source.
fn tenant(source: &str) -> Tenant {
    Tenant {
        name: source.to_owned(),
        source: source.to_owned(),
        account: "account".to_owned(),
        customer: None,
        adopt: false,
        token: TOKEN.to_owned(),
        organizations: vec!["uhash:b".to_owned(), "uhash:a".to_owned()],
    }
}

/// The options of a run of `crowdstrike` with the id `run`.
fn options() -> TenantOptions<'static> {
    TenantOptions {
        tenant: tenant("crowdstrike"),
        source: SOURCE,
        run_id: "run",
        resend: false,
        busy_retry: BusyRetry::default(),
    }
}

fn temporary() -> TenantLedger {
    TenantLedger::open_alone(None, false, options(), Clock::fixed(at_minute(0))).unwrap()
}

/// A folder for a ledger.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn ledger(&self) -> PathBuf {
        self.0.path().join("ledger.db")
    }

    fn open(&self) -> TenantLedger {
        self.open_as("crowdstrike", "run")
    }

    fn open_as(&self, source: &str, run_id: &str) -> TenantLedger {
        let path = self.ledger();
        let options = TenantOptions { tenant: tenant(source), run_id, ..options() };
        TenantLedger::open_alone(Some(&path), false, options, Clock::fixed(at_minute(0))).unwrap()
    }

    fn open_dry_run(&self) -> TenantLedger {
        let path = self.ledger();
        let options = TenantOptions { run_id: "dry", ..options() };
        TenantLedger::open_alone(Some(&path), true, options, Clock::fixed(at_minute(0))).unwrap()
    }

    /// Opens the whole ledger, as a command does.
    fn open_whole(&self) -> Ledger {
        Ledger::open_existing(&self.ledger(), at_minute(0)).unwrap().expect("there is a ledger")
    }

    fn reader(&self) -> LedgerReader {
        LedgerReader::open(&self.ledger()).unwrap().expect("there is a ledger")
    }

    fn bytes(&self) -> Vec<u8> {
        std::fs::read(self.ledger()).unwrap()
    }

    fn file_names(&self) -> Vec<String> {
        let files = std::fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<_> =
            files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// How many rows a purge deletes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Purged {
    sightings: u64,
    runs: u64,
    batches: u64,
    exclusion_rules: u64,
    left_out: u64,
}

impl TenantLedger {
    /// Purges at the time of its clock.
    fn purge_expired(&self) -> Result<Purged> {
        let rows = || {
            let select = "SELECT (SELECT count(*) FROM sighting), (SELECT count(*) FROM run),
                (SELECT count(*) FROM batch), (SELECT count(*) FROM exclusion_hit),
                (SELECT count(*) FROM left_out)";
            self.read(|db| {
                let mut numbers = [0_u64; 5];
                db.query_row(select, [], |row| {
                    for (column, number) in numbers.iter_mut().enumerate() {
                        *number = row.get(column)?;
                    }
                    Ok(())
                })?;
                Ok(numbers)
            })
        };
        let before = rows()?;
        self.purge_expired_at(self.clock().now())?;
        let after = rows()?;
        let [sightings, runs, batches, exclusion_rules, left_out] =
            std::array::from_fn(|table| before[table] - after[table]);
        Ok(Purged { sightings, runs, batches, exclusion_rules, left_out })
    }
}

impl Ledger {
    /// Opens the ledger as [`Ledger::open_dry_run_with`] does for a run.
    pub(super) fn open_dry_run(path: &Path, now: DateTime<Utc>) -> Result<Self> {
        Self::open_dry_run_with(path, now, Check::Quick, BusyRetry::default(), None)
    }
}

impl LedgerReader {
    /// Collects [`LedgerReader::for_each_entry`].
    pub(super) fn list(&self, filter: &EntryFilter) -> Result<Vec<OutboxEntry>> {
        let mut entries = Vec::new();
        self.for_each_entry(filter, |entry| {
            entries.push(entry);
            Ok::<_, LedgerError>(())
        })?;
        Ok(entries)
    }

    /// Collects [`LedgerReader::for_each_item`].
    pub(super) fn export(&self, filter: &EntryFilter) -> Result<Vec<String>> {
        let mut items = Vec::new();
        self.for_each_item(filter, |item| {
            items.push(item);
            Ok::<_, LedgerError>(())
        })?;
        Ok(items)
    }
}

fn set_time(ledger: &mut TenantLedger, minutes: i64) {
    ledger.set_clock(Clock::fixed(at_minute(minutes)));
}

/// Ends the doubt about all batches, as a run does once it has searched.
fn resolve_doubt(ledger: &TenantLedger, is_found: impl Fn(EntryId) -> bool) {
    for batch in ledger.batches_in_doubt().unwrap() {
        let ids = batch.entries.iter().map(|entry| entry.id);
        ledger.resolve_batch(&batch, &ids.filter(|id| is_found(*id)).collect()).unwrap();
    }
}

/// Begins another run of the tenant without opening the file again. It finds nothing of what was in
/// doubt.
fn next_run(ledger: &mut TenantLedger, run_id: &str) {
    next_run_that_finds(ledger, run_id, |_| false);
}

fn next_run_that_finds(
    ledger: &mut TenantLedger,
    run_id: &str,
    is_found: impl Fn(EntryId) -> bool,
) {
    run_id.clone_into(&mut ledger.run_id);
    ledger.ledger().reader().db().execute_batch("DROP TABLE IF EXISTS temp.run_entry").unwrap();
    ledger.requeue_lost().unwrap();
    resolve_doubt(ledger, is_found);
    ledger.delete_delivered().unwrap();
}

fn window() -> Window {
    Window { start: at_minute(-60), end: at_minute(0) }
}

fn domain(name: &str) -> Indicator {
    Indicator::parse(ClaimedType::Domain, &format!("{name}.evil.net")).unwrap()
}

fn codes(codes: &[&str]) -> MitreCodes {
    codes.iter().map(|code| MitreCode::parse(code).unwrap()).collect()
}

/// An alert that was seen and created at the beginning of the first day.
fn alert(id: &str) -> Detection {
    Detection {
        id: id.to_owned(),
        observed_at: at_minute(0),
        created_at: at_minute(0),
        name: None,
        incident_name: None,
        assessment: Assessment::default(),
        mitre_codes: MitreCodes::default(),
        mentions: Vec::new(),
    }
}

fn alert_with_severity(id: &str, severity: Option<u8>) -> Detection {
    Detection { assessment: Assessment { severity, ..Assessment::default() }, ..alert(id) }
}

/// Stores a mention as one transaction.
fn add(ledger: &TenantLedger, detection: &Detection, indicator: &Indicator) -> StoreOutcome {
    ledger.store(|store| store.add(detection, indicator, "field")).unwrap()
}

/// Stores a domain that each of these alerts names.
fn store(ledger: &TenantLedger, name: &str, detections: &[&str]) -> Vec<StoreOutcome> {
    detections.iter().map(|id| add(ledger, &alert(id), &domain(name))).collect()
}

/// Counts hits of exclusion rules as one transaction.
fn count_rule_hits(ledger: &TenantLedger, rules: &[(&str, u64)]) {
    let hits = rules.iter().map(|(rule, count)| ((*rule).to_owned(), *count)).collect();
    ledger.store(|store| store.count_hits(&hits)).unwrap();
}

/// Adds values that were left out, their last alerts and numbers of mentions, as one transaction.
fn add_left_out_samples(ledger: &TenantLedger, samples: &[(&str, &str, u64)]) {
    let sample = |(value, alert, mentions): &(&str, &str, u64)| {
        ("excluded", (*value).to_owned(), (*alert).to_owned(), *mentions)
    };
    let left_out = LeftOut::from_samples(samples.iter().map(sample));
    ledger.store(|store| store.add_left_out(&left_out)).unwrap();
}

/// Returns what storing a mention would return, and changes nothing.
fn would_add(ledger: &TenantLedger, detection: &Detection, indicator: &Indicator) -> StoreOutcome {
    let mut found = None;
    let undone: Result<()> = ledger.store(|store| {
        found = Some(store.add(detection, indicator, "field")?);
        Err(undo())
    });
    found.unwrap_or_else(|| panic!("{undone:?}"))
}

/// An error that undoes a transaction.
fn undo() -> Problem {
    Problem::Other("undo".to_owned())
}

/// Returns the state of an alert with a domain: that of its batch, or else that of its entry; `new`
/// where the ledger does not know them.
fn state(ledger: &TenantLedger, detection: &str, name: &str) -> String {
    let select = "SELECT ifnull(batch.state, outbox.state) FROM sighting
                  LEFT JOIN outbox ON outbox.id = entry LEFT JOIN settled ON settled.id = entry
                  LEFT JOIN batch ON batch.id = batch
                  WHERE sighting.tenant = ?1 AND alert = ?2 AND ifnull(outbox.value, settled.value) = ?3";
    let indicator = domain(name);
    let found = ledger
        .ledger()
        .reader()
        .db()
        .query_row(select, params![ledger.tenant.0, detection, indicator.value()], |row| row.get(0))
        .optional()
        .unwrap();
    let state = found.unwrap_or_else(|| "new".to_owned());
    let stored = would_add(ledger, &alert(detection), &indicator);
    match state.as_str() {
        // Another alert may have named it in this run.
        "new" => assert_ne!(stored, StoreOutcome::AlreadyDelivered),
        "delivered" if ledger.resend => assert_ne!(stored, StoreOutcome::AlreadyDelivered),
        "delivered" => assert_eq!(stored, StoreOutcome::AlreadyDelivered),
        _ => assert_eq!(stored, StoreOutcome::Duplicate),
    }
    state
}

impl PartialEq for QueuedItem {
    fn eq(&self, other: &Self) -> bool {
        (self.id, self.indicator_type, self.severity, self.json.get(), self.was_sent)
            == (other.id, other.indicator_type, other.severity, other.json.get(), other.was_sent)
    }
}

fn queue(ledger: &TenantLedger) -> Vec<QueuedItem> {
    ledger.next_items(usize::MAX, None).unwrap().items
}

/// Delivers everything that is queued, in one batch.
fn deliver_all(ledger: &TenantLedger) {
    let batch = ledger.begin_batch(&queue(ledger)).unwrap();
    ledger.deliver_batch(batch).unwrap();
}

fn quarantine(ledger: &TenantLedger, item: &QueuedItem, message: &str) {
    let batch = ledger.begin_batch([item]).unwrap();
    ledger.quarantine_batch(&batch, 400, message).unwrap();
}

fn quarantined(ledger: &TenantLedger) -> u64 {
    ledger
        .ledger()
        .reader()
        .read(|db| Ok(tenant_ledger::count_pending(db, ledger.tenant, "quarantined")?))
        .unwrap()
}

/// Inserts a delivered batch that counts for the quota of a token, at a time in minutes.
fn record_delivered_at(ledger: &TenantLedger, token: &str, entries: u64, minutes: i64) {
    record_delivered(
        ledger.ledger().reader().db(),
        ledger.tenant,
        token,
        entries,
        at_minute(minutes),
    );
}

/// Inserts a delivered batch that counts this many entries, without the entries themselves.
fn record_delivered(
    db: &Connection,
    tenant: TenantId,
    token: &str,
    entries: u64,
    now: DateTime<Utc>,
) {
    let insert = "INSERT INTO batch (tenant, token, state, entries, techniques, begun_at, ended_at)
                  VALUES (?1, ?2, 'delivered', ?3, '{}', ?4, ?4)";
    db.execute(insert, params![tenant.0, token, entries, columns::Time(now)]).unwrap();
}

fn is_not_queued<T>(result: &Result<T>) -> bool {
    matches!(result, Err(LedgerError { problem: Problem::NotQueued { .. }, .. }))
}
