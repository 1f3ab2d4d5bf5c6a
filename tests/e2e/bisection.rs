//! What Recorded Future refuses: the single bad item is found and kept apart, all others arrive, and
//! where the trouble is not in an item, everything is kept.

use sandbox::{Asked, Fault, Service, World};
use serde_json::Value;

use crate::support::alerts::{falcon, sha256};
use crate::support::{Ran, Stage};

/// A stage with `n` alerts, each with an indicator of its own, numbered from 0.
fn stage(n: u64) -> Stage {
    let alerts: Vec<Value> = (0..n)
        .map(|number| falcon(&format!("id{number:04}"), "hash_sha256", &sha256(number)))
        .collect();
    Stage::new(World::default().falcon_alerts(&alerts))
}

fn posts(stage: &Stage) -> Vec<Asked> {
    stage.sandbox.requests_to(Service::RecordedFuture)
}

/// How many items each submission held.
fn sizes(stage: &Stage) -> Vec<usize> {
    let size = |post: &Asked| post.json().unwrap()["data"].as_array().unwrap().len();
    posts(stage).iter().map(size).collect()
}

fn quarantined(stage: &Stage) -> Value {
    stage.run("outbox list --quarantined --json").ended(0).json()
}

#[test]
fn the_single_bad_item_is_quarantined_and_all_others_arrive() {
    for status in [400, 413, 422] {
        let stage = stage(100);
        stage.sandbox.change(|world| world.recorded_future.poison.push((sha256(37), status)));
        let ran = stage.run("crowdstrike --json").ended(3);
        ran.adds_up();
        assert_eq!((ran.count("processed"), ran.count("quarantined")), (99, 1));
        let all: Vec<String> = (0..100).filter(|number| *number != 37).map(sha256).collect();
        assert_eq!(stage.stored_values(), all, "{status}");
        // 2·k·log2(n), and the batch itself.
        assert!(posts(&stage).len() <= 1 + 2 * 7, "{} requests", posts(&stage).len());
        let entries = &quarantined(&stage)["entries"];
        assert_eq!(entries.as_array().unwrap().len(), 1);
        assert_eq!(entries[0]["status"], status);
        assert_eq!(entries[0]["value"], sha256(37));
        assert_eq!(entries[0]["refused_at"].as_str().unwrap()[..16], *"2026-11-22T00:15");
        let words = entries[0]["words"].as_str().unwrap();
        assert!(words.contains("data[0].ioc.value is not accepted"), "{words}");
        // It stays where it is: nothing is sent by the next run.
        let before = posts(&stage).len();
        let again = stage.run_at("2026-11-22T01:15:00Z", "crowdstrike --json").ended(0);
        assert_eq!(again.adds_up().count("indicators_repeated"), 1);
        assert_eq!(posts(&stage).len(), before);
    }
}

#[test]
fn several_bad_items_cost_no_more_than_promised() {
    let stage = stage(512);
    let bad: Vec<u64> = vec![0, 100, 101, 300, 511];
    stage.sandbox.change(|world| {
        world.recorded_future.poison = bad.iter().map(|number| (sha256(*number), 400)).collect();
    });
    let ran = stage.run("crowdstrike --json").ended(3);
    assert_eq!(ran.adds_up().count("quarantined"), 5);
    assert_eq!(stage.stored_values().len(), 507);
    assert!(posts(&stage).len() <= 1 + 2 * 5 * 9, "{}", posts(&stage).len());
}

#[test]
fn a_413_by_size_lowers_the_batch_size_for_the_rest_of_the_run() {
    let stage = stage(100);
    stage.sandbox.change(|world| world.recorded_future.max_items = 12);
    let ran = stage.run("crowdstrike --json --batch-size 40").ended(0);
    assert_eq!(ran.adds_up().count("processed"), 100);
    // 40 is halved to 20 and 10; from then on no batch is larger than 10.
    let sizes = sizes(&stage);
    assert_eq!(sizes[..4], [40, 20, 10, 10]);
    let refused = sizes.iter().filter(|size| **size > 12).count();
    assert_eq!(refused, 3, "{sizes:?}: the second half of the first batch, and none after it");
    assert_eq!(stage.stored_values().len(), 100);
}

#[test]
fn a_body_too_large_is_halved_too() {
    let stage = stage(60);
    stage.sandbox.change(|world| world.recorded_future.max_bytes = 5000);
    let ran = stage.run("crowdstrike --json").ended(0);
    assert_eq!(ran.adds_up().count("processed"), 60);
    assert_eq!(stage.stored_values().len(), 60);
}

