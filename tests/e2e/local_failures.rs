//! Tests failures on the local machine: concurrent runs, unusable ledgers, full disks.

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use sandbox::{Fault, Service};
use serde_json::Value;

use crate::support::alerts::hashes;
use crate::support::falcon_run::{LATER, RUN, env_with_alerts, in_shell, start_hanging_at};
use crate::support::process::{RunningProcess, wait_for_requests};
use crate::support::small_disk::SmallDisk;
use crate::support::{RunOutput, TestEnv};

/// Starts a run that hangs in its first request to Recorded Future.
fn start_hanging(env: &TestEnv) -> RunningProcess {
    start_hanging_at(env, Service::RecordedFuture)
}

#[test]
fn a_second_run_fails_while_the_ledger_is_locked_and_a_crash_releases_the_lock() {
    let env = env_with_alerts(3);
    let mut first = start_hanging(&env);
    for arguments in [RUN, "carbonblack --json", "crowdstrike --json --dry-run"] {
        let second = env.run_at(LATER, arguments).assert_code(7);
        let error = second.json()["error"].clone();
        assert_eq!(error["kind"], "locked");
        let process = format!("process {}", first.id());
        assert!(error.to_string().contains(&process), "{error}");
    }
    // Commands that only read are not locked out.
    let status = env.run("status --json").assert_code(0).json();
    assert_eq!(status["sources"][0]["waiting"], 3);
    assert!(env.run("status").assert_code(0).stdout.contains("running, or killed"));
    first.kill();
    env.run_at(LATER, RUN).assert_code(0);
    assert_eq!(env.stored_values(), hashes(0..3));
}

#[test]
fn a_ledger_that_reaches_the_limit_of_file_sizes_is_an_error_and_loses_nothing() {
    let env = env_with_alerts(900);
    let output = RunOutput::capture(&mut in_shell(&env, "ulimit -f 300")).assert_code(6);
    output.assert_stderr(&["the ledger", "ulimit -f"]);
    output.assert_counts_add_up();
    env.run_at("2026-11-23T00:15:00Z", RUN).assert_code(0);
    assert_eq!(env.stored_values(), hashes(0..900), "everything arrives once");
}

/// Delivers one submission and leaves all others queued. Returns the bytes of the ledger.
fn used_ledger(env: &TestEnv) -> Vec<u8> {
    // The 401 ends the run.
    let faults = vec![Fault::None, Fault::status(401, "")];
    env.sandbox.queue_faults(Service::RecordedFuture, faults);
    env.run("crowdstrike --batch-size 1").assert_code(4);
    std::fs::read(env.path("collective-insights.db")).unwrap()
}

/// A function that damages the ledger at a path. It is called with the content of the file too.
type Damage<'a> = Box<dyn Fn(&Path, Vec<u8>) + 'a>;

