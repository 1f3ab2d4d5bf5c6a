//! `--metrics-file`: what is in the file, compared with the report and the ledger.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sandbox::{Fault, RF_TOKEN, Service, World};
use serde_json::Value;

use crate::local_failures::{LATER, test_env};
use crate::several_tenants::{acme, beta};
use crate::support::alerts::{carbonblack, falcon, sha256, with, without};
use crate::support::metrics::Metrics;
use crate::support::process::{RunningProcess, wait_for_requests};
use crate::support::tenants_env::{TenantsEnv, by_tenant};
use crate::support::{NOW, RunOutput, TestEnv};

/// The file, in the working folder.
pub const FILE: &str = "insights.prom";
pub const RUN: &str = "crowdstrike --json --metrics-file insights.prom";
const FORBIDDEN: &str = r#"{"errors":[{"code":403,"message":"a message of the service"}]}"#;
pub const FALCON: &str = "crowdstrike crowdstrike";
pub const CARBON_BLACK: &str = "carbonblack carbonblack";

#[track_caller]
pub fn metrics(env: &TestEnv) -> Metrics {
    Metrics::read(&env.path(FILE))
}

/// Returns an environment in which a run with [`MIXED`] has something of nearly each fate.
pub fn mixed() -> TestEnv {
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

pub const MIXED: &str = "crowdstrike --json --metrics-file insights.prom --exclusion-file known --daily-limit 3 --batch-size 2 --min-severity 20";

/// Asserts that the fates of a tenant's last run are the counts of its report.
#[track_caller]
fn assert_counts(metrics: &Metrics, tenant: &str, output: &RunOutput) {
    output.assert_sums();
    let counts = output.json()["counts"].clone();
    let alerts = metrics.fates("last_run_alerts", tenant);
    let indicators = metrics.fates("last_run_indicators", tenant);
    let count = |name: &str| counts[name].as_u64();
    for (fate, value) in &alerts {
        let expected = count(&format!("alerts_{fate}"));
        assert!(fate == "with_indicator" || expected == Some(*value), "{fate} in {counts}");
    }
    for (fate, value) in &indicators {
        let expected = count(&format!("indicators_{fate}")).or_else(|| count(fate));
        assert_eq!(expected, Some(*value), "{fate} in {counts}");
    }
    let sum = |fates: &BTreeMap<String, u64>| fates.values().sum::<u64>();
    assert_eq!(Some(sum(&alerts)), count("alerts_fetched"));
    let carried_in = count("carried_in").unwrap();
    assert_eq!(sum(&indicators), carried_in + count("indicators_found").unwrap());
}

#[test]
fn the_fates_add_up_to_the_numbers_of_the_report() {
    let env = mixed();
    let output = env.run(MIXED).assert_code(3);
    let metrics = metrics(&env);
    assert_counts(&metrics, "crowdstrike", &output);
    let alerts = metrics.fates("last_run_alerts", "crowdstrike");
    assert_eq!((alerts["without_indicator"], alerts["below_threshold"]), (1, 1), "{alerts:?}");
    let indicators = metrics.fates("last_run_indicators", "crowdstrike");
    for fate in ["unsupported", "invalid", "private", "excluded", "repeated", "quarantined"] {
        assert_eq!(indicators[fate], 1, "{fate} of {indicators:?}");
    }
    assert!(indicators["processed"] > 0 && indicators["waiting"] > 0, "{indicators:?}");
    // The next run carries them in.
    let output = env.run_at(LATER, MIXED).assert_code(0);
    assert!(output.count("carried_in") > 0);
    assert_counts(&crate::metrics::metrics(&env), "crowdstrike", &output);
}

#[test]
fn the_state_is_that_of_status() {
    let env = mixed();
    env.run(MIXED).assert_code(3);
    let metrics = metrics(&env);
    let status = env.run("status --json").assert_code(0).json()["sources"][0].clone();
    let time = |value: &Value| -> DateTime<Utc> { value.as_str().unwrap().parse().unwrap() };
    let unix_time = |value: &Value| time(value).format("%s%.3f").to_string();
    let history = env.run("history --runs --json").assert_code(0).json()["runs"][0].clone();
    for (name, expected) in [
        ("last_run_exit_code", status["last_exit_code"].to_string()),
        ("last_success_timestamp_seconds", "0".to_owned()),
        ("last_run_timestamp_seconds", unix_time(&history["finished_at"])),
        ("queued_indicators", status["waiting"].to_string()),
        ("oldest_queued_timestamp_seconds", unix_time(&status["oldest_waiting"])),
        ("quarantined_indicators", "1".to_owned()),
        ("quota_used_indicators", status["used_today"].to_string()),
    ] {
        assert_eq!(metrics.get(name, FALCON), expected, "{name} in {status} {history}");
    }
    let duration = time(&history["finished_at"]) - time(&history["started_at"]);
    let milliseconds = duration.num_milliseconds();
    let seconds = format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000);
    assert_eq!(metrics.get("last_run_duration_seconds", FALCON), seconds);
    let info = format!("version=\"{}\"}} 1\n", env!("CARGO_PKG_VERSION"));
    assert!(metrics.text.contains(&info), "{}", metrics.text);
}

