//! Tests of the sandbox's generated alerts: they are deterministic, of the right size, and have
//! each type of indicator and each odd value.

mod common;

use chrono::{DateTime, TimeDelta, Utc};
use common::*;
use sandbox::seed::{Recipe, carbon_black_alerts, customer_cid, falcon_alerts, samples};
use sandbox::time::{is_millis_zulu, parse_zulu};
use sandbox::{Sandbox, World};
use serde_json::{Value, json};

fn end() -> DateTime<Utc> {
    parse_zulu("2026-11-22T00:00:00Z").expect("an instant")
}

fn mean_size(alerts: &[Value]) -> usize {
    alerts.iter().map(|alert| alert.to_string().len()).sum::<usize>() / alerts.len()
}

fn share(alerts: &[Value], predicate: impl Fn(&Value) -> bool) -> f64 {
    alerts.iter().filter(|alert| predicate(alert)).count() as f64 / alerts.len() as f64
}

#[test]
fn a_recipe_is_deterministic() {
    let recipe = Recipe::new(200, end());
    assert_eq!(falcon_alerts(&recipe), falcon_alerts(&recipe));
    assert_eq!(carbon_black_alerts(&recipe), carbon_black_alerts(&recipe));
    assert_ne!(falcon_alerts(&recipe), falcon_alerts(&Recipe { seed: 2, ..recipe.clone() }));
    assert!(falcon_alerts(&Recipe { count: 0, ..recipe }).is_empty());
}

#[test]
fn sizes_are_those_in_the_doc_of_size() {
    let small = Recipe::new(500, end());
    let full = small.clone().full_size();
    for alerts in [falcon_alerts(&full), carbon_black_alerts(&full)] {
        let size = mean_size(&alerts);
        assert!((3400..4000).contains(&size), "{size}");
    }
    let large = small.clone().large();
    for alerts in [falcon_alerts(&large), carbon_black_alerts(&large)] {
        let size = mean_size(&alerts);
        assert!((6000..8000).contains(&size), "{size}");
    }
    for alerts in [falcon_alerts(&small), carbon_black_alerts(&small)] {
        let size = mean_size(&alerts);
        assert!((400..1100).contains(&size), "{size}");
    }
}

#[test]
fn alerts_are_between_start_and_end_and_the_right_share_has_indicators() {
    let recipe = Recipe::new(4000, end());
    let (falcon, carbon_black) = (falcon_alerts(&recipe), carbon_black_alerts(&recipe));
    for (alerts, key) in [(&falcon, "created_timestamp"), (&carbon_black, "backend_timestamp")] {
        let instants = alerts
            .iter()
            .map(|alert| parse_zulu(alert[key].as_str().unwrap_or_default()).expect("an instant"));
        let instants: Vec<_> = instants.collect();
        assert!(instants.is_sorted());
        assert!(recipe.start <= instants[0] && instants[3999] < recipe.end);
        assert!(instants.windows(2).any(|two| two[0] == two[1]), "some have equal times");
    }
    assert!(
        carbon_black
            .iter()
            .all(|alert| is_millis_zulu(alert["detection_timestamp"].as_str().unwrap_or_default()))
    );
    let listed =
        |alert: &Value| alert["ioc_context"].as_array().is_some_and(|list| !list.is_empty());
    let actual = share(&falcon, |alert| alert["ioc_type"].is_string() || listed(alert));
    assert!((0.24..0.34).contains(&actual), "{actual}");
    let present =
        |alert: &Value, key: &str| alert[key].as_str().is_some_and(|text| !text.is_empty());
    let actual = share(&carbon_black, |alert| {
        ["blocked_sha256", "blocked_md5", "ioc_hit"].iter().any(|key| present(alert, key))
    });
    assert!((0.22..0.34).contains(&actual), "{actual}");
}

