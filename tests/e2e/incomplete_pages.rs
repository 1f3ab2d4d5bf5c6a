//! Tests pages that do not contain what the service promised: without the total number of alerts,
//! with the alerts of another page, without any alerts, or without one of them. What is missing is
//! read by another query or, if that does not return it either, by the next run. An alert that was
//! deleted at the vendor is not missing.
//!
//! A concurrent run reads Falcon's window in time slices, each with a query of its own.

use chrono::{DateTime, Utc};
use sandbox::{Fault, Service};
use serde_json::{Value, json};

use crate::support::alerts::sha256;
use crate::support::paging::one_per_second;
use crate::support::transport::over_all_transports;
use crate::support::vendor::{DAY_MILLIS, DAY_WINDOW, Vendor, millis_into_day};
use crate::support::{NOW, TestEnv};

/// The number of alerts: four pages.
const COUNT: u64 = 3500;

/// The time of the next run: so late that it reads the window of the first run only if the
/// checkpoint is still there.
const LATER: &str = "2026-11-26T00:15:00Z";

/// Returns an environment with [`COUNT`] alerts, one per second. Few have an indicator, which makes
/// the tests faster.
fn env_with_alerts(vendor: Vendor) -> TestEnv {
    TestEnv::new(vendor.world(&alerts_at(vendor, |number| millis_into_day(number * 1000))))
}

/// Returns [`COUNT`] alerts that arrive at these instants.
fn alerts_at(vendor: Vendor, instant: impl Fn(u64) -> DateTime<Utc>) -> Vec<Value> {
    let alert = |number| {
        if has_indicator(number) {
            vendor.alert(number, instant(number))
        } else {
            vendor.alert_without_indicator(number, instant(number))
        }
    };
    (0..COUNT).map(alert).collect()
}

fn has_indicator(number: u64) -> bool {
    number.is_multiple_of(50)
}

/// Returns the numbers of the alerts with an indicator.
fn indicators() -> impl Iterator<Item = u64> {
    (0..COUNT).filter(|number| has_indicator(*number))
}

/// Reads the alerts of [`env_with_alerts`], and asserts that each is read once.
#[track_caller]
fn assert_all_read(vendor: Vendor, env: &TestEnv, flags: &str) {
    let run = format!("{} --json {DAY_WINDOW} {flags}", vendor.command());
    let output = env.run(&run).assert_code(0);
    assert_eq!(output.assert_counts_add_up().count("alerts_fetched"), COUNT, "{vendor:?} {flags}");
    let expected: Vec<String> = indicators().map(sha256).collect();
    assert_eq!(env.stored_values(), expected, "{vendor:?} {flags}");
}

/// Asserts that all alerts are read if the request after this many pages has a fault.
#[track_caller]
fn assert_read_despite(fault: &Fault, pages_before: usize, flags: &str, vendor: Vendor) {
    let env = env_with_alerts(vendor);
    let faults = [vec![Fault::None; pages_before], vec![fault.clone()]].concat();
    env.sandbox.queue_faults(vendor.service(), faults);
    assert_all_read(vendor, &env, flags);
    assert_eq!(env.sandbox.faults_left(vendor.service()), 0, "{fault:?} {pages_before} {flags}");
}

/// Asserts that all alerts are read, whichever of the pages has the fault, with one request at a
/// time and with several.
#[track_caller]
fn assert_read_despite_anywhere(fault: &Fault) {
    for vendor in Vendor::ALL {
        for pages_before in 0..4 {
            for flags in ["--concurrency 1", ""] {
                assert_read_despite(fault, pages_before, flags, vendor);
            }
        }
    }
}

#[test]
fn a_page_without_pagination_is_not_the_last_one() {
    assert_read_despite_anywhere(&Fault::WithoutPagination);
}

#[test]
fn a_repeated_page_does_not_replace_another_one() {
    // The page has the alerts of the page before, and leads to the next page.
    assert_read_despite_anywhere(&Fault::RepeatedPage);
}

#[test]
fn a_later_page_that_reports_nothing_is_not_the_end() {
    assert_read_despite_anywhere(&Fault::EmptyPage);
}

#[test]
fn paging_that_goes_in_circles_once_loses_nothing() {
    // The page has the alerts of an earlier page, and does not lead to the next page.
    assert_read_despite_anywhere(&Fault::LoopingPage);
}

