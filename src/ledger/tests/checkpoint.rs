//! Checkpoints, runs, and what the status reports.

use super::*;

fn advance(ledger: &mut TenantLedger, from: i64, until: i64, now: i64) -> Advance {
    set_time(ledger, now);
    ledger
        .advance_checkpoint(Window { start: at_minute(from), end: at_minute(until) }, None)
        .unwrap()
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
    assert_eq!(checkpoint(&ledger), Some(at_minute(10)));
    assert_eq!(advance(&mut ledger, 11, 20, 20), Advance::WouldLeaveGap);
    assert_eq!(advance(&mut ledger, 0, 9, 20), Advance::Unchanged);
    assert_eq!(advance(&mut ledger, 0, 10, 20), Advance::Unchanged);
    assert_eq!(checkpoint(&ledger), Some(at_minute(10)));
    assert_eq!(advance(&mut ledger, 10, 99, 20), Advance::Moved);
    assert_eq!(checkpoint(&ledger), Some(at_minute(20)), "not beyond now");
    assert_eq!(advance(&mut ledger, 0, 25, 19), Advance::Unchanged, "not back");
    assert_eq!(checkpoint(&ledger), Some(at_minute(20)));
}

#[test]
fn the_first_window_is_where_the_next_run_starts_until_there_is_a_checkpoint() {
    let mut ledger = temporary();
    assert_eq!(ledger.fetched().unwrap(), None);
    ledger.record_first_window(at_minute(10)).unwrap();
    assert_eq!(ledger.checkpoint().unwrap(), None);
    assert_eq!(
        ledger.fetched().unwrap(),
        Some(Window { start: at_minute(10), end: at_minute(10) })
    );
    assert_eq!(advance(&mut ledger, 11, 30, 60), Advance::WouldLeaveGap);
    assert_eq!(advance(&mut ledger, 10, 30, 60), Advance::Moved);
    ledger.record_first_window(at_minute(20)).unwrap();
    assert_eq!(
        ledger.fetched().unwrap(),
        Some(Window { start: at_minute(10), end: at_minute(30) })
    );
}

#[test]
fn a_first_window_or_a_run_in_the_future_holds_no_checkpoint_and_hides_no_run() {
    let mut ledger = temporary();
    set_time(&mut ledger, 400 * DAY);
    ledger.record_first_window(at_minute(399 * DAY)).unwrap();
    ledger.begin_run("live", window()).unwrap();
    ledger.finish_run(5, "{}", None).unwrap();
    assert_eq!(advance(&mut ledger, 0, 50, 50), Advance::Moved);
    assert_eq!(ledger.fetched().unwrap(), Some(Window { start: at_minute(0), end: at_minute(50) }));
    let status = || {
        ledger.ledger().reader().status(at_minute(60), &TenantFilter::default()).unwrap().remove(0)
    };
    assert_eq!((status().last_run, status().last_success), (Some(at_minute(400 * DAY)), None));
    // It is shown only where there is no other run, and is never the last success.
    let update = "UPDATE run SET exit_code = 0";
    ledger.ledger().reader().db().execute(update, []).unwrap();
    assert_eq!(status().last_success, None);
    let insert = "INSERT INTO run (tenant, id, mode, started_at) VALUES (1, 'right', 'live', '2026-03-01T00:50:00.000Z')";
    ledger.ledger().reader().db().execute(insert, []).unwrap();
    assert_eq!(status().last_run, Some(at_minute(50)));
}

