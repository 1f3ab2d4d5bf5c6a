//! Tests of the sandbox's Falcon: its sign-in, and its pages of alerts.

mod common;

use common::*;
use sandbox::alert_store::SearchKeys;
use sandbox::falcon::FalconKeys;
use sandbox::fql::Filter;
use sandbox::world::{FalconAccount, MissingValue, PageError};
use sandbox::{CLIENT_ID, CLIENT_SECRET, Fault, Sandbox, Service, World};
use serde_json::{Value, json};

fn alert(id: &str, created: &str) -> Value {
    json!({"composite_id": id, "created_timestamp": created, "product": "epp", "severity": 70})
}

fn alerts(count: usize) -> Vec<Value> {
    let created =
        |n: usize| format!("2026-11-21T{:02}:{:02}:{:02}.{:09}Z", n / 3600, n / 60 % 60, n % 60, n);
    (0..count).map(|n| alert(&format!("id:{n:05}"), &created(n))).collect()
}

fn form() -> String {
    format!("client_id={CLIENT_ID}&client_secret={CLIENT_SECRET}")
}

fn message(response: &Response) -> String {
    response.json()["errors"][0]["message"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_sign_in_returns_a_token_and_the_region() {
    let sandbox = Sandbox::start(World::default());
    let response = sign_in_with(&sandbox, &form());
    assert_eq!(response.status, 201);
    assert_eq!(response.header("x-cs-region"), Some("us-1"));
    let body = response.json();
    assert_eq!((&body["expires_in"], &body["token_type"]), (&json!(1799), &json!("bearer")));
    assert_ne!(sign_in(&sandbox), sign_in(&sandbox), "each sign-in has its own token");
}

#[test]
fn an_invalid_sign_in_is_rejected_with_the_right_message() {
    let sandbox = Sandbox::start(World::default().with(|world| {
        let account =
            FalconAccount { address_allowed: false, ..FalconAccount::new("elsewhere", "s") };
        world.falcon.accounts.push(account);
        world.falcon.accounts[0].member_cids.push("child".into());
    }));
    for (form, status, expected) in [
        (format!("client_id={CLIENT_ID}&client_secret=wrong"), 403, "Failed to issue access token"),
        (format!("client_id={CLIENT_ID}"), 403, "Failed to issue access token"),
        (
            "client_id=mistyped&client_secret=s".into(),
            400,
            "Failed to generate access token for clientID=mistyped",
        ),
        ("client_id=elsewhere&client_secret=s".into(), 403, "access denied, authorization failed"),
        (form() + "&member_cid=stranger", 403, "access denied"),
        (form() + "&grant_type=x", 400, "invalid request"),
        (form() + "&member_cid=child", 201, ""),
    ] {
        let response = sign_in_with(&sandbox, &form);
        assert_eq!(response.status, status, "{form}");
        assert!(message(&response).starts_with(expected), "{form}");
    }
    let as_json = send(sandbox.port(), "POST", "/oauth2/token", &[JSON], form().as_bytes())
        .expect("a response");
    assert_eq!(as_json.status, 400);
}

#[test]
fn an_unknown_client_can_be_reported_as_a_500_with_the_code_400() {
    let world = World::default().with(|world| world.falcon.unknown_client_as_500 = true);
    let sandbox = Sandbox::start(world);
    let response = sign_in_with(&sandbox, "client_id=mistyped&client_secret=s");
    assert_eq!((response.status, &response.json()["errors"][0]["code"]), (500, &json!(400)));
    assert!(message(&response).starts_with("Failed to generate access token for clientID="));
    let wrong_secret = format!("client_id={CLIENT_ID}&client_secret=wrong");
    assert_eq!(sign_in_with(&sandbox, &wrong_secret).status, 403);
}

#[test]
fn a_redirect_to_another_region_has_no_body_and_needs_valid_credentials() {
    let other_region = "https://api.us-2.crowdstrike.com/oauth2/token";
    let sandbox = Sandbox::start(
        World::default().with(|world| world.falcon.redirect = Some(other_region.into())),
    );
    let response = sign_in_with(&sandbox, &form());
    assert_eq!((response.status, response.header("location")), (308, Some(other_region)));
    assert!(response.body.is_empty() && response.is_complete());
    assert_eq!(sign_in_with(&sandbox, "client_id=a&client_secret=b").status, 400);
}

#[test]
fn tokens_expire_and_scopes_are_required() {
    let sandbox = Sandbox::start(World::default());
    let token = sign_in(&sandbox);
    assert_eq!(falcon(&sandbox, "made-up", &json!({})).status, 401);
    assert_eq!(falcon(&sandbox, &token, &json!({})).status, 200);
    sandbox.queue_faults(Service::FalconAlerts, vec![Fault::ExpireAccessTokens]);
    let response = falcon(&sandbox, &token, &json!({}));
    assert_eq!(
        (response.status, message(&response).as_str()),
        (401, "access denied, invalid bearer token")
    );

    sandbox.change(|world| world.falcon.token_lifetime = 0);
    assert_eq!(falcon(&sandbox, &sign_in(&sandbox), &json!({})).status, 401);
    sandbox.change(|world| {
        (world.falcon.token_lifetime, world.falcon.accounts[0].alerts_read) = (9, false)
    });
    let response = falcon(&sandbox, &sign_in(&sandbox), &json!({}));
    assert_eq!(
        (response.status, message(&response).as_str()),
        (403, "access denied, authorization failed")
    );
}

#[test]
fn an_invalid_body_is_rejected() {
    let sandbox = Sandbox::start(World::default());
    let token = sign_in(&sandbox);
    for body in [
        json!([]),
        json!({"limit": 0}),
        json!({"limit": 1001}),
        json!({"limit": "10"}),
        json!({"offset": 0}),
        json!({"filter": ""}),
        json!({"filter": null}),
        json!({"filter": "severity:>'60'"}),
        json!({"sort": "created_timestamp.asc"}),
        json!({"sort": "severity|asc"}),
        json!({"sort": "created_timestamp|up"}),
        json!({"after": "made-up"}),
    ] {
        let response = falcon(&sandbox, &token, &body);
        assert_eq!(response.status, 400, "{body}");
        assert!(
            response.json()["meta"]["trace_id"].is_string()
                && response.header("x-cs-traceid").is_some()
        );
    }
    assert_eq!(
        falcon(&sandbox, &token, &json!({"limit": 1000, "sort": "timestamp|desc"})).status,
        200
    );
}

#[test]
fn pages_contain_every_alert_once_in_order() {
    for (count, pages) in [(0, 1), (1, 1), (1000, 1), (1001, 2), (10_001, 11)] {
        let alerts = alerts(count);
        let sandbox = Sandbox::start(World::default().falcon_alerts(&alerts));
        let query =
            json!({"filter": "product:'epp'", "sort": "created_timestamp|asc", "limit": 1000});
        let (ids, requests) = falcon_pages(&sandbox, &query);
        let expected: Vec<_> =
            alerts.iter().map(|alert| alert["composite_id"].as_str().unwrap_or_default()).collect();
        assert_eq!(ids, expected);
        assert_eq!(requests, pages, "{count}");
        assert_eq!(sandbox.served_alerts().falcon, ids);
    }
}

#[test]
fn alerts_with_equal_times_are_sorted_by_id_and_non_objects_come_last() {
    let time = "2026-11-21T08:00:00Z";
    let alerts: Vec<_> = [5, 3, 1, 4, 2].map(|n| alert(&format!("id:{n}"), time)).into();
    let world = World::default()
        .falcon_raw("17", &Value::Null)
        .falcon_raw(r#"{"composite_id":"id:0","severity":1e999,"a":1,"a":2}"#, &alert("id:0", time))
        .falcon_alerts(&alerts)
        .falcon_alerts(&[
            json!(null),
            json!("text"),
            json!({"composite_id": "no instant", "product": "epp"}),
        ]);
    let sandbox = Sandbox::start(world);
    let token = sign_in(&sandbox);
    let query = json!({"filter": "product:'epp'+created_timestamp:>='2026-11-21T08:00:00Z'", "sort": "created_timestamp|asc", "limit": 2});
    let first = falcon(&sandbox, &token, &query);
    assert!(first.text().contains("1e999"));
    assert!(first.text().contains(r#""total":9"#), "{}", first.text());
    sandbox.change(|world| world.falcon.alerts.retain(|id| id != "id:0"));
    assert_eq!(falcon_pages(&sandbox, &query).0, ["id:1", "id:2", "id:3", "id:4", "id:5"]);
}

/// Filters with and without time ranges, alone and combined.
const FILTERS: [&str; 15] = [
    "product:'epp'",
    "created_timestamp:'2026-11-21T00:00:30Z'",
    "created_timestamp:['2026-11-21T00:00:30Z','2026-11-21T00:00:20.000000020Z']",
    "created_timestamp:>'2026-11-21T00:00:30Z'",
    "created_timestamp:>='2026-11-21T00:00:30Z'",
    "created_timestamp:<'2026-11-21T00:00:30Z'",
    "created_timestamp:<='2026-11-21T00:00:30Z'",
    "created_timestamp:>='2026-11-21T00:00:30Z'+created_timestamp:<'2026-11-21T00:00:40Z'",
    "created_timestamp:>='2026-11-21T00:00:40Z'+created_timestamp:<'2026-11-21T00:00:30Z'",
    "created_timestamp:<'2026-11-21T00:00:10Z',created_timestamp:>='2026-11-21T00:00:50Z'",
    "created_timestamp:<'2026-11-21T00:00:10Z',severity:10",
    "severity:10,created_timestamp:>'2026-11-21T00:00:30Z'",
    "product:'epp'+(created_timestamp:'2026-11-21T00:00:30Z',severity:10)",
    "(created_timestamp:<'2026-11-21T00:00:30Z',severity:10)+created_timestamp:>'2026-11-21T00:00:05Z'",
    "created_timestamp:>='2027-01-01T00:00:00Z'",
];

/// A search looks only at the alerts in the time range of its filter. This compares it with the
/// filter applied to every alert.
#[test]
fn a_search_finds_exactly_what_its_filter_matches() {
    let mut all = alerts(60);
    for (index, alert) in all.iter_mut().enumerate() {
        match index % 10 {
            3 => alert["product"] = "idp".into(),
            5 => alert["created_timestamp"] = "2026-11-21T00:00:30Z".into(),
            7 => alert["created_timestamp"] = Value::Null,
            9 => alert["severity"] = 10.into(),
            _ => {}
        }
    }
    all.reverse();
    for gt_includes_equal in [false, true] {
        let sandbox = Sandbox::start(
            World::default()
                .falcon_alerts(&all)
                .with(|world| world.falcon.gt_includes_equal = gt_includes_equal),
        );
        for filter in FILTERS {
            let parsed = Filter::parse(filter).expect("a valid filter");
            let mut expected: Vec<_> = all
                .iter()
                .filter_map(FalconKeys::from_alert)
                .filter(|keys| parsed.matches(keys, gt_includes_equal))
                .filter_map(|keys| keys.id().map(str::to_owned))
                .collect();
            expected.sort();
            for sort in ["created_timestamp|asc", "created_timestamp|desc", "composite_id|asc"] {
                let query = json!({"filter": filter, "sort": sort, "limit": 7});
                let (mut found, _) = falcon_pages(&sandbox, &query);
                found.sort();
                assert_eq!(found, expected, "{filter} {sort}");
            }
        }
    }
}

#[test]
fn a_page_token_is_valid_for_one_filter_and_sort_and_can_expire() {
    let sandbox = Sandbox::start(World::default().falcon_alerts(&alerts(3)));
    let token = sign_in(&sandbox);
    let query = json!({"filter": "product:'epp'", "sort": "created_timestamp|asc", "limit": 1});
    let page = falcon(&sandbox, &token, &query).json();
    let mut next = query.clone();
    next["after"] = page["meta"]["pagination"]["after"].clone();
    assert_eq!(falcon(&sandbox, &token, &next).json()["resources"][0]["composite_id"], "id:00001");
    for (key, value) in [("filter", "product:'idp'"), ("sort", "created_timestamp|desc")] {
        let mut other = next.clone();
        other[key] = value.into();
        let response = falcon(&sandbox, &token, &other);
        assert_eq!(
            (response.status, message(&response).as_str()),
            (400, "invalid pagination token")
        );
    }
    // An alert that is added while pages are read appears at its sorted position.
    sandbox.change(|world| world.falcon.alerts.push(&alert("new", "2026-11-21T00:00:00.5Z")));
    assert_eq!(falcon(&sandbox, &token, &next).json()["resources"][0]["composite_id"], "new");
    sandbox.change(|world| world.falcon.expire_page_tokens());
    assert_eq!(falcon(&sandbox, &token, &next).status, 400);
    sandbox.change(|world| world.falcon.expired_token_in_body = true);
    let page = falcon(&sandbox, &token, &next);
    assert_eq!((page.status, page.json()["errors"][0]["code"].as_u64()), (200, Some(404)));
    next["after"] = "unknown".into();
    assert_eq!(falcon(&sandbox, &token, &next).status, 400);
}

#[test]
fn a_token_of_a_child_account_reads_its_alerts_only() {
    let alert_with = |id: &str, fields: Value| {
        let mut alert = alert(id, "2026-11-21T00:00:00Z");
        for (key, value) in fields.as_object().into_iter().flatten() {
            alert[key] = value.clone();
        }
        alert
    };
    let world = World::default().falcon_alerts(&[
        alert_with("1", json!({"cid": "parent"})),
        alert_with("2", json!({"cid": "child"})),
        alert_with("3", json!({"origin_cid": "child"})),
        alert_with("4", json!({"cid": "other", "origin_cid": "child"})),
        alert_with("5", json!({})),
        json!(6),
    ]);
    let sandbox = Sandbox::start(world.with(|world| {
        world.falcon.accounts[0].member_cids.push("child".into());
    }));
    let child = sign_in_with(&sandbox, &(form() + "&member_cid=child"));
    let child = child.json()["access_token"].as_str().expect("a token").to_owned();
    let query = json!({"sort": "created_timestamp|asc", "limit": 1000});
    let ids = |token: &str, query: &Value| {
        let resources = falcon(&sandbox, token, query).json()["resources"].take();
        let ids = resources
            .as_array()
            .expect("a list")
            .iter()
            .map(|alert| alert["composite_id"].to_string());
        ids.collect::<Vec<_>>()
    };
    let parent = sign_in(&sandbox);
    assert_eq!(ids(&parent, &query).len(), 6);
    assert_eq!(ids(&child, &query), ["\"2\"", "\"3\""]);
    assert_eq!(ids(&parent, &query).len(), 6, "the searches are not mixed up");
    // A page token is valid for the account that it was issued to.
    let mut query = json!({"sort": "created_timestamp|asc", "limit": 1});
    let page = falcon(&sandbox, &child, &query).json();
    assert_eq!(page["meta"]["pagination"]["total"], 2);
    query["after"] = page["meta"]["pagination"]["after"].clone();
    assert_eq!(falcon(&sandbox, &parent, &query).status, 400);
    assert_eq!(ids(&child, &query), ["\"3\""]);
}

#[test]
fn the_form_of_empty_fields_and_page_errors_can_be_configured() {
    let sandbox = Sandbox::start(World::default().falcon_alerts(&alerts(1)));
    let token = sign_in(&sandbox);
    let page = |change: fn(&mut World)| {
        sandbox.change(change);
        falcon(&sandbox, &token, &json!({})).json()
    };
    assert_eq!(page(|_| {})["meta"]["pagination"], json!({"total": 1, "limit": 100}));
    let nulls = page(|world| {
        (world.falcon.last_after, world.falcon.empty_errors) =
            (MissingValue::Null, MissingValue::Null)
    });
    assert!(nulls["meta"]["pagination"].get("after").is_some_and(Value::is_null));
    assert!(nulls.get("errors").is_some_and(Value::is_null));
    assert_eq!(
        page(|world| world.falcon.last_after = MissingValue::Empty)["meta"]["pagination"]["after"],
        ""
    );
    assert!(
        page(|world| world.falcon.after_on_last_page = true)["meta"]["pagination"]["after"]
            .is_string()
    );
    let error =
        |keep_resources| Some(PageError { code: 500, message: "half".into(), keep_resources });
    sandbox.change(|world| world.falcon.page_error = error(true));
    assert_eq!(page(|_| {})["resources"].as_array().map(Vec::len), Some(1));
    sandbox.change(|world| world.falcon.page_error = error(false));
    let without_alerts = page(|world| world.falcon.empty_resources = MissingValue::Null);
    assert!(
        without_alerts["resources"].is_null() && without_alerts["errors"][0]["message"] == "half"
    );
}

#[test]
fn the_gateway_responds_to_unknown_paths_and_methods() {
    let sandbox = Sandbox::start(World::default());
    let response =
        send(sandbox.port(), "GET", "/alerts/queries/alerts/v2", &[], b"").expect("a response");
    assert_eq!((response.status, message(&response).as_str()), (404, "404: Page Not Found"));
    let response =
        send(sandbox.port(), "GET", "/alerts/combined/alerts/v1", &[], b"").expect("a response");
    assert_eq!(response.status, 405);
}

#[test]
fn pages_can_repeat_loop_be_empty_lack_their_pagination_or_be_one_alert_short() {
    let sandbox = Sandbox::start(World::default().falcon_alerts(&alerts(6)));
    let access = sign_in(&sandbox);
    // Returns the ids, the total and the token of a page.
    let page = |fault: Fault, after: &Value| {
        sandbox.queue_faults(Service::FalconAlerts, vec![fault]);
        let mut query = json!({"limit": 2, "sort": "created_timestamp|asc"});
        if !after.is_null() {
            query["after"] = after.clone();
        }
        let page = falcon(&sandbox, &access, &query).json();
        let list = page["resources"].as_array().cloned().unwrap_or_default();
        let ids: Vec<_> = list.iter().map(|alert| alert["composite_id"].clone()).collect();
        let pagination = page["meta"]["pagination"].clone();
        (ids, pagination["total"].as_u64(), pagination["after"].clone())
    };
    let rows =
        |first: usize| vec![json!(format!("id:{first:05}")), json!(format!("id:{:05}", first + 1))];
    let (ids, _, second) = page(Fault::RepeatedPage, &Value::Null);
    assert_eq!(ids, rows(0), "a first page has no previous page to repeat");

    let (ids, total, third) = page(Fault::RepeatedPage, &second);
    assert_eq!((ids, total), (rows(0), Some(6)));
    assert_eq!(page(Fault::None, &third).0, rows(4), "the repeated page replaces the second");
    let (ids, total, again) = page(Fault::LoopingPage, &second);
    assert_eq!((ids, total), (rows(0), Some(6)));
    assert!(again != second && page(Fault::None, &again).0 == rows(2));
    assert_eq!(page(Fault::EmptyPage, &second), (Vec::new(), Some(0), Value::Null));
    assert_eq!(page(Fault::WithoutPagination, &second), (rows(2), None, Value::Null));

    sandbox.change(|world| world.falcon.hidden_alerts = vec!["id:00001".into()]);
    let (ids, total, _) = page(Fault::None, &Value::Null);
    assert_eq!((ids, total), (vec![json!("id:00000")], Some(6)));
    let removal = Fault::RemoveAlerts(vec!["id:00000".into(), "id:00001".into()]);
    let (ids, total, _) = page(removal, &Value::Null);
    assert_eq!((ids, total), (rows(2), Some(4)));
}

#[test]
fn alerts_that_are_created_later_do_not_exist_yet() {
    let sandbox = Sandbox::start(World::default().falcon_alerts(&alerts(10)));
    let count = |time: Option<&str>| {
        sandbox.change(|world| world.date = time.and_then(sandbox::time::parse_zulu));
        falcon_pages(&sandbox, &json!({"limit": 3})).0.len()
    };
    assert_eq!(count(Some("2026-11-21T00:00:00Z")), 1);
    assert_eq!(count(Some("2026-11-21T00:00:04Z")), 4);
    assert_eq!(count(Some("2026-11-22T00:00:00Z")), 10);
    assert_eq!(count(Some("2026-11-21T00:00:04Z")), 4);
    assert_eq!(count(None), 10);
}
