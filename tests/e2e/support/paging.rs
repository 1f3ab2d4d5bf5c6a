//! Alerts that need several pages, and the assertion that each of them was delivered once.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::alerts::sha256;
use super::vendor::{DAY_WINDOW, Vendor, millis_into_day};
use super::{RunOutput, TestEnv};

/// Returns alerts with different indicators, one per second.
pub fn one_per_second(vendor: Vendor, count: u64) -> Vec<Value> {
    let seconds = (0..count).map(|number| vendor.alert(number, millis_into_day(number * 1000)));
    seconds.collect()
}

/// Returns alerts without an indicator that arrived at these instants.
pub fn alerts_without_indicator(
    vendor: Vendor,
    instants: impl IntoIterator<Item = DateTime<Utc>>,
) -> Vec<Value> {
    let numbered = (0..).zip(instants);
    numbered.map(|(number, instant)| vendor.alert_without_indicator(number, instant)).collect()
}

/// Reads the 24 hours before [`NOW`](super::NOW), and asserts that each of the alerts was delivered
/// exactly once.
#[track_caller]
pub fn assert_read_once(vendor: Vendor, env: &TestEnv, count: u64) -> RunOutput {
    assert_read_once_with("", vendor, env, count)
}

/// Does the same with one request at a time, so that the number of requests is known.
#[track_caller]
pub fn assert_read_once_sequentially(vendor: Vendor, env: &TestEnv, count: u64) -> RunOutput {
    assert_read_once_with("--concurrency 1", vendor, env, count)
}

/// Does the same with more flags.
#[track_caller]
pub fn assert_read_once_with(flags: &str, vendor: Vendor, env: &TestEnv, count: u64) -> RunOutput {
    let output =
        env.run(&format!("{} --json {DAY_WINDOW} {flags}", vendor.command())).assert_code(0);
    output.assert_counts(&[
        ("alerts_fetched", count),
        ("indicators_found", count),
        ("submitted", count),
        ("processed", count),
    ]);
    let expected: Vec<String> = (0..count).map(sha256).collect();
    assert_eq!(env.stored_values(), expected, "{vendor:?}");
    output
}
