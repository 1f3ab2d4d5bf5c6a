//! `check`: every line of it, green and red, and that it leaves everything as it was.

use sandbox::{Fault, Service, World};
use serde_json::Value;

use crate::help::sources;
use crate::support::alerts::{carbonblack, falcon, sha256};
use crate::support::{Ran, Stage, bare_command};

fn stage() -> Stage {
    Stage::new(
        World::default()
            .falcon_alerts(&[falcon("cid:ind:1", "sha256", &sha256(1))])
            .carbon_black_alerts(&[carbonblack("a1", &sha256(2))]),
    )
}

/// A check as if it were now: the clocks of tool and sandbox are compared.
fn check(stage: &Stage, arguments: &str, variables: &[(&str, &str)]) -> Ran {
    let mut command = stage.command(&format!("check {arguments}"));
    command.env_remove("COLLECTIVE_INSIGHTS_TEST_NOW").envs(variables.iter().copied());
    Ran::of(&mut command)
}

/// The checks that failed, with what is said of them.
fn crosses(ran: &Ran) -> Vec<(String, String)> {
    let document = ran.json();
    let text = |check: &Value, key: &str| check[key].as_str().unwrap().to_owned();
    let failed = document["checks"].as_array().unwrap().iter().filter(|check| check["ok"] == false);
    failed
        .map(|check| {
            (text(check, "check"), format!("{} {}", text(check, "message"), text(check, "hint")))
        })
        .collect()
}

#[test]
fn all_green_and_nothing_saved_or_left_behind() {
    let stage = stage();
    let ran = check(&stage, "", &[]).ended(0);
    assert!(ran.stdout.ends_with("All checks passed.\n"), "{}", ran.stdout);
    for told in [
        "CrowdStrike Falcon",
        "Carbon Black Cloud",
        "Recorded Future",
        "✓ permission",
        "EICAR",
        "debug: true",
    ] {
        assert!(ran.stdout.contains(told), "{told} is missing in {}", ran.stdout);
    }
    assert!(!ran.stdout.contains('✗'));
    assert!(stage.sandbox.stored().is_empty());
    let posts = stage.sandbox.requests_to(Service::RecordedFuture);
    let submission = posts.iter().find(|asked| asked.method == "POST").unwrap().json().unwrap();
    assert_eq!(submission["options"]["debug"], true);
    assert_eq!(submission["data"].as_array().unwrap().len(), 1);
    assert_eq!(std::fs::read_dir(stage.folder()).unwrap().count(), 0);
}

#[test]
fn offline_asks_nobody() {
    let stage = stage();
    let ran = check(&stage, "--offline", &[]).ended(0);
    assert!(ran.stdout.contains("✓ ledger") && !ran.stdout.contains("permission"));
    assert!(stage.sandbox.requests().is_empty());
}

#[test]
fn one_source_is_checked_where_one_is_named_or_configured() {
    let stage = stage();
    let ran = check(&stage, "carbonblack", &[]).ended(0);
    assert!(!ran.stdout.contains("CrowdStrike"));
    let ran = check(&stage, "", &[("CB_SECRET", "")]).ended(0);
    assert!(!ran.stdout.contains("Carbon Black"));
    let none = [("CB_SECRET", ""), ("CS_CLIENT_ID", "")];
    let ran = check(&stage, "", &none).ended(2);
    assert!(
        ran.stderr.contains("--client-id (CS_CLIENT_ID)")
            && ran.stderr.contains("--secret (CB_SECRET)")
    );
}

#[test]
fn each_permission_that_is_missing_is_named_with_its_remedy() {
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
    for (arguments, change, remedy) in cases {
        let stage = stage();
        stage.sandbox.change(change);
        let ran = check(&stage, arguments, &[]).ended(4);
        let crosses = crosses(&ran);
        assert_eq!(crosses.len(), 1, "{crosses:?}");
        assert_eq!(crosses[0].0, "permission");
        assert!(crosses[0].1.contains(remedy), "{crosses:?}");
    }
}

