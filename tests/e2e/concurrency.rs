//! Pages asked for side by side: they really are, one 429 slows all of them, and what comes of it is
//! what one page after the other gives.

use std::time::{Duration, Instant};

use chrono::{SecondsFormat, TimeDelta};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use sandbox::{Fault, World};
use serde_json::{Value, json};

use crate::support::alerts::{sha256, with};
use crate::support::vendor::{EXACTLY, Vendor, at};
use crate::support::{Ran, Stage};

/// Long beside what a loaded machine needs to send eight requests.
const LATENCY: Duration = Duration::from_millis(200);
const DAY: u64 = 24 * 60 * 60 * 1000;

/// Nine pages of alerts, evenly over the day.
fn nine_pages(vendor: Vendor) -> World {
    let alerts: Vec<Value> =
        (0..9000).map(|number| vendor.plain_alert(number, at(number * DAY / 9000))).collect();
    vendor.world(&alerts).latency(LATENCY)
}

fn read_nine_pages(vendor: Vendor, stage: &Stage, flags: &str) {
    let ran = stage.run(&format!("{} --json {EXACTLY} {flags}", vendor.command()));
    assert_eq!(ran.ended(0).count("alerts_fetched"), 9000);
}

/// When the requests for alerts were under way, and how they ended.
fn flights(vendor: Vendor, stage: &Stage) -> Vec<(Instant, Instant, u16)> {
    let asked = stage.sandbox.requests_to(vendor.service());
    let flights =
        asked.iter().map(|asked| (asked.started, asked.ended.unwrap(), asked.status.unwrap()));
    flights.collect()
}

/// How many of them were under way when each began, that one included.
fn at_once(flights: &[(Instant, Instant, u16)]) -> Vec<usize> {
    let under_way = |now| {
        let flights = flights.iter();
        flights.filter(|(started, ended, _)| *started <= now && now < *ended).count()
    };
    flights.iter().map(|(started, ..)| under_way(*started)).collect()
}

#[test]
fn as_many_pages_as_allowed_are_under_way_and_no_more() {
    let cases = [
        (Vendor::CrowdStrike, "", 8),
        (Vendor::CarbonBlack, "", 4),
        (Vendor::CrowdStrike, "--concurrency 3", 3),
        (Vendor::CarbonBlack, "--concurrency 6", 6),
        (Vendor::CrowdStrike, "--concurrency 1", 1),
        (Vendor::CarbonBlack, "--concurrency 1", 1),
    ];
    for (vendor, flags, allowed) in cases {
        let stage = Stage::new(nine_pages(vendor));
        read_nine_pages(vendor, &stage, flags);
        let most = at_once(&flights(vendor, &stage)).into_iter().max();
        assert_eq!(most, Some(allowed), "{vendor:?} {flags}");
    }
}

#[test]
fn no_instant_falls_between_two_slices() {
    const ALERTS: i64 = 5000;
    // Whole milliseconds, halves of them, and the finest that is told.
    for apart in [1_000_000, 500_000, 1] {
        let alerts: Vec<Value> = (0..ALERTS)
            .map(|number| {
                let arrived = at(0) + TimeDelta::nanoseconds(number * apart);
                let alert = Vendor::CrowdStrike.plain_alert(number.try_into().unwrap(), arrived);
                let arrived = arrived.to_rfc3339_opts(SecondsFormat::Nanos, true);
                with(alert, "created_timestamp", json!(arrived))
            })
            .collect();
        // Small pages, so that what is left after the first is cut often.
        let world = Vendor::CrowdStrike.world(&alerts);
        let stage = Stage::new(world.with(|world| world.falcon.largest_page = 200));
        let ran = stage.run(&format!("crowdstrike --json {EXACTLY} --concurrency 32"));
        assert_eq!(
            ran.ended(0).count("alerts_fetched"),
            u64::try_from(ALERTS).unwrap(),
            "{apart} ns apart"
        );
    }
}

#[test]
fn one_refusal_for_haste_slows_all() {
    // The waits of a staged run take a thousandth.
    const WAIT: Duration = Duration::from_millis(299);
    for (vendor, lanes) in [(Vendor::CrowdStrike, 8), (Vendor::CarbonBlack, 4)] {
        let stage = Stage::new(nine_pages(vendor));
        let refused = vec![Fault::retry_after(429, "299"); lanes];
        let faults = [vec![Fault::None], refused].concat();
        stage.sandbox.script(vendor.service(), faults);
        read_nine_pages(vendor, &stage, "");

        let flights = flights(vendor, &stage);
        let refused = || flights.iter().filter(|(.., status)| *status == 429);
        let first = refused().map(|(_, ended, _)| *ended).min().unwrap();
        let last = refused().map(|(_, ended, _)| *ended).max().unwrap();
        let mut after = flights.clone();
        after.retain(|(started, ..)| *started > last);
        assert!(after.len() >= lanes, "{vendor:?}: all were asked again");

        for (started, ..) in &after {
            assert!(*started - first >= WAIT, "{vendor:?}: one began within the wait");
        }
        // Half as many, and one more for each full round of good answers.
        for ((started, ..), at_once) in after.iter().zip(at_once(&after)) {
            let mut good = after.iter().filter(|(_, ended, _)| ended <= started).count();
            let mut limit = lanes / 2;
            while good >= limit {
                good -= limit;
                limit += 1;
            }
            assert!(at_once <= limit, "{vendor:?}: {at_once} at once, {limit} allowed");
        }
    }
}