#[test]
fn the_alerts_have_each_type_of_indicator_and_each_odd_value() {
    let recipe = Recipe::new(8000, end());
    let falcon = falcon_alerts(&recipe);
    let some = |alerts: &[Value], what: &str, wanted: &dyn Fn(&Value) -> bool| {
        assert!(alerts.iter().any(wanted), "{what}");
    };
    let ioc = |alert: &Value| alert["ioc_value"].as_str().unwrap_or_default().to_owned();
    for kind in [
        "hash_sha256", "hash_md5", "hash_sha1", "domain", "ipv4", "ipv6", "url", "registry_key",
        "filename", "behavior",
    ] {
        some(&falcon, kind, &|alert| alert["ioc_type"] == kind);
    }
    some(&falcon, "a private address", &|alert| ioc(alert).starts_with("10."));
    some(&falcon, "several in one value", &|alert| {
        alert["ioc_type"] == "hash_sha256" && ioc(alert).contains(',')
    });
    some(&falcon, "a hash of a wrong length", &|alert| ioc(alert).len() == 28);
    some(&falcon, "an empty value", &|alert| alert["ioc_value"] == "");
    some(&falcon, "only in the list", &|alert| {
        alert.get("ioc_type").is_none() && alert["ioc_context"][0].is_object()
    });
    some(&falcon, "no severity", &|alert| alert.get("severity").is_none());
    some(&falcon, "no confidence", &|alert| {
        alert["product"] == "epp" && alert.get("confidence").is_none()
    });
    some(&falcon, "CrowdStrike's own codes", &|alert| alert["technique_id"] == "CST0007");
    let carbon_black = carbon_black_alerts(&recipe);
    some(&carbon_black, "an empty hash", &|alert| alert["process_sha256"] == "");
    some(&carbon_black, "a malformed hash", &|alert| alert["process_sha256"] == "not a hash");
    some(&carbon_black, "null", &|alert| alert.get("ioc_hit").is_some_and(Value::is_null));
    some(&carbon_black, "a query text", &|alert| {
        alert["ioc_hit"].as_str().is_some_and(|hit| hit.contains(" OR "))
    });
    for kind in [
        "CB_ANALYTICS",
        "HOST_BASED_FIREWALL",
        "INTRUSION_DETECTION_SYSTEM",
        "DEVICE_CONTROL",
        "CONTAINER_RUNTIME",
        "FUTURE_TYPE",
    ] {
        some(&carbon_black, kind, &|alert| alert["type"] == kind);
    }
}

/// Whether a text field is present and not empty.
fn has(alert: &Value, field: &str) -> bool {
    alert[field].as_str().is_some_and(|text| !text.is_empty())
}

/// Whether a field has one of these values, in upper or lower case.
fn is_in(alert: &Value, field: &str, names: &[&str]) -> bool {
    let text = alert[field].as_str().unwrap_or_default();
    names.iter().any(|name| name.eq_ignore_ascii_case(text))
}

const TRUSTED: [&str; 6] = [
    "TRUSTED_WHITE_LIST",
    "LOCAL_WHITE",
    "ADAPTIVE_WHITE_LIST",
    "COMMON_WHITE_LIST",
    "COMPANY_WHITE_LIST",
    "COMPANY_WHITE_LIST_CERT",
];
const BAD: [&str; 6] =
    ["KNOWN_MALWARE", "SUSPECT_MALWARE", "HEURISTIC", "PUP", "ADWARE", "COMPANY_BLACK_LIST"];

/// Filters alerts, and asserts that more than 100 match: a share of fewer would be random.
fn only(alerts: &[Value], predicate: impl Fn(&Value) -> bool) -> Vec<&Value> {
    let found: Vec<&Value> = alerts.iter().filter(|alert| predicate(alert)).collect();
    assert!(found.len() > 100, "{}", found.len());
    found
}

#[track_caller]
fn assert_share(
    alerts: &[&Value],
    range: std::ops::Range<f64>,
    predicate: impl Fn(&Value) -> bool,
) {
    let found = alerts.iter().filter(|alert| predicate(alert)).count();
    let actual = found as f64 / alerts.len() as f64;
    assert!(range.contains(&actual), "{actual}");
}

#[test]
fn reputations_are_as_frequent_as_in_real_alerts() {
    let alerts = carbon_black_alerts(&Recipe::new(6000, end()));
    let has_indicator = |alert: &Value| {
        ["blocked_sha256", "blocked_md5", "ioc_hit"].iter().any(|field| has(alert, field))
    };
    let process = "process_effective_reputation";
    let with_indicator = only(&alerts, has_indicator);
    assert_share(&with_indicator, 0.88..0.96, |alert| is_in(alert, process, &TRUSTED));
    assert_share(&with_indicator, 0.0..0.02, |alert| is_in(alert, process, &BAD));
    let malware = only(&alerts, |alert| is_in(alert, process, &BAD));
    assert_share(&malware, 0.9..1.0, |alert| !has_indicator(alert));
    let blocked = only(&alerts, |alert| has(alert, "blocked_md5") || has(alert, "blocked_sha256"));
    let reputation = "blocked_effective_reputation";
    assert_share(&blocked, 0.65..0.8, |alert| is_in(alert, reputation, &TRUSTED));
    assert_share(&blocked, 0.1..0.2, |alert| is_in(alert, reputation, &BAD));
    let with_process = only(&alerts, |alert| has(alert, "process_name"));
    let text = |alert: &Value| alert[process].as_str().unwrap_or_default().to_owned();
    assert_share(&with_process, 0.01..0.04, |alert| !has(alert, process));
    assert_share(&with_process, 0.01..0.04, |alert| {
        text(alert).contains(|char: char| char.is_ascii_lowercase())
    });
    assert_share(&with_process, 0.001..0.01, |alert| text(alert) == "MADE_UP_LIST");
}

