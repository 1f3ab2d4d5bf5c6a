//! Nights that are late, full, overlapping or broken off: what is read, what is sent, and what the next
//! night does about it. Every test sets its own clock.

use sandbox::{Fault, Service, World};
use serde_json::{Value, json};

use crate::support::alerts::{at, carbonblack, hashes, sha256, with};
use crate::support::{Ran, Stage, text};

const RUN: &str = "crowdstrike --json";

fn stage(alerts: &[Value]) -> Stage {
    Stage::new(World::default().falcon_alerts(alerts))
}

/// The detections that were sent, in their order.
fn detections(stage: &Stage) -> Vec<String> {
    let stored = stage.sandbox.stored();
    stored.iter().map(|stored| text(&stored.item, "/detection/id")).collect()
}

fn notes(ran: &Ran) -> Vec<String> {
    let document = ran.json();
    let notes = document["notes"].as_array().cloned().unwrap_or_default();
    notes.iter().map(|note| note.as_str().unwrap().to_owned()).collect()
}

#[test]
fn three_skipped_nights_are_caught_up_with_one_plain_line() {
    let stage = stage(&[
        at(1, "2026-11-18T08:00:00Z"),
        at(2, "2026-11-19T08:00:00Z"),
        at(3, "2026-11-20T08:00:00Z"),
        at(4, "2026-11-21T08:00:00Z"),
    ]);
    let first = stage.run_at("2026-11-19T00:15:00Z", RUN).ended(0);
    assert_eq!(notes(&first), Vec::<String>::new());
    let ran = stage.run_at("2026-11-23T00:15:00Z", RUN).ended(0);
    assert_eq!(ran.adds_up().count("processed"), 3);
    assert_eq!(stage.stored_values(), hashes(1..=4));
    let notes = notes(&ran);
    assert_eq!(notes.len(), 1);
    assert!(
        notes[0].starts_with("catching up: the last complete run ended at 2026-11-19T00:15:00Z"),
        "{notes:?}"
    );
    assert!(ran.json()["window"]["start"].as_str().unwrap().starts_with("2026-11-18T22:15:00"));
}

#[test]
fn a_gap_is_given_up_only_by_a_run_that_reads() {
    let stage = stage(&[at(1, "2026-11-10T08:00:00Z")]);
    stage.run_at("2026-11-01T00:15:00Z", RUN).ended(0);
    let refused = Fault::status(403, "{}");
    stage.sandbox.always(Service::FalconAlerts, Some(refused));
    let short = "crowdstrike --json --max-catch-up 5";
    stage.run_at("2026-11-21T00:15:00Z", short).ended(4);
    stage.sandbox.always(Service::FalconAlerts, None);
    // Told how far it goes, somebody raises the limit: the gap is still known.
    stage.run_at("2026-11-22T00:15:00Z", RUN).ended(0);
    assert_eq!(stage.stored_values(), hashes([1]));
}

#[test]
fn a_gap_beyond_the_limit_for_catching_up_is_told_with_the_command_that_helps() {
    let stage = stage(&[at(1, "2026-11-10T08:00:00Z"), at(2, "2026-11-21T08:00:00Z")]);
    stage.run_at("2026-11-01T00:15:00Z", RUN).ended(0);
    let ran = stage.run_at("2026-11-22T00:15:00Z", "crowdstrike --json --max-catch-up 5").ended(0);
    assert_eq!(stage.stored_values(), hashes([2]));
    let note = notes(&ran).join("");
    let (_, command) = note.split_once("read them with ").unwrap();
    stage.run_at("2026-11-22T00:20:00Z", &format!("crowdstrike {command}")).ended(0);
    assert_eq!(stage.stored_values(), hashes([1, 2]));
}

#[test]
fn a_late_alert_with_an_old_behaviour_is_sent_with_its_own_time() {
    let falcon_alert =
        with(at(1, "2026-11-21T08:00:00Z"), "timestamp", json!("2026-10-01T03:04:05.678Z"));
    let carbonblack_alert = with(
        carbonblack("c2", &sha256(2)),
        "detection_timestamp",
        json!("2026-10-02T03:04:05.678Z"),
    );
    let world =
        World::default().falcon_alerts(&[falcon_alert]).carbon_black_alerts(&[carbonblack_alert]);
    let stage = Stage::new(world);
    stage.run("crowdstrike").ended(0);
    stage.run("carbonblack").ended(0);
    let stored = stage.sandbox.stored();
    let times: Vec<String> = stored.iter().map(|stored| text(&stored.item, "/timestamp")).collect();
    assert_eq!(times, ["2026-10-01T03:04:05.678Z", "2026-10-02T03:04:05.678Z"]);
}

