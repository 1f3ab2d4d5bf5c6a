//! Tests of `verify`, which compares the indicators that were delivered with those that Recorded
//! Future's search finds.

use chrono::TimeDelta;
use sandbox::{Fault, Service, World};
use serde_json::{Value, json};

use crate::support::alerts::{carbonblack, falcon, sha256};
use crate::support::json::text;
use crate::support::tenants_env::{SETTINGS, TenantServices, TenantsEnv};
use crate::support::vendor::Vendor;
use crate::support::{RunOutput, TestEnv};

/// Two days after the runs.
const LATER: &str = "2026-11-24T09:00:00Z";

/// Returns an environment in which three domains and a file were delivered.
fn delivered() -> TestEnv {
    let domain = |name: &str| falcon(&format!("cid:ind:{name}"), "domain", name);
    let env = TestEnv::new(
        World::default()
            .falcon_alerts(&["a.example.com", "b.example.com", "c.example.com"].map(domain))
            .carbon_black_alerts(&[carbonblack("a1", &sha256(1))]),
    );
    env.run("crowdstrike").assert_code(0);
    env.run("carbonblack").assert_code(0);
    env
}

/// Makes the search find all indicators except these values.
fn hide(env: &TestEnv, values: &[&str]) {
    let values = values.iter().map(|value| (*value).to_owned()).collect();
    env.sandbox.change(|world| world.recorded_future.search.never_found = values);
}

fn verify(env: &TestEnv, arguments: &str) -> RunOutput {
    env.run_at(LATER, &format!("verify {arguments}"))
}

/// Returns the numbers of indicators: delivered, found, missing, recent (not found yet, delivered
/// less than a day ago), and unknown (found, but not delivered by this ledger).
fn numbers(object: &Value) -> [u64; 5] {
    ["delivered", "found", "missing", "recent", "unknown"]
        .map(|key| object[key].as_u64().unwrap_or_else(|| panic!("{key}: {object}")))
}

#[test]
fn what_was_delivered_is_found() {
    let env = delivered();
    let before = env.sandbox.stored().len();
    let output = verify(&env, "--json").assert_code(0);
    let document = output.json();
    assert_eq!(numbers(&document["total"]), [4, 4, 0, 0, 0]);
    assert_eq!(document["tenants"], json!(["carbonblack", "crowdstrike"]));
    assert_eq!(document["days"][0]["date"], "2026-11-22");
    assert_eq!(numbers(&document["days"][0]), [4, 4, 0, 0, 0]);
    let types: Vec<String> =
        document["types"].as_array().unwrap().iter().map(|row| text(row, "/type")).collect();
    assert_eq!(types, ["domain", "hash"]);
    assert_eq!(document["missing"], json!([]));
    assert_eq!(document["requeued"], Value::Null);
    // One key, one search; nothing is sent.
    assert_eq!(env.request_count(Service::Search), 1);
    assert_eq!(env.sandbox.stored().len(), before);
}

#[test]
fn the_search_covers_the_times_of_the_detections_and_a_second_more() {
    let env = delivered();
    verify(&env, "").assert_code(0);
    let body = env.sandbox.requests_to(Service::Search)[0].json().unwrap();
    let mut times: Vec<String> = env.items().iter().map(|item| text(item, "/timestamp")).collect();
    times.sort();
    let shifted = |time: &str, seconds| {
        let time: chrono::DateTime<chrono::Utc> = time.parse().unwrap();
        let time = time + TimeDelta::seconds(seconds);
        time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
    };
    let expected = json!({
        "filters": {"detection_time": {
            "from": shifted(&times[0], -1),
            "to": shifted(times.last().unwrap(), 1),
        }},
        "limit": 1000,
        "offset": 0,
    });
    assert_eq!(body, expected);
}

#[test]
fn an_indicator_that_is_missing_after_a_day_is_named_and_the_exit_code_is_3() {
    let env = delivered();
    hide(&env, &["b.example.com"]);
    let output = verify(&env, "--json").assert_code(3);
    let document = output.json();
    assert_eq!(numbers(&document["total"]), [4, 3, 1, 0, 0]);
    assert_eq!(document["exit_code"], 3);
    let missing = &document["missing"][0];
    assert_eq!(
        ["/tenant", "/type", "/value"].map(|key| text(missing, key)),
        ["crowdstrike", "domain", "b.example.com"]
    );
    let output = verify(&env, "").assert_code(3);
    assert!(output.stdout.contains("b.example.com"), "{output:?}");
    let error = "error: 1 indicator was delivered more than a day ago, but Recorded Future does \
                 not find it";
    assert!(output.stderr.starts_with(error), "{output:?}");
    // Nothing is queued without --requeue-missing.
    let queued = env.run("outbox list --json").json();
    assert_eq!(queued["total"], 0);
}

