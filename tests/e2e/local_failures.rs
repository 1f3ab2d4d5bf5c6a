//! The machine: two runs at once, signals, ledgers that cannot be used, full disks.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use sandbox::{Fault, Service, World};
use serde_json::Value;

use crate::support::alerts::{at, hashes};
use crate::support::process::{Running, until_asked};
use crate::support::{Ran, Stage};

const RUN: &str = "crowdstrike --json";
const LATER: &str = "2026-11-22T01:15:00Z";

fn stage(n: u64) -> Stage {
    let alerts: Vec<Value> = (0..n).map(|number| at(number, "2026-11-21T08:00:00Z")).collect();
    Stage::new(World::default().falcon_alerts(&alerts))
}

/// A run that hangs in its first request to a service.
fn hanging_at(stage: &Stage, service: Service) -> Running {
    let hang = Fault::HangThenClose(Duration::from_mins(1));
    stage.sandbox.script(service, vec![hang]);
    let running = Running::start(&mut stage.command(RUN));
    until_asked(&stage.sandbox, service, 1);
    running
}

/// A run that hangs in its first submission.
fn hanging(stage: &Stage) -> Running {
    hanging_at(stage, Service::RecordedFuture)
}

#[test]
fn a_second_run_ends_at_once_and_names_the_process_until_a_crash_frees_the_ledger() {
    let stage = stage(3);
    let mut first = hanging(&stage);
    for arguments in [RUN, "carbonblack --json", "crowdstrike --json --dry-run"] {
        let second = stage.run_at(LATER, arguments).ended(7);
        let error = second.json()["error"].clone();
        assert_eq!(error["kind"], "locked");
        let process = format!("process {}", first.id());
        assert!(error.to_string().contains(&process), "{error}");
    }
    // Who only looks is not kept out.
    let status = stage.run("status --json").ended(0).json();
    assert_eq!(status["sources"][0]["waiting"], 3);
    assert!(stage.run("status").ended(0).stdout.contains("running, or killed"));
    first.kill();
    stage.run_at(LATER, RUN).ended(0);
    assert_eq!(stage.stored_values(), hashes(0..3));
}

#[test]
fn a_signal_ends_a_run_within_seconds_and_the_next_goes_on() {
    for (signal, code, service) in [
        ("TERM", 143, Service::RecordedFuture),
        ("INT", 130, Service::RecordedFuture),
        ("TERM", 143, Service::FalconAlerts),
    ] {
        let stage = stage(3);
        let mut running = hanging_at(&stage, service);
        let asked = Instant::now();
        running.signal(signal);
        let ran = running.finish().ended(code);
        // The promise is five; a machine under load may start and end processes slowly.
        assert!(asked.elapsed() < Duration::from_secs(8), "{:?}", asked.elapsed());
        let waiting = if service == Service::RecordedFuture { 3 } else { 0 };
        assert_eq!(ran.adds_up().count("waiting"), waiting);
        assert_eq!(ran.json()["error"]["kind"], "interrupted");
        let ran = stage.run_at(LATER, RUN).ended(0);
        assert_eq!(ran.count("carried_in"), waiting);
        assert_eq!(stage.stored_values(), hashes(0..3));
    }
}

#[test]
fn a_request_in_flight_is_let_finish_and_no_further_one_begins() {
    let stage = stage(6);
    let slow = Fault::HangThenAnswer(Duration::from_millis(700));
    stage.sandbox.script(Service::RecordedFuture, vec![slow]);
    let mut running = Running::start(&mut stage.command("crowdstrike --json --batch-size 2"));
    until_asked(&stage.sandbox, Service::RecordedFuture, 1);
    running.signal("TERM");
    let ran = running.finish().ended(143);
    ran.adds_up();
    assert_eq!((ran.count("processed"), ran.count("waiting")), (2, 4));
    stage.run_at(LATER, RUN).ended(0);
    assert_eq!(stage.stored_values(), hashes(0..6), "and nothing twice");
}

#[test]
fn a_signal_ends_a_wait_between_tries() {
    let stage = stage(3);
    stage.sandbox.always(Service::RecordedFuture, Some(Fault::retry_after(429, "290")));
    let mut command = stage.command(RUN);
    let mut running = Running::start(command.env("COLLECTIVE_INSIGHTS_TEST_WAIT_DIVISOR", "1"));
    until_asked(&stage.sandbox, Service::RecordedFuture, 1);
    // Whether it comes before the answer or in the wait after it: no second try begins.
    running.signal("TERM");
    let ran = running.finish().ended(143);
    assert_eq!(ran.adds_up().count("waiting"), 3);
    assert_eq!(stage.sandbox.requests_to(Service::RecordedFuture).len(), 1);
}

/// A ledger with a delivered and two waiting submissions, and its bytes.
fn used_ledger(stage: &Stage) -> Vec<u8> {
    let faults = vec![Fault::None, Fault::status(401, "")];
    stage.sandbox.script(Service::RecordedFuture, faults);
    stage.run("crowdstrike --batch-size 1").ended(4);
    std::fs::read(stage.path("collective-insights.db")).unwrap()
}

/// Does something to the ledger at a path that held these bytes.
type Damage<'a> = Box<dyn Fn(&Path, Vec<u8>) + 'a>;