#[test]
fn only_checkpoints_in_the_future_are_set_back() {
    // The start of the first window and the checkpoint, and afterwards the checkpoint and the
    // start, in days.
    for (first, checkpoint, expected) in [
        (0, 400, (Some(70), Some(0))),
        (90, 400, (Some(90), Some(90))),
        (399, 400, (None, None)),
        (0, 99, (Some(99), Some(0))),
    ] {
        let mut ledger = temporary();
        let (from, until) = (first * DAY, checkpoint * DAY);
        assert_eq!(advance(&mut ledger, from, until, until), Advance::Moved);
        let count =
            ledger.ledger().reset_checkpoints(at_minute(100 * DAY), at_minute(70 * DAY)).unwrap();
        assert_eq!(count, u64::from(checkpoint > 100));
        let found = (ledger.checkpoint().unwrap(), ledger.fetched().unwrap());
        let day = |day: i64| at_minute(day * DAY);
        let start = found.1.map(|fetched| fetched.start);
        assert_eq!((found.0, start), (expected.0.map(day), expected.1.map(day)));
    }
    // Up to five minutes ahead is not the future.
    let mut ledger = temporary();
    assert_eq!(advance(&mut ledger, 0, 65, 65), Advance::Moved);
    assert_eq!(ledger.ledger().reset_checkpoints(at_minute(60), at_minute(0)).unwrap(), 0);
    assert_eq!(ledger.ledger().reset_checkpoints(at_minute(59), at_minute(0)).unwrap(), 1);
}

#[test]
fn a_run_whose_clock_was_wrong_is_corrected_while_it_runs() {
    let mut ledger = temporary();
    assert!(ledger.restart_clock(window()).is_err());
    set_time(&mut ledger, 400 * DAY);
    ledger.begin_run("live", Window { start: at_minute(0), end: at_minute(400 * DAY) }).unwrap();
    set_time(&mut ledger, 5);
    ledger.restart_clock(window()).unwrap();
    let run = ledger
        .ledger()
        .reader()
        .runs(DateTime::UNIX_EPOCH, &TenantFilter::default())
        .unwrap()
        .remove(0);
    assert_eq!((run.started_at, run.window), (at_minute(5), Some(window())));
    ledger.finish_run(0, "{}", None).unwrap();
    assert!(ledger.restart_clock(window()).is_err());
}

#[test]
fn a_checkpoint_is_rounded_down() {
    let mut ledger = temporary();
    set_time(&mut ledger, 2);
    let fine = at_minute(1) + TimeDelta::nanoseconds(999_999);
    assert_eq!(
        ledger.advance_checkpoint(Window { start: at_minute(0), end: fine }, None).unwrap(),
        Advance::Moved
    );
    assert_eq!(ledger.checkpoint().unwrap(), Some(at_minute(1)));
    assert_eq!(
        ledger.advance_checkpoint(Window { start: at_minute(0), end: fine }, None).unwrap(),
        Advance::Unchanged
    );
    assert_eq!(
        ledger.advance_checkpoint(Window { start: fine, end: at_minute(2) }, None).unwrap(),
        Advance::WouldLeaveGap
    );
}

#[test]
fn status_and_runs_show_the_state_of_a_tenant() {
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
    record_delivered_at(&ledger, TOKEN, 8, 11);
    assert_eq!(advance(&mut ledger, -60, 0, 12), Advance::Moved);
    let status =
        &ledger.ledger().reader().status(at_minute(12), &TenantFilter::default()).unwrap()[0];
    assert_eq!((status.source.as_str(), status.account.as_str()), ("crowdstrike", "account"));
    assert_eq!(status.organizations, ["uhash:a", "uhash:b"]);
    assert_eq!(
        (status.last_run, status.last_exit_code, status.last_success),
        (Some(at_minute(10)), None, Some(at_minute(5)))
    );
    assert_eq!((status.queued, status.quarantined, status.used_today), (2, 1, 9));
    assert_eq!(
        (status.oldest_queued, status.read_until),
        (Some(at_minute(11)), Some(at_minute(0)))
    );
    assert_eq!(
        ledger.ledger().reader().status(at_minute(DAY), &TenantFilter::default()).unwrap()[0]
            .used_today,
        0
    );
    set_time(&mut ledger, 20);
    ledger.finish_run(6, "{}", Some("disk full")).unwrap();
    assert!(ledger.finish_run(0, "{}", None).is_err(), "a run ends once");
    let runs = ledger.ledger().reader().runs(at_minute(0), &TenantFilter::default()).unwrap();
    assert_eq!(runs.len(), 2);
    assert_eq!((runs[0].id.as_str(), runs[1].mode.as_str()), ("one", "debug"));
    assert_eq!(
        (runs[0].window, runs[0].exit_code, runs[1].error.as_deref()),
        (Some(window()), Some(0), Some("disk full"))
    );
    assert_eq!((runs[1].started_at, runs[1].finished_at), (at_minute(10), Some(at_minute(20))));
    assert_eq!(
        ledger.ledger().reader().runs(at_minute(1), &TenantFilter::default()).unwrap().len(),
        1
    );
    let status =
        &ledger.ledger().reader().status(at_minute(20), &TenantFilter::default()).unwrap()[0];
    assert_eq!((status.last_exit_code, status.last_error.as_deref()), (Some(6), Some("disk full")));
}

