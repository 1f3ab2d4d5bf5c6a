//! Tests with random faults of all services on several days, then a day without faults. Every
//! indicator must then have arrived unchanged or be in quarantine, and nothing else may have
//! arrived.
//!
//! A failing case is printed. For more cases set `PROPTEST_CASES=500`, or run the long form:
//! `cargo test --test e2e random_faults -- --ignored`.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use sandbox::world::SearchWorld;
use sandbox::{DateHeader, Fault, NOT_RECEIPTS, Sandbox, Service};

use crate::support::oracle::{Oracle, PastRun, check_counts, response_lost, run_time};
use crate::support::transport::Transport;
use crate::support::vendor::Vendor;
use crate::support::{NOW, TestEnv};

const DAYS: u32 = 3;

/// The faults of one day, per service in the order of its requests.
#[derive(Debug, Clone)]
pub struct DayFaults {
    /// Whether none of them makes the run fail: it retries, reads on, or goes on without a search.
    pub recoverable: bool,
    pub refuse_connections: bool,
    pub sign_in: Vec<Fault>,
    pub vendor: Vec<Fault>,
    pub recorded_future: Vec<Fault>,
    pub search: Vec<Fault>,
    clocks: Clocks,
}

impl DayFaults {
    /// Queues the faults. With `refuse_connections`, it also makes the sandbox refuse connections,
    /// until `resume_listening`.
    pub fn queue(&self, vendor: Vendor, sandbox: &Sandbox, oracle: &Oracle) {
        let queues = [&self.sign_in, &self.vendor, &self.recorded_future, &self.search];
        for (service, queue) in services(vendor).into_iter().zip(queues) {
            if self.recoverable {
                // The faults that are left of an earlier day may not be recoverable.
                sandbox.clear_faults(service);
            }
            let queue = queue.iter().cloned().map(|fault| match fault {
                Fault::RemoveAlerts(_) => Fault::RemoveAlerts(oracle.choose_removed()),
                fault => fault,
            });
            sandbox.queue_faults(service, queue.collect());
        }
        if self.refuse_connections {
            sandbox.pause_listening();
        }
    }
}

/// Returns the services of a run, in the order of the queues of [`DayFaults`].
const fn services(vendor: Vendor) -> [Service; 4] {
    [Service::FalconToken, vendor.service(), Service::RecordedFuture, Service::Search]
}

/// Removes the faults that are left.
pub fn clear_faults(vendor: Vendor, sandbox: &Sandbox) {
    for service in services(vendor) {
        sandbox.clear_faults(service);
    }
}

/// The clocks of one day.
#[derive(Debug, Clone)]
struct Clocks {
    /// The offset of the program's clock, in seconds.
    ahead: i64,
    vendor: DateHeader,
    recorded_future: DateHeader,
}

/// One generated case.
#[derive(Debug, Clone)]
struct Scenario {
    vendor: Vendor,
    transport: Transport,
    /// Whether an expired page token is reported in the body of a 200.
    expired_token_in_body: bool,
    /// The number of alerts per day that are not sent; with more than 1000 there are several pages.
    ignored: u32,
    max_page_size: usize,
    batch_size: u32,
    /// Whether runs send what is queued before they read alerts.
    sends_first: bool,
    /// Recorded Future's own maximum of items per request.
    max_items: usize,
    /// Indices into the indicator values, and the status that they are rejected with.
    rejected_values: Vec<(prop::sample::Index, u16)>,
    days: Vec<DayFaults>,
    search: SearchWorld,
}

fn header(code: u16, name: &str, value: &str) -> Fault {
    Fault::Status { code, headers: vec![(name.into(), value.into())], body: String::new() }
}