#[test]
fn a_ledger_that_cannot_be_used_is_left_as_it_is_and_the_help_is_named() {
    let foreign = |path: &Path| {
        let db = Connection::open(path).unwrap();
        db.execute_batch("CREATE TABLE cat (name TEXT); INSERT INTO cat VALUES ('Tom')").unwrap();
    };
    let write = |path: &Path, bytes: &[u8]| std::fs::write(path, bytes).unwrap();
    let kinds: [(&str, &str, Damage<'_>); 6] = [
        ("empty", "mv ", Box::new(|path, _| write(path, b""))),
        ("zeroed", "mv ", Box::new(|path, bytes| write(path, &vec![0; bytes.len()]))),
        (
            "truncated",
            ".recover",
            Box::new(|path, bytes| write(path, &bytes[..bytes.len() / 2 + 100])),
        ),
        ("text", "mv ", Box::new(|path, _| write(path, "Dear diary\n".repeat(500).as_bytes()))),
        (
            "foreign",
            "mv ",
            Box::new(|path, _| {
                std::fs::remove_file(path).unwrap();
                foreign(path);
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
        let stage = stage(3);
        let path = stage.path("collective-insights.db");
        let whole = used_ledger(&stage);
        let asked = stage.sandbox.requests().len();
        damage(&path, whole);
        let damaged = std::fs::read(&path).unwrap();
        for command in
            [RUN, "crowdstrike --dry-run", "carbonblack", "status", "outbox list", "outbox retry"]
        {
            let ran = stage.run_at(LATER, command).ended(6);
            assert!(ran.stderr.contains(help), "{kind}, {command}: {}", ran.stderr);
            assert_eq!(std::fs::read(&path).unwrap(), damaged, "{kind}, {command}");
        }
        assert_eq!(stage.sandbox.requests().len(), asked, "{kind}: nothing is asked");
    }
}

#[test]
fn a_read_only_ledger_is_refused_before_anything_is_asked() {
    let stage = stage(3);
    let bytes = used_ledger(&stage);
    let path = stage.path("collective-insights.db");
    let asked = stage.sandbox.requests().len();
    let mut permissions = std::fs::metadata(&path).unwrap().permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(&path, permissions).unwrap();
    let ran = stage.run_at(LATER, RUN).ended(6);
    assert!(ran.stderr.contains("read-only") && ran.stderr.contains("--ledger <FILE>"), "{ran:?}");
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
    assert_eq!(stage.sandbox.requests().len(), asked);
}

#[test]
fn a_read_only_folder_is_refused_before_anything_is_asked() {
    let stage = stage(3);
    let folder = stage.path("closed");
    std::fs::create_dir(&folder).unwrap();
    let mut permissions = std::fs::metadata(&folder).unwrap().permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(&folder, permissions).unwrap();
    if std::fs::write(folder.join("probe"), "").is_ok() {
        eprintln!("skipped: this user (root?) may write into read-only folders");
        return;
    }
    let ran = stage.run("crowdstrike --ledger closed/ledger.db").ended(6);
    assert!(ran.stderr.contains("--no-ledger"), "{ran:?}");
    assert_eq!(stage.sandbox.requests().len(), 0);
}

#[test]
fn a_missing_folder_is_refused_with_what_helps() {
    let stage = stage(1);
    let ran = stage.run("crowdstrike --ledger nowhere/ledger.db").ended(6);
    assert!(ran.stderr.contains("its folder does not exist"), "{ran:?}");
    assert_eq!(stage.sandbox.requests().len(), 0);
}

#[test]
fn a_full_disk_under_the_log_stops_no_run() {
    if !Path::new("/dev/full").exists() {
        eprintln!("skipped: no /dev/full here");
        return;
    }
    let stage = stage(3);
    let ran = stage.run("crowdstrike --json --log-file /dev/full").ended(0);
    assert_eq!(ran.adds_up().count("processed"), 3);
    assert_eq!(ran.stderr.matches("the log cannot be written").count(), 1, "{}", ran.stderr);
}

/// A small file system; gone with its guard.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    fn mount(path: &'a Path, size: &str) -> Option<Self> {
        std::fs::create_dir(path).unwrap();
        let options = format!("size={size},nr_inodes=64");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(path).output();
        mounted.is_ok_and(|mounted| mounted.status.success()).then_some(Self(path))
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).output();
    }
}

#[test]
fn a_full_disk_under_the_ledger_is_told_and_costs_nothing() {
    let stage = stage(900);
    let path = stage.path("disk");
    let Some(_disk) = SmallDisk::mount(&path, "192k") else {
        eprintln!("skipped: this user may not mount a small file system");
        return;
    };
    let run = "crowdstrike --json --ledger disk/ledger.db";
    let ran = stage.run(run).ended(6);
    assert!(ran.stderr.contains("the disk is full") && ran.stderr.contains("df -h"), "{ran:?}");
    ran.adds_up();
    let room = Command::new("mount").args(["-o", "remount,size=8m"]).arg(&path).status().unwrap();
    assert!(room.success());
    // The next night, so that only what the ledger knows leads back.
    let ran: Ran = stage.run_at("2026-11-23T00:15:00Z", run).ended(0);
    ran.adds_up();
    assert_eq!(stage.stored_values(), hashes(0..900), "all of it, and nothing twice");
}

#[test]
fn without_a_ledger_nothing_is_remembered() {
    let stage = stage(3);
    for now in ["2026-11-22T00:15:00Z", LATER] {
        let ran = stage.run_at(now, "crowdstrike --json --no-ledger").ended(0);
        assert_eq!(ran.adds_up().count("processed"), 3);
    }
    assert_eq!(stage.sandbox.stored().len(), 6);
    let files: Vec<_> =
        std::fs::read_dir(stage.folder()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(files, ["collective-insights.log"]);
}
