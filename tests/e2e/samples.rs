//! Recorded alerts with unknown types, nulls and missing fields, served by the sandbox. They are
//! not part of the repository; without them, these tests print so and are skipped.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use sandbox::{Sandbox, World};
use serde_json::Value;

use crate::support::TestEnv;
use crate::support::vendor::{DAY_WINDOW, Vendor, at_millis};

/// Loads the recorded alerts of both vendors, spread over the test day.
fn samples() -> Option<[Vec<Value>; 2]> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/samples");
    let folder = std::env::var_os("COLLECTIVE_INSIGHTS_SAMPLES")
        .map_or_else(|| default.into(), PathBuf::from);
    let end: DateTime<Utc> = "2026-11-22T00:15:00Z".parse().unwrap();
    let samples = sandbox::seed::samples(&folder, at_millis(0), end);
    if samples.is_none() {
        println!("skipped: there are no samples in {}", folder.display());
    }
    samples.map(|(falcon, carbon_black)| [falcon, carbon_black])
}

/// Returns an environment that serves these alerts.
fn test_env(falcon: &[Value], carbon_black: &[Value]) -> TestEnv {
    TestEnv::new(World::default().falcon_alerts(falcon).carbon_black_alerts(carbon_black))
}

#[test]
fn recorded_alerts_are_read_without_an_error() {
    let Some([falcon, carbon_black]) = samples() else {
        return;
    };
    assert!(!falcon.is_empty() && !carbon_black.is_empty());
    let env = test_env(&falcon, &carbon_black);
    for vendor in Vendor::ALL {
        let (command, flags) = (vendor.command(), flags(vendor));
        let output = env.run(&format!("{command} --json {flags} {DAY_WINDOW}")).assert_code(0);
        assert_eq!(output.assert_sums().count("alerts_unreadable"), 0, "{}", output.stdout);
        assert!(output.count("alerts_fetched") > 0, "{}", output.stdout);
        assert_eq!(
            output.count("alerts_fetched"),
            fetched(vendor, &env.sandbox),
            "{}",
            output.stdout
        );
    }
    assert!(!env.items().is_empty(), "some of them have an indicator");
}

/// Returns the flags that the samples need: they are of several customers.
fn flags(vendor: Vendor) -> &'static str {
    if vendor == Vendor::CrowdStrike { "--all-cids" } else { "" }
}

fn fetched(vendor: Vendor, sandbox: &Sandbox) -> u64 {
    vendor.served_alerts(sandbox).len().try_into().unwrap()
}

#[test]
fn recorded_alerts_of_every_product_are_read_without_an_error() {
    let Some([mut falcon, mut carbon_black]) = samples() else {
        return;
    };
    // Make the service return all alerts, also those that the tool does not request.
    for alert in &mut falcon {
        alert["product"] = "epp".into();
    }
    for alert in &mut carbon_black {
        alert["type"] = format!("OTHER_{}", alert["type"].as_str().unwrap_or_default()).into();
        alert["ioc_hit"] = "made".into();
        alert["blocked_sha256"] = alert["process_sha256"].clone();
    }
    let env = test_env(&falcon, &carbon_black);
    for (vendor, alerts) in [(Vendor::CrowdStrike, &falcon), (Vendor::CarbonBlack, &carbon_black)] {
        let choice = if vendor == Vendor::CarbonBlack { "--indicator both" } else { flags(vendor) };
        let output =
            env.run(&format!("{} --json {choice} {DAY_WINDOW}", vendor.command())).assert_code(0);
        assert_eq!(
            output.assert_sums().count("alerts_fetched"),
            u64::try_from(alerts.len()).unwrap()
        );
        assert_eq!(output.count("alerts_unreadable"), 0, "{}", env.log());
        assert!(output.count("processed") > 0, "{}", output.stdout);
    }
}
