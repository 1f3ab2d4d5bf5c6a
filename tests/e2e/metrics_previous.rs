//! Tests what a run with `--metrics-file` keeps of the file that it replaces.

use std::collections::BTreeMap;

use sandbox::World;

use crate::support::TestEnv;
use crate::support::alerts::{carbonblack, falcon, sha256};
use crate::support::falcon_run::{LATER, env_with_alerts};
use crate::support::metrics::Metrics;
use crate::support::metrics_runs::{
    CARBON_BLACK_LABELS, FALCON_LABELS, METRICS_FILE, RUN_WITH_METRICS, read_metrics,
};
use crate::support::tenants_env::TenantsEnv;
use crate::support::tenants_env::{acme, beta};

/// An hour after [`LATER`].
const EVEN_LATER: &str = "2026-11-22T02:15:00Z";

/// The metrics of the last run of a tenant.
const LAST_RUN: [&str; 3] =
    ["last_run_timestamp_seconds", "last_run_duration_seconds", "last_run_exit_code"];

/// Returns an environment with an alert of each source and a bad exclusion file. A run with that
/// file fails before it is recorded in the ledger.
fn env_with_bad_file() -> TestEnv {
    let env = TestEnv::new(
        World::default()
            .falcon_alerts(&[falcon("1", "domain", "a.example.com")])
            .carbon_black_alerts(&[carbonblack("b1", &sha256(1))]),
    );
    env.write("bad", "http://[\n");
    env
}

/// Returns the arguments of a run of a source that writes the metrics file.
fn run_of(source: &str) -> String {
    RUN_WITH_METRICS.replace("crowdstrike", source)
}

/// Returns the values of [`LAST_RUN`].
fn last_run<'a>(metrics: &'a Metrics, labels: &str) -> [&'a str; 3] {
    LAST_RUN.map(|name| metrics.get(name, labels))
}

#[test]
fn a_failure_that_is_not_in_the_ledger_stays_until_a_newer_run() {
    let sources = [("crowdstrike", FALCON_LABELS), ("carbonblack", CARBON_BLACK_LABELS)];
    for [(failing, failed), (other, succeeded)] in [sources, [sources[1], sources[0]]] {
        let env = env_with_bad_file();
        env.run(&format!("{} --exclusion-file bad", run_of(failing))).assert_code(2);
        let before = read_metrics(&env);
        env.run_at(LATER, &run_of(other)).assert_code(0);
        let after = read_metrics(&env);
        assert_eq!(after.tenants(), ["carbonblack", "crowdstrike"]);
        assert_eq!(last_run(&after, failed), last_run(&before, failed));
        assert_eq!(after.get("last_run_exit_code", failed), "2");
        assert_eq!(after.get("last_success_timestamp_seconds", failed), "0");
        assert_eq!(after.get("last_run_exit_code", succeeded), "0");
        // A newer run replaces the failure: it is in the ledger, although it wrote no metrics file.
        env.run_at(LATER, &format!("{failing} --json")).assert_code(0);
        env.run_at(EVEN_LATER, &run_of(other)).assert_code(0);
        let newer = read_metrics(&env);
        assert_eq!(newer.get("last_run_exit_code", failed), "0");
        assert_ne!(newer.get("last_success_timestamp_seconds", failed), "0");
        assert_ne!(newer.fates("last_run_alerts", failing), BTreeMap::new());
    }
}

#[test]
fn a_failure_after_a_success_hides_its_numbers_and_keeps_its_time() {
    let env = env_with_bad_file();
    env.run(RUN_WITH_METRICS).assert_code(0);
    let success =
        read_metrics(&env).get("last_success_timestamp_seconds", FALCON_LABELS).to_owned();
    env.run_at(LATER, &format!("{RUN_WITH_METRICS} --exclusion-file bad")).assert_code(2);
    env.run_at(EVEN_LATER, &run_of("carbonblack")).assert_code(0);
    let after = read_metrics(&env);
    assert_eq!(after.get("last_run_exit_code", FALCON_LABELS), "2");
    assert_eq!(after.get("last_success_timestamp_seconds", FALCON_LABELS), success);
    assert_eq!(after.fates("last_run_alerts", "crowdstrike"), BTreeMap::new());
    assert_eq!(after.get("queued_indicators", FALCON_LABELS), "0");
}

