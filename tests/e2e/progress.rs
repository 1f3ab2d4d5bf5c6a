//! Tests of the progress of a run: the line on a terminal, the lines in the log, and no output
//! anywhere else.

use std::io::Write as _;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use sandbox::{Fault, Service, World};
use serde_json::{Value, json};

use crate::support::alerts::{carbonblack, falcon, falcon_at, sha256, with};
use crate::support::process::{RunningProcess, send_signal, wait_for_requests};
use crate::support::terminal::{in_terminal, run_in_terminal, screen, without_colors};
use crate::support::vendor::Vendor;
use crate::support::{RunOutput, TestEnv};

/// Reads one page at a time.
const SEQUENTIAL: &str = "crowdstrike --concurrency 1";

/// Returns a world with three pages of alerts.
fn three_pages() -> World {
    let alerts: Vec<Value> = (0..2500)
        .map(|number| falcon(&format!("f{number:04}"), "hash_sha256", &sha256(number)))
        .collect();
    World::default().falcon_alerts(&alerts)
}

/// Returns an environment whose responses take longer than the interval of progress lines in the
/// log (10 s, here 10 ms) and than that of the progress line on a terminal.
fn slow_env(world: World) -> TestEnv {
    TestEnv::new(world.latency(Duration::from_millis(300)))
}

/// Returns an environment with one alert.
fn one_alert() -> TestEnv {
    TestEnv::falcon(&[falcon("f1", "hash_sha256", &sha256(1))])
}

/// Returns the numbers of the INFO lines of the form:
/// `reading alerts pages=1 alerts=1000 total=2500`.
fn progress_lines(log: &str, message: &str, done: &str) -> Vec<(u64, u64)> {
    let number = |line: &str, name: &str| {
        let (_, rest) = line.split_once(&format!(" {name}="))?;
        rest.split(' ').next()?.parse().ok()
    };
    log.lines()
        .filter(|line| line.contains(" INFO ") && line.contains(message))
        .filter_map(|line| Some((number(line, done)?, number(line, "total")?)))
        .collect()
}

/// Returns the screen at the end of a run, and asserts that the progress line was drawn and
/// removed.
#[track_caller]
fn final_screen(written: &str) -> String {
    assert!(written.contains("\x1b[2K"), "nothing was drawn: {written:?}");
    let screen = screen(written);
    for text in ["Working", "Reading alerts", "Storing", "Sending", "Waiting"] {
        assert!(!screen.contains(text), "{screen}");
    }
    screen
}

#[test]
fn without_a_terminal_only_the_log_shows_progress() {
    let env = slow_env(three_pages());
    let output = env.run(SEQUENTIAL).assert_code(0);
    assert_eq!(output.stderr, "");
    assert!(output.stdout.starts_with("CrowdStrike Falcon · "), "{output:?}");
    assert!(!output.stdout.contains('\x1b'));
    let log = env.log();
    for (message, done) in [("reading alerts", "alerts"), ("sending indicators", "sent")] {
        let lines = progress_lines(&log, message, done);
        assert!(lines.contains(&(1000, 2500)), "{message}: {log}");
        assert!(lines.contains(&(2000, 2500)), "{message}: {log}");
        assert!(lines.is_sorted(), "{message}: {log}");
    }
}

#[test]
fn concurrently_read_pages_are_added_up() {
    let falcon_alerts: Vec<Value> = (0..4000)
        .map(|number| {
            let (minute, second) = (number / 60 % 60, number % 60);
            let hour = 2 + number / 3600;
            falcon_at(number, &format!("2026-11-21T{hour:02}:{minute:02}:{second:02}Z"))
        })
        .collect();
    let carbonblack_alerts: Vec<Value> = (0..4000)
        .map(|number| {
            let alert = carbonblack(&format!("c{number:04}"), &sha256(number));
            let minute = number / 100;
            let time = format!("2026-11-21T08:{minute:02}:00.000Z");
            with(alert, "backend_timestamp", json!(time))
        })
        .collect();
    let world =
        World::default().falcon_alerts(&falcon_alerts).carbon_black_alerts(&carbonblack_alerts);
    let env = slow_env(world);
    for source in Vendor::ALL.map(Vendor::command) {
        let log = format!("{source}.log");
        env.run(&format!("{source} -n --log-file {log}")).assert_code(0);
        let log = std::fs::read_to_string(env.path(&log)).unwrap();
        let lines = progress_lines(&log, "reading alerts", "alerts");
        assert!(lines.iter().all(|(_, total)| *total == 4000), "{source}: {log}");
        assert!(lines.contains(&(1000, 4000)), "{source}: {log}");
        assert!(lines.is_sorted(), "{source}: {log}");
    }
}

