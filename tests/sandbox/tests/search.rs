//! Tests of the search of the sandbox's Recorded Future: which queries it accepts, and what it
//! finds.

mod common;

use chrono::{DateTime, TimeDelta, Utc};
use common::*;
use sandbox::{Fault, RF_TOKEN, Sandbox, Service, World};
use serde_json::{Value, json};

const DOMAINS: [&str; 3] = ["a.example.com", "b.example.com", "c.example.com"];

fn search(sandbox: &Sandbox, body: &Value) -> Response {
    let (path, body) = ("/collective-insights/search", body.to_string());
    send(sandbox.port(), "POST", path, &rf_headers(RF_TOKEN), body.as_bytes()).expect("a response")
}

fn found(sandbox: &Sandbox, body: &Value) -> Vec<String> {
    let response = search(sandbox, body);
    assert_eq!(response.status, 200, "{}", response.text());
    let rows = response.json()["data"].as_array().cloned().expect("rows");
    rows.iter().map(|row| row["indicator"]["value"].as_str().unwrap_or("?").to_owned()).collect()
}

fn item_at(hour: u32, value: &str) -> Value {
    let mut item = item("domain", value);
    item["timestamp"] = format!("2026-11-21T{hour:02}:00:00.000Z").into();
    item
}

/// Returns a sandbox that has stored each of [`DOMAINS`], one hour after the other.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::start(World::default());
    let items: Vec<Value> = (1..).zip(DOMAINS).map(|(hour, name)| item_at(hour, name)).collect();
    assert_eq!(submit(&sandbox, &batch(&items)).status, 200);
    sandbox
}

#[test]
fn a_row_names_what_was_submitted() {
    let sandbox = Sandbox::start(World::default());
    let mut item = item("domain", DOMAINS[0]);
    item["incident"] = json!({"id": "made-up:1", "type": "crowdstrike-falcon-alert"});
    let mut body = batch(std::slice::from_ref(&item));
    body["organization_ids"] = json!(["uhash:a"]);
    submit(&sandbox, &body);
    let document = search(&sandbox, &json!({})).json();
    assert_eq!(document["counts"], json!({"returned": 1, "total": 1}));
    let row = &document["data"][0];
    assert_eq!(row["detection_time"], item["timestamp"]);
    assert_eq!(row["indicator"]["type"], "domain");
    assert_eq!(row["indicator"]["value"], DOMAINS[0]);
    assert_eq!(row["incident"], item["incident"]);
    assert_eq!(row["organizations"], json!(["uhash:a"]));
    assert_eq!(row["submission_method"], "api");
    // An item that was submitted with `debug` is only validated, and not found.
    let mut debug = batch(&[item_at(5, "d.example.com")]);
    debug["options"]["debug"] = true.into();
    assert_eq!(submit(&sandbox, &debug).status, 200);
    assert_eq!(found(&sandbox, &json!({})), [DOMAINS[0]]);
}

#[test]
fn the_filters_apply_and_a_range_includes_both_ends() {
    let sandbox = sandbox();
    let filtered = |filters: Value| found(&sandbox, &json!({"filters": filters}));
    assert_eq!(filtered(json!({})), ["c.example.com", "b.example.com", "a.example.com"]);
    let range = json!({"from": "2026-11-21T01:00:00Z", "to": "2026-11-21T02:00:00.000Z"});
    assert_eq!(filtered(json!({"detection_time": range})), ["b.example.com", "a.example.com"]);
    let after = json!({"from": "2026-11-21T03:00:00.001Z"});
    assert_eq!(filtered(json!({"detection_time": after})), <[&str; 0]>::default());
    assert_eq!(filtered(json!({"indicator_type": ["domain", "ip"]})).len(), 3);
    assert_eq!(filtered(json!({"indicator_type": ["ip"]})).len(), 0);
    assert_eq!(filtered(json!({"submission_method": ["integration"]})).len(), 0);
    assert_eq!(filtered(json!({"organizations": ["uhash:a"]})).len(), 0);
}

