//! Tests that every alert in a window is read exactly once: at page boundaries, beyond Carbon
//! Black's limit of 10,000 rows, and among equal timestamps.

use serde_json::Value;

use crate::support::TestEnv;
use crate::support::alerts::sha256;
use crate::support::paging::{
    alerts_without_indicator, assert_read_once, assert_read_once_sequentially, one_per_second,
};
use crate::support::transport::over_all_transports;
use crate::support::vendor::{DAY_WINDOW, Vendor, millis_into_day};

/// Asserts the same as [`assert_page_count`] with few indicators, which is faster for many alerts.
fn assert_page_count_of_many(count: u64, pages: usize) {
    let has_indicator = |number: u64| number.is_multiple_of(499) || number + 1 == count;
    for vendor in Vendor::ALL {
        let alert = |number: u64| {
            let arrived = millis_into_day(number * 1000);
            if has_indicator(number) {
                vendor.alert(number, arrived)
            } else {
                vendor.alert_without_indicator(number, arrived)
            }
        };
        let alerts: Vec<Value> = (0..count).map(alert).collect();
        for (flags, expected_pages) in [("", None), ("--concurrency 1", Some(pages))] {
            let env = TestEnv::new(vendor.world(&alerts));
            let arguments = format!("{} --json {DAY_WINDOW} {flags}", vendor.command());
            let output = env.run(&arguments).assert_code(0);
            assert_eq!(output.assert_counts_add_up().count("alerts_fetched"), count, "{vendor:?}");
            let numbers = (0..count).filter(|number| has_indicator(*number));
            let expected: Vec<String> = numbers.map(sha256).collect();
            assert_eq!(env.stored_values(), expected, "{vendor:?}");
            let requests = env.request_count(vendor.service());
            assert!(expected_pages.is_none_or(|pages| pages == requests), "{vendor:?} {requests}");
        }
    }
}

/// Asserts that this many alerts are read once, in this many pages.
fn assert_page_count(count: u64, pages: usize) {
    for vendor in Vendor::ALL {
        let alerts = one_per_second(vendor, count);
        assert_read_once(vendor, &TestEnv::new(vendor.world(&alerts)), count);
        let env = TestEnv::new(vendor.world(&alerts));
        assert_read_once_sequentially(vendor, &env, count);
        assert_eq!(env.request_count(vendor.service()), pages, "{vendor:?}");
    }
}

#[test]
fn a_window_without_alerts_is_one_page() {
    assert_page_count(0, 1);
}

#[test]
fn a_window_with_one_alert_is_read_once() {
    assert_page_count(1, 1);
}

#[test]
fn exactly_one_full_page_is_read_once() {
    assert_page_count(1000, 1);
}

#[test]
fn one_alert_more_than_one_page_is_read_once() {
    assert_page_count(1001, 2);
}

#[test]
fn one_alert_more_than_three_pages_is_read_once() {
    assert_page_count_of_many(3001, 4);
}

#[test]
fn one_alert_more_than_10000_is_read_once() {
    assert_page_count_of_many(10_001, 11);
}

#[test]
fn part_of_a_page_is_read_once() {
    assert_page_count(101, 1);
}

#[test]
fn the_window_includes_its_start_and_excludes_its_end() {
    const DAY_MILLIS: u64 = 24 * 60 * 60 * 1000;
    for vendor in Vendor::ALL {
        let outside = [
            vendor.alert(9, millis_into_day(0) - chrono::TimeDelta::milliseconds(1)),
            vendor.alert(8, millis_into_day(DAY_MILLIS)),
        ];
        let inside =
            [vendor.alert(0, millis_into_day(0)), vendor.alert(1, millis_into_day(DAY_MILLIS - 1))];
        let env = TestEnv::new(vendor.world(&[outside, inside].concat()));
        assert_read_once(vendor, &env, 2);
    }
}

#[test]
fn hours_counts_back_from_now() {
    for vendor in Vendor::ALL {
        // 20 and 30 hours before the start of the run.
        let (within, before) =
            (millis_into_day(4 * 3_600_000), millis_into_day(0) - chrono::TimeDelta::hours(6));
        let world = || vendor.world(&[vendor.alert(0, within), vendor.alert(1, before)]);
        for (hours, found) in [("", 1), (" --hours 19", 0), (" --hours 31", 2)] {
            let env = TestEnv::new(world());
            let output = env.run(&format!("{}{hours} --json", vendor.command()));
            assert_eq!(output.assert_code(0).count("alerts_fetched"), found, "{vendor:?}{hours}");
        }
    }
}

#[test]
fn the_window_moves_with_the_clock() {
    for vendor in Vendor::ALL {
        let env = TestEnv::new(vendor.world(&[vendor.alert(0, millis_into_day(0))]));
        let output = env.run_at("2026-11-21T00:14:59Z", &format!("{} --json", vendor.command()));
        assert_eq!(output.assert_code(0).count("alerts_fetched"), 0, "{vendor:?}");
        let output = env.run_at("2026-11-21T00:15:01Z", &format!("{} --json", vendor.command()));
        assert_eq!(output.assert_code(0).count("alerts_fetched"), 1, "{vendor:?}");
    }
}

#[test]
fn equal_timestamps_across_page_boundaries_are_read_once() {
    for vendor in Vendor::ALL {
        // Seven alerts share each instant, and the size of a page (1000) is not a multiple of 7.
        let alerts: Vec<Value> = (0..2500)
            .map(|number| vendor.alert(number, millis_into_day(number / 7 * 1000)))
            .collect();
        assert_read_once(vendor, &TestEnv::new(vendor.world(&alerts)), 2500);
    }
}

