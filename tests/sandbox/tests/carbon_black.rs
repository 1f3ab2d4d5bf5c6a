//! Carbon Black's search.

mod common;

use common::*;
use sandbox::{CB_API_ID, CB_ORG, CB_SECRET, Sandbox, World};
use serde_json::{Value, json};

fn alert(n: usize) -> Value {
    let at =
        format!("2026-11-21T{:02}:{:02}:{:02}.{:03}Z", n / 3600, n / 60 % 60, n % 60, n % 1000);
    json!({"id": format!("id-{n:05}"), "type": "WATCHLIST", "backend_timestamp": at, "severity": n % 10})
}

fn query(start: usize, rows: usize) -> Value {
    json!({
        "time_range": {"start": "2026-11-21T00:00:00.000Z", "end": "2026-11-22T00:00:00.000Z"},
        "start": start, "rows": rows, "sort": [{"field": "backend_timestamp", "order": "ASC"}],
    })
}

fn ids(reply: &Reply) -> Vec<String> {
    let page = reply.json();
    let results = page["results"].as_array().expect("a list of results");
    results.iter().map(|alert| alert["id"].as_str().unwrap_or("?").to_owned()).collect()
}

#[test]
fn who_may_search() {
    let sandbox = Sandbox::start(World::default());
    let good = format!("{CB_SECRET}/{CB_API_ID}");
    let status = |org: &str, auth: &str| carbon_black_with(&sandbox, org, auth, &json!({})).status;
    assert_eq!(status(CB_ORG, &good), 200);
    let swapped =
        carbon_black_with(&sandbox, CB_ORG, &format!("{CB_API_ID}/{CB_SECRET}"), &json!({}));
    assert_eq!((swapped.status, &swapped.json()["error_code"]), (401, &json!("UNAUTHORIZED")));
    assert_eq!(status("OTHER", &good), 404);
    sandbox.change(|world| world.carbon_black.accounts[0].alerts_read = false);
    assert_eq!(status(CB_ORG, &good), 403);
}

#[test]
fn a_content_type_is_needed() {
    let sandbox = Sandbox::start(World::default());
    let auth = format!("{CB_SECRET}/{CB_API_ID}");
    let path = format!("/api/alerts/v7/orgs/{CB_ORG}/alerts/_search");
    let reply =
        send(sandbox.port(), "POST", &path, &[("X-Auth-Token", &auth)], b"{}").expect("an answer");
    assert_eq!(reply.status, 415);
}

#[test]
fn a_body_that_is_not_right_is_refused() {
    let sandbox = Sandbox::start(World::default());
    let range = |start: &str, end: &str| json!({"time_range": {"start": start, "end": end}});
    let (from, to) = ("2026-11-21T00:00:00.000Z", "2026-11-22T00:00:00.000Z");
    for body in [
        json!({"rows": 0}),
        json!({"rows": 10_001}),
        json!({"rows": "20"}),
        json!({"start": -1}),
        json!({"query": "x"}),
        json!({"sort": {"field": "backend_timestamp"}}),
        json!({"sort": [{"field": "backend_timestamp", "order": "asc"}]}),
        json!({"sort": [{"field": "process_pid", "order": "ASC"}]}),
        json!({"criteria": {"severity": [1]}}),
        json!({"exclusions": {"device_os": ["WINDOWS"]}}),
        json!({"exclusions": {"type": "WATCHLIST"}}),
        range("2026-11-21T00:00:00", to),
        range("2026-11-21T00:00:00+00:00", to),
        range(to, from),
        range(from, from),
        json!({"time_range": {"start": from}}),
    ] {
        assert_eq!(carbon_black(&sandbox, &body).status, 400, "{body}");
    }
    let zero = carbon_black(&sandbox, &json!({"start": 0}));
    let words =
        json!({"error_code": "BAD_REQUEST", "message": "start must be greater than or equal to 1"});
    assert_eq!((zero.status, zero.json()), (400, words));
    assert_eq!(carbon_black(&sandbox, &range(from, to)).status, 200);
}