#[test]
fn no_file_is_both_trusted_and_bad() {
    let alerts = carbon_black_alerts(&Recipe { distinct: 60, ..Recipe::new(4000, end()) });
    let mut judged = std::collections::BTreeMap::new();
    for alert in &alerts {
        for role in ["process", "blocked"] {
            let field = format!("{role}_effective_reputation");
            let trusted = is_in(alert, &field, &TRUSTED);
            if has(alert, &format!("{role}_md5")) && (trusted || is_in(alert, &field, &BAD)) {
                let md5 = alert[format!("{role}_md5")].to_string();
                assert_eq!(*judged.entry(md5).or_insert(trusted), trusted, "{alert}");
            }
        }
    }
    assert!(judged.len() > 100, "{}", judged.len());
}

#[test]
fn watchlist_alerts_name_a_technique_in_their_threat_report_only() {
    let alerts = carbon_black_alerts(&Recipe::new(4000, end()));
    let watchlists = only(&alerts, |alert| alert["type"] == "WATCHLIST");
    for field in ["attack_tactic", "attack_technique", "ttps"] {
        assert!(watchlists.iter().all(|alert| alert.get(field).is_none()), "{field}");
    }
    assert_share(&watchlists, 0.3..0.5, |alert| alert["report_tags"].to_string().contains("\"t1"));
    assert_share(&watchlists, 0.4..0.6, |alert| {
        alert["report_link"].as_str().is_some_and(|link| link.contains("attack.mitre.org"))
    });
    let hits = only(&alerts, |alert| has(alert, "ioc_hit"));
    assert_share(&hits, 0.1..0.2, |alert| has(alert, "ioc_field"));
    for field in ["process_sha256", "childproc_sha256", "netconn_ipv4", "netconn_domain"] {
        assert!(hits.iter().any(|alert| alert["ioc_field"] == field), "{field}");
    }
}

#[test]
fn analysts_have_judged_some_alerts() {
    let recipe = Recipe::new(8000, end());
    let carbon_black = carbon_black_alerts(&recipe);
    let all: Vec<&Value> = carbon_black.iter().collect();
    for (verdict, range) in [
        (Value::Null, 0.1..0.2),
        (json!({"value": "NONE"}), 0.7..0.8),
        (json!({"value": "TRUE_POSITIVE"}), 0.02..0.06),
        (json!({"value": "FALSE_POSITIVE"}), 0.04..0.08),
    ] {
        assert_share(&all, range, |alert| alert["determination"] == verdict);
    }
    let falcon = falcon_alerts(&recipe);
    let all: Vec<&Value> = falcon.iter().collect();
    for (tag, range) in
        [("true_positive", 0.02..0.06), ("false_positive", 0.02..0.06), ("ignored", 0.05..0.1)]
    {
        let has_tag = |alert: &Value| {
            alert["tags"].as_array().is_some_and(|tags| tags.iter().any(|other| other == tag))
        };
        assert_share(&all, range, has_tag);
        assert!(falcon.iter().all(|alert| !has_tag(alert) || alert["status"] == "closed"));
    }
}

#[test]
fn falcon_stops_some_files() {
    let alerts = falcon_alerts(&Recipe::new(8000, end()));
    let endpoint = only(&alerts, |alert| alert["type"] == "ldt");
    assert_share(&endpoint, 0.9..1.0, |alert| has(alert, "sha256"));
    let details = |alert: &Value, key: &str| alert["pattern_disposition_details"][key] == true;
    for (key, range) in [
        ("kill_process", 0.03..0.05),
        ("process_blocked", 0.06..0.1),
        ("quarantine_file", 0.04..0.08),
    ] {
        assert_share(&endpoint, range, |alert| details(alert, key));
    }
    let scans = only(&alerts, |alert| alert["type"] == "ods");
    assert_share(&scans, 0.6..0.8, |alert| alert["quarantined"] == true);
    assert!(scans.iter().all(|alert| has(alert, "sha256")));
    let quarantined = only(&alerts, |alert| alert.get("quarantined_files").is_some());
    assert_share(&quarantined, 0.8..0.97, |alert| {
        alert["quarantined_files"][0]["state"] == "quarantined"
    });
    let stopped = only(&alerts, |alert| {
        let is_stopped = details(alert, "process_blocked") || details(alert, "quarantine_file");
        is_stopped && has(alert, "ioc_value") && alert["ioc_type"] == "hash_sha256"
    });
    assert_share(&stopped, 0.8..1.0, |alert| alert["sha256"] == alert["ioc_value"]);
}

