//! Tests what is in the file of `--metrics-file`, compared with the report and the ledger. The
//! label `fate` has what became of alerts or indicators.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sandbox::{Fault, RF_TOKEN, Service, World};
use serde_json::Value;

use crate::support::alerts::{carbonblack, falcon, sha256};
use crate::support::falcon_run::{LATER, env_with_alerts};
use crate::support::metrics::Metrics;
use crate::support::metrics_runs::{
    CARBON_BLACK_LABELS, FALCON_LABELS, METRICS_FILE, MIXED_RUN, RUN_WITH_METRICS,
    env_for_mixed_run, read_metrics,
};
use crate::support::process::{RunningProcess, wait_for_requests};
use crate::support::tenants_env::{TenantsEnv, by_tenant};
use crate::support::tenants_env::{acme, beta};
use crate::support::{NOW, RunOutput, TestEnv};

/// The body of a response that rejects the request.
const FORBIDDEN: &str = r#"{"errors":[{"code":403,"message":"a message of the service"}]}"#;

/// Asserts that the fates of a tenant's last run are the counts of its report.
#[track_caller]
fn assert_counts(metrics: &Metrics, tenant: &str, output: &RunOutput) {
    output.assert_counts_add_up();
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
    let env = env_for_mixed_run();
    let output = env.run(MIXED_RUN).assert_code(3);
    let metrics = read_metrics(&env);
    assert_counts(&metrics, "crowdstrike", &output);
    let alerts = metrics.fates("last_run_alerts", "crowdstrike");
    assert_eq!((alerts["without_indicator"], alerts["below_threshold"]), (1, 1), "{alerts:?}");
    let indicators = metrics.fates("last_run_indicators", "crowdstrike");
    for fate in ["unsupported", "invalid", "private", "excluded", "repeated", "quarantined"] {
        assert_eq!(indicators[fate], 1, "{fate} of {indicators:?}");
    }
    assert!(indicators["processed"] > 0 && indicators["waiting"] > 0, "{indicators:?}");
    // The next run sends what is queued (`carried_in`).
    let output = env.run_at(LATER, MIXED_RUN).assert_code(0);
    assert!(output.count("carried_in") > 0);
    assert_counts(&read_metrics(&env), "crowdstrike", &output);
}

#[test]
fn the_state_is_that_of_status() {
    let env = env_for_mixed_run();
    env.run(MIXED_RUN).assert_code(3);
    let metrics = read_metrics(&env);
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
        assert_eq!(metrics.get(name, FALCON_LABELS), expected, "{name} in {status} {history}");
    }
    let duration = time(&history["finished_at"]) - time(&history["started_at"]);
    let milliseconds = duration.num_milliseconds();
    let seconds = format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000);
    assert_eq!(metrics.get("last_run_duration_seconds", FALCON_LABELS), seconds);
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
    let first = env.run(RUN_WITH_METRICS).assert_code(0);
    let alone = read_metrics(&env);
    let second =
        env.run_at(LATER, &RUN_WITH_METRICS.replace("crowdstrike", "carbonblack")).assert_code(0);
    let both = read_metrics(&env);
    assert_counts(&both, "crowdstrike", &first);
    assert_counts(&both, "carbonblack", &second);
    for name in ["last_success_timestamp_seconds", "last_run_duration_seconds"] {
        assert_eq!(both.get(name, FALCON_LABELS), alone.get(name, FALCON_LABELS), "{name}");
    }
    let time = |labels| both.get("last_success_timestamp_seconds", labels);
    assert!(time(CARBON_BLACK_LABELS) > time(FALCON_LABELS), "{}", both.text);
    // Nothing is queued, so there is no age of the queue. A metric without a sample is left out.
    assert!(!both.names().contains(&"oldest_queued_timestamp_seconds"), "{}", both.text);
}

