//! Who looks on: the line on a terminal, the log's heartbeat, and silence everywhere else.

use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use sandbox::{Fault, Service, World};
use serde_json::{Value, json};

use crate::support::alerts::{at, carbonblack, falcon, sha256, with};
use crate::support::process::until_asked;
use crate::support::terminal::{on_a_terminal, screen, without_colours};
use crate::support::{Ran, Stage};

/// Alerts for three pages where one is read after the other.
const PAGE_BY_PAGE: &str = "crowdstrike --concurrency 1";

fn three_pages() -> World {
    let alerts: Vec<Value> = (0..2500)
        .map(|number| falcon(&format!("f{number:04}"), "hash_sha256", &sha256(number)))
        .collect();
    World::default().falcon_alerts(&alerts)
}

/// Services that take longer to answer than the log's ten seconds, which are ten milliseconds here, and
/// longer than a picture stands on a terminal.
fn slow(world: World) -> Stage {
    Stage::new(world.latency(Duration::from_millis(300)))
}

/// A stage with one alert.
fn one() -> Stage {
    Stage::falcon(&[falcon("f1", "hash_sha256", &sha256(1))])
}

/// The numbers of the log's INFO lines of this form: `reading alerts alerts=1000 total=2500`.
fn heartbeats(log: &str, message: &str, done: &str) -> Vec<(u64, u64)> {
    let number = |line: &str, name: &str| {
        let (_, rest) = line.split_once(&format!(" {name}="))?;
        rest.split(' ').next()?.parse().ok()
    };
    log.lines()
        .filter(|line| line.contains(" INFO ") && line.contains(message))
        .filter_map(|line| Some((number(line, done)?, number(line, "total")?)))
        .collect()
}

/// A run on a terminal; stdout holds all that came to it.
fn run(stage: &Stage, arguments: &str, variables: &[(&str, &str)]) -> Option<Ran> {
    let mut command = stage.command(arguments);
    command.envs(variables.iter().copied());
    Some(Ran::of(&mut on_a_terminal(&command)?))
}

/// What stands on the screen when a run during which something was drawn is over: no trace of that.
#[track_caller]
fn left_behind(shown: &str) -> String {
    assert!(shown.contains("\x1b[2K"), "nothing was drawn: {shown:?}");
    let left = screen(shown);
    for drawn in ["Working", "Reading alerts", "Storing", "Sending", "Waiting"] {
        assert!(!left.contains(drawn), "{left}");
    }
    left
}

#[test]
fn without_a_terminal_the_log_alone_says_how_far_it_is() {
    let stage = slow(three_pages());
    let ran = stage.run(PAGE_BY_PAGE).ended(0);
    assert_eq!(ran.stderr, "");
    assert!(ran.stdout.starts_with("CrowdStrike Falcon, "), "{ran:?}");
    assert!(!ran.stdout.contains('\x1b'));
    let log = stage.log();
    for (message, done) in [("reading alerts", "alerts"), ("sending indicators", "sent")] {
        let told = heartbeats(&log, message, done);
        assert!(told.contains(&(1000, 2500)), "{message}: {log}");
        assert!(told.contains(&(2000, 2500)), "{message}: {log}");
        assert!(told.is_sorted(), "{message}: {log}");
    }
}

#[test]
fn pages_read_side_by_side_are_one_number() {
    let falcons: Vec<Value> = (0..4000)
        .map(|number| {
            let (minute, second) = (number / 60 % 60, number % 60);
            let hour = 2 + number / 3600;
            at(number, &format!("2026-11-21T{hour:02}:{minute:02}:{second:02}Z"))
        })
        .collect();
    let carbonblacks: Vec<Value> = (0..4000)
        .map(|number| {
            let alert = carbonblack(&format!("c{number:04}"), &sha256(number));
            let minute = number / 100;
            let time = format!("2026-11-21T08:{minute:02}:00.000Z");
            with(alert, "backend_timestamp", json!(time))
        })
        .collect();
    let world = World::default().falcon_alerts(&falcons).carbon_black_alerts(&carbonblacks);
    let stage = slow(world);
    for source in ["crowdstrike", "carbonblack"] {
        let log = format!("{source}.log");
        stage.run(&format!("{source} -n --log-file {log}")).ended(0);
        let log = std::fs::read_to_string(stage.path(&log)).unwrap();
        let told = heartbeats(&log, "reading alerts", "alerts");
        assert!(told.iter().all(|(_, all)| *all == 4000), "{source}: {log}");
        assert!(told.contains(&(1000, 4000)), "{source}: {log}");
        assert!(told.is_sorted(), "{source}: {log}");
    }
}