#[test]
fn an_alert_enriched_after_the_last_reading_is_found_by_the_overlap() {
    let bare = with(at(1, "2026-11-21T23:30:00Z"), "ioc_value", json!(""));
    let stage = stage(&[bare]);
    stage.run_at("2026-11-22T00:15:00Z", RUN).ended(0);
    stage.sandbox.change(|world| {
        world.falcon.alerts.clear();
        world.falcon.alerts.push(&at(1, "2026-11-21T23:30:00Z"));
    });
    stage.run_at("2026-11-23T00:15:00Z", RUN).ended(0);
    assert_eq!(stage.stored_values(), hashes([1]));
}

#[test]
fn overlapping_backfills_and_second_runs_send_nothing_twice() {
    // Detections 1 and 5 name one indicator: merged, both count as delivered.
    let twin = with(at(5, "2026-11-20T09:00:00Z"), "ioc_value", json!(sha256(1)));
    let stage = stage(&[
        at(1, "2026-11-20T08:00:00Z"),
        twin,
        at(2, "2026-11-20T18:00:00Z"),
        at(3, "2026-11-21T08:00:00Z"),
    ]);
    let span = |since, until| format!("{RUN} --since {since} --until {until}");
    let first = span("2026-11-20T00:00:00Z", "2026-11-21T00:00:00Z");
    let ran = stage.run_at("2026-11-22T00:15:00Z", &first).ended(0);
    assert_eq!((ran.count("processed"), ran.count("indicators_repeated")), (2, 1));
    let second = span("2026-11-20T12:00:00Z", "2026-11-21T12:00:00Z");
    let ran = stage.run_at("2026-11-22T00:16:00Z", &second).ended(0);
    assert_eq!((ran.count("processed"), ran.count("already_delivered")), (1, 1));
    let posts = stage.sandbox.requests_to(Service::RecordedFuture).len();
    for (minute, again) in [(17, &first), (18, &second)] {
        let ran = stage.run_at(&format!("2026-11-22T00:{minute}:00Z"), again).ended(0);
        let found = ran.adds_up().count("indicators_found");
        assert_eq!((found, ran.count("already_delivered")), (found, found));
    }
    assert_eq!(stage.sandbox.requests_to(Service::RecordedFuture).len(), posts);
    assert_eq!(stage.stored_values(), hashes([1, 2, 3]));
    // Only when it is asked for.
    let ran = stage.run_at("2026-11-22T00:19:00Z", &format!("{first} --resend")).ended(0);
    assert_eq!(ran.adds_up().count("processed"), 2);
    assert_eq!(stage.stored_values(), hashes([1, 1, 2, 2, 3]));
}

#[test]
fn a_new_detection_of_an_old_indicator_is_a_new_sighting() {
    let again = with(at(2, "2026-11-21T08:00:00Z"), "ioc_value", json!(sha256(1)));
    let stage = stage(&[at(1, "2026-11-20T08:00:00Z"), again]);
    stage.run_at("2026-11-21T00:15:00Z", RUN).ended(0);
    stage.run_at("2026-11-22T00:15:00Z", RUN).ended(0);
    assert_eq!(detections(&stage), ["id1", "id2"]);
    assert_eq!(stage.stored_values(), hashes([1, 1]));
}

