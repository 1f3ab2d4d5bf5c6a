//! Builds a ledger as it is after a quarter: 90 nightly runs for both vendors, about 20,000
//! indicators, and a few failures. The real program runs for each night and writes every table.
//!
//! Except for the ids of the runs and the seconds within a run, the ledger is always the same.

mod alerts;

use std::sync::OnceLock;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use sandbox::{Fault, Service, World};

use super::vendor::Vendor;
use super::{RunOutput, TestEnv};
use alerts::{EXCLUSIONS, Generator};

/// When the run of CrowdStrike of the first night starts; that of Carbon Black is half an hour
/// later.
pub const FIRST_NIGHT: &str = "2026-08-25T00:15:00Z";
/// The morning after the last night.
pub const END: &str = "2026-11-22T07:00:00Z";
pub const NIGHTS: u32 = 90;

/// The nights without a run. After them, Carbon Black leaves a gap, which was never read.
const WITHOUT_RUN: [u32; 3] = [48, 49, 50];
/// After this night, the operator drops the quarantine of Carbon Black.
const CLEARED: u32 = 45;

const EXCLUSION_FILE: &str = "known-good.txt";

/// Runs the program for each night.
pub fn build() -> TestEnv {
    let mut generator = Generator::new();
    let days = (0..NIGHTS).flat_map(|day| Vendor::ALL.map(|vendor| (vendor, day)));
    let mut world = World::default();
    for (vendor, day) in days {
        let alerts = generator.day(vendor, day);
        world = match vendor {
            Vendor::CrowdStrike => world.falcon_alerts(&alerts),
            Vendor::CarbonBlack => world.carbon_black_alerts(&alerts),
        };
    }
    let rejected = generator.rejected().into_iter().map(|value| (value, 400));
    world.recorded_future.rejected_values.extend(rejected);
    let env = TestEnv::new(world);
    env.write(EXCLUSION_FILE, EXCLUSIONS);
    for night in (0..NIGHTS).filter(|night| !WITHOUT_RUN.contains(night)) {
        for vendor in [Vendor::CrowdStrike, Vendor::CarbonBlack] {
            run_night(&env, vendor, night);
        }
        if night == CLEARED {
            let drop = "outbox drop --quarantined --tenant carbonblack --yes";
            env.run_at(&time(night, TimeDelta::hours(9)), drop).assert_code(0);
        }
    }
    env
}

/// Runs one vendor in one night. Some nights have a failure.
fn run_night(env: &TestEnv, vendor: Vendor, night: u32) {
    let (flags, after) = match vendor {
        Vendor::CrowdStrike => ("--min-severity low", 0),
        Vendor::CarbonBlack => ("--min-severity 2 --indicator malicious", 30),
    };
    let arguments =
        format!("{} {flags} --skip-dismissed --exclusion-file {EXCLUSION_FILE}", vendor.command());
    let start = time(night, TimeDelta::minutes(after));
    let run = |more: &str| {
        RunOutput::capture(&mut env.command_at(&start, &format!("{arguments} {more}")))
    };
    let failing = |service: Service, fault: Fault| {
        env.sandbox.always(service, Some(fault));
        let output = run("");
        env.sandbox.clear_faults(service);
        output
    };
    let forbidden = || Fault::status(403, r#"{"errors":[{"code":403,"message":"access denied"}]}"#);
    let unavailable = || Fault::status(503, "");
    match (night, vendor) {
        // The vendor rejects the credentials.
        (12, Vendor::CrowdStrike) | (70, Vendor::CarbonBlack) => {
            failing(vendor.service(), forbidden()).assert_code(4);
        }
        // Recorded Future is unavailable.
        (25 | 26, _) => {
            failing(Service::RecordedFuture, unavailable()).assert_code(5);
        }
        // The vendor is unavailable.
        (37, Vendor::CrowdStrike) => {
            failing(vendor.service(), unavailable()).assert_code(5);
        }
        // The nights without a run began longer ago than this run may look back: it leaves a gap.
        (51, Vendor::CarbonBlack) => {
            run("--max-catch-up 2").assert_code(3);
        }
        // The run is killed at its fourth crash point.
        (60, Vendor::CrowdStrike) => {
            let mut command = env.command_at(&start, &arguments);
            command.env("COLLECTIVE_INSIGHTS_TEST_KILL_AT", "4");
            RunOutput::capture(&mut command).assert_code(-1);
        }
        // The daily quota is used up after the first batch.
        (89, Vendor::CarbonBlack) => {
            let quota = Fault::status(429, r#"{"message":"Daily quota exceeded"}"#);
            env.sandbox.queue_faults(Service::RecordedFuture, vec![Fault::None]);
            env.sandbox.always(Service::RecordedFuture, Some(quota));
            run("--batch-size 40").assert_code(0);
        }
        _ => {
            let output = run("");
            assert!([0, 3].contains(&output.code), "{night} {vendor:?}: {output:?}");
        }
    }
}

/// Returns the time of a night and this much later.
fn time(night: u32, after: TimeDelta) -> String {
    let first: DateTime<Utc> = FIRST_NIGHT.parse().unwrap();
    let time = first + TimeDelta::days(night.into()) + after;
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Returns the environment after the quarter, which is built once for all tests.
pub fn shared() -> &'static TestEnv {
    static QUARTER: OnceLock<TestEnv> = OnceLock::new();
    QUARTER.get_or_init(build)
}