#[test]
fn a_run_that_never_began_cannot_end() {
    let ledger = temporary();
    assert!(ledger.finish_run(0, "{}", None).is_err());
    assert!(
        ledger
            .ledger()
            .reader()
            .runs(DateTime::UNIX_EPOCH, &TenantFilter::default())
            .unwrap()
            .is_empty()
    );
}

fn span(from: i64, until: i64) -> Window {
    Window { start: at_minute(from), end: at_minute(until) }
}

#[test]
fn a_reported_gap_is_recorded_with_the_checkpoint_that_moves_over_it() {
    let folder = Folder::new();
    let ledger = folder.open();
    ledger.set_clock(Clock::fixed(at_minute(100 * DAY)));
    let gaps =
        || folder.reader().status(at_minute(0), &TenantFilter::default()).unwrap().remove(0).gaps;
    assert_eq!(ledger.advance_checkpoint(span(0, 10), None).unwrap(), Advance::Moved);
    let later = span(1000, 2000);
    assert_eq!(ledger.advance_checkpoint(later, None).unwrap(), Advance::WouldLeaveGap);
    assert_eq!(gaps(), []);
    assert_eq!(ledger.advance_checkpoint(later, Some(span(10, 1000))).unwrap(), Advance::Moved);
    assert_eq!(
        (gaps(), ledger.checkpoint().unwrap()),
        (vec![span(10, 1000)], Some(at_minute(2000)))
    );
    // The checkpoint is there already: nothing is recorded again.
    let again = ledger.advance_checkpoint(later, Some(span(5, 1000))).unwrap();
    assert_eq!((again, gaps()), (Advance::Unchanged, vec![span(10, 1000)]));
}

#[test]
fn what_is_read_later_is_cut_out_of_a_gap() {
    let cases = [
        ((0, 5), vec![span(10, 100)]),
        ((100, 200), vec![span(10, 100)]),
        ((10, 100), vec![]),
        ((0, 200), vec![]),
        ((0, 20), vec![span(20, 100)]),
        ((90, 200), vec![span(10, 90)]),
        ((40, 60), vec![span(10, 40), span(60, 100)]),
    ];
    for ((from, until), expected) in cases {
        let folder = Folder::new();
        let other = folder.open_as("carbonblack", "other");
        other.transaction(|db| gap::add(db, other.tenant, span(10, 100), at_minute(0))).unwrap();
        drop(other);
        let ledger = folder.open();
        ledger.transaction(|db| gap::add(db, ledger.tenant, span(10, 100), at_minute(0))).unwrap();
        ledger.close_gaps(span(from, until)).unwrap();
        let status = folder.reader().status(at_minute(0), &TenantFilter::default()).unwrap();
        let gaps: Vec<_> = status.into_iter().map(|status| status.gaps).collect();
        assert_eq!(gaps, [vec![span(10, 100)], expected.clone()], "{from} to {until}");
        assert_eq!(ledger.accept_gaps().unwrap(), expected);
        assert_eq!(ledger.accept_gaps().unwrap(), []);
    }
}