#[test]
fn a_short_run_logs_no_line_a_page() {
    let stage = Stage::new(three_pages());
    let ran = Ran::of(
        stage
            .command(&format!("{PAGE_BY_PAGE} --debug"))
            .env("COLLECTIVE_INSIGHTS_TEST_WAIT_DIVISOR", "1"),
    );
    ran.ended(0);
    let log = stage.log();
    assert_eq!(heartbeats(&log, "reading alerts", "alerts"), []);
    assert_eq!(heartbeats(&log, "sending indicators", "sent"), []);
    let pages = [" DEBUG ", " fetched ", " of 2500 alerts"];
    let pages = |line: &&str| pages.iter().all(|part| line.contains(part));
    assert_eq!(log.lines().filter(pages).count(), 3, "{log}");
}

#[test]
fn the_log_says_who_is_waited_for() {
    let stage = one();
    for service in [Service::FalconAlerts, Service::RecordedFuture] {
        let limited = Fault::retry_after(429, "240");
        stage.sandbox.script(service, vec![limited]);
    }
    assert_eq!(stage.run("crowdstrike").ended(0).stderr, "");
    let log = stage.log();
    let waiting = "waiting_for=127.0.0.1 wait_seconds=1";
    assert!(log.contains(&format!(" reading alerts pages=0 alerts=0 {waiting}")), "{log}");
    let sending = "sending indicators batches=0 sent=0 rejected=0 total=1";
    assert!(log.contains(&format!(" {sending} {waiting}")), "{log}");
}

#[test]
fn a_terminal_shows_how_far_it_is_and_keeps_the_summary_alone() {
    let stage = slow(three_pages());
    let Some(ran) = run(&stage, PAGE_BY_PAGE, &[]) else {
        return;
    };
    let shown = without_colours(&ran.ended(0).stdout);
    for picture in [
        "Reading alerts [========>           ] 1000 of 2500, 1 page, ",
        "Reading alerts [================>   ] 2000 of 2500, 2 pages, ",
        "Sending [                    ] 0 of 2500, 0 batches, ",
        "Sending [========>           ] 1000 of 2500, 1 batch, ",
        "Sending [================>   ] 2000 of 2500, 2 batches, ",
    ] {
        assert!(shown.contains(picture), "no {picture:?} in {shown:?}");
    }
    let left = left_behind(&shown);
    assert!(left.starts_with("CrowdStrike Falcon, "), "{left}");
    let last = "\nSubmitted:   2500; of these 2500 processed, 0 not processed";
    assert!(left.ends_with(last), "{left}");
}

#[test]
fn a_wait_is_counted_down_with_its_host_and_without_the_services_words() {
    let stage = one();
    for service in [Service::FalconAlerts, Service::RecordedFuture] {
        let limited = Fault::Status {
            code: 429,
            headers: vec![("Retry-After".into(), "240".into())],
            body: r#"{"errors":[{"code":429,"message":"made words"}]}"#.into(),
        };
        stage.sandbox.script(service, vec![limited]);
    }
    let divisor = ("COLLECTIVE_INSIGHTS_TEST_WAIT_DIVISOR", "200");
    let Some(ran) = run(&stage, "crowdstrike", &[divisor]) else {
        return;
    };
    let shown = ran.ended(0).stdout;
    for picture in [
        "Waiting 1 s for 127.0.0.1; read 0 alerts",
        "Waiting 1 s for 127.0.0.1; sent 0 of 1 indicators",
    ] {
        assert!(shown.contains(picture), "no {picture:?} in {shown:?}");
    }
    assert!(!shown.contains("made words"), "{shown:?}");
    assert!(stage.log().contains("made words"), "warnings stay in the log");
}

#[test]
fn nothing_is_drawn_where_it_is_not_wanted_or_cannot_be_wiped() {
    for (arguments, variables) in [
        ("crowdstrike -q", ("TERM", "xterm")),
        ("crowdstrike --debug", ("TERM", "xterm")),
        ("crowdstrike", ("TERM", "dumb")),
    ] {
        let stage = one();
        let Some(ran) = run(&stage, arguments, &[variables]) else {
            return;
        };
        let shown = ran.ended(0).stdout;
        assert!(!shown.contains('\x1b'), "{arguments}: {shown:?}");
        assert!(!shown.contains("Working"), "{arguments}: {shown:?}");
        assert_eq!(shown.is_empty(), arguments.ends_with("-q"), "{shown:?}");
    }
}

