//! Tests of the daily quota of a Recorded Future key that several tenants share. Each tenant may
//! send its share, the limit divided by the tenants; what a tenant leaves goes to the most severe
//! indicators of the others.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use sandbox::{DateHeader, Fault, Service, World};
use serde_json::{Value, json};

use crate::support::alerts::{falcon, with};
use crate::support::json::text;
use crate::support::process::{RunningProcess, wait_until};
use crate::support::tenants_env::{TenantServices, TenantsEnv, by_tenant};
use crate::support::vendor::Vendor;
use crate::support::{NOW, RunOutput};

/// The tenants of most tests, in the order of the settings file.
const NAMES: [&str; 3] = ["calm", "busy", "severe"];

/// Returns a tenant with this many alerts of each of these severities, and with this daily limit (0
/// for none). All of them have one key, unless a test takes it away.
fn tenant(name: &str, alerts: &[(u64, u32)], limit: u32) -> TenantServices {
    let alerts: Vec<Value> = alerts
        .iter()
        .flat_map(|(severity, count)| {
            (0..*count).map(move |number| {
                let domain = format!("{name}-{severity}-{number}.example.com");
                let alert = falcon(&format!("{name}:{severity}:{number}"), "domain", &domain);
                with(alert, "severity", json!(severity))
            })
        })
        .collect();
    TenantServices::new(name, Vendor::CrowdStrike, World::default().falcon_alerts(&alerts))
        .setting(&format!("daily-limit = {limit}"))
        .with_key_of("shared")
}

fn env(tenants: Vec<TenantServices>) -> TenantsEnv {
    TenantsEnv::with_shared_recorded_future(tenants)
}

/// Returns how many indicators of each severity each tenant sent: `severe-90` -> 4.
fn sent(env: &TenantsEnv) -> BTreeMap<String, usize> {
    let mut sent = BTreeMap::new();
    for stored in env.home.sandbox.stored() {
        let value = text(&stored.item, "/ioc/value");
        let (kind, _) = value.rsplit_once('-').unwrap();
        *sent.entry(kind.to_owned()).or_default() += 1;
    }
    sent
}

fn counts(output: &RunOutput, name: &str) -> [u64; 3] {
    let outputs = by_tenant(output);
    NAMES.map(|tenant| outputs[tenant].count(name))
}

/// Returns the tenants in [`NAMES`].
fn three_tenants(limit: u32) -> Vec<TenantServices> {
    vec![
        tenant("calm", &[(10, 2)], limit),
        tenant("busy", &[(20, 30)], limit),
        tenant("severe", &[(20, 10), (90, 20)], limit),
    ]
}

#[test]
fn each_tenant_sends_its_share_and_what_is_left_goes_to_the_most_severe() {
    for jobs in [1, 2, 4] {
        let env = env(three_tenants(30));
        let output = env.run(&format!("run --json --jobs {jobs}")).assert_code(0);
        // The share is 30 / 3 = 10. The 8 that `calm` leaves go to the most severe.
        assert_eq!(counts(&output, "submitted"), [2, 10, 18], "with {jobs} jobs");
        assert_eq!(counts(&output, "waiting"), [0, 20, 12]);
        let expected = [("busy-20", 10), ("calm-10", 2), ("severe-90", 18)];
        assert_eq!(sent(&env), expected.map(|(kind, count)| (kind.to_owned(), count)).into());
        let outputs = by_tenant(&output);
        for name in ["busy", "severe"] {
            let notes = outputs[name].notes();
            assert!(
                notes[0].contains(
                    "its part of the daily limit of 30 indicators (--daily-limit), which 3"
                ),
                "{notes:?}"
            );
        }
        // Nothing more is sent on this day. The next day, the queued indicators are sent.
        let again = env.run("run --json").assert_code(0);
        assert_eq!(counts(&again, "submitted"), [0, 0, 0]);
        let next = RunOutput::capture(&mut env.command_at("2026-11-23T00:15:00Z", "run --json"));
        // Of the same severity, what was queued first is sent first: the indicators of the tenant
        // that was read first. The other tenant still has its share.
        let [calm, busy, severe] = counts(&next, "submitted");
        assert_eq!((calm, busy + severe), (0, 30), "{next:?}");
        assert!(busy >= 10 && severe >= 10, "{next:?}");
        assert!(jobs > 1 || busy == 20, "{next:?}");
    }
}

