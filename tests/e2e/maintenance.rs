//! Tests the commands that show the ledger and manage undelivered submissions.

use std::fs::File;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::Duration;

use rusqlite::Connection;
use sandbox::{Fault, Service, World};
use serde_json::{Value, json};

use crate::support::alerts::{falcon_at, hashes, sha256};
use crate::support::falcon_run::LATER;
use crate::support::process::RunningProcess;
use crate::support::{NO_CONFIG, RunOutput, TestEnv};

/// Returns an environment after a run: alert 0 was delivered, 1 was rejected, 2 and 3 are queued.
fn test_env() -> TestEnv {
    let alerts: Vec<Value> =
        (0..4).map(|number| falcon_at(number, "2026-11-21T08:00:00Z")).collect();
    let env = TestEnv::new(World::default().falcon_alerts(&alerts));
    let rejection = Fault::status(400, r#"{"message":"not \u001b[31mlike this"}"#);
    // The 401 ends the run.
    let faults = vec![Fault::None, rejection, Fault::status(401, "")];
    env.sandbox.queue_faults(Service::RecordedFuture, faults);
    env.run("crowdstrike --batch-size 1 --organization-id uhash:a").assert_code(4);
    env
}

/// Returns the values and the states that `outbox list` shows. The state `waiting` means queued.
fn listed(env: &TestEnv, arguments: &str) -> Vec<(Value, Value)> {
    let list = env.run(&format!("outbox list --json {arguments}")).assert_code(0).json();
    assert_eq!(list["schema_version"], 1);
    let entries = list["entries"].as_array().unwrap();
    entries.iter().map(|entry| (entry["value"].clone(), entry["state"].clone())).collect()
}

#[test]
fn status_shows_the_state_of_each_source() {
    let env = test_env();
    let status = env.run_at(LATER, "status --json").assert_code(0).json();
    let source = &status["sources"][0];
    assert_eq!(status["sources"].as_array().unwrap().len(), 1);
    let shown = json!({
        "source": source["source"], "organizations": source["organizations"],
        "last_exit_code": source["last_exit_code"], "last_success": source["last_success"],
        "waiting": source["waiting"], "quarantined": source["quarantined"], "used_today": source["used_today"],
    });
    let expected = json!({
        "source": "crowdstrike", "organizations": ["uhash:a"], "last_exit_code": 4, "last_success": null,
        "waiting": 2, "quarantined": 1, "used_today": 1,
    });
    assert_eq!(shown, expected);
    for field in ["last_run", "read_until", "oldest_waiting"] {
        assert!(
            source[field].as_str().unwrap().starts_with("2026-11-22T00:15:0"),
            "{field}: {source}"
        );
    }
    assert!(source["last_error"].as_str().unwrap().contains("401"));
    let text = env.run_at(LATER, "status").assert_code(0).stdout;
    for part in [
        "crowdstrike (crowdstrike, account ",
        "uhash:a",
        "exit code 4",
        "queued         2",
        "in quarantine  1",
        "sent today     1",
        "last success   never",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    // On the next UTC day, no quota is used.
    let status = env.run_at("2026-11-23T00:01:00Z", "status --json").json();
    assert_eq!(status["sources"][0]["used_today"], 0);
    env.run_at(LATER, "crowdstrike --organization-id uhash:a").assert_code(0);
    let status = env.run_at(LATER, "status --json").json();
    assert!(status["sources"][0]["last_success"].as_str().unwrap().starts_with("2026-11-22T01:15"));
}

#[test]
fn a_success_that_is_too_old_fails_the_status() {
    let env = TestEnv::new(World::default());
    env.run("crowdstrike").assert_code(0);
    env.run_at(LATER, "status --max-age 26h").assert_code(0);
    env.run_at(LATER, "status --max-age 999999999d").assert_code(0);
    let output = env.run_at("2026-11-23T03:15:00Z", "status --json --max-age 26h").assert_code(3);
    assert_eq!(output.json()["sources"][0]["source"], "crowdstrike");
    output.assert_stderr(&["older than --max-age: crowdstrike (2026-11-22T00:15:0"]);
    env.run_at("2026-11-23T03:15:00Z", "status --max-age 2d").assert_code(0);
    // A source whose runs never succeeded.
    env.sandbox.always(Service::CarbonBlack, Some(Fault::status(401, "")));
    env.run("carbonblack").assert_code(4);
    env.run_at(LATER, "status --max-age 26h")
        .assert_code(3)
        .assert_stderr(&["carbonblack (never)"]);
    for invalid in ["26", "0h", "h", "-1h", "99999999999999d"] {
        env.run(&format!("status --max-age={invalid}")).assert_code(2);
    }
}

#[test]
fn read_only_commands_change_nothing() {
    let env = test_env();
    let path = env.path("collective-insights.db");
    let before = std::fs::read(&path).unwrap();
    for command in [
        "status",
        "status --json",
        "outbox list",
        "outbox list --json --quarantined",
        "outbox export",
    ] {
        env.run(command).assert_code(0);
    }
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn list_shows_queued_and_rejected_submissions_with_the_message() {
    let env = test_env();
    assert_eq!(
        listed(&env, ""),
        [
            (json!(sha256(1)), json!("quarantined")),
            (json!(sha256(2)), json!("waiting")),
            (json!(sha256(3)), json!("waiting"))
        ]
    );
    assert_eq!(listed(&env, "--quarantined").len(), 1);
    let text = env.run("outbox list").assert_code(0).stdout;
    assert!(text.contains("rejected: 400 \"not "), "{text}");
    assert!(!text.contains('\u{1b}'), "control characters are not printed: {text:?}");
}

#[test]
fn list_has_headings_a_total_and_a_limit() {
    let env = test_env();
    let text = env.run("outbox list").assert_code(0).stdout;
    let lines: Vec<&str> = text.lines().collect();
    let columns = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let headings = ["id", "state", "tenant", "stored", "(UTC)", "type", "indicator"];
    assert_eq!(columns(lines[0]), headings);
    assert_eq!(lines[0].find("indicator"), lines[1].find(&sha256(1)), "{text}");
    assert_eq!(lines[0].find("stored"), lines[1].find("2026-11-22T00:15:0"), "{text}");
    assert_eq!(lines.last(), Some(&"3 indicators"));
    for (arguments, shown, total) in [
        ("--limit 2", 2, "3 indicators; not shown: 1 (--limit 0 shows all)"),
        ("--limit 3", 3, "3 indicators"),
        ("--limit 0", 3, "3 indicators"),
        ("--quarantined --limit 1", 1, "1 indicator"),
    ] {
        let text = env.run(&format!("outbox list {arguments}")).assert_code(0).stdout;
        assert_eq!(text.matches(" hash   ").count(), shown, "{text}");
        assert_eq!(text.lines().last(), Some(total));
        let list = env.run(&format!("outbox list --json {arguments}")).assert_code(0).json();
        assert_eq!(list["entries"].as_array().unwrap().len(), shown, "{arguments}");
        let total: u64 = total.split(' ').next().unwrap().parse().unwrap();
        assert_eq!(list["total"], total, "{arguments}");
    }
    env.run("outbox drop --yes").assert_code(0);
    let text = env.run("outbox list --limit 1").assert_code(0).stdout;
    assert_eq!(text, "nothing is queued or in quarantine\n");
    let list = env.run("outbox list --json").assert_code(0).json();
    assert_eq!(list, json!({"entries": [], "total": 0, "schema_version": 1}));
    env.run("outbox list --limit=-1").assert_code(2).assert_stderr(&["--limit"]);
}

#[test]
fn retry_queues_quarantined_submissions_again() {
    let env = test_env();
    let output = env.run("outbox retry").assert_code(0);
    assert!(output.stdout.starts_with("1 indicator is queued again"), "{output:?}");
    assert!(listed(&env, "").iter().all(|(_, state)| state == "waiting"));
    env.run_at(LATER, "crowdstrike --organization-id uhash:a").assert_code(0);
    assert_eq!(env.stored_values(), hashes(0..4));
    assert_eq!(listed(&env, ""), []);
}

#[test]
fn export_prints_the_items_as_they_would_be_sent() {
    let env = test_env();
    let output = env.run("outbox export").assert_code(0);
    assert_eq!(output.stderr, "");
    let all = output.json();
    env.run("outbox retry").assert_code(0);
    env.run_at(LATER, "crowdstrike --organization-id uhash:a").assert_code(0);
    let sent: Vec<Value> =
        env.sandbox.stored()[1..].iter().map(|stored| stored.item.clone()).collect();
    assert_eq!(all, json!(sent));
    assert_eq!(env.run("outbox export").assert_code(0).json(), json!([]));
}

#[test]
fn drop_needs_confirmation_and_dropped_submissions_are_never_sent() {
    let env = test_env();
    let output = env.run("outbox drop").assert_code(2);
    assert!(output.stderr.contains("--yes"), "{output:?}");
    assert_eq!(listed(&env, "").len(), 3);
    env.run("outbox drop --quarantined --yes").assert_code(0);
    assert_eq!(listed(&env, ""), [2, 3].map(|number| (json!(sha256(number)), json!("waiting"))));
    env.run("outbox drop --yes").assert_code(0);
    assert_eq!(listed(&env, ""), []);
    let output = env.run_at(LATER, "crowdstrike --json --organization-id uhash:a").assert_code(0);
    output.assert_counts_add_up();
    assert_eq!(env.stored_values(), hashes([0]));
}

#[test]
fn failed_attempts_are_counted() {
    let env = test_env();
    let attempts = || -> Vec<u64> {
        let list = env.run("outbox list --json").assert_code(0).json();
        let entries = list["entries"].as_array().unwrap();
        entries.iter().map(|entry| entry["tries"].as_u64().unwrap()).collect()
    };
    assert_eq!(attempts(), [1, 1, 0], "rejected, failed with a 401, never sent");
    env.sandbox.always(Service::RecordedFuture, Some(Fault::status(503, "")));
    let again = "crowdstrike --organization-id uhash:a";
    env.run_at(LATER, again).assert_code(5);
    assert_eq!(attempts(), [1, 2, 1]);
    env.run_at(LATER, &format!("{again} --debug")).assert_code(5);
    assert_eq!(attempts(), [1, 2, 1], "debug mode records nothing");
}

#[test]
fn output_that_cannot_be_written_is_an_error() {
    let Ok(full) = File::options().write(true).open("/dev/full") else {
        eprintln!("skipped: there is no /dev/full");
        return;
    };
    let env = test_env();
    for arguments in [
        "status",
        "status --json",
        "history",
        "outbox list",
        "outbox list --json",
        "outbox export",
        "outbox retry",
        "help json",
        "--help",
        "--version",
        "check crowdstrike --offline",
        "check crowdstrike --show-config",
        "check crowdstrike --json",
        "generate exclusions",
        "generate config",
        "crowdstrike --dry-run --organization-id uhash:a",
        "crowdstrike --dry-run --json --organization-id uhash:a",
    ] {
        let mut command = env.command(arguments);
        let output = RunOutput::from(command.stdout(full.try_clone().unwrap()).output().unwrap());
        assert_eq!(output.code, 1, "{arguments}: {}", output.stderr);
        assert!(output.stderr.contains("the output cannot be written"), "{}", output.stderr);
    }
    // The error of the run itself is more urgent, and has the exit code.
    env.sandbox.always(Service::RecordedFuture, Some(Fault::status(401, "")));
    let mut command = env.command("crowdstrike --organization-id uhash:a");
    let output = RunOutput::from(command.stdout(full).output().unwrap()).assert_code(4);
    output.assert_stderr(&["the output cannot be written", "401"]);
}

#[test]
fn a_reader_that_closes_the_pipe_is_not_an_error() {
    let env = test_env();
    for arguments in ["status", "outbox list", "outbox list --json", "outbox export", "--help"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output =
            RunOutput::from(env.command(arguments).stdout(writer).output().unwrap()).assert_code(0);
        assert_eq!(output.stderr, "", "{arguments}");
    }
}

#[test]
fn an_export_to_a_file_is_complete_or_leaves_the_old_file() {
    let env = test_env();
    let printed = env.run("outbox export").assert_code(0).stdout;
    let path = env.write("saved.json", "an older file");
    let files = || std::fs::read_dir(env.folder()).unwrap().count();
    let before = files();
    let output = env.run("outbox export --output saved.json").assert_code(0);
    assert_eq!(output.stdout, "3 indicators written to saved.json\n");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), printed);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    env.run("outbox export --output new.json --ledger none.db").assert_code(6);
    assert!(!env.path("new.json").exists());
    std::fs::create_dir(env.path("folder")).unwrap();
    std::os::unix::fs::symlink("saved.json", env.path("link")).unwrap();
    for unusable in
        ["folder", "link", "/dev/null", "missing/a.json", "collective-insights.db", ".."]
    {
        let output = env.run(&format!("outbox export --output {unusable}")).assert_code(2);
        output.assert_stderr(&["cannot be written", "--output <FILE>"]);
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), printed);
    assert_eq!(env.run("outbox export").assert_code(0).stdout, printed);
    assert_eq!(
        files(),
        before + 2,
        "only the folder and the link are new: no temporary file is left"
    );
}

