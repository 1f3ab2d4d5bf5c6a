//! Another program, such as `sqlite3`, reads the ledger in a transaction while a batch is sent.

use std::time::{Duration, Instant};

use rusqlite::Connection;
use sandbox::{Fault, Service};

use crate::support::TestEnv;
use crate::support::alerts::hashes;
use crate::support::falcon_run::{LATER, RUN, env_with_alerts};
use crate::support::process::{RunningProcess, wait_for_requests};

/// Starts a run, and reads the ledger when it has sent its first batch, of two indicators. The open
/// transaction of the connection keeps the run from recording the response.
fn start_and_read(env: &TestEnv) -> (RunningProcess, Connection) {
    let slow = Fault::HangThenRespond(Duration::from_millis(700));
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
    std::thread::sleep(Duration::from_secs(7));
    assert_eq!(env.stored_values().len(), 2, "no other batch is sent meanwhile");
    drop(reader);
    let output = running.finish().assert_code(0);
    assert_eq!(output.assert_sums().count("processed"), 6);
    assert!(env.log().contains("another program has the ledger locked"));
    assert_eq!(env.stored_values(), hashes(0..6));
}

#[test]
fn a_signal_ends_a_run_that_waits_for_a_reader() {
    let env = env_with_alerts(6);
    let (mut running, reader) = start_and_read(&env);
    while env.stored_values().len() < 2 {
        std::thread::sleep(Duration::from_millis(5));
    }
    let signalled = Instant::now();
    running.signal("TERM");
    let output = running.finish().assert_code(143);
    // The documented limit is 5 s; a machine under load may need longer to end a process.
    assert!(signalled.elapsed() < Duration::from_secs(8), "{:?}", signalled.elapsed());
    output.assert_sums().assert_stderr(&["SIGTERM", "another program"]);
    drop(reader);
    env.run_at(LATER, RUN).assert_code(0).assert_sums();
    assert_eq!(env.request_count(Service::Search), 1, "the batch in flight is looked up");
    assert_eq!(env.stored_values(), hashes(0..6), "nothing is sent again");
}
