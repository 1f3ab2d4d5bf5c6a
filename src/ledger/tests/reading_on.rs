//! Checkpoints, runs, and what the status tells.

use super::super::*;
use super::*;

#[test]
fn the_checkpoint_moves_forward_over_no_gap_and_not_beyond_now() {
    let (ledger, tenant) = temporary();
    let advance = |from, until, now| ledger.advance(tenant, at(from), at(until), at(now)).unwrap();
    let checkpoint = || ledger.checkpoint(tenant).unwrap();
    assert_eq!(checkpoint(), None);
    assert_eq!(
        advance(20, 30, 10),
        Advance::Unchanged,
        "nothing can have been read from the future"
    );
    assert_eq!(advance(0, 10, 10), Advance::Moved);
    assert_eq!(checkpoint(), Some(at(10)));
    assert_eq!(advance(11, 20, 20), Advance::WouldLeaveGap);
    assert_eq!(advance(0, 9, 20), Advance::Unchanged);
    assert_eq!(advance(0, 10, 20), Advance::Unchanged);
    assert_eq!(checkpoint(), Some(at(10)));
    assert_eq!(advance(10, 99, 20), Advance::Moved);
    assert_eq!(checkpoint(), Some(at(20)), "not beyond now");
    assert_eq!(advance(0, 25, 19), Advance::ClockWentBack);
    assert_eq!(checkpoint(), Some(at(20)));
}

#[test]
fn a_clock_that_went_back_behind_an_earlier_run_moves_nothing() {
    let (ledger, tenant) = temporary();
    ledger.begin_run(tenant, "one", "scheduled", None, at(50)).unwrap();
    assert_eq!(ledger.advance(tenant, at(0), at(10), at(49)).unwrap(), Advance::ClockWentBack);
    assert_eq!(ledger.advance(tenant, at(0), at(10), at(50)).unwrap(), Advance::Moved);
    ledger.finish_run(tenant, "one", 0, "{}", None, at(60)).unwrap();
    assert_eq!(ledger.advance(tenant, at(0), at(55), at(55)).unwrap(), Advance::ClockWentBack);
    assert_eq!(ledger.checkpoint(tenant).unwrap(), Some(at(10)));
}

#[test]
fn a_checkpoint_is_rounded_down() {
    let (ledger, tenant) = temporary();
    let fine = at(1) + TimeDelta::nanoseconds(999_999);
    assert_eq!(ledger.advance(tenant, at(0), fine, at(2)).unwrap(), Advance::Moved);
    assert_eq!(ledger.checkpoint(tenant).unwrap(), Some(at(1)));
    assert_eq!(ledger.advance(tenant, at(0), fine, at(2)).unwrap(), Advance::Unchanged);
    assert_eq!(ledger.advance(tenant, fine, at(2), at(2)).unwrap(), Advance::WouldLeaveGap);
}

#[test]
fn status_and_runs_tell_how_a_source_stands() {
    let (ledger, tenant) = temporary();
    let window = Some((at(-60), at(0)));
    ledger.begin_run(tenant, "one", "scheduled", window, at(0)).unwrap();
    ledger.finish_run(tenant, "one", 0, "{}", None, at(5)).unwrap();
    ledger.begin_run(tenant, "two", "backfill", None, at(10)).unwrap();
    assert!(
        ledger.begin_run(tenant, "two", "backfill", None, at(10)).is_err(),
        "an id is one run's"
    );
    ledger.store(tenant, "two", &[entry("a", None, &["d"])], false, at(11)).unwrap();
    count_used(&ledger, TOKEN, 9, at(11));
    ledger.advance(tenant, at(-60), at(0), at(12)).unwrap();
    let status = &ledger.view().status(at(0).date_naive()).unwrap()[0];
    assert_eq!((status.source.as_str(), status.account.as_str()), ("crowdstrike", "account"));
    assert_eq!(
        (status.last_run, status.last_exit_code, status.last_success),
        (Some(at(10)), None, Some(at(5)))
    );
    assert_eq!((status.waiting, status.quarantined, status.used_today), (1, 0, 9));
    assert_eq!((status.oldest_waiting, status.read_until), (Some(at(11)), Some(at(0))));
    ledger.finish_run(tenant, "two", 6, "{}", Some("disk full"), at(20)).unwrap();
    assert!(ledger.finish_run(tenant, "two", 0, "{}", None, at(21)).is_err(), "a run ends once");
    let runs = ledger.view().runs(at(0)).unwrap();
    assert_eq!(runs.len(), 2);
    assert_eq!(
        (runs[0].window, runs[0].exit_code, runs[1].error.as_deref()),
        (window, Some(0), Some("disk full"))
    );
    assert_eq!(ledger.view().runs(at(1)).unwrap().len(), 1);
}