#[test]
fn a_failed_run_shows_its_exit_code_and_keeps_the_last_success() {
    let env = env_with_alerts(3);
    env.run(RUN_WITH_METRICS).assert_code(0);
    let success =
        read_metrics(&env).get("last_success_timestamp_seconds", FALCON_LABELS).to_owned();
    env.sandbox.queue_faults(Service::FalconAlerts, vec![Fault::status(403, FORBIDDEN)]);
    env.run_at(LATER, RUN_WITH_METRICS).assert_code(4);
    let failed = read_metrics(&env);
    assert_eq!(failed.get("last_run_exit_code", FALCON_LABELS), "4");
    assert_eq!(failed.get("last_success_timestamp_seconds", FALCON_LABELS), success);
    // The next run fails before it is recorded in the ledger.
    env.write("bad", "http://[\n");
    env.run_at(LATER, &format!("{RUN_WITH_METRICS} --exclusion-file bad")).assert_code(2);
    let failed = read_metrics(&env);
    assert_eq!(failed.get("last_run_exit_code", FALCON_LABELS), "2");
    assert_eq!(failed.get("last_success_timestamp_seconds", FALCON_LABELS), success);
    assert_eq!(failed.get("last_run_duration_seconds", FALCON_LABELS), "0.000");
    assert_eq!(failed.fates("last_run_alerts", "crowdstrike"), BTreeMap::new());
    assert_eq!(failed.get("queued_indicators", FALCON_LABELS), "0");
}

#[test]
fn a_run_that_finds_the_ledger_locked_shows_what_is_in_it() {
    let env = env_with_alerts(3);
    env.run(RUN_WITH_METRICS).assert_code(0);
    let hang = Fault::HangThenReset(Duration::from_mins(1));
    env.sandbox.queue_faults(Service::FalconAlerts, vec![hang]);
    let requests = env.request_count(Service::FalconAlerts);
    let mut first = RunningProcess::start(&mut env.command_at(LATER, RUN_WITH_METRICS));
    wait_for_requests(&env.sandbox, Service::FalconAlerts, requests + 1);
    env.run_at(LATER, &RUN_WITH_METRICS.replace("crowdstrike", "carbonblack")).assert_code(7);
    let metrics = read_metrics(&env);
    assert_eq!(metrics.get("last_run_exit_code", CARBON_BLACK_LABELS), "7");
    assert_eq!(metrics.get("last_success_timestamp_seconds", CARBON_BLACK_LABELS), "0");
    assert_eq!(metrics.find("queued_indicators", CARBON_BLACK_LABELS), None);
    // For the tenant that is running, these are the numbers of its last run that has ended.
    assert_eq!(metrics.get("last_run_exit_code", FALCON_LABELS), "0");
    assert_eq!(metrics.fates("last_run_alerts", "crowdstrike")["with_indicator"], 3);
    first.kill();
}

#[test]
fn without_a_ledger_the_file_has_the_numbers_of_this_run() {
    let env = env_with_alerts(3);
    let run = format!("{RUN_WITH_METRICS} --no-ledger");
    let output = env.run(&run).assert_code(0);
    let metrics = read_metrics(&env);
    assert_counts(&metrics, "crowdstrike", &output);
    assert_eq!(metrics.find("queued_indicators", FALCON_LABELS), None);
    assert_ne!(metrics.get("last_run_duration_seconds", FALCON_LABELS), "0.000");
    let now: DateTime<Utc> = NOW.parse().unwrap();
    let success =
        metrics.get("last_success_timestamp_seconds", FALCON_LABELS).split('.').next().unwrap();
    let after = success.parse::<i64>().unwrap() - now.timestamp();
    assert!((0..60).contains(&after), "{success}");
}

