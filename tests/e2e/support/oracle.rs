//! The oracle: generates a world whose submissions are known in advance, and checks what the
//! sandbox and the ledger contain at the end.

mod duplicates;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use rusqlite::{Connection, OpenFlags, Row};
use sandbox::{Fault, RecordedRequest, Sandbox, Service, World};
use serde_json::{Value, json};

use super::RunOutput;
use super::alerts::{carbonblack, falcon, sha256, with};
use super::json::text;
use super::vendor::Vendor;
pub use duplicates::PastRun;
use duplicates::Record;

/// The id of a detection, and the value of an indicator that it mentions.
pub type Mention = (String, String);

/// A tenant whose runs are checked.
pub struct Tenant<'a> {
    /// Its vendor and its Recorded Future, which serve no other tenant.
    pub sandbox: &'a Sandbox,
    /// The ledger, which other tenants may share.
    pub ledger: PathBuf,
    pub name: &'a str,
}

/// The expected result for the alerts of a world.
pub struct Oracle {
    pub vendor: Vendor,
    /// Oracles with different numbers share every second alert (the same id and indicator). The
    /// other alerts are their own.
    number: u64,
    /// Every mention that must not be lost, with its item.
    expected: BTreeMap<Mention, Value>,
    /// The arrival time of every alert, by its id.
    arrivals: BTreeMap<String, DateTime<Utc>>,
    /// The ids of the alerts that a fault may remove, because no submission comes from them.
    removable: Vec<String>,
    /// The ids of the alerts that `choose_removed` returned.
    removed: RefCell<BTreeSet<String>>,
}

/// Returns the time of the first alert. The first run starts one day later.
fn first_alert_time() -> DateTime<Utc> {
    "2026-11-21T00:15:00Z".parse().unwrap()
}

/// Returns the number of an alert of one of several oracles.
const fn own_number(oracle: u64, alert: u64) -> u64 {
    // A multiple of all the divisors in `alert`, so that the alert is of the same kind.
    if alert.is_multiple_of(2) { alert } else { alert + oracle * 12_000_000 }
}