#[test]
fn a_search_that_the_documentation_does_not_allow_is_rejected() {
    let sandbox = sandbox();
    for (body, message) in [
        (json!([]), "body must be an object"),
        (json!({"query": {}}), "body.query is not a known key"),
        (json!({"limit": 0}), "limit must be 1 to 1000"),
        (json!({"limit": 1001}), "limit must be 1 to 1000"),
        (json!({"limit": "10"}), "limit must be a whole number"),
        (json!({"offset": -1}), "offset must be a whole number"),
        (json!({"filters": {"type": ["ip"]}}), "filters.type is not a known key"),
        (json!({"filters": {"indicator_type": []}}), "filters.indicator_type must not be empty"),
        (
            json!({"filters": {"detection_time": {"from": "2026-11-21"}}}),
            "filters.detection_time.from must be a time in UTC",
        ),
        (
            json!({"filters": {"detection_time": {"from": "2026-11-22T00:00:00Z", "to": "2026-11-21T00:00:00Z"}}}),
            "filters.detection_time.from must not be after filters.detection_time.to",
        ),
    ] {
        let response = search(&sandbox, &body);
        assert_eq!((response.status, &response.json()["message"]), (400, &json!(message)));
    }
    let types = search(&sandbox, &json!({"filters": {"indicator_type": ["file"]}}));
    assert_eq!(types.status, 400);
    sandbox.change(|world| world.recorded_future.search.is_allowed = false);
    assert_eq!(search(&sandbox, &json!({})).status, 403);
    assert_eq!(submit(&sandbox, &batch(&[item("ip", "1.2.3.4")])).status, 200);
}

#[test]
fn pages_have_counts_and_can_be_smaller_than_requested() {
    let sandbox = sandbox();
    let page = |offset: u32| found(&sandbox, &json!({"limit": 2, "offset": offset}));
    assert_eq!([page(0).len(), page(2).len(), page(3).len()], [2, 1, 0]);
    sandbox.change(|world| world.recorded_future.search.max_page_size = 1);
    assert_eq!(page(1), ["b.example.com"]);
    sandbox.change(|world| world.recorded_future.search.has_counts = false);
    assert_eq!(search(&sandbox, &json!({})).json().get("counts"), None);
}

#[test]
fn pages_can_repeat_or_end_too_early() {
    let sandbox = sandbox();
    let page = |offset: u32, fault: Fault| {
        sandbox.queue_faults(Service::Search, vec![fault]);
        found(&sandbox, &json!({"limit": 1, "offset": offset}))
    };
    assert_eq!(page(1, Fault::RepeatedPage), ["c.example.com"]);
    assert_eq!(page(2, Fault::RepeatedPage), ["b.example.com"]);
    assert_eq!(page(2, Fault::LoopingPage), ["c.example.com"]);
    assert_eq!(page(1, Fault::EmptyPage), <[&str; 0]>::default());
    assert_eq!(page(0, Fault::EmptyPage), ["c.example.com"]);
}

#[test]
fn an_item_can_be_found_late_once_or_never() {
    let sandbox = Sandbox::start(World::default());
    let now: DateTime<Utc> = "2026-11-22T00:15:00Z".parse().expect("a time");
    sandbox.change(|world| {
        world.date = Some(now);
        world.recorded_future.search.lag = TimeDelta::hours(2);
        world.recorded_future.search.never_found = vec![DOMAINS[1].to_owned()];
    });
    let repeated = [item_at(1, DOMAINS[0]), item_at(2, DOMAINS[0]), item_at(3, DOMAINS[1])];
    submit(&sandbox, &batch(&repeated));
    assert_eq!(found(&sandbox, &json!({})), <[&str; 0]>::default());
    sandbox.change(|world| world.date = Some(now + TimeDelta::hours(2)));
    assert_eq!(found(&sandbox, &json!({})), [DOMAINS[0], DOMAINS[0]]);
    sandbox.change(|world| world.recorded_future.search.merges_repeats = true);
    assert_eq!(found(&sandbox, &json!({})), [DOMAINS[0]]);
}

#[test]
fn rows_of_other_clients_are_found_with_any_token_and_own_items_only_with_their_own() {
    let sandbox = Sandbox::start(World::default());
    submit(&sandbox, &batch(&[item_at(1, DOMAINS[0])]));
    let foreign = json!({"indicator": {"type": "ip", "value": "1.2.3.4"}});
    sandbox.change(|world| {
        world.recorded_future.search.foreign_rows = vec![foreign];
        let mut another = world.recorded_future.accounts[0].clone();
        another.token = "another".to_owned();
        world.recorded_future.accounts.push(another);
    });
    assert_eq!(found(&sandbox, &json!({})), [DOMAINS[0], "1.2.3.4"]);
    let path = "/collective-insights/search";
    let response = send(sandbox.port(), "POST", path, &rf_headers("another"), b"{}");
    let rows = response.expect("a response").json();
    assert_eq!(rows["counts"]["total"], 1, "only the foreign row");
}