#[test]
fn an_export_to_a_file_that_may_not_grow_fails_and_leaves_no_file() {
    let env = test_env();
    let script = "trap '' XFSZ; ulimit -f 1; exec \"$0\" outbox export --output saved.json";
    let mut limited = Command::new("sh");
    limited.current_dir(env.folder()).env_clear().args(["-c", script]);
    limited.env("STATE_DIRECTORY", env.folder()).envs([NO_CONFIG]);
    let output = RunOutput::capture(limited.arg(env.command("").get_program()));
    let output = output.assert_code(1);
    output.assert_stderr(&["saved.json cannot be written", "File too large"]);
    let files: Vec<_> = std::fs::read_dir(env.folder())
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("saved"))
        .collect();
    assert_eq!(files, [""; 0]);
}

#[test]
fn a_large_outbox_is_printed_without_being_kept_in_memory() {
    const COUNT: usize = 60_001;
    let env = test_env();
    let db = Connection::open(env.path("collective-insights.db")).unwrap();
    let columns = "tenant, run, type, stored_at, state";
    db.execute_batch(&format!(
        "DELETE FROM outbox WHERE id <> 3;
         WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < {COUNT} - 1)
         INSERT INTO outbox ({columns}, value, item)
         SELECT {columns}, 'n' || n || '.example.com', json_set(item, '$.ioc.value', 'n' || n || '.example.com')
         FROM outbox, number WHERE id = 3"
    ))
    .unwrap();
    drop(db);
    let run_limited = |arguments: &str| {
        // 128 MiB of address space, for a program that maps 20 MB of itself in a debug build.
        let script = format!("ulimit -v 131072; exec \"$0\" {arguments}");
        let mut limited = Command::new("sh");
        limited.current_dir(env.folder()).env_clear().args(["-c", &script]);
        limited.env("STATE_DIRECTORY", env.folder()).envs([NO_CONFIG]);
        RunOutput::capture(limited.arg(env.command("").get_program())).assert_code(0)
    };
    let list = run_limited("outbox list --json").json();
    let entries = list["entries"].as_array().unwrap();
    assert_eq!(entries.len(), COUNT);
    let ids = entries.iter().map(|entry| entry["id"].as_str().unwrap().parse::<u64>().unwrap());
    assert!(ids.is_sorted_by(|one, next| one < next), "each entry once, in order");
    // Two more lines for the headings and the total. The default limit is 50.
    assert_eq!(run_limited("outbox list --limit 0").stdout.lines().count(), COUNT + 2);
    let text = run_limited("outbox list").stdout;
    assert_eq!(text.lines().count(), 50 + 2);
    let total = "60,001 indicators; not shown: 59,951 (--limit 0 shows all)";
    assert_eq!(text.lines().last(), Some(total));
    let items = run_limited("outbox export").json();
    assert_eq!(items.as_array().unwrap().len(), COUNT);
    assert_eq!(items[COUNT - 1]["ioc"]["value"], format!("n{}.example.com", COUNT - 1));
    let output = run_limited("outbox export --output saved.json");
    assert!(output.stdout.starts_with("60,001 indicators"), "{}", output.stdout);
    assert!(run_limited("outbox drop --yes").stdout.starts_with("60,001 indicators dropped"));
}

