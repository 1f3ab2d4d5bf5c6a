//! The commands that look at the ledger and tend what has not been delivered.

use sandbox::{Fault, Service, World};
use serde_json::{Value, json};

use crate::support::Stage;
use crate::support::alerts::{at, hashes, sha256};

const LATER: &str = "2026-11-22T01:15:00Z";

/// A stage after a run that delivered number 0, had number 1 refused, and left 2 and 3 waiting.
fn stage() -> Stage {
    let alerts: Vec<Value> = (0..4).map(|number| at(number, "2026-11-21T08:00:00Z")).collect();
    let stage = Stage::new(World::default().falcon_alerts(&alerts));
    let refuse = Fault::status(400, r#"{"message":"not \u001b[31mlike this"}"#);
    let faults = vec![Fault::None, refuse, Fault::status(401, "")];
    stage.sandbox.script(Service::RecordedFuture, faults);
    stage.run("crowdstrike --batch-size 1 --organization-id uhash:a").ended(4);
    stage
}

fn listed(stage: &Stage, which: &str) -> Vec<(Value, Value)> {
    let list = stage.run(&format!("outbox list --json {which}")).ended(0).json();
    assert_eq!(list["schema_version"], 1);
    let entries = list["entries"].as_array().unwrap();
    entries.iter().map(|entry| (entry["value"].clone(), entry["state"].clone())).collect()
}

#[test]
fn status_tells_how_each_source_stands() {
    let stage = stage();
    let status = stage.run_at(LATER, "status --json").ended(0).json();
    let source = &status["sources"][0];
    assert_eq!(status["sources"].as_array().unwrap().len(), 1);
    let told = json!({
        "source": source["source"], "organizations": source["organizations"],
        "last_exit_code": source["last_exit_code"], "last_success": source["last_success"],
        "waiting": source["waiting"], "quarantined": source["quarantined"], "used_today": source["used_today"],
    });
    let expected = json!({
        "source": "crowdstrike", "organizations": ["uhash:a"], "last_exit_code": 4, "last_success": null,
        "waiting": 2, "quarantined": 1, "used_today": 1,
    });
    assert_eq!(told, expected);
    for field in ["last_run", "read_until", "oldest_waiting"] {
        assert!(
            source[field].as_str().unwrap().starts_with("2026-11-22T00:15:0"),
            "{field}: {source}"
        );
    }
    assert!(source["last_error"].as_str().unwrap().contains("401"));
    let text = stage.run_at(LATER, "status").ended(0).stdout;
    for part in [
        "crowdstrike (account ",
        "uhash:a",
        "exit code 4",
        "queued         2",
        "in quarantine  1",
        "sent today     1",
        "last success   never",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    // The next UTC day has used nothing.
    let status = stage.run_at("2026-11-23T00:01:00Z", "status --json").json();
    assert_eq!(status["sources"][0]["used_today"], 0);
    stage.run_at(LATER, "crowdstrike --organization-id uhash:a").ended(0);
    let status = stage.run_at(LATER, "status --json").json();
    assert!(status["sources"][0]["last_success"].as_str().unwrap().starts_with("2026-11-22T01:15"));
}

#[test]
fn looking_changes_nothing_and_needs_no_ledger() {
    let stage = stage();
    let path = stage.path("collective-insights.db");
    let before = std::fs::read(&path).unwrap();
    for command in [
        "status",
        "status --json",
        "outbox list",
        "outbox list --json --quarantined",
        "outbox export",
    ] {
        stage.run(command).ended(0);
    }
    assert_eq!(std::fs::read(&path).unwrap(), before);
    for command in ["status", "outbox list", "outbox retry", "outbox export", "outbox drop"] {
        stage.run(&format!("{command} --ledger none.db")).ended(0);
    }
    assert!(!stage.path("none.db").exists());
}

#[test]
fn list_tells_what_waits_and_what_was_refused_with_the_words() {
    let stage = stage();
    assert_eq!(
        listed(&stage, ""),
        [
            (json!(sha256(1)), json!("quarantined")),
            (json!(sha256(2)), json!("waiting")),
            (json!(sha256(3)), json!("waiting"))
        ]
    );
    assert_eq!(listed(&stage, "--quarantined").len(), 1);
    let text = stage.run("outbox list").ended(0).stdout;
    assert!(text.contains("rejected with 400: 400 \"not "), "{text}");
    assert!(!text.contains('\u{1b}'), "control characters stay out of terminals: {text:?}");
}

#[test]
fn retry_lets_quarantine_wait_again() {
    let stage = stage();
    let ran = stage.run("outbox retry").ended(0);
    assert!(ran.stdout.starts_with("1 indicator is queued again"), "{ran:?}");
    assert!(listed(&stage, "").iter().all(|(_, state)| state == "waiting"));
    stage.run_at(LATER, "crowdstrike --organization-id uhash:a").ended(0);
    assert_eq!(stage.stored_values(), hashes(0..4));
    assert_eq!(listed(&stage, ""), []);
}

#[test]
fn export_gives_the_items_as_they_would_be_sent() {
    let stage = stage();
    let all = stage.run("outbox export").ended(0).json();
    stage.run("outbox retry").ended(0);
    stage.run_at(LATER, "crowdstrike --organization-id uhash:a").ended(0);
    let sent: Vec<Value> =
        stage.sandbox.stored()[1..].iter().map(|stored| stored.item.clone()).collect();
    assert_eq!(all, json!(sent));
    assert_eq!(stage.run("outbox export").ended(0).json(), json!([]));
}

#[test]
fn drop_asks_and_what_it_drops_is_never_sent() {
    let stage = stage();
    let ran = stage.run("outbox drop").ended(2);
    assert!(ran.stderr.contains("--yes"), "{ran:?}");
    assert_eq!(listed(&stage, "").len(), 3);
    stage.run("outbox drop --quarantined --yes").ended(0);
    assert_eq!(listed(&stage, ""), [2, 3].map(|number| (json!(sha256(number)), json!("waiting"))));
    stage.run("outbox drop --yes").ended(0);
    assert_eq!(listed(&stage, ""), []);
    let ran = stage.run_at(LATER, "crowdstrike --json --organization-id uhash:a").ended(0);
    ran.adds_up();
    assert_eq!(stage.stored_values(), hashes([0]));
}

#[test]
fn tries_without_success_are_counted() {
    let stage = stage();
    let tries = || -> Vec<u64> {
        let list = stage.run("outbox list --json").ended(0).json();
        let entries = list["entries"].as_array().unwrap();
        entries.iter().map(|entry| entry["tries"].as_u64().unwrap()).collect()
    };
    assert_eq!(tries(), [1, 1, 0], "refused, met by a 401, never sent");
    stage.sandbox.always(Service::RecordedFuture, Some(Fault::status(503, "")));
    let again = "crowdstrike --organization-id uhash:a";
    stage.run_at(LATER, again).ended(5);
    assert_eq!(tries(), [1, 2, 1]);
    stage.run_at(LATER, &format!("{again} --debug")).ended(5);
    assert_eq!(tries(), [1, 2, 1], "a rehearsal leaves no trace");
}

#[test]
fn a_lost_ledger_is_not_taken_for_none() {
    for tended in ["outbox retry", "outbox drop --yes"] {
        let stage = Stage::new(World::default());
        stage.write("collective-insights.db-journal", "of a ledger that is gone");
        stage.run(tended).ended(6).says(&["journal"]);
        assert!(!stage.path("collective-insights.db").exists());
    }
}
