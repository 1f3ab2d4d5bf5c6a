//! Tests runs on consecutive days that are late, over the daily limit or quota, overlapping or
//! incomplete: what they read and send, and what the next run does in addition.

use chrono::TimeDelta;
use sandbox::{DateHeader, Fault, Service, World};
use serde_json::{Value, json};

use crate::support::alerts::{carbonblack, falcon_at, hashes, sha256, with};
use crate::support::falcon_run::RUN;
use crate::support::json::text;
use crate::support::process::{RunningProcess, wait_for_requests};
use crate::support::{RunOutput, TestEnv};

fn test_env(alerts: &[Value]) -> TestEnv {
    TestEnv::new(World::default().falcon_alerts(alerts))
}

/// Returns the ids of the detections that were stored, in order.
fn detections(env: &TestEnv) -> Vec<String> {
    let stored = env.sandbox.stored();
    stored.iter().map(|stored| text(&stored.item, "/detection/id")).collect()
}

#[test]
fn three_missed_days_are_caught_up_with_one_note() {
    let env = test_env(&[
        falcon_at(1, "2026-11-18T08:00:00Z"),
        falcon_at(2, "2026-11-19T08:00:00Z"),
        falcon_at(3, "2026-11-20T08:00:00Z"),
        falcon_at(4, "2026-11-21T08:00:00Z"),
    ]);
    let first = env.run_at("2026-11-19T00:15:00Z", RUN).assert_code(0);
    assert_eq!(first.notes(), Vec::<String>::new());
    let output = env.run_at("2026-11-23T00:15:00Z", RUN).assert_code(0);
    assert_eq!(output.assert_counts_add_up().count("processed"), 3);
    assert_eq!(env.stored_values(), hashes(1..=4));
    let notes = output.notes();
    assert_eq!(notes.len(), 1);
    assert!(
        notes[0].starts_with("catching up: earlier runs read up to 2026-11-19T00:15:00Z"),
        "{notes:?}"
    );
    assert!(output.json()["window"]["start"].as_str().unwrap().starts_with("2026-11-18T22:15:00"));
}

#[test]
fn after_a_failed_first_run_nothing_older_than_its_window_is_sent() {
    let env = test_env(&[
        falcon_at(1, "2026-11-20T23:30:00Z"),
        falcon_at(2, "2026-11-21T00:15:30Z"),
        falcon_at(3, "2026-11-21T08:00:00Z"),
    ]);
    env.sandbox.always(Service::FalconAlerts, Some(Fault::status(403, "{}")));
    env.run_at("2026-11-22T00:15:00Z", "crowdstrike --hours 24").assert_code(4);
    env.sandbox.always(Service::FalconAlerts, None);
    env.run_at("2026-11-22T00:16:00Z", "crowdstrike --hours 24").assert_code(0);
    // Alert 2 is before the last 24 hours of the second run, which starts where the failed run did.
    assert_eq!(env.stored_values(), hashes([2, 3]));
}

#[test]
fn a_failed_run_does_not_skip_a_gap() {
    let env = test_env(&[falcon_at(1, "2026-11-10T08:00:00Z")]);
    env.run_at("2026-11-01T00:15:00Z", RUN).assert_code(0);
    let forbidden = Fault::status(403, "{}");
    env.sandbox.always(Service::FalconAlerts, Some(forbidden));
    let five_days = "crowdstrike --json --max-catch-up 5";
    env.run_at("2026-11-21T00:15:00Z", five_days).assert_code(4);
    env.sandbox.always(Service::FalconAlerts, None);
    // With a higher limit, the next run still reads the gap.
    env.run_at("2026-11-22T00:15:00Z", RUN).assert_code(0);
    assert_eq!(env.stored_values(), hashes([1]));
}

/// Returns the gaps that `status` shows at a time.
fn gaps(env: &TestEnv, now: &str) -> Vec<Value> {
    let status = env.run_at(now, "status --json").assert_code(0).json();
    status["sources"][0]["gaps"].as_array().unwrap().clone()
}

/// Returns an environment after a run that left a gap, and the output of that run.
fn env_with_gap(extra: &str) -> (TestEnv, RunOutput) {
    let env =
        test_env(&[falcon_at(1, "2026-11-10T08:00:00Z"), falcon_at(2, "2026-11-21T08:00:00Z")]);
    env.run_at("2026-11-01T00:15:00Z", RUN).assert_code(0);
    let run = format!("crowdstrike --max-catch-up 5 {extra}");
    let output = env.run_at("2026-11-22T00:15:00Z", &run);
    assert_eq!(env.stored_values(), hashes([2]));
    (env, output)
}

