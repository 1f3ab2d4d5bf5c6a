//! Tests page tokens, with which the next page is requested, and access tokens of Falcon: how the
//! last page is recognized, and what happens when a token is rejected while pages are read.

use sandbox::world::MissingValue;
use sandbox::{Fault, Service, World};
use serde_json::{Value, json};

use crate::support::TestEnv;
use crate::support::alerts::{falcon, sha256};
use crate::support::paging::{
    alerts_without_indicator, assert_read_once, assert_read_once_sequentially, one_per_second,
};
use crate::support::vendor::{DAY_WINDOW, Vendor, millis_into_day};

#[test]
fn the_last_page_is_recognized_by_any_form_of_a_missing_token() {
    let alerts = alerts_without_indicator(
        Vendor::CrowdStrike,
        (0..1001).map(|number| millis_into_day(number * 1000)),
    );
    for missing in [MissingValue::Absent, MissingValue::Null, MissingValue::Empty] {
        for after_on_last_page in [false, true] {
            let world = World::default().falcon_alerts(&alerts).with(|world| {
                world.falcon.last_after = missing;
                world.falcon.empty_errors = missing;
                world.falcon.empty_resources = missing;
                world.falcon.after_on_last_page = after_on_last_page;
            });
            let env = TestEnv::new(world);
            let output = env.run(&format!("crowdstrike --json {DAY_WINDOW}")).assert_code(0);
            assert_eq!(output.count("alerts_fetched"), 1001, "{missing:?}");
            let pages = 2 + usize::from(after_on_last_page);
            assert_eq!(env.request_count(Service::FalconAlerts), pages, "{missing:?}");
        }
    }
}

/// Returns a page with one Falcon alert and the token of the next page.
fn page(number: u64, after: &str) -> Fault {
    let alert = falcon(&format!("id:{number}"), "hash_sha256", &sha256(number));
    let page = json!({
        "errors": [],
        "meta": {"pagination": {"total": 9, "limit": 1000, "after": after}, "trace_id": "made"},
        "resources": [alert],
    });
    Fault::status(200, page.to_string())
}

#[test]
fn the_same_page_token_twice_is_an_error() {
    let env = TestEnv::new(World::default());
    let faults = vec![page(1, "again"), page(2, "again"), page(3, "again")];
    env.sandbox.queue_faults(Service::FalconAlerts, faults);
    let output = env.run("crowdstrike --json").assert_code(1);
    output.assert_stderr(&["same page token twice"]);
    output.assert_counts_add_up();
    assert_eq!(env.request_count(Service::FalconAlerts), 2);
    assert_eq!(env.stored_values(), [sha256(1), sha256(2)]);
}

#[test]
fn after_a_rejected_page_token_the_read_restarts_without_loss_or_duplicates() {
    let vendor = Vendor::CrowdStrike;
    // Three alerts share each instant, so that equal timestamps are on both sides of a page
    // boundary.
    let alerts: Vec<Value> =
        (0..3500).map(|number| vendor.alert(number, millis_into_day(number / 3 * 1000))).collect();
    // Which of the requests are rejected: by their status, or in the body of a 200.
    let cases = [vec![2], vec![3], vec![2, 4], vec![2, 4, 6]];
    for (rejected, in_body) in cases.iter().flat_map(|case| [(case, false), (case, true)]) {
        let world = vendor.world(&alerts);
        let env = TestEnv::new(world.with(|world| world.falcon.expired_token_in_body = in_body));
        let faults = (1..=6).map(|request| {
            if rejected.contains(&request) { Fault::ExpirePageTokens } else { Fault::None }
        });
        env.sandbox.queue_faults(Service::FalconAlerts, faults.collect());
        assert_read_once(vendor, &env, 3500);
        let served_alerts = vendor.served_alerts(&env.sandbox).len();
        assert!(served_alerts > 3500, "some alerts are read twice: {served_alerts}");
    }
}

#[test]
fn a_page_token_that_is_always_rejected_ends_the_run() {
    let vendor = Vendor::CrowdStrike;
    let alerts = alerts_without_indicator(vendor, std::iter::repeat_n(millis_into_day(5000), 1500));
    for (in_body, message) in
        [(false, "invalid pagination token"), (true, "Search context expired")]
    {
        let world = vendor.world(&alerts);
        let env = TestEnv::new(world.with(|world| world.falcon.expired_token_in_body = in_body));
        env.sandbox.always(Service::FalconAlerts, Some(Fault::ExpirePageTokens));
        let output = env.run(&format!("crowdstrike --json {DAY_WINDOW}")).assert_code(1);
        output.assert_stderr(&[message]);
    }
}

#[test]
fn an_access_token_that_expires_while_pages_are_read_is_renewed() {
    let vendor = Vendor::CrowdStrike;
    let env = TestEnv::new(vendor.world(&one_per_second(vendor, 2500)));
    let faults =
        vec![Fault::None, Fault::ExpireAccessTokens, Fault::None, Fault::ExpireAccessTokens];
    env.sandbox.queue_faults(Service::FalconAlerts, faults);
    assert_read_once_sequentially(vendor, &env, 2500);
    assert_eq!(env.request_count(Service::FalconToken), 3);
    assert_eq!(env.sandbox.faults_left(Service::FalconAlerts), 0);
}
