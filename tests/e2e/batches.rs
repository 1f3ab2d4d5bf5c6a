//! Batches: their size, their order, what stands in each, and what the answer is held against.

use sandbox::{Fault, Service, World};
use serde_json::{Value, json};

use crate::support::alerts::{falcon, sha256};
use crate::support::output::{keys, texts};
use crate::support::vendor::{Vendor, at};
use crate::support::{Ran, Stage};

fn alerts(count: u64) -> Vec<Value> {
    let minutes = (1..=count).map(|number| Vendor::CrowdStrike.alert(number, at(number * 60_000)));
    minutes.collect()
}

/// The number of items in each post.
fn sizes(stage: &Stage) -> Vec<usize> {
    let posts = stage.posts();
    posts.iter().map(|post| post["data"].as_array().unwrap().len()).collect()
}

/// Two hashes, a domain, an address and a URL.
fn one_of_each() -> Stage {
    Stage::falcon(&[
        falcon("1", "hash_sha256", &sha256(1)),
        falcon("2", "hash_sha256", &sha256(2)),
        falcon("3", "domain", "a.example.com"),
        falcon("4", "ip", "8.8.4.4"),
        falcon("5", "url", "http://example.com/"),
    ])
}

#[test]
fn a_batch_is_as_large_as_asked_for_at_most() {
    for (size, wanted) in [
        ("1", vec![1; 5]),
        ("2", vec![2, 2, 1]),
        ("4", vec![4, 1]),
        ("5", vec![5]),
        ("6", vec![5]),
        ("15000", vec![5]),
    ] {
        let stage = Stage::falcon(&alerts(5));
        let ran = stage.run(&format!("crowdstrike --json --batch-size {size}")).ended(0);
        assert_eq!(ran.adds_up().count("processed"), 5);
        assert_eq!(sizes(&stage), wanted);
        assert_eq!(stage.stored_values(), [1, 2, 3, 4, 5].map(sha256));
    }
}

#[test]
fn a_thousand_a_batch_unless_told() {
    let stage = Stage::falcon(&alerts(1001));
    stage.run("crowdstrike").ended(0);
    assert_eq!(sizes(&stage), [1000, 1]);
}

#[test]
fn batches_follow_one_another() {
    let world = World::default().falcon_alerts(&alerts(12));
    let stage = Stage::new(world.latency(std::time::Duration::from_millis(5)));
    stage.run("crowdstrike --batch-size 1").ended(0);
    assert_eq!(sizes(&stage), [1; 12]);
    assert!(!stage.sandbox.overlapping_posts());
}

#[test]
fn a_post_has_the_documented_form_and_no_more() {
    let stage = one_of_each();
    stage.run("crowdstrike --batch-size 3").ended(0);
    for post in stage.posts() {
        assert_eq!(keys(&post), ["data", "options"]);
        assert_eq!(post["options"], json!({"debug": false, "summary": true}));
        for item in post["data"].as_array().unwrap() {
            assert_eq!(keys(item), ["detection", "incident", "ioc", "mitre_codes", "timestamp"]);
        }
    }
    let requests = stage.sandbox.requests_to(Service::RecordedFuture);
    let agent =
        format!("collective-insights/{} ({})", env!("CARGO_PKG_VERSION"), std::env::consts::OS);
    for asked in requests {
        assert_eq!(asked.header("user-agent"), Some(agent.as_str()));
        assert_eq!(asked.header("content-type"), Some("application/json"));
        assert_eq!(asked.header("accept"), Some("application/json"));
        assert_eq!(asked.header("x-rftoken"), Some(sandbox::RF_TOKEN));
        assert_eq!(asked.header("authorization"), None);
    }
}

#[test]
fn debug_is_said_in_every_batch_of_either_mode() {
    for (flag, debug) in [("", false), ("--debug", true)] {
        let stage = Stage::falcon(&alerts(3));
        stage.run(&format!("crowdstrike {flag} --batch-size 1")).ended(0);
        let said: Vec<Value> =
            stage.posts().iter().map(|post| post["options"]["debug"].clone()).collect();
        assert_eq!(said, vec![json!(debug); 3]);
    }
}