#[test]
fn a_400_lowers_no_batch_size() {
    let stage = stage(40);
    stage.sandbox.change(|world| world.recorded_future.poison.push((sha256(3), 400)));
    stage.run("crowdstrike --batch-size 20").ended(3);
    assert_eq!(sizes(&stage).last(), Some(&20));
}

#[test]
fn refused_credentials_stop_the_run_and_keep_everything() {
    for status in [401, 403] {
        let stage = stage(30);
        stage.sandbox.script(Service::RecordedFuture, vec![Fault::None, Fault::status(status, "")]);
        let ran = stage.run("crowdstrike --json --batch-size 10").ended(4);
        ran.adds_up();
        assert_eq!((ran.count("processed"), ran.count("waiting")), (10, 20));
        assert_eq!(ran.json()["error"]["kind"], "credentials");
        assert_eq!(posts(&stage).len(), 2);
        let ran = stage.run_at("2026-11-22T01:15:00Z", "crowdstrike --json").ended(0);
        assert_eq!(ran.adds_up().count("carried_in"), 20);
        assert_eq!(stage.stored_values().len(), 30);
    }
}

#[test]
fn a_daily_quota_stops_for_today() {
    let stage = stage(30);
    stage.sandbox.change(|world| world.recorded_future.daily_limit = Some(20));
    let ran = stage.run("crowdstrike --json --batch-size 10").ended(5);
    ran.adds_up();
    assert_eq!((ran.count("processed"), ran.count("waiting")), (20, 10));
    assert!(ran.json()["error"].to_string().contains("quota"), "{ran:?}");
    // Nothing is halved for it, and nothing is in quarantine.
    assert!(sizes(&stage).iter().all(|size| *size == 10));
    stage.sandbox.change(|world| world.recorded_future.daily_limit = None);
    stage.run_at("2026-11-23T00:15:00Z", "crowdstrike").ended(0);
    assert_eq!(stage.stored_values().len(), 30);
}

#[test]
fn when_everything_is_refused_the_run_stops_after_twenty() {
    let stage = stage(200);
    let refuse = Fault::status(400, r#"{"message":"organization_ids: no such organization"}"#);
    stage.sandbox.always(Service::RecordedFuture, Some(refuse));
    let ran = stage.run("crowdstrike --json --organization-id uhash:wrong").ended(2);
    ran.adds_up();
    assert_eq!((ran.count("quarantined"), ran.count("waiting")), (20, 180));
    assert!(ran.json()["error"].to_string().contains("--organization-id"));
    stage.sandbox.always(Service::RecordedFuture, None);
    let path = stage.path("collective-insights.db");
    assert!(path.exists());
    stage.run("outbox retry").ended(0);
    let again = "crowdstrike --json --organization-id uhash:wrong";
    stage.run_at("2026-11-22T01:15:00Z", again).ended(0);
    assert_eq!(stage.stored_values().len(), 200);
}

#[test]
fn an_echo_of_debug_on_a_live_run_delivers_nothing() {
    let stage = stage(10);
    stage.sandbox.script(Service::RecordedFuture, vec![Fault::WrongDebugEcho]);
    let ran = stage.run("crowdstrike --json").ended(1);
    assert_eq!(ran.adds_up().count("waiting"), 10);
    assert_eq!(stage.stored_values(), Vec::<String>::new());
    stage.run_at("2026-11-22T01:15:00Z", "crowdstrike").ended(0);
    assert_eq!(stage.stored_values().len(), 10);
}

#[test]
fn fewer_processed_than_sent_is_told_and_settled() {
    let stage = stage(10);
    stage.sandbox.script(Service::RecordedFuture, vec![Fault::ShortProcessed(3)]);
    let ran = stage.run("crowdstrike --json").ended(0);
    ran.adds_up();
    assert_eq!((ran.count("processed"), ran.count("unprocessed")), (7, 3));
    assert!(stage.log().contains("processed 7"), "{}", stage.log());
    let ran = Ran::of(
        stage
            .command("crowdstrike --json")
            .env("COLLECTIVE_INSIGHTS_TEST_NOW", "2026-11-22T01:15:00Z"),
    );
    assert_eq!(ran.ended(0).count("already_delivered"), 10);
}