#[test]
fn the_limit_holds_with_small_batches_of_tenants_at_the_same_time() {
    let tenants =
        three_tenants(29).into_iter().map(|tenant| tenant.setting("batch-size = 1")).collect();
    let env = env(tenants);
    env.home.sandbox.change(|world| world.latency = Duration::from_millis(5));
    let output = env.run("run --json --jobs 4").assert_code(0);
    assert_eq!(counts(&output, "submitted").iter().sum::<u64>(), 29);
    assert_eq!(env.home.sandbox.stored().len(), 29);
    // The share is 9. What is left, 2 of the limit and 7 of `calm`, goes to the most severe.
    assert_eq!(counts(&output, "submitted"), [2, 9, 18]);
}

#[test]
fn a_limit_below_the_number_of_tenants_goes_to_the_most_severe() {
    let env = env(three_tenants(2));
    let output = env.run("run --json").assert_code(0);
    assert_eq!(counts(&output, "submitted"), [0, 0, 2]);
}

#[test]
fn what_was_sent_earlier_on_the_day_counts() {
    let env = env(three_tenants(30));
    env.run("run --json --tenant severe").assert_code(0);
    assert_eq!(sent(&env)["severe-90"], 20, "a tenant that runs alone has the whole quota");
    let output = env.run("run --json").assert_code(0);
    assert_eq!(counts(&output, "submitted"), [0, 0, 0]);
}

#[test]
fn the_share_of_a_tenant_that_fails_is_left_to_the_others() {
    let env = env(three_tenants(30));
    env.services("busy").sandbox.always(Service::FalconToken, Some(Fault::status(401, "")));
    let output = env.run("run --json").assert_code(4);
    assert_eq!(counts(&output, "submitted"), [2, 0, 28]);
}

#[test]
fn a_tenant_that_hangs_does_not_hold_back_the_share_of_others() {
    let tenants =
        three_tenants(30).into_iter().map(|tenant| tenant.setting("timeout = 2")).collect();
    let env = env(tenants);
    let hang = Fault::HangThenReset(Duration::from_secs(5));
    env.services("calm").sandbox.always(Service::FalconAlerts, Some(hang));
    let output = env.run("run --json --jobs 4").assert_code(5);
    assert_eq!(counts(&output, "submitted"), [0, 10, 20]);
    let requests = env.home.sandbox.requests();
    let starts: Vec<_> = requests.iter().map(|request| request.started).collect();
    // The shares were sent long before `calm` gave up, and its share after that.
    assert!(starts[2] - starts[0] > Duration::from_secs(2), "{starts:?}");
    assert!(starts[1] - starts[0] < Duration::from_secs(2), "{starts:?}");
}

#[test]
fn tenants_with_keys_of_their_own_have_the_whole_quota_each() {
    let alone = |tenant: TenantServices| TenantServices { key_of: None, ..tenant };
    let env = env(three_tenants(20).into_iter().map(alone).collect());
    let output = env.run("run --json").assert_code(0);
    assert_eq!(counts(&output, "submitted"), [2, 20, 20]);
}

#[test]
fn without_a_limit_every_tenant_sends_everything() {
    let env = env(three_tenants(0));
    let output = env.run("run --json").assert_code(0);
    assert_eq!(counts(&output, "submitted"), [2, 30, 30]);
}

#[test]
fn the_whole_limit_is_used_where_some_are_rejected() {
    let many = |name, limit| tenant(name, &[(50, 40)], limit).setting("batch-size = 7");
    for jobs in [2, 4] {
        let env = env(NAMES.map(|name| many(name, 60)).into());
        env.home.sandbox.change(|world| {
            world.latency = Duration::from_millis(2);
            let of = |name| (0..10).map(move |number| format!("{name}-50-{number}.example.com"));
            world.recorded_future.rejected_values =
                NAMES.iter().flat_map(of).map(|value| (value, 400)).collect();
        });
        let output = env.run(&format!("run --json --jobs {jobs}")).assert_code(3);
        assert_eq!(counts(&output, "submitted"), [20, 20, 20]);
        assert_eq!(env.home.sandbox.stored().len(), 60);
    }
}

#[test]
fn the_limit_is_that_of_the_key_wherever_it_is_sent() {
    let mut tenants = three_tenants(30);
    let last = tenants.remove(2);
    let other = last.sandbox.url().replace("127.0.0.1", "localhost");
    // The same key with another address of Recorded Future.
    let settings = last.settings.replace("rf-api-url", "# rf-api-url");
    let last = TenantServices { settings, ..last }.setting(&format!("rf-api-url = \"{other}\""));
    tenants.push(last);
    let env = env(tenants);
    let output = env.run("run --json --jobs 4");
    assert_eq!(counts(&output, "submitted").iter().sum::<u64>(), 30, "{output:?}");
}