#[test]
fn an_interrupted_run_writes_the_file() {
    let env = env_with_alerts(3);
    let hang = Fault::HangThenReset(Duration::from_mins(1));
    env.sandbox.queue_faults(Service::RecordedFuture, vec![hang]);
    let mut running = RunningProcess::start(&mut env.command(RUN_WITH_METRICS));
    wait_for_requests(&env.sandbox, Service::RecordedFuture, 1);
    running.signal("TERM");
    let output = running.finish().assert_code(143);
    let metrics = read_metrics(&env);
    assert_eq!(metrics.get("last_run_exit_code", FALCON_LABELS), "143");
    assert_eq!(metrics.get("queued_indicators", FALCON_LABELS), "3");
    assert_counts(&metrics, "crowdstrike", &output);
}

#[test]
fn runs_that_change_nothing_and_runs_with_wrong_settings_write_no_file() {
    let env = env_with_alerts(3);
    for (flag, code) in [("-n", 0), ("--debug", 0), ("--rf-api-url ftp://x", 2), ("--hours x", 2)] {
        env.run(&format!("{RUN_WITH_METRICS} {flag}")).assert_code(code);
        assert!(!env.path(METRICS_FILE).exists(), "{flag}");
    }
}

#[test]
fn run_writes_one_file_for_all_tenants() {
    let env = TenantsEnv::new(vec![acme(), beta()]);
    std::fs::remove_file(env.secret_file("beta", "secret")).unwrap();
    let run = "run --json --metrics-file insights.prom";
    let output = env.run(run).assert_code(2);
    let first = read_metrics(&env.home);
    assert_eq!(first.tenants(), ["acme", "beta"]);
    assert_counts(&first, "acme", &by_tenant(&output)["acme"]);
    assert_eq!(first.get("last_run_exit_code", "acme crowdstrike"), "0");
    assert_eq!(first.get("last_run_exit_code", "beta carbonblack"), "2");
    assert_eq!(first.get("last_success_timestamp_seconds", "beta carbonblack"), "0");
    // If the ledger is locked, no tenant can run.
    let lock = std::fs::File::open(env.home.path("collective-insights.db.lock")).unwrap();
    lock.lock().unwrap();
    env.run(run).assert_code(7);
    let locked = read_metrics(&env.home);
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
    assert_eq!(read_metrics(&env.home).tenants(), ["acme", "beta"]);
    let settings = std::fs::read_to_string(env.home.path("settings.toml")).unwrap();
    for changed in ["name = \"beta\"\nenabled = false", "name = \"gamma\""] {
        env.home.write("settings.toml", settings.replace("name = \"beta\"", changed));
        env.run(run).assert_code(0);
        assert_eq!(read_metrics(&env.home).tenants(), ["acme"], "{changed}");
    }
}

#[test]
fn the_file_cannot_be_set_for_a_single_tenant() {
    let env = TenantsEnv::new(vec![acme(), beta()]);
    let settings = std::fs::read_to_string(env.home.path("settings.toml")).unwrap();
    let key = format!("metrics-file = \"{METRICS_FILE}\"\n");
    env.home.write("settings.toml", format!("{settings}{key}"));
    env.run("run").assert_code(2).assert_stderr(&["metrics-file applies to all tenants"]);
    env.home.write("settings.toml", format!("[defaults]\n{key}{settings}"));
    env.run("run").assert_code(0);
    assert_eq!(read_metrics(&env.home).tenants(), ["acme", "beta"]);
    let mut variable = env.command_at(NOW, "run");
    variable.env("COLLECTIVE_INSIGHTS_METRICS_FILE", "variable.prom");
    RunOutput::capture(&mut variable).assert_code(0);
    assert!(env.home.path("variable.prom").exists());
}

#[test]
fn no_secret_address_or_error_is_in_the_file() {
    let env = env_with_alerts(3);
    let message = "a message of the service";
    env.sandbox.queue_faults(Service::FalconAlerts, vec![Fault::status(403, FORBIDDEN)]);
    env.run(RUN_WITH_METRICS).assert_code(4);
    let text = read_metrics(&env).text;
    for part in [RF_TOKEN, message, "127.0.0.1", "http", env.folder().to_str().unwrap()] {
        assert!(!text.contains(part), "{part} in {text}");
    }
}
