//! Tests reads that fail before the last page: what was read is sent, and the next run reads the
//! rest.

use sandbox::{Fault, Service, World};
use serde_json::{Value, json};

use crate::support::TestEnv;
use crate::support::alerts::{carbonblack, falcon_at, hashes, sha256, with};
use crate::support::falcon_run::RUN;
use crate::support::transport::over_all_transports;

/// Returns an environment with these Falcon alerts.
fn test_env(alerts: &[Value]) -> TestEnv {
    TestEnv::new(World::default().falcon_alerts(alerts))
}

#[test]
fn after_an_error_between_pages_the_next_run_reads_the_rest() {
    // One alert every 30 seconds: a page of 1000 covers 8 h 20 min.
    let start: chrono::DateTime<chrono::Utc> = "2026-11-20T00:20:00Z".parse().unwrap();
    let time = |number: u64| {
        let time = start + chrono::TimeDelta::seconds(30 * i64::try_from(number).unwrap());
        time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
    };
    let falcon_alerts: Vec<Value> =
        (0..2500).map(|number| falcon_at(number, &time(number))).collect();
    let carbonblack_alerts: Vec<Value> = (0..2500)
        .map(|number| {
            let alert = carbonblack(&format!("c{number}"), &sha256(number));
            with(alert, "backend_timestamp", json!(time(number)))
        })
        .collect();
    // The next run reads some alerts again. Falcon's pages are in the order of time: these are the
    // 240 of the two hours before the last alert. The rows of Carbon Black may move while they are
    // read, so that only a whole search is certain: this is the whole first page.
    for (service, run, fault, read_again) in [
        (Service::FalconAlerts, "crowdstrike --json", Fault::status(503, ""), 200..=241),
        (Service::FalconAlerts, "crowdstrike --json", Fault::Truncate, 200..=241),
        (Service::CarbonBlack, "carbonblack --json", Fault::status(500, ""), 1000..=1000),
    ] {
        let env = TestEnv::new(
            World::default().falcon_alerts(&falcon_alerts).carbon_black_alerts(&carbonblack_alerts),
        );
        env.sandbox.queue_faults(service, vec![Fault::None]);
        env.sandbox.always(service, Some(fault));
        let output = env.run_at("2026-11-21T00:15:00Z", run).assert_code(5);
        assert_eq!(output.assert_counts_add_up().count("processed"), 1000);
        assert_eq!(env.stored_values(), hashes(0..1000));
        // Three days later, only the checkpoint shows how far the first run came.
        env.sandbox.always(service, None);
        let output = env.run_at("2026-11-24T00:15:00Z", run).assert_code(0);
        output.assert_counts_add_up();
        let overlap = output.count("already_delivered");
        assert!(read_again.contains(&overlap), "{overlap} read again");
        assert_eq!(env.stored_values(), hashes(0..2500));
    }
}

#[test]
fn after_an_expired_page_token_nothing_is_lost_or_counted_twice() {
    let alerts: Vec<Value> = (0..2500)
        .map(|number| {
            falcon_at(
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
    let env = test_env(&alerts);
    let expire = vec![Fault::None, Fault::ExpirePageTokens, Fault::None, Fault::ExpirePageTokens];
    env.sandbox.queue_faults(Service::FalconAlerts, expire);
    let output = env.run(RUN).assert_code(0);
    assert_eq!(output.assert_counts_add_up().count("alerts_fetched"), 2500);
    assert_eq!(env.stored_values(), hashes(0..2500));
}

#[test]
fn a_window_with_fewer_alerts_than_its_total_is_queried_again() {
    let env = test_env(&[falcon_at(2, "2026-11-21T09:00:00Z")]);
    let page = |resources: &[Value], after: &str| {
        let pagination = json!({"total": 2, "after": after});
        let page = json!({"resources": resources, "meta": {"pagination": pagination}});
        Fault::status(200, page.to_string())
    };
    let pages = vec![page(&[falcon_at(1, "2026-11-21T08:00:00Z")], "more"), page(&[], "")];
    env.sandbox.queue_faults(Service::FalconAlerts, pages);
    let output = env.run_at("2026-11-22T00:15:00Z", RUN).assert_code(0);
    assert_eq!(output.count("alerts_fetched"), 2);
    assert_eq!(env.stored_values(), hashes([1, 2]));
}

#[test]
fn a_repeated_page_token_ends_the_read_and_its_alerts_are_sent() {
    let env = test_env(&[falcon_at(3, "2026-11-21T10:00:00Z")]);
    let page = |number: u64, time: &str| {
        let page = json!({"resources": [falcon_at(number, time)], "meta": {"pagination": {"total": 3, "after": "same"}}});
        Fault::status(200, page.to_string())
    };
    let pages = vec![page(1, "2026-11-21T08:00:00Z"), page(2, "2026-11-21T09:00:00Z")];
    env.sandbox.queue_faults(Service::FalconAlerts, pages);
    env.run_at("2026-11-22T00:15:00Z", RUN).assert_code(1);
    assert_eq!(env.stored_values(), hashes([1, 2]));
    env.run_at("2026-11-25T00:15:00Z", RUN).assert_code(0);
    assert_eq!(env.stored_values(), hashes([1, 2, 3]));
}

#[test]
fn concurrent_requests_share_one_new_sign_in_and_faults_lose_nothing() {
    let alerts: Vec<Value> = (0..3500)
        .map(|number| {
            falcon_at(
                number,
                &format!("2026-11-21T{:02}:{:02}:00Z", number / 600 + 2, number / 10 % 60),
            )
        })
        .collect();
    let fault_lists = [
        vec![Fault::None, Fault::ExpireAccessTokens],
        vec![Fault::None, Fault::retry_after(429, "3"), Fault::retry_after(429, "2")],
        vec![Fault::None, Fault::Truncate, Fault::Html, Fault::None, Fault::ResetAfterProcessing],
        vec![
            Fault::None,
            Fault::None,
            Fault::ExpirePageTokens,
            Fault::None,
            Fault::ExpirePageTokens,
        ],
    ];
    for faults in fault_lists {
        let env = test_env(&alerts);
        env.sandbox.queue_faults(Service::FalconAlerts, faults.clone());
        let output = env.run("crowdstrike --json --daily-limit 0").assert_code(0);
        assert_eq!(output.assert_counts_add_up().count("alerts_fetched"), 3500, "{faults:?}");
        assert_eq!(env.stored_values(), hashes(0..3500), "{faults:?}");
        let sign_ins = env.sandbox.requests_to(Service::FalconToken).len();
        let expected = if faults.contains(&Fault::ExpireAccessTokens) { 2 } else { 1 };
        assert_eq!(sign_ins, expected, "{faults:?}");
    }
}

over_all_transports!(
    after_an_error_between_pages_the_next_run_reads_the_rest,
    after_an_expired_page_token_nothing_is_lost_or_counted_twice,
    concurrent_requests_share_one_new_sign_in_and_faults_lose_nothing,
);
