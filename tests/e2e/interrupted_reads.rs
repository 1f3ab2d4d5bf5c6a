//! Readings that break off in the midst of it: what was read is kept, and the next run reads the rest.

use sandbox::{Fault, Service, World};
use serde_json::{Value, json};

use crate::support::Stage;
use crate::support::alerts::{at, carbonblack, hashes, sha256, with};

const RUN: &str = "crowdstrike --json";

fn stage(alerts: &[Value]) -> Stage {
    Stage::new(World::default().falcon_alerts(alerts))
}

#[test]
fn a_vendors_error_in_mid_paging_keeps_what_was_read_and_the_next_run_reads_the_rest() {
    // One alert every 30 seconds: a page of 1000 holds 8 h 20 min.
    let start: chrono::DateTime<chrono::Utc> = "2026-11-20T00:20:00Z".parse().unwrap();
    let time = |number: u64| {
        let time = start + chrono::TimeDelta::seconds(30 * i64::try_from(number).unwrap());
        time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
    };
    let falcon: Vec<Value> = (0..2500).map(|number| at(number, &time(number))).collect();
    let carbonblack: Vec<Value> = (0..2500)
        .map(|number| {
            let alert = carbonblack(&format!("c{number}"), &sha256(number));
            with(alert, "backend_timestamp", json!(time(number)))
        })
        .collect();
    for (service, run, fault) in [
        (Service::FalconAlerts, "crowdstrike --json", Fault::status(503, "")),
        (Service::FalconAlerts, "crowdstrike --json", Fault::Truncate),
        (Service::CarbonBlack, "carbonblack --json", Fault::status(500, "")),
    ] {
        let stage =
            Stage::new(World::default().falcon_alerts(&falcon).carbon_black_alerts(&carbonblack));
        stage.sandbox.script(service, vec![Fault::None]);
        stage.sandbox.always(service, Some(fault));
        let ran = stage.run_at("2026-11-21T00:15:00Z", run).ended(5);
        assert_eq!(ran.adds_up().count("processed"), 1000);
        assert_eq!(stage.stored_values(), hashes(0..1000));
        // Three nights later only the checkpoint can know how far the first one came.
        stage.sandbox.always(service, None);
        let ran = stage.run_at("2026-11-24T00:15:00Z", run).ended(0);
        ran.adds_up();
        let overlap = ran.count("already_delivered");
        assert!((200..=241).contains(&overlap), "two hours are read twice: {overlap}");
        assert_eq!(stage.stored_values(), hashes(0..2500));
    }
}

#[test]
fn an_expired_page_token_leads_to_a_new_round_without_loss_or_repeats() {
    let alerts: Vec<Value> = (0..2500)
        .map(|number| {
            at(
                number,
                &format!(
                    "2026-11-21T08:{:02}:{:02}.{:03}Z",
                    number / 600,
                    number / 10 % 60,
                    number % 10
                ),
            )
        })
        .collect();
    let stage = stage(&alerts);
    let expire = vec![Fault::None, Fault::ExpireAfter, Fault::None, Fault::ExpireAfter];
    stage.sandbox.script(Service::FalconAlerts, expire);
    let ran = stage.run(RUN).ended(0);
    assert_eq!(ran.adds_up().count("alerts_fetched"), 2500);
    assert_eq!(stage.stored_values(), hashes(0..2500));
}

#[test]
fn a_window_that_ends_before_its_promised_number_is_read_on_by_the_next_run() {
    let stage = stage(&[at(2, "2026-11-21T09:00:00Z")]);
    let page = |resources: &[Value], after: &str| {
        let pagination = json!({"total": 2, "after": after});
        let page = json!({"resources": resources, "meta": {"pagination": pagination}});
        Fault::status(200, page.to_string())
    };
    let pages = vec![page(&[at(1, "2026-11-21T08:00:00Z")], "more"), page(&[], "")];
    stage.sandbox.script(Service::FalconAlerts, pages);
    stage.run_at("2026-11-22T00:15:00Z", RUN).ended(0);
    assert_eq!(stage.stored_values(), hashes([1]));
    stage.run_at("2026-11-25T00:15:00Z", RUN).ended(0);
    assert_eq!(stage.stored_values(), hashes([1, 2]));
}

#[test]
fn a_page_token_that_comes_twice_ends_the_reading_and_keeps_its_alerts() {
    let stage = stage(&[at(3, "2026-11-21T10:00:00Z")]);
    let page = |number: u64, time: &str| {
        let page = json!({"resources": [at(number, time)], "meta": {"pagination": {"total": 3, "after": "same"}}});
        Fault::status(200, page.to_string())
    };
    let pages = vec![page(1, "2026-11-21T08:00:00Z"), page(2, "2026-11-21T09:00:00Z")];
    stage.sandbox.script(Service::FalconAlerts, pages);
    stage.run_at("2026-11-22T00:15:00Z", RUN).ended(1);
    assert_eq!(stage.stored_values(), hashes([1, 2]));
    stage.run_at("2026-11-25T00:15:00Z", RUN).ended(0);
    assert_eq!(stage.stored_values(), hashes([1, 2, 3]));
}

#[test]
fn pages_read_side_by_side_share_one_new_sign_in_and_lose_nothing_to_faults() {
    let alerts: Vec<Value> = (0..3500)
        .map(|number| {
            at(number, &format!("2026-11-21T{:02}:{:02}:00Z", number / 600 + 2, number / 10 % 60))
        })
        .collect();
    let faults = [
        vec![Fault::None, Fault::ExpireTokens],
        vec![Fault::None, Fault::retry_after(429, "3"), Fault::retry_after(429, "2")],
        vec![Fault::None, Fault::Truncate, Fault::Garbage, Fault::None, Fault::ResetAfter],
        vec![Fault::None, Fault::None, Fault::ExpireAfter, Fault::None, Fault::ExpireAfter],
    ];
    for script in faults {
        let stage = stage(&alerts);
        stage.sandbox.script(Service::FalconAlerts, script.clone());
        let ran = stage.run("crowdstrike --json --daily-limit 0").ended(0);
        assert_eq!(ran.adds_up().count("alerts_fetched"), 3500, "{script:?}");
        assert_eq!(stage.stored_values(), hashes(0..3500), "{script:?}");
        let sign_ins = stage.sandbox.requests_to(Service::FalconToken).len();
        let expected = if script.contains(&Fault::ExpireTokens) { 2 } else { 1 };
        assert_eq!(sign_ins, expected, "{script:?}");
    }
}
