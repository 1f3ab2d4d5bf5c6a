//! Tests alerts of several customers: the API client of a parent account sees the alerts of all
//! child accounts. They are only shared together with `--all-cids`.

use sandbox::seed::{Recipe, customer_cid};
use sandbox::{Fault, Service, World};
use serde_json::{Value, json};

use crate::support::alerts::{falcon, falcon_at, sha256, with, without};
use crate::support::{NOW, TestEnv};

/// The time of the runs in tests that set one. They read the 24 hours before it.
const RUN_TIME: &str = "2026-11-21T00:15:00Z";

/// Returns an alert of a customer with the indicator `sha256(number)`.
fn alert_of(customer: &str, number: u64) -> Value {
    let alert = falcon(&format!("id{number}"), "hash_sha256", &sha256(number));
    with(alert, "cid", json!(customer))
}

/// Returns an alert of a customer, created at this time.
fn alert_at(customer: &str, number: u64, time: &str) -> Value {
    with(falcon_at(number, time), "cid", json!(customer))
}

/// Returns an environment with these alerts, one per page.
fn env_with_pages(alerts: &[Value]) -> TestEnv {
    let env = TestEnv::falcon(alerts);
    env.sandbox.change(|world| world.falcon.max_page_size = 1);
    env
}

#[test]
fn alerts_of_several_customers_are_not_shared_together() {
    let env = env_with_pages(&[alert_of("a", 1), alert_of("a", 2), alert_of("b", 3)]);
    for mode in ["", "--dry-run", "--debug", "--no-ledger"] {
        let output = env.run(&format!("crowdstrike --json {mode}")).assert_code(2);
        output.assert_stderr(&["at least 2 customers", "--member-cid", "--all-cids"]);
        output.assert_counts_add_up().assert_counts(&[]);
        assert!(env.submission_bodies().is_empty(), "{mode}");
    }
    let status = env.run("status --json").json();
    assert_eq!(status["sources"][0]["waiting"], 0);
    assert_eq!(status["sources"][0]["read_until"], Value::Null);
    // These runs were withdrawn and left nothing in the ledger: all alerts are new.
    let output = env.run("crowdstrike --json --all-cids").assert_code(0);
    assert_eq!(output.assert_counts_add_up().count("processed"), 3);
    assert_eq!(env.stored_values(), [1, 2, 3].map(sha256));
}

#[test]
fn a_withdrawn_run_changes_nothing_of_what_earlier_runs_queued_and_delivered() {
    let env = env_with_pages(&[alert_at("a", 1, "2026-11-20T08:00:00Z")]);
    env.run_at(RUN_TIME, "crowdstrike").assert_code(0);
    env.sandbox.always(Service::RecordedFuture, Some(Fault::status(503, "")));
    let second = alert_at("a", 2, "2026-11-20T09:00:00Z");
    env.sandbox.change(|world| world.falcon.alerts.push(&second));
    env.run_at(RUN_TIME, "crowdstrike").assert_code(5);
    env.sandbox.always(Service::RecordedFuture, None);

    let others =
        [alert_at("a", 3, "2026-11-20T10:00:00Z"), alert_at("b", 4, "2026-11-20T11:00:00Z")];
    env.sandbox.change(|world| others.iter().for_each(|alert| world.falcon.alerts.push(alert)));
    let output = env.run_at(RUN_TIME, "crowdstrike --json --resend").assert_code(2);
    output.assert_counts_add_up().assert_counts(&[("carried_in", 1), ("waiting", 1)]);
    assert_eq!(env.stored_values(), [sha256(1)]);

    // A tenant of one customer does not become one of all customers by itself.
    env.run_at(RUN_TIME, "crowdstrike --all-cids").assert_code(2);
    let output = env.run_at(RUN_TIME, "crowdstrike --json --all-cids --adopt").assert_code(0);
    output.assert_counts_add_up().assert_counts(&[
        ("alerts_fetched", 4),
        ("carried_in", 1),
        ("indicators_found", 4),
        ("indicators_repeated", 1),
        ("already_delivered", 1),
        ("submitted", 3),
        ("processed", 3),
    ]);
    assert_eq!(env.stored_values(), [1, 2, 3, 4].map(sha256));
}

