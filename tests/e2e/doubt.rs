//! Batches in doubt: sent, and no response came. The next run looks for them before it sends
//! anything.

use chrono::TimeDelta;
use sandbox::world::SearchWorld;
use sandbox::{Fault, Service};
use serde_json::{Value, json};

use crate::support::alerts::{falcon, sha256};
use crate::support::process::{RunningProcess, wait_until};
use crate::support::{NOW, RunOutput, TestEnv};

const NEXT_DAY: &str = "2026-11-23T00:15:00Z";
const RUN: &str = "crowdstrike --json";

/// Returns an environment in which three indicators were sent in two batches. The first one was
/// stored, but the connection died before its response, however often it was sent.
fn in_doubt() -> TestEnv {
    in_doubt_after(Fault::ResetAfterProcessing, RUN)
}

fn in_doubt_after(fault: Fault, arguments: &str) -> TestEnv {
    let alerts: Vec<Value> = (1..=3)
        .map(|number| falcon(&format!("cid:ind:{number}"), "hash_sha256", &sha256(number)))
        .collect();
    let env = TestEnv::falcon(&alerts);
    env.sandbox.queue_faults(Service::RecordedFuture, vec![fault; 5]);
    let output = env.run(&format!("{arguments} --batch-size 2")).assert_code(5);
    // In doubt they are queued.
    assert_some(&output, &[("submitted", 0), ("waiting", 3)]);
    assert_eq!(env.run("status --json").json()["sources"][0]["waiting"], 3);
    assert_eq!(env.request_count(Service::Search), 0, "tries within a run do not search");
    env
}

/// Asserts that the counts add up, and that these are as expected.
#[track_caller]
fn assert_some(output: &RunOutput, expected: &[(&str, u64)]) {
    output.assert_sums();
    let found: Vec<_> = expected.iter().map(|(name, _)| (*name, output.count(name))).collect();
    assert_eq!(found, expected);
}

/// Returns how often each of the three indicators was stored.
fn stored(env: &TestEnv) -> [usize; 3] {
    let values = env.stored_values();
    [1, 2, 3].map(|number| values.iter().filter(|value| **value == sha256(number)).count())
}

fn search_world(env: &TestEnv, change: impl FnOnce(&mut SearchWorld)) {
    env.sandbox.change(|world| change(&mut world.recorded_future.search));
}

#[test]
fn what_is_found_is_delivered_and_only_the_rest_is_sent() {
    let env = in_doubt();
    // Five tries of one batch, as without a response within a run.
    assert_eq!(stored(&env), [5, 5, 0]);
    let output = env.run_at(NEXT_DAY, RUN).assert_code(0);
    let counts = [("carried_in", 3), ("already_delivered", 2), ("submitted", 1), ("waiting", 0)];
    assert_some(&output, &counts);
    assert_eq!(stored(&env), [5, 5, 1]);
    let search = env.sandbox.requests_to(Service::Search)[0].json().unwrap();
    let time = &env.items()[0]["timestamp"];
    assert_eq!(*time, "2026-11-21T08:00:00.123Z");
    let filters = json!({
        "detection_time": {"from": "2026-11-21T07:59:59.123Z", "to": "2026-11-21T08:00:01.123Z"},
        "indicator_type": ["hash"],
    });
    assert_eq!(search["filters"], filters);
    // Nothing is in doubt any more.
    env.run_at(NEXT_DAY, RUN).assert_code(0);
    assert_eq!(env.request_count(Service::Search), 1);
    let verified = env.run_at("2026-11-25T00:15:00Z", "verify --json").assert_code(0).json();
    assert_eq!(verified["total"]["found"], 3);
}

#[test]
fn what_is_not_found_is_sent_again() {
    let lag: fn(&mut SearchWorld) = |search| search.lag = TimeDelta::days(3);
    let refused: fn(&mut SearchWorld) = |search| search.is_allowed = false;
    let lost: fn(&mut SearchWorld) = |search| search.never_found = vec![sha256(1), sha256(2)];
    for change in [lag, refused, lost] {
        let env = in_doubt();
        search_world(&env, change);
        let output = env.run_at(NEXT_DAY, RUN).assert_code(0);
        assert_some(&output, &[("already_delivered", 0), ("submitted", 3)]);
        assert_eq!(stored(&env), [6, 6, 1]);
    }
}

