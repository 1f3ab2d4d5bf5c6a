//! Tests batches in doubt: they were sent, but no response came. The next run searches Recorded
//! Future for them before it sends anything.

use chrono::TimeDelta;
use sandbox::world::SearchWorld;
use sandbox::{Fault, Service};
use serde_json::json;

use crate::support::alerts::{falcon, sha256};
use crate::support::falcon_run::RUN;
use crate::support::process::{RunningProcess, wait_until};
use crate::support::{NOW, RunOutput, TestEnv};

/// The time of the second run.
const NEXT_DAY: &str = "2026-11-23T00:15:00Z";

/// The number of attempts of a request within one run.
const ATTEMPTS: usize = 5;

/// Returns an environment after a run with three indicators, in batches of two. The first batch was
/// stored [`ATTEMPTS`] times, but no response came. The second batch was not sent.
fn in_doubt() -> TestEnv {
    in_doubt_after(Fault::ResetAfterProcessing, RUN)
}

/// Does the same with another fault of each attempt, and other arguments.
fn in_doubt_after(fault: Fault, arguments: &str) -> TestEnv {
    let env = env_with_indicators(3);
    env.sandbox.queue_faults(Service::RecordedFuture, vec![fault; ATTEMPTS]);
    let output = env.run(&format!("{arguments} --batch-size 2")).assert_code(5);
    // Indicators in doubt count as queued (`waiting`).
    assert_some_counts(&output, &[("submitted", 0), ("waiting", 3)]);
    assert_eq!(env.run("status --json").json()["sources"][0]["waiting"], 3);
    assert_eq!(env.request_count(Service::Search), 0, "attempts within a run do not search");
    env
}

/// Returns an environment with Falcon alerts for the indicators 1 to `count`.
fn env_with_indicators(count: u64) -> TestEnv {
    let alert = |number| falcon(&format!("cid:ind:{number}"), "hash_sha256", &sha256(number));
    TestEnv::falcon(&(1..=count).map(alert).collect::<Vec<_>>())
}

/// Asserts that the counts add up, and that these are as expected, whatever the others are.
#[track_caller]
fn assert_some_counts(output: &RunOutput, expected: &[(&str, u64)]) {
    output.assert_counts_add_up();
    let found: Vec<_> = expected.iter().map(|(name, _)| (*name, output.count(name))).collect();
    assert_eq!(found, expected);
}

/// Returns how often each of the three indicators was stored.
fn stored(env: &TestEnv) -> [usize; 3] {
    let values = env.stored_values();
    [1, 2, 3].map(|number| values.iter().filter(|value| **value == sha256(number)).count())
}

/// Changes the search of Recorded Future.
fn change_search(env: &TestEnv, change: impl FnOnce(&mut SearchWorld)) {
    env.sandbox.change(|world| change(&mut world.recorded_future.search));
}

#[test]
fn what_is_found_is_delivered_and_only_the_rest_is_sent() {
    let env = in_doubt();
    // Attempts within a run store the batch again.
    assert_eq!(stored(&env), [5, 5, 0]);
    let output = env.run_at(NEXT_DAY, RUN).assert_code(0);
    let counts = [("carried_in", 3), ("already_delivered", 2), ("submitted", 1), ("waiting", 0)];
    assert_some_counts(&output, &counts);
    assert_eq!(stored(&env), [5, 5, 1]);
    let search = env.sandbox.requests_to(Service::Search)[0].json().unwrap();
    let time = &env.items()[0]["timestamp"];
    assert_eq!(*time, "2026-11-21T08:00:00.123Z");
    let filters = json!({
        "detection_time": {"from": "2026-11-21T07:59:59.123Z", "to": "2026-11-21T08:00:01.123Z"},
        "indicator_type": ["hash"],
    });
    assert_eq!(search["filters"], filters);
    // Nothing is in doubt any more: a third run does not search.
    env.run_at(NEXT_DAY, RUN).assert_code(0);
    assert_eq!(env.request_count(Service::Search), 1);
    let verified = env.run_at("2026-11-25T00:15:00Z", "verify --json").assert_code(0).json();
    assert_eq!(verified["total"]["found"], 3);
}

#[test]
fn the_summary_with_what_was_found_adds_up() {
    let env = in_doubt();
    let output = env.run_at(NEXT_DAY, "crowdstrike").assert_code(0);
    let rows: Vec<&str> = output.stdout.lines().skip(1).map(str::trim_start).collect();
    let expected = [
        "alerts       0  fetched",
        "indicators  +3  queued by earlier runs",
        "-2  found in Recorded Future",
        "1  sent, 1 processed by Recorded Future",
    ];
    assert_eq!(rows, expected);
    output.assert_summary(&env);
}

