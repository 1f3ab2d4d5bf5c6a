//! Tests of the sandbox's Carbon Black: its search for alerts.

mod common;

use common::*;
use sandbox::{CB_API_ID, CB_ORG, CB_SECRET, Fault, Sandbox, Service, World};
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

fn ids(response: &Response) -> Vec<String> {
    let page = response.json();
    let results = page["results"].as_array().expect("a list of results");
    results.iter().map(|alert| alert["id"].as_str().unwrap_or("?").to_owned()).collect()
}

#[test]
fn a_search_needs_valid_credentials_and_the_permission() {
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
fn an_api_version_that_was_switched_off_answers_every_search_with_its_status() {
    let sandbox = Sandbox::start(World::default());
    for status in [410, 404] {
        sandbox.change(|world| world.carbon_black.switched_off = Some(status));
        for auth in [format!("{CB_SECRET}/{CB_API_ID}"), "wrong/wrong".into()] {
            let response = carbon_black_with(&sandbox, CB_ORG, &auth, &json!({}));
            assert_eq!((response.status, &response.json()["error_code"]), (status, &json!("GONE")));
        }
    }
}

#[test]
fn a_content_type_is_required() {
    let sandbox = Sandbox::start(World::default());
    let auth = format!("{CB_SECRET}/{CB_API_ID}");
    let path = format!("/api/alerts/v7/orgs/{CB_ORG}/alerts/_search");
    let response =
        send(sandbox.port(), "POST", &path, &[("X-Auth-Token", &auth)], b"{}").expect("a response");
    assert_eq!(response.status, 415);
}

#[test]
fn an_invalid_body_is_rejected() {
    let sandbox = Sandbox::start(World::default());
    let range = |start: &str, end: &str| json!({"time_range": {"start": start, "end": end}});
    let (start, end) = ("2026-11-21T00:00:00.000Z", "2026-11-22T00:00:00.000Z");
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
        json!({"criteria": {"minimum_severity": 0}}),
        json!({"criteria": {"minimum_severity": "5"}}),
        json!({"exclusions": {"minimum_severity": 5}}),
        json!({"exclusions": {"device_os": ["WINDOWS"]}}),
        json!({"exclusions": {"type": "WATCHLIST"}}),
        range("2026-11-21T00:00:00", end),
        range("2026-11-21T00:00:00+00:00", end),
        range(end, start),
        range(start, start),
        json!({"time_range": {"start": start}}),
    ] {
        assert_eq!(carbon_black(&sandbox, &body).status, 400, "{body}");
    }
    let zero = carbon_black(&sandbox, &json!({"start": 0}));
    let expected =
        json!({"error_code": "BAD_REQUEST", "message": "start must be greater than or equal to 1"});
    assert_eq!((zero.status, zero.json()), (400, expected));
    assert_eq!(carbon_black(&sandbox, &range(start, end)).status, 200);
}

#[test]
fn pages_contain_every_alert_once() {
    for (count, rows) in [(0, 1000), (1, 1000), (101, 100), (1000, 1000), (1001, 1000)] {
        let alerts: Vec<_> = (0..count).map(alert).collect();
        let sandbox = Sandbox::start(World::default().carbon_black_alerts(&alerts));
        let mut all = Vec::new();
        loop {
            let response = carbon_black(&sandbox, &query(all.len() + 1, rows));
            assert_eq!((response.status, &response.json()["num_found"]), (200, &json!(count)));
            let page = ids(&response);
            if page.is_empty() {
                break;
            }
            all.extend(page);
        }
        let expected: Vec<_> =
            alerts.iter().map(|alert| alert["id"].as_str().unwrap_or_default()).collect();
        assert_eq!(all, expected);
        assert_eq!(sandbox.served_alerts().carbon_black, all);
    }
}

#[test]
fn a_search_beyond_row_10000_is_a_500() {
    let alerts: Vec<_> = (0..10_001).map(alert).collect();
    let sandbox = Sandbox::start(World::default().carbon_black_alerts(&alerts));
    let page = carbon_black(&sandbox, &query(1, 10_000)).json();
    assert_eq!((&page["num_found"], &page["num_available"]), (&json!(10_001), &json!(10_000)));
    assert_eq!(carbon_black(&sandbox, &query(9_001, 1000)).status, 200);
    assert_eq!(carbon_black(&sandbox, &query(9_002, 1000)).status, 500);
    assert_eq!(carbon_black(&sandbox, &query(10_001, 1)).status, 500);
    sandbox.change(|world| world.carbon_black.alerts.retain(|id| id < "id-09500"));
    assert_eq!(
        ids(&carbon_black(&sandbox, &query(9_002, 1000))).len(),
        499,
        "no error without rows after 10,000"
    );
    assert_eq!(carbon_black(&sandbox, &query(10_001, 1)).status, 500);
}

