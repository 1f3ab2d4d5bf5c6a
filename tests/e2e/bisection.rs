//! Tests that items that Recorded Future rejects are found by bisection and quarantined, that all
//! others are delivered, and that nothing is lost if the cause is not an item.

use sandbox::{Fault, RecordedRequest, Service, World};
use serde_json::Value;

use crate::support::TestEnv;
use crate::support::alerts::{falcon, sha256};

/// Returns an environment with `count` alerts with different indicators, numbered from 0.
fn test_env(count: u64) -> TestEnv {
    let alerts: Vec<Value> = (0..count)
        .map(|number| falcon(&format!("id{number:04}"), "hash_sha256", &sha256(number)))
        .collect();
    TestEnv::new(World::default().falcon_alerts(&alerts))
}

/// Returns the requests that sent a batch.
fn posts(env: &TestEnv) -> Vec<RecordedRequest> {
    env.sandbox.requests_to(Service::RecordedFuture)
}

/// Returns what is in quarantine, as JSON.
fn quarantined(env: &TestEnv) -> Value {
    env.run("outbox list --quarantined --json").assert_code(0).json()
}

#[test]
fn a_rejected_item_is_quarantined_and_all_others_arrive() {
    // The statuses that can be about a single item.
    for status in [400, 413, 422] {
        let env = test_env(100);
        env.sandbox
            .change(|world| world.recorded_future.rejected_values.push((sha256(37), status)));
        let output = env.run("crowdstrike --json").assert_code(3);
        output.assert_counts_add_up();
        assert_eq!((output.count("processed"), output.count("quarantined")), (99, 1));
        let others: Vec<String> = (0..100).filter(|number| *number != 37).map(sha256).collect();
        assert_eq!(env.stored_values(), others, "{status}");
        // The batch itself, and 2·k·log2(n) for k rejected items of n: k is 1, log2(100) is 7.
        assert!(posts(&env).len() <= 1 + 2 * 7, "{} requests", posts(&env).len());
        let entries = &quarantined(&env)["entries"];
        assert_eq!(entries.as_array().unwrap().len(), 1);
        assert_eq!(entries[0]["status"], status);
        assert_eq!(entries[0]["value"], sha256(37));
        // When it was rejected, and the message of Recorded Future.
        assert_eq!(entries[0]["refused_at"].as_str().unwrap()[..16], *"2026-11-22T00:15");
        let message = entries[0]["words"].as_str().unwrap();
        assert!(message.contains("data[0].ioc.value is not accepted"), "{message}");
        // It stays in quarantine: the next run sends nothing.
        let before = posts(&env).len();
        let again = env.run_at("2026-11-22T01:15:00Z", "crowdstrike --json").assert_code(0);
        assert_eq!(again.assert_counts_add_up().count("indicators_repeated"), 1);
        assert_eq!(posts(&env).len(), before);
    }
}

#[test]
fn several_rejected_items_need_no_more_requests_than_documented() {
    let env = test_env(512);
    let rejected: Vec<u64> = vec![0, 100, 101, 300, 511];
    env.sandbox.change(|world| {
        world.recorded_future.rejected_values =
            rejected.iter().map(|number| (sha256(*number), 400)).collect();
    });
    let output = env.run("crowdstrike --json").assert_code(3);
    assert_eq!(output.assert_counts_add_up().count("quarantined"), 5);
    assert_eq!(env.stored_values().len(), 507);
    // 5 of 512 items are rejected, and log2(512) is 9.
    assert!(posts(&env).len() <= 1 + 2 * 5 * 9, "{}", posts(&env).len());
}

#[test]
fn a_413_lowers_the_batch_size() {
    // The service responds 413 (content too large) to a batch of more than 12 items.
    let env = test_env(100);
    env.sandbox.change(|world| world.recorded_future.max_items = 12);
    let output = env.run("crowdstrike --json --batch-size 40").assert_code(0);
    assert_eq!(output.assert_counts_add_up().count("processed"), 100);
    // 40 and 20 are too large, 10 is accepted; later batches are at most twice as large as that.
    let sizes = env.batch_sizes();
    assert_eq!(sizes[..4], [40, 20, 10, 10]);
    assert!(sizes[1..].iter().all(|size| *size <= 20), "{sizes:?}");
    assert!(sizes.len() <= 16, "{sizes:?}");
    assert_eq!(env.stored_values().len(), 100);
}

