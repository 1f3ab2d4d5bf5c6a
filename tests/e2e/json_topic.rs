//! Tests that `help json` documents exactly the keys of the JSON documents, with their types.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate};
use sandbox::{Fault, Service, World};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::alerts::{carbonblack, falcon, falcon_at, sha256, without};
use crate::support::markdown::topic;
use crate::support::markdown::{in_backticks, terms};
use crate::support::settings_file::{run_with_variables, write_settings_file};
use crate::support::{RunOutput, TestEnv, bare_command};

/// Options of the runs in [`env`].
const OPTIONS: &str = "--batch-size 1 --organization-id uhash:a --log-format json";

/// Returns an environment with an unreadable alert. Recorded Future accepts one batch without
/// reporting how many indicators it processed, rejects one batch, and then rejects the API key.
fn env() -> TestEnv {
    let mut alerts: Vec<Value> =
        (0..4).map(|number| falcon_at(number, "2026-11-21T08:00:00Z")).collect();
    alerts.push(without(falcon("none", "hash_sha256", &sha256(9)), "composite_id"));
    let world = World::default()
        .falcon_alerts(&alerts)
        .carbon_black_alerts(&[carbonblack("a1", &sha256(7))])
        .with(|world| world.recorded_future.summary = false);
    let env = TestEnv::new(world);
    let faults = vec![Fault::None, Fault::status(400, ""), Fault::status(401, "")];
    env.sandbox.queue_faults(Service::RecordedFuture, faults);
    env
}

/// Returns the documented type of each key under a heading.
fn documented(heading: &str) -> BTreeMap<String, &'static str> {
    let key = |term: &'static str| {
        let (_, kind) = term.split_once(" (").unwrap();
        (in_backticks(term).remove(0), kind.strip_suffix(')').unwrap())
    };
    terms(topic("json"), heading).into_iter().map(key).collect()
}

/// Collects the values of each key of a document, for example `window.start` or
/// `sources[].account`. The keys in `items` are left out: they have a section of their own.
fn collect<'a>(value: &'a Value, path: &str, found: &mut BTreeMap<String, Vec<&'a Value>>) {
    if !path.is_empty() && !path.ends_with("[]") {
        found.entry(path.to_owned()).or_default().push(value);
    }
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                collect(value, &path, found);
            }
        }
        Value::Array(elements) if path != "items" => {
            for element in elements {
                collect(element, &format!("{path}[]"), found);
            }
        }
        _ => {}
    }
}

/// Asserts that these documents have exactly the keys of a section, with values of their types.
#[track_caller]
fn check(heading: &str, documents: &[Value]) {
    let mut found = BTreeMap::new();
    for document in documents {
        collect(document, "", &mut found);
    }
    let documented = documented(heading);
    assert_eq!(
        found.keys().collect::<Vec<_>>(),
        documented.keys().collect::<Vec<_>>(),
        "{heading}"
    );
    for (key, values) in found {
        for value in values {
            assert!(fits(value, documented[&key]), "{heading}: {key}: {value}");
        }
    }
}

/// Reports whether a value is of a documented type such as `string, time, or null`.
fn fits(value: &Value, kind: &str) -> bool {
    let (kind, nullable) = match kind.strip_suffix("or null") {
        Some(kind) => (kind.trim_end_matches([' ', ',']), true),
        None => (kind, false),
    };
    let (kind, form) = kind.split_once(", ").unwrap_or((kind, ""));
    match (kind, value) {
        (_, Value::Null) => nullable,
        ("integer", Value::Number(number)) => number.is_u64(),
        ("boolean", Value::Bool(_)) | ("object", Value::Object(_)) => true,
        ("string", Value::String(text)) => match form {
            "time" => text.len() == 24 && DateTime::parse_from_rfc3339(text).is_ok(),
            "date" => text.parse::<NaiveDate>().is_ok(),
            _ => form.is_empty(),
        },
        ("array of objects", Value::Array(elements)) => elements.iter().all(Value::is_object),
        ("array of strings", Value::Array(elements)) => elements.iter().all(Value::is_string),
        _ => false,
    }
}

#[test]
fn the_keys_of_a_run_and_of_its_items_are_documented() {
    let env = env();
    let dry_run = env.run(&format!("crowdstrike --json --dry-run {OPTIONS}")).assert_code(3).json();
    let carbonblack = env.run("carbonblack --json --dry-run").assert_code(0).json();
    let live = env.run(&format!("crowdstrike --json {OPTIONS}")).assert_code(4).json();
    let folder = TempDir::new().unwrap();
    let failed = RunOutput::capture(bare_command(folder.path()).args(["crowdstrike", "--json"]))
        .assert_code(2);
    assert_eq!(failed.json()["window"], json!(null));
    let runs = [dry_run.clone(), carbonblack.clone(), live, failed.json()];
    check("Run: crowdstrike --json, carbonblack --json", &runs);
    let exported = env.run("outbox export").assert_code(0).json();
    let mut items = Vec::new();
    for list in [&dry_run["items"], &carbonblack["items"], &exported] {
        assert!(!list.as_array().unwrap().is_empty());
        items.extend(list.as_array().unwrap().clone());
    }
    check("Item: items of a dry run, outbox export", &items);
}

