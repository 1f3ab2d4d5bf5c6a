//! The oracle test: random faults over all services for several nights, then quiet. Whatever was handed
//! out must have arrived unchanged, or stand where the promise says, and nothing else may have.
//!
//! A failing case is printed as the story it tells. More of them with `PROPTEST_CASES=500`, or the long
//! form: `cargo test --test e2e oracle -- --ignored`.

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use sandbox::{Fault, Service};

use crate::support::oracle::{Oracle, Vendor, broke_after_storing, night, numbers};
use crate::support::{NOW, Stage};

const NIGHTS: u32 = 3;

/// One night: what goes wrong with each service's requests, in their order.
#[derive(Debug, Clone)]
struct Night {
    refused: bool,
    sign_in: Vec<Fault>,
    vendor: Vec<Fault>,
    recorded_future: Vec<Fault>,
}

/// One case.
#[derive(Debug, Clone)]
struct Story {
    vendor: Vendor,
    /// Alerts a night that name nothing; with more than a thousand there are several pages.
    idle: u32,
    batch_size: u32,
    /// Indices into the values, and the status they are refused with.
    poison: Vec<(prop::sample::Index, u16)>,
    nights: Vec<Night>,
}

fn header(code: u16, name: &str, value: &str) -> Fault {
    Fault::Status { code, headers: vec![(name.into(), value.into())], body: String::new() }
}