#[test]
fn a_lowered_batch_size_grows_back_to_the_setting() {
    let env = test_env(100);
    let too_large = || Fault::status(413, "");
    env.sandbox.queue_faults(Service::RecordedFuture, vec![too_large(), too_large()]);
    env.run("crowdstrike --batch-size 16").assert_code(0);
    // 16 and 8 are rejected. Their parts are accepted, and the size grows back to 16.
    assert_eq!(env.batch_sizes(), [16, 8, 4, 4, 8, 16, 16, 16, 16, 16, 4]);
    assert_eq!(env.stored_values().len(), 100);
}

#[test]
fn a_413_for_a_single_item_says_nothing_about_batches() {
    for position in [0, 499, 999, 1500, 2999] {
        let env = test_env(3000);
        let too_large = (sha256(position), 413);
        env.sandbox.change(|world| world.recorded_future.rejected_values.push(too_large));
        let output = env.run("crowdstrike --json").assert_code(3);
        output.assert_counts_add_up();
        assert_eq!((output.count("processed"), output.count("quarantined")), (2999, 1));
        assert_eq!(quarantined(&env)["entries"][0]["value"], sha256(position));
        // Three batches, 2·log2(1000) to find the item, and 10 to double the size from 1 to 1000.
        let requests = posts(&env).len();
        assert!(requests <= 3 + 20 + 10, "{position}: {requests} requests");
    }
    // The rejected item is alone in its request.
    let env = test_env(10);
    env.sandbox.queue_faults(Service::RecordedFuture, vec![Fault::status(413, "")]);
    env.run("crowdstrike --batch-size 1").assert_code(3);
    assert_eq!(env.batch_sizes(), [1; 10]);
}

#[test]
fn a_body_that_is_too_large_is_split_too() {
    let env = test_env(60);
    env.sandbox.change(|world| world.recorded_future.max_bytes = 5000);
    let output = env.run("crowdstrike --json").assert_code(0);
    assert_eq!(output.assert_counts_add_up().count("processed"), 60);
    assert_eq!(env.stored_values().len(), 60);
}

#[test]
fn a_400_does_not_lower_the_batch_size() {
    let env = test_env(40);
    env.sandbox.change(|world| world.recorded_future.rejected_values.push((sha256(3), 400)));
    env.run("crowdstrike --batch-size 20").assert_code(3);
    assert_eq!(env.batch_sizes().last(), Some(&20));
}

#[test]
fn rejected_credentials_stop_the_run_and_nothing_is_lost() {
    for status in [401, 403] {
        let env = test_env(30);
        env.sandbox
            .queue_faults(Service::RecordedFuture, vec![Fault::None, Fault::status(status, "")]);
        let output = env.run("crowdstrike --json --batch-size 10").assert_code(4);
        output.assert_counts_add_up();
        assert_eq!((output.count("processed"), output.count("waiting")), (10, 20));
        assert_eq!(output.json()["error"]["kind"], "credentials");
        assert_eq!(posts(&env).len(), 2);
        // The next run sends what the first one left queued.
        let output = env.run_at("2026-11-22T01:15:00Z", "crowdstrike --json").assert_code(0);
        assert_eq!(output.assert_counts_add_up().count("carried_in"), 20);
        assert_eq!(env.stored_values().len(), 30);
    }
}

#[test]
fn an_exhausted_daily_quota_stops_the_run() {
    let env = test_env(30);
    env.sandbox.change(|world| world.recorded_future.store_limit = Some(20));
    let output = env.run("crowdstrike --json --batch-size 10").assert_code(0);
    output.assert_counts_add_up();
    assert_eq!((output.count("processed"), output.count("waiting")), (20, 10));
    assert!(output.notes()[0].contains("quota"), "{output:?}");
    // No batch is split, and nothing is quarantined.
    assert!(env.batch_sizes().iter().all(|size| *size == 10));
    env.sandbox.change(|world| world.recorded_future.store_limit = None);
    env.run_at("2026-11-23T00:15:00Z", "crowdstrike").assert_code(0);
    assert_eq!(env.stored_values().len(), 30);
}

