//! Tests runs on a machine, or with a service, whose clock is wrong: what they read, send, keep and
//! report.

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::Connection;
use sandbox::{DateHeader, Fault, Service};
use serde_json::{Value, json};

use crate::support::alerts::hashes;
use crate::support::vendor::Vendor;
use crate::support::{RunOutput, TestEnv};

/// The right times of four runs, a day apart.
const DAYS: [&str; 4] = [
    "2026-11-22T00:15:00Z", "2026-11-23T00:15:00Z", "2026-11-24T00:15:00Z", "2026-11-25T00:15:00Z",
];

/// The time of the first alert. The first run reads the alerts of 24 hours, from a minute before.
const FIRST_ALERT: &str = "2026-11-21T00:16:00Z";

/// The number of alerts from [`FIRST_ALERT`] to the last of [`DAYS`], one per hour.
const HOURS: u64 = 4 * 24;

/// Returns an environment with [`HOURS`] alerts, of which the first run reads the first 24.
fn hourly(vendor: Vendor) -> TestEnv {
    let start: DateTime<Utc> = FIRST_ALERT.parse().unwrap();
    let alerts: Vec<Value> = (0..HOURS)
        .map(|hour| vendor.alert(hour, start + TimeDelta::hours(hour.try_into().unwrap())))
        .collect();
    TestEnv::new(vendor.world(&alerts))
}

/// Returns the arguments of a run.
fn run(vendor: Vendor) -> String {
    format!("{} --json", vendor.command())
}

/// Returns the arguments of a run that sends what is queued before it reads: it has no limit per
/// day and accepts all customers, so it does not have to see the alerts first.
fn unlimited(vendor: Vendor) -> String {
    let all = if vendor == Vendor::CrowdStrike { "--all-cids" } else { "" };
    format!("{} --daily-limit 0 {all}", run(vendor))
}

/// Returns all notes of a run as one text.
fn notes(output: &RunOutput) -> String {
    output.notes().join("\n")
}

/// Returns what `status` reports of the only tenant at this time.
fn status(env: &TestEnv, now: &str) -> Value {
    let output = env.run_with_clock(now, TimeDelta::zero(), "status --json").assert_code(0);
    output.json()["sources"][0].clone()
}

/// Returns the indicators of all alerts, sorted.
fn all_hashes() -> Vec<String> {
    let mut hashes = hashes(0..HOURS);
    hashes.sort();
    hashes
}

/// Makes both vendors close every connection, or respond again.
fn set_reachable(env: &TestEnv, reachable: bool) {
    for service in [Service::FalconToken, Service::CarbonBlack] {
        env.sandbox.always(service, (!reachable).then_some(Fault::Reset));
    }
}

#[test]
fn a_clock_that_is_ahead_or_behind_on_some_days_loses_nothing() {
    for vendor in Vendor::ALL {
        for hours in [5, -5] {
            let env = hourly(vendor);
            // The clock is wrong on the first and the third day.
            for (day, ahead) in DAYS.into_iter().zip([hours, 0, hours, 0]) {
                let output = env.run_with_clock(day, TimeDelta::hours(ahead), &run(vendor));
                let output = output.assert_code(0);
                let warned = notes(&output).contains("this machine's clock is");
                assert_eq!(warned, ahead != 0, "{vendor:?} {ahead}: {output:?}");
                let direction = if ahead > 0 { "5 h ahead of" } else { "5 h behind" };
                assert!(!warned || notes(&output).contains(direction), "{}", notes(&output));
                let window = output.json()["window"].clone();
                assert!(window["end"].as_str().unwrap().starts_with(&day[..16]), "{window}");
                let read_until = status(&env, day)["read_until"].clone();
                assert!(read_until.as_str().unwrap().starts_with(&day[..16]), "{read_until}");
            }
            assert_eq!(env.stored_values(), all_hashes(), "{vendor:?} {hours}");
        }
    }
}

#[test]
fn a_clock_that_is_always_wrong_loses_nothing() {
    for vendor in Vendor::ALL {
        for ahead in [TimeDelta::hours(5), TimeDelta::hours(-5), TimeDelta::days(100)] {
            let env = hourly(vendor);
            for day in DAYS {
                env.run_with_clock(day, ahead, &run(vendor)).assert_code(0);
            }
            assert_eq!(env.stored_values(), all_hashes(), "{vendor:?} {ahead}");
        }
    }
}

#[test]
fn a_difference_of_less_than_five_minutes_is_not_reported() {
    for vendor in Vendor::ALL {
        for seconds in [290, -290] {
            let env = hourly(vendor);
            for day in DAYS {
                let ahead = TimeDelta::seconds(seconds);
                let output = env.run_with_clock(day, ahead, &run(vendor)).assert_code(0);
                assert_eq!(notes(&output), "");
            }
            let stored = env.stored_values().len();
            // With a clock that is ahead, the first window begins after the first alert.
            assert!(stored >= all_hashes().len() - 1, "{vendor:?}: {stored}");
        }
    }
}

