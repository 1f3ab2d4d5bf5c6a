//! Checkpoints, runs, and what the status reports.

use super::*;

fn advance(ledger: &mut TenantLedger, from: i64, until: i64, now: i64) -> Advance {
    set_time(ledger, now);
    ledger.advance_checkpoint(at(from), at(until)).unwrap()
}

#[test]
fn the_checkpoint_moves_forward_over_no_gap_and_not_beyond_now() {
    let mut ledger = temporary();
    let checkpoint = |ledger: &TenantLedger| ledger.checkpoint().unwrap();
    assert_eq!(checkpoint(&ledger), None);
    assert_eq!(
        advance(&mut ledger, 20, 30, 10),
        Advance::Unchanged,
        "nothing can have been fetched from the future"
    );
    assert_eq!(advance(&mut ledger, 0, 10, 10), Advance::Moved);
    assert_eq!(checkpoint(&ledger), Some(at(10)));
    assert_eq!(advance(&mut ledger, 11, 20, 20), Advance::WouldLeaveGap);
    assert_eq!(advance(&mut ledger, 0, 9, 20), Advance::Unchanged);
    assert_eq!(advance(&mut ledger, 0, 10, 20), Advance::Unchanged);
    assert_eq!(checkpoint(&ledger), Some(at(10)));
    assert_eq!(advance(&mut ledger, 10, 99, 20), Advance::Moved);
    assert_eq!(checkpoint(&ledger), Some(at(20)), "not beyond now");
    assert_eq!(advance(&mut ledger, 0, 25, 19), Advance::ClockWentBack);
    assert_eq!(checkpoint(&ledger), Some(at(20)));
}

#[test]
fn the_first_checkpoint_is_set_once() {
    let mut ledger = temporary();
    set_time(&mut ledger, 60);
    ledger.init_checkpoint(at(10)).unwrap();
    assert_eq!(ledger.checkpoint().unwrap(), Some(at(10)));
    ledger.init_checkpoint(at(20)).unwrap();
    assert_eq!(ledger.checkpoint().unwrap(), Some(at(10)));
    assert_eq!(advance(&mut ledger, 10, 30, 60), Advance::Moved);
}

#[test]
fn a_clock_that_went_back_behind_an_earlier_run_moves_nothing() {
    let mut ledger = temporary();
    set_time(&mut ledger, 50);
    ledger.begin_run("live", window()).unwrap();
    assert_eq!(advance(&mut ledger, 0, 10, 49), Advance::ClockWentBack);
    assert_eq!(advance(&mut ledger, 0, 10, 50), Advance::Moved);
    set_time(&mut ledger, 60);
    ledger.finish_run(0, "{}", None).unwrap();
    assert_eq!(advance(&mut ledger, 0, 55, 55), Advance::ClockWentBack);
    assert_eq!(ledger.checkpoint().unwrap(), Some(at(10)));
}

#[test]
fn a_checkpoint_is_rounded_down() {
    let mut ledger = temporary();
    set_time(&mut ledger, 2);
    let fine = at(1) + TimeDelta::nanoseconds(999_999);
    assert_eq!(ledger.advance_checkpoint(at(0), fine).unwrap(), Advance::Moved);
    assert_eq!(ledger.checkpoint().unwrap(), Some(at(1)));
    assert_eq!(ledger.advance_checkpoint(at(0), fine).unwrap(), Advance::Unchanged);
    assert_eq!(ledger.advance_checkpoint(fine, at(2)).unwrap(), Advance::WouldLeaveGap);
}

#[test]
fn status_and_runs_show_the_state_of_a_source() {
    let mut ledger = temporary();
    "one".clone_into(&mut ledger.run_id);
    ledger.begin_run("live", window()).unwrap();
    set_time(&mut ledger, 5);
    ledger.finish_run(0, "{}", None).unwrap();
    "two".clone_into(&mut ledger.run_id);
    set_time(&mut ledger, 10);
    ledger.begin_run("debug", window()).unwrap();
    assert!(ledger.begin_run("debug", window()).is_err(), "the id belongs to one run");
    set_time(&mut ledger, 11);
    for name in ["a", "b", "c", "d"] {
        store(&ledger, name, &["d"]);
    }
    let items = queue(&ledger);
    quarantine(&ledger, &items[0], "no");
    let batch = ledger.begin_batch(&items[1..2]).unwrap();
    ledger.deliver_batch(batch).unwrap();
    let _being_sent = ledger.begin_batch(&items[2..3]).unwrap();
    count_delivered(&ledger, TOKEN, 8, 11);
    assert_eq!(advance(&mut ledger, -60, 0, 12), Advance::Moved);
    let status = &ledger.reader().status(at(0).date_naive()).unwrap()[0];
    assert_eq!((status.source.as_str(), status.account.as_str()), ("crowdstrike", "account"));
    assert_eq!(status.organizations, ["uhash:a", "uhash:b"]);
    assert_eq!(
        (status.last_run, status.last_exit_code, status.last_success),
        (Some(at(10)), None, Some(at(5)))
    );
    assert_eq!((status.queued, status.quarantined, status.used_today), (2, 1, 9));
    assert_eq!((status.oldest_queued, status.read_until), (Some(at(11)), Some(at(0))));
    assert_eq!(ledger.reader().status(at(DAY).date_naive()).unwrap()[0].used_today, 0);
    set_time(&mut ledger, 20);
    ledger.finish_run(6, "{}", Some("disk full")).unwrap();
    assert!(ledger.finish_run(0, "{}", None).is_err(), "a run ends once");
    let runs = ledger.reader().runs(at(0)).unwrap();
    assert_eq!(runs.len(), 2);
    assert_eq!((runs[0].id.as_str(), runs[1].mode.as_str()), ("one", "debug"));
    assert_eq!(
        (runs[0].window, runs[0].exit_code, runs[1].error.as_deref()),
        (Some(window()), Some(0), Some("disk full"))
    );
    assert_eq!((runs[1].started_at, runs[1].finished_at), (at(10), Some(at(20))));
    assert_eq!(ledger.reader().runs(at(1)).unwrap().len(), 1);
    let status = &ledger.reader().status(at(0).date_naive()).unwrap()[0];
    assert_eq!((status.last_exit_code, status.last_error.as_deref()), (Some(6), Some("disk full")));
}

#[test]
fn a_run_that_never_began_cannot_end() {
    let ledger = temporary();
    assert!(ledger.finish_run(0, "{}", None).is_err());
    assert!(ledger.reader().runs(DateTime::UNIX_EPOCH).unwrap().is_empty());
}
