//! Tests concurrent requests for pages: there are as many as configured, one 429 (too many
//! requests) slows all of them down, and the result is the same as with one request at a time.

use std::time::{Duration, Instant};

use chrono::{SecondsFormat, TimeDelta};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use sandbox::{Fault, World};
use serde_json::{Value, json};

use crate::support::alerts::{sha256, with};
use crate::support::transport::{Transport, over_all_transports};
use crate::support::vendor::{DAY_MILLIS, DAY_WINDOW, Vendor, millis_into_day};
use crate::support::{RunOutput, TestEnv};

/// The latency of the services, much longer than a loaded machine needs to send eight requests.
const LATENCY: Duration = Duration::from_millis(200);
/// Returns nine pages of alerts, spread evenly over the day.
fn nine_pages(vendor: Vendor) -> World {
    let alerts: Vec<Value> = (0..9000)
        .map(|number| {
            vendor.alert_without_indicator(number, millis_into_day(number * DAY_MILLIS / 9000))
        })
        .collect();
    vendor.world(&alerts).latency(LATENCY)
}

/// Runs, and asserts that all alerts of [`nine_pages`] are read.
fn assert_reads_nine_pages(vendor: Vendor, env: &TestEnv, flags: &str) {
    let output = env.run(&format!("{} --json {DAY_WINDOW} {flags}", vendor.command()));
    assert_eq!(output.assert_code(0).count("alerts_fetched"), 9000);
}

/// The start, the end and the status of a request.
type Timing = (Instant, Instant, u16);

/// Returns the timings of the requests for alerts.
fn timings(vendor: Vendor, env: &TestEnv) -> Vec<Timing> {
    let requests = env.sandbox.requests_to(vendor.service());
    let timings = requests
        .iter()
        .map(|request| (request.started, request.ended.unwrap(), request.status.unwrap()));
    timings.collect()
}

/// Returns for each request how many were in flight when it started, including itself.
fn in_flight(timings: &[Timing]) -> Vec<usize> {
    let count_at = |now| {
        let timings = timings.iter();
        timings.filter(|(started, ended, _)| *started <= now && now < *ended).count()
    };
    timings.iter().map(|(started, ..)| count_at(*started)).collect()
}

#[test]
fn the_number_of_requests_in_flight_reaches_but_does_not_exceed_the_limit() {
    let cases = [
        (Vendor::CrowdStrike, "", 8),
        (Vendor::CarbonBlack, "", 4),
        (Vendor::CrowdStrike, "--concurrency 3", 3),
        (Vendor::CarbonBlack, "--concurrency 6", 6),
        (Vendor::CrowdStrike, "--concurrency 1", 1),
        (Vendor::CarbonBlack, "--concurrency 1", 1),
    ];
    for (vendor, flags, limit) in cases {
        let env = TestEnv::new(nine_pages(vendor));
        assert_reads_nine_pages(vendor, &env, flags);
        let max = in_flight(&timings(vendor, &env)).into_iter().max();
        assert_eq!(max, Some(limit), "{vendor:?} {flags}");
    }
}

#[test]
fn no_alert_is_lost_between_two_time_slices() {
    const ALERTS: i64 = 5000;
    // The nanoseconds between two alerts: a millisecond, half of one, and the finest resolution.
    for spacing in [1_000_000, 500_000, 1] {
        let alerts: Vec<Value> = (0..ALERTS)
            .map(|number| {
                let arrived = millis_into_day(0) + TimeDelta::nanoseconds(number * spacing);
                let alert = Vendor::CrowdStrike
                    .alert_without_indicator(number.try_into().unwrap(), arrived);
                let arrived = arrived.to_rfc3339_opts(SecondsFormat::Nanos, true);
                with(alert, "created_timestamp", json!(arrived))
            })
            .collect();
        // A window is read in time slices, concurrently. With small pages they are split often.
        let world = Vendor::CrowdStrike.world(&alerts);
        let env = TestEnv::new(world.with(|world| world.falcon.max_page_size = 200));
        let output = env.run(&format!("crowdstrike --json {DAY_WINDOW} --concurrency 32"));
        assert_eq!(
            output.assert_code(0).count("alerts_fetched"),
            u64::try_from(ALERTS).unwrap(),
            "{spacing} ns apart"
        );
    }
}