#[test]
fn two_incomplete_queries_are_followed_by_a_complete_one() {
    for vendor in Vendor::ALL {
        let env = env_with_alerts(vendor);
        let faults = [Fault::None, Fault::EmptyPage, Fault::None, Fault::EmptyPage];
        env.sandbox.queue_faults(vendor.service(), faults.to_vec());
        assert_all_read(vendor, &env, "--concurrency 1");
    }
}

#[test]
fn alerts_that_are_deleted_between_pages_are_not_missing() {
    for vendor in Vendor::ALL {
        // Alert 500 is deleted after it was read: alert 1000 moves up to the first page, which was
        // read too. Alert 2500 is deleted before it is read.
        for deleted in [500, 2500] {
            for flags in ["--concurrency 1", ""] {
                let env = env_with_alerts(vendor);
                let delete = Fault::RemoveAlerts(vec![format!("id:ind:{deleted}")]);
                env.sandbox.queue_faults(vendor.service(), vec![Fault::None, delete]);
                let run = format!("{} --json {DAY_WINDOW} {flags}", vendor.command());
                env.run(&run).assert_code(0).assert_counts_add_up();
                let was_read = |number: &u64| *number != deleted || deleted == 500;
                let expected: Vec<String> = indicators().filter(was_read).map(sha256).collect();
                assert_eq!(env.stored_values(), expected, "{vendor:?} {deleted} {flags}");
            }
        }
    }
}

#[test]
fn an_alert_that_moved_up_is_read_although_the_first_page_has_no_total() {
    for vendor in Vendor::ALL {
        for flags in ["--concurrency 1", ""] {
            let env = env_with_alerts(vendor);
            // Alert 1000 moves up to the first page, which was read already. As many alerts are
            // received as the later pages report in total, although alert 1000 is missing.
            let delete = Fault::RemoveAlerts(vec!["id:ind:500".to_owned()]);
            env.sandbox.queue_faults(vendor.service(), vec![Fault::WithoutPagination, delete]);
            let run = format!("{} --json {DAY_WINDOW} {flags}", vendor.command());
            env.run(&run).assert_code(0).assert_counts_add_up();
            let expected: Vec<String> = indicators().map(sha256).collect();
            assert_eq!(env.stored_values(), expected, "{vendor:?} {flags}");
        }
    }
}