#[test]
fn a_run_far_in_the_future_without_the_vendor_forgets_nothing() {
    for vendor in Vendor::ALL {
        let env = hourly(vendor);
        env.run_at(DAYS[0], &run(vendor)).assert_code(0);
        let before = status(&env, DAYS[0]);
        set_reachable(&env, false);
        env.run_with_clock(DAYS[1], TimeDelta::days(100), &run(vendor)).assert_code(5);
        set_reachable(&env, true);
        let after = status(&env, DAYS[1]);
        for key in ["read_until", "last_success"] {
            assert_eq!(after[key], before[key], "{vendor:?} {key}");
        }
        // A run with the right time sends nothing again, although it reads all alerts again.
        let again = format!("{} --since {FIRST_ALERT}", run(vendor));
        env.run_at(DAYS[1], &again).assert_code(0);
        assert_eq!(env.stored_values(), hashes(0..48), "{vendor:?}");
    }
}

#[test]
fn a_run_400_days_ahead_does_not_switch_off_catching_up() {
    for vendor in Vendor::ALL {
        for reachable in [true, false] {
            let env = hourly(vendor);
            env.run_at(DAYS[0], &run(vendor)).assert_code(0);
            set_reachable(&env, reachable);
            let ahead = TimeDelta::days(400);
            let code = if reachable { 0 } else { 5 };
            env.run_with_clock("2026-11-22T12:15:00Z", ahead, &run(vendor)).assert_code(code);
            set_reachable(&env, true);
            // There were no runs on the two days before.
            env.run_at(DAYS[3], &run(vendor)).assert_code(0);
            assert_eq!(env.stored_values(), all_hashes(), "{vendor:?} {reachable}");
            let status = status(&env, DAYS[3]);
            for key in ["read_until", "last_success", "last_run"] {
                let time = status[key].as_str().unwrap();
                assert!(time.starts_with("2026-11-25T00:15"), "{vendor:?} {key}: {status}");
            }
        }
    }
}

#[test]
fn a_first_run_with_a_wrong_clock_and_no_vendor_sets_no_checkpoint() {
    for vendor in Vendor::ALL {
        for days in [400, -20] {
            let env = hourly(vendor);
            set_reachable(&env, false);
            env.run_with_clock(DAYS[0], TimeDelta::days(days), &run(vendor)).assert_code(5);
            set_reachable(&env, true);
            assert_eq!(status(&env, DAYS[0])["read_until"], json!(null));
            for day in DAYS {
                env.run_at(day, &run(vendor)).assert_code(0);
            }
            assert_eq!(env.stored_values(), all_hashes(), "{vendor:?} {days}");
        }
    }
}

#[test]
fn a_failed_run_with_the_right_time_replaces_the_first_window_of_one_with_a_wrong_time() {
    for vendor in Vendor::ALL {
        let env = hourly(vendor);
        set_reachable(&env, false);
        env.run_with_clock(DAYS[0], TimeDelta::days(400), &run(vendor)).assert_code(5);
        env.run_at(DAYS[1], &run(vendor)).assert_code(5);
        set_reachable(&env, true);
        env.run_at(DAYS[3], &run(vendor)).assert_code(0);
        assert_eq!(env.stored_values(), hashes(24..HOURS), "{vendor:?}");
    }
}

#[test]
fn without_a_date_of_any_service_the_checkpoint_stays_and_nothing_is_lost() {
    let absurd = ["soon", "Thu, 01 Jan 1970 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT"];
    let headers = absurd.map(|text| DateHeader::Text(text.into()));
    for vendor in Vendor::ALL {
        for header in headers.iter().chain([&DateHeader::Absent]) {
            let env = hourly(vendor);
            env.run_at(DAYS[0], &run(vendor)).assert_code(0);
            let before = status(&env, DAYS[0]);
            env.sandbox.change(|world| {
                world.set_vendor_date(header);
                world.recorded_future.date = header.clone();
            });
            for day in &DAYS[1..3] {
                let output = env.run_at(day, &run(vendor)).assert_code(3);
                output.assert_stderr(&["no service confirmed this machine's clock"]);
                let after = status(&env, day);
                for key in ["read_until", "last_success"] {
                    assert_eq!(after[key], before[key], "{vendor:?} {key} {header:?}");
                }
            }
            env.sandbox.change(|world| world.set_vendor_date(&DateHeader::default()));
            env.run_at(DAYS[3], &run(vendor)).assert_code(0);
            assert_eq!(env.stored_values(), all_hashes(), "{vendor:?} {header:?}");
        }
    }
}

