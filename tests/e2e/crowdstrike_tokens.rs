//! Falcon's tokens: how the last page is known, and what happens when one is refused on the way.

use sandbox::world::Nothing;
use sandbox::{Fault, Service, World};
use serde_json::{Value, json};

use crate::paging::{one_a_second, plain, read_once, read_once_in_one_lane};
use crate::support::Stage;
use crate::support::alerts::{falcon, sha256};
use crate::support::vendor::{EXACTLY, Vendor, at};

#[test]
fn the_last_page_is_known_by_any_form_of_no_token() {
    let alerts = plain(Vendor::CrowdStrike, (0..1001).map(|number| at(number * 1000)));
    for nothing in [Nothing::Absent, Nothing::Null, Nothing::Empty] {
        for after_on_last_page in [false, true] {
            let world = World::default().falcon_alerts(&alerts).with(|world| {
                world.falcon.last_after = nothing;
                world.falcon.no_errors = nothing;
                world.falcon.no_resources = nothing;
                world.falcon.after_on_last_page = after_on_last_page;
            });
            let stage = Stage::new(world);
            let ran = stage.run(&format!("crowdstrike --json {EXACTLY}")).ended(0);
            assert_eq!(ran.count("alerts_fetched"), 1001, "{nothing:?}");
            let pages = 2 + usize::from(after_on_last_page);
            assert_eq!(stage.asked(Service::FalconAlerts), pages, "{nothing:?}");
        }
    }
}

/// A page of one Falcon alert, with the token of a next one.
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
fn the_same_token_twice_ends_the_reading_with_an_error() {
    let stage = Stage::new(World::default());
    let faults = vec![page(1, "again"), page(2, "again"), page(3, "again")];
    stage.sandbox.script(Service::FalconAlerts, faults);
    let ran = stage.run("crowdstrike --json").ended(1);
    ran.says(&["same page token twice"]);
    ran.adds_up();
    assert_eq!(stage.asked(Service::FalconAlerts), 2);
    assert_eq!(stage.stored_values(), [sha256(1), sha256(2)]);
}

#[test]
fn a_refused_page_token_leads_to_a_new_beginning_without_loss_or_repeats() {
    let vendor = Vendor::CrowdStrike;
    // Three share each instant, so an instant lies across the page edge.
    let alerts: Vec<Value> =
        (0..3500).map(|number| vendor.alert(number, at(number / 3 * 1000))).collect();
    for refused in [vec![2], vec![3], vec![2, 4], vec![2, 4, 6]] {
        let stage = Stage::new(vendor.world(&alerts));
        let faults =
            (1..=6).map(
                |request| {
                    if refused.contains(&request) { Fault::ExpireAfter } else { Fault::None }
                },
            );
        stage.sandbox.script(Service::FalconAlerts, faults.collect());
        read_once(vendor, &stage, 3500);
        let handed_out = vendor.handed_out(&stage.sandbox).len();
        assert!(handed_out > 3500, "the rounds overlap: {handed_out}");
    }
}

#[test]
fn a_page_token_that_is_always_refused_ends_the_run() {
    let vendor = Vendor::CrowdStrike;
    let alerts = plain(vendor, std::iter::repeat_n(at(5000), 1500));
    let stage = Stage::new(vendor.world(&alerts));
    stage.sandbox.always(Service::FalconAlerts, Some(Fault::ExpireAfter));
    let ran = stage.run(&format!("crowdstrike --json {EXACTLY}")).ended(1);
    ran.says(&["invalid pagination token"]);
}

#[test]
fn an_access_token_that_expires_on_the_way_is_renewed() {
    let vendor = Vendor::CrowdStrike;
    let stage = Stage::new(vendor.world(&one_a_second(vendor, 2500)));
    let faults = vec![Fault::None, Fault::ExpireTokens, Fault::None, Fault::ExpireTokens];
    stage.sandbox.script(Service::FalconAlerts, faults);
    read_once_in_one_lane(vendor, &stage, 2500);
    assert_eq!(stage.asked(Service::FalconToken), 3);
    assert_eq!(stage.sandbox.faults_left(Service::FalconAlerts), 0);
}