#[test]
fn the_time_range_includes_both_ends_and_types_are_filtered() {
    let alert_at = |id: &str, kind: &str, time: &str| json!({"id": id, "type": kind, "backend_timestamp": time});
    let alerts = [
        alert_at("first", "WATCHLIST", "2026-11-21T00:00:00.000Z"),
        alert_at("last", "CB_ANALYTICS", "2026-11-22T00:00:00.000Z"),
        alert_at("early", "WATCHLIST", "2026-11-20T23:59:59.999Z"),
        alert_at("late", "WATCHLIST", "2026-11-22T00:00:00.001Z"),
        alert_at("device", "DEVICE_CONTROL", "2026-11-21T12:00:00.000Z"),
        json!({"id": "no instant"}),
    ];
    let sandbox = Sandbox::start(World::default().carbon_black_alerts(&alerts));
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
fn the_minimum_severity_is_inclusive_and_leaves_out_alerts_without_one() {
    let severe = |number: usize, severity: Value| {
        let mut alert = alert(number);
        alert["severity"] = severity;
        alert
    };
    let alerts =
        [severe(1, json!(4)), severe(2, json!(5)), severe(3, json!(10)), severe(4, Value::Null)];
    let sandbox = Sandbox::start(World::default().carbon_black_alerts(&alerts));
    let mut body = query(1, 20);
    body["criteria"] = json!({"minimum_severity": 5});
    let page = carbon_black(&sandbox, &body).json();
    assert_eq!(page["num_found"], 2);
    assert_eq!(page["results"][0]["severity"], 5);
}

#[test]
fn the_defaults_are_20_rows_and_two_weeks() {
    let now = chrono::Utc::now();
    let days_ago = |days| sandbox::time::millis(now - chrono::TimeDelta::days(days));
    let alerts: Vec<_> = (0..30)
        .map(|n| json!({"id": format!("{n}"), "type": "WATCHLIST", "backend_timestamp": days_ago(1)}))
        .chain([json!({"id": "old", "type": "WATCHLIST", "backend_timestamp": days_ago(15)})])
        .collect();
    let sandbox = Sandbox::start(World::default().carbon_black_alerts(&alerts));
    let page = carbon_black(&sandbox, &json!({})).json();
    assert_eq!(
        (page["results"].as_array().map(Vec::len), &page["num_found"]),
        (Some(20), &json!(30))
    );
}

#[test]
fn elements_that_are_not_objects_are_served_unchanged() {
    let world = World::default().carbon_black_alerts(&[json!(7), Value::Null, alert(1)]);
    let sandbox = Sandbox::start(world);
    assert_eq!(carbon_black(&sandbox, &query(1, 20)).json()["results"], json!([alert(1), 7, null]));
}

#[test]
fn pages_can_repeat_loop_be_empty_lack_their_counts_or_be_one_alert_short() {
    let alerts: Vec<_> = (0..6).map(alert).collect();
    let sandbox = Sandbox::start(World::default().carbon_black_alerts(&alerts));
    let page = |fault: Fault, start| {
        sandbox.queue_faults(Service::CarbonBlack, vec![fault]);
        let response = carbon_black(&sandbox, &query(start, 2));
        (ids(&response), response.json()["num_found"].as_u64())
    };
    let rows = |first: usize| vec![format!("id-{first:05}"), format!("id-{:05}", first + 1)];
    for (fault, later_page) in [
        (Fault::RepeatedPage, (rows(2), Some(6))),
        (Fault::LoopingPage, (rows(0), Some(6))),
        (Fault::EmptyPage, (Vec::new(), Some(0))),
    ] {
        assert_eq!(page(fault.clone(), 1), (rows(0), Some(6)), "{fault:?}");
        assert_eq!(page(fault, 5), later_page);
    }
    assert_eq!(page(Fault::WithoutPagination, 5), (rows(4), None));
    sandbox.change(|world| world.carbon_black.hidden_alerts = vec!["id-00001".into()]);
    assert_eq!(page(Fault::None, 1), (vec!["id-00000".into()], Some(6)));
    let removal = Fault::RemoveAlerts(vec!["id-00000".into(), "id-00001".into()]);
    assert_eq!(page(removal, 1), (rows(2), Some(4)));
}

#[test]
fn alerts_that_are_created_later_do_not_exist_yet() {
    let alerts: Vec<Value> = (0..10).map(alert).collect();
    let sandbox = Sandbox::start(World::default().carbon_black_alerts(&alerts));
    for (time, count) in [("2026-11-21T00:00:03.003Z", 4), ("2026-11-22T00:00:00.000Z", 10)] {
        sandbox.change(|world| world.date = sandbox::time::parse_zulu(time));
        assert_eq!(carbon_black(&sandbox, &query(1, 20)).json()["num_found"], count);
    }
}