/// Generates the faults that any service can have.
fn any_fault() -> impl Strategy<Value = Fault> {
    let retry_at = NOW.parse::<DateTime<Utc>>().unwrap().timestamp() + 20;
    prop_oneof![
        12 => Just(Fault::None),
        3 => Just(Fault::Reset),
        3 => Just(Fault::ResetAfterProcessing),
        1 => Just(Fault::HangThenReset(Duration::from_millis(100))),
        1 => Just(Fault::HangThenRespond(Duration::from_millis(50))),
        2 => Just(Fault::Truncate),
        2 => Just(Fault::Html),
        2 => Just(Fault::HtmlAfterProcessing),
        1 => Just(Fault::Empty200),
        1 => Just(Fault::SlowBody(Duration::from_millis(30))),
        1 => Just(Fault::CloseConnection),
        1 => Just(Fault::GoAway),
        1 => Just(Fault::GoAwayWithError),
        1 => Just(Fault::RefuseStream),
        1 => Just(Fault::status(401, r#"{"message":"no"}"#)),
        1 => Just(Fault::status(403, r#"{"message":"no"}"#)),
        1 => Just(Fault::status(413, "")),
        2 => Just(Fault::status(429, "")),
        1 => Just(Fault::retry_after(429, "7")),
        1 => Just(Fault::retry_after(503, "Sun, 22 Nov 2026 00:15:30 GMT")),
        1 => Just(header(429, "X-RateLimit-RetryAfter", &retry_at.to_string())),
        1 => Just(Fault::retry_after(429, "3600")),
        1 => Just(Fault::retry_after(503, "0")),
        2 => Just(Fault::status(500, r#"{"message":"oops"}"#)),
        2 => Just(Fault::status(502, "<html><h1>Bad Gateway</h1></html>")),
        2 => prop::sample::select(&[408_u16, 425, 504, 520, 522, 524, 527, 529, 530])
            .prop_map(|code| Fault::status(code, "")),
    ]
}

/// Generates the faults of pages, whose rows or totals then contradict the other pages.
fn page_fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        Just(Fault::WithoutPagination),
        Just(Fault::RepeatedPage),
        Just(Fault::LoopingPage),
        Just(Fault::EmptyPage),
        // Which alerts are removed is chosen when the scenario runs.
        Just(Fault::RemoveAlerts(Vec::new())),
    ]
}

fn vendor_fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        8 => any_fault(),
        3 => page_fault(),
        1 => Just(Fault::ExpireAccessTokens),
        1 => Just(Fault::ExpirePageTokens),
    ]
}

/// Generates 2xx responses that do not confirm a batch, whether it was stored or not.
fn not_a_receipt() -> impl Strategy<Value = Fault> {
    let response = prop::sample::select(&NOT_RECEIPTS);
    (response, any::<bool>()).prop_map(|((code, body), stored)| {
        if stored {
            Fault::StatusAfterProcessing(code, body.into())
        } else {
            Fault::status(code, body)
        }
    })
}

fn recorded_future_fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        14 => any_fault(),
        3 => not_a_receipt(),
        1 => Just(Fault::status(400, r#"{"message":"bad"}"#)),
        1 => Just(Fault::status(422, r#"{"message":"bad"}"#)),
        1 => (1_u64..4).prop_map(Fault::FewerProcessed),
        1 => Just(Fault::WrongDebugEcho),
        1 => Just(Fault::status(429, r#"{"message":"Daily quota exceeded"}"#)),
    ]
}

/// Generates the faults of submissions on one day: random ones, sometimes followed by rejections of
/// everything, or by five lost responses, which are all attempts for a batch.
fn submission_faults() -> impl Strategy<Value = Vec<Fault>> {
    let some = || prop::collection::vec(recorded_future_fault(), 0..14);
    let rejection = Fault::status(400, r#"{"message":"bad"}"#);
    prop_oneof![
        9 => some(),
        1 => some().prop_map(move |mut faults| {
            faults.resize(faults.len() + 80, rejection.clone());
            faults
        }),
        2 => some().prop_map(|mut faults| {
            faults.resize(faults.len() + 5, Fault::ResetAfterProcessing);
            faults
        }),
    ]
}

fn date_header() -> impl Strategy<Value = DateHeader> {
    let text = |text: &str| Just(DateHeader::Text(text.into()));
    prop_oneof![
        8 => Just(DateHeader::default()),
        2 => Just(DateHeader::Absent),
        1 => text("soon"),
        1 => text("Thu, 01 Jan 1970 00:00:00 GMT"),
        1 => text("Fri, 31 Dec 9999 23:59:59 GMT"),
        // A copy from a cache, or a service whose own clock is a little wrong.
        1 => Just(DateHeader::Skew(TimeDelta::days(-30))),
        1 => Just(DateHeader::Skew(TimeDelta::minutes(4))),
    ]
}

fn clocks() -> impl Strategy<Value = Clocks> {
    const HOUR: i64 = 3600;
    let ahead = prop::sample::select(&[
        0,
        0,
        0,
        0,
        280,
        -280,
        600,
        -600,
        5 * HOUR,
        -5 * HOUR,
        -48 * HOUR,
        24 * HOUR,
        20 * 24 * HOUR,
        100 * 24 * HOUR,
        400 * 24 * HOUR,
    ]);
    (ahead, date_header(), date_header()).prop_map(|(ahead, vendor, recorded_future)| Clocks {
        ahead,
        vendor,
        recorded_future,
    })
}

/// Generates the faults of searches on one day: random ones, or every search fails.
fn search_faults() -> impl Strategy<Value = Vec<Fault>> {
    prop_oneof![
        5 => prop::collection::vec(prop_oneof![3 => any_fault(), 2 => page_fault()], 0..6),
        1 => Just(vec![Fault::status(503, ""); 20]),
    ]
}

/// Generates what Recorded Future's search finds, and when.
fn search_world() -> impl Strategy<Value = SearchWorld> {
    let change = |change: fn(&mut SearchWorld)| {
        let mut search = SearchWorld::default();
        change(&mut search);
        Just(search)
    };
    prop_oneof![
        4 => Just(SearchWorld::default()),
        1 => change(|search| search.is_allowed = false),
        1 => change(|search| search.lag = TimeDelta::hours(30)),
        1 => change(|search| search.merges_repeats = true),
        1 => change(|search| search.max_page_size = 2),
        1 => change(|search| (search.has_counts, search.max_page_size) = (false, 3)),
    ]
}

pub fn day_faults() -> impl Strategy<Value = DayFaults> {
    let faults = |max| prop::collection::vec(any_fault(), 0..max);
    let parts = (
        prop::bool::weighted(0.1),
        faults(3),
        prop::collection::vec(vendor_fault(), 0..8),
        submission_faults(),
        search_faults(),
        clocks(),
    );
    parts.prop_map(|(refuse_connections, sign_in, vendor, recorded_future, search, clocks)| {
        DayFaults {
            recoverable: false,
            refuse_connections,
            sign_in,
            vendor,
            recorded_future,
            search,
            clocks,
        }
    })
}

/// Generates faults that must not make a run fail: fewer per service, except the search, than the
/// attempts per request.
pub fn recoverable_day_faults() -> impl Strategy<Value = DayFaults> {
    let temporary = || {
        prop_oneof![
            3 => Just(Fault::None),
            1 => Just(Fault::Reset),
            1 => Just(Fault::GoAwayWithError),
            1 => Just(Fault::RefuseStream),
            1 => Just(Fault::Truncate),
            1 => Just(Fault::Html),
            1 => Just(Fault::Empty200),
            1 => Just(Fault::retry_after(429, "7")),
            1 => Just(Fault::status(503, "")),
        ]
    };
    let faults = |max| prop::collection::vec(temporary(), 0..max);
    let submission = prop_oneof![4 => temporary(), 1 => not_a_receipt()];
    let vendor =
        prop_oneof![2 => temporary(), 2 => page_fault(), 1 => Just(Fault::ExpirePageTokens)];
    let submissions = prop::collection::vec(submission, 0..5);
    let vendor = prop::collection::vec(vendor, 0..5);
    // No fault of a search makes a run fail.
    let parts = (faults(3), vendor, submissions, search_faults(), clocks());
    parts.prop_map(|(sign_in, vendor, recorded_future, search, clocks)| DayFaults {
        recoverable: true,
        refuse_connections: false,
        sign_in,
        vendor,
        recorded_future,
        search,
        clocks,
    })
}

fn scenario() -> impl Strategy<Value = Scenario> {
    let vendor = prop_oneof![Just(Vendor::CrowdStrike), Just(Vendor::CarbonBlack)];
    let day = prop_oneof![day_faults(), recoverable_day_faults()];
    let status = prop_oneof![Just(400_u16), Just(413), Just(422)];
    let parts = (
        vendor,
        (any::<bool>(), prop::sample::select(&Transport::ALL)),
        prop_oneof![3 => Just(10_u32), 1 => Just(1200)],
        prop_oneof![Just(5_usize), Just(1000)],
        (prop_oneof![Just(1_u32), Just(3), Just(7), Just(1000)], any::<bool>()),
        prop_oneof![3 => Just(usize::MAX), 1 => Just(2), 1 => Just(5)],
        prop::collection::vec((any::<prop::sample::Index>(), status), 0..3),
        (prop::collection::vec(day, 3), search_world()),
    );
    parts.prop_map(|parts| {
        let (vendor, (expired_token_in_body, transport), ignored, max_page_size, ..) = parts;
        let (.., (batch_size, sends_first), max_items, rejected_values, (days, search)) = parts;
        Scenario {
            vendor,
            transport,
            expired_token_in_body,
            ignored,
            max_page_size,
            batch_size,
            sends_first,
            max_items,
            rejected_values,
            days,
            search,
        }
    })
}

impl Clocks {
    fn right() -> Self {
        let (vendor, recorded_future) = (DateHeader::default(), DateHeader::default());
        Self { ahead: 0, vendor, recorded_future }
    }

    /// Whether no clock is wrong by a day or more. The texts in `date_header` do not count, because
    /// a run ignores them: they are not a date, or have an impossible year.
    fn are_right(&self) -> bool {
        let is_right = |date: &DateHeader| match date {
            DateHeader::Skew(skew) => skew.abs() < TimeDelta::days(1),
            DateHeader::Text(_) | DateHeader::Absent => true,
        };
        let ahead = TimeDelta::seconds(self.ahead.abs());
        ahead < TimeDelta::days(1) && is_right(&self.vendor) && is_right(&self.recorded_future)
    }
}

/// Returns the clocks of a day. Unless the vendor tells the first run the right time, the clock of
/// that run is not ahead: its window would begin too late, and no later run would know that the
/// alerts before it were not read.
fn clocks_on(day: u32, faults: &DayFaults) -> Clocks {
    let clocks = faults.clocks.clone();
    let knows_time = faults.recoverable && clocks.vendor == DateHeader::default();
    match day {
        1 if clocks.ahead > 0 && !knows_time => Clocks { ahead: 0, ..clocks },
        _ => clocks,
    }
}

/// Runs a scenario and checks the result.
fn check(scenario: &Scenario) {
    let (oracle, world) = Oracle::generate(scenario.vendor, DAYS + 1, 12, scenario.ignored);
    let env = TestEnv::new(scenario.transport.apply(world));
    let tenant = env.tenant(scenario.vendor.command());
    let values = oracle.values();
    env.sandbox.change(|world| {
        world.falcon.max_page_size = scenario.max_page_size;
        world.carbon_black.max_page_size = scenario.max_page_size;
        world.falcon.expired_token_in_body = scenario.expired_token_in_body;
        world.recorded_future.max_items = scenario.max_items;
        world.recorded_future.search = scenario.search.clone();
        let rejected = scenario.rejected_values.iter();
        world.recorded_future.rejected_values =
            rejected.map(|(index, status)| (index.get(&values).clone(), *status)).collect();
    });
    let sends_first = match scenario.vendor {
        _ if !scenario.sends_first => "",
        Vendor::CrowdStrike => " --daily-limit 0 --all-cids",
        Vendor::CarbonBlack => " --daily-limit 0",
    };
    let command = scenario.vendor.command();
    let arguments = format!("{command} --json --batch-size {}{sends_first}", scenario.batch_size);
    let mut waiting = 0;
    let mut runs = Vec::new();
    let mut run = |now: &str, clocks: &Clocks| {
        let first = env.sandbox.requests().len();
        let served = scenario.vendor.served_alerts(&env.sandbox).len();
        env.sandbox.change(|world| {
            world.set_vendor_date(&clocks.vendor);
            world.recorded_future.date = clocks.recorded_future.clone();
        });
        runs.push(PastRun {
            clock_is_right: clocks.are_right(),
            vendor_states_date: matches!(clocks.vendor, DateHeader::Skew(_)),
            recorded_future_states_date: matches!(clocks.recorded_future, DateHeader::Skew(_)),
            ..PastRun::new(first, now.parse().unwrap())
        });
        let output = env.run_with_clock(now, TimeDelta::seconds(clocks.ahead), &arguments);
        assert!((0..=5).contains(&output.code), "{output:?}");
        check_counts(&tenant, &output, first, waiting);
        oracle.check_fetched(&env.sandbox, &output, served, now.parse().unwrap());
        if !output.json()["window"].is_null() {
            waiting = output.count("waiting");
        }
        output
    };
    for (day, faults) in (1..).zip(&scenario.days) {
        faults.queue(scenario.vendor, &env.sandbox, &oracle);
        let output = run(&run_time(day), &clocks_on(day, faults));
        assert!(!faults.recoverable || [0, 3].contains(&output.code), "{output:?}");
        if faults.refuse_connections {
            env.sandbox.resume_listening();
        }
    }
    clear_faults(scenario.vendor, &env.sandbox);
    let output = run(&run_time(DAYS + 1), &Clocks::right());
    assert!([0, 3].contains(&output.code), "{output:?}");
    let counts = oracle.check(&tenant, &runs, response_lost);
    assert_eq!(counts.queued, 0);

    // Once nothing is rejected any more, the quarantined submissions arrive too.
    env.sandbox.change(|world| world.recorded_future.rejected_values.clear());
    env.run("outbox retry").assert_code(0);
    let quarantined = u64::from(counts.quarantined > 0);
    let first = env.sandbox.requests().len();
    let now = run_time(DAYS + 2);
    runs.push(PastRun::new(first, now.parse().unwrap()));
    let output = env.run_at(&now, &arguments).assert_code(0);
    assert!(output.assert_counts_add_up().count("carried_in") >= quarantined);
    let stored = env.sandbox.stored();
    let stored = stored.iter().filter(|stored| stored.request >= first).count();
    assert_eq!(usize::try_from(output.count("submitted")).unwrap(), stored);
    let counts = oracle.check(&tenant, &runs, response_lost);
    assert_eq!((counts.queued, counts.quarantined), (0, 0));
}

/// Checks this many generated cases.
pub fn check_cases<S: Strategy>(cases: u32, scenario: &S, check: impl Fn(&S::Value)) {
    let mut runner = TestRunner::new(Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 40,
        ..Config::default()
    });
    let outcome = runner.run(scenario, |scenario| {
        check(&scenario);
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

pub fn cases(default: u32) -> u32 {
    let requested = std::env::var("PROPTEST_CASES").ok();
    requested.and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn every_indicator_is_accounted_for_after_random_faults() {
    check_cases(cases(12), &scenario(), check);
}

#[test]
#[ignore = "long form: takes minutes"]
fn every_indicator_is_accounted_for_after_random_faults_in_300_cases() {
    check_cases(cases(300), &scenario(), check);
}