/// What can go wrong with any service.
fn any_fault() -> impl Strategy<Value = Fault> {
    let epoch = NOW.parse::<chrono::DateTime<chrono::Utc>>().unwrap().timestamp() + 20;
    prop_oneof![
        12 => Just(Fault::None),
        3 => Just(Fault::ResetBefore),
        3 => Just(Fault::ResetAfter),
        1 => Just(Fault::HangThenClose(Duration::from_millis(100))),
        1 => Just(Fault::HangThenAnswer(Duration::from_millis(50))),
        2 => Just(Fault::Truncate),
        2 => Just(Fault::Garbage),
        2 => Just(Fault::GarbageAfter),
        1 => Just(Fault::Empty200),
        1 => Just(Fault::SlowBody(Duration::from_millis(30))),
        1 => Just(Fault::status(401, r#"{"message":"no"}"#)),
        1 => Just(Fault::status(403, r#"{"message":"no"}"#)),
        1 => Just(Fault::status(413, "")),
        2 => Just(Fault::status(429, "")),
        1 => Just(Fault::retry_after(429, "7")),
        1 => Just(Fault::retry_after(503, "Sun, 22 Nov 2026 00:15:30 GMT")),
        1 => Just(header(429, "X-RateLimit-RetryAfter", &epoch.to_string())),
        1 => Just(Fault::retry_after(429, "3600")),
        2 => Just(Fault::status(500, r#"{"message":"oops"}"#)),
        2 => Just(Fault::status(502, "<html><h1>Bad Gateway</h1></html>")),
        1 => Just(Fault::status(504, "")),
    ]
}

fn falcon_fault() -> impl Strategy<Value = Fault> {
    prop_oneof![8 => any_fault(), 1 => Just(Fault::ExpireTokens), 1 => Just(Fault::ExpireAfter)]
}

fn recorded_future_fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        14 => any_fault(),
        1 => Just(Fault::status(400, r#"{"message":"bad"}"#)),
        1 => Just(Fault::status(422, r#"{"message":"bad"}"#)),
        1 => (1_u64..4).prop_map(Fault::ShortProcessed),
        1 => Just(Fault::WrongDebugEcho),
        1 => Just(Fault::status(429, r#"{"message":"Daily quota exceeded"}"#)),
    ]
}

fn a_night() -> impl Strategy<Value = Night> {
    let faults = |most| prop::collection::vec(any_fault(), 0..most);
    let parts = (
        prop::bool::weighted(0.1),
        faults(3),
        prop::collection::vec(falcon_fault(), 0..8),
        prop::collection::vec(recorded_future_fault(), 0..14),
    );
    parts.prop_map(|(refused, sign_in, vendor, recorded_future)| Night {
        refused,
        sign_in,
        vendor,
        recorded_future,
    })
}

fn story() -> impl Strategy<Value = Story> {
    let vendor = prop_oneof![Just(Vendor::Falcon), Just(Vendor::CarbonBlack)];
    let status = prop_oneof![Just(400_u16), Just(413), Just(422)];
    let parts = (
        vendor,
        prop_oneof![3 => Just(10_u32), 1 => Just(1200)],
        prop_oneof![Just(1_u32), Just(3), Just(7), Just(1000)],
        prop::collection::vec((any::<prop::sample::Index>(), status), 0..3),
        prop::collection::vec(a_night(), 3),
    );
    parts.prop_map(|(vendor, idle, batch_size, poison, nights)| Story {
        vendor,
        idle,
        batch_size,
        poison,
        nights,
    })
}

/// Plays a story to its end and judges it.
fn play(story: &Story) {
    let (oracle, world) = Oracle::world(story.vendor, NIGHTS + 1, 12, story.idle);
    let stage = Stage::new(world);
    let values = oracle.values();
    stage.sandbox.change(|world| {
        let poison = story.poison.iter();
        world.recorded_future.poison =
            poison.map(|(index, status)| (index.get(&values).clone(), *status)).collect();
    });
    let arguments = format!("{} --json --batch-size {}", story.vendor.command(), story.batch_size);
    let mut waiting = 0;
    let mut run = |now: &str| {
        let first = stage.sandbox.requests().len();
        let ran = stage.run_at(now, &arguments);
        assert!((0..=5).contains(&ran.code), "{ran:?}");
        numbers(&stage, &ran, first, waiting);
        if !ran.json()["window"].is_null() {
            waiting = ran.count("waiting");
        }
        ran
    };
    let services = [Service::FalconToken, story.vendor.service(), Service::RecordedFuture];
    for (number, faults) in (1..).zip(&story.nights) {
        let scripts = [&faults.sign_in, &faults.vendor, &faults.recorded_future];
        for (service, script) in services.into_iter().zip(scripts) {
            stage.sandbox.script(service, script.clone());
        }
        if faults.refused {
            stage.sandbox.pause_listening();
        }
        run(&night(number));
        if faults.refused {
            stage.sandbox.resume_listening();
        }
    }
    for service in services {
        stage.sandbox.end_faults(service);
    }
    let ran = run(&night(NIGHTS + 1));
    assert!([0, 3].contains(&ran.code), "{ran:?}");
    let verdict = oracle.judge(&stage, broke_after_storing);
    assert_eq!(verdict.waiting, 0);

    // A person mends what was refused, and then everything is there.
    stage.sandbox.change(|world| world.recorded_future.poison.clear());
    stage.run("outbox retry").ended(0);
    let quarantined = u64::from(verdict.quarantined > 0);
    let first = stage.sandbox.requests().len();
    let ran = stage.run_at(&night(NIGHTS + 2), &arguments).ended(0);
    assert!(ran.adds_up().count("carried_in") >= quarantined);
    let told = stage.sandbox.stored();
    let told = told.iter().filter(|stored| stored.request >= first).count();
    assert_eq!(usize::try_from(ran.count("submitted")).unwrap(), told);
    let verdict = oracle.judge(&stage, broke_after_storing);
    assert_eq!((verdict.waiting, verdict.quarantined), (0, 0));
}

fn tell(cases: u32) {
    let mut runner = TestRunner::new(Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 40,
        ..Config::default()
    });
    let outcome = runner.run(&story(), |story| {
        play(&story);
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

fn cases(default: u32) -> u32 {
    let asked = std::env::var("PROPTEST_CASES").ok();
    asked.and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn whatever_fails_everything_is_accounted_for() {
    tell(cases(12));
}

#[test]
#[ignore = "the long form: minutes"]
fn whatever_fails_everything_is_accounted_for_at_length() {
    tell(cases(300));
}