/// Returns when the run after this many days starts; for 1 that is [`NOW`](super::NOW).
pub fn run_time(days: u32) -> String {
    let time = first_alert_time() + TimeDelta::days(days.into());
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

impl Oracle {
    /// Generates the alerts of some days. Per day, `expected` alerts mention an indicator (some the
    /// same one) and `ignored` others mention none, or one that is not sent.
    pub fn generate(vendor: Vendor, days: u32, expected: u32, ignored: u32) -> (Self, World) {
        Self::generate_numbered(0, vendor, days, expected, ignored)
    }

    /// Does the same for one of several tenants, each with its own number.
    pub fn generate_numbered(
        number: u64,
        vendor: Vendor,
        days: u32,
        expected: u32,
        ignored: u32,
    ) -> (Self, World) {
        let mut oracle = Self {
            vendor,
            number,
            expected: BTreeMap::new(),
            arrivals: BTreeMap::new(),
            removable: Vec::new(),
            removed: RefCell::default(),
        };
        let mut alerts = Vec::new();
        for day in 0..days {
            let count = expected + ignored;
            for number in 0..count {
                let millis = 86_400_000 * i64::from(number) / i64::from(count);
                let offset = TimeDelta::days(day.into()) + TimeDelta::milliseconds(millis);
                // Spread the expected ones among the others.
                let is_expected = number * expected / count != (number + 1) * expected / count;
                let own = own_number(oracle.number, u64::from(day * count + number));
                let id = format!("{day}:{own}");
                let time = first_alert_time() + offset;
                oracle.arrivals.insert(id.clone(), time);
                if !is_expected {
                    oracle.removable.push(id.clone());
                }
                alerts.push(oracle.alert(&id, time, own, is_expected));
            }
        }
        (oracle, vendor.world(&alerts))
    }

    fn alert(&mut self, id: &str, time: DateTime<Utc>, number: u64, is_expected: bool) -> Value {
        let time = time.to_rfc3339_opts(SecondsFormat::Millis, true);
        // Every fourth hash is shared with other alerts.
        let hash = sha256(match number % 4 {
            0 => 1_000_000 + number % 3,
            _ => number,
        });
        match self.vendor {
            Vendor::CrowdStrike if !is_expected => json!({
                "composite_id": id, "product": "epp", "created_timestamp": time, "severity": 30,
                "ioc_type": if number.is_multiple_of(5) { "ipv4" } else { "" },
                "ioc_value": if number.is_multiple_of(5) { "10.1.2.3" } else { "" },
            }),
            Vendor::CarbonBlack if !is_expected => json!({
                "id": id, "type": "CB_ANALYTICS", "backend_timestamp": time, "ioc_hit": "",
                "process_sha256": hash,
            }),
            Vendor::CrowdStrike => {
                let (kind, claimed, value) = match number % 3 {
                    0 => ("hash", "hash_sha256", hash),
                    1 => ("domain", "domain", format!("host{number}.example.com")),
                    _ => ("url", "url", format!("https://example.com/{number}")),
                };
                let alert = falcon(id, claimed, &value);
                let alert = with(alert, "severity", json!(number % 100 + 1));
                let alert = with(alert, "created_timestamp", json!(time));
                let item = json!({
                    "timestamp": time,
                    "ioc": {"type": kind, "value": value, "source_type": "crowdstrike:falcon", "field": "ioc_value"},
                    "detection": {"type": "correlation", "id": id, "name": "A file was written."},
                    "incident": {"id": id, "name": "FileWritten", "type": "crowdstrike-falcon-alert"},
                    "mitre_codes": ["T1204", "TA0002"],
                });
                self.expected.insert((id.into(), value), item);
                with(alert, "timestamp", json!(time))
            }
            Vendor::CarbonBlack => {
                let alert = with(carbonblack(id, &hash), "backend_timestamp", json!(time));
                let alert = with(alert, "severity", json!(number % 10 + 1));
                let item = json!({
                    "timestamp": time,
                    "ioc": {"type": "hash", "value": hash, "source_type": "carbonblack:cloud", "field": "process_sha256"},
                    "detection": {"type": "correlation", "id": id, "name": "A process matched a watchlist."},
                    "incident": {"id": id, "type": "carbonblack-cloud-alert"},
                    "mitre_codes": ["T1059.001", "T1204.002"],
                });
                self.expected.insert((id.into(), hash), item);
                with(alert, "detection_timestamp", json!(time))
            }
        }
    }

    /// Chooses a few alerts that a fault removes, never the same twice.
    pub fn choose_removed(&self) -> Vec<String> {
        let mut removed = self.removed.borrow_mut();
        let spread = self.removable.iter().skip(removed.len() % 7);
        let spread = spread.step_by(self.removable.len() / 4 + 1);
        let chosen: Vec<String> = spread.filter(|id| !removed.contains(*id)).cloned().collect();
        removed.extend(chosen.iter().cloned());
        chosen
    }

    /// Checks that a run fetched no more alerts than the sandbox served from position
    /// `first_served` on, and, if it ended with code 0, no fewer than were created in its window
    /// before `now`, the time of the services.
    #[track_caller]
    pub fn check_fetched(
        &self,
        sandbox: &Sandbox,
        output: &RunOutput,
        first_served: usize,
        now: DateTime<Utc>,
    ) {
        let document = output.json();
        let instant = |key: &str| document["window"][key].as_str()?.parse::<DateTime<Utc>>().ok();
        let (Some(start), Some(end)) = (instant("start"), instant("end")) else { return };
        let fetched = usize::try_from(output.count("alerts_fetched")).unwrap();
        let in_window = |id: &String| (start..end).contains(&self.arrivals[id]);
        let served = self.vendor.served_alerts(sandbox);
        let served = served.iter().skip(first_served).filter(|id| in_window(id));
        let served = served.collect::<BTreeSet<_>>().len();
        assert!(fetched <= served, "{fetched} fetched of {served} unique ones: {document}");
        if output.code == 0 {
            let removed = self.removed.borrow();
            let exists = |id: &String| !removed.contains(id) && self.arrivals[id] < now;
            let certain = self.arrivals.keys().filter(|id| exists(id) && in_window(id)).count();
            assert!(fetched >= certain, "complete with {fetched} of {certain}: {document}");
        }
    }

    /// Returns the values of all indicators that must arrive.
    pub fn values(&self) -> Vec<String> {
        let values: BTreeSet<&String> = self.expected.keys().map(|(_, value)| value).collect();
        values.into_iter().cloned().collect()
    }

    /// Checks the sandbox and the ledger at the end, after a run without faults. `may_be_lost`
    /// reports whether the response to a submission may not have arrived although its batch was
    /// stored. `runs` are all runs so far, or none if they are not known: a run that finds an item
    /// of an earlier run by a search must not store it again.
    #[track_caller]
    pub fn check(
        &self,
        tenant: &Tenant<'_>,
        runs: &[PastRun],
        may_be_lost: impl Fn(usize, &RecordedRequest) -> bool,
    ) -> FinalCounts {
        let stored = tenant.sandbox.stored();
        let requests = tenant.sandbox.requests();
        let record = Record::new(tenant.sandbox, runs, &stored, &requests);
        let mut arrived: BTreeMap<Mention, usize> = BTreeMap::new();
        let mut first_stored = BTreeMap::new();
        let mut duplicates = 0;
        for stored in &stored {
            let mention = mention_of(&stored.item);
            record.assert_searched(first_stored.entry(mention.clone()).or_insert(stored), stored);
            let expected = self.expected.get(&mention);
            let expected = expected.unwrap_or_else(|| panic!("unexpected: {}", stored.item));
            assert_eq!(&stored.item, expected, "an item was changed");
            if let Some(earlier) = arrived.insert(mention.clone(), stored.request) {
                duplicates += 1;
                let request = &requests[earlier];
                assert!(
                    earlier != stored.request && may_be_lost(earlier, request),
                    "{mention:?} was stored twice although the response to request {earlier} arrived: {request:?}"
                );
            }
        }
        let ledger = ledger_states(tenant);
        let mut counts = FinalCounts { duplicates, ..FinalCounts::default() };
        for mention in self.expected.keys() {
            let value = &mention.1;
            match ledger.get(mention).map(String::as_str) {
                Some("delivered") => {
                    assert!(
                        arrived.keys().any(|(_, arrived)| arrived == value),
                        "{mention:?} counts as delivered but never arrived"
                    );
                    counts.delivered += 1;
                }
                Some("quarantined") => {
                    assert!(
                        rejected_alone(&requests, mention),
                        "{mention:?} is in quarantine but was never rejected alone"
                    );
                    counts.quarantined += 1;
                }
                Some("waiting") => counts.waiting += 1,
                other => panic!("{mention:?} is lost: its state in the ledger is {other:?}"),
            }
        }
        let unexpected = ledger.keys().find(|mention| !self.expected.contains_key(*mention));
        assert_eq!(unexpected, None, "the ledger contains an indicator that no alert mentions");
        for (mention, last) in &arrived {
            let state = &ledger[mention];
            let is_explained = state == "delivered" || may_be_lost(*last, &requests[*last]);
            assert!(is_explained, "{mention:?} arrived, but its state in the ledger is {state}");
        }
        // If only one alert names an indicator, no other can represent it: its own item must have
        // arrived.
        let mut detections: BTreeMap<&String, u32> = BTreeMap::new();
        for (_, value) in self.expected.keys() {
            *detections.entry(value).or_default() += 1;
        }
        for mention in self.expected.keys().filter(|mention| detections[&mention.1] == 1) {
            let consistent = ledger[mention] != "delivered" || arrived.contains_key(mention);
            assert!(consistent, "{mention:?} counts as delivered but never arrived");
        }
        assert!(!tenant.sandbox.overlapping_posts());
        counts
    }
}

/// Returns the mention that an item was sent for.
fn mention_of(item: &Value) -> Mention {
    (text(item, "/detection/id"), text(item, "/ioc/value"))
}

/// How many of the expected mentions are in each state at the end.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct FinalCounts {
    pub delivered: usize,
    pub quarantined: usize,
    pub waiting: usize,
    /// Items that were stored again.
    pub duplicates: usize,
}