#[test]
fn a_short_run_logs_no_progress_above_debug() {
    let env = TestEnv::new(three_pages());
    let output = RunOutput::capture(
        env.command(&format!("{SEQUENTIAL} --debug"))
            .env("COLLECTIVE_INSIGHTS_TEST_WAIT_DIVISOR", "1"),
    );
    output.assert_code(0);
    let log = env.log();
    assert_eq!(progress_lines(&log, "reading alerts", "alerts"), []);
    assert_eq!(progress_lines(&log, "sending indicators", "sent"), []);
    let pages = [" DEBUG ", " read a page ", " total=2500"];
    let pages = |line: &&str| pages.iter().all(|part| line.contains(part));
    assert_eq!(log.lines().filter(pages).count(), 3, "{log}");
}

#[test]
fn the_log_names_the_host_that_is_waited_for() {
    let env = one_alert();
    for service in [Service::FalconAlerts, Service::RecordedFuture] {
        let rate_limited = Fault::retry_after(429, "240");
        env.sandbox.queue_faults(service, vec![rate_limited]);
    }
    assert_eq!(env.run("crowdstrike").assert_code(0).stderr, "");
    let log = env.log();
    let waiting = "waiting_for=127.0.0.1 wait_seconds=1";
    assert!(log.contains(&format!(" reading alerts pages=0 alerts=0 {waiting}")), "{log}");
    let sending = "sending indicators batches=0 sent=0 rejected=0 total=1";
    assert!(log.contains(&format!(" {sending} {waiting}")), "{log}");
}

#[test]
fn a_terminal_shows_progress_and_then_a_line_per_phase_and_the_summary() {
    let env = slow_env(three_pages());
    let Some(output) = run_in_terminal(&env, SEQUENTIAL, &[]) else {
        return;
    };
    let shown = without_colors(&output.assert_code(0).stdout);
    for text in [
        "Reading alerts [========>           ]  40 %  1,000 of 2,500  0:0",
        "Reading alerts [================>   ]  80 %  2,000 of 2,500  0:0",
        "Sending [                    ]   0 %  0 of 2,500  0:0",
        "Sending [========>           ]  40 %  1,000 of 2,500  0:0",
        "Sending [================>   ]  80 %  2,000 of 2,500  0:0",
    ] {
        assert!(shown.contains(text), "no {text:?} in {shown:?}");
    }
    let screen = final_screen(&shown);
    let lines: Vec<&str> = screen.lines().collect();
    assert!(lines[0].starts_with("✓ Read 2,500 alerts in "), "{screen}");
    assert!(lines[1].starts_with("✓ Sent 2,500 indicators in "), "{screen}");
    assert!(lines[2].starts_with("CrowdStrike Falcon · "), "{screen}");
    let last_lines = "\n  indicators  2,500  sent, 2,500 processed by Recorded Future\n  note: created the ledger";
    let (_, path) = screen.split_once(last_lines).unwrap_or_else(|| panic!("{screen}"));
    assert!(path.trim_end().ends_with("collective-insights.db"), "{screen}");
}

#[test]
fn a_wait_shows_its_host_but_not_the_message_of_the_service() {
    let env = one_alert();
    for service in [Service::FalconAlerts, Service::RecordedFuture] {
        let rate_limited = Fault::Status {
            code: 429,
            headers: vec![("Retry-After".into(), "240".into())],
            body: r#"{"errors":[{"code":429,"message":"service message"}]}"#.into(),
        };
        env.sandbox.queue_faults(service, vec![rate_limited]);
    }
    let divisor = ("COLLECTIVE_INSIGHTS_TEST_WAIT_DIVISOR", "200");
    let Some(output) = run_in_terminal(&env, "crowdstrike", &[divisor]) else {
        return;
    };
    let shown = output.assert_code(0).stdout;
    for text in [
        "Waiting 1 s for 127.0.0.1; read 0 alerts",
        "Waiting 1 s for 127.0.0.1; sent 0 of 1 indicators",
    ] {
        assert!(shown.contains(text), "no {text:?} in {shown:?}");
    }
    assert!(!shown.contains("service message"), "{shown:?}");
    assert!(env.log().contains("service message"), "warnings stay in the log");
}

#[test]
fn nothing_is_drawn_if_disabled_or_on_a_terminal_that_cannot_clear_lines() {
    for (arguments, variables) in [
        ("crowdstrike -q", ("TERM", "xterm")),
        ("crowdstrike --debug", ("TERM", "xterm")),
        ("crowdstrike --log-file -", ("TERM", "xterm")),
        ("crowdstrike", ("TERM", "dumb")),
    ] {
        let env = one_alert();
        let Some(output) = run_in_terminal(&env, arguments, &[variables]) else {
            return;
        };
        let shown = output.assert_code(0).stdout;
        assert!(!shown.contains("\x1b[2K"), "{arguments}: {shown:?}");
        let has_colors = !arguments.ends_with("-q") && variables.1 != "dumb";
        assert_eq!(shown.contains('\x1b'), has_colors, "colors: {shown:?}");
        assert!(!shown.contains("Working"), "{arguments}: {shown:?}");
        assert_eq!(shown.is_empty(), arguments.ends_with("-q"), "{shown:?}");
    }
}

