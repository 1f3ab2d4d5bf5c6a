//! Every alert of a window is read, and read once: at page edges, at Carbon Black's 10,000 rows, among
//! equal timestamps, and when a page token is refused on the way.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::support::alerts::sha256;
use crate::support::vendor::{EXACTLY, Vendor, at};
use crate::support::{Ran, Stage};

/// Alerts with an indicator each, one a second.
pub fn one_a_second(vendor: Vendor, count: u64) -> Vec<Value> {
    let seconds = (0..count).map(|number| vendor.alert(number, at(number * 1000)));
    seconds.collect()
}

/// Alerts without an indicator, arrived at these instants.
pub fn plain(vendor: Vendor, instants: impl IntoIterator<Item = DateTime<Utc>>) -> Vec<Value> {
    let numbered = (0..).zip(instants);
    numbered.map(|(number, instant)| vendor.plain_alert(number, instant)).collect()
}

/// Runs the exact day, and checks that each of the alerts was delivered exactly once.
#[track_caller]
pub fn read_once(vendor: Vendor, stage: &Stage, count: u64) -> Ran {
    read_once_with("", vendor, stage, count)
}

/// One page after the other, so that the number of requests is certain.
pub fn read_once_in_one_lane(vendor: Vendor, stage: &Stage, count: u64) -> Ran {
    read_once_with("--concurrency 1", vendor, stage, count)
}

fn read_once_with(flags: &str, vendor: Vendor, stage: &Stage, count: u64) -> Ran {
    let ran = stage.run(&format!("{} --json {EXACTLY} {flags}", vendor.command())).ended(0);
    ran.counts(&[
        ("alerts_fetched", count),
        ("indicators_found", count),
        ("submitted", count),
        ("processed", count),
    ]);
    let wanted: Vec<String> = (0..count).map(sha256).collect();
    assert_eq!(stage.stored_values(), wanted, "{vendor:?}");
    ran
}

/// The same edge with few indicators: so many alerts take their time to deliver.
fn edge_of_many(count: u64, pages: usize) {
    let carries = |number: u64| number.is_multiple_of(499) || number + 1 == count;
    for vendor in Vendor::BOTH {
        let alert = |number: u64| {
            let arrived = at(number * 1000);
            if carries(number) {
                vendor.alert(number, arrived)
            } else {
                vendor.plain_alert(number, arrived)
            }
        };
        let alerts: Vec<Value> = (0..count).map(alert).collect();
        for (flags, asked) in [("", None), ("--concurrency 1", Some(pages))] {
            let stage = Stage::new(vendor.world(&alerts));
            let arguments = format!("{} --json {EXACTLY} {flags}", vendor.command());
            let ran = stage.run(&arguments).ended(0);
            assert_eq!(ran.adds_up().count("alerts_fetched"), count, "{vendor:?}");
            let wanted: Vec<String> = (0..count).filter(|n| carries(*n)).map(sha256).collect();
            assert_eq!(stage.stored_values(), wanted, "{vendor:?}");
            let requests = stage.asked(vendor.service());
            assert!(asked.is_none_or(|pages| pages == requests), "{vendor:?} {requests}");
        }
    }
}

fn page_edge(count: u64, pages: usize) {
    for vendor in Vendor::BOTH {
        let alerts = one_a_second(vendor, count);
        read_once(vendor, &Stage::new(vendor.world(&alerts)), count);
        let stage = Stage::new(vendor.world(&alerts));
        read_once_in_one_lane(vendor, &stage, count);
        assert_eq!(stage.asked(vendor.service()), pages, "{vendor:?}");
    }
}

#[test]
fn no_alert_at_all() {
    page_edge(0, 1);
}

#[test]
fn one_alert() {
    page_edge(1, 1);
}

#[test]
fn the_last_alert_of_a_full_page() {
    page_edge(1000, 1);
}

#[test]
fn the_first_alert_of_a_second_page() {
    page_edge(1001, 2);
}

#[test]
fn the_first_alert_of_a_fourth_page() {
    edge_of_many(3001, 4);
}

#[test]
fn one_alert_more_than_ten_thousand() {
    edge_of_many(10_001, 11);
}

#[test]
fn a_hundred_and_one_alerts() {
    page_edge(101, 1);
}

#[test]
fn the_window_holds_its_start_and_not_its_end() {
    const DAY: u64 = 24 * 60 * 60 * 1000;
    for vendor in Vendor::BOTH {
        let outside =
            [vendor.alert(9, at(0) - chrono::TimeDelta::milliseconds(1)), vendor.alert(8, at(DAY))];
        let inside = [vendor.alert(0, at(0)), vendor.alert(1, at(DAY - 1))];
        let stage = Stage::new(vendor.world(&[outside, inside].concat()));
        read_once(vendor, &stage, 2);
    }
}

#[test]
fn hours_reach_back_from_now() {
    for vendor in Vendor::BOTH {
        // 20 and 30 hours before the staged now.
        let (within, before) = (at(4 * 3_600_000), at(0) - chrono::TimeDelta::hours(6));
        let world = || vendor.world(&[vendor.alert(0, within), vendor.alert(1, before)]);
        for (hours, found) in [("", 1), (" --hours 19", 0), (" --hours 31", 2)] {
            let stage = Stage::new(world());
            let ran = stage.run(&format!("{}{hours} --json", vendor.command()));
            assert_eq!(ran.ended(0).count("alerts_fetched"), found, "{vendor:?}{hours}");
        }
    }
}