#[test]
fn after_429s_all_requests_wait_and_the_limit_grows_back_slowly() {
    // The Retry-After of the 429, 299 seconds, is divided by 1000.
    const WAIT: Duration = Duration::from_millis(299);
    for (vendor, concurrency) in [(Vendor::CrowdStrike, 8), (Vendor::CarbonBlack, 4)] {
        let env = TestEnv::new(nine_pages(vendor));
        let rate_limited = vec![Fault::retry_after(429, "299"); concurrency];
        let faults = [vec![Fault::None], rate_limited].concat();
        env.sandbox.queue_faults(vendor.service(), faults);
        assert_reads_nine_pages(vendor, &env, "");

        let timings = timings(vendor, &env);
        let rate_limited = || timings.iter().filter(|(.., status)| *status == 429);
        let first = rate_limited().map(|(_, ended, _)| *ended).min().unwrap();
        let last = rate_limited().map(|(_, ended, _)| *ended).max().unwrap();
        let mut after = timings.clone();
        after.retain(|(started, ..)| *started > last);
        assert!(after.len() >= concurrency, "{vendor:?}: all requests were retried");

        for (started, ..) in &after {
            assert!(*started - first >= WAIT, "{vendor:?}: a request started during the wait");
        }
        // The limit is halved, and grows by one after as many successes as the limit.
        for ((started, ..), in_flight) in after.iter().zip(in_flight(&after)) {
            let mut successes = after.iter().filter(|(_, ended, _)| ended <= started).count();
            let mut limit = concurrency / 2;
            while successes >= limit {
                successes -= limit;
                limit += 1;
            }
            assert!(in_flight <= limit, "{vendor:?}: {in_flight} in flight, limit {limit}");
        }
    }
}

#[test]
fn one_429_delays_all_other_requests() {
    // The Retry-After of the 429, 299 seconds, is divided by 1000.
    const WAIT: Duration = Duration::from_millis(299);
    // Requests that start this soon are ignored: the program may not have read the response yet.
    const READ_TIME: Duration = Duration::from_millis(50);
    for vendor in Vendor::ALL {
        let env = TestEnv::new(nine_pages(vendor));
        let faults = vec![Fault::None, Fault::retry_after(429, "299")];
        env.sandbox.queue_faults(vendor.service(), faults);
        assert_reads_nine_pages(vendor, &env, "--concurrency 3");

        let timings = timings(vendor, &env);
        let rate_limited = timings.iter().find(|(.., status)| *status == 429).unwrap();
        let mut starts = timings.iter().map(|(started, ..)| *started);
        let wait = rate_limited.1 + READ_TIME..rate_limited.1 + WAIT;
        assert!(
            !starts.any(|started| wait.contains(&started)),
            "{vendor:?}: a request started during the wait"
        );
    }
}

/// A window, the alerts in and around it, and the behavior of the service.
#[derive(Debug, Clone)]
struct Scenario {
    vendor: Vendor,
    transport: Transport,
    /// The start and the end in milliseconds of the day.
    window: (u64, u64),
    /// The start, the number of alerts and the milliseconds between two of them.
    clusters: Vec<(u64, u64, u64)>,
    max_page_size: usize,
    /// The largest total that Falcon reports.
    max_total: usize,
    concurrency: usize,
    /// The positions of the requests for alerts that get a 429 in the concurrent run.
    rate_limited: Vec<usize>,
}

/// Generates random scenarios.
fn scenario() -> impl Strategy<Value = Scenario> {
    let window = (0..DAY_MILLIS - 1).prop_flat_map(|start| (Just(start), start + 1..=DAY_MILLIS));
    // Dense clusters, so that time slices begin and end within them, and sparse ones, so that the
    // size of a slice is estimated wrongly.
    let spacing = prop_oneof![Just(0_u64), 1_u64..4, 1_u64..60_000];
    let cluster = (0..DAY_MILLIS, 1_u64..1500, spacing);
    let parts = (
        prop_oneof![Just(Vendor::CrowdStrike), Just(Vendor::CarbonBlack)],
        prop::sample::select(&Transport::ALL),
        prop_oneof![1 => window, 2 => Just((0, DAY_MILLIS))],
        prop::collection::vec(cluster, 1..7),
        prop_oneof![Just(1000_usize), 150_usize..1000],
        prop_oneof![2 => Just(usize::MAX), 1 => 1000_usize..3000],
        2_usize..=32,
        // At most four: after five failures of one request a run gives up.
        prop::collection::vec(0_usize..20, 0..5),
    );
    parts.prop_map(|parts| {
        let (vendor, transport, window, clusters, max_page_size, ..) = parts;
        let (.., max_total, concurrency, rate_limited) = parts;
        Scenario {
            vendor,
            transport,
            window,
            clusters,
            max_page_size,
            max_total,
            concurrency,
            rate_limited,
        }
    })
}