/// Sets a column of the only tenant in the ledger.
fn set(env: &TestEnv, column: &str, value: &str) {
    let db = Connection::open(env.path("collective-insights.db")).unwrap();
    db.execute(&format!("UPDATE tenant SET {column} = ?1"), [value]).unwrap();
}

/// Returns the number of rows of a table of the ledger.
fn rows(env: &TestEnv, table: &str) -> i64 {
    let db = Connection::open(env.path("collective-insights.db")).unwrap();
    db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
}

#[test]
fn a_checkpoint_in_the_future_is_reported_and_can_be_set_back() {
    for vendor in Vendor::ALL {
        let env = hourly(vendor);
        env.run_at(DAYS[0], &run(vendor)).assert_code(0);
        let first = status(&env, DAYS[0]);
        assert_eq!(first["read_until_in_future"], false);
        set(&env, "read_until", "2027-12-27T00:15:00.000Z");
        // There was no run on the day before, and its alerts are not read now.
        let output = env.run_at(DAYS[2], &run(vendor)).assert_code(3);
        output.assert_stderr(&[
            "the checkpoint of this source is in the future (2027-12-27T00:15:00Z)",
            "collective-insights checkpoint reset",
        ]);
        env.run_at(DAYS[2], &format!("{} --dry-run", run(vendor))).assert_code(3);
        let found = status(&env, DAYS[2]);
        assert_eq!(found["read_until_in_future"], true);
        assert_eq!(found["last_success"], first["last_success"]);
        let text = env.run_at(DAYS[2], "status").assert_code(0).stdout;
        assert!(text.contains("2027-12-27T00:15:00Z (in the future"), "{text}");

        let output = env.run_at(DAYS[2], "checkpoint reset").assert_code(2);
        output.assert_stderr(&["refusing to set 1 checkpoint back", "--yes"]);
        let output = env.run_at(DAYS[2], "checkpoint reset --yes").assert_code(0);
        assert!(output.stdout.starts_with("1 checkpoint set back"), "{}", output.stdout);
        let output = env.run_at(DAYS[2], "checkpoint reset --yes").assert_code(0);
        assert_eq!(output.stdout, "no checkpoint is in the future\n");
        env.run_at(DAYS[3], &run(vendor)).assert_code(0);
        assert_eq!(env.stored_values(), all_hashes(), "{vendor:?}");
        assert!(status(&env, DAYS[3])["read_until"].as_str().unwrap().starts_with("2026-11-25"));
    }
}

#[test]
fn a_first_window_in_the_future_is_forgotten_with_its_checkpoint() {
    let env = hourly(Vendor::CrowdStrike);
    env.run_at(DAYS[0], "crowdstrike").assert_code(0);
    set(&env, "read_from", "2027-12-26T00:15:00.000Z");
    set(&env, "read_until", "2027-12-27T00:15:00.000Z");
    env.run_at(DAYS[1], "checkpoint reset --yes").assert_code(0);
    assert_eq!(status(&env, DAYS[1])["read_until"], json!(null));
    env.run_at(DAYS[1], "crowdstrike").assert_code(0);
    assert_eq!(env.stored_values(), hashes(0..48));
}

#[test]
fn an_exact_span_is_read_as_given_and_cannot_end_after_the_right_time() {
    for vendor in Vendor::ALL {
        for hours in [5, -5] {
            let env = hourly(vendor);
            let ahead = TimeDelta::hours(hours);
            let span =
                |until: &str| format!("{} --since {FIRST_ALERT} --until {until}", run(vendor));
            let output = env.run_with_clock(DAYS[0], ahead, &span("2026-11-21T06:00:00Z"));
            assert!(notes(&output.assert_code(0)).contains("this machine's clock is 5 h"));
            assert_eq!(env.stored_values(), hashes(0..6), "{vendor:?}");
            assert_eq!(env.request_count(vendor.service()), 1, "nothing is read again");
            // One hour after the right time: if the clock is ahead, only the vendor can show that.
            let output = env.run_with_clock(DAYS[0], ahead, &span("2026-11-22T01:15:00Z"));
            output.assert_code(2).assert_stderr(&["--until is in the future"]);
            // Without `--until`, the window ends at the right time.
            let since = format!("{} --since {FIRST_ALERT}", run(vendor));
            let output = env.run_with_clock(DAYS[0], ahead, &since).assert_code(0);
            let end = output.json()["window"]["end"].clone();
            assert!(end.as_str().unwrap().starts_with("2026-11-22T00:15"), "{end}");
            assert_eq!(env.stored_values(), hashes(0..24), "{vendor:?}");
        }
    }
}