#[test]
fn a_night_over_quota_sends_the_most_severe_first_and_a_quiet_one_the_rest() {
    let alerts: Vec<Value> = (0..10)
        .map(|number| with(at(number, "2026-11-21T08:00:00Z"), "severity", json!(10 + 7 * number)))
        .collect();
    let stage = stage(&alerts);
    let run = format!("{RUN} --daily-limit 4 --batch-size 3");
    let ran = stage.run_at("2026-11-22T00:15:00Z", &run).ended(5);
    ran.adds_up();
    assert_eq!((ran.count("processed"), ran.count("waiting")), (4, 6));
    assert_eq!(detections(&stage), ["id9", "id8", "id7", "id6"]);
    assert!(ran.stderr.contains("the most severe were sent first"));
    // The same day: nothing more, and nothing is asked for it.
    let posts = stage.sandbox.requests_to(Service::RecordedFuture).len();
    stage.run_at("2026-11-22T12:00:00Z", &run).ended(5);
    assert_eq!(stage.sandbox.requests_to(Service::RecordedFuture).len(), posts);
    stage.run_at("2026-11-23T00:15:00Z", &run).ended(5);
    let ran = stage.run_at("2026-11-24T00:15:00Z", &run).ended(0);
    ran.adds_up();
    assert_eq!((ran.count("carried_in"), ran.count("waiting")), (2, 0));
    assert_eq!(stage.stored_values(), hashes(0..10));
    assert_eq!(detections(&stage).last().unwrap(), "id0");
}

#[test]
fn recorded_future_down_for_a_night_costs_a_night_and_nothing_else() {
    let stage = stage(&[at(1, "2026-11-20T08:00:00Z"), at(2, "2026-11-21T08:00:00Z")]);
    stage.sandbox.always(Service::RecordedFuture, Some(Fault::status(503, "")));
    let ran = stage.run_at("2026-11-21T00:15:00Z", RUN).ended(5);
    assert_eq!(ran.adds_up().count("waiting"), 1);
    stage.sandbox.always(Service::RecordedFuture, None);
    let ran = stage.run_at("2026-11-22T00:15:00Z", RUN).ended(0);
    ran.adds_up();
    assert_eq!((ran.count("carried_in"), ran.count("processed")), (1, 2));
    assert_eq!(detections(&stage), ["id1", "id2"]);
}

#[test]
fn what_waits_is_delivered_also_when_the_vendor_is_unreachable() {
    let stage = stage(&[at(1, "2026-11-20T08:00:00Z")]);
    stage.sandbox.always(Service::RecordedFuture, Some(Fault::status(503, "")));
    stage.run_at("2026-11-21T00:15:00Z", RUN).ended(5);
    stage.sandbox.always(Service::RecordedFuture, None);
    stage.sandbox.always(Service::FalconToken, Some(Fault::ResetBefore));
    let ran = stage.run_at("2026-11-22T00:15:00Z", RUN).ended(5);
    ran.adds_up();
    assert_eq!((ran.count("carried_in"), ran.count("processed")), (1, 1));
    assert_eq!(stage.stored_values(), hashes([1]));
}

#[test]
fn a_clock_that_jumped_back_moves_no_checkpoint() {
    let stage = stage(&[at(1, "2026-11-20T20:00:00Z"), at(2, "2026-11-21T20:00:00Z")]);
    stage.run_at("2026-11-22T00:15:00Z", RUN).ended(0);
    let before =
        stage.run_at("2026-11-22T00:15:00Z", "status --json").json()["sources"][0]["read_until"]
            .clone();
    let ran = stage.run_at("2026-11-21T00:15:00Z", RUN).ended(0);
    assert!(notes(&ran).join("").contains("clock"), "{ran:?}");
    assert_eq!(stage.stored_values(), hashes([1, 2]), "what was read is sent all the same");
    let after =
        stage.run_at("2026-11-22T00:15:00Z", "status --json").json()["sources"][0]["read_until"]
            .clone();
    assert_eq!(before, after);
}

#[test]
fn a_backfill_moves_the_checkpoint_over_no_gap() {
    let stage = stage(&[at(1, "2026-11-18T08:00:00Z"), at(2, "2026-11-21T08:00:00Z")]);
    stage.run_at("2026-11-18T00:15:00Z", RUN).ended(0);
    let backfill = format!("{RUN} --since 2026-11-21T00:00:00Z");
    stage.run_at("2026-11-22T00:15:00Z", &backfill).ended(0);
    assert_eq!(stage.stored_values(), hashes([2]));
    stage.run_at("2026-11-22T00:20:00Z", RUN).ended(0);
    assert_eq!(stage.stored_values(), hashes([1, 2]));
}
