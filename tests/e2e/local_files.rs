//! Tests the files that a run writes: which existing files it refuses, what other users may do to
//! them, and that there is no core dump.

use std::process::Command;
use std::time::{Duration, Instant};

use sandbox::Service;

use crate::support::falcon_run::{LATER, RUN, env_with_alerts, start_hanging_at};
use crate::support::process::RunningProcess;

#[test]
fn a_log_that_is_not_a_file_is_a_warning_at_once() {
    let env = env_with_alerts(1);
    let made = Command::new("mkfifo").arg(env.path("fifo")).status().unwrap();
    assert!(made.success());
    std::fs::create_dir(env.path("folder")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(env.path("socket")).unwrap();
    for (name, reason) in [
        ("fifo", "it is not a regular file"),
        ("socket", "it is not a regular file"),
        ("folder", "it is a directory"),
    ] {
        // A run continues without the log. `check` fails.
        for (command, code) in [("crowdstrike --no-ledger", 0), ("check crowdstrike --offline", 2)]
        {
            let mut command = env.command(command);
            let mut running = RunningProcess::start(command.args(["--log-file", name]));
            let started = Instant::now();
            while !running.has_exited() && started.elapsed() < Duration::from_secs(20) {
                std::thread::sleep(Duration::from_millis(10));
            }
            assert!(running.has_exited(), "{name}: the program waits for a reader");
            let output = running.finish().assert_code(code);
            let printed = format!("{}{}", output.stdout, output.stderr);
            let message = format!("the log file {name} cannot be written");
            assert!(printed.contains(&message) && printed.contains(reason), "{output:?}");
        }
    }
    assert_eq!(env.stored_values().len(), 3, "each run continues without the log");
}

#[test]
fn files_that_another_user_linked_to_are_not_changed() {
    const CONTENT: &str = "precious\n";
    for kind in ["a symbolic link", "a hard link"] {
        for (name, code) in [
            ("collective-insights.db.lock", 6),
            ("collective-insights.db", 6),
            ("collective-insights.log", 0),
        ] {
            // A log that is a hard link is accepted: it is appended to, so nothing is overwritten.
            if kind == "a hard link" && code == 0 {
                continue;
            }
            let env = env_with_alerts(1);
            let victim = env.write("victim", CONTENT);
            let linked = match kind {
                "a hard link" => std::fs::hard_link(&victim, env.path(name)),
                _ => std::os::unix::fs::symlink(&victim, env.path(name)),
            };
            linked.unwrap();
            for command in [RUN, "crowdstrike --dry-run", "check crowdstrike --offline"] {
                // There is no ledger. Only a run that creates one takes the lock.
                let takes_lock = name != "collective-insights.db.lock" || command == RUN;
                // Without its log a run continues, and `check` fails.
                let is_check = command.starts_with("check");
                let code = if code == 0 && is_check { 2 } else { code };
                let output = env.run(command).assert_code(if takes_lock { code } else { 0 });
                let printed = format!("{}{}", output.stdout, output.stderr);
                let is_named =
                    kind != "a symbolic link" || printed.contains("it is a symbolic link");
                assert!(!takes_lock || is_named, "{kind}, {name}, {command}: {printed}");
                assert_eq!(std::fs::read_to_string(&victim).unwrap(), CONTENT, "{kind}, {name}");
            }
            assert!(std::fs::symlink_metadata(env.path(name)).is_ok(), "{name} is still there");
        }
    }
}

#[test]
fn files_that_others_can_change_are_a_warning() {
    let names =
        ["collective-insights.log", "collective-insights.db", "collective-insights.db.lock"];
    let env = env_with_alerts(1);
    let first = env.run(RUN).assert_code(0);
    assert!(first.notes().is_empty());
    let assert_warnings = |text: &str| {
        let output = env.run_at(LATER, RUN).assert_code(0);
        let notes = output.notes().join("\n");
        let check = env.run("check crowdstrike --offline").assert_code(0).stderr;
        for name in names {
            assert!(notes.contains(&format!("{name} {text}")), "{name}: {notes}");
            assert!(check.contains(&format!("{name} {text}")), "{name}: {check}");
        }
    };
    for name in names {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o620);
        std::fs::set_permissions(env.path(name), mode).unwrap();
    }
    assert_warnings("(mode 0620)");
    for name in names {
        if std::os::unix::fs::chown(env.path(name), Some(12345), None).is_err() {
            eprintln!("skipped: this user cannot give files away");
            return;
        }
    }
    assert_warnings("belongs to another user (id 12345");
    let without_files = env.run_at(LATER, "crowdstrike --json --no-ledger --log-file /dev/null");
    assert!(without_files.assert_code(0).notes().is_empty());
}

#[test]
fn a_link_to_nowhere_is_neither_followed_nor_deleted() {
    for (name, code) in [
        ("collective-insights.db.lock", 6),
        ("collective-insights.db", 6),
        ("collective-insights.log", 0),
    ] {
        let env = env_with_alerts(1);
        std::os::unix::fs::symlink("target", env.path(name)).unwrap();
        env.run(RUN).assert_code(code);
        env.run("check crowdstrike --offline");
        assert!(!env.path("target").exists(), "{name}");
        assert!(std::fs::symlink_metadata(env.path(name)).is_ok(), "{name}");
    }
}

#[test]
fn a_run_may_not_write_a_core_dump_which_would_contain_secrets() {
    let env = env_with_alerts(3);
    let mut running = start_hanging_at(&env, Service::RecordedFuture);
    let Ok(limits) = std::fs::read_to_string(format!("/proc/{}/limits", running.id())) else {
        eprintln!("skipped: there is no /proc");
        return;
    };
    // The soft and the hard limit.
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    let numbers: Vec<&str> = core.split_whitespace().skip(4).take(2).collect();
    assert_eq!(numbers, ["0", "0"], "{core}");
}