#[test]
fn samples_of_the_future_and_invalid_lines_are_ignored() {
    let env = env_with_bad_file();
    env.run_at(EVEN_LATER, &format!("{RUN_WITH_METRICS} --exclusion-file bad")).assert_code(2);
    let text = read_metrics(&env).text;
    let other = run_of("carbonblack");
    // This run is earlier than the failed one: the clock was wrong then.
    env.run(&other).assert_code(0);
    assert_eq!(read_metrics(&env).tenants(), ["carbonblack"]);
    env.write(METRICS_FILE, text.replace("\",source=", "\";source="));
    env.run_at(EVEN_LATER, &other).assert_code(0);
    assert_eq!(read_metrics(&env).tenants(), ["carbonblack"]);
    env.write(METRICS_FILE, text);
    env.run_at(EVEN_LATER, &other).assert_code(0);
    assert_eq!(read_metrics(&env).tenants(), ["carbonblack", "crowdstrike"]);
}

#[test]
fn tenants_that_are_no_longer_used_are_not_kept() {
    let env = TenantsEnv::new(vec![acme(), beta()]);
    std::fs::remove_file(env.secret_file("beta", "secret")).unwrap();
    env.run("run --metrics-file insights.prom").assert_code(2);
    let run = "run --metrics-file insights.prom --tenant acme";
    env.run(run).assert_code(0);
    let kept = read_metrics(&env.home);
    assert_eq!(kept.get("last_run_exit_code", "beta carbonblack"), "2");
    let settings = std::fs::read_to_string(env.home.path("settings.toml")).unwrap();
    env.home.write("settings.toml", settings.replace("name = \"beta\"", "name = \"gamma\""));
    env.run(run).assert_code(0);
    assert_eq!(read_metrics(&env.home).tenants(), ["acme"]);
}

#[test]
fn where_the_ledger_cannot_be_read_the_last_runs_and_successes_are_kept() {
    let env = env_with_alerts(3);
    env.run(RUN_WITH_METRICS).assert_code(0);
    env.run(&run_of("carbonblack")).assert_code(0);
    let before = read_metrics(&env);
    let success = |metrics: &Metrics, labels: &str| {
        metrics.get("last_success_timestamp_seconds", labels).to_owned()
    };
    env.write("collective-insights.db", "not a ledger");
    env.run_at(LATER, RUN_WITH_METRICS).assert_code(6);
    let unread = read_metrics(&env);
    assert_eq!(unread.tenants(), ["carbonblack", "crowdstrike"]);
    assert_eq!(unread.get("last_run_exit_code", FALCON_LABELS), "6");
    assert_eq!(last_run(&unread, CARBON_BLACK_LABELS), last_run(&before, CARBON_BLACK_LABELS));
    assert_eq!(
        unread.names(),
        [
            "build_info",
            "last_success_timestamp_seconds",
            "last_run_timestamp_seconds",
            "last_run_duration_seconds",
            "last_run_exit_code"
        ]
    );
    assert!(env.log().contains("the metrics file has last runs and successes only"));
    // A failed run without a ledger keeps them too.
    env.write("bad", "http://[\n");
    env.run_at(EVEN_LATER, &format!("{RUN_WITH_METRICS} --no-ledger --exclusion-file bad"))
        .assert_code(2);
    let without = read_metrics(&env);
    assert_eq!(without.get("last_run_exit_code", FALCON_LABELS), "2");
    for labels in [FALCON_LABELS, CARBON_BLACK_LABELS] {
        assert_eq!(success(&unread, labels), success(&before, labels), "{labels}");
        assert_eq!(success(&without, labels), success(&before, labels), "{labels}");
        assert_ne!(success(&before, labels), "0", "{labels}");
    }
    // Without the old file, no success is known.
    std::fs::remove_file(env.path(METRICS_FILE)).unwrap();
    env.run_at(EVEN_LATER, &format!("{RUN_WITH_METRICS} --no-ledger --exclusion-file bad"))
        .assert_code(2);
    assert_eq!(success(&read_metrics(&env), FALCON_LABELS), "0");
}