#[test]
fn within_a_day_nothing_is_missing() {
    let env = delivered();
    env.sandbox.change(|world| world.recorded_future.search.lag = TimeDelta::days(3));
    let output = env.run_at("2026-11-23T00:15:00Z", "verify --json --requeue-missing");
    let document = output.assert_code(0).json();
    assert_eq!(numbers(&document["total"]), [4, 0, 0, 4, 0]);
    assert_eq!(document["requeued"], 0);
    let document = env.run_at("2026-11-23T00:16:00Z", "verify --json").assert_code(3).json();
    assert_eq!(numbers(&document["total"]), [4, 0, 4, 0, 0]);
}

#[test]
fn requeue_missing_queues_what_is_missing_and_the_next_run_sends_it_once() {
    let env = delivered();
    let first = env.items();
    hide(&env, &["b.example.com", &sha256(1)]);
    let output = verify(&env, "--json --requeue-missing").assert_code(3);
    assert_eq!(output.json()["requeued"], 2);
    // They are queued, and no longer delivered.
    let again = verify(&env, "--json --requeue-missing").assert_code(0).json();
    assert_eq!((numbers(&again["total"]), &again["requeued"]), ([2, 2, 0, 0, 0], &json!(0)));
    hide(&env, &[]);
    for source in Vendor::ALL.map(Vendor::command) {
        env.run_at(LATER, source).assert_code(0);
    }
    let items = env.items();
    assert_eq!(items.len(), first.len() + 2);
    for item in &items[first.len()..] {
        let value = &item["ioc"]["value"];
        let mut sent = first.iter().find(|item| item["ioc"]["value"] == *value).unwrap().clone();
        // The ledger does not store the names.
        sent["detection"].as_object_mut().unwrap().remove("name");
        sent["incident"].as_object_mut().unwrap().remove("name");
        assert_eq!(*item, sent);
    }
    let document = verify(&env, "--json").assert_code(0).json();
    assert_eq!(numbers(&document["total"]), [4, 4, 0, 0, 0]);
    // Nothing is sent again if the alerts are read once more.
    env.run_at(LATER, "crowdstrike --since 2026-11-21").assert_code(0);
    assert_eq!(env.items().len(), items.len());
}

#[test]
fn rows_of_other_clients_are_unknown_and_repeated_deliveries_may_be_one_row() {
    let env = delivered();
    env.run("crowdstrike --resend --since 2026-11-21").assert_code(0);
    let other = |kind: &str, value: &str| {
        json!({
            "id": value,
            "detection_time": "2026-11-21T08:00:00Z",
            "indicator": {"type": kind, "value": value},
        })
    };
    let nothing = json!({"id": "x", "detection_time": "2026-11-21T08:00:00Z", "indicator": null});
    env.sandbox.change(|world| {
        let search = &mut world.recorded_future.search;
        search.merges_repeats = true;
        let upper = other("Hash", &sha256(1).to_uppercase());
        search.foreign_rows = vec![other("url", "http://d.example.com/"), nothing, upper];
        search.never_found = vec![sha256(1)];
    });
    let document = verify(&env, "--json").assert_code(0).json();
    // Three of the domains were delivered twice.
    assert_eq!(numbers(&document["total"]), [7, 7, 0, 0, 1]);
    let days = document["days"].as_array().unwrap();
    assert_eq!(text(&days[0], "/date"), "2026-11-21");
    assert_eq!(numbers(&days[0]), [0, 0, 0, 0, 1]);
    let url = &document["types"].as_array().unwrap()[2];
    assert_eq!((url["type"].as_str(), numbers(url)), (Some("url"), [0, 0, 0, 0, 1]));
}

