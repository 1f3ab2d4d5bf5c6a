//! The oracle: a world whose every submission is known beforehand, and a judge that holds what the
//! sandbox and the ledger have at the end against it.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use rusqlite::{Connection, OpenFlags};
use sandbox::{Asked, Fault, Service, World};
use serde_json::{Value, json};

use super::alerts::{carbonblack, falcon, sha256, with};
use super::{Ran, Stage, text};

/// Which vendor a story is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vendor {
    Falcon,
    CarbonBlack,
}

impl Vendor {
    /// The subcommand.
    pub fn command(self) -> &'static str {
        match self {
            Self::Falcon => "crowdstrike",
            Self::CarbonBlack => "carbonblack",
        }
    }

    /// The service that hands out alerts.
    pub fn service(self) -> Service {
        match self {
            Self::Falcon => Service::FalconAlerts,
            Self::CarbonBlack => Service::CarbonBlack,
        }
    }
}

/// A detection with an indicator it names.
pub type Pair = (String, String);

/// What the alerts of a world must lead to.
pub struct Oracle {
    pub vendor: Vendor,
    /// Every pair that has to arrive, with the item that it makes when it stands alone.
    wanted: BTreeMap<Pair, Value>,
}

/// The first instant at which something happens in an oracle's world; its first night ends a day later.
fn dawn() -> DateTime<Utc> {
    "2026-11-21T00:15:00Z".parse().unwrap()
}

/// When the run of a night begins: night 1 is the staged `NOW`.
pub fn night(number: u32) -> String {
    let time = dawn() + TimeDelta::days(number.into());
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

impl Oracle {
    /// A world of `nights` nights with `wanted` alerts a night that name an indicator, some of them
    /// the same, among `idle` others that name none or one that is not sent.
    pub fn world(vendor: Vendor, nights: u32, wanted: u32, idle: u32) -> (Self, World) {
        let mut oracle = Self { vendor, wanted: BTreeMap::new() };
        let mut alerts = Vec::new();
        for night in 0..nights {
            let count = wanted + idle;
            for number in 0..count {
                let passed = 86_400_000 * i64::from(number) / i64::from(count);
                let time = dawn() + TimeDelta::days(night.into()) + TimeDelta::milliseconds(passed);
                // The wanted ones are spread among the others.
                let is_wanted = number * wanted / count != (number + 1) * wanted / count;
                let id = format!("{night}:{number}");
                alerts.push(oracle.alert(&id, time, u64::from(night * count + number), is_wanted));
            }
        }
        let world = match vendor {
            Vendor::Falcon => World::default().falcon_alerts(&alerts),
            Vendor::CarbonBlack => World::default().carbon_black_alerts(&alerts),
        };
        (oracle, world)
    }

    fn alert(&mut self, id: &str, time: DateTime<Utc>, number: u64, wanted: bool) -> Value {
        let time = time.to_rfc3339_opts(SecondsFormat::Millis, true);
        // Every fourth of the wanted shares its indicator with others.
        let hash = sha256(match number % 4 {
            0 => 1_000_000 + number % 3,
            _ => number,
        });
        match self.vendor {
            Vendor::Falcon if !wanted => json!({
                "composite_id": id, "product": "epp", "created_timestamp": time, "severity": 30,
                "ioc_type": if number.is_multiple_of(5) { "ipv4" } else { "" },
                "ioc_value": if number.is_multiple_of(5) { "10.1.2.3" } else { "" },
            }),
            Vendor::CarbonBlack if !wanted => json!({
                "id": id, "type": "CB_ANALYTICS", "backend_timestamp": time, "ioc_hit": "",
                "process_sha256": hash,
            }),
            Vendor::Falcon => {
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
                self.wanted.insert((id.into(), value), item);
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
                self.wanted.insert((id.into(), hash), item);
                with(alert, "detection_timestamp", json!(time))
            }
        }
    }

    /// The values of all indicators that have to arrive.
    pub fn values(&self) -> Vec<String> {
        let values: BTreeSet<&String> = self.wanted.keys().map(|(_, value)| value).collect();
        values.into_iter().cloned().collect()
    }

    /// Judges what there is after the last clean run. `lost` tells whether the answer to a submission
    /// that was stored may never have arrived.
    #[track_caller]
    pub fn judge(&self, stage: &Stage, lost: impl Fn(usize, &Asked) -> bool) -> Verdict {
        let stored = stage.sandbox.stored();
        let requests = stage.sandbox.requests();
        let mut arrived: BTreeMap<Pair, usize> = BTreeMap::new();
        for stored in &stored {
            let pair = (text(&stored.item, "/detection/id"), text(&stored.item, "/ioc/value"));
            let expected = self.wanted.get(&pair);
            let expected = expected.unwrap_or_else(|| panic!("foreign: {}", stored.item));
            assert_eq!(&stored.item, expected, "an item was changed");
            if let Some(earlier) = arrived.insert(pair.clone(), stored.request) {
                let request = &requests[earlier];
                assert!(
                    earlier != stored.request && lost(earlier, request),
                    "{pair:?} was stored twice although the answer to request {earlier} arrived: {request:?}"
                );
            }
        }
        let ledger = books(stage);
        let mut verdict = Verdict::default();
        for pair in self.wanted.keys() {
            let value = &pair.1;
            match ledger.get(pair).map(String::as_str) {
                Some("delivered") => {
                    assert!(
                        arrived.keys().any(|(_, arrived)| arrived == value),
                        "{pair:?} counts as delivered and never arrived"
                    );
                    verdict.delivered += 1;
                }
                Some("quarantined") => {
                    assert!(
                        refused_alone(&requests, pair),
                        "{pair:?} is in quarantine and was never refused alone"
                    );
                    verdict.quarantined += 1;
                }
                Some("waiting") => verdict.waiting += 1,
                other => panic!("{pair:?} is lost: the ledger says {other:?}"),
            }
        }
        let foreign = ledger.keys().find(|pair| !self.wanted.contains_key(*pair));
        assert_eq!(foreign, None, "the ledger holds what nobody handed out");
        for (pair, last) in &arrived {
            let settled = ledger[pair] == "delivered" || lost(*last, &requests[*last]);
            assert!(settled, "{pair:?} arrived, and the ledger says {}", ledger[pair]);
        }
        // An indicator that only one detection names cannot stand behind another: it must be there itself.
        let mut named: BTreeMap<&String, u32> = BTreeMap::new();
        for (_, value) in self.wanted.keys() {
            *named.entry(value).or_default() += 1;
        }
        for pair in self.wanted.keys().filter(|pair| named[&pair.1] == 1) {
            let there = ledger[pair] != "delivered" || arrived.contains_key(pair);
            assert!(there, "{pair:?} counts as delivered and never arrived");
        }
        assert!(!stage.sandbox.overlapping_posts());
        verdict
    }
}

/// Where everything that had to arrive is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    pub delivered: usize,
    pub quarantined: usize,
    pub waiting: usize,
}