#[test]
fn pages_give_every_alert_once() {
    for (count, rows) in [(0, 1000), (1, 1000), (101, 100), (1000, 1000), (1001, 1000)] {
        let made: Vec<_> = (0..count).map(alert).collect();
        let sandbox = Sandbox::start(World::default().carbon_black_alerts(&made));
        let mut all = Vec::new();
        loop {
            let reply = carbon_black(&sandbox, &query(all.len() + 1, rows));
            assert_eq!((reply.status, &reply.json()["num_found"]), (200, &json!(count)));
            let page = ids(&reply);
            if page.is_empty() {
                break;
            }
            all.extend(page);
        }
        let expected: Vec<_> =
            made.iter().map(|alert| alert["id"].as_str().unwrap_or_default()).collect();
        assert_eq!(all, expected);
        assert_eq!(sandbox.handed_out().carbon_black, all);
    }
}

#[test]
fn rows_past_ten_thousand_are_a_500_where_there_are_any() {
    let made: Vec<_> = (0..10_001).map(alert).collect();
    let sandbox = Sandbox::start(World::default().carbon_black_alerts(&made));
    let page = carbon_black(&sandbox, &query(1, 10_000)).json();
    assert_eq!((&page["num_found"], &page["num_available"]), (&json!(10_001), &json!(10_000)));
    assert_eq!(carbon_black(&sandbox, &query(9_001, 1000)).status, 200);
    assert_eq!(carbon_black(&sandbox, &query(9_002, 1000)).status, 500);
    assert_eq!(carbon_black(&sandbox, &query(10_001, 1)).status, 500);
    sandbox.change(|world| world.carbon_black.alerts.retain(|id| id < "id-09500"));
    assert_eq!(
        ids(&carbon_black(&sandbox, &query(9_002, 1000))).len(),
        499,
        "no rows past the wall, no error"
    );
    assert_eq!(carbon_black(&sandbox, &query(10_001, 1)).status, 500);
}

#[test]
fn both_ends_are_inclusive_and_types_are_filtered() {
    let at =
        |id: &str, kind: &str, at: &str| json!({"id": id, "type": kind, "backend_timestamp": at});
    let made = [
        at("first", "WATCHLIST", "2026-11-21T00:00:00.000Z"),
        at("last", "CB_ANALYTICS", "2026-11-22T00:00:00.000Z"),
        at("early", "WATCHLIST", "2026-11-20T23:59:59.999Z"),
        at("late", "WATCHLIST", "2026-11-22T00:00:00.001Z"),
        at("device", "DEVICE_CONTROL", "2026-11-21T12:00:00.000Z"),
        json!({"id": "no instant"}),
    ];
    let sandbox = Sandbox::start(World::default().carbon_black_alerts(&made));
    let mut body = query(1, 20);
    assert_eq!(ids(&carbon_black(&sandbox, &body)), ["first", "device", "last"]);
    body["exclusions"] = json!({"type": ["DEVICE_CONTROL", "CONTAINER_RUNTIME"]});
    body["sort"][0]["order"] = "DESC".into();
    assert_eq!(ids(&carbon_black(&sandbox, &body)), ["last", "first"]);
    body["criteria"] = json!({"type": ["WATCHLIST"]});
    assert_eq!(ids(&carbon_black(&sandbox, &body)), ["first"]);
    sandbox.change(|world| world.carbon_black.num_available = false);
    assert!(carbon_black(&sandbox, &body).json().get("num_available").is_none());
}

#[test]
fn defaults_are_twenty_rows_of_two_weeks() {
    let now = chrono::Utc::now();
    let days_ago = |days| sandbox::time::millis(now - chrono::TimeDelta::days(days));
    let made: Vec<_> = (0..30)
        .map(|n| json!({"id": format!("{n}"), "type": "WATCHLIST", "backend_timestamp": days_ago(1)}))
        .chain([json!({"id": "old", "type": "WATCHLIST", "backend_timestamp": days_ago(15)})])
        .collect();
    let sandbox = Sandbox::start(World::default().carbon_black_alerts(&made));
    let page = carbon_black(&sandbox, &json!({})).json();
    assert_eq!(
        (page["results"].as_array().map(Vec::len), &page["num_found"]),
        (Some(20), &json!(30))
    );
}

#[test]
fn strays_are_served_as_they_are() {
    let world = World::default().carbon_black_alerts(&[json!(7), Value::Null, alert(1)]);
    let sandbox = Sandbox::start(world);
    assert_eq!(carbon_black(&sandbox, &query(1, 20)).json()["results"], json!([alert(1), 7, null]));
}
