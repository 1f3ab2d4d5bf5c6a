//! Tests of what belongs to a tenant: its keys, API clients and Recorded Future organizations may
//! change, but its customer, whose alerts it reads, may not.

use sandbox::alert_store::AlertStore;
use sandbox::world::{CarbonBlackAccount, FalconAccount, RecordedFutureAccount};
use sandbox::{Fault, Service, World};
use serde_json::{Value, json};

use crate::support::alerts::{carbonblack, falcon_at, sha256, with};
use crate::support::{RunOutput, TestEnv};

const OTHER_KEY: &str = "0therrft0kenneverseen123456789ab";
const OTHER_CLIENT: [(&str, &str); 2] = [("CS_CLIENT_ID", "c2"), ("CS_CLIENT_SECRET", "s2")];
/// When the first run starts, and the runs after it.
const FIRST: &str = "2026-11-22T00:15:00Z";
const LATER: &str = "2026-11-22T01:15:00Z";

fn alert_of(customer: &str, number: u64) -> Value {
    with(falcon_at(number, "2026-11-21T08:00:00Z"), "cid", json!(customer))
}

/// Returns an environment with a second API client and a second Recorded Future key.
fn test_env(alerts: &[Value]) -> TestEnv {
    let world = World::default().falcon_alerts(alerts).with(|world| {
        let account = world.recorded_future.accounts[0].clone();
        let other = RecordedFutureAccount { token: OTHER_KEY.into(), ..account };
        world.recorded_future.accounts.push(other);
        world.falcon.accounts.push(FalconAccount::new("c2", "s2"));
    });
    TestEnv::new(world)
}

fn run_with(env: &TestEnv, now: &str, arguments: &str, variables: &[(&str, &str)]) -> RunOutput {
    let mut command = env.command_at(now, arguments);
    RunOutput::capture(command.envs(variables.iter().copied()))
}

/// Replaces all alerts of the sandbox.
fn replace_alerts(env: &TestEnv, alerts: &[Value]) {
    env.sandbox.change(|world| {
        world.falcon.alerts = AlertStore::default();
        world.falcon.alerts.extend(alerts);
    });
}