#[test]
fn what_is_not_found_is_sent_again() {
    let finds_late: fn(&mut SearchWorld) = |search| search.lag = TimeDelta::days(3);
    let not_allowed: fn(&mut SearchWorld) = |search| search.is_allowed = false;
    let not_stored: fn(&mut SearchWorld) = |search| search.never_found = vec![sha256(1), sha256(2)];
    for change in [finds_late, not_allowed, not_stored] {
        let env = in_doubt();
        change_search(&env, change);
        let output = env.run_at(NEXT_DAY, RUN).assert_code(0);
        assert_some_counts(&output, &[("already_delivered", 0), ("submitted", 3)]);
        assert_eq!(stored(&env), [6, 6, 1]);
    }
}

#[test]
fn pages_of_the_search_that_do_not_add_up_end_the_doubt_without_losing_anything() {
    let env = in_doubt();
    change_search(&env, |search| search.max_page_size = 1);
    env.sandbox.always(Service::Search, Some(Fault::LoopingPage));
    let output = env.run_at(NEXT_DAY, RUN).assert_code(0);
    output.assert_counts_add_up();
    let found = output.count("already_delivered");
    assert_eq!(found + output.count("submitted"), 3);
    assert!(stored(&env).iter().all(|count| *count >= 1));
}

#[test]
fn what_was_never_stored_is_sent_once() {
    // Responses after which the batch may be stored, although it is not.
    for fault in [Fault::Reset, Fault::status(503, ""), Fault::Html, Fault::status(408, "")] {
        let env = in_doubt_after(fault.clone(), RUN);
        let output = env.run_at(NEXT_DAY, RUN).assert_code(0);
        assert_some_counts(&output, &[("already_delivered", 0), ("submitted", 3)]);
        assert_eq!(stored(&env), [1, 1, 1], "{fault:?}");
        assert_eq!(env.request_count(Service::Search), 1, "{fault:?}");
    }
}

#[test]
fn there_is_no_doubt_about_what_was_rejected_or_never_sent() {
    // 429: too many requests.
    let env = in_doubt_after(Fault::status(429, ""), RUN);
    env.run_at(NEXT_DAY, RUN).assert_code(0);
    assert_eq!(env.request_count(Service::Search), 0);
    let env = env_with_indicators(1);
    // Nothing listens on this port.
    let mut command = env.command(RUN);
    RunOutput::capture(command.env("RF_API_URL", "http://127.0.0.1:9")).assert_code(5);
    env.run_at(NEXT_DAY, RUN).assert_code(0);
    assert_eq!((env.request_count(Service::Search), env.items().len()), (0, 1));
}

#[test]
fn while_the_search_fails_the_batch_waits_up_to_two_days() {
    let env = in_doubt();
    env.sandbox.always(Service::Search, Some(Fault::status(503, "")));
    for now in [NEXT_DAY, "2026-11-23T23:15:00Z"] {
        let output = env.run_at(now, RUN).assert_code(0);
        output.assert_counts_add_up();
        assert_eq!((output.count("waiting"), output.count("already_delivered")), (2, 0), "{now}");
        let notes = output.notes();
        assert!(notes.iter().any(|note| note.contains("can be searched")), "{notes:?}");
    }
    assert_eq!(stored(&env), [5, 5, 1]);
    let output = env.run_at("2026-11-24T01:15:00Z", RUN).assert_code(0);
    assert_some_counts(&output, &[("submitted", 2), ("waiting", 0)]);
    assert_eq!(stored(&env), [6, 6, 1]);
    // When the search works again, its result counts.
    let env = in_doubt();
    env.sandbox.always(Service::Search, Some(Fault::Reset));
    env.run_at(NEXT_DAY, RUN).assert_code(0);
    env.sandbox.always(Service::Search, None);
    let output = env.run_at("2026-11-24T00:15:00Z", RUN).assert_code(0);
    assert_some_counts(&output, &[("already_delivered", 2), ("submitted", 0)]);
    assert_eq!(stored(&env), [5, 5, 1]);
}

