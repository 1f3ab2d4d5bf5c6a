//! Tests of `--wait`, with which a run waits until another run has ended.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use sandbox::Service;

use crate::support::alerts::hashes;
use crate::support::falcon_run::{RUN, env_with_alerts, start_hanging_at};
use crate::support::process::RunningProcess;
use crate::support::terminal::in_terminal;
use crate::support::{NOW, RunOutput, TestEnv};

/// The log message when a run begins to wait.
const WAIT_MESSAGE: &str = "waiting for up to";

/// Starts a run with these arguments, and returns it once it waits for another run.
#[track_caller]
fn start_waiting(env: &TestEnv, arguments: &str) -> RunningProcess {
    let before = env.log().matches(WAIT_MESSAGE).count();
    let running = RunningProcess::start(&mut env.command(arguments));
    let started = Instant::now();
    while env.log().matches(WAIT_MESSAGE).count() == before {
        assert!(started.elapsed() < Duration::from_secs(20), "{}", env.log());
        std::thread::sleep(Duration::from_millis(5));
    }
    running
}

#[test]
fn runs_that_wait_follow_one_after_the_other() {
    let env = env_with_alerts(3);
    let mut first = start_hanging_at(&env, Service::RecordedFuture);
    let waiting: Vec<RunningProcess> =
        (0..3).map(|_| start_waiting(&env, &format!("{RUN} --wait 60s"))).collect();
    std::thread::sleep(Duration::from_secs(2));
    first.kill();
    for run in waiting {
        let output = run.finish().assert_code(0);
        assert_eq!(output.stderr, "", "without a terminal, only the log says that it waits");
        // The window ends when the run begins, which is after the wait.
        let end: DateTime<Utc> = output.json()["window"]["end"].as_str().unwrap().parse().unwrap();
        let earliest = NOW.parse::<DateTime<Utc>>().unwrap() + TimeDelta::seconds(2);
        assert!(end >= earliest, "{end}");
    }
    assert_eq!(env.stored_values(), hashes(0..3));
    let ledger = env.path("collective-insights.db").display().to_string();
    let log = env.log();
    let line = log.lines().find(|line| line.contains(WAIT_MESSAGE)).unwrap();
    assert!(line.contains(&ledger) && line.contains("in use by another run (process "), "{line}");
    assert_eq!(log.matches("the other run has ended").count(), 3);
}

#[test]
fn a_wait_that_runs_out_ends_with_the_exit_code_of_a_locked_ledger() {
    let env = env_with_alerts(3);
    let mut first = start_hanging_at(&env, Service::RecordedFuture);
    for arguments in [RUN, "carbonblack --json", "crowdstrike --json --dry-run"] {
        let started = Instant::now();
        let output = env.run(&format!("{arguments} --wait 1s")).assert_code(7);
        assert!(started.elapsed() >= Duration::from_secs(1), "{arguments}");
        assert_eq!(output.json()["error"]["kind"], "locked");
        output.assert_stderr(&[&format!("process {}", first.id()), "--wait <DURATION>"]);
    }
    let output = env.run("crowdstrike --json --wait 60s --ca-cert missing.pem").assert_code(2);
    output.assert_stderr(&["missing.pem"]);
    let output = env.run("crowdstrike --json --wait 60s --no-ledger").assert_code(0);
    assert_eq!(output.count("processed"), 3, "without a ledger there is nothing to wait for");
    for duration in ["10", "0s", "-1m", "soon"] {
        let output = env.run(&format!("{RUN} --wait={duration}")).assert_code(2);
        output.assert_stderr(&["--wait <DURATION>", "26h"]);
    }
    assert_eq!(env.request_count(Service::FalconToken), 2);
}

#[test]
fn a_signal_ends_the_wait_at_once() {
    let env = env_with_alerts(3);
    let _first = start_hanging_at(&env, Service::RecordedFuture);
    let interrupted = ["Interrupted before the run started"];
    let terminated = ["TERM", "collective-insights.db"];
    for (signal, code, texts) in [("TERM", 143, &terminated[..]), ("INT", 130, &interrupted[..])] {
        for mode in ["", "--dry-run"] {
            let mut waiting = start_waiting(&env, &format!("{RUN} {mode} --wait 1h"));
            let signalled = Instant::now();
            waiting.signal(signal);
            let output = waiting.finish().assert_code(code);
            assert!(signalled.elapsed() < Duration::from_secs(3), "{:?}", signalled.elapsed());
            assert_eq!(output.json()["error"]["kind"], "interrupted");
            output.assert_stderr(texts);
        }
    }
}

#[test]
fn a_dry_run_without_a_ledger_does_not_wait() {
    let env = env_with_alerts(3);
    env.write("collective-insights.db.lock", "");
    env.run("crowdstrike --dry-run --wait 1h").assert_code(0);
    assert!(!env.log().contains(WAIT_MESSAGE));
}

#[test]
fn a_terminal_shows_once_that_the_run_waits() {
    let env = env_with_alerts(3);
    let _first = start_hanging_at(&env, Service::RecordedFuture);
    for (arguments, count) in [("", 1), ("-q", 0), ("--json", 1)] {
        let command = env.command(&format!("crowdstrike --wait 2s {arguments}"));
        let Some(mut terminal) = in_terminal(&command) else {
            return;
        };
        let output = RunOutput::capture(&mut terminal).assert_code(7);
        assert_eq!(
            output.stdout.matches(WAIT_MESSAGE).count(),
            count,
            "{arguments}: {}",
            output.stdout
        );
    }
}
