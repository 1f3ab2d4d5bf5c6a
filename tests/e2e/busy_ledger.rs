//! Tests a run that has sent a batch and cannot record the response, because another program, such
//! as `sqlite3`, reads the ledger in a transaction.

use std::time::{Duration, Instant};

use rusqlite::Connection;
use sandbox::{Fault, Service};

use crate::support::TestEnv;
use crate::support::alerts::hashes;
use crate::support::falcon_run::{LATER, RUN, env_with_alerts};
use crate::support::process::{RunningProcess, wait_for_requests};

/// How long Recorded Future takes to respond: longer than the test takes to open the ledger.
const RESPONSE_TIME: Duration = Duration::from_millis(700);

/// How long the ledger is read: longer than 5 seconds, which a run waits in any case.
const READ_TIME: Duration = Duration::from_secs(7);

/// Starts a run, and reads the ledger when it has sent its first batch, of two indicators. The open
/// transaction of the returned connection keeps the run from recording the response.
fn start_and_read(env: &TestEnv) -> (RunningProcess, Connection) {
    let slow = Fault::HangThenRespond(RESPONSE_TIME);
    env.sandbox.queue_faults(Service::RecordedFuture, vec![slow]);
    let running = RunningProcess::start(&mut env.command(&format!("{RUN} --batch-size 2")));
    wait_for_requests(&env.sandbox, Service::RecordedFuture, 1);
    let reader = Connection::open(env.path("collective-insights.db")).unwrap();
    reader.execute_batch("BEGIN").unwrap();
    let batches = reader.query_row("SELECT count(*) FROM batch", [], |row| row.get(0));
    assert_eq!(batches, Ok(1));
    (running, reader)
}

#[test]
fn a_response_is_recorded_when_a_reader_has_closed_the_ledger() {
    let env = env_with_alerts(6);
    let (running, reader) = start_and_read(&env);
    std::thread::sleep(READ_TIME);
    assert_eq!(env.stored_values().len(), 2, "no batch is sent while the ledger is read");
    drop(reader);
    let output = running.finish().assert_code(0);
    assert_eq!(output.assert_counts_add_up().count("processed"), 6);
    assert!(env.log().contains("another program has the ledger locked"));
    assert_eq!(env.stored_values(), hashes(0..6));
}

#[test]
fn a_signal_ends_a_run_that_waits_for_a_reader() {
    // The documented limit is 5 s; a machine under load may need longer to end a process.
    const LIMIT: Duration = Duration::from_secs(8);
    let env = env_with_alerts(6);
    let (mut running, reader) = start_and_read(&env);
    while env.stored_values().len() < 2 {
        std::thread::sleep(Duration::from_millis(5));
    }
    let signalled = Instant::now();
    running.signal("TERM");
    let output = running.finish().assert_code(143);
    assert!(signalled.elapsed() < LIMIT, "{:?}", signalled.elapsed());
    output.assert_counts_add_up().assert_stderr(&["SIGTERM", "another program"]);
    drop(reader);
    env.run_at(LATER, RUN).assert_code(0).assert_counts_add_up();
    assert_eq!(
        env.request_count(Service::Search),
        1,
        "the next run searches for the batch in doubt"
    );
    assert_eq!(env.stored_values(), hashes(0..6), "nothing is sent again");
}