#[test]
fn a_gap_is_a_failure_of_the_run_that_leaves_it_and_shown_until_it_is_read() {
    const NEXT: &str = "2026-11-23T00:15:00Z";
    let (env, output) = env_with_gap("-q");
    output.assert_stderr(&["were not read", "--max-catch-up 5 days", "--accept-gap"]);
    let status = env.run_at(NEXT, "status --json").json()["sources"][0].clone();
    assert_eq!(output.assert_code(3).stderr.lines().count(), 2);
    assert!(status["last_success"].as_str().unwrap().starts_with("2026-11-01"), "{status}");
    // The gap starts two hours before the checkpoint: a run reads these again, for alerts that
    // arrived late.
    let start = "2026-10-31T22:15:00.";
    assert!(status["gaps"][0]["start"].as_str().unwrap().starts_with(start), "{status}");
    // Later runs succeed although there is a gap.
    env.run_at(NEXT, "crowdstrike -q").assert_code(0);
    let text = env.run_at(NEXT, "status").assert_code(0).stdout;
    assert!(text.contains("2026-10-31T22:15:00Z to 2026-11-17T00:15:00Z"), "{text}");
    // A part of the gap is read, which leaves two gaps. Then the rest is read with the options
    // that `status` names.
    let part = "crowdstrike --since 2026-11-05T00:00:00Z --until 2026-11-06T00:00:00Z";
    env.run_at(NEXT, part).assert_code(0);
    assert_eq!(gaps(&env, NEXT).len(), 2);
    let (_, options) = text.split_once("--since ").unwrap();
    let options = options.lines().next().unwrap().split(", or").next().unwrap();
    env.run_at(NEXT, &format!("crowdstrike --since {options}")).assert_code(0);
    assert_eq!((gaps(&env, NEXT), env.stored_values()), (vec![], hashes([1, 2])));
}

#[test]
fn accept_gap_gives_up_gaps_of_the_run_itself_and_of_earlier_runs() {
    const NEXT: &str = "2026-11-23T00:15:00Z";
    let (env, output) = env_with_gap("--json --accept-gap");
    let note = output.assert_code(0).notes().join("");
    assert!(note.contains("gave up the alerts from 2026-10-31T22:15:00Z"), "{note}");
    assert_eq!(gaps(&env, NEXT), Vec::<Value>::new());
    let (env, output) = env_with_gap("");
    output.assert_code(3);
    // A dry run gives up nothing, and neither does a run that cannot read.
    let dry_run = env.run_at(NEXT, "crowdstrike --accept-gap --dry-run").assert_code(0);
    assert!(dry_run.stdout.contains("would give up the alerts"), "{}", dry_run.stdout);
    env.sandbox.always(Service::FalconAlerts, Some(Fault::status(403, "{}")));
    env.run_at(NEXT, "crowdstrike --accept-gap").assert_code(4);
    env.sandbox.always(Service::FalconAlerts, None);
    assert_eq!(gaps(&env, NEXT).len(), 1);
    env.run_at(NEXT, "crowdstrike --accept-gap").assert_code(0);
    assert_eq!(gaps(&env, NEXT), Vec::<Value>::new());
}

#[test]
fn an_alert_about_an_old_event_is_sent_with_the_time_of_the_event() {
    let falcon_alert =
        with(falcon_at(1, "2026-11-21T08:00:00Z"), "timestamp", json!("2026-10-01T03:04:05.678Z"));
    let carbonblack_alert = with(
        carbonblack("c2", &sha256(2)),
        "detection_timestamp",
        json!("2026-10-02T03:04:05.678Z"),
    );
    let world =
        World::default().falcon_alerts(&[falcon_alert]).carbon_black_alerts(&[carbonblack_alert]);
    let env = TestEnv::new(world);
    env.run("crowdstrike").assert_code(0);
    env.run("carbonblack").assert_code(0);
    let stored = env.sandbox.stored();
    let times: Vec<String> = stored.iter().map(|stored| text(&stored.item, "/timestamp")).collect();
    assert_eq!(times, ["2026-10-01T03:04:05.678Z", "2026-10-02T03:04:05.678Z"]);
}