#[test]
fn an_unusable_ledger_is_not_changed_and_the_error_has_help() {
    let write_foreign = |path: &Path| {
        let db = Connection::open(path).unwrap();
        db.execute_batch("CREATE TABLE cat (name TEXT); INSERT INTO cat VALUES ('Tom')").unwrap();
    };
    let write = |path: &Path, bytes: &[u8]| std::fs::write(path, bytes).unwrap();
    // The name of each kind of damage, a part of the help, and the function.
    let kinds: [(&str, &str, Damage<'_>); 6] = [
        ("empty", "mv ", Box::new(|path, _| write(path, b""))),
        ("zeroed", "mv ", Box::new(|path, bytes| write(path, &vec![0; bytes.len()]))),
        (
            "truncated",
            "outbox repair",
            Box::new(|path, bytes| write(path, &bytes[..bytes.len() / 2 + 100])),
        ),
        ("text", "mv ", Box::new(|path, _| write(path, "Dear diary\n".repeat(500).as_bytes()))),
        (
            "foreign",
            "mv ",
            Box::new(|path, _| {
                std::fs::remove_file(path).unwrap();
                write_foreign(path);
            }),
        ),
        (
            "newer",
            "newer release",
            Box::new(|path, _| {
                Connection::open(path).unwrap().pragma_update(None, "user_version", 99).unwrap();
            }),
        ),
    ];
    for (kind, help, damage) in kinds {
        let env = env_with_alerts(3);
        let path = env.path("collective-insights.db");
        let bytes = used_ledger(&env);
        let requests_before = env.sandbox.requests().len();
        damage(&path, bytes);
        let damaged = std::fs::read(&path).unwrap();
        for command in
            [RUN, "crowdstrike --dry-run", "carbonblack", "status", "outbox list", "outbox retry"]
        {
            let output = env.run_at(LATER, command).assert_code(6);
            assert!(output.stderr.contains(help), "{kind}, {command}: {}", output.stderr);
            assert_eq!(std::fs::read(&path).unwrap(), damaged, "{kind}, {command}");
        }
        let requests = env.sandbox.requests().len();
        assert_eq!(requests, requests_before, "{kind}: no request is made");
    }
}

#[test]
fn a_damaged_item_goes_to_quarantine_and_all_others_are_sent() {
    // The item in the ledger is empty, cut off, without its quotes, or not UTF-8.
    for item in ["''", "'{'", "replace(item, '\"', '')", "CAST(x'7B22FF227D' AS TEXT)"] {
        let env = env_with_alerts(4);
        used_ledger(&env);
        let db = Connection::open(env.path("collective-insights.db")).unwrap();
        let damage = format!("UPDATE outbox SET item = {item} WHERE id = 2");
        assert_eq!(db.execute(&damage, []), Ok(1));
        drop(db);
        let message = "the stored item is damaged";
        let dry_run = env.run_at(LATER, "crowdstrike --json --dry-run").assert_code(3);
        assert_eq!(dry_run.assert_counts_add_up().count("would_submit"), 2, "{item}");
        let export = env.run("outbox export").assert_code(0);
        assert_eq!(export.json().as_array().unwrap().len(), 2);
        export.assert_stderr(&[
            "warning: 1 stored item is damaged and not exported",
            "outbox list --quarantined",
        ]);
        for run in ["crowdstrike --json --debug", RUN] {
            let output = env.run_at(LATER, run).assert_code(3);
            output
                .assert_counts_add_up()
                .assert_stderr(&["the stored item is damaged", "outbox drop"]);
            assert_eq!((output.count("processed"), output.count("quarantined")), (2, 1), "{item}");
            assert_eq!(output.json()["error"]["kind"], "partial");
        }
        assert_eq!(env.stored_values().len(), 3);
        let list = env.run("outbox list --json").assert_code(0).json();
        assert_eq!(list["entries"].as_array().unwrap().len(), 1);
        let entry = &list["entries"][0];
        assert_eq!((&entry["state"], &entry["status"]), (&"quarantined".into(), &Value::Null));
        assert_eq!(entry["tries"], 1, "a damaged item is not sent");
        assert!(entry["words"].as_str().unwrap().starts_with(message), "{entry}");
        assert!(env.run("outbox list").assert_code(0).stdout.contains(message));
        // After `outbox retry`, it is quarantined again.
        env.run("outbox retry").assert_code(0);
        env.run_at(LATER, RUN).assert_code(3);
        env.run("outbox drop --yes").assert_code(0);
        env.run_at(LATER, RUN).assert_code(0);
        assert_eq!(env.stored_values().len(), 3);
    }
}

#[test]
fn an_item_that_differs_from_its_row_is_not_sent() {
    // The value, the type or the name of a key in the item; the value or the type in its row.
    for damage in [
        "item = json_set(item, '$.ioc.value', 'f' || substr(value, 2))",
        "item = json_set(item, '$.ioc.type', 'domain')",
        "item = replace(item, '\"timestamp\"', '\"uimestamp\"')",
        "value = 'f' || substr(value, 2)",
        "value = CAST(x'FF' || substr(value, 2) AS TEXT)",
        "type = 'hasi'",
    ] {
        let env = env_with_alerts(4);
        used_ledger(&env);
        let db = Connection::open(env.path("collective-insights.db")).unwrap();
        assert_eq!(db.execute(&format!("UPDATE outbox SET {damage} WHERE id = 2"), []), Ok(1));
        drop(db);
        let output = env.run_at(LATER, RUN).assert_code(3);
        output.assert_counts_add_up().assert_stderr(&["the stored item is damaged"]);
        assert_eq!(output.count("quarantined"), 1, "{damage}");
        // If the row is damaged, the alert is not known any more, and its indicator is sent again.
        let mut expected = hashes(0..4);
        if damage.starts_with("item") {
            expected.remove(1);
        }
        assert_eq!(env.stored_values(), expected, "{damage}");
        let list = env.run("outbox list --json").assert_code(0).json();
        assert_eq!(list["entries"].as_array().unwrap().len(), 1, "{damage}");
        env.run("outbox list --quarantined").assert_code(0);
        env.run("outbox drop --yes").assert_code(0);
        env.run_at("2026-11-22T02:15:00Z", RUN).assert_code(0);
        assert_eq!(env.stored_values(), expected, "{damage}");
    }
}

#[test]
fn many_damaged_items_do_not_stop_the_delivery_but_many_rejections_would() {
    let env = env_with_alerts(30);
    env.sandbox.always(Service::RecordedFuture, Some(Fault::status(503, "")));
    env.run(RUN).assert_code(5);
    env.sandbox.always(Service::RecordedFuture, None);
    let db = Connection::open(env.path("collective-insights.db")).unwrap();
    assert_eq!(db.execute("UPDATE outbox SET item = '{' WHERE id < 25", []), Ok(24));
    drop(db);
    let output = env.run_at(LATER, "crowdstrike --json --batch-size 5").assert_code(3);
    output.assert_counts_add_up();
    assert_eq!((output.count("processed"), output.count("quarantined")), (6, 24));
}

#[test]
fn a_failed_clean_up_counts_as_a_failure_of_the_run() {
    let env = env_with_alerts(3);
    used_ledger(&env);
    let db = Connection::open(env.path("collective-insights.db")).unwrap();
    db.execute_batch(
        "CREATE TRIGGER failure BEFORE DELETE ON outbox BEGIN SELECT RAISE(ABORT, 'no space'); END",
    )
    .unwrap();
    let output = env.run_at(LATER, RUN).assert_code(6);
    assert_eq!(output.assert_counts_add_up().count("processed"), 2);
    output.assert_stderr(&["no space"]);
    let status = env.run_at(LATER, "status --json").assert_code(0).json();
    assert_eq!(status["sources"][0]["last_exit_code"], 6);
    assert!(status["sources"][0]["last_error"].as_str().unwrap().contains("no space"), "{status}");
    db.execute_batch("DROP TRIGGER failure").unwrap();
    env.run_at("2026-11-22T02:15:00Z", RUN).assert_code(0);
    assert_eq!(env.stored_values(), hashes(0..3), "nothing is sent twice");
}

#[test]
fn the_numbers_add_up_when_the_ledger_fails_while_alerts_are_stored() {
    for mode in ["", "--debug", "--dry-run"] {
        let env = env_with_alerts(3);
        used_ledger(&env);
        let path = env.path("collective-insights.db");
        let slow = Fault::HangThenRespond(Duration::from_secs(2));
        env.sandbox.queue_faults(Service::FalconAlerts, vec![slow]);
        let requests = env.request_count(Service::FalconAlerts);
        let mut command = env.command(&format!("{RUN} {mode}"));
        let running = RunningProcess::start(command.env("COLLECTIVE_INSIGHTS_TEST_NOW", LATER));
        wait_for_requests(&env.sandbox, Service::FalconAlerts, requests + 1);
        // Damages a table of the ledger, which the run has checked before. SQLite reads the table
        // again because another program has changed the file.
        let db = Connection::open(&path).unwrap();
        // Pages have 4096 bytes, and are numbered from 1.
        let select = "SELECT rootpage FROM sqlite_schema WHERE name = 'sighting'";
        let page: u64 = db.query_row(select, [], |row| row.get::<_, u32>(0)).unwrap().into();
        let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.write_all_at(&[0x5A; 4096], (page - 1) * 4096).unwrap();
        db.execute_batch("CREATE TABLE other (x); DROP TABLE other").unwrap();
        drop(db);
        let output = running.finish().assert_code(6);
        output.assert_counts_add_up().assert_stderr(&["is damaged"]);
        assert!(!output.stderr.contains("was left as it is"), "{mode}: {output:?}");
        assert_eq!(output.count("carried_in"), 2, "{mode}: queued when the run started");
        assert!(output.count("indicators_found") > 0, "{mode}");
        assert!(output.count("waiting") > 0, "{mode}");
    }
}

#[test]
fn a_read_only_ledger_is_an_error_before_any_request() {
    let env = env_with_alerts(3);
    let bytes = used_ledger(&env);
    let path = env.path("collective-insights.db");
    let requests_before = env.sandbox.requests().len();
    let mut permissions = std::fs::metadata(&path).unwrap().permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(&path, permissions).unwrap();
    let output = env.run_at(LATER, RUN).assert_code(6);
    assert!(
        output.stderr.contains("read-only") && output.stderr.contains("--ledger <FILE>"),
        "{output:?}"
    );
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
    assert_eq!(env.sandbox.requests().len(), requests_before);
}

#[test]
fn a_read_only_folder_is_an_error_before_any_request() {
    let env = env_with_alerts(3);
    let folder = env.path("read-only");
    std::fs::create_dir(&folder).unwrap();
    let mut permissions = std::fs::metadata(&folder).unwrap().permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(&folder, permissions).unwrap();
    if std::fs::write(folder.join("probe"), "").is_ok() {
        eprintln!("skipped: this user (root?) can write to read-only folders");
        return;
    }
    let output = env.run("crowdstrike --ledger read-only/ledger.db").assert_code(6);
    assert!(output.stderr.contains("--no-ledger"), "{output:?}");
    assert_eq!(env.sandbox.requests().len(), 0);
}

#[test]
fn a_missing_folder_is_an_error_before_any_request() {
    let env = env_with_alerts(1);
    let output = env.run("crowdstrike --ledger missing/ledger.db").assert_code(6);
    assert!(output.stderr.contains("its folder does not exist"), "{output:?}");
    assert_eq!(env.sandbox.requests().len(), 0);
}

#[test]
fn a_full_disk_for_the_log_does_not_stop_a_run() {
    if !Path::new("/dev/full").exists() {
        eprintln!("skipped: there is no /dev/full");
        return;
    }
    let env = env_with_alerts(3);
    let output = env.run("crowdstrike --json --log-file /dev/full").assert_code(0);
    assert_eq!(output.assert_counts_add_up().count("processed"), 3);
    assert_eq!(output.stderr.matches("the log cannot be written").count(), 1, "{}", output.stderr);
}

#[test]
fn a_full_disk_for_the_ledger_is_an_error_and_loses_nothing() {
    let env = env_with_alerts(900);
    let path = env.path("disk");
    let Some(disk) = SmallDisk::mount(&path, "192k") else {
        eprintln!("skipped: this user cannot mount a file system");
        return;
    };
    let run = "crowdstrike --json --ledger disk/ledger.db";
    let output = env.run(run).assert_code(6);
    assert!(
        output.stderr.contains("the disk is full") && output.stderr.contains("df -h"),
        "{output:?}"
    );
    output.assert_counts_add_up();
    disk.resize("8m");
    // The alerts are older than 24 hours now. The run reads them again, because the window of the
    // failed run was not completed.
    let output: RunOutput = env.run_at("2026-11-23T00:15:00Z", run).assert_code(0);
    output.assert_counts_add_up();
    assert_eq!(env.stored_values(), hashes(0..900), "everything arrives once");
}

#[test]
fn without_a_ledger_a_second_run_sends_everything_again() {
    let env = env_with_alerts(3);
    for now in ["2026-11-22T00:15:00Z", LATER] {
        let output = env.run_at(now, "crowdstrike --json --no-ledger").assert_code(0);
        assert_eq!(output.assert_counts_add_up().count("processed"), 3);
    }
    assert_eq!(env.sandbox.stored().len(), 6);
    let files: Vec<_> =
        std::fs::read_dir(env.folder()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(files, ["collective-insights.log"]);
}