#[test]
fn a_run_without_a_ledger_and_a_dry_run_use_the_right_time_too() {
    for vendor in Vendor::ALL {
        for hours in [5, -5] {
            let env = hourly(vendor);
            let ahead = TimeDelta::hours(hours);
            let output = env.run_with_clock(DAYS[0], ahead, &format!("{} --dry-run", run(vendor)));
            assert_eq!(output.assert_code(0).count("would_submit"), 24);
            env.run_with_clock(DAYS[0], ahead, &format!("{} --no-ledger", run(vendor)))
                .assert_code(0);
            assert_eq!(env.stored_values(), hashes(0..24), "{vendor:?}");
            // Such a run sets no checkpoint, so no service has to confirm the clock.
            env.sandbox.change(|world| {
                world.set_vendor_date(&DateHeader::Absent);
                world.recorded_future.date = DateHeader::Absent;
            });
            for arguments in ["--no-ledger", "--dry-run"] {
                env.run_at(DAYS[0], &format!("{} {arguments}", run(vendor))).assert_code(0);
            }
        }
    }
}

#[test]
fn one_date_that_agrees_counts_more_than_others() {
    let stale = |code: u16| Fault::Status {
        code,
        headers: vec![("Date".into(), "Thu, 01 Oct 2026 00:15:00 GMT".into())],
        body: "{}".into(),
    };
    let env = hourly(Vendor::CrowdStrike);
    // The first sign-in and the first request for alerts fail with a wrong date, as from a cache.
    env.sandbox.queue_faults(Service::FalconToken, vec![stale(503), Fault::None]);
    env.sandbox.queue_faults(Service::FalconAlerts, vec![stale(401)]);
    for day in DAYS {
        let output = env.run_at(day, &run(Vendor::CrowdStrike)).assert_code(0);
        assert_eq!(notes(&output), "");
    }
    assert_eq!(env.stored_values(), all_hashes());
}

#[test]
fn recorded_future_confirms_the_clock_where_the_vendor_sends_no_date() {
    for vendor in Vendor::ALL {
        let env = hourly(vendor);
        env.sandbox.always(Service::RecordedFuture, Some(Fault::status(503, "")));
        env.run_at(DAYS[0], &run(vendor)).assert_code(5);
        env.sandbox.always(Service::RecordedFuture, None);
        env.sandbox.change(|world| world.set_vendor_date(&DateHeader::Absent));
        // What is queued is sent first, so its response has the time before the vendor is read.
        env.run_at(DAYS[1], &unlimited(vendor)).assert_code(0);
        let read_until = status(&env, DAYS[1])["read_until"].clone();
        assert!(read_until.as_str().unwrap().starts_with("2026-11-23T00:15"), "{read_until}");
        assert_eq!(env.stored_values(), hashes(0..48), "{vendor:?}");
    }
}

#[test]
fn a_delivery_with_a_wrong_clock_counts_on_the_right_day_and_expires_nothing() {
    for vendor in Vendor::ALL {
        let env = hourly(vendor);
        env.run_at(DAYS[0], &run(vendor)).assert_code(0);
        env.sandbox.always(Service::RecordedFuture, Some(Fault::status(503, "")));
        env.run_at(DAYS[1], &run(vendor)).assert_code(5);
        env.sandbox.always(Service::RecordedFuture, None);
        let sightings = rows(&env, "sighting");
        set_reachable(&env, false);
        // Recorded Future corrects the clock, so the deliveries count on the right day.
        let run = unlimited(vendor);
        env.run_with_clock(DAYS[1], TimeDelta::days(100), &run).assert_code(5);
        assert_eq!(status(&env, DAYS[1])["used_today"], 24, "{vendor:?}");
        assert_eq!(rows(&env, "sighting"), sightings);
        assert_eq!(env.stored_values(), hashes(0..48), "{vendor:?}");
    }
}

#[test]
fn a_service_with_a_date_far_ahead_expires_nothing() {
    for vendor in Vendor::ALL {
        let env = hourly(vendor);
        env.run_at(DAYS[0], &run(vendor)).assert_code(0);
        let date = DateHeader::Skew(TimeDelta::days(100));
        env.sandbox.change(|world| world.set_vendor_date(&date));
        // By the date of the service, the last run was 101 days ago.
        let output = env.run_at(DAYS[1], &run(vendor)).assert_code(3);
        output.assert_stderr(&["were not read: they are older than --max-catch-up 30 days"]);
        assert!(notes(&output).contains("this machine's clock is 100 days behind"));
        env.sandbox.change(|world| world.set_vendor_date(&DateHeader::default()));
        assert!(rows(&env, "sighting") >= 24);
        // The checkpoint of that run is in the future, until it is set back.
        env.run_at(DAYS[2], &run(vendor)).assert_code(3);
        env.run_at(DAYS[2], "checkpoint reset --yes").assert_code(0);
        env.run_at(DAYS[3], &run(vendor)).assert_code(0);
        assert_eq!(env.stored_values(), all_hashes(), "{vendor:?}");
    }
}