#[test]
fn an_alert_that_changed_after_the_last_run_is_found_by_the_overlap() {
    // Each window overlaps the one before by two hours.
    let without_indicator = with(falcon_at(1, "2026-11-21T23:30:00Z"), "ioc_value", json!(""));
    let env = test_env(&[without_indicator]);
    env.run_at("2026-11-22T00:15:00Z", RUN).assert_code(0);
    env.sandbox.change(|world| {
        world.falcon.alerts.clear();
        world.falcon.alerts.push(&falcon_at(1, "2026-11-21T23:30:00Z"));
    });
    env.run_at("2026-11-23T00:15:00Z", RUN).assert_code(0);
    assert_eq!(env.stored_values(), hashes([1]));
}

#[test]
fn overlapping_and_repeated_backfills_send_nothing_twice() {
    // Detections 1 and 5 mention the same indicator: they are merged, and both count as delivered.
    let same_indicator = with(falcon_at(5, "2026-11-20T09:00:00Z"), "ioc_value", json!(sha256(1)));
    let env = test_env(&[
        falcon_at(1, "2026-11-20T08:00:00Z"),
        same_indicator,
        falcon_at(2, "2026-11-20T18:00:00Z"),
        falcon_at(3, "2026-11-21T08:00:00Z"),
    ]);
    let span = |since, until| format!("{RUN} --since {since} --until {until}");
    let first = span("2026-11-20T00:00:00Z", "2026-11-21T00:00:00Z");
    let output = env.run_at("2026-11-22T00:15:00Z", &first).assert_code(0);
    assert_eq!((output.count("processed"), output.count("indicators_repeated")), (2, 1));
    let second = span("2026-11-20T12:00:00Z", "2026-11-21T12:00:00Z");
    let output = env.run_at("2026-11-22T00:16:00Z", &second).assert_code(0);
    assert_eq!((output.count("processed"), output.count("already_delivered")), (1, 1));
    let posts = env.sandbox.requests_to(Service::RecordedFuture).len();
    for (minute, again) in [(17, &first), (18, &second)] {
        let output = env.run_at(&format!("2026-11-22T00:{minute}:00Z"), again).assert_code(0);
        let found = output.assert_counts_add_up().count("indicators_found");
        assert_eq!((found, output.count("already_delivered")), (found, found));
    }
    assert_eq!(env.sandbox.requests_to(Service::RecordedFuture).len(), posts);
    assert_eq!(env.stored_values(), hashes([1, 2, 3]));
    // Only --resend sends them again.
    let output = env.run_at("2026-11-22T00:19:00Z", &format!("{first} --resend")).assert_code(0);
    assert_eq!(output.assert_counts_add_up().count("processed"), 2);
    assert_eq!(env.stored_values(), hashes([1, 1, 2, 2, 3]));
}

#[test]
fn a_new_detection_of_a_known_indicator_is_sent() {
    let same_indicator = with(falcon_at(2, "2026-11-21T08:00:00Z"), "ioc_value", json!(sha256(1)));
    let env = test_env(&[falcon_at(1, "2026-11-20T08:00:00Z"), same_indicator]);
    env.run_at("2026-11-21T00:15:00Z", RUN).assert_code(0);
    env.run_at("2026-11-22T00:15:00Z", RUN).assert_code(0);
    assert_eq!(detections(&env), ["id1", "id2"]);
    assert_eq!(env.stored_values(), hashes([1, 1]));
}