#[test]
fn schedules_that_share_the_file_keep_each_others_numbers() {
    let env = TestEnv::new(
        World::default()
            .falcon_alerts(&[falcon("1", "domain", "a.example.com")])
            .carbon_black_alerts(&[carbonblack("b1", &sha256(1)), carbonblack("b2", &sha256(2))]),
    );
    let first = env.run(RUN).assert_code(0);
    let alone = metrics(&env);
    let second = env.run_at(LATER, &RUN.replace("crowdstrike", "carbonblack")).assert_code(0);
    let both = metrics(&env);
    assert_counts(&both, "crowdstrike", &first);
    assert_counts(&both, "carbonblack", &second);
    for name in ["last_success_timestamp_seconds", "last_run_duration_seconds"] {
        assert_eq!(both.get(name, FALCON), alone.get(name, FALCON), "{name}");
    }
    let time = |labels| both.get("last_success_timestamp_seconds", labels);
    assert!(time(CARBON_BLACK) > time(FALCON), "{}", both.text);
    // Without a queue there is no age, and no metric without a sample.
    assert!(!both.names().contains(&"oldest_queued_timestamp_seconds"), "{}", both.text);
}

#[test]
fn a_failed_run_shows_its_exit_code_and_keeps_the_last_success() {
    let env = test_env(3);
    env.run(RUN).assert_code(0);
    let success = metrics(&env).get("last_success_timestamp_seconds", FALCON).to_owned();
    env.sandbox.queue_faults(Service::FalconAlerts, vec![Fault::status(403, FORBIDDEN)]);
    env.run_at(LATER, RUN).assert_code(4);
    let failed = metrics(&env);
    assert_eq!(failed.get("last_run_exit_code", FALCON), "4");
    assert_eq!(failed.get("last_success_timestamp_seconds", FALCON), success);
    // One that fails before the ledger has its run.
    env.write("bad", "http://[\n");
    env.run_at(LATER, &format!("{RUN} --exclusion-file bad")).assert_code(2);
    let failed = metrics(&env);
    assert_eq!(failed.get("last_run_exit_code", FALCON), "2");
    assert_eq!(failed.get("last_success_timestamp_seconds", FALCON), success);
    assert_eq!(failed.get("last_run_duration_seconds", FALCON), "0.000");
    assert_eq!(failed.fates("last_run_alerts", "crowdstrike"), BTreeMap::new());
    assert_eq!(failed.get("queued_indicators", FALCON), "0");
}

#[test]
fn a_run_that_finds_the_ledger_locked_shows_what_is_in_it() {
    let env = test_env(3);
    env.run(RUN).assert_code(0);
    let hang = Fault::HangThenReset(Duration::from_mins(1));
    env.sandbox.queue_faults(Service::FalconAlerts, vec![hang]);
    let requests = env.request_count(Service::FalconAlerts);
    let mut first = RunningProcess::start(&mut env.command_at(LATER, RUN));
    wait_for_requests(&env.sandbox, Service::FalconAlerts, requests + 1);
    env.run_at(LATER, &RUN.replace("crowdstrike", "carbonblack")).assert_code(7);
    let metrics = metrics(&env);
    assert_eq!(metrics.get("last_run_exit_code", CARBON_BLACK), "7");
    assert_eq!(metrics.get("last_success_timestamp_seconds", CARBON_BLACK), "0");
    assert_eq!(metrics.find("queued_indicators", CARBON_BLACK), None);
    // Of the tenant whose run is active, the last one that has ended.
    assert_eq!(metrics.get("last_run_exit_code", FALCON), "0");
    assert_eq!(metrics.fates("last_run_alerts", "crowdstrike")["with_indicator"], 3);
    first.kill();
}

#[test]
fn without_a_ledger_the_file_has_the_numbers_of_this_run() {
    let env = test_env(3);
    let run = format!("{RUN} --no-ledger");
    let output = env.run(&run).assert_code(0);
    let metrics = metrics(&env);
    assert_counts(&metrics, "crowdstrike", &output);
    assert_eq!(metrics.find("queued_indicators", FALCON), None);
    assert_ne!(metrics.get("last_run_duration_seconds", FALCON), "0.000");
    let now: DateTime<Utc> = NOW.parse().unwrap();
    let success = metrics.get("last_success_timestamp_seconds", FALCON).split('.').next().unwrap();
    let after = success.parse::<i64>().unwrap() - now.timestamp();
    assert!((0..60).contains(&after), "{success}");
}

