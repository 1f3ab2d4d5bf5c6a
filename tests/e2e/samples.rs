//! The recorded samples, served by the sandbox: unknown types, nulls and missing fields included. They
//! are no part of the repository; where they are not there, these tests say so and pass.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use sandbox::{Sandbox, World};
use serde_json::Value;

use crate::support::Stage;
use crate::support::vendor::{EXACTLY, Vendor, at};

/// The recorded alerts of both vendors, over the exact day.
fn samples() -> Option<[Vec<Value>; 2]> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/samples");
    let folder = std::env::var_os("COLLECTIVE_INSIGHTS_SAMPLES")
        .map_or_else(|| beside.into(), PathBuf::from);
    let end: DateTime<Utc> = "2026-11-22T00:15:00Z".parse().unwrap();
    let found = sandbox::seed::samples(&folder, at(0), end);
    if found.is_none() {
        println!("skipped: no samples at {}", folder.display());
    }
    found.map(|(falcon, carbon_black)| [falcon, carbon_black])
}

/// A stage that serves them as they stand.
fn stage(falcon: &[Value], carbon_black: &[Value]) -> Stage {
    Stage::new(World::default().falcon_alerts(falcon).carbon_black_alerts(carbon_black))
}

#[test]
fn recorded_alerts_are_read_without_an_error() {
    let Some([falcon, carbon_black]) = samples() else {
        return;
    };
    assert!(!falcon.is_empty() && !carbon_black.is_empty());
    let stage = stage(&falcon, &carbon_black);
    for vendor in Vendor::BOTH {
        let ran = stage.run(&format!("{} --json {EXACTLY}", vendor.command())).ended(0);
        assert_eq!(ran.adds_up().count("alerts_unreadable"), 0, "{}", ran.stdout);
        assert!(ran.count("alerts_fetched") > 0, "{}", ran.stdout);
        assert_eq!(ran.count("alerts_fetched"), fetched(vendor, &stage.sandbox), "{}", ran.stdout);
    }
    assert!(!stage.items().is_empty(), "some of them carry an indicator");
}

fn fetched(vendor: Vendor, sandbox: &Sandbox) -> u64 {
    vendor.handed_out(sandbox).len().try_into().unwrap()
}

#[test]
fn recorded_alerts_of_every_product_are_read_without_an_error() {
    let Some([mut falcon, mut carbon_black]) = samples() else {
        return;
    };
    // What the tool does not ask for is served as well: the shapes are what counts here.
    for alert in &mut falcon {
        alert["product"] = "epp".into();
    }
    for alert in &mut carbon_black {
        alert["type"] = format!("OTHER_{}", alert["type"].as_str().unwrap_or_default()).into();
        alert["ioc_hit"] = "made".into();
        alert["blocked_sha256"] = alert["process_sha256"].clone();
    }
    let stage = stage(&falcon, &carbon_black);
    for (vendor, alerts) in [(Vendor::CrowdStrike, &falcon), (Vendor::CarbonBlack, &carbon_black)] {
        let choice = if vendor == Vendor::CarbonBlack { "--indicator both" } else { "" };
        let ran = stage.run(&format!("{} --json {choice} {EXACTLY}", vendor.command())).ended(0);
        assert_eq!(ran.adds_up().count("alerts_fetched"), u64::try_from(alerts.len()).unwrap());
        assert_eq!(ran.count("alerts_unreadable"), 0, "{}", stage.log());
        assert!(ran.count("processed") > 0, "{}", ran.stdout);
    }
}