#[test]
fn the_most_severe_are_sent_before_the_daily_limit_is_reached_and_the_rest_later() {
    let alerts: Vec<Value> = (0..10)
        .map(|number| {
            with(falcon_at(number, "2026-11-21T08:00:00Z"), "severity", json!(10 + 7 * number))
        })
        .collect();
    let env = test_env(&alerts);
    let run = format!("{RUN} --daily-limit 4 --batch-size 3");
    let output = env.run_at("2026-11-22T00:15:00Z", &run).assert_code(0);
    output.assert_counts_add_up();
    assert_eq!((output.count("processed"), output.count("waiting")), (4, 6));
    assert_eq!(detections(&env), ["id9", "id8", "id7", "id6"]);
    let note = "daily limit of 4 indicators reached (--daily-limit): the most severe were sent, and the first run after midnight UTC sends the others";
    assert_eq!((output.notes(), output.stderr.as_str()), (vec![note.to_owned()], ""));
    // On the same day nothing more is sent, and Recorded Future gets no request.
    let posts = env.sandbox.requests_to(Service::RecordedFuture).len();
    let output = env.run_at("2026-11-22T12:00:00Z", &run).assert_code(0);
    let note = "daily limit of 4 indicators reached (--daily-limit): the first run after midnight UTC sends what is queued";
    assert_eq!(output.notes(), [note]);
    assert_eq!(env.sandbox.requests_to(Service::RecordedFuture).len(), posts);
    env.run_at("2026-11-23T00:15:00Z", &run).assert_code(0);
    let output = env.run_at("2026-11-24T00:15:00Z", &run).assert_code(0);
    output.assert_counts_add_up();
    assert_eq!((output.count("carried_in"), output.count("waiting")), (2, 0));
    assert_eq!(env.stored_values(), hashes(0..10));
    assert_eq!(detections(&env).last().unwrap(), "id0");
}

#[test]
fn queued_indicators_do_not_use_the_daily_limit_before_more_severe_new_ones() {
    let alert = |number, time, severity| with(falcon_at(number, time), "severity", json!(severity));
    let first_day = (0..4).map(|number| alert(number, "2026-11-21T08:00:00Z", 10));
    let second_day = (4..7).map(|number| alert(number, "2026-11-22T08:00:00Z", 90));
    let env = test_env(&first_day.chain(second_day).collect::<Vec<_>>());
    let run = format!("{RUN} --daily-limit 3");
    env.run_at("2026-11-22T00:15:00Z", &run).assert_code(0);
    assert_eq!(detections(&env), ["id0", "id1", "id2"]);
    let output = env.run_at("2026-11-23T00:15:00Z", &run).assert_code(0);
    output.assert_counts_add_up();
    assert_eq!((output.count("carried_in"), output.count("waiting")), (1, 1));
    assert_eq!(detections(&env)[3..], ["id4", "id5", "id6"]);
    // Without a limit, and with --all-cids, for which no alert has to show the customer, the queued
    // indicator is sent before the vendor is read.
    let hang = Fault::HangThenRespond(std::time::Duration::from_mins(1));
    env.sandbox.always(Service::FalconToken, Some(hang));
    let mut command =
        env.command_at("2026-11-23T01:15:00Z", &format!("{RUN} --all-cids --daily-limit 0"));
    let sign_ins = env.request_count(Service::FalconToken);
    let mut running = RunningProcess::start(&mut command);
    wait_for_requests(&env.sandbox, Service::FalconToken, sign_ins + 1);
    running.kill();
    assert_eq!(detections(&env)[6..], ["id3"]);
}

#[test]
fn without_a_ledger_a_reached_daily_limit_is_a_failure() {
    let env = test_env(&[1, 2].map(|number| falcon_at(number, "2026-11-21T08:00:00Z")));
    let run = format!("{RUN} --no-ledger --daily-limit 1");
    let output = env.run_at("2026-11-22T00:15:00Z", &run).assert_code(5);
    output.assert_stderr(&["daily limit of 1 indicators reached", "are lost"]);
}