#[test]
fn an_interrupted_run_writes_the_file() {
    let env = test_env(3);
    let hang = Fault::HangThenReset(Duration::from_mins(1));
    env.sandbox.queue_faults(Service::RecordedFuture, vec![hang]);
    let mut running = RunningProcess::start(&mut env.command(RUN));
    wait_for_requests(&env.sandbox, Service::RecordedFuture, 1);
    running.signal("TERM");
    let output = running.finish().assert_code(143);
    let metrics = metrics(&env);
    assert_eq!(metrics.get("last_run_exit_code", FALCON), "143");
    assert_eq!(metrics.get("queued_indicators", FALCON), "3");
    assert_counts(&metrics, "crowdstrike", &output);
}

#[test]
fn runs_that_change_nothing_and_runs_with_wrong_settings_write_no_file() {
    let env = test_env(3);
    for (more, code) in [("-n", 0), ("--debug", 0), ("--rf-api-url ftp://x", 2), ("--hours x", 2)] {
        env.run(&format!("{RUN} {more}")).assert_code(code);
        assert!(!env.path(FILE).exists(), "{more}");
    }
}

#[test]
fn run_writes_one_file_for_all_tenants() {
    let env = TenantsEnv::new(vec![acme(), beta()]);
    std::fs::remove_file(env.secret_file("beta", "secret")).unwrap();
    let run = "run --json --metrics-file insights.prom";
    let output = env.run(run).assert_code(2);
    let first = metrics(&env.home);
    assert_eq!(first.tenants(), ["acme", "beta"]);
    assert_counts(&first, "acme", &by_tenant(&output)["acme"]);
    assert_eq!(first.get("last_run_exit_code", "acme crowdstrike"), "0");
    assert_eq!(first.get("last_run_exit_code", "beta carbonblack"), "2");
    assert_eq!(first.get("last_success_timestamp_seconds", "beta carbonblack"), "0");
    // A ledger that is locked stops all of them.
    let lock = std::fs::File::open(env.home.path("collective-insights.db.lock")).unwrap();
    lock.lock().unwrap();
    env.run(run).assert_code(7);
    let locked = metrics(&env.home);
    for labels in ["acme crowdstrike", "beta carbonblack"] {
        assert_eq!(locked.get("last_run_exit_code", labels), "7");
    }
    let success = |metrics: &Metrics| {
        metrics.get("last_success_timestamp_seconds", "acme crowdstrike").to_owned()
    };
    assert_eq!(success(&locked), success(&first));
    assert_ne!(success(&first), "0");
}

#[test]
fn tenants_that_are_no_longer_used_are_left_out() {
    let env = TenantsEnv::new(vec![acme(), beta()]);
    env.run("run").assert_code(0);
    let run = "run --metrics-file insights.prom --tenant acme";
    env.run(run).assert_code(0);
    assert_eq!(metrics(&env.home).tenants(), ["acme", "beta"]);
    let settings = std::fs::read_to_string(env.home.path("settings.toml")).unwrap();
    for changed in ["name = \"beta\"\nenabled = false", "name = \"gamma\""] {
        env.home.write("settings.toml", settings.replace("name = \"beta\"", changed));
        env.run(run).assert_code(0);
        assert_eq!(metrics(&env.home).tenants(), ["acme"], "{changed}");
    }
}

#[test]
fn the_option_is_one_of_all_tenants() {
    let env = TenantsEnv::new(vec![acme(), beta()]);
    let settings = std::fs::read_to_string(env.home.path("settings.toml")).unwrap();
    let key = format!("metrics-file = \"{FILE}\"\n");
    env.home.write("settings.toml", format!("{settings}{key}"));
    env.run("run").assert_code(2).assert_stderr(&["metrics-file applies to all tenants"]);
    env.home.write("settings.toml", format!("[defaults]\n{key}{settings}"));
    env.run("run").assert_code(0);
    assert_eq!(metrics(&env.home).tenants(), ["acme", "beta"]);
    let mut variable = env.command_at(NOW, "run");
    variable.env("COLLECTIVE_INSIGHTS_METRICS_FILE", "variable.prom");
    RunOutput::capture(&mut variable).assert_code(0);
    assert!(env.home.path("variable.prom").exists());
}

#[test]
fn no_secret_address_or_error_is_in_the_file() {
    let env = test_env(3);
    let words = "a message of the service";
    env.sandbox.queue_faults(Service::FalconAlerts, vec![Fault::status(403, FORBIDDEN)]);
    env.run(RUN).assert_code(4);
    let text = metrics(&env).text;
    for part in [RF_TOKEN, words, "127.0.0.1", "http", env.folder().to_str().unwrap()] {
        assert!(!text.contains(part), "{part} in {text}");
    }
}