#[test]
fn pages_that_do_not_add_up_end_the_doubt_without_losing_anything() {
    let env = in_doubt();
    search_world(&env, |search| search.max_page_size = 1);
    env.sandbox.always(Service::Search, Some(Fault::LoopingPage));
    let output = env.run_at(NEXT_DAY, RUN).assert_code(0);
    output.assert_sums();
    let found = output.count("already_delivered");
    assert_eq!(found + output.count("submitted"), 3);
    assert!(stored(&env).iter().all(|count| *count >= 1));
}

#[test]
fn what_was_never_stored_is_sent_once() {
    for fault in [Fault::Reset, Fault::status(503, ""), Fault::Html, Fault::status(408, "")] {
        let env = in_doubt_after(fault.clone(), RUN);
        let output = env.run_at(NEXT_DAY, RUN).assert_code(0);
        assert_some(&output, &[("already_delivered", 0), ("submitted", 3)]);
        assert_eq!(stored(&env), [1, 1, 1], "{fault:?}");
        assert_eq!(env.request_count(Service::Search), 1, "{fault:?}");
    }
}

#[test]
fn there_is_no_doubt_about_what_was_refused_or_never_sent() {
    let env = in_doubt_after(Fault::status(429, ""), RUN);
    env.run_at(NEXT_DAY, RUN).assert_code(0);
    assert_eq!(env.request_count(Service::Search), 0);
    let env = TestEnv::falcon(&[falcon("1", "hash_sha256", &sha256(1))]);
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
        output.assert_sums();
        assert_eq!((output.count("waiting"), output.count("already_delivered")), (2, 0), "{now}");
        let notes = output.notes();
        assert!(notes.iter().any(|note| note.contains("can be searched")), "{notes:?}");
    }
    assert_eq!(stored(&env), [5, 5, 1]);
    let output = env.run_at("2026-11-24T01:15:00Z", RUN).assert_code(0);
    assert_some(&output, &[("submitted", 2), ("waiting", 0)]);
    assert_eq!(stored(&env), [6, 6, 1]);
    // Once it works, it counts.
    let env = in_doubt();
    env.sandbox.always(Service::Search, Some(Fault::Reset));
    env.run_at(NEXT_DAY, RUN).assert_code(0);
    env.sandbox.always(Service::Search, None);
    let output = env.run_at("2026-11-24T00:15:00Z", RUN).assert_code(0);
    assert_some(&output, &[("already_delivered", 2), ("submitted", 0)]);
    assert_eq!(stored(&env), [5, 5, 1]);
}

#[test]
fn a_wrong_clock_does_not_end_the_doubt_while_no_service_can_be_reached() {
    let env = in_doubt();
    let mut command = env.command_at("2026-11-30T00:15:00Z", RUN);
    let unreachable = "http://127.0.0.1:9";
    command.env("RF_API_URL", unreachable).env("CS_BASE_URL", unreachable);
    let output = RunOutput::capture(&mut command).assert_code(5);
    assert_some(&output, &[("waiting", 3), ("already_delivered", 0)]);
    let output = env.run_at(NEXT_DAY, RUN).assert_code(0);
    assert_some(&output, &[("already_delivered", 2), ("submitted", 1)]);
    assert_eq!(stored(&env), [5, 5, 1]);
}

#[test]
fn a_row_has_to_be_for_all_organizations() {
    let organization = "crowdstrike --json --organization-id a";
    let env = in_doubt_after(Fault::ResetAfterProcessing, organization);
    // For another one it was never sent.
    let output = env.run_at(NEXT_DAY, "crowdstrike --json --organization-id b").assert_code(0);
    assert_some(&output, &[("already_delivered", 0), ("submitted", 3)]);
    let env = in_doubt_after(Fault::ResetAfterProcessing, organization);
    let output =
        env.run_at(NEXT_DAY, "crowdstrike --json --organization-id uhash:a").assert_code(0);
    assert_some(&output, &[("already_delivered", 2), ("submitted", 1)]);
}