#[test]
fn a_key_that_may_not_search_is_an_error_and_the_ledger_is_not_changed() {
    let env = delivered();
    env.sandbox.change(|world| world.recorded_future.search.is_allowed = false);
    let before = std::fs::read(env.path("collective-insights.db")).unwrap();
    let output = verify(&env, "--requeue-missing").assert_code(4);
    let stderr = &output.stderr;
    assert!(stderr.starts_with("error: carbonblack, crowdstrike: "), "{stderr}");
    assert!(stderr.contains("let this API key search Collective Insights"), "{stderr}");
    assert_eq!(output.stdout, "");
    let document = verify(&env, "--json").assert_code(4).json();
    assert_eq!(document["failures"][0]["tenants"], json!(["carbonblack", "crowdstrike"]));
    assert_eq!(document["failures"][0]["kind"], "credentials");
    assert_eq!(std::fs::read(env.path("collective-insights.db")).unwrap(), before);
}

#[test]
fn many_pages_are_read_and_temporary_errors_are_retried() {
    let env = delivered();
    env.sandbox.change(|world| world.recorded_future.search.max_page_size = 1);
    let faults = vec![Fault::None, Fault::status(503, ""), Fault::Reset, Fault::Truncate];
    env.sandbox.queue_faults(Service::Search, faults);
    let document = verify(&env, "--json").assert_code(0).json();
    assert_eq!(numbers(&document["total"]), [4, 4, 0, 0, 0]);
    assert_eq!(env.request_count(Service::Search), 4 + 3);
    // Without counts, the result ends with an empty page.
    env.sandbox.change(|world| world.recorded_future.search.has_counts = false);
    let document = verify(&env, "--json").assert_code(0).json();
    assert_eq!(numbers(&document["total"]), [4, 4, 0, 0, 0]);
}

#[test]
fn pages_that_do_not_add_up_are_read_again_and_then_no_indicator_is_judged() {
    for fault in [Fault::RepeatedPage, Fault::LoopingPage, Fault::EmptyPage] {
        let env = delivered();
        env.sandbox.change(|world| world.recorded_future.search.max_page_size = 2);
        env.sandbox.queue_faults(Service::Search, vec![Fault::None, fault.clone()]);
        let document = verify(&env, "--json").assert_code(0).json();
        assert_eq!(numbers(&document["total"]), [4, 4, 0, 0, 0], "{fault:?}");
        env.sandbox.always(Service::Search, Some(fault.clone()));
        let output = verify(&env, "--json --requeue-missing").assert_code(5);
        let document = output.json();
        assert_eq!(numbers(&document["total"]), [0; 5], "{fault:?}");
        assert_eq!(document["requeued"], 0);
        assert!(output.stderr.contains("do not add up"), "{output:?}");
    }
}

#[test]
fn tenants_are_chosen_and_their_settings_are_needed() {
    let env = delivered();
    let document = verify(&env, "--json --tenant crowdstrike").assert_code(0).json();
    // The ledger knows the deliveries of the other tenant, so they are not `unknown`.
    assert_eq!(numbers(&document["total"]), [3, 3, 0, 0, 0]);
    let unknown = verify(&env, "--tenant acme").assert_code(2);
    assert!(unknown.stderr.contains("the ledger has no tenant acme"), "{unknown:?}");
    let mut command = env.command_at(LATER, "verify");
    let output = RunOutput::capture(command.env_remove("RF_API_KEY")).assert_code(2);
    assert!(output.stderr.contains("RF_API_KEY"), "{output:?}");
    // No secret of a vendor is needed.
    let mut command = env.command_at(LATER, "verify");
    RunOutput::capture(command.env_remove("CS_CLIENT_SECRET").env_remove("CB_SECRET"))
        .assert_code(0);
}

#[test]
fn the_tenants_of_a_settings_file_are_compared_with_the_key_of_each() {
    let services = |name: &str, count: u64| {
        let alerts: Vec<Value> = (0..count)
            .map(|number| {
                let domain = format!("{name}{number}.example.com");
                falcon(&format!("{name}:{number}"), "domain", &domain)
            })
            .collect();
        let world = World::default().falcon_alerts(&alerts);
        TenantServices::new(name, Vendor::CrowdStrike, world)
    };
    let tenants = vec![services("one", 2), services("two", 3), services("off", 4)];
    let env = TenantsEnv::with_shared_recorded_future(tenants);
    env.run("run").assert_code(0);
    let settings = std::fs::read_to_string(env.home.path(SETTINGS)).unwrap();
    let disabled = settings.replace("name = \"off\"", "name = \"off\"\nenabled = false");
    env.home.write(SETTINGS, disabled);
    hide(&env.home, &["two1.example.com"]);
    let verify = |arguments: &str| {
        RunOutput::capture(&mut env.command_at(LATER, &format!("verify --json {arguments}")))
    };
    let document = verify("").assert_code(3).json();
    assert_eq!(numbers(&document["total"]), [5, 4, 1, 0, 0]);
    assert_eq!(document["tenants"], json!(["one", "two"]));
    assert_eq!(document["left_out"], json!(["off"]));
    assert_eq!(document["missing"][0]["tenant"], "two");
    assert_eq!(env.home.request_count(Service::Search), 2);
    let document = verify("--tenant one").assert_code(0).json();
    assert_eq!(numbers(&document["total"]), [2, 2, 0, 0, 0]);
    // An error of one tenant does not hide the numbers of the others.
    std::fs::write(env.secret_file("one", "rf"), "").unwrap();
    let output = verify("").assert_code(2);
    let document = output.json();
    assert_eq!(numbers(&document["total"]), [3, 2, 1, 0, 0]);
    assert_eq!(document["failures"][0]["tenants"], json!(["one"]));
    assert!(output.stderr.contains("error: one: "), "{output:?}");
}