#[test]
fn a_service_that_confirms_the_clock_after_the_search_failed_ends_an_old_doubt() {
    let env = in_doubt();
    // Without a response, a search confirms no clock. The run sends before it reads.
    env.sandbox.always(Service::Search, Some(Fault::Reset));
    let sends_first = format!("{RUN} --all-cids --daily-limit 0");
    let output = env.run_at(NEXT_DAY, &sends_first).assert_code(0);
    assert_some_counts(&output, &[("submitted", 1), ("waiting", 2)]);
    assert_eq!(output.notes().len(), 1, "{output:?}");
    let output = env.run_at("2026-11-26T00:15:00Z", &sends_first).assert_code(0);
    assert_some_counts(&output, &[("submitted", 2), ("waiting", 0)]);
    assert!(output.notes().iter().all(|note| !note.contains("stay queued")), "{output:?}");
}

#[test]
fn what_is_found_before_the_run_reads_is_counted() {
    let env = in_doubt();
    let sends_first = format!("{RUN} --all-cids --daily-limit 0");
    let output = env.run_at(NEXT_DAY, &sends_first).assert_code(0);
    assert_some_counts(&output, &[("already_delivered", 2), ("submitted", 1)]);
}

#[test]
fn what_this_run_leaves_in_doubt_is_for_the_next_one() {
    let env = in_doubt();
    env.sandbox.always(Service::Search, Some(Fault::Reset));
    env.sandbox.queue_faults(Service::RecordedFuture, vec![Fault::ResetAfterProcessing; 5]);
    let sends_first = format!("{RUN} --all-cids --daily-limit 0");
    env.run_at(NEXT_DAY, &sends_first).assert_code(5);
    assert_eq!(stored(&env), [5, 5, 5]);
    env.sandbox.always(Service::Search, None);
    let output = env.run_at("2026-11-24T00:15:00Z", &sends_first).assert_code(0);
    assert_some_counts(&output, &[("already_delivered", 3), ("submitted", 0)]);
    assert_eq!(stored(&env), [5, 5, 5]);
}

#[test]
fn a_wrong_clock_does_not_end_the_doubt_while_no_service_can_be_reached() {
    let env = in_doubt();
    let mut command = env.command_at("2026-11-30T00:15:00Z", RUN);
    let unreachable = "http://127.0.0.1:9";
    command.env("RF_API_URL", unreachable).env("CS_BASE_URL", unreachable);
    let output = RunOutput::capture(&mut command).assert_code(5);
    assert_some_counts(&output, &[("waiting", 3), ("already_delivered", 0)]);
    let output = env.run_at(NEXT_DAY, RUN).assert_code(0);
    assert_some_counts(&output, &[("already_delivered", 2), ("submitted", 1)]);
    assert_eq!(stored(&env), [5, 5, 1]);
}

#[test]
fn only_what_was_stored_for_the_same_organizations_is_found() {
    let organization = "crowdstrike --json --organization-id a";
    let env = in_doubt_after(Fault::ResetAfterProcessing, organization);
    // Nothing was ever sent for the organization b.
    let output = env.run_at(NEXT_DAY, "crowdstrike --json --organization-id b").assert_code(0);
    assert_some_counts(&output, &[("already_delivered", 0), ("submitted", 3)]);
    let env = in_doubt_after(Fault::ResetAfterProcessing, organization);
    let output =
        env.run_at(NEXT_DAY, "crowdstrike --json --organization-id uhash:a").assert_code(0);
    assert_some_counts(&output, &[("already_delivered", 2), ("submitted", 1)]);
}

#[test]
fn what_another_tenant_sent_for_other_organizations_does_not_count_as_delivered() {
    for (other, found) in [("--organization-id a", 0), ("", 2)] {
        let env = env_with_indicators(2);
        env.run(&format!("crowdstrike --tenant other {other}")).assert_code(0);
        // Of this tenant nothing is stored, but its alerts and indicators are the same.
        env.sandbox.queue_faults(Service::RecordedFuture, vec![Fault::Reset; ATTEMPTS]);
        env.run("crowdstrike --json --tenant own").assert_code(5);
        let output = env.run_at(NEXT_DAY, "crowdstrike --json --tenant own").assert_code(0);
        output.assert_counts_add_up();
        assert_eq!(output.count("already_delivered"), found, "{other}");
        assert_eq!(output.count("submitted"), 2 - found, "{other}");
    }
}

#[test]
fn a_run_that_is_ended_during_the_search_leaves_the_doubt() {
    let env = in_doubt();
    let hang = Fault::HangThenReset(std::time::Duration::from_mins(1));
    env.sandbox.queue_faults(Service::Search, vec![hang]);
    let mut running = RunningProcess::start(&mut env.command_at(NEXT_DAY, RUN));
    wait_until(|| env.request_count(Service::Search) == 1);
    running.signal("TERM");
    let output = running.finish().assert_code(143);
    assert_some_counts(&output, &[("waiting", 3), ("already_delivered", 0)]);
    let output = env.run_at(NEXT_DAY, RUN).assert_code(0);
    assert_some_counts(&output, &[("already_delivered", 2), ("submitted", 1)]);
}