#[test]
fn with_json_the_document_alone_stays() {
    let Some(ran) = run(&one(), "crowdstrike --json", &[]) else {
        return;
    };
    let left = left_behind(&ran.ended(0).stdout);
    let document: Value = serde_json::from_str(&left.replace('\n', "")).unwrap();
    assert_eq!(document["counts"]["submitted"], 1);
}

#[test]
fn an_error_stands_below_a_line_that_is_gone() {
    let stage = one();
    let refused = Fault::status(403, "");
    stage.sandbox.always(Service::FalconAlerts, Some(refused));
    let Some(ran) = run(&stage, "crowdstrike", &[]) else {
        return;
    };
    let left = left_behind(&ran.ended(4).stdout);
    assert!(left.starts_with("CrowdStrike Falcon, "), "{left}");
    assert!(left.contains("\nerror: "), "{left}");
}

/// A run on a terminal that waits for four minutes, begun, and interrupted.
fn interrupted(interrupt: impl FnOnce(&Stage, &mut Child)) -> Option<Ran> {
    let stage = one();
    let limited = Fault::retry_after(429, "240");
    stage.sandbox.always(Service::FalconAlerts, Some(limited));
    let mut command = stage.command("crowdstrike");
    command.env("COLLECTIVE_INSIGHTS_TEST_WAIT_DIVISOR", "1");
    let mut command = on_a_terminal(&command)?;
    let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut running = pipes.spawn().unwrap();
    until_asked(&stage.sandbox, Service::FalconAlerts, 1);
    interrupt(&stage, &mut running);
    Some(Ran::from(running.wait_with_output().unwrap()))
}

#[test]
fn a_signal_leaves_a_clean_terminal() {
    let kill = |stage: &Stage, _: &mut Child| {
        let number = std::fs::read_to_string(stage.path("pid")).unwrap();
        let sent = Command::new("kill").args(["-TERM", number.trim()]).status();
        assert!(sent.unwrap().success());
    };
    // The terminal itself writes `^C` behind the line.
    let press_ctrl_c = |_: &Stage, running: &mut Child| {
        running.stdin.as_mut().unwrap().write_all(b"\x03").unwrap();
    };
    for ran in [
        interrupted(kill).map(|ran| ran.ended(143)),
        interrupted(press_ctrl_c).map(|ran| ran.ended(130)),
    ] {
        let Some(ran) = ran else {
            return;
        };
        let left = left_behind(&ran.stdout);
        assert!(left.starts_with("CrowdStrike Falcon, "), "{left}");
        assert!(left.contains("\nerror: "), "{left}");
    }
}

/// The ways to say whether colours are wanted, and whether there are any on a terminal.
const COLOURS: [(&str, &str, bool); 7] = [
    ("", "", true),
    ("", "1", false),
    ("--color auto", "1", false),
    ("--color never", "", false),
    ("--color NEVER", "1", false),
    ("--color always", "", true),
    ("--color always", "1", true),
];

#[test]
fn colour_changes_nothing_but_colour() {
    for command in ["crowdstrike", "check crowdstrike", "check"] {
        let mut texts = Vec::new();
        for (option, no_color, coloured) in COLOURS {
            let stage = one();
            let arguments = format!("{command} {option}");
            let Some(ran) = run(&stage, &arguments, &[("NO_COLOR", no_color)]) else {
                return;
            };
            let shown = ran.stdout;
            let plain = without_colours(&shown);
            assert_eq!(plain != shown, coloured, "{arguments}: {shown:?}");
            // The run's id goes over the line's end; both clocks and addresses change from run to run.
            let left = screen(&shown).replace('\n', "");
            let (before, after) = left.split_once("(run ").unwrap_or((&left, ""));
            let after = after.split_once(')').unwrap_or_default().1;
            let digits = |char: &char| char.is_ascii_digit() || *char == '-';
            texts.push(format!("{before}{after}").replace(|char| digits(&char), ""));
        }
        texts.dedup();
        assert_eq!(texts.len(), 1, "{command}: {texts:?}");
    }
}

#[test]
fn without_a_terminal_only_who_asks_for_colours_gets_them() {
    for (arguments, coloured) in [
        ("check", false),
        ("check --color auto", false),
        ("check --color always", true),
        ("check --color always crowdstrike", true),
        ("check crowdstrike --color always", true),
        ("check --color always crowdstrike --color never", false),
        ("crowdstrike --color always", false),
    ] {
        let ran = one().run(arguments);
        assert_eq!(ran.stdout.contains("\x1b["), coloured, "{ran:?}");
        assert!(!ran.stderr.contains('\x1b'), "{ran:?}");
    }
}