#[test]
fn equal_timestamps_across_row_10000_are_read_once() {
    let vendor = Vendor::CarbonBlack;
    // The number of equal timestamps before row 10,001, and from that row on.
    for (before, after) in [(1, 1), (30, 30), (1, 1500), (1500, 1)] {
        let tied = 10_000 - before..10_000 + after;
        let instants = (0..12_000).map(|number| {
            let shared = if tied.contains(&number) { tied.start } else { number };
            millis_into_day(shared * 1000)
        });
        let env = TestEnv::new(vendor.world(&alerts_without_indicator(vendor, instants)));
        let output = env.run(&format!("carbonblack --json {DAY_WINDOW}")).assert_code(0);
        output.assert_counts(&[("alerts_fetched", 12_000), ("alerts_without_indicator", 12_000)]);
    }
}

#[test]
fn alerts_beyond_row_10000_are_read_with_more_searches() {
    let vendor = Vendor::CarbonBlack;
    let instants = (0..25_000).map(|number| millis_into_day(number / 3 * 1000));
    let env = TestEnv::new(vendor.world(&alerts_without_indicator(vendor, instants)));
    let output = env.run(&format!("carbonblack --json {DAY_WINDOW}")).assert_code(0);
    output.assert_counts(&[("alerts_fetched", 25_000), ("alerts_without_indicator", 25_000)]);
}

#[test]
fn more_than_10000_alerts_at_one_instant_are_an_error() {
    let vendor = Vendor::CarbonBlack;
    let instant = millis_into_day(5000);
    let alerts = [
        vec![vendor.alert(0, millis_into_day(1000))],
        alerts_without_indicator(vendor, std::iter::repeat_n(instant, 10_002)),
        vec![vendor.alert(1, millis_into_day(9000))],
    ];
    let env = TestEnv::new(vendor.world(&alerts.concat()));
    let output = env.run(&format!("carbonblack --json {DAY_WINDOW}")).assert_code(3);
    output.assert_stderr(&["10000", "2026-11-21T00:15:05.000Z", "--since"]);
    output.assert_counts_add_up();
    assert_eq!(output.json()["error"]["kind"], "partial");
    assert_eq!(env.stored_values(), [sha256(0)], "what was read before is sent");
}

#[test]
fn alerts_after_exactly_10000_at_one_instant_are_an_error_too() {
    let vendor = Vendor::CarbonBlack;
    let alerts = [
        alerts_without_indicator(vendor, std::iter::repeat_n(millis_into_day(5000), 10_000)),
        vec![vendor.alert(1_000_000, millis_into_day(9000))],
    ];
    let env = TestEnv::new(vendor.world(&alerts.concat()));
    let output = env.run(&format!("carbonblack --json {DAY_WINDOW}")).assert_code(3);
    output.assert_stderr(&["at least 10000 alerts", "2026-11-21T00:15:05.000Z", "--since"]);
    assert_eq!(output.count("alerts_fetched"), 10_000);
}

#[test]
fn exactly_10000_alerts_at_the_last_instant_are_read() {
    let vendor = Vendor::CarbonBlack;
    let env = TestEnv::new(vendor.world(&alerts_without_indicator(
        vendor,
        std::iter::repeat_n(millis_into_day(5000), 10_000),
    )));
    let output = env.run(&format!("carbonblack --json {DAY_WINDOW}")).assert_code(0);
    assert_eq!(output.count("alerts_fetched"), 10_000);
}

#[test]
fn an_alert_at_the_end_of_the_window_is_skipped_even_if_the_service_returns_it() {
    // In Falcon's filters, `>` of a time acts as `>=`, so `<` may act as `<=`.
    let vendor = Vendor::CrowdStrike;
    let (inside, at_the_end) = (millis_into_day(1000), millis_into_day(24 * 60 * 60 * 1000));
    let late = vendor.alert(1, at_the_end);
    let world = vendor.world(&[vendor.alert(0, inside)]);
    // The sandbox finds it by a time in the window, but returns it with a time at the end.
    let world = vendor.add_raw(world, &late.to_string(), &vendor.alert(1, inside));
    assert_read_once(vendor, &TestEnv::new(world), 1);
}

#[test]
fn a_large_window_is_read_in_slices_of_about_ten_thousand_alerts() {
    let vendor = Vendor::CrowdStrike;
    let instants = (0..25_000).map(|number| millis_into_day(number / 3 * 3000));
    let env = TestEnv::new(vendor.world(&alerts_without_indicator(vendor, instants)));
    let output =
        env.run(&format!("crowdstrike --json {DAY_WINDOW} --concurrency 1")).assert_code(0);
    output.assert_counts(&[("alerts_fetched", 25_000), ("alerts_without_indicator", 25_000)]);
    // At least 25 pages; each of the 3 or 4 slices can add one that is not full.
    let requests = env.request_count(vendor.service());
    assert!((25..=29).contains(&requests), "{requests}");
}

over_all_transports!(
    a_window_without_alerts_is_one_page,
    a_window_with_one_alert_is_read_once,
    exactly_one_full_page_is_read_once,
    one_alert_more_than_one_page_is_read_once,
    one_alert_more_than_three_pages_is_read_once,
    one_alert_more_than_10000_is_read_once,
    part_of_a_page_is_read_once,
    equal_timestamps_across_page_boundaries_are_read_once,
    an_alert_at_the_end_of_the_window_is_skipped_even_if_the_service_returns_it,
);