#[test]
fn the_keys_of_a_run_of_several_tenants_are_documented() {
    let env = env();
    let settings = write_settings_file(&env);
    let output =
        run_with_variables(&env, &format!("run --json --config {}", settings.display()), &[]);
    let mut document = output.json();
    let tenants = std::mem::take(document["tenants"].as_array_mut().unwrap());
    assert_eq!(tenants.len(), 2);
    let heading = "Run: crowdstrike --json, carbonblack --json";
    let known = documented(heading);
    for tenant in &tenants {
        let keys = tenant.as_object().unwrap().keys();
        let unknown: Vec<&String> = keys.filter(|key| !known.contains_key(*key)).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }
    check("Run of several tenants: run --json", &[document]);
}

#[test]
fn the_keys_of_an_error_are_documented() {
    let folder = TempDir::new().unwrap();
    let print = |arguments: &str, code| {
        let mut command = bare_command(folder.path());
        RunOutput::capture(command.args(arguments.split(' '))).assert_code(code).json()
    };
    let documents = [
        print("crowdstrike --jsno --json", 2),
        print("status --json --ledger none.db", 6),
        print("history --json --ledger none.db", 6),
        print("outbox list --json --ledger none.db", 6),
        print("explain --json --ledger none.db a.example.com", 6),
        print("verify --json --ledger none.db", 6),
        print("run --json", 2),
        print("check --json --config none.toml", 2),
    ];
    check("Error: any command with --json", &documents);
}

#[test]
fn a_command_prints_one_document() {
    let env = TestEnv::falcon(&[]);
    env.run("crowdstrike").assert_code(0);
    let command = "status --json --max-age 1h";
    let document = env.run_at("2026-11-24T00:15:00Z", command).assert_code(3).json();
    assert!(document["sources"].is_array(), "{document}");
}

#[test]
fn the_keys_of_the_ledgers_documents_are_documented() {
    let env = env();
    env.run(&format!("crowdstrike {OPTIONS}")).assert_code(4);
    let print = |command: &str| env.run(command).assert_code(0).json();
    let (failed, entries) = (print("status --json"), print("outbox list --json"));
    check("history --json", &[print("history --json")]);
    check("history --runs --json", &[print("history --runs --json")]);
    check("outbox list --json", &[entries]);
    env.run(&format!("crowdstrike {OPTIONS}")).assert_code(3);
    let after = print("status --json");
    // A run 60 days later leaves a gap.
    env.run_at("2027-01-21T00:15:00Z", "crowdstrike").assert_code(3);
    check("status --json", &[failed, after, print("status --json")]);
}

#[test]
fn the_keys_of_verify_are_documented() {
    let env = TestEnv::falcon(&[falcon("cid:ind:1", "hash_sha256", &sha256(1))]);
    env.run("crowdstrike").assert_code(0);
    env.sandbox.change(|world| world.recorded_future.search.never_found = vec![sha256(1)]);
    let verify = |code| env.run_at("2026-11-24T00:15:00Z", "verify --json").assert_code(code);
    let missing = verify(3).json();
    env.sandbox.change(|world| world.recorded_future.search.is_allowed = false);
    check("verify --json", &[missing, verify(4).json()]);
}

#[test]
fn the_keys_of_explain_are_documented() {
    let alerts = [
        falcon("id0", "domain", "a.example.com,10.1.2.3"),
        falcon("id1", "domain", "b.example.com"),
    ];
    let world = World::default().falcon_alerts(&alerts).reject_value("b.example.com", 422);
    let env = TestEnv::new(world);
    env.run("crowdstrike").assert_code(3);
    env.write("list.txt", "a.example.com");
    let explain = |question: &str| {
        let command = format!("explain {question} --exclusion-file list.txt --json");
        env.run(&command).assert_code(0).json()
    };
    // A run 60 days later leaves a gap.
    env.run_at("2027-01-21T00:15:00Z", "crowdstrike").assert_code(3);
    let documents = ["a.example.com", "b.example.com", "id0", "never"].map(explain);
    assert_eq!(documents[1]["tenants"][0]["entries"][0]["state"], "quarantined");
    check("explain --json", &documents);
}

#[test]
fn the_keys_of_check_are_documented() {
    let env = env();
    let checked = RunOutput::capture(env.command("check --json").env("CB_SECRET", "wrong"));
    write_settings_file(&env);
    let tenants =
        run_with_variables(&env, "check --json --config settings.toml", &[]).assert_code(4).json();
    check("check --json", &[checked.assert_code(4).json(), tenants]);
    let settings = env.run("check --show-config --json").assert_code(0).stdout;
    let arguments = "check --show-config --json --config settings.toml";
    let of_tenants = run_with_variables(&env, arguments, &[]).assert_code(0).stdout;
    let lines = settings.lines().chain(of_tenants.lines());
    let documents: Vec<Value> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(documents.len(), 4);
    check("check --show-config --json", &documents);
}

#[test]
fn the_keys_of_every_log_line_are_documented() {
    let env = env();
    env.run(&format!("crowdstrike --debug {OPTIONS}")).assert_code(4);
    let documented = documented("Log lines: --log-format json");
    for line in env.log().lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        for (key, kind) in &documented {
            assert!(fits(&line[key], kind), "{key}: {line}");
        }
    }
}
