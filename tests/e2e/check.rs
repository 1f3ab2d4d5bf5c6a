//! Tests `check`: what passes and fails, and that it changes nothing.

use chrono::TimeDelta;
use sandbox::{Fault, Service, World};
use serde_json::Value;

use crate::support::alerts::{carbonblack, falcon, sha256};
use crate::support::commands::sources;
use crate::support::{NOW, RunOutput, TestEnv, run_bare};

/// Returns an environment with an alert of each vendor.
fn test_env() -> TestEnv {
    TestEnv::new(
        World::default()
            .falcon_alerts(&[falcon("cid:ind:1", "sha256", &sha256(1))])
            .carbon_black_alerts(&[carbonblack("a1", &sha256(2))]),
    )
}

/// Runs `check` with these variables too.
fn check(env: &TestEnv, arguments: &str, variables: &[(&str, &str)]) -> RunOutput {
    let mut command = env.command(&format!("check {arguments}"));
    RunOutput::capture(command.envs(variables.iter().copied()))
}

/// Returns the failed checks of a JSON document: the name of each, and its message with the help.
fn failed_checks(output: &RunOutput) -> Vec<(String, String)> {
    let document = output.json();
    let text = |check: &Value, key: &str| check[key].as_str().unwrap().to_owned();
    let failed = document["checks"].as_array().unwrap().iter().filter(|check| check["ok"] == false);
    failed
        .map(|check| {
            (text(check, "check"), format!("{} {}", text(check, "message"), text(check, "hint")))
        })
        .collect()
}

#[test]
fn a_ledger_in_a_folder_that_does_not_exist_fails_as_a_run_does() {
    let env = test_env();
    let arguments = "--offline --json crowdstrike --ledger missing/ledger.db";
    let output = check(&env, arguments, &[]).assert_code(6);
    let failed = failed_checks(&output);
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert!(failed[0].1.contains("cannot create a file in missing"), "{failed:?}");
    env.run("crowdstrike --ledger missing/ledger.db").assert_code(6);
}

#[test]
fn a_successful_check_stores_nothing_and_leaves_no_files() {
    let env = test_env();
    let output = check(&env, "", &[]).assert_code(0);
    assert!(output.stdout.ends_with("All checks passed.\n"), "{}", output.stdout);
    for text in [
        "CrowdStrike Falcon", "Carbon Black Cloud", "Recorded Future", "✓ permission", "EICAR",
        "debug: true",
    ] {
        assert!(output.stdout.contains(text), "no {text:?} in {}", output.stdout);
    }
    assert!(!output.stdout.contains('✗'));
    assert!(env.sandbox.stored().is_empty());
    let posts = env.sandbox.requests_to(Service::RecordedFuture);
    let submission = posts.iter().find(|post| post.method == "POST").unwrap().json().unwrap();
    assert_eq!(submission["options"]["debug"], true);
    assert_eq!(submission["data"].as_array().unwrap().len(), 1);
    assert_eq!(std::fs::read_dir(env.folder()).unwrap().count(), 0);
}

#[test]
fn a_rate_limited_service_does_not_delay_the_check_of_the_others() {
    let env = test_env();
    for service in [Service::FalconToken, Service::CarbonBlack] {
        env.sandbox.always(service, Some(Fault::retry_after(429, "240")));
    }
    let started = std::time::Instant::now();
    let output = check(&env, "--json", &[("COLLECTIVE_INSIGHTS_TEST_WAIT_DIVISOR", "1")]);
    let failed = failed_checks(&output.assert_code(5));
    assert_eq!(failed.len(), 2, "{failed:?}");
    assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
}

#[test]
fn offline_sends_no_requests() {
    let env = test_env();
    let output = check(&env, "--offline", &[]).assert_code(0);
    assert!(output.stdout.contains("✓ ledger") && !output.stdout.contains("permission"));
    assert!(env.sandbox.requests().is_empty());
}

#[test]
fn only_the_named_or_configured_sources_are_checked() {
    let env = test_env();
    let output = check(&env, "carbonblack", &[]).assert_code(0);
    assert!(!output.stdout.contains("CrowdStrike"));
    let empty = [("CB_SECRET", ""), ("CB_API_ID", ""), ("CB_ORG_ID", ""), ("CB_HOSTNAME", "")];
    let output = check(&env, "", &empty).assert_code(0);
    let skipped = "Carbon Black Cloud\n  - not configured: none of its settings is set\n";
    assert!(output.stdout.contains(skipped), "{}", output.stdout);
    assert!(output.stdout.ends_with("All checks passed.\n"), "{}", output.stdout);
}

#[test]
fn a_source_that_is_half_configured_fails_with_what_is_missing() {
    let env = test_env();
    let missing = [("CB_SECRET", ""), ("CB_HOSTNAME", "")];
    let output = check(&env, "", &missing).assert_code(2);
    for text in ["Carbon Black Cloud\n  ✗ settings: ", "--secret (CB_SECRET)", "(CB_HOSTNAME)"] {
        assert!(output.stdout.contains(text), "{text}: {}", output.stdout);
    }
    assert!(output.stdout.contains("✓ permission"), "the other source is checked");
    assert!(!output.stdout.contains("All checks passed"));
}