#[test]
fn a_search_that_takes_a_quarter_of_the_time_is_given_up() {
    let env = in_doubt();
    let hang = Fault::HangThenReset(std::time::Duration::from_mins(5));
    env.sandbox.always(Service::Search, Some(hang));
    // A quarter of one minute.
    let output = env.run_at(NEXT_DAY, "crowdstrike --json --deadline 1").assert_code(0);
    assert_some_counts(&output, &[("already_delivered", 0), ("submitted", 3)]);
}

#[test]
fn a_dry_run_and_a_test_run_search_for_nothing() {
    let env = in_doubt();
    // `--debug` makes it a test run: Recorded Future validates, and stores nothing.
    let output = env.run_at(NEXT_DAY, "crowdstrike --json --dry-run").assert_code(0);
    assert_some_counts(&output, &[("would_submit", 3)]);
    let output = env.run_at(NEXT_DAY, "crowdstrike --json --debug").assert_code(0);
    assert_some_counts(&output, &[("submitted", 3)]);
    assert_eq!(env.request_count(Service::Search), 0);
    let output = env.run_at(NOW, RUN).assert_code(0);
    assert_some_counts(&output, &[("already_delivered", 2), ("submitted", 1)]);
}

#[test]
fn what_was_stored_before_its_batch_was_rejected_is_not_sent_again() {
    let env = env_with_indicators(3);
    // The first attempt stores all three, without a response. The second one is rejected: 413 (too
    // large). It is split, and the parts are not accepted now: 429 (too many requests).
    let mut faults = vec![Fault::ResetAfterProcessing, Fault::status(413, "")];
    faults.extend(vec![Fault::status(429, ""); 5]);
    env.sandbox.queue_faults(Service::RecordedFuture, faults);
    env.run(RUN).assert_code(5);
    assert_eq!(stored(&env), [1, 1, 1]);
    env.run_at(NEXT_DAY, RUN).assert_code(0);
    assert_eq!(stored(&env), [1, 1, 1]);
}

#[test]
fn what_was_stored_before_it_was_rejected_alone_is_not_sent_again() {
    let env = env_with_indicators(1);
    let faults = vec![Fault::ResetAfterProcessing, Fault::status(400, "")];
    env.sandbox.queue_faults(Service::RecordedFuture, faults);
    let output = env.run(RUN).assert_code(3);
    assert_some_counts(&output, &[("waiting", 1), ("quarantined", 0)]);
    output.assert_stderr(&["rejected 1 indicator", "may have stored it"]);
    let output = env.run_at(NEXT_DAY, RUN).assert_code(0);
    assert_some_counts(&output, &[("already_delivered", 1), ("submitted", 0)]);
    assert_eq!(stored(&env), [1, 0, 0]);
}

#[test]
fn what_was_rejected_in_doubt_and_is_not_found_goes_to_quarantine() {
    let env = env_with_indicators(1);
    // The first attempt gets no response and stores nothing. All others are rejected (400).
    let faults = vec![Fault::HangThenReset(std::time::Duration::from_millis(10))];
    env.sandbox.queue_faults(Service::RecordedFuture, faults);
    env.sandbox.change(|world| {
        world.recorded_future.rejected_values = [(sha256(1), 400)].into_iter().collect();
    });
    let output = env.run(RUN).assert_code(3);
    assert_some_counts(&output, &[("waiting", 1), ("quarantined", 0)]);
    // In the next run too, the first attempt gets no response and all others are rejected.
    env.sandbox.queue_faults(Service::RecordedFuture, vec![Fault::Reset]);
    let output = env.run_at(NEXT_DAY, RUN).assert_code(3);
    assert_some_counts(&output, &[("waiting", 0), ("quarantined", 1)]);
}

/// Brings the only indicator into quarantine, although it is stored. A first run fails with a 401
/// (wrong API key). The first attempt of the next run stores the indicator, without a response, and
/// the second one is rejected (400). Without the first run, the indicator would stay in doubt.
#[track_caller]
fn fail_then_store_and_reject(env: &TestEnv) {
    env.sandbox.queue_faults(Service::RecordedFuture, vec![Fault::status(401, "")]);
    env.run(RUN).assert_code(4);
    let faults = vec![Fault::ResetAfterProcessing, Fault::status(400, "")];
    env.sandbox.queue_faults(Service::RecordedFuture, faults);
    let output = env.run_at(NEXT_DAY, RUN).assert_code(3);
    assert_some_counts(&output, &[("waiting", 0), ("quarantined", 1)]);
}

