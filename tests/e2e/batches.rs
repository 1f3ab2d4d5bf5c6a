//! Tests the batches: their size, order and content, and how the response is compared with what was
//! sent. A response that confirms a batch is a receipt.

use sandbox::{Fault, NOT_RECEIPTS, Service, World};
use serde_json::{Value, json};

use crate::support::alerts::{falcon, sha256};
use crate::support::json::{keys, texts};
use crate::support::vendor::{Vendor, millis_into_day};
use crate::support::{RunOutput, TestEnv};

/// Returns Falcon alerts, one per minute, with the numbers from 1 to `count`.
fn alerts(count: u64) -> Vec<Value> {
    let alert = |number| Vendor::CrowdStrike.alert(number, millis_into_day(number * 60_000));
    (1..=count).map(alert).collect()
}

/// Returns an environment with alerts for two hashes, a domain, an IP address and a URL.
fn env_with_all_types() -> TestEnv {
    TestEnv::falcon(&[
        falcon("1", "hash_sha256", &sha256(1)),
        falcon("2", "hash_sha256", &sha256(2)),
        falcon("3", "domain", "a.example.com"),
        falcon("4", "ip", "8.8.4.4"),
        falcon("5", "url", "http://example.com/"),
    ])
}

#[test]
fn batches_have_at_most_the_configured_size() {
    for (size, expected) in [
        ("1", vec![1; 5]),
        ("2", vec![2, 2, 1]),
        ("4", vec![4, 1]),
        ("5", vec![5]),
        ("6", vec![5]),
        ("15000", vec![5]),
    ] {
        let env = TestEnv::falcon(&alerts(5));
        let output = env.run(&format!("crowdstrike --json --batch-size {size}")).assert_code(0);
        assert_eq!(output.assert_counts_add_up().count("processed"), 5);
        assert_eq!(env.batch_sizes(), expected);
        assert_eq!(env.stored_values(), [1, 2, 3, 4, 5].map(sha256));
    }
}

#[test]
fn the_default_batch_size_is_1000() {
    let env = TestEnv::falcon(&alerts(1001));
    env.run("crowdstrike").assert_code(0);
    assert_eq!(env.batch_sizes(), [1000, 1]);
}

#[test]
fn batches_are_sent_one_at_a_time() {
    let world = World::default().falcon_alerts(&alerts(12));
    let env = TestEnv::new(world.latency(std::time::Duration::from_millis(5)));
    env.run("crowdstrike --batch-size 1").assert_code(0);
    assert_eq!(env.batch_sizes(), [1; 12]);
    assert!(!env.sandbox.overlapping_posts());
}

#[test]
fn a_request_has_only_the_documented_keys_and_headers() {
    let env = env_with_all_types();
    env.run("crowdstrike --batch-size 3").assert_code(0);
    for post in env.submission_bodies() {
        assert_eq!(keys(&post), ["data", "options"]);
        assert_eq!(post["options"], json!({"debug": false, "summary": true}));
        for item in post["data"].as_array().unwrap() {
            assert_eq!(keys(item), ["detection", "incident", "ioc", "mitre_codes", "timestamp"]);
        }
    }
    let requests = env.sandbox.requests_to(Service::RecordedFuture);
    let agent =
        format!("collective-insights/{} ({})", env!("CARGO_PKG_VERSION"), std::env::consts::OS);
    for request in requests {
        assert_eq!(request.header("user-agent"), Some(agent.as_str()));
        assert_eq!(request.header("content-type"), Some("application/json"));
        assert_eq!(request.header("accept"), Some("application/json"));
        assert_eq!(request.header("x-rftoken"), Some(sandbox::RF_TOKEN));
        assert_eq!(request.header("authorization"), None);
    }
}

#[test]
fn every_batch_says_whether_it_is_debug() {
    for (flag, debug) in [("", false), ("--debug", true)] {
        let env = TestEnv::falcon(&alerts(3));
        env.run(&format!("crowdstrike {flag} --batch-size 1")).assert_code(0);
        let values: Vec<Value> =
            env.submission_bodies().iter().map(|post| post["options"]["debug"].clone()).collect();
        assert_eq!(values, vec![json!(debug); 3]);
    }
}

#[test]
fn every_batch_contains_the_organizations() {
    let env = TestEnv::falcon(&alerts(2));
    // `b` and `UHASH:b` are the same organization: it may be written without its prefix.
    let flags = "--organization-id b --organization-id uhash:a --organization-id UHASH:b";
    env.run(&format!("crowdstrike --batch-size 1 {flags}")).assert_code(0);
    for post in env.submission_bodies() {
        assert_eq!(texts(&post["organization_ids"]), ["uhash:a", "uhash:b"]);
    }
    let stored = env.sandbox.stored();
    assert!(stored.iter().all(|stored| stored.organization_ids.is_some()));
}

#[test]
fn both_spellings_of_an_organization_are_one_tenant() {
    let env = TestEnv::falcon(&alerts(2));
    env.run("crowdstrike --organization-id uhash:T2j9L").assert_code(0);
    let output = env.run("crowdstrike --json --organization-id T2j9L").assert_code(0);
    assert_eq!(output.count("already_delivered"), 2);
    assert_eq!(env.items().len(), 2);
}

#[test]
fn empty_organizations_are_ignored() {
    let env = TestEnv::falcon(&alerts(1));
    let mut command = env.command("crowdstrike");
    RunOutput::capture(command.args(["--organization-id", "", "--organization-id", " "]))
        .assert_code(0);
    assert_eq!(keys(&env.submission_bodies()[0]), ["data", "options"]);
}

