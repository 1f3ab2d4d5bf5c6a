//! Tests SIGKILL at random instants of a run and at each crash point, a place in the program at
//! which a test can kill it. After the next day's run, nothing is lost. If the API key may search
//! for what was in flight, nothing is stored twice either.
//!
//! The long form kills at 200 instants: `cargo test --test e2e kill -- --ignored`.

use std::process::Command;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use sandbox::{RecordedRequest, Service};

use crate::support::oracle::{Oracle, response_lost, run_time};
use crate::support::process::RunningProcess;
use crate::support::vendor::Vendor;
use crate::support::{LEDGER_FILE, RunOutput, TestEnv};

/// A run that is killed one or more times, and the run of the next day.
struct KillTest {
    env: TestEnv,
    oracle: Oracle,
    /// Indices of the requests whose batches may have been in flight when the run was killed.
    in_flight: Vec<usize>,
}

impl KillTest {
    /// Generates two days of alerts. Per day, 12 have an indicator that must arrive, and 4 do not.
    fn new(vendor: Vendor, can_search: bool) -> Self {
        let (oracle, mut world) = Oracle::generate(vendor, 2, 12, 4);
        world.recorded_future.search.is_allowed = can_search;
        Self {
            env: TestEnv::new(world.latency(Duration::from_millis(3))),
            oracle,
            in_flight: Vec::new(),
        }
    }

    /// Returns the command for the run after this many days.
    fn command(&self, days: u32) -> Command {
        let arguments = format!("{} --json --batch-size 4", self.oracle.vendor.command());
        self.env.command_at(&run_time(days), &arguments)
    }

    /// Records that the run was killed: only its last batch may have been in flight.
    fn record_kill(&mut self) {
        let requests = self.env.sandbox.requests();
        let last =
            requests.iter().rposition(|request| request.service == Some(Service::RecordedFuture));
        self.in_flight.extend(last);
    }

    /// Whether the ledger has the start of the window of the first run.
    fn has_first_window(&self) -> bool {
        if !self.env.path(LEDGER_FILE).exists() {
            return false;
        }
        // In a copy: SQLite would undo the unfinished change, which is for the next run to do.
        let copy = tempfile::tempdir().unwrap();
        for suffix in ["", "-journal"] {
            let name = format!("{LEDGER_FILE}{suffix}");
            let _ = std::fs::copy(self.env.path(&name), copy.path().join(&name));
        }
        let db = Connection::open(copy.path().join(LEDGER_FILE)).unwrap();
        let select = "SELECT EXISTS (SELECT 1 FROM tenant WHERE read_from IS NOT NULL)";
        db.query_row(select, [], |row| row.get(0)).unwrap()
    }

    /// Runs the next day without a kill, asserts that nothing is lost, and returns how many items
    /// were stored twice.
    fn assert_nothing_lost(&self, context: &str) -> usize {
        if !self.has_first_window() {
            // A first run that is killed so early is as if it never began: repeat it.
            RunOutput::capture(&mut self.command(1)).assert_code(0);
        }
        // The sandbox may still be processing the last request of the killed run.
        std::thread::sleep(Duration::from_millis(10));
        let output = RunOutput::capture(&mut self.command(2));
        assert_eq!(output.code, 0, "{context}: {output:?}");
        output.assert_counts_add_up();
        let may_be_lost = |index: usize, request: &RecordedRequest| {
            self.in_flight.contains(&index) || response_lost(index, request)
        };
        let counts =
            self.oracle.check(&self.env.tenant(self.oracle.vendor.command()), &[], may_be_lost);
        assert_eq!((counts.queued, counts.quarantined), (0, 0), "{context}");
        counts.duplicates
    }
}

#[test]
fn a_run_that_is_killed_at_a_crash_point_loses_nothing() {
    for (vendor, can_search) in
        Vendor::ALL.into_iter().flat_map(|vendor| [(vendor, true), (vendor, false)])
    {
        let (mut step, mut duplicates) = (1, 0);
        let sent = loop {
            let mut test = KillTest::new(vendor, can_search);
            let mut command = test.command(1);
            let output = RunOutput::capture(
                command.env("COLLECTIVE_INSIGHTS_TEST_KILL_AT", step.to_string()),
            );
            let context = format!("{vendor:?}, step {step}");
            if output.code == 0 {
                // There are two at the page, three at each of the three batches, and five others.
                assert!(step > 16, "only {step} steps");
                break usize::try_from(output.count("submitted")).unwrap();
            }
            assert_eq!(output.code, -1, "{context}: {output:?}");
            test.record_kill();
            duplicates += test.assert_nothing_lost(&context);
            step += 1;
        };
        // At some crash point, each indicator was stored, but not recorded as delivered.
        assert_eq!(duplicates, if can_search { 0 } else { sent }, "{vendor:?}");
    }
}

/// Kills the run of the first day at random instants, once or twice.
fn kill_at_random_instants(instants: u32) {
    let mut random = fastrand::Rng::with_seed(20_261_122);
    // The shorter of two runs: if the machine was busy, most instants would be after the end.
    let durations = (0..2).map(|_| {
        let test = KillTest::new(Vendor::CrowdStrike, true);
        let started = Instant::now();
        RunOutput::capture(&mut test.command(1)).assert_code(0);
        started.elapsed()
    });
    let duration = durations.min().unwrap();
    let (mut left, mut hit) = (instants, 0);
    while left > 0 {
        let vendor = Vendor::ALL[usize::from(left % 2 == 0)];
        let mut test = KillTest::new(vendor, true);
        let kills = random.u32(1..=2).min(left);
        for _ in 0..kills {
            let instant = duration.mul_f64(random.f64());
            let mut running = RunningProcess::start(&mut test.command(1));
            std::thread::sleep(instant);
            hit += u32::from(!running.has_exited());
            running.kill();
            test.record_kill();
        }
        left -= kills;
        let context = format!("{vendor:?}, {left} kills left");
        assert_eq!(test.assert_nothing_lost(&context), 0, "{context}");
    }
    println!("{hit} of {instants} kills hit a running process");
    assert!(hit * 2 >= instants, "only {hit} of {instants} kills hit a running process");
}

#[test]
fn a_run_that_is_killed_at_random_instants_loses_nothing() {
    kill_at_random_instants(10);
}

#[test]
#[ignore = "long form: takes minutes"]
fn a_run_that_is_killed_at_200_random_instants_loses_nothing() {
    kill_at_random_instants(200);
}