/// Reports whether the program may not have received the whole response. The batch may be stored.
pub fn response_lost(_: usize, request: &RecordedRequest) -> bool {
    matches!(
        request.fault,
        Fault::ResetAfterProcessing
            | Fault::Truncate
            | Fault::HtmlAfterProcessing
            | Fault::StatusAfterProcessing(..)
    ) || request.status.is_none()
        || !request.complete
}

/// Checks the counts of a run against each other, the previous run, and what the sandbox stored.
#[track_caller]
pub fn check_counts(
    tenant: &Tenant<'_>,
    output: &RunOutput,
    first_request: usize,
    carried_in: u64,
) {
    let document = output.json();
    assert_eq!(document["exit_code"], output.code, "{document}");
    if document["window"].is_null() {
        return;
    }
    output.assert_counts_add_up();
    assert_eq!(output.count("carried_in"), carried_in, "{document}");
    let requests = tenant.sandbox.requests();
    check_pauses(&requests[first_request..]);
    check_rejections(&requests[first_request..]);
    let confirmed = tenant.sandbox.stored().into_iter().filter(|stored| {
        stored.request >= first_request && !response_lost(stored.request, &requests[stored.request])
    });
    let confirmed = confirmed.count();
    assert_eq!(usize::try_from(output.count("submitted")).unwrap(), confirmed, "{document}");
    // One queued submission can represent several detections, so the numbers can differ.
    let any_waiting = ledger_states(tenant).values().any(|state| state == "waiting");
    assert_eq!(output.count("waiting") > 0, any_waiting, "{document}");
}