#[test]
fn what_is_retried_after_a_rejection_in_doubt_is_searched_for_first() {
    let env = env_with_indicators(1);
    fail_then_store_and_reject(&env);
    assert_eq!(stored(&env), [1, 0, 0]);
    let output = env.run_at(NEXT_DAY, "outbox retry").assert_code(0);
    assert_eq!(output.stdout, "1 indicator is queued again for the next run\n");
    let output = env.run_at(NEXT_DAY, RUN).assert_code(0);
    assert_some_counts(&output, &[("already_delivered", 1), ("submitted", 0), ("waiting", 0)]);
    assert_eq!(stored(&env), [1, 0, 0]);
}

#[test]
fn what_a_killed_run_sent_is_searched_for_when_it_is_retried() {
    let env = env_with_indicators(1);
    let mut step = 1;
    // Kills runs at one crash point after the other, until the batch was stored before its response
    // is recorded. A killed run does not count as an attempt.
    while stored(&env) == [0, 0, 0] {
        let mut killed = env.command_at(NOW, RUN);
        killed.env("COLLECTIVE_INSIGHTS_TEST_KILL_AT", step.to_string());
        assert_eq!(RunOutput::capture(&mut killed).code, -1, "step {step}");
        step += 1;
    }
    // The batch is not found yet. It is sent again, and rejected.
    change_search(&env, |search| search.never_found = vec![sha256(1)]);
    env.sandbox.queue_faults(Service::RecordedFuture, vec![Fault::status(400, "")]);
    let output = env.run_at(NEXT_DAY, RUN).assert_code(3);
    assert_some_counts(&output, &[("quarantined", 1)]);
    env.run_at(NEXT_DAY, "outbox retry").assert_code(0);
    change_search(&env, |search| search.never_found = vec![]);
    let output = env.run_at(NEXT_DAY, RUN).assert_code(0);
    assert_some_counts(&output, &[("already_delivered", 1), ("submitted", 0), ("waiting", 0)]);
    assert_eq!(stored(&env), [1, 0, 0]);
}

#[test]
fn what_is_delivered_after_an_outbox_retry_with_a_wrong_clock_is_remembered() {
    let env = env_with_indicators(1);
    fail_then_store_and_reject(&env);
    // By this wrong clock, the delivery would be years old, and forgotten at once.
    env.run_at("2020-01-01T00:15:00Z", "outbox retry").assert_code(0);
    let output = env.run_at(NEXT_DAY, RUN).assert_code(0);
    assert_some_counts(&output, &[("already_delivered", 1), ("submitted", 0)]);
    // The alert is read again, and its indicator is known as delivered.
    let output = env.run_at(NEXT_DAY, &format!("{RUN} --hours 72")).assert_code(0);
    assert_some_counts(&output, &[("already_delivered", 1), ("submitted", 0)]);
    assert_eq!(stored(&env), [1, 0, 0]);
}

#[test]
fn many_rejections_in_doubt_stop_sending_as_well() {
    let env = env_with_indicators(64);
    env.sandbox.queue_faults(Service::RecordedFuture, vec![Fault::ResetAfterProcessing]);
    env.sandbox.queue_faults(Service::RecordedFuture, vec![Fault::status(400, ""); 200]);
    let output = env.run(RUN).assert_code(2);
    assert_some_counts(&output, &[("waiting", 64), ("quarantined", 0)]);
    env.sandbox.clear_faults(Service::RecordedFuture);
    let output = env.run_at(NEXT_DAY, RUN).assert_code(0);
    assert_some_counts(&output, &[("already_delivered", 64), ("submitted", 0)]);
}

#[test]
fn a_test_run_and_a_run_without_a_ledger_report_a_rejection_in_doubt_at_once() {
    for flags in ["--debug", "--no-ledger"] {
        let env = env_with_indicators(1);
        let faults = vec![Fault::ResetAfterProcessing, Fault::status(400, "")];
        env.sandbox.queue_faults(Service::RecordedFuture, faults);
        let output = env.run(&format!("{RUN} {flags}")).assert_code(3);
        assert_some_counts(&output, &[("waiting", 0), ("quarantined", 1)]);
    }
}