#[test]
fn alerts_are_spread_over_the_customers() {
    let one = falcon_alerts(&Recipe::new(1000, end()));
    let cid = |alert: &Value| {
        let cid = [&alert["cid"], &alert["origin_cid"]].into_iter().find_map(|cid| cid.as_str());
        cid.unwrap_or_default().to_owned()
    };
    assert!(one.iter().all(|alert| cid(alert) == customer_cid(0)));
    assert!(one.iter().any(|alert| alert.get("cid").is_none()));
    let three = falcon_alerts(&Recipe { customers: 3, ..Recipe::new(900, end()) });
    for number in 0..3 {
        let own = three.iter().filter(|alert| cid(alert) == customer_cid(number));
        let ids: Vec<&str> = own.filter_map(|alert| alert["composite_id"].as_str()).collect();
        assert_eq!(ids.len(), 300);
        assert!(ids.iter().all(|id| id.starts_with(&customer_cid(number))));
    }
}

#[test]
fn a_seeded_world_serves_the_generated_alerts() {
    let recipe = Recipe::new(130, end()).full_size();
    let sandbox = Sandbox::start(World::default().seed_falcon(&recipe).seed_carbon_black(&recipe));
    let query = json!({"sort": "created_timestamp|asc", "limit": 1000});
    let page = falcon(&sandbox, &sign_in(&sandbox), &query);
    let mut alerts = falcon_alerts(&recipe);
    let by_time_and_id = |alert: &Value| {
        (
            parse_zulu(alert["created_timestamp"].as_str().unwrap_or_default()),
            alert["composite_id"].to_string(),
        )
    };
    alerts.sort_by_key(by_time_and_id);
    assert_eq!(page.json()["resources"], Value::Array(alerts.clone()));
    // The sandbox appends further fields as text, to make alerts as large as real ones. If one of
    // them repeated a field of the alert, the body would be longer.
    let expected: usize = alerts.iter().map(|alert| alert.to_string().len()).sum();
    assert!(page.body.len() < expected + alerts.len() + 400, "no key is duplicated");

    let body = json!({
        "rows": 1000, "sort": [{"field": "backend_timestamp", "order": "ASC"}],
        "time_range": {"start": "2026-11-21T00:00:00.000Z", "end": "2026-11-22T00:00:00.000Z"},
    });
    assert_eq!(
        carbon_black(&sandbox, &body).json()["results"],
        Value::Array(carbon_black_alerts(&recipe))
    );
}

#[test]
fn recorded_samples_are_loaded_from_a_folder() {
    let dir = std::env::temp_dir().join(format!("sandbox-samples-{}", std::process::id()));
    let (start, end) = (end() - TimeDelta::hours(1), end());
    assert!(samples(&dir, start, end).is_none());
    // The names are those of the recorded files, which are read in the order of their names. A key
    // that begins with `_` is a note, and is removed. Files with other names, such as errors, are
    // skipped.
    for (path, text) in [
        (
            "crowdstrike/alert_one.json",
            r#"{"_note": 1, "composite_id": "a", "created_timestamp": "x", "timestamp": "kept"}"#,
        ),
        (
            "crowdstrike/sgnl_combined_page1.json",
            r#"{"resources": [{"composite_id": "a"}, {"composite_id": "b"}]}"#,
        ),
        ("crowdstrike/error_404.json", r#"{"composite_id": "c"}"#),
        ("carbonblack/alert_v7_one.json", r#"{"id": "1"}"#),
        ("carbonblack/alert_v7_search_response.json", r#"{"results": [{"id": "2"}]}"#),
        (
            "carbonblack/alert_v7_grouped.json",
            r#"{"results": [{"count": 9, "most_recent_alert": {"id": "3"}}, {"most_recent_alert": {"id": "1"}}]}"#,
        ),
    ] {
        let path = dir.join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }
    let (falcon, carbon_black) = samples(&dir, start, end).expect("the folder exists");
    std::fs::remove_dir_all(&dir).expect("the folder is removed");
    let first = json!({"composite_id": "a", "created_timestamp": "2026-11-21T23:00:00Z", "timestamp": "kept"});
    let second = json!({"composite_id": "b", "created_timestamp": "2026-11-21T23:30:00Z"});
    assert_eq!(falcon, [first, second]);
    let alert_at = |id: &str, time: &str| json!({"id": id, "backend_timestamp": time});
    assert_eq!(
        carbon_black,
        [
            alert_at("3", "2026-11-21T23:00:00.000Z"),
            alert_at("1", "2026-11-21T23:20:00.000Z"),
            alert_at("2", "2026-11-21T23:40:00.000Z"),
        ]
    );
}