#[test]
fn organizations_are_named_in_every_batch() {
    let stage = Stage::falcon(&alerts(2));
    let flags = "--organization-id uhash:b --organization-id uhash:a --organization-id uhash:b";
    stage.run(&format!("crowdstrike --batch-size 1 {flags}")).ended(0);
    for post in stage.posts() {
        assert_eq!(texts(&post["organization_ids"]), ["uhash:a", "uhash:b"]);
    }
    let stored = stage.sandbox.stored();
    assert!(stored.iter().all(|stored| stored.organization_ids.is_some()));
}

#[test]
fn an_empty_organization_is_none() {
    let stage = Stage::falcon(&alerts(1));
    let mut command = stage.command("crowdstrike");
    Ran::of(command.args(["--organization-id", "", "--organization-id", " "])).ended(0);
    assert_eq!(keys(&stage.posts()[0]), ["data", "options"]);
}

#[test]
fn fewer_processed_than_sent_is_a_warning_with_its_numbers() {
    let stage = one_of_each();
    stage.sandbox.script(Service::RecordedFuture, vec![Fault::ShortProcessed(3)]);
    let ran = stage.run("crowdstrike --json").ended(0);
    ran.adds_up();
    assert_eq!(
        (ran.count("submitted"), ran.count("processed"), ran.count("unprocessed")),
        (5, 2, 3)
    );
    let log = stage.log();
    let warnings: Vec<&str> = log.lines().filter(|line| line.contains("WARNING")).collect();
    assert_eq!(warnings.len(), 3, "{log}");
    for (kind, sent, processed) in [("ip", 1, 0), ("domain", 1, 0), ("hash", 2, 1)] {
        let words =
            format!("of {sent} indicators of type {kind}, Recorded Future processed {processed}");
        assert!(warnings.iter().any(|line| line.contains(&words)), "{words} in {log}");
    }
    assert_eq!(ran.stderr, "");
}

#[test]
fn the_summary_says_what_was_not_processed() {
    let stage = one_of_each();
    stage.sandbox.script(Service::RecordedFuture, vec![Fault::ShortProcessed(3)]);
    let ran = stage.run("crowdstrike").ended(0);
    assert!(ran.stdout.contains("5; of these 2 processed, 3 not processed"), "{}", ran.stdout);
}

#[test]
fn more_processed_than_sent_makes_no_numbers_up() {
    let stage = one_of_each();
    let body = json!({"result": {"status": "OK", "debug": false, "summary": {"processed": {"hash": 99, "domain": 1, "ip": 1, "url": 1}}}});
    stage.sandbox.script(Service::RecordedFuture, vec![Fault::status(200, body.to_string())]);
    let ran = stage.run("crowdstrike --json").ended(0);
    assert_eq!(ran.adds_up().count("processed"), 5);
    assert!(stage.log().contains("of 2 indicators of type hash, Recorded Future processed 99"));
}

#[test]
fn an_answer_without_a_summary_counts_as_processed_with_a_note() {
    let stage = Stage::new(
        World::default()
            .falcon_alerts(&alerts(3))
            .with(|world| world.recorded_future.summary = false),
    );
    let ran = stage.run("crowdstrike --json").ended(0);
    assert_eq!(ran.adds_up().count("processed"), 3);
    let notes = &ran.json()["notes"];
    assert!(texts(notes)[0].contains("without reporting how many it processed"), "{notes}");
}

#[test]
fn a_success_of_unknown_shape_is_accepted_but_not_reconciled() {
    for body in [
        r#"{"result": "fine"}"#,
        r#"{"other": 1}"#,
        r#"{"result": {"summary": {"processed": [1]}}}"#,
    ] {
        let stage = Stage::falcon(&alerts(1));
        stage.sandbox.script(Service::RecordedFuture, vec![Fault::status(200, body)]);
        let ran = stage.run("crowdstrike --json").ended(0);
        assert_eq!(ran.adds_up().count("processed"), 1, "{body}");
        let log = stage.log();
        let warned = log
            .lines()
            .any(|line| line.contains("WARNING") && line.contains("without reporting how many"));
        assert!(warned, "{body} {log}");
    }
}

#[test]
fn both_spellings_of_ok_are_taken() {
    for spelling in ["OK", "ok"] {
        let world = World::default().falcon_alerts(&alerts(2));
        let stage = Stage::new(world.with(|world| world.recorded_future.status = spelling.into()));
        let ran = stage.run("crowdstrike --json").ended(0);
        assert_eq!(ran.adds_up().count("processed"), 2, "{spelling}");
        assert_eq!(ran.json().get("notes"), None);
    }
}
