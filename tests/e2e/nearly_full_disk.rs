//! Tests runs whose ledger is on a nearly full disk: what cannot be recorded is not sent. What is
//! neither sent nor in a ledger does not count as queued, also with `--no-ledger`.

use std::collections::HashMap;
use std::time::Duration;

use sandbox::{Fault, Service};

use crate::support::TestEnv;
use crate::support::alerts::hashes;
use crate::support::falcon_run::{LATER, RUN, env_with_alerts};
use crate::support::process::{RunningProcess, wait_for_requests};
use crate::support::small_disk::SmallDisk;

/// The number of alerts: more than four batches of the tests with `--batch-size 200`.
const COUNT: u64 = 900;

/// Returns how many of the stored items repeat the indicator of an earlier one.
fn repeated(env: &TestEnv) -> usize {
    let mut counts = HashMap::<String, usize>::new();
    for value in env.stored_values() {
        *counts.entry(value).or_default() += 1;
    }
    counts.values().map(|count| count - 1).sum()
}

/// Runs with [`COUNT`] queued indicators: three times on a disk with this much free space in KiB,
/// and then on a disk with enough. Returns how many indicators were stored in the three runs, and
/// how many of them repeatedly; `None` if no disk can be mounted.
fn runs_on_a_disk_with(free: u64) -> Option<(usize, usize)> {
    let env = env_with_alerts(COUNT);
    let path = env.path("disk");
    let disk = SmallDisk::mount(&path, "8m")?;
    let run = format!("{RUN} --batch-size 200 --ledger disk/ledger.db --log-file disk/log");
    env.sandbox.always(Service::RecordedFuture, Some(Fault::status(503, "")));
    env.run(&run).assert_code(5);
    env.sandbox.always(Service::RecordedFuture, None);
    disk.fill(free);
    for _ in 0..3 {
        let output = env.run_at(LATER, &run);
        assert!([0, 6].contains(&output.code), "{output:?}");
    }
    let (arrived, repeated_before) = (env.stored_values().len(), repeated(&env));
    disk.remove_filler();
    env.run_at("2026-11-22T02:15:00Z", &run).assert_code(0).assert_counts_add_up();
    let mut values = env.stored_values();
    values.dedup();
    assert_eq!(values, hashes(0..COUNT), "{free} KiB: everything arrives");
    assert_eq!(repeated(&env), repeated_before, "{free} KiB: nothing is repeated later");
    Some((arrived, repeated_before))
}

#[test]
fn runs_on_a_nearly_full_disk_repeat_nothing() {
    let mut stored = 0;
    for free in [0, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 340, 512] {
        let Some((arrived, repeated)) = runs_on_a_disk_with(free) else {
            eprintln!("skipped: this user cannot mount a file system");
            return;
        };
        println!("{free} KiB free: {arrived} arrived, {repeated} of them repeatedly");
        assert_eq!(repeated, 0, "{free} KiB");
        stored += arrived;
    }
    assert!(stored > 0, "no disk had room for a batch");
}

#[test]
fn a_batch_is_recorded_although_the_disk_fills_while_it_is_sent() {
    let env = env_with_alerts(COUNT);
    let path = env.path("disk");
    let Some(disk) = SmallDisk::mount(&path, "8m") else {
        eprintln!("skipped: this user cannot mount a file system");
        return;
    };
    let run = format!("{RUN} --batch-size 200 --ledger disk/ledger.db --log-file disk/log");
    let slow = Fault::HangThenRespond(Duration::from_secs(2));
    env.sandbox.queue_faults(Service::RecordedFuture, vec![slow]);
    let mut running = RunningProcess::start(&mut env.command(&run));
    wait_for_requests(&env.sandbox, Service::RecordedFuture, 1);
    disk.fill(0);
    assert!(!running.has_exited());
    let output = running.finish().assert_code(6);
    output.assert_counts_add_up().assert_stderr(&["the disk is full"]);
    assert_eq!(output.count("processed"), 200, "the batch in flight is recorded");
    for _ in 0..3 {
        env.run_at(LATER, &run).assert_code(6);
    }
    assert_eq!(env.stored_values().len(), 200, "what cannot be recorded is not sent");
    disk.remove_filler();
    env.run_at("2026-11-22T02:15:00Z", &run).assert_code(0).assert_counts_add_up();
    assert_eq!(env.stored_values(), hashes(0..COUNT), "everything arrives once");
}

#[test]
fn what_a_full_disk_keeps_out_of_the_ledger_does_not_count_as_queued() {
    let env = env_with_alerts(COUNT);
    let path = env.path("disk");
    let Some(disk) = SmallDisk::mount(&path, "8m") else {
        eprintln!("skipped: this user cannot mount a file system");
        return;
    };
    let run = format!("{RUN} --ledger disk/ledger.db");
    // Creates the ledger, and reads nothing.
    env.run(&format!("{run} --since 2026-11-01T00:00:00Z --until 2026-11-02T00:00:00Z"))
        .assert_code(0);
    // 40 KiB are left: not enough for all indicators.
    disk.fill(40);
    let output = env.run(&run).assert_code(6);
    let list = env.run("outbox list --json --ledger disk/ledger.db").assert_code(0).json();
    let queued = u64::try_from(list["entries"].as_array().unwrap().len()).unwrap();
    assert_eq!(output.assert_counts_add_up().count("waiting"), queued);
    // Neither sent nor stored in the ledger.
    assert!(output.count("not_stored") > 0, "{output:?}");
    let dry_run = env.run(&format!("{run} --dry-run")).assert_code(0);
    assert_eq!((dry_run.count("would_submit"), dry_run.count("not_stored")), (COUNT, 0));
}

#[test]
fn without_a_ledger_what_was_not_sent_is_not_queued() {
    let env = env_with_alerts(3);
    env.sandbox.always(Service::RecordedFuture, Some(Fault::status(503, "")));
    let output = env.run(&format!("{RUN} --no-ledger")).assert_code(5);
    assert_eq!((output.count("waiting"), output.count("not_stored")), (0, 3));
}