#[test]
fn wrong_clocks_of_vendors_give_no_tenant_the_quota_of_another_day() {
    let env = env(three_tenants(30));
    let ahead = DateHeader::Skew(TimeDelta::hours(24));
    for (name, jobs) in [("calm", 1), ("severe", 4)] {
        env.services(name).sandbox.change(|world| world.falcon.date = ahead.clone());
        let output = env.run(&format!("run --json --jobs {jobs}"));
        let stored = env.home.sandbox.stored().len();
        assert!(stored <= 30, "{stored} sent, the clock of {name}'s vendor ahead: {output:?}");
    }
}

#[test]
fn a_signal_ends_runs_that_wait_for_quota_at_once_and_as_interrupted() {
    let env = env(three_tenants(6));
    let hang = Fault::HangThenReset(Duration::from_mins(1));
    env.services("calm").sandbox.always(Service::FalconAlerts, Some(hang));
    let mut running = RunningProcess::start(&mut env.command_at(NOW, "run --json --jobs 4"));
    // The shares of two tenants were sent.
    wait_until(|| env.home.sandbox.stored().len() == 4);
    std::thread::sleep(Duration::from_millis(300));
    let started = Instant::now();
    running.signal("TERM");
    let output = running.finish().assert_code(143);
    // The documented limit is 5 s; a machine under load may need longer to end a process.
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    for (name, one) in by_tenant(&output) {
        assert_eq!(one.code, 143, "{name}: {one:?}");
    }
    assert_eq!(env.home.sandbox.stored().len(), 4);
    assert_eq!(counts(&output, "waiting"), [0, 28, 28]);
}

#[test]
fn the_batches_of_one_key_are_sent_one_after_the_other() {
    let env = env(three_tenants(0));
    env.home.sandbox.change(|world| world.latency = Duration::from_millis(20));
    env.run("run --json --jobs 4").assert_code(0);
    assert!(!env.home.sandbox.overlapping_posts());
}

#[test]
fn a_dry_run_says_that_others_share_the_limit() {
    let env = env(three_tenants(30));
    let outputs = by_tenant(&env.run("run --json --dry-run").assert_code(0));
    assert_eq!(outputs["calm"].notes(), <[&str; 0]>::default());
    let note =
        "3 tenants share the daily limit of 30 indicators: a run may send fewer for this one";
    assert!(
        outputs["severe"].notes().contains(&note.to_owned()),
        "{:?}",
        outputs["severe"].notes()
    );
}

#[test]
fn a_connection_from_before_the_wait_is_not_needed_after_it() {
    // After the wait, a tenant sends on another runtime, where its old connections do not work.
    let env = env(three_tenants(30));
    env.home
        .sandbox
        .queue_faults(Service::RecordedFuture, vec![Fault::None, Fault::CloseConnection]);
    let output = env.run("run --json --jobs 1").assert_code(0);
    assert_eq!(counts(&output, "submitted").iter().sum::<u64>(), 30);
}

#[test]
fn runs_that_continue_after_a_long_wait_do_not_exceed_the_number_of_jobs() {
    let names = ["late", "one", "two", "three", "four", "five", "six", "seven"];
    // The share is 20: each other tenant then has two indicators left, and waits for `late` so long
    // that it would count as stalled. Then they send for several progress lines of the log.
    let alerts = |name: &str| if name == "late" { 1 } else { 22 };
    let env = env(names.map(|name| tenant(name, &[(50, alerts(name))], 160)).into());
    env.services("late").sandbox.change(|world| world.latency = Duration::from_secs(3));
    env.home.sandbox.change(|world| world.latency = Duration::from_millis(300));
    let mut command = env.command_at(NOW, "run --json --jobs 2");
    command.env("COLLECTIVE_INSIGHTS_TEST_WAIT_DIVISOR", "10");
    RunOutput::capture(&mut command).assert_code(0);
    let log = env.home.log();
    let running: Vec<u64> = log
        .lines()
        .filter(|line| line.contains("running tenants"))
        .map(|line| {
            let (_, number) = line.split_once(" running=").unwrap();
            number.split(' ').next().unwrap().parse().unwrap()
        })
        .collect();
    assert!(running.len() > 3, "{log}");
    assert!(running.iter().all(|running| *running <= 2), "{running:?}");
}