#[test]
fn an_alert_that_moved_up_before_the_read_failed_is_read_by_the_next_run() {
    for vendor in Vendor::ALL {
        // The alerts are far apart, so that the alert that moved up is not in the two hours before
        // the checkpoint, which the next run reads in any case.
        let instant = |number| millis_into_day(number * (DAY_MILLIS / COUNT));
        let env = TestEnv::new(vendor.world(&alerts_at(vendor, instant)));
        // The request for the last page, which would show that an alert is missing, fails.
        let faults = vec![
            Fault::None,
            Fault::RemoveAlerts(vec!["id:ind:500".to_owned()]),
            Fault::status(403, r#"{"message":"no"}"#),
        ];
        env.sandbox.queue_faults(vendor.service(), faults);
        let run = format!("{} --json --concurrency 1", vendor.command());
        env.run(&format!("{run} --since 2026-11-21T00:15:00Z"))
            .assert_code(4)
            .assert_counts_add_up();
        env.run_at("2026-11-25T00:15:00Z", &run).assert_code(0).assert_counts_add_up();
        let expected: Vec<String> = indicators().map(sha256).collect();
        assert_eq!(env.stored_values(), expected, "{vendor:?}");
    }
}

/// Returns a page of Falcon alerts with this total, and without a next page.
fn falcon_page(alerts: &[Value], total: usize) -> Fault {
    let page = json!({"resources": alerts, "meta": {"pagination": {"total": total}}});
    Fault::status(200, page.to_string())
}

#[test]
fn a_time_slice_that_reports_nothing_is_queried_again() {
    for pages_before in 1..4 {
        assert_read_despite(&falcon_page(&[], 0), pages_before, "", Vendor::CrowdStrike);
    }
}

#[test]
fn a_response_to_another_request_does_not_replace_a_time_slice() {
    let alerts = one_per_second(Vendor::CrowdStrike, 1000);
    for pages_before in 1..4 {
        let fault = falcon_page(&alerts, alerts.len());
        assert_read_despite(&fault, pages_before, "", Vendor::CrowdStrike);
    }
}

/// Returns the instant at which an alert arrives, spread over the day before [`NOW`]. The window
/// of a run starts a little later than that day.
fn spread_instant(number: u64) -> DateTime<Utc> {
    millis_into_day(60_000 + number * (DAY_MILLIS - 120_000) / COUNT)
}

/// Returns [`COUNT`] alerts at these instants.
fn spread(vendor: Vendor) -> Vec<Value> {
    alerts_at(vendor, spread_instant)
}

/// Returns the start of the window that a run read.
fn window_start(output: &crate::support::RunOutput) -> DateTime<Utc> {
    output.json()["window"]["start"].as_str().unwrap().parse().unwrap()
}

#[test]
fn an_alert_that_is_promised_but_not_returned_is_read_by_the_next_run() {
    const MISSING: u64 = 2800;
    for vendor in Vendor::ALL {
        for flags in ["--concurrency 1", ""] {
            let env = TestEnv::new(vendor.world(&spread(vendor)));
            let hide = |ids: Vec<String>| {
                env.sandbox.change(|world| {
                    world.falcon.hidden_alerts.clone_from(&ids);
                    world.carbon_black.hidden_alerts = ids;
                });
            };
            hide(vec![format!("id:ind:{MISSING}")]);
            let run = format!("{} --json {flags}", vendor.command());
            let output = env.run_at(NOW, &run).assert_code(3);
            output.assert_counts_add_up();
            output.assert_stderr(&[
                "error: ",
                "did not return all alerts from",
                "cause: ",
                "help: Run again",
            ]);
            assert_eq!(output.json()["error"]["kind"], "partial");
            assert_eq!(output.count("alerts_fetched"), COUNT - 1, "{vendor:?} {flags}");
            let others: Vec<String> =
                indicators().filter(|number| *number != MISSING).map(sha256).collect();
            assert_eq!(env.stored_values(), others, "{vendor:?} {flags}");

            hide(Vec::new());
            let output = env.run_at(LATER, &run).assert_code(0);
            let missing_since = spread_instant(MISSING);
            assert!(window_start(&output) <= missing_since, "{vendor:?} {flags}");
            let expected: Vec<String> = indicators().map(sha256).collect();
            assert_eq!(env.stored_values(), expected, "{vendor:?} {flags}");
        }
    }
}

#[test]
fn the_checkpoint_moves_up_to_the_first_incomplete_time_slice() {
    let vendor = Vendor::CrowdStrike;
    let world = vendor.world(&spread(vendor));
    // An alert near the end of the window is in the total, but on no page.
    let env = TestEnv::new(world.with(|world| {
        world.falcon.hidden_alerts = vec![format!("id:ind:{}", COUNT - 10)];
    }));
    let start = window_start(&env.run_at(NOW, "crowdstrike --json").assert_code(3));
    let output = env.run_at(LATER, "crowdstrike --json").assert_code(3);
    assert!(window_start(&output) > start + chrono::TimeDelta::hours(4), "{output:?}");
}

#[test]
fn a_service_that_repeats_itself_is_not_queried_without_end() {
    for vendor in Vendor::ALL {
        let env = TestEnv::new(vendor.world(&spread(vendor)));
        env.sandbox.always(vendor.service(), Some(Fault::LoopingPage));
        let run = format!("{} --json --concurrency 1", vendor.command());
        env.run_at(NOW, &run).assert_code(3).assert_counts_add_up();
        // Three queries, each with a first page and at most three pages without a new alert.
        let requests = env.request_count(vendor.service());
        assert!(requests <= 12, "{vendor:?}: {requests}");
        env.sandbox.always(vendor.service(), None);
        env.run_at(LATER, &run).assert_code(0);
        let expected: Vec<String> = indicators().map(sha256).collect();
        assert_eq!(env.stored_values(), expected, "{vendor:?}");
    }
}

#[test]
fn without_pagination_nothing_is_known_to_be_complete() {
    // The window is a single page, which contains everything, but not the total.
    let vendor = Vendor::CrowdStrike;
    for alerts in [vec![], vec![vendor.alert(0, millis_into_day(1000))]] {
        let env = TestEnv::new(vendor.world(&alerts));
        env.sandbox.always(Service::FalconAlerts, Some(Fault::WithoutPagination));
        let output = env.run_at(NOW, "crowdstrike --json").assert_code(3);
        output.assert_stderr(&["did not report how many alerts there are"]);
        assert_eq!(env.request_count(Service::FalconAlerts), 3, "three queries");
        assert_eq!(env.items().len(), alerts.len());
        let start = window_start(&output);
        env.sandbox.always(Service::FalconAlerts, None);
        let output = env.run_at(LATER, "crowdstrike --json").assert_code(0);
        assert!(window_start(&output) <= start);
    }
}

over_all_transports!(
    a_repeated_page_does_not_replace_another_one,
    alerts_that_are_deleted_between_pages_are_not_missing,
);