/// Returns the names of the tenants that `status` shows.
fn tenants(env: &TestEnv) -> Vec<String> {
    let status = env.run("status --json").assert_code(0).json();
    let tenants = status["sources"].as_array().unwrap().iter();
    tenants.map(|tenant| tenant["tenant"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_tenant_with_a_new_key_client_or_organization_continues() {
    let env = test_env(&[alert_of("a", 1), alert_of("a", 2)]);
    env.sandbox.queue_faults(Service::RecordedFuture, vec![Fault::None, Fault::status(401, "")]);
    let first = env.run_at(FIRST, "crowdstrike --json --batch-size 1").assert_code(4);
    first.assert_counts(&[
        ("alerts_fetched", 2),
        ("indicators_found", 2),
        ("submitted", 1),
        ("processed", 1),
        ("waiting", 1),
    ]);
    // The queued submission is sent with the new key, for the new organization.
    let key = ("RF_API_KEY", OTHER_KEY);
    let arguments = "crowdstrike --json --organization-id uhash:a";
    let second = run_with(&env, LATER, arguments, &[OTHER_CLIENT[0], OTHER_CLIENT[1], key]);
    second.assert_code(0).assert_counts_add_up().assert_counts(&[
        ("alerts_fetched", 2),
        ("indicators_found", 2),
        ("indicators_repeated", 1),
        ("already_delivered", 1),
        ("carried_in", 1),
        ("submitted", 1),
        ("processed", 1),
    ]);
    let stored = env.sandbox.stored();
    assert_eq!(stored.len(), 2);
    assert_eq!(stored[1].organization_ids, Some(vec!["uhash:a".to_owned()]));
    let request = &env.sandbox.requests()[stored[1].request];
    assert_eq!(request.header("x-rftoken"), Some(OTHER_KEY));
    assert_eq!(tenants(&env), ["crowdstrike"]);
}

#[test]
fn the_daily_limit_is_counted_per_key() {
    let env = test_env(&[alert_of("a", 1), alert_of("a", 2), alert_of("a", 3)]);
    let key = World::default().recorded_future.accounts[0].token.clone();
    let run = |tenant: &str, key: &str| {
        let arguments = format!("crowdstrike --json --daily-limit 2 --tenant {tenant}");
        run_with(&env, FIRST, &arguments, &[("RF_API_KEY", key)]).assert_code(0).count("submitted")
    };
    assert_eq!(run("one", &key), 2);
    assert_eq!(run("two", &key), 0);
    assert_eq!(run("two", OTHER_KEY), 2);
    assert_eq!(run("one", OTHER_KEY), 0);
}

#[test]
fn alerts_of_another_customer_stop_the_run_before_anything_is_stored_or_sent() {
    let env = test_env(&[alert_of("a", 1), alert_of("a", 2)]);
    env.sandbox.always(Service::RecordedFuture, Some(Fault::status(503, "")));
    env.run_at(FIRST, "crowdstrike").assert_code(5);
    env.sandbox.always(Service::RecordedFuture, None);
    replace_alerts(&env, &[alert_of("b", 3)]);
    for mode in ["", "--dry-run", "--debug", "--daily-limit 0", "--resend"] {
        let arguments = format!("crowdstrike --json {mode}");
        let output = run_with(&env, LATER, &arguments, &OTHER_CLIENT).assert_code(2);
        output.assert_stderr(&["another customer", "tenant crowdstrike", "--tenant", "--adopt"]);
        output.assert_counts_add_up().assert_counts(&[("carried_in", 2), ("waiting", 2)]);
    }
    assert!(env.items().is_empty());
    let check = run_with(&env, LATER, "check crowdstrike", &OTHER_CLIENT).assert_code(2);
    assert!(check.stdout.contains("another customer"), "{}", check.stdout);
    let last_error = env.run_at(LATER, "status --json").json()["sources"][0]["last_error"].clone();
    assert!(last_error.as_str().unwrap().contains("another customer"), "{last_error}");

    // A run with another tenant name is not affected.
    let own = run_with(&env, LATER, "crowdstrike --json --tenant acme", &OTHER_CLIENT);
    own.assert_code(0).assert_counts_add_up().assert_counts(&[
        ("alerts_fetched", 1),
        ("indicators_found", 1),
        ("submitted", 1),
        ("processed", 1),
    ]);
    assert_eq!(env.stored_values(), [sha256(3)]);
    assert_eq!(tenants(&env), ["crowdstrike", "acme"]);
}

#[test]
fn a_customer_with_a_new_id_is_adopted_once() {
    let env = test_env(&[alert_of("a", 1)]);
    env.run_at(FIRST, "crowdstrike").assert_code(0);
    replace_alerts(&env, &[alert_of("b", 1), alert_of("b", 2)]);
    env.run_at(LATER, "crowdstrike").assert_code(2);
    env.run_at(LATER, "check crowdstrike --adopt").assert_code(0);
    // A dry run adopts nothing.
    env.run_at(LATER, "crowdstrike --dry-run --adopt").assert_code(0);
    env.run_at(LATER, "crowdstrike").assert_code(2);
    let adopted = env.run_at(LATER, "crowdstrike --json --adopt").assert_code(0);
    assert_eq!((adopted.count("already_delivered"), adopted.count("submitted")), (1, 1));
    env.run_at(LATER, "crowdstrike").assert_code(0);
    // Without --all-cids, several customers are not adopted.
    replace_alerts(&env, &[alert_of("b", 1), alert_of("c", 3)]);
    env.run_at(LATER, "crowdstrike --adopt").assert_code(2);
    assert_eq!(env.stored_values(), [1, 2].map(sha256));
}

#[test]
fn queued_submissions_wait_until_an_alert_shows_the_customer_of_new_credentials() {
    let env = test_env(&[alert_of("a", 1)]);
    env.sandbox.always(Service::RecordedFuture, Some(Fault::status(503, "")));
    env.run_at(FIRST, "crowdstrike").assert_code(5);
    env.sandbox.always(Service::RecordedFuture, None);
    replace_alerts(&env, &[]);
    let held = run_with(&env, LATER, "crowdstrike --json", &OTHER_CLIENT).assert_code(0);
    held.assert_counts_add_up().assert_counts(&[("carried_in", 1), ("waiting", 1)]);
    held.assert_stderr(&[
        "warning: 1 queued indicator of tenant crowdstrike was not sent: no alert has shown",
        "--adopt",
    ]);
    let dry_run = run_with(&env, LATER, "crowdstrike --json --dry-run", &OTHER_CLIENT);
    dry_run
        .assert_code(0)
        .assert_counts_add_up()
        .assert_counts(&[("carried_in", 1), ("waiting", 1)]);
    // A vendor that cannot be read shows no customer either.
    env.sandbox.always(Service::FalconToken, Some(Fault::status(500, "")));
    let failed = run_with(&env, LATER, "crowdstrike --json", &OTHER_CLIENT).assert_code(5);
    failed.assert_counts_add_up().assert_counts(&[("carried_in", 1), ("waiting", 1)]);
    env.sandbox.always(Service::FalconToken, None);
    assert!(env.items().is_empty());
    // The credentials that have read the customer's alerts before need no new alert.
    let same = env.run_at(LATER, "crowdstrike --json --dry-run").assert_code(0);
    assert_eq!(same.count("carried_in"), 1);
    let adopted = run_with(&env, LATER, "crowdstrike --json --adopt", &OTHER_CLIENT);
    assert_eq!(adopted.assert_code(0).count("submitted"), 1);
}

#[test]
fn an_organization_of_carbon_black_is_the_customer() {
    let alert =
        with(carbonblack("1", &sha256(1)), "backend_timestamp", json!("2026-11-21T08:00:00Z"));
    let world = World::default().carbon_black_alerts(&[alert]).with(|world| {
        let account = world.carbon_black.accounts[0].clone();
        let other = CarbonBlackAccount {
            org_key: "OTHER".into(),
            api_id: "i2".into(),
            secret: "s2".into(),
            ..account.clone()
        };
        // The same organization, with a new key.
        let rotated = CarbonBlackAccount { api_id: "i3".into(), secret: "s3".into(), ..account };
        world.carbon_black.accounts.extend([other, rotated]);
    });
    let env = TestEnv::new(world);
    env.run_at(FIRST, "carbonblack").assert_code(0);
    let rotated = [("CB_API_ID", "i3"), ("CB_SECRET", "s3")];
    let again = run_with(&env, LATER, "carbonblack --json", &rotated).assert_code(0);
    assert_eq!(again.count("already_delivered"), 1);

    let other = [("CB_ORG_ID", "OTHER"), ("CB_API_ID", "i2"), ("CB_SECRET", "s2")];
    let requests = env.sandbox.requests().len();
    for arguments in ["carbonblack", "carbonblack --dry-run"] {
        let output = run_with(&env, LATER, arguments, &other).assert_code(2);
        output.assert_stderr(&["another customer", "--tenant", "--adopt"]);
    }
    assert_eq!(env.sandbox.requests().len(), requests, "no request was made");
    for arguments in
        ["check carbonblack --offline", "check crowdstrike --offline --tenant carbonblack"]
    {
        let check = run_with(&env, LATER, arguments, &other).assert_code(2);
        assert!(check.stdout.contains("tenant carbonblack"), "{}", check.stdout);
    }
    run_with(&env, LATER, "carbonblack --tenant other", &other).assert_code(0);
    // An organization that cannot be read is not adopted, and no queued submission is sent.
    env.sandbox.always(Service::RecordedFuture, Some(Fault::status(503, "")));
    let newer =
        with(carbonblack("2", &sha256(2)), "backend_timestamp", json!("2026-11-21T09:00:00Z"));
    env.sandbox.change(|world| world.carbon_black.alerts.push(&newer));
    env.run_at(LATER, "carbonblack").assert_code(5);
    env.sandbox.always(Service::RecordedFuture, None);
    let wrong = run_with(&env, LATER, "carbonblack --adopt", &[("CB_ORG_ID", "TYP0")]);
    wrong.assert_code(2).assert_stderr(&["1 queued indicator of tenant carbonblack was not sent"]);
    env.run_at(LATER, "carbonblack --dry-run").assert_code(0);
    run_with(&env, LATER, "carbonblack --adopt", &other).assert_code(0);
    run_with(&env, LATER, "carbonblack", &other).assert_code(0);
    env.run_at(LATER, "carbonblack").assert_code(2);
}

#[test]
fn a_tenant_has_one_source_and_a_name_that_fits_everywhere() {
    let env = test_env(&[]);
    env.run("crowdstrike --tenant acme").assert_code(0);
    let output = env.run("carbonblack --tenant acme").assert_code(2);
    output.assert_stderr(&["tenant acme reads crowdstrike", "--tenant <NAME>"]);
    for name in ["a b", ".a", "a/b", ""] {
        let mut command = env.command("crowdstrike");
        let output = RunOutput::capture(command.args(["--tenant", name])).assert_code(2);
        output.assert_stderr(&["acme-falcon"]);
    }
}

#[test]
fn the_name_is_in_every_output_log_line_and_document() {
    let env = test_env(&[alert_of("a", 1)]);
    env.sandbox.queue_faults(Service::RecordedFuture, vec![Fault::status(401, "")]);
    let output = env.run("crowdstrike --tenant acme").assert_code(4);
    assert!(output.stdout.contains("tenant acme"), "{}", output.stdout);
    let lines = env.log().lines().filter(|line| line.contains(" tenant=acme ")).count();
    assert!(lines > 5 && lines == env.log().lines().count(), "{}", env.log());
    for (command, pointer) in [
        ("crowdstrike --tenant acme --dry-run --json", "/tenant"),
        ("status --json", "/sources/0/tenant"),
        ("history --json", "/nights/0/tenant"),
        ("outbox list --json", "/entries/0/tenant"),
    ] {
        let document = env.run(command).assert_code(0).json();
        assert_eq!(document.pointer(pointer), Some(&json!("acme")), "{command}: {document}");
    }
    for command in ["status", "history", "outbox list"] {
        let text = env.run(command).assert_code(0).stdout;
        assert!(text.contains("acme"), "{command}: {text}");
    }
}

#[test]
fn commands_work_on_the_tenants_that_are_named() {
    let env = test_env(&[alert_of("a", 1)]);
    env.sandbox.always(Service::RecordedFuture, Some(Fault::status(401, "")));
    env.run("crowdstrike").assert_code(4);
    env.run("crowdstrike --tenant acme").assert_code(4);
    for (arguments, expected) in [
        ("", 2),
        ("--tenant acme", 1),
        ("--source crowdstrike", 2),
        ("--source carbonblack", 0),
        ("--source carbonblack --tenant acme", 0),
    ] {
        let status = env.run(&format!("status --json {arguments}")).assert_code(0).json();
        assert_eq!(status["sources"].as_array().unwrap().len(), expected, "{arguments}");
        let history = env.run(&format!("history --json {arguments}")).assert_code(0).json();
        assert_eq!(history["nights"].as_array().unwrap().len(), expected, "{arguments}");
        let list = env.run(&format!("outbox list --json {arguments}")).assert_code(0).json();
        assert_eq!(list["entries"].as_array().unwrap().len(), expected, "{arguments}");
        let exported = env.run(&format!("outbox export {arguments}")).assert_code(0).json();
        assert_eq!(exported.as_array().unwrap().len(), expected, "{arguments}");
    }
    let none = "--source carbonblack --tenant acme";
    assert_eq!(env.run(&format!("status {none}")).stdout, "the ledger has no such tenant\n");
    env.run(&format!("status --max-age 1h {none}")).assert_code(3);
    for command in ["status", "history", "outbox list", "outbox retry", "outbox export"] {
        let output = env.run(&format!("{command} --tenant acne")).assert_code(2);
        output.assert_stderr(&["no tenant acne", "acme, crowdstrike"]);
        env.run(&format!("{command} --source falcon-x")).assert_code(2);
    }
}

#[test]
fn the_queues_of_several_tenants_are_not_dropped_without_naming_them() {
    let env = test_env(&[alert_of("a", 1)]);
    env.sandbox.always(Service::RecordedFuture, Some(Fault::status(401, "")));
    env.run("crowdstrike").assert_code(4);
    env.run("crowdstrike --tenant acme").assert_code(4);
    let waiting = || env.run("outbox list --json").json()["entries"].as_array().unwrap().len();
    let output = env.run("outbox drop --yes").assert_code(2);
    output.assert_stderr(&["acme: 1, crowdstrike: 1", "--tenant", "--all-tenants"]);
    assert_eq!(waiting(), 2);
    let dropped = env.run("outbox drop --yes --tenant acme").assert_code(0);
    assert!(dropped.stdout.contains("1 indicator dropped"), "{}", dropped.stdout);
    assert_eq!(waiting(), 1);
    // Now only one tenant has a queue.
    env.run("outbox drop --yes").assert_code(0);
    assert_eq!(waiting(), 0);
    env.run("crowdstrike --tenant two").assert_code(4);
    env.run("crowdstrike --tenant three").assert_code(4);
    env.run("outbox drop --yes --all-tenants").assert_code(0);
    assert_eq!(waiting(), 0);
}
