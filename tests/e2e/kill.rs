//! The kill test: SIGKILL at each numbered step of a run and at random instants. The next night's run
//! goes on, and the judge finds everything in its place.
//!
//! The long form, 200 instants: `cargo test --test e2e kill -- --ignored`.

use std::process::Command;
use std::time::{Duration, Instant};

use sandbox::{Asked, Service};

use crate::support::oracle::{Oracle, Vendor, broke_after_storing, night};
use crate::support::process::Running;
use crate::support::{Ran, Stage};

const VENDORS: [Vendor; 2] = [Vendor::Falcon, Vendor::CarbonBlack];

/// A story of kills: nights, and the submissions that may have been in flight when one came.
struct Killed {
    stage: Stage,
    oracle: Oracle,
    in_flight: Vec<usize>,
}

impl Killed {
    fn new(vendor: Vendor) -> Self {
        let (oracle, world) = Oracle::world(vendor, 2, 12, 4);
        Self {
            stage: Stage::new(world.latency(Duration::from_millis(3))),
            oracle,
            in_flight: Vec::new(),
        }
    }

    fn command(&self, number: u32) -> Command {
        let arguments = format!("{} --json --batch-size 4", self.oracle.vendor.command());
        let mut command = self.stage.command(&arguments);
        command.env("COLLECTIVE_INSIGHTS_TEST_NOW", night(number));
        command
    }

    /// Notes that a run was killed: the last submission it began may have been stored, and nothing
    /// before it.
    fn was_killed(&mut self) {
        let requests = self.stage.sandbox.requests();
        let last =
            requests.iter().rposition(|request| request.service == Some(Service::RecordedFuture));
        self.in_flight.extend(last);
    }

    /// The next night all is well again.
    fn judge(&self, story: &str) {
        if self.stage.sandbox.requests().is_empty() {
            // Killed before it asked for anything, the very first run leaves no trace: as if never begun.
            Ran::of(&mut self.command(1)).ended(0);
        }
        // The sandbox may still be at work for a client that is gone.
        std::thread::sleep(Duration::from_millis(10));
        let ran = Ran::of(&mut self.command(2));
        assert_eq!(ran.code, 0, "{story}: {ran:?}");
        ran.adds_up();
        let lost = |index: usize, request: &Asked| {
            self.in_flight.contains(&index) || broke_after_storing(index, request)
        };
        let verdict = self.oracle.judge(&self.stage, lost);
        assert_eq!((verdict.waiting, verdict.quarantined), (0, 0), "{story}");
    }
}

#[test]
fn killed_at_any_step_a_run_loses_nothing() {
    for vendor in VENDORS {
        let mut step = 1;
        loop {
            let mut killed = Killed::new(vendor);
            let mut command = killed.command(1);
            let ran = Ran::of(command.env("COLLECTIVE_INSIGHTS_TEST_KILL_AT", step.to_string()));
            let story = format!("{vendor:?}, step {step}");
            if ran.code == 0 {
                // One step before and after each of the two pages' and four batches' work.
                assert!(step > 12, "only {step} steps");
                break;
            }
            assert_eq!(ran.code, -1, "{story}: {ran:?}");
            killed.was_killed();
            killed.judge(&story);
            step += 1;
        }
    }
}

/// Kills runs of the first night at random instants, once or twice each.
fn killed_at_random(instants: u32) {
    let mut random = fastrand::Rng::with_seed(20_261_122);
    // The shorter of two: a machine that was busy for a moment would put most instants behind the end.
    let length = (0..2).map(|_| {
        let rehearsal = Killed::new(Vendor::Falcon);
        let begun = Instant::now();
        Ran::of(&mut rehearsal.command(1)).ended(0);
        begun.elapsed()
    });
    let length = length.min().unwrap();
    let (mut left, mut hit) = (instants, 0);
    while left > 0 {
        let vendor = VENDORS[usize::from(left % 2 == 0)];
        let mut killed = Killed::new(vendor);
        let kills = random.u32(1..=2).min(left);
        for _ in 0..kills {
            let instant = length.mul_f64(random.f64());
            let mut running = Running::start(&mut killed.command(1));
            std::thread::sleep(instant);
            hit += u32::from(!running.is_over());
            running.kill();
            killed.was_killed();
        }
        left -= kills;
        killed.judge(&format!("{vendor:?}, {left} left"));
    }
    println!("{hit} of {instants} kills met a run that was on");
    assert!(hit * 2 >= instants, "only {hit} of {instants} kills met a run");
}

#[test]
fn killed_at_random_instants_a_run_loses_nothing() {
    killed_at_random(10);
}

#[test]
#[ignore = "the long form: minutes"]
fn killed_at_200_random_instants_a_run_loses_nothing() {
    killed_at_random(200);
}