impl Scenario {
    /// Returns the milliseconds of the day at which alerts arrived.
    fn instants(&self) -> impl Iterator<Item = u64> {
        self.clusters.iter().flat_map(|(start, count, spacing)| {
            (0..*count).map(move |number| start + number * spacing)
        })
    }

    /// Returns the alerts of the clusters.
    fn alerts(&self) -> Vec<Value> {
        // Each indicator is mentioned by seven alerts with the same event time.
        let alert = |(number, instant)| {
            let alert = self.vendor.alert(number, millis_into_day(instant));
            let field = match self.vendor {
                Vendor::CrowdStrike => "ioc_value",
                Vendor::CarbonBlack => "process_sha256",
            };
            with(with(alert, field, json!(sha256(number / 7))), "severity", json!(number % 9))
        };
        (0..).zip(self.instants()).map(alert).collect()
    }

    /// Runs with this concurrency. Returns the counts and the stored items.
    fn run(&self, concurrency: usize, faults: Vec<Fault>) -> (Value, Vec<Value>) {
        let world = self.vendor.world(&self.alerts()).with(|world| {
            world.falcon.max_page_size = self.max_page_size;
            world.falcon.max_total = self.max_total;
            world.carbon_black.max_page_size = self.max_page_size;
        });
        let env = TestEnv::new(self.transport.apply(world));
        env.sandbox.queue_faults(self.vendor.service(), faults);
        let output: RunOutput = env.run(&format!(
            "{} --json --no-ledger --since {} --until {} --concurrency {concurrency}",
            self.vendor.command(),
            sandbox::time::millis(millis_into_day(self.window.0)),
            sandbox::time::millis(millis_into_day(self.window.1)),
        ));
        let output = output.assert_code(0);
        output.assert_counts_add_up();
        (output.json()["counts"].clone(), env.items())
    }

    /// Returns how many alerts are in the window.
    fn expected_count(&self) -> u64 {
        let (start, end) = self.window;
        let in_window = self.instants().filter(|instant| (start..end).contains(instant));
        in_window.count().try_into().unwrap()
    }

    /// Asserts that a concurrent run with 429s has the same result as a sequential run.
    fn check(&self) {
        let faults = (0..20).map(|request| {
            if self.rate_limited.contains(&request) {
                Fault::retry_after(429, "3")
            } else {
                Fault::None
            }
        });
        let (counts, items) = self.run(1, Vec::new());
        assert_eq!(counts["alerts_fetched"], self.expected_count(), "{self:?}");
        let (concurrent_counts, concurrent_items) = self.run(self.concurrency, faults.collect());
        assert_eq!(concurrent_counts, counts, "{self:?}");
        // Among equal severities the order depends on which page was stored first.
        let sorted = |mut items: Vec<Value>| {
            items.sort_by_key(ToString::to_string);
            items
        };
        assert_eq!(sorted(concurrent_items), sorted(items), "{self:?}");
    }
}

/// For more cases set `PROPTEST_CASES=500`.
#[test]
fn a_concurrent_run_has_the_same_result_as_a_sequential_one() {
    let requested = std::env::var("PROPTEST_CASES").ok();
    let cases = requested.and_then(|text| text.parse().ok()).unwrap_or(8);
    let mut runner = TestRunner::new(Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 20,
        ..Config::default()
    });
    let outcome = runner.run(&scenario(), |scenario| {
        scenario.check();
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

over_all_transports!(
    the_number_of_requests_in_flight_reaches_but_does_not_exceed_the_limit,
    after_429s_all_requests_wait_and_the_limit_grows_back_slowly,
    one_429_delays_all_other_requests,
);
