//! Generates the alerts, with the items that must be sent for them.

use std::cell::RefCell;
use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use sandbox::World;
use serde_json::{Value, json};

use super::super::alerts::{carbonblack, falcon, sha256, with};
use super::super::vendor::{DAY_MILLIS, Vendor};
use super::{Mention, Oracle, first_alert_time};

impl Oracle {
    /// Generates the alerts of some days, spread evenly over each. Per day, `expected` alerts name
    /// an indicator, some of them the same one as others; `ignored` more alerts name none, or one
    /// that is not sent.
    pub fn generate(vendor: Vendor, days: u32, expected: u32, ignored: u32) -> (Self, World) {
        Self::generate_for_tenant(0, vendor, days, expected, ignored)
    }

    /// Does the same for one of several tenants. Every second alert has the id of an alert of the
    /// other tenants, and the same indicator where their vendor is the same.
    pub fn generate_for_tenant(
        tenant: u64,
        vendor: Vendor,
        days: u32,
        expected: u32,
        ignored: u32,
    ) -> (Self, World) {
        let mut oracle = Self {
            vendor,
            expected: BTreeMap::new(),
            created_at: BTreeMap::new(),
            removable: Vec::new(),
            removed: RefCell::default(),
        };
        let mut alerts = Vec::new();
        let per_day = expected + ignored;
        for day in 0..days {
            for index in 0..per_day {
                let millis = DAY_MILLIS * u64::from(index) / u64::from(per_day);
                let into_day = TimeDelta::milliseconds(millis.try_into().unwrap());
                let time = first_alert_time() + TimeDelta::days(day.into()) + into_day;
                // Spread the expected ones among the others.
                let is_expected = index * expected / per_day != (index + 1) * expected / per_day;
                let number = number_for_tenant(tenant, u64::from(day * per_day + index));
                let id = format!("{day}:{number}");
                oracle.created_at.insert(id.clone(), time);
                alerts.push(if is_expected {
                    let generated = Generated::new(vendor, &id, number, time);
                    let mention = Mention { alert: id, value: generated.value };
                    oracle.expected.insert(mention, generated.item);
                    generated.alert
                } else {
                    oracle.removable.push(id.clone());
                    ignored_alert(vendor, &id, number, time)
                });
            }
        }
        (oracle, vendor.world(&alerts))
    }
}

/// Returns the number that the content of an alert is generated from: for even numbers the same for
/// all tenants, for odd ones another per tenant.
const fn number_for_tenant(tenant: u64, number: u64) -> u64 {
    // A multiple of all the divisors in `Generated`, so that an alert has the same type of
    // indicator for all tenants.
    if number.is_multiple_of(2) { number } else { number + tenant * 12_000_000 }
}

/// Returns the hash that the Carbon Black alert with this number names. Every fourth names one of
/// three, also within a day.
fn hash_of(number: u64) -> String {
    sha256(match number % 4 {
        1 => 1_000_000 + number % 3,
        _ => number,
    })
}

fn to_text(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// An alert that names an indicator.
struct Generated {
    alert: Value,
    /// The value of the indicator.
    value: String,
    /// The item that must be sent.
    item: Value,
}

impl Generated {
    fn new(vendor: Vendor, id: &str, number: u64, time: DateTime<Utc>) -> Self {
        match vendor {
            Vendor::CrowdStrike => Self::falcon(id, number, &to_text(time)),
            Vendor::CarbonBlack => Self::carbonblack(id, number, &to_text(time)),
        }
    }

    fn falcon(id: &str, number: u64, time: &str) -> Self {
        let (kind, ioc_type, value) = match number % 3 {
            // One of two, also within a day.
            0 => ("hash", "hash_sha256", sha256(1_000_000 + number % 2)),
            1 => ("domain", "domain", format!("host{number}.example.com")),
            _ => ("url", "url", format!("https://example.com/{number}")),
        };
        let alert = falcon(id, ioc_type, &value);
        let alert = with(alert, "severity", json!(number % 100 + 1));
        let alert = with(alert, "created_timestamp", json!(time));
        let alert = with(alert, "timestamp", json!(time));
        let item = json!({
            "timestamp": time,
            "ioc": {"type": kind, "value": value, "source_type": "crowdstrike:falcon", "field": "ioc_value"},
            "detection": {"type": "correlation", "id": id, "name": "A file was written."},
            "incident": {"id": id, "name": "FileWritten", "type": "crowdstrike-falcon-alert"},
            "mitre_codes": ["T1204", "TA0002"],
        });
        Self { alert, value, item }
    }

    fn carbonblack(id: &str, number: u64, time: &str) -> Self {
        let value = hash_of(number);
        let alert = with(carbonblack(id, &value), "backend_timestamp", json!(time));
        let alert = with(alert, "severity", json!(number % 10 + 1));
        let alert = with(alert, "detection_timestamp", json!(time));
        let item = json!({
            "timestamp": time,
            "ioc": {"type": "hash", "value": value, "source_type": "carbonblack:cloud", "field": "process_sha256"},
            "detection": {"type": "correlation", "id": id, "name": "A process matched a watchlist."},
            "incident": {"id": id, "type": "carbonblack-cloud-alert"},
            "mitre_codes": ["T1059.001", "T1204.002"],
        });
        Self { alert, value, item }
    }
}

/// Returns an alert for which nothing is sent: it names no indicator, or a private IP address, or,
/// for Carbon Black, a hash without an IOC hit.
fn ignored_alert(vendor: Vendor, id: &str, number: u64, time: DateTime<Utc>) -> Value {
    let time = to_text(time);
    let has_address = number.is_multiple_of(5);
    match vendor {
        Vendor::CrowdStrike => json!({
            "composite_id": id, "product": "epp", "created_timestamp": time, "severity": 30,
            "ioc_type": if has_address { "ipv4" } else { "" },
            "ioc_value": if has_address { "10.1.2.3" } else { "" },
        }),
        Vendor::CarbonBlack => json!({
            "id": id, "type": "CB_ANALYTICS", "backend_timestamp": time, "ioc_hit": "",
            "process_sha256": hash_of(number),
        }),
    }
}