#[test]
fn a_warning_about_several_tenants_is_printed_once() {
    let env = delivered();
    let mut command = env.command_at(LATER, "verify");
    let output = RunOutput::capture(command.env("RF_API_KEY", "short")).assert_code(2);
    assert_eq!(output.stderr.matches("does not have the usual form").count(), 1, "{output:?}");
    assert!(output.stderr.starts_with("warning: carbonblack, crowdstrike: "), "{output:?}");
}

#[test]
fn days_without_a_delivery_succeed() {
    let env = delivered();
    let output = env.run_at("2026-12-24T09:00:00Z", "verify").assert_code(0);
    assert_eq!(output.stdout, "nothing was delivered since 2026-12-18 (UTC)\n");
    let none = TestEnv::new(World::default());
    assert!(none.run("verify").assert_code(6).stderr.contains("there is no ledger"));
}

#[test]
fn a_tenant_that_delivers_with_another_key_is_not_compared() {
    let env = delivered();
    env.sandbox.change(|world| {
        let mut account = world.recorded_future.accounts[0].clone();
        account.token = "another-key-never-seen-0123456789".to_owned();
        world.recorded_future.accounts.push(account);
    });
    let mut command = env.command_at(LATER, "verify --json --requeue-missing");
    let other = "another-key-never-seen-0123456789";
    let output = RunOutput::capture(command.env("RF_API_KEY", other)).assert_code(2);
    let document = output.json();
    assert_eq!(document["requeued"], 0);
    assert_eq!(document["failures"][0]["tenants"], json!(["carbonblack", "crowdstrike"]));
    assert_eq!(env.request_count(Service::Search), 0);
    // After a run with the other key, deliveries with the first key do not count.
    let mut command = env.command_at(LATER, "crowdstrike");
    RunOutput::capture(command.env("RF_API_KEY", other)).assert_code(0);
    let mut command = env.command_at(LATER, "verify --json --tenant crowdstrike");
    let output = RunOutput::capture(command.env("RF_API_KEY", other)).assert_code(0);
    assert_eq!(numbers(&output.json()["total"]), [0; 5]);
}

#[test]
fn if_none_of_more_than_100_deliveries_is_found_nothing_is_queued_again() {
    let alerts: Vec<Value> = (0..101)
        .map(|number| falcon(&format!("cid:ind:{number}"), "hash_sha256", &sha256(number)))
        .collect();
    let env = TestEnv::falcon(&alerts);
    env.run("crowdstrike").assert_code(0);
    env.sandbox.change(|world| world.recorded_future.search.lag = TimeDelta::days(30));
    let output = verify(&env, "--json --requeue-missing").assert_code(3);
    assert_eq!(numbers(&output.json()["total"]), [101, 0, 101, 0, 0]);
    assert_eq!(output.json()["requeued"], Value::Null);
    assert!(output.stderr.contains("nothing was queued again"), "{output:?}");
    assert_eq!(env.run("outbox list --json").json()["total"], 0);
}

#[test]
fn rows_that_name_no_indicator_are_counted() {
    let env = delivered();
    env.sandbox.change(|world| {
        let row = json!({"id": "x", "detection_time": "2026-11-21T08:00:00Z", "indicator": 7});
        world.recorded_future.search.foreign_rows = vec![row];
    });
    assert_eq!(verify(&env, "--json").assert_code(0).json()["unreadable"], 1);
    let text = verify(&env, "").assert_code(0).stdout;
    assert!(text.contains("1 row of the search named no indicator"), "{text}");
}
