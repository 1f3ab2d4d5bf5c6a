//! The vendors, for tests that run for each of them.

use chrono::{DateTime, TimeDelta, Utc};
use sandbox::{Sandbox, Service, World};
use serde_json::{Value, json};

use super::alerts::{carbonblack, falcon, sha256, with};

/// The arguments for the exact test day; `--hours` would depend on the clock.
pub const DAY_WINDOW: &str = "--since 2026-11-21T00:15:00Z --until 2026-11-22T00:15:00Z";

/// The milliseconds of a day.
pub const DAY_MILLIS: u64 = 24 * 60 * 60 * 1000;

/// A vendor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vendor {
    CrowdStrike,
    CarbonBlack,
}

impl Vendor {
    pub const ALL: [Self; 2] = [Self::CrowdStrike, Self::CarbonBlack];

    /// Returns the subcommand.
    pub const fn command(self) -> &'static str {
        match self {
            Self::CrowdStrike => "crowdstrike",
            Self::CarbonBlack => "carbonblack",
        }
    }

    /// Returns the service that provides the alerts.
    pub const fn service(self) -> Service {
        match self {
            Self::CrowdStrike => Service::FalconAlerts,
            Self::CarbonBlack => Service::CarbonBlack,
        }
    }

    /// Returns an alert with a unique id and the indicator `sha256(number)`.
    pub fn alert(self, number: u64, arrived: DateTime<Utc>) -> Value {
        let id = format!("id:ind:{number}");
        let alert = match self {
            Self::CrowdStrike => falcon(&id, "hash_sha256", &sha256(number)),
            Self::CarbonBlack => carbonblack(&id, &sha256(number)),
        };
        with(alert, self.arrival_key(), json!(sandbox::time::millis(arrived)))
    }

    /// Returns a minimal alert without an indicator.
    pub fn alert_without_indicator(self, number: u64, arrived: DateTime<Utc>) -> Value {
        json!({
            self.id_key(): format!("id:ind:{number}"),
            "product": "epp",
            "type": "made",
            self.arrival_key(): sandbox::time::millis(arrived),
        })
    }

    /// Returns the field that windows filter by.
    pub const fn arrival_key(self) -> &'static str {
        match self {
            Self::CrowdStrike => "created_timestamp",
            Self::CarbonBlack => "backend_timestamp",
        }
    }

    /// Returns the field with the id of an alert.
    pub const fn id_key(self) -> &'static str {
        match self {
            Self::CrowdStrike => "composite_id",
            Self::CarbonBlack => "id",
        }
    }

    /// Returns a world with these alerts.
    pub fn world(self, alerts: &[Value]) -> World {
        match self {
            Self::CrowdStrike => World::default().falcon_alerts(alerts),
            Self::CarbonBlack => World::default().carbon_black_alerts(alerts),
        }
    }

    /// Adds an alert as raw text to a world; searches see the fields of `search_as`.
    pub fn add_raw(self, world: World, text: &str, search_as: &Value) -> World {
        match self {
            Self::CrowdStrike => world.falcon_raw(text, search_as),
            Self::CarbonBlack => world.carbon_black_raw(text, search_as),
        }
    }

    /// Returns the ids of the alerts that the sandbox served, with duplicates.
    pub fn served_alerts(self, sandbox: &Sandbox) -> Vec<String> {
        let served = sandbox.served_alerts();
        match self {
            Self::CrowdStrike => served.falcon,
            Self::CarbonBlack => served.carbon_black,
        }
    }
}

/// Returns the instant this many milliseconds after the start of the test day.
pub fn millis_into_day(milliseconds: u64) -> DateTime<Utc> {
    let start: DateTime<Utc> = "2026-11-21T00:15:00Z".parse().unwrap();
    start + TimeDelta::milliseconds(milliseconds.try_into().unwrap())
}