#[test]
fn the_window_moves_with_the_clock() {
    for vendor in Vendor::BOTH {
        let stage = Stage::new(vendor.world(&[vendor.alert(0, at(0))]));
        let ran = stage.run_at("2026-11-21T00:14:59Z", &format!("{} --json", vendor.command()));
        assert_eq!(ran.ended(0).count("alerts_fetched"), 0, "{vendor:?}");
        let ran = stage.run_at("2026-11-21T00:15:01Z", &format!("{} --json", vendor.command()));
        assert_eq!(ran.ended(0).count("alerts_fetched"), 1, "{vendor:?}");
    }
}

#[test]
fn equal_timestamps_lie_across_every_page_edge() {
    for vendor in Vendor::BOTH {
        // Seven share each instant: 7 divides neither 1000 nor 10,000.
        let alerts: Vec<Value> =
            (0..2500).map(|number| vendor.alert(number, at(number / 7 * 1000))).collect();
        read_once(vendor, &Stage::new(vendor.world(&alerts)), 2500);
    }
}

#[test]
fn equal_timestamps_lie_across_row_ten_thousand() {
    let vendor = Vendor::CarbonBlack;
    // Each set of equal ones: (how many stand before row 10,001, how many from it on).
    for (before, after) in [(1, 1), (30, 30), (1, 1500), (1500, 1)] {
        let tied = 10_000 - before..10_000 + after;
        let instants = (0..12_000).map(|number| {
            let shared = if tied.contains(&number) { tied.start } else { number };
            at(shared * 1000)
        });
        let stage = Stage::new(vendor.world(&plain(vendor, instants)));
        let ran = stage.run(&format!("carbonblack --json {EXACTLY}")).ended(0);
        ran.counts(&[("alerts_fetched", 12_000), ("alerts_without_indicator", 12_000)]);
    }
}

#[test]
fn twenty_five_thousand_alerts_take_three_rounds_of_rows() {
    let vendor = Vendor::CarbonBlack;
    let instants = (0..25_000).map(|number| at(number / 3 * 1000));
    let stage = Stage::new(vendor.world(&plain(vendor, instants)));
    let ran = stage.run(&format!("carbonblack --json {EXACTLY}")).ended(0);
    ran.counts(&[("alerts_fetched", 25_000), ("alerts_without_indicator", 25_000)]);
}

#[test]
fn more_than_ten_thousand_at_one_instant_are_told() {
    let vendor = Vendor::CarbonBlack;
    let crowded = at(5000);
    let alerts = [
        vec![vendor.alert(0, at(1000))],
        plain(vendor, std::iter::repeat_n(crowded, 10_002)),
        vec![vendor.alert(1, at(9000))],
    ];
    let stage = Stage::new(vendor.world(&alerts.concat()));
    let ran = stage.run(&format!("carbonblack --json {EXACTLY}")).ended(3);
    ran.says(&["10000", "2026-11-21T00:15:05.000Z", "--since"]);
    ran.adds_up();
    assert_eq!(ran.json()["error"]["kind"], "partial");
    assert_eq!(stage.stored_values(), [sha256(0)], "what was read before it is kept");
}

#[test]
fn what_lies_behind_exactly_ten_thousand_at_one_instant_is_told_too() {
    let vendor = Vendor::CarbonBlack;
    let alerts = [
        plain(vendor, std::iter::repeat_n(at(5000), 10_000)),
        vec![vendor.alert(1_000_000, at(9000))],
    ];
    let stage = Stage::new(vendor.world(&alerts.concat()));
    let ran = stage.run(&format!("carbonblack --json {EXACTLY}")).ended(3);
    ran.says(&["10000 alerts or more", "2026-11-21T00:15:05.000Z", "--since"]);
    assert_eq!(ran.count("alerts_fetched"), 10_000);
}

#[test]
fn ten_thousand_at_the_last_instant_are_no_trouble() {
    let vendor = Vendor::CarbonBlack;
    let stage = Stage::new(vendor.world(&plain(vendor, std::iter::repeat_n(at(5000), 10_000))));
    let ran = stage.run(&format!("carbonblack --json {EXACTLY}")).ended(0);
    assert_eq!(ran.count("alerts_fetched"), 10_000);
}

#[test]
fn an_end_that_the_service_takes_loosely_is_checked_again() {
    // `>` was seen to act as `>=`, so `<` may well act as `<=`.
    let vendor = Vendor::CrowdStrike;
    let (inside, at_the_end) = (at(1000), at(24 * 60 * 60 * 1000));
    let late = vendor.alert(1, at_the_end);
    let world = vendor.world(&[vendor.alert(0, inside)]);
    let world = vendor.raw(world, &late.to_string(), &vendor.alert(1, inside));
    read_once(vendor, &Stage::new(world), 1);
}

#[test]
fn a_large_window_is_read_in_slices_of_about_ten_thousand_alerts() {
    let vendor = Vendor::CrowdStrike;
    let instants = (0..25_000).map(|number| at(number / 3 * 3000));
    let stage = Stage::new(vendor.world(&plain(vendor, instants)));
    let ran = stage.run(&format!("crowdstrike --json {EXACTLY} --concurrency 1")).ended(0);
    ran.counts(&[("alerts_fetched", 25_000), ("alerts_without_indicator", 25_000)]);
    // 25 full pages, and at most one that is not full for each of the 3 or 4 slices.
    let requests = stage.asked(vendor.service());
    assert!((25..=29).contains(&requests), "{requests}");
}