#[test]
fn a_missing_permission_is_named_with_help() {
    type Case = (&'static str, fn(&mut World), &'static str);
    let cases: [Case; 3] = [
        (
            "crowdstrike --json",
            |world| world.falcon.accounts[0].alerts_read = false,
            "Alerts: READ",
        ),
        (
            "carbonblack --json",
            |world| world.carbon_black.accounts[0].alerts_read = false,
            "org.alerts READ",
        ),
        (
            "carbonblack --json",
            |world| world.recorded_future.accounts[0].collective_insights = false,
            "Collective Insights permission",
        ),
    ];
    for (arguments, change, help) in cases {
        let env = test_env();
        env.sandbox.change(change);
        let output = check(&env, arguments, &[]).assert_code(4);
        let failed = failed_checks(&output);
        assert_eq!(failed.len(), 1, "{failed:?}");
        assert_eq!(failed[0].0, "permission");
        assert!(failed[0].1.contains(help), "{failed:?}");
    }
}

#[test]
fn local_problems_are_reported() {
    let env = test_env();
    let list = env.write("list", "example.com\nnonsense !\n");
    env.write("collective-insights.db", "");
    let arguments = format!("crowdstrike --offline --json --exclusion-file {}", list.display());
    let output = check(&env, &arguments, &[]).assert_code(6);
    let failed = failed_checks(&output);
    assert_eq!(
        failed.iter().map(|check| check.0.as_str()).collect::<Vec<_>>(),
        ["exclusions", "ledger"]
    );
    assert!(failed[0].1.contains("list:2"), "{failed:?}");
    assert_eq!(std::fs::read(env.path("collective-insights.db")).unwrap(), b"");
    std::fs::remove_file(env.path("collective-insights.db")).unwrap();
    let output = check(&env, "crowdstrike --offline --json --log-file .", &[]).assert_code(2);
    assert!(failed_checks(&output).iter().any(|check| check.0 == "log"), "{}", output.stdout);
}

#[test]
fn an_unreachable_service_is_reported() {
    let env = test_env();
    env.sandbox.pause_listening();
    let output = check(&env, "crowdstrike --json", &[]).assert_code(5);
    let failed = failed_checks(&output);
    assert_eq!(
        failed.iter().map(|check| check.0.as_str()).collect::<Vec<_>>(),
        ["network", "network"]
    );
    env.sandbox.resume_listening();
    let unknown_host = [("CS_BASE_URL", "https://no-such-host.invalid")];
    let output = check(&env, "crowdstrike --json", &unknown_host).assert_code(5);
    assert_eq!(failed_checks(&output)[0].0, "DNS", "{}", output.stdout);
}

#[test]
fn a_wrong_clock_is_reported() {
    let env = test_env();
    let arguments = "check carbonblack --json";
    let output = env.run_with_clock(NOW, TimeDelta::hours(1), arguments).assert_code(2);
    let failed = failed_checks(&output);
    assert!(failed.iter().all(|check| check.0 == "clock" && check.1.contains("NTP")), "{failed:?}");
    assert_eq!(failed.len(), 2);
}

#[test]
fn check_does_not_retry_or_wait() {
    let env = test_env();
    env.sandbox.always(Service::FalconAlerts, Some(Fault::retry_after(429, "3600")));
    check(&env, "crowdstrike", &[]).assert_code(5);
    env.sandbox.always(Service::FalconAlerts, Some(Fault::status(503, "")));
    check(&env, "crowdstrike", &[]).assert_code(5);
    assert_eq!(env.sandbox.requests_to(Service::FalconAlerts).len(), 2);
}

#[test]
fn settings_of_the_command_line_and_of_variables_are_checked_too() {
    let env = test_env();
    let output = check(&env, "crowdstrike --min-severity 101", &[]).assert_code(2);
    assert!(output.stderr.contains("0 to 100"), "{}", output.stderr);
    let output =
        check(&env, "crowdstrike --json", &[("CS_BASE_URL", "http://example.com")]).assert_code(2);
    assert_eq!(failed_checks(&output)[0].0, "settings");
    assert!(env.sandbox.requests().is_empty());
}

#[test]
fn without_a_configured_source_the_missing_settings_of_every_source_are_reported() {
    let output = run_bare(&["check"]).assert_code(2);
    output.assert_stderr(&["no source is configured", "CS_CLIENT_ID", "CB_ORG_ID"]);
    let lines: Vec<&str> = output.stderr.lines().collect();
    assert_eq!(output.stderr.matches("no source is configured").count(), 1, "{lines:?}");
    assert!(lines.contains(&"    CrowdStrike Falcon: --client-id (CS_CLIENT_ID)"), "{lines:?}");
    assert!(lines.contains(&"    Carbon Black Cloud: --org-id (CB_ORG_ID)"), "{lines:?}");
    let output = run_bare(&["check", "--json", "--offline"]).assert_code(2);
    let messages: Vec<String> =
        failed_checks(&output).into_iter().map(|(_, message)| message).collect();
    assert_eq!(messages.len(), sources().len(), "{messages:?}");
    assert!(messages[0].contains("CS_CLIENT_ID"), "{messages:?}");
    assert!(messages[1].contains("CB_ORG_ID"), "{messages:?}");
}