/// Whether an answer got lost although the batch was stored.
pub fn broke_after_storing(_: usize, request: &Asked) -> bool {
    matches!(request.fault, Fault::ResetAfter | Fault::Truncate | Fault::GarbageAfter)
        || request.status.is_none()
        || !request.complete
}

/// Holds a run's own numbers against each other, the run before, and what the sandbox stored during it.
#[track_caller]
pub fn numbers(stage: &Stage, ran: &Ran, first_request: usize, carried_in: u64) {
    let document = ran.json();
    assert_eq!(document["exit_code"], ran.code, "{document}");
    if document["window"].is_null() {
        return;
    }
    ran.adds_up();
    assert_eq!(ran.count("carried_in"), carried_in, "{document}");
    let requests = stage.sandbox.requests();
    let told = stage.sandbox.stored().into_iter().filter(|stored| {
        stored.request >= first_request
            && !broke_after_storing(stored.request, &requests[stored.request])
    });
    let told = told.count();
    assert_eq!(usize::try_from(ran.count("submitted")).unwrap(), told, "{document}");
    let held = |state: &str| books(stage).values().filter(|held| *held == state).count();
    // Several detections can stand behind one that waits.
    assert_eq!(ran.count("waiting") == 0, held("waiting") == 0, "{document}");
}

/// Whether a batch of nothing but this indicator was refused. (Its detection may have stood behind another.)
fn refused_alone(requests: &[Asked], (_, value): &Pair) -> bool {
    let refused = |request: &&Asked| matches!(request.status, Some(400 | 413 | 422));
    requests.iter().filter(refused).any(|request| {
        let body = request.json().unwrap_or_default();
        let data = body["data"].as_array().map_or(&[][..], Vec::as_slice);
        matches!(data, [item] if item["ioc"]["value"] == value.as_str())
    })
}

/// The state of every pair in the ledger, read with plain SQL.
pub fn books(stage: &Stage) -> BTreeMap<Pair, String> {
    let path = stage.path("collective-insights.db");
    if !path.exists() {
        return BTreeMap::new();
    }
    let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap();
    let mut select = db
        .prepare(
            "SELECT detection, ifnull(settled.value, outbox.value),
                    CASE WHEN batch.state IN ('delivered', 'dropped') THEN batch.state ELSE outbox.state END
             FROM sighting LEFT JOIN outbox ON outbox.id = entry
             LEFT JOIN settled ON settled.id = entry LEFT JOIN batch ON batch.id = settled.batch",
        )
        .unwrap();
    let rows = select.query_map([], |row| Ok(((row.get(0)?, row.get(1)?), row.get(2)?))).unwrap();
    rows.collect::<rusqlite::Result<_>>().unwrap()
}