#[test]
fn one_refused_request_holds_all_others_back() {
    const WAIT: Duration = Duration::from_millis(299);
    // What the program does in that time does not count: it may not know of the refusal yet.
    const NOTICING: Duration = Duration::from_millis(50);
    for vendor in [Vendor::CrowdStrike, Vendor::CarbonBlack] {
        let stage = Stage::new(nine_pages(vendor));
        let faults = vec![Fault::None, Fault::retry_after(429, "299")];
        stage.sandbox.script(vendor.service(), faults);
        read_nine_pages(vendor, &stage, "--concurrency 3");

        let flights = flights(vendor, &stage);
        let refused = flights.iter().find(|(.., status)| *status == 429).unwrap();
        let mut after = flights.iter().map(|(started, ..)| *started);
        let held_back = refused.1 + NOTICING..refused.1 + WAIT;
        assert!(
            !after.any(|started| held_back.contains(&started)),
            "{vendor:?}: one began within the wait"
        );
    }
}

/// A window, the alerts in and around it, and what the service does about being asked for them.
#[derive(Debug, Clone)]
struct Scene {
    vendor: Vendor,
    /// Milliseconds of the day.
    window: (u64, u64),
    /// So many alerts from this millisecond on, so many milliseconds apart: at 0, all at one instant.
    clumps: Vec<(u64, u64, u64)>,
    /// The most alerts that the service gives in one page.
    page: usize,
    concurrency: usize,
    /// Which of the parallel run's requests for alerts are answered 429.
    refused: Vec<usize>,
}

fn scene() -> impl Strategy<Value = Scene> {
    let window = (0..DAY - 1).prop_flat_map(|start| (Just(start), start + 1..=DAY));
    // Close together, so that slices begin and end among them; and seldom, so that they are guessed wrong.
    let apart = prop_oneof![Just(0_u64), 1_u64..4, 1_u64..60_000];
    let clump = (0..DAY, 1_u64..1500, apart);
    let parts = (
        prop_oneof![Just(Vendor::CrowdStrike), Just(Vendor::CarbonBlack)],
        prop_oneof![1 => window, 2 => Just((0, DAY))],
        prop::collection::vec(clump, 1..7),
        prop_oneof![Just(1000_usize), 150_usize..1000],
        2_usize..=32,
        // No request is tried more often than five times.
        prop::collection::vec(0_usize..20, 0..5),
    );
    parts.prop_map(|(vendor, window, clumps, page, concurrency, refused)| Scene {
        vendor,
        window,
        clumps,
        page,
        concurrency,
        refused,
    })
}

impl Scene {
    fn alerts(&self) -> Vec<Value> {
        let instants = self.clumps.iter().flat_map(|(start, count, apart)| {
            (0..*count).map(move |number| start + number * apart)
        });
        // Seven alerts name the same indicator, and happened at the same time.
        let alert = |(number, instant)| {
            let alert = self.vendor.alert(number, at(instant));
            let field = match self.vendor {
                Vendor::CrowdStrike => "ioc_value",
                Vendor::CarbonBlack => "process_sha256",
            };
            with(with(alert, field, json!(sha256(number / 7))), "severity", json!(number % 9))
        };
        (0..).zip(instants).map(alert).collect()
    }

    /// What a run with this concurrency reports, and what it leaves at Recorded Future.
    fn play(&self, concurrency: usize, faults: Vec<Fault>) -> (Value, Vec<Value>) {
        let world = self.vendor.world(&self.alerts()).with(|world| {
            world.falcon.largest_page = self.page;
            world.carbon_black.largest_page = self.page;
        });
        let stage = Stage::new(world);
        stage.sandbox.script(self.vendor.service(), faults);
        let ran: Ran = stage.run(&format!(
            "{} --json --no-ledger --since {} --until {} --concurrency {concurrency}",
            self.vendor.command(),
            sandbox::time::millis(at(self.window.0)),
            sandbox::time::millis(at(self.window.1)),
        ));
        let ran = ran.ended(0);
        ran.adds_up();
        (ran.json()["counts"].clone(), stage.items())
    }

    fn in_window(&self) -> u64 {
        let (from, until) = self.window;
        let instants = self.clumps.iter().flat_map(|(start, count, apart)| {
            (0..*count).map(move |number| start + number * apart)
        });
        let within = instants.filter(|instant| (from..until).contains(instant));
        within.count().try_into().unwrap()
    }

    fn judge(&self) {
        let faults = (0..20).map(|request| {
            if self.refused.contains(&request) { Fault::retry_after(429, "3") } else { Fault::None }
        });
        let (counts, items) = self.play(1, Vec::new());
        assert_eq!(counts["alerts_fetched"], self.in_window(), "{self:?}");
        let (counts_side_by_side, items_side_by_side) =
            self.play(self.concurrency, faults.collect());
        assert_eq!(counts_side_by_side, counts, "{self:?}");
        // Of the same severity, those stored first come first, which depends on the order of the pages.
        let sorted = |mut items: Vec<Value>| {
            items.sort_by_key(ToString::to_string);
            items
        };
        assert_eq!(sorted(items_side_by_side), sorted(items), "{self:?}");
    }
}

/// More of them with `PROPTEST_CASES=500`.
#[test]
fn side_by_side_gives_what_one_after_the_other_gives() {
    let asked = std::env::var("PROPTEST_CASES").ok();
    let cases = asked.and_then(|text| text.parse().ok()).unwrap_or(8);
    let mut runner = TestRunner::new(Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 20,
        ..Config::default()
    });
    let outcome = runner.run(&scene(), |scene| {
        scene.judge();
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}
