//! What holds for both vendors is tested once, for each of them.

use chrono::{DateTime, TimeDelta, Utc};
use sandbox::{Sandbox, Service, World};
use serde_json::{Value, json};

use super::alerts::{carbonblack, falcon, sha256, with};

/// A window as arguments: on the millisecond, where `--hours` would follow the clock.
pub const EXACTLY: &str = "--since 2026-11-21T00:15:00Z --until 2026-11-22T00:15:00Z";

/// One of the vendors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vendor {
    CrowdStrike,
    CarbonBlack,
}

impl Vendor {
    pub const BOTH: [Self; 2] = [Self::CrowdStrike, Self::CarbonBlack];

    /// Its subcommand.
    pub const fn command(self) -> &'static str {
        match self {
            Self::CrowdStrike => "crowdstrike",
            Self::CarbonBlack => "carbonblack",
        }
    }

    /// Where its alerts are asked for.
    pub const fn service(self) -> Service {
        match self {
            Self::CrowdStrike => Service::FalconAlerts,
            Self::CarbonBlack => Service::CarbonBlack,
        }
    }

    /// An alert, told apart by its number, with the indicator `sha256(number)`.
    pub fn alert(self, number: u64, arrived: DateTime<Utc>) -> Value {
        let id = format!("id:ind:{number}");
        let alert = match self {
            Self::CrowdStrike => falcon(&id, "hash_sha256", &sha256(number)),
            Self::CarbonBlack => carbonblack(&id, &sha256(number)),
        };
        with(alert, self.arrival_key(), json!(sandbox::time::millis(arrived)))
    }

    /// An alert without an indicator and with no more than it takes to be found.
    pub fn plain_alert(self, number: u64, arrived: DateTime<Utc>) -> Value {
        json!({
            self.id_key(): format!("id:ind:{number}"),
            "product": "epp",
            "type": "made",
            self.arrival_key(): sandbox::time::millis(arrived),
        })
    }

    /// The field by which windows are read.
    pub const fn arrival_key(self) -> &'static str {
        match self {
            Self::CrowdStrike => "created_timestamp",
            Self::CarbonBlack => "backend_timestamp",
        }
    }

    /// The field of an alert's identity.
    pub const fn id_key(self) -> &'static str {
        match self {
            Self::CrowdStrike => "composite_id",
            Self::CarbonBlack => "id",
        }
    }

    /// A world with these alerts.
    pub fn world(self, alerts: &[Value]) -> World {
        match self {
            Self::CrowdStrike => World::default().falcon_alerts(alerts),
            Self::CarbonBlack => World::default().carbon_black_alerts(alerts),
        }
    }

    /// The world with one more alert, given as raw text.
    pub fn raw(self, world: World, text: &str, like: &Value) -> World {
        match self {
            Self::CrowdStrike => world.falcon_raw(text, like),
            Self::CarbonBlack => world.carbon_black_raw(text, like),
        }
    }

    /// The ids of the alerts that the sandbox handed out, repeats included.
    pub fn handed_out(self, sandbox: &Sandbox) -> Vec<String> {
        let out = sandbox.handed_out();
        match self {
            Self::CrowdStrike => out.falcon,
            Self::CarbonBlack => out.carbon_black,
        }
    }
}

/// An instant of the staged day: so many milliseconds after its first one.
pub fn at(milliseconds: u64) -> DateTime<Utc> {
    let start: DateTime<Utc> = "2026-11-21T00:15:00Z".parse().unwrap();
    start + TimeDelta::milliseconds(milliseconds.try_into().unwrap())
}