#[test]
fn a_slow_reader_does_not_lock_the_ledger() {
    let env = test_env();
    let path = env.path("collective-insights.db");
    let db = Connection::open(&path).unwrap();
    let message = "m".repeat(2000);
    db.execute_batch(&format!(
        "UPDATE outbox SET message = '{message}', rejected_at = stored_at, state = 'quarantined';
         INSERT INTO outbox (tenant, run, type, value, stored_at, state, message, rejected_at, item)
         SELECT outbox.tenant, run, type, value || value, stored_at, state, message, rejected_at, item
         FROM outbox, (SELECT 1 FROM outbox), (SELECT 1 FROM outbox, outbox, outbox, outbox)"
    ))
    .unwrap();
    // The output is larger than a pipe can hold, so that the command waits for its reader.
    let mut listing = RunningProcess::start(&mut env.command("outbox list --json"));
    std::thread::sleep(Duration::from_millis(500));
    assert!(!listing.has_exited());
    db.busy_timeout(Duration::ZERO).unwrap();
    db.execute("UPDATE outbox SET attempts = 7", []).unwrap();
    // The three entries, and 3⁶ copies of them.
    assert_eq!(listing.finish().assert_code(0).json()["entries"].as_array().unwrap().len(), 732);
}

#[test]
fn a_journal_without_its_ledger_is_an_error() {
    for command in ["outbox retry", "outbox drop --yes"] {
        let env = TestEnv::new(World::default());
        env.write("collective-insights.db-journal", "journal of a deleted ledger");
        env.run(command).assert_code(6).assert_stderr(&["journal"]);
        assert!(!env.path("collective-insights.db").exists());
    }
}