#[test]
fn what_another_tenant_sent_to_other_organizations_is_not_taken_for_the_own() {
    for (other, found) in [("--organization-id a", 0), ("", 2)] {
        let env = TestEnv::falcon(&[
            falcon("cid:ind:1", "hash_sha256", &sha256(1)),
            falcon("cid:ind:2", "hash_sha256", &sha256(2)),
        ]);
        env.run(&format!("crowdstrike --tenant other {other}")).assert_code(0);
        // Nothing of this one is stored, but its alerts are the same.
        env.sandbox.queue_faults(Service::RecordedFuture, vec![Fault::Reset; 5]);
        env.run("crowdstrike --json --tenant own").assert_code(5);
        let output = env.run_at(NEXT_DAY, "crowdstrike --json --tenant own").assert_code(0);
        output.assert_sums();
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
    assert_some(&output, &[("waiting", 3), ("already_delivered", 0)]);
    let output = env.run_at(NEXT_DAY, RUN).assert_code(0);
    assert_some(&output, &[("already_delivered", 2), ("submitted", 1)]);
}

#[test]
fn a_search_that_takes_a_quarter_of_the_time_is_given_up() {
    let env = in_doubt();
    let hang = Fault::HangThenReset(std::time::Duration::from_mins(5));
    env.sandbox.always(Service::Search, Some(hang));
    // 15 seconds.
    let output = env.run_at(NEXT_DAY, "crowdstrike --json --deadline 1").assert_code(0);
    assert_some(&output, &[("already_delivered", 0), ("submitted", 3)]);
}

#[test]
fn a_dry_run_and_a_test_run_search_for_nothing() {
    let env = in_doubt();
    let output = env.run_at(NEXT_DAY, "crowdstrike --json --dry-run").assert_code(0);
    assert_some(&output, &[("would_submit", 3)]);
    let output = env.run_at(NEXT_DAY, "crowdstrike --json --debug").assert_code(0);
    assert_some(&output, &[("submitted", 3)]);
    assert_eq!(env.request_count(Service::Search), 0);
    let output = env.run_at(NOW, RUN).assert_code(0);
    assert_some(&output, &[("already_delivered", 2), ("submitted", 1)]);
}

#[test]
fn what_was_stored_before_its_batch_was_rejected_is_not_sent_again() {
    let alerts: Vec<Value> = (1..=3)
        .map(|number| falcon(&format!("cid:ind:{number}"), "hash_sha256", &sha256(number)))
        .collect();
    let env = TestEnv::falcon(&alerts);
    // All three are stored. The second attempt is rejected, and its halves are limited.
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
    let env = TestEnv::falcon(&[falcon("cid:ind:1", "hash_sha256", &sha256(1))]);
    let faults = vec![Fault::ResetAfterProcessing, Fault::status(400, "")];
    env.sandbox.queue_faults(Service::RecordedFuture, faults);
    let output = env.run(RUN).assert_code(3);
    assert_some(&output, &[("waiting", 1), ("quarantined", 0)]);
    output.assert_stderr(&["rejected 1 indicator", "may have stored it"]);
    let output = env.run_at(NEXT_DAY, RUN).assert_code(0);
    assert_some(&output, &[("already_delivered", 1), ("submitted", 0)]);
    assert_eq!(stored(&env), [1, 0, 0]);
}

#[test]
fn what_was_rejected_in_doubt_and_is_not_found_goes_to_quarantine() {
    let env = TestEnv::falcon(&[falcon("cid:ind:1", "hash_sha256", &sha256(1))]);
    // It is not stored by the first attempt, of which no response came.
    let faults = vec![Fault::HangThenReset(std::time::Duration::from_millis(10))];
    env.sandbox.queue_faults(Service::RecordedFuture, faults);
    env.sandbox.change(|world| {
        world.recorded_future.rejected_values = [(sha256(1), 400)].into_iter().collect();
    });
    let output = env.run(RUN).assert_code(3);
    assert_some(&output, &[("waiting", 1), ("quarantined", 0)]);
    // Also if a response is lost again.
    env.sandbox.queue_faults(Service::RecordedFuture, vec![Fault::Reset]);
    let output = env.run_at(NEXT_DAY, RUN).assert_code(3);
    assert_some(&output, &[("waiting", 0), ("quarantined", 1)]);
}

/// In quarantine, because an earlier run sent it in vain too.
#[test]
fn what_is_retried_after_a_rejection_in_doubt_is_searched_for_first() {
    let env = TestEnv::falcon(&[falcon("cid:ind:1", "hash_sha256", &sha256(1))]);
    env.sandbox.queue_faults(Service::RecordedFuture, vec![Fault::status(401, "")]);
    env.run(RUN).assert_code(4);
    let faults = vec![Fault::ResetAfterProcessing, Fault::status(400, "")];
    env.sandbox.queue_faults(Service::RecordedFuture, faults);
    let output = env.run_at(NEXT_DAY, RUN).assert_code(3);
    assert_some(&output, &[("waiting", 0), ("quarantined", 1)]);
    assert_eq!(stored(&env), [1, 0, 0]);
    let output = env.run_at(NEXT_DAY, "outbox retry").assert_code(0);
    assert_eq!(output.stdout, "1 indicator is queued again for the next run\n");
    let output = env.run_at(NEXT_DAY, RUN).assert_code(0);
    assert_some(&output, &[("already_delivered", 1), ("submitted", 0), ("waiting", 0)]);
    assert_eq!(stored(&env), [1, 0, 0]);
}

/// A run that is killed does not count its attempt.
#[test]
fn what_a_killed_run_sent_is_searched_for_when_it_is_retried() {
    let env = TestEnv::falcon(&[falcon("cid:ind:1", "hash_sha256", &sha256(1))]);
    let mut step = 1;
    // Killed after the batch was stored, and before the response is recorded.
    while stored(&env) == [0, 0, 0] {
        let mut killed = env.command_at(NOW, RUN);
        killed.env("COLLECTIVE_INSIGHTS_TEST_KILL_AT", step.to_string());
        assert_eq!(RunOutput::capture(&mut killed).code, -1, "step {step}");
        step += 1;
    }
    // Not found yet, sent again, and rejected.
    search_world(&env, |search| search.never_found = vec![sha256(1)]);
    env.sandbox.queue_faults(Service::RecordedFuture, vec![Fault::status(400, "")]);
    let output = env.run_at(NEXT_DAY, RUN).assert_code(3);
    assert_some(&output, &[("quarantined", 1)]);
    env.run_at(NEXT_DAY, "outbox retry").assert_code(0);
    search_world(&env, |search| search.never_found = vec![]);
    let output = env.run_at(NEXT_DAY, RUN).assert_code(0);
    assert_some(&output, &[("already_delivered", 1), ("submitted", 0), ("waiting", 0)]);
    assert_eq!(stored(&env), [1, 0, 0]);
}

/// Its time is that of a service, or old deliveries would expire at once.
#[test]
fn what_is_retried_with_a_wrong_clock_is_remembered() {
    let env = TestEnv::falcon(&[falcon("cid:ind:1", "hash_sha256", &sha256(1))]);
    env.sandbox.queue_faults(Service::RecordedFuture, vec![Fault::status(401, "")]);
    env.run(RUN).assert_code(4);
    let faults = vec![Fault::ResetAfterProcessing, Fault::status(400, "")];
    env.sandbox.queue_faults(Service::RecordedFuture, faults);
    env.run_at(NEXT_DAY, RUN).assert_code(3);
    env.run_at("2020-01-01T00:15:00Z", "outbox retry").assert_code(0);
    let output = env.run_at(NEXT_DAY, RUN).assert_code(0);
    assert_some(&output, &[("already_delivered", 1), ("submitted", 0)]);
    // The alert is read again, and known.
    let output = env.run_at(NEXT_DAY, &format!("{RUN} --hours 72")).assert_code(0);
    assert_some(&output, &[("already_delivered", 1), ("submitted", 0)]);
    assert_eq!(stored(&env), [1, 0, 0]);
}

#[test]
fn many_rejections_in_doubt_stop_sending_as_well() {
    let alerts: Vec<Value> = (1..=64)
        .map(|number| falcon(&format!("cid:ind:{number}"), "hash_sha256", &sha256(number)))
        .collect();
    let env = TestEnv::falcon(&alerts);
    env.sandbox.queue_faults(Service::RecordedFuture, vec![Fault::ResetAfterProcessing]);
    env.sandbox.queue_faults(Service::RecordedFuture, vec![Fault::status(400, ""); 200]);
    let output = env.run(RUN).assert_code(2);
    assert_some(&output, &[("waiting", 64), ("quarantined", 0)]);
    env.sandbox.clear_faults(Service::RecordedFuture);
    let output = env.run_at(NEXT_DAY, RUN).assert_code(0);
    assert_some(&output, &[("already_delivered", 64), ("submitted", 0)]);
}

#[test]
fn a_test_run_and_one_without_a_ledger_are_told_of_a_rejection_at_once() {
    for flags in ["--debug", "--no-ledger"] {
        let env = TestEnv::falcon(&[falcon("cid:ind:1", "hash_sha256", &sha256(1))]);
        let faults = vec![Fault::ResetAfterProcessing, Fault::status(400, "")];
        env.sandbox.queue_faults(Service::RecordedFuture, faults);
        let output = env.run(&format!("{RUN} {flags}")).assert_code(3);
        assert_some(&output, &[("waiting", 0), ("quarantined", 1)]);
    }
}
