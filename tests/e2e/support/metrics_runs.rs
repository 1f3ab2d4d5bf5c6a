//! Runs that write a metrics file.

use sandbox::World;

use super::TestEnv;
use super::alerts::{falcon, sha256, with, without};
use super::metrics::Metrics;

/// The metrics file, in the working folder.
pub const METRICS_FILE: &str = "insights.prom";

/// A run that writes [`METRICS_FILE`].
pub const RUN_WITH_METRICS: &str = "crowdstrike --json --metrics-file insights.prom";

/// The labels of a CrowdStrike run without a settings file, for [`Metrics::get`]: the tenant and
/// the source.
pub const FALCON_LABELS: &str = "crowdstrike crowdstrike";

/// The labels of a Carbon Black run without a settings file.
pub const CARBON_BLACK_LABELS: &str = "carbonblack carbonblack";

/// Reads [`METRICS_FILE`].
#[track_caller]
pub fn read_metrics(env: &TestEnv) -> Metrics {
    Metrics::read(&env.path(METRICS_FILE))
}

/// A run in [`env_for_mixed_run`]: nearly every count of its report and of its metrics is above 0.
pub const MIXED_RUN: &str = "crowdstrike --json --metrics-file insights.prom --exclusion-file known --daily-limit 3 --batch-size 2 --min-severity 20";

/// Returns an environment for [`MIXED_RUN`].
pub fn env_for_mixed_run() -> TestEnv {
    let mut alerts = vec![
        falcon("1", "domain", "a.example.com"),
        falcon("2", "domain", "a.example.com"),
        falcon("3", "ip", "10.0.0.1"),
        falcon("4", "domain", "known.example.com"),
        falcon("5", "hash_sha256", "none"),
        falcon("6", "filename", "a.exe"),
        with(falcon("7", "domain", "rejected.example.com"), "severity", 90.into()),
        without(without(falcon("8", "", ""), "ioc_type"), "ioc_value"),
        with(falcon("9", "domain", "b.example.com"), "severity", 10.into()),
        with(falcon("10", "domain", "c.example.com"), "status", "closed".into()),
    ];
    alerts
        .extend((20..25).map(|number| falcon(&number.to_string(), "hash_sha256", &sha256(number))));
    let env = TestEnv::new(World::default().falcon_alerts(&alerts).with(|world| {
        world.recorded_future.rejected_values = vec![("rejected.example.com".to_owned(), 400)];
    }));
    env.write("known", "known.example.com\n");
    env
}