#[test]
fn a_run_stops_after_20_rejections_if_nothing_is_accepted() {
    let env = test_env(200);
    let rejection = Fault::status(400, r#"{"message":"organization_ids: no such organization"}"#);
    env.sandbox.always(Service::RecordedFuture, Some(rejection));
    let output = env.run("crowdstrike --json --organization-id uhash:wrong").assert_code(2);
    output.assert_counts_add_up();
    assert_eq!((output.count("quarantined"), output.count("waiting")), (20, 180));
    assert!(output.json()["error"].to_string().contains("--organization-id"));
    env.sandbox.always(Service::RecordedFuture, None);
    let path = env.path("collective-insights.db");
    assert!(path.exists());
    env.run("outbox retry").assert_code(0);
    let again = "crowdstrike --json --organization-id uhash:wrong";
    env.run_at("2026-11-22T01:15:00Z", again).assert_code(0);
    assert_eq!(env.stored_values().len(), 200);
}

#[test]
fn a_run_stops_after_20_rejections_in_a_row_after_the_last_acceptance() {
    let env = test_env(200);
    let rejection = Fault::status(400, r#"{"message":"maintenance"}"#);
    env.sandbox.queue_faults(Service::RecordedFuture, vec![Fault::None; 5]);
    env.sandbox.always(Service::RecordedFuture, Some(rejection));
    let output = env.run("crowdstrike --json --batch-size 10").assert_code(2);
    output.assert_counts_add_up();
    let counts = ["processed", "quarantined", "waiting"].map(|name| output.count(name));
    assert_eq!(counts, [50, 20, 130]);
    assert!(posts(&env).len() <= 5 + 2 * 20, "{} requests", posts(&env).len());
    output.assert_stderr(&[
        "rejected 20 indicators in a row, the last one with 400 \"maintenance\"",
        "everything else stays queued",
        "outbox retry",
    ]);
    assert!(!output.stderr.contains("all others were processed"), "{}", output.stderr);
    // The next run stops in the same way.
    let output = env.run_at("2026-11-22T01:15:00Z", "crowdstrike --json").assert_code(2);
    assert_eq!((output.count("quarantined"), output.count("waiting")), (20, 110));
    env.sandbox.always(Service::RecordedFuture, None);
    env.run("outbox retry").assert_code(0);
    env.run_at("2026-11-22T02:15:00Z", "crowdstrike").assert_code(0);
    assert_eq!(env.stored_values().len(), 200);
}

#[test]
fn an_acceptance_between_rejections_lets_a_run_continue() {
    let env = test_env(100);
    env.sandbox.change(|world| {
        let rejected = (0..100).filter(|number| number % 20 != 19);
        world.recorded_future.rejected_values =
            rejected.map(|number| (sha256(number), 422)).collect();
    });
    let output = env.run("crowdstrike --json").assert_code(3);
    output.assert_counts_add_up();
    assert_eq!((output.count("processed"), output.count("quarantined")), (5, 95));
    output.assert_stderr(&["all others were processed as usual"]);
}

#[test]
fn a_live_run_that_is_answered_as_debug_counts_nothing_as_delivered() {
    let env = test_env(10);
    env.sandbox.queue_faults(Service::RecordedFuture, vec![Fault::WrongDebugEcho]);
    let output = env.run("crowdstrike --json").assert_code(1);
    assert_eq!(output.assert_counts_add_up().count("waiting"), 10);
    assert_eq!(env.stored_values(), Vec::<String>::new());
    env.run_at("2026-11-22T01:15:00Z", "crowdstrike").assert_code(0);
    assert_eq!(env.stored_values().len(), 10);
}

#[test]
fn fewer_processed_than_sent_is_logged_and_not_sent_again() {
    let env = test_env(10);
    env.sandbox.queue_faults(Service::RecordedFuture, vec![Fault::FewerProcessed(3)]);
    let output = env.run("crowdstrike --json").assert_code(0);
    output.assert_counts_add_up();
    assert_eq!((output.count("processed"), output.count("unprocessed")), (7, 3));
    assert!(env.log().contains("processed=7"), "{}", env.log());
    let output = env.run_at("2026-11-22T01:15:00Z", "crowdstrike --json");
    assert_eq!(output.assert_code(0).count("already_delivered"), 10);
}