/// Checks that after a 429 with a long wait no request to the same service started before the pause
/// was over.
fn check_pauses(requests: &[RecordedRequest]) {
    // Waits are divided by 1000, and none is longer than five minutes.
    const PAUSE: Duration = Duration::from_millis(300);
    // Requests that start this soon are ignored: the program may not have read the response yet.
    const READ_TIME: Duration = Duration::from_millis(150);
    for limited in
        requests.iter().filter(|request| request.fault == Fault::retry_after(429, "3600"))
    {
        let Some(ended) = limited.ended else { continue };
        let during = requests.iter().find(|request| {
            let pause = ended + READ_TIME..ended + PAUSE;
            request.service == limited.service && pause.contains(&request.started)
        });
        assert!(
            during.is_none(),
            "a request started during the pause after {limited:?}: {during:?}"
        );
    }
}

/// A run stops sending after this many rejections of single items in a row.
const MAX_REJECTIONS: usize = 20;

/// Checks that a run sends nothing after [`MAX_REJECTIONS`].
fn check_rejections(requests: &[RecordedRequest]) {
    let mut in_a_row = 0;
    for request in
        requests.iter().filter(|request| request.service == Some(Service::RecordedFuture))
    {
        assert!(
            in_a_row < MAX_REJECTIONS,
            "sent after {in_a_row} rejections in a row: {request:?}"
        );
        if only_item_if_rejected(request).is_some() {
            in_a_row += 1;
        } else if request.status == Some(200) {
            // The run may not have received this response, and then does not start to count again:
            // in that case this check permits more.
            in_a_row = 0;
        }
    }
}

/// Reports whether a batch with only this indicator was rejected. Its item may be another
/// detection's.
fn rejected_alone(requests: &[RecordedRequest], (_, value): &Mention) -> bool {
    let mut rejected = requests.iter().filter_map(only_item_if_rejected);
    rejected.any(|item| item["ioc"]["value"] == value.as_str())
}

/// Returns the item of a rejected batch with only one.
fn only_item_if_rejected(request: &RecordedRequest) -> Option<Value> {
    if !matches!(request.status, Some(400 | 413 | 422)) {
        return None;
    }
    match request.json()?["data"].as_array().map(Vec::as_slice) {
        Some([item]) => Some(item.clone()),
        _ => None,
    }
}

/// Reads the state of every mention of a tenant in the ledger, with plain SQL.
fn ledger_states(tenant: &Tenant<'_>) -> BTreeMap<Mention, String> {
    if !tenant.ledger.exists() {
        return BTreeMap::new();
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
    let db = Connection::open_with_flags(&tenant.ledger, flags).unwrap();
    let mut select = db
        .prepare(
            "SELECT alert, ifnull(settled.value, outbox.value),
                    CASE WHEN batch.state IN ('delivered', 'dropped') THEN batch.state ELSE outbox.state END
             FROM sighting LEFT JOIN outbox ON outbox.id = entry
             LEFT JOIN settled ON settled.id = entry LEFT JOIN batch ON batch.id = settled.batch
             WHERE sighting.tenant = (SELECT id FROM tenant WHERE name = ?1)",
        )
        .unwrap();
    let state = |row: &Row<'_>| Ok(((row.get(0)?, row.get(1)?), row.get(2)?));
    let rows = select.query_map([tenant.name], state).unwrap();
    rows.collect::<rusqlite::Result<_>>().unwrap()
}