#[test]
fn with_json_only_the_document_remains_on_the_screen() {
    let Some(output) = run_in_terminal(&one_alert(), "crowdstrike --json", &[]) else {
        return;
    };
    let screen = final_screen(&output.assert_code(0).stdout);
    let document: Value = serde_json::from_str(&screen.replace('\n', "")).unwrap();
    assert_eq!(document["counts"]["submitted"], 1);
}

#[test]
fn the_line_is_removed_before_an_error_is_printed() {
    let env = one_alert();
    let forbidden = Fault::status(403, "");
    env.sandbox.always(Service::FalconAlerts, Some(forbidden));
    let Some(output) = run_in_terminal(&env, "crowdstrike", &[]) else {
        return;
    };
    let screen = final_screen(&output.assert_code(4).stdout);
    assert!(screen.starts_with("CrowdStrike Falcon · "), "{screen}");
    assert!(screen.contains("\nerror: "), "{screen}");
}

/// Starts a run on a terminal that waits for four minutes, and interrupts it.
fn run_and_interrupt(interrupt: impl FnOnce(&TestEnv, &mut Child)) -> Option<RunOutput> {
    let env = one_alert();
    let rate_limited = Fault::retry_after(429, "240");
    env.sandbox.always(Service::FalconAlerts, Some(rate_limited));
    let mut command = env.command("crowdstrike");
    command.env("COLLECTIVE_INSIGHTS_TEST_WAIT_DIVISOR", "1");
    let mut command = in_terminal(&command)?;
    let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut running = pipes.spawn().unwrap();
    wait_for_requests(&env.sandbox, Service::FalconAlerts, 1);
    interrupt(&env, &mut running);
    Some(RunOutput::from(running.wait_with_output().unwrap()))
}

fn press_ctrl_c(running: &mut Child) {
    running.stdin.as_mut().unwrap().write_all(b"\x03").unwrap();
}

#[test]
fn a_signal_leaves_a_clean_terminal() {
    let Some(output) = run_and_interrupt(|env, _| {
        let pid = std::fs::read_to_string(env.path("pid")).unwrap();
        send_signal("TERM", pid.trim());
    }) else {
        return;
    };
    let screen = final_screen(&output.assert_code(143).stdout);
    assert!(screen.starts_with("CrowdStrike Falcon · "), "{screen}");
    assert!(screen.contains("\nerror: "), "{screen}");
}

#[test]
fn ctrl_c_leaves_one_line() {
    // The terminal itself writes `^C` after the progress line.
    let Some(output) = run_and_interrupt(|_, running| press_ctrl_c(running)) else {
        return;
    };
    let screen = final_screen(&output.assert_code(130).stdout);
    assert_eq!(screen, "Interrupted. Nothing is queued; run again to continue.");
}

#[test]
fn a_second_ctrl_c_ends_at_once() {
    // Nothing responds: the run would wait for its request until the grace period is over.
    let env = one_alert();
    let hang = Fault::HangThenReset(Duration::from_mins(1));
    env.sandbox.always(Service::FalconAlerts, Some(hang));
    let Some(mut command) = in_terminal(&env.command("crowdstrike")) else {
        return;
    };
    let mut running = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    wait_for_requests(&env.sandbox, Service::FalconAlerts, 1);
    let pressed = Instant::now();
    press_ctrl_c(&mut running);
    let log_has_signal = || env.log().contains("received SIGINT");
    while !log_has_signal() {
        assert!(pressed.elapsed() < Duration::from_secs(30), "{}", env.log());
        std::thread::sleep(Duration::from_millis(5));
    }
    let pressed = Instant::now();
    press_ctrl_c(&mut running);
    let output = RunOutput::from(running.wait_with_output().unwrap()).assert_code(130);
    assert!(pressed.elapsed() < Duration::from_secs(3), "{:?}", pressed.elapsed());
    assert_eq!(final_screen(&output.stdout), "");
}

#[test]
fn ctrl_c_names_what_is_queued() {
    let env = TestEnv::new(three_pages());
    let hang = Fault::HangThenReset(Duration::from_mins(1));
    env.sandbox.queue_faults(Service::RecordedFuture, vec![Fault::None, hang]);
    let mut running = RunningProcess::start(&mut env.command("crowdstrike"));
    wait_for_requests(&env.sandbox, Service::RecordedFuture, 2);
    running.signal("INT");
    let output = running.finish().assert_code(130);
    let line = "Interrupted. 1,500 indicators are queued; run again to continue.\n";
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("", line));
    assert!(env.log().contains("  -1,500  queued for the next run\n"), "{}", env.log());
}