#[test]
fn a_day_with_a_used_up_quota_of_recorded_future_is_a_success() {
    let env = test_env(&[falcon_at(1, "2026-11-20T08:00:00Z")]);
    let quota = Fault::status(429, r#"{"message":"Daily quota exceeded"}"#);
    env.sandbox.always(Service::RecordedFuture, Some(quota));
    let output = env.run_at("2026-11-21T00:15:00Z", RUN).assert_code(0);
    assert_eq!(output.assert_counts_add_up().count("waiting"), 1);
    assert!(output.notes()[0].contains("the daily quota of submissions is used up"), "{output:?}");
    let status = env.run_at("2026-11-21T00:15:00Z", "status --json").json();
    assert!(status["sources"][0]["last_success"].is_string());
    for (day, is_old) in [("2026-11-22", false), ("2026-11-23", false), ("2026-11-25", true)] {
        let output = env.run_at(&format!("{day}T00:15:00Z"), RUN).assert_code(0);
        let is_warned = output
            .notes()
            .iter()
            .any(|note| note.starts_with("1 indicator is queued, the oldest for "));
        assert_eq!(is_warned, is_old, "{day}: {output:?}");
    }
}

#[test]
fn an_outage_of_recorded_future_only_delays_submissions() {
    let env =
        test_env(&[falcon_at(1, "2026-11-20T08:00:00Z"), falcon_at(2, "2026-11-21T08:00:00Z")]);
    env.sandbox.always(Service::RecordedFuture, Some(Fault::status(503, "")));
    let output = env.run_at("2026-11-21T00:15:00Z", RUN).assert_code(5);
    assert_eq!(output.assert_counts_add_up().count("waiting"), 1);
    env.sandbox.always(Service::RecordedFuture, None);
    let output = env.run_at("2026-11-22T00:15:00Z", RUN).assert_code(0);
    output.assert_counts_add_up();
    assert_eq!((output.count("carried_in"), output.count("processed")), (1, 2));
    assert_eq!(detections(&env), ["id1", "id2"]);
}

#[test]
fn resend_sends_what_is_queued_and_read_again_only_once() {
    let env = test_env(&[falcon_at(1, "2026-11-20T23:30:00Z")]);
    env.sandbox.always(Service::RecordedFuture, Some(Fault::status(503, "")));
    env.run_at("2026-11-21T00:15:00Z", RUN).assert_code(5);
    env.sandbox.always(Service::RecordedFuture, None);
    let again = format!("{RUN} --resend");
    let output = env.run_at("2026-11-21T01:15:00Z", &again).assert_code(0);
    assert_eq!(output.assert_counts_add_up().count("indicators_repeated"), 1);
    assert_eq!(env.stored_values(), hashes([1]));
}

#[test]
fn queued_submissions_are_sent_even_if_the_vendor_is_unreachable() {
    let env = test_env(&[falcon_at(1, "2026-11-20T08:00:00Z")]);
    env.sandbox.always(Service::RecordedFuture, Some(Fault::status(503, "")));
    env.run_at("2026-11-21T00:15:00Z", RUN).assert_code(5);
    env.sandbox.always(Service::RecordedFuture, None);
    env.sandbox.always(Service::FalconToken, Some(Fault::Reset));
    let output = env.run_at("2026-11-22T00:15:00Z", RUN).assert_code(5);
    output.assert_counts_add_up();
    assert_eq!((output.count("carried_in"), output.count("processed")), (1, 1));
    assert_eq!(env.stored_values(), hashes([1]));
}

#[test]
fn a_clock_that_is_behind_the_checkpoint_does_not_move_it() {
    let env =
        test_env(&[falcon_at(1, "2026-11-20T20:00:00Z"), falcon_at(2, "2026-11-21T20:00:00Z")]);
    env.run_at("2026-11-22T00:15:00Z", RUN).assert_code(0);
    let before =
        env.run_at("2026-11-22T00:15:00Z", "status --json").json()["sources"][0]["read_until"]
            .clone();
    // No service sends the time.
    env.sandbox.change(|world| {
        world.set_vendor_date(&DateHeader::Absent);
        world.recorded_future.date = DateHeader::Absent;
    });
    let behind = TimeDelta::days(-1);
    let output = env.run_with_clock("2026-11-22T00:15:00Z", behind, RUN).assert_code(3);
    output.assert_stderr(&["is in the future (2026-11-22T00:15:00Z)", "no service confirmed"]);
    assert_eq!(env.stored_values(), hashes([1, 2]), "the alerts that were read are still sent");
    let after =
        env.run_at("2026-11-22T00:15:00Z", "status --json").json()["sources"][0]["read_until"]
            .clone();
    assert_eq!(before, after);
}

#[test]
fn a_backfill_does_not_move_the_checkpoint_past_a_gap() {
    let env =
        test_env(&[falcon_at(1, "2026-11-18T08:00:00Z"), falcon_at(2, "2026-11-21T08:00:00Z")]);
    env.run_at("2026-11-18T00:15:00Z", RUN).assert_code(0);
    let backfill = format!("{RUN} --since 2026-11-21T00:00:00Z");
    env.run_at("2026-11-22T00:15:00Z", &backfill).assert_code(0);
    assert_eq!(env.stored_values(), hashes([2]));
    env.run_at("2026-11-22T00:20:00Z", RUN).assert_code(0);
    assert_eq!(env.stored_values(), hashes([1, 2]));
}