#[test]
fn fewer_processed_than_sent_is_a_warning_with_the_numbers() {
    let env = env_with_all_types();
    env.sandbox.queue_faults(Service::RecordedFuture, vec![Fault::FewerProcessed(3)]);
    let output = env.run("crowdstrike --json").assert_code(0);
    output.assert_counts_add_up();
    assert_eq!(
        (output.count("submitted"), output.count("processed"), output.count("unprocessed")),
        (5, 2, 3)
    );
    let log = env.log();
    let warnings: Vec<&str> = log.lines().filter(|line| line.contains("WARNING")).collect();
    assert_eq!(warnings.len(), 3, "{log}");
    for (kind, sent, processed) in [("ip", 1, 0), ("domain", 1, 0), ("hash", 2, 1)] {
        let fields = format!("indicator_type={kind} sent={sent} processed={processed}");
        assert!(warnings.iter().any(|line| line.contains(&fields)), "no {fields:?} in {log}");
    }
    assert_eq!(output.stderr, "");
}

#[test]
fn the_summary_shows_how_many_were_not_processed() {
    let env = env_with_all_types();
    env.sandbox.queue_faults(Service::RecordedFuture, vec![Fault::FewerProcessed(3)]);
    let output = env.run("crowdstrike").assert_code(0);
    let row = "5  sent, 2 processed by Recorded Future, 3 not processed\n";
    assert!(output.stdout.contains(row), "{}", output.stdout);
    output.assert_summary(&env);
}

#[test]
fn more_processed_than_sent_is_counted_as_sent() {
    let env = env_with_all_types();
    let body = json!({"result": {"status": "OK", "debug": false, "summary": {"processed": {"hash": 99, "domain": 1, "ip": 1, "url": 1}}}});
    env.sandbox.queue_faults(Service::RecordedFuture, vec![Fault::status(200, body.to_string())]);
    let output = env.run("crowdstrike --json").assert_code(0);
    assert_eq!(output.assert_counts_add_up().count("processed"), 5);
    assert!(env.log().contains("indicator_type=hash sent=2 processed=99"));
}

#[test]
fn responses_without_a_summary_count_as_processed_with_one_note_per_run() {
    let env = TestEnv::new(
        World::default()
            .falcon_alerts(&alerts(3))
            .with(|world| world.recorded_future.summary = false),
    );
    let output = env.run("crowdstrike --json --batch-size 1").assert_code(0);
    assert_eq!(output.assert_counts_add_up().count("processed"), 3);
    let notes = output.notes();
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(notes[0].contains("without reporting how many it processed"), "{notes:?}");
    assert_eq!(
        env.log().matches("without reporting how many").count(),
        2,
        "as a note, and in the summary"
    );
}

#[test]
fn unknown_keys_of_a_receipt_are_ignored() {
    for result in [
        json!({"debug": false, "other": 1}),
        json!({"debug": false, "status": "Success", "summary": {"processed": [1]}}),
    ] {
        let env = TestEnv::falcon(&alerts(1));
        let body = json!({"result": result, "other": 1}).to_string();
        env.sandbox.queue_faults(Service::RecordedFuture, vec![Fault::status(202, body)]);
        let output = env.run("crowdstrike --json").assert_code(0);
        assert_eq!(output.assert_counts_add_up().count("processed"), 1, "{result}");
        assert_eq!(env.request_count(Service::RecordedFuture), 1);
    }
}

#[test]
fn a_success_response_that_is_not_a_receipt_delivers_nothing() {
    for (code, body) in NOT_RECEIPTS {
        let env = TestEnv::falcon(&alerts(2));
        let response = Fault::status(code, body);
        env.sandbox.always(Service::RecordedFuture, Some(response.clone()));
        let output = env.run("crowdstrike --json").assert_code(5);
        assert_eq!(output.assert_counts_add_up().count("waiting"), 2, "{code} {body}");
        let error = &output.json()["error"];
        assert_eq!(error["kind"], "temporary", "{code} {body}");
        assert!(error["message"].to_string().contains("malformed response"), "{error}");
        assert_eq!(env.request_count(Service::RecordedFuture), 5, "{code} {body}: all attempts");
        // Four attempts fail in the next run. The fifth one gets a receipt.
        env.sandbox.always(Service::RecordedFuture, None);
        env.sandbox.queue_faults(Service::RecordedFuture, vec![response; 4]);
        let output = env.run_at("2026-11-22T01:15:00Z", "crowdstrike --json").assert_code(0);
        assert_eq!(output.assert_counts_add_up().count("processed"), 2, "{code} {body}");
        assert_eq!(env.stored_values(), [1, 2].map(sha256));
    }
}

#[test]
fn the_message_of_a_response_that_is_not_a_receipt_is_quoted() {
    let env = TestEnv::falcon(&alerts(1));
    let body = r#"{"message":"Internal error"}"#;
    env.sandbox.always(Service::RecordedFuture, Some(Fault::status(200, body)));
    let output = env.run("crowdstrike").assert_code(5);
    output.assert_stderr(&["it has no result object", r#"200 "Internal error""#]);
}

#[test]
fn both_spellings_of_ok_are_accepted() {
    for spelling in ["OK", "ok"] {
        let world = World::default().falcon_alerts(&alerts(2));
        let env = TestEnv::new(world.with(|world| world.recorded_future.status = spelling.into()));
        let output = env.run("crowdstrike --json").assert_code(0);
        assert_eq!(output.assert_counts_add_up().count("processed"), 2, "{spelling}");
        assert!(output.notes().is_empty());
    }
}