#[test]
fn what_earlier_runs_queued_is_not_sent_before_the_customer_is_known() {
    let env = env_with_pages(&[alert_at("a", 1, "2026-11-20T08:00:00Z")]);
    env.sandbox.always(Service::RecordedFuture, Some(Fault::status(503, "")));
    env.run_at(RUN_TIME, "crowdstrike").assert_code(5);
    env.sandbox.always(Service::RecordedFuture, None);
    let other = alert_at("b", 2, "2026-11-20T09:00:00Z");
    env.sandbox.change(|world| world.falcon.alerts.push(&other));
    // 0 means without a limit.
    let output = env.run_at(RUN_TIME, "crowdstrike --json --daily-limit 0").assert_code(2);
    output.assert_counts_add_up().assert_counts(&[("carried_in", 1), ("waiting", 1)]);
    assert!(env.items().is_empty());
}

#[test]
fn a_withdrawn_run_counts_no_hit_of_an_exclusion_rule() {
    let env = env_with_pages(&[alert_of("a", 1), alert_of("b", 2)]);
    env.write("good.txt", sha256(1));
    env.run("crowdstrike --exclusion-file good.txt").assert_code(2);
    let checked = env.run("check crowdstrike --offline --exclusion-file good.txt").assert_code(0);
    assert!(checked.stdout.contains("1 had no hit"), "{}", checked.stdout);
    env.run("crowdstrike --exclusion-file good.txt --all-cids").assert_code(0);
    let checked = env.run("check crowdstrike --offline --exclusion-file good.txt").assert_code(0);
    assert!(!checked.stdout.contains("no hit"), "{}", checked.stdout);
}

#[test]
fn the_customer_is_the_cid_or_else_the_origin_cid_and_an_alert_may_have_neither() {
    let with_origin_cid =
        |customer: &str| without(with(alert_of("", 2), "origin_cid", json!(customer)), "cid");
    for (second, code) in [
        (alert_of("A", 2), 0),
        (with_origin_cid("a"), 0),
        (with(alert_of("a", 2), "origin_cid", json!("b")), 0),
        (without(alert_of("", 2), "cid"), 0),
        (alert_of("", 2), 0),
        (with_origin_cid("b"), 2),
        (alert_of("b", 2), 2),
        (without(alert_of("b", 2), "ioc_value"), 2),
    ] {
        let env = TestEnv::falcon(&[alert_of("a", 1), second.clone()]);
        env.run("crowdstrike").assert_code(code);
        assert_eq!(env.items().is_empty(), code == 2, "{second}");
    }
}

#[test]
fn a_child_of_a_parent_account_is_read_alone() {
    let recipe = Recipe { customers: 3, ..Recipe::new(300, NOW.parse().unwrap()) };
    let env = TestEnv::new(World::default().seed_falcon(&recipe));
    env.run("crowdstrike").assert_code(2);
    assert!(env.items().is_empty());
    let child = format!("crowdstrike --json --member-cid {}", customer_cid(1));
    let alerts = env.run(&child).assert_code(0).assert_counts_add_up().count("alerts_fetched");
    assert!((80..120).contains(&alerts), "{alerts}");
    env.run("crowdstrike --all-cids").assert_code(2);
    let all = env.run("crowdstrike --json --all-cids --tenant all").assert_code(0);
    assert!(all.count("alerts_fetched") > 250, "{}", all.stdout);
    env.run("crowdstrike --all-cids --member-cid x").assert_code(2);
}

#[test]
fn check_finds_several_customers() {
    let env = TestEnv::falcon(&[alert_of("a", 1), alert_of("b", 2)]);
    let output = env.run("check crowdstrike").assert_code(2);
    assert!(output.stdout.contains("customers: the alerts belong to at least 2 customers"));
    assert!(output.stdout.contains("--member-cid"), "{}", output.stdout);
    env.run("check crowdstrike --all-cids").assert_code(0);
}

#[test]
fn what_was_queued_for_all_customers_is_not_sent_for_one() {
    let env = env_with_pages(&[alert_of("a", 1), alert_of("b", 2)]);
    env.sandbox.always(Service::RecordedFuture, Some(Fault::status(503, "")));
    env.run("crowdstrike --all-cids").assert_code(5);
    env.sandbox.always(Service::RecordedFuture, None);
    // Now the client sees no alert, and then those of one customer.
    env.sandbox.change(|world| world.falcon.alerts.clear());
    let none = env.run("crowdstrike --json").assert_code(0);
    none.assert_stderr(&["2 queued indicators of tenant crowdstrike were not sent", "--adopt"]);
    none.assert_counts_add_up().assert_counts(&[("carried_in", 2), ("waiting", 2)]);
    env.sandbox.change(|world| world.falcon.alerts.push(&alert_of("a", 1)));
    env.run("crowdstrike").assert_code(2);
    assert!(env.items().is_empty());
    assert_eq!(env.run("crowdstrike --json --all-cids").assert_code(0).count("submitted"), 2);
}
