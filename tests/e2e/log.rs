//! Tests the log file: its permissions, the format of its lines, and its rotation.

use std::os::unix::fs::PermissionsExt as _;

use sandbox::{Fault, Service};
use serde_json::{Value, json};

use crate::support::TestEnv;
use crate::support::failures::one_alert_per_vendor;

#[test]
fn only_the_owner_can_read_the_log() {
    let env = TestEnv::new(one_alert_per_vendor());
    env.run("crowdstrike --log-file secret.log").assert_code(0);
    let mode = std::fs::metadata(env.path("secret.log")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn every_line_has_a_time_a_level_and_a_run_id() {
    let env = TestEnv::new(one_alert_per_vendor());
    env.run("crowdstrike --debug").assert_code(0);
    env.run("carbonblack").assert_code(0);
    let log = env.log();
    let mut runs: Vec<&str> = Vec::new();
    for line in log.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        assert!(words[0].starts_with("2026-11-22T00:15:0") && words[0].ends_with('Z'), "{line}");
        assert!(["DEBUG", "INFO", "WARNING", "ERROR"].contains(&words[1]), "{line}");
        let run = words[2].strip_prefix("run=").unwrap();
        assert!(run.len() == 12 && run.bytes().all(|byte| byte.is_ascii_hexdigit()), "{line}");
        runs.push(run);
    }
    runs.dedup();
    assert_eq!(runs.len(), 2, "each run has its own id on all of its lines");
}

#[test]
fn a_level_hides_less_severe_lines() {
    // The API key is wrong, which is logged as an error.
    let logged_levels = |level: &str| {
        let env = TestEnv::new(
            one_alert_per_vendor()
                .with(|world| world.recorded_future.accounts[0].token = "x".into()),
        );
        env.run(&format!("crowdstrike -l {level}")).assert_code(4);
        let log = env.log();
        ["DEBUG", "INFO", "WARNING", "ERROR"].map(|level| log.contains(&format!(" {level} ")))
    };
    assert_eq!(logged_levels("debug"), [true, true, false, true]);
    assert_eq!(logged_levels("INFO"), [false, true, false, true]);
    assert_eq!(logged_levels("Warning"), [false, false, false, true]);
    assert_eq!(logged_levels("error"), [false, false, false, true]);
    assert_eq!(logged_levels("CRITICAL"), [false, false, false, true]);
}

#[test]
fn a_large_log_is_rotated_and_old_logs_are_kept() {
    let env = TestEnv::new(one_alert_per_vendor());
    for _ in 0..4 {
        env.run("crowdstrike --log-max-size 1KiB --log-keep 2").assert_code(0);
    }
    let size = |name: &str| std::fs::metadata(env.path(name)).unwrap().len();
    assert!(size("collective-insights.log.1") > 0 && size("collective-insights.log.2") > 0);
    assert!(!env.path("collective-insights.log.3").exists());
    let mode = std::fs::metadata(env.path("collective-insights.log")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_json_log_has_one_object_per_line() {
    let env = TestEnv::new(one_alert_per_vendor());
    env.run("crowdstrike --log-format json -l debug").assert_code(0);
    let log = env.log();
    assert!(log.lines().count() > 5);
    for line in log.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        for key in ["time", "level", "run", "message"] {
            assert!(line[key].is_string(), "{line}");
        }
    }
}

#[test]
fn a_json_log_has_numbers_as_numbers() {
    let env = TestEnv::new(one_alert_per_vendor());
    let limited = Fault::status(429, r#"{"message": "slow \"down\""}"#);
    env.sandbox.queue_faults(Service::FalconAlerts, vec![limited]);
    env.run("crowdstrike --log-format json -l debug").assert_code(0);
    let log = env.log();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let with = |message: &str| {
        let found = lines.iter().filter(|line| line["message"] == message);
        found.cloned().collect::<Vec<Value>>()
    };
    let finished = with("request finished");
    // The sign-in, the request for alerts, its second attempt, and the submission.
    assert_eq!(finished.len(), 4, "{log}");
    for request in &finished {
        assert!(request["url"].as_str().unwrap().starts_with("http://127.0.0.1:"), "{request}");
        assert_eq!(request["method"], "POST");
        assert!(["status", "ms", "bytes", "attempt"].iter().all(|key| request[key].is_u64()));
    }
    let statuses: Vec<&Value> = finished.iter().map(|request| &request["status"]).collect();
    assert_eq!(statuses, [201, 429, 200, 200]);
    assert!(finished[0]["trace_id"].is_string() && finished[2]["rate_limit_remaining"].is_u64());
    let retries = with("request failed, retrying");
    assert_eq!(retries.len(), 1, "{log}");
    let retry = &retries[0];
    assert_eq!(
        (&retry["status"], &retry["attempt"], &retry["max_attempts"]),
        (&json!(429), &json!(1), &json!(5))
    );
    assert!(retry["reason"].as_str().unwrap().contains(r#"429 "slow "down"""#), "{retry}");
    assert!(retry["retry_in_ms"].is_u64() && retry["host"] == "127.0.0.1", "{retry}");
    let ended = &with("run finished")[0];
    assert_eq!((&ended["exit_code"], &ended["submitted"]), (&json!(0), &json!(1)));
}

#[test]
fn each_setting_is_logged_with_its_origin_and_defaults_at_debug_level() {
    let env = TestEnv::new(one_alert_per_vendor());
    env.run("crowdstrike --hours 12 --log-format json -l debug").assert_code(0);
    let log = env.log();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let setting = |option: &str| {
        let line = lines.iter().find(|line| line["option"] == option).unwrap();
        assert_eq!(line["message"], "setting");
        ["level", "value", "origin"].map(|key| line[key].as_str().unwrap().to_owned())
    };
    assert_eq!(setting("--hours"), ["INFO", "12", "argument"]);
    assert_eq!(setting("--client-id"), ["INFO", "(secret)", "variable CS_CLIENT_ID"]);
    assert_eq!(setting("--batch-size"), ["DEBUG", "1000", "default"]);
    assert!(lines.iter().all(|line| line["option"] != "--since"), "{log}");
}

#[test]
fn an_error_is_logged_with_every_cause() {
    let env = TestEnv::new(one_alert_per_vendor());
    env.sandbox.pause_listening();
    env.run("crowdstrike --log-format json -l debug").assert_code(5);
    let log = env.log();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let error = lines.iter().find(|line| line["level"] == "ERROR").unwrap();
    assert_eq!((&error["kind"], &error["exit_code"]), (&json!("temporary"), &json!(5)));
    assert!(error["help"].as_str().unwrap().contains("HTTPS_PROXY"), "{error}");
    let causes: Vec<&Value> = lines.iter().filter(|line| line["message"] == "caused by").collect();
    assert!(causes.len() > 1, "{log}");
    for (depth, line) in causes.iter().enumerate() {
        assert_eq!(line["depth"], depth, "{line}");
        assert!(line["cause"].is_string(), "{line}");
    }
}

#[test]
fn the_log_can_go_to_stderr() {
    for (arguments, is_debug) in [("", false), ("-q", false), ("--debug", true)] {
        let env = TestEnv::new(one_alert_per_vendor());
        let run = format!("crowdstrike --log-file - --log-format json {arguments}");
        let output = env.run(&run).assert_code(0);
        let log: Vec<&str> = output.stderr.lines().filter(|line| line.starts_with('{')).collect();
        let lines: Vec<Value> =
            log.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        let finished = lines.iter().filter(|line| line["message"] == "run finished").count();
        assert_eq!(finished, 1, "{arguments}: {}", output.stderr);
        assert_eq!(lines.iter().any(|line| line["level"] == "DEBUG"), is_debug, "{arguments}");
        if !is_debug {
            assert_eq!(log.len(), output.stderr.lines().count(), "{}", output.stderr);
        }
        assert_eq!(output.stdout.is_empty(), arguments == "-q", "{arguments}");
        assert!(!env.path("-").exists() && env.log().is_empty());
    }
    let env = TestEnv::new(one_alert_per_vendor());
    let check = env.run("check crowdstrike --offline --log-file -").assert_code(0);
    assert!(check.stdout.contains("stderr") && !env.path("-").exists(), "{}", check.stdout);
}

#[test]
fn the_log_can_be_switched_off() {
    let env = TestEnv::new(one_alert_per_vendor());
    let output = env.run("crowdstrike --json --log-file none").assert_code(0);
    assert_eq!((output.count("processed"), output.stderr.as_str()), (1, ""));
    env.run("check crowdstrike --offline --log-file none").assert_code(0);
    assert!(!env.path("none").exists() && env.log().is_empty());
    // `./none` is the path of a file.
    env.run("carbonblack --log-file ./none").assert_code(0);
    assert!(env.path("none").exists());
}

#[test]
fn a_log_that_cannot_be_opened_is_a_warning_in_every_mode() {
    for arguments in ["", "--dry-run", "--debug", "--json", "-q"] {
        let env = TestEnv::new(one_alert_per_vendor());
        std::fs::create_dir(env.path("collective-insights.log")).unwrap();
        let output = env.run(&format!("crowdstrike {arguments}")).assert_code(0);
        let warning = "warning: the log file collective-insights.log cannot be written (it is a directory); the run continues without it. Run in a folder";
        assert_eq!(output.stderr.matches(warning).count(), 1, "{arguments}: {}", output.stderr);
        assert_eq!(output.stdout.is_empty(), arguments == "-q", "{arguments}");
    }
}