#[test]
fn what_is_wrong_on_this_machine_is_named() {
    let stage = stage();
    let list = stage.write("list", "example.com\nnonsense !\n");
    stage.write("collective-insights.db", "");
    let arguments = format!("crowdstrike --offline --json --exclusion-file {}", list.display());
    let ran = check(&stage, &arguments, &[]).ended(6);
    let crosses = crosses(&ran);
    assert_eq!(
        crosses.iter().map(|cross| cross.0.as_str()).collect::<Vec<_>>(),
        ["exclusions", "ledger"]
    );
    assert!(crosses[0].1.contains("list:2"), "{crosses:?}");
    assert_eq!(std::fs::read(stage.path("collective-insights.db")).unwrap(), b"");
    std::fs::remove_file(stage.path("collective-insights.db")).unwrap();
    let ran = check(&stage, "crowdstrike --offline --json --log-file .", &[]).ended(2);
    assert!(self::crosses(&ran).iter().any(|cross| cross.0 == "log"), "{}", ran.stdout);
}

#[test]
fn a_service_that_does_not_answer_is_named_at_once() {
    let stage = stage();
    stage.sandbox.pause_listening();
    let ran = check(&stage, "crowdstrike --json", &[]).ended(5);
    let crosses = crosses(&ran);
    assert_eq!(
        crosses.iter().map(|cross| cross.0.as_str()).collect::<Vec<_>>(),
        ["network", "network"]
    );
    stage.sandbox.resume_listening();
    let nowhere = [("CS_BASE_URL", "https://no-such-host.invalid")];
    let ran = check(&stage, "crowdstrike --json", &nowhere).ended(5);
    assert_eq!(self::crosses(&ran)[0].0, "DNS", "{}", ran.stdout);
}

#[test]
fn a_clock_that_is_off_is_told() {
    let stage = stage();
    let ran = Ran::of(&mut stage.command("check carbonblack --json")).ended(2);
    let crosses = crosses(&ran);
    assert!(
        crosses.iter().all(|cross| cross.0 == "clock" && cross.1.contains("NTP")),
        "{crosses:?}"
    );
    assert_eq!(crosses.len(), 2);
}

#[test]
fn a_check_tries_once_and_waits_for_nobody() {
    let stage = stage();
    stage.sandbox.always(Service::FalconAlerts, Some(Fault::retry_after(429, "3600")));
    check(&stage, "crowdstrike", &[]).ended(5);
    stage.sandbox.always(Service::FalconAlerts, Some(Fault::status(503, "")));
    check(&stage, "crowdstrike", &[]).ended(5);
    assert_eq!(stage.sandbox.requests_to(Service::FalconAlerts).len(), 2);
}

#[test]
fn settings_from_the_command_line_are_checked_too() {
    let stage = stage();
    let ran = check(&stage, "crowdstrike --min-severity 101", &[]).ended(2);
    assert!(ran.stderr.contains("0 to 100"), "{}", ran.stderr);
    let ran =
        check(&stage, "crowdstrike --json", &[("CS_BASE_URL", "http://example.com")]).ended(2);
    assert_eq!(crosses(&ran)[0].0, "settings");
    assert!(stage.sandbox.requests().is_empty());
}

#[test]
fn without_any_source_both_are_told_what_is_missing() {
    let bare = |arguments: &str| {
        let folder = tempfile::TempDir::new().unwrap();
        let mut command = bare_command(folder.path());
        Ran::of(command.args(arguments.split_whitespace())).ended(2)
    };
    bare("check").says(&["no source is configured", "CS_CLIENT_ID", "CB_ORG_ID"]);
    let ran = bare("check --json --offline");
    let said: Vec<String> = crosses(&ran).into_iter().map(|(_, words)| words).collect();
    assert_eq!(said.len(), sources().len(), "{said:?}");
    assert!(said[0].contains("CS_CLIENT_ID"), "{said:?}");
    assert!(said[1].contains("CB_ORG_ID"), "{said:?}");
}
