use chrono::DateTime;

use super::*;
use crate::detection::SourceInfo;
use crate::failure::FailureKind;
use crate::settings::TenantName;

const INFO: SourceInfo = SourceInfo {
    name: "crowdstrike",
    title: "CrowdStrike Falcon",
    source_type: "crowdstrike:falcon",
    incident_type: "crowdstrike-falcon-detection",
};

fn report(mode: Mode) -> Report {
    let mut report = Report::new("0123456789ab", &TenantName::of_source("crowdstrike"), INFO, mode);
    let time = |text| DateTime::parse_from_rfc3339(text).unwrap().to_utc();
    report.window =
        Some(Window { start: time("2026-11-23T11:26:33Z"), end: time("2026-11-24T11:26:33Z") });
    report
}

fn failed() -> Failure {
    Failure::new(FailureKind::Temporary, "it failed", "Run again.")
}

#[test]
fn each_group_is_a_sum() {
    let mut report = report(Mode::Live);
    let counts = &mut report.counts;
    counts.tally.alerts_fetched = 1852;
    counts.tally.alerts_without_indicator = 1302;
    counts.tally.indicators_found = 823;
    counts.tally.indicators_repeated = 275;
    counts.tally.indicators_unsupported = 50;
    counts.submitted = 498;
    counts.processed = 497;
    counts.unprocessed = 1;
    report.notes.push("a note\n".to_owned());
    assert_eq!(
        summary(&report, Layout::PLAIN),
        "\
CrowdStrike Falcon · tenant crowdstrike · 24 h to 2026-11-24 11:26 UTC
  alerts       1,852  fetched
              -1,302  without an indicator
  mentions       823  found in the other 550
                -275  repeated (each is sent once)
                 -50  of an unsupported type
  indicators     498  sent, 497 processed by Recorded Future, 1 not processed
  note: a note\\u{a}
"
    );
}

#[test]
fn what_earlier_runs_left_is_part_of_the_sum() {
    let mut report = report(Mode::Live);
    let counts = &mut report.counts;
    counts.carried_in = 9;
    counts.confirmed_by_search = 2;
    counts.tally.alerts_fetched = 3;
    counts.tally.indicators_found = 4;
    counts.tally.already_delivered = 2 + 1;
    counts.waiting = 4;
    counts.quarantined = 1;
    counts.submitted = 5;
    counts.processed = 5;
    assert!(counts.add_up());
    let text = summary(&report, Layout::PLAIN);
    let (_, rows) = text.split_once('\n').unwrap();
    assert_eq!(
        rows,
        "  alerts       3  fetched
  mentions     4  found in them
              -1  already delivered
  indicators   3  new
              +9  queued by earlier runs
              -2  found in Recorded Future
              -4  queued for the next run
              -1  in quarantine
               5  sent, 5 processed by Recorded Future
"
    );
}

#[test]
fn a_stage_that_was_not_reached_has_no_zeros() {
    let mut failed_at_once = report(Mode::Live);
    failed_at_once.fail(failed());
    assert_eq!(summary(&failed_at_once, Layout::PLAIN).lines().count(), 1);
    let mut not_sent = report(Mode::Live);
    not_sent.counts.tally.alerts_fetched = 2;
    not_sent.counts.tally.indicators_found = 2;
    not_sent.counts.waiting = 2;
    not_sent.fail(failed());
    let text = summary(&not_sent, Layout::PLAIN);
    assert!(text.ends_with("  2  new\n              -2  queued for the next run\n"), "{text}");
    // A run that did all there was to do shows that it was nothing.
    let text = summary(&report(Mode::Live), Layout::PLAIN);
    assert!(text.ends_with("  alerts      0  fetched\n  indicators  0  sent\n"), "{text}");
}

#[test]
fn the_modes_say_what_was_not_stored() {
    for (mode, text) in [
        (Mode::DryRun, "2  to be sent; nothing was sent or stored\n"),
        (Mode::Debug, "2  sent, 2 validated by Recorded Future; NOTHING WAS STORED\n"),
    ] {
        let mut report = report(mode);
        report.counts.submitted = 2;
        report.counts.processed = 2;
        assert!(summary(&report, Layout::PLAIN).ends_with(text), "{mode:?}");
    }
}

#[test]
fn a_window_has_its_length_if_that_is_whole_hours() {
    let time = |text| DateTime::parse_from_rfc3339(text).unwrap().to_utc();
    let describe = |start, end| describe_window(Window { start: time(start), end: time(end) });
    assert_eq!(
        describe("2026-11-21T00:15:00Z", "2026-11-22T00:15:00Z"),
        "24 h to 2026-11-22 00:15 UTC"
    );
    // A run that catches up what the last one ended before.
    assert_eq!(
        describe("2026-11-21T00:14:59.4Z", "2026-11-22T00:15:00Z"),
        "24 h to 2026-11-22 00:15 UTC"
    );
    assert_eq!(
        describe("2026-11-20T01:02:03Z", "2026-11-21T04:05:06.789Z"),
        "2026-11-20 01:02 to 2026-11-21 04:05 UTC"
    );
    assert_eq!(
        describe("2026-10-20T01:00:00Z", "2026-11-21T01:00:00Z"),
        "2026-10-20 01:00 to 2026-11-21 01:00 UTC"
    );
}

#[test]
fn a_failure_has_three_labelled_lines() {
    let plain = Failure::new(FailureKind::Partial, "one\nline", "Do it.");
    assert_eq!(failure(&plain, Layout::PLAIN), "error: one\\u{a}line\n  help: Do it.\n");
    let caused = plain.with_cause(std::io::Error::other("\u{1b}[31mwhy"));
    assert_eq!(
        failure(&caused, Layout::PLAIN),
        "error: one\\u{a}line\n  cause: \\u{1b}[31mwhy\n  help: Do it.\n"
    );
}

#[test]
fn several_things_are_listed_one_per_line() {
    let with = |list: &[&str]| {
        let list = list.iter().map(|&item| item.to_owned()).collect();
        failure(&failed().with_list(list), Layout::PLAIN)
    };
    assert_eq!(with(&["a"]), "error: it failed: a\n  help: Run again.\n");
    assert_eq!(with(&["a", "b"]), "error: it failed:\n    a\n    b\n  help: Run again.\n");
}

#[test]
fn an_interrupted_run_says_in_one_line_how_to_continue() {
    let mut report = report(Mode::Live);
    assert_eq!(interrupted(&report), "Interrupted. Run again to start over.");
    report.is_queue_kept = true;
    for (waiting, text) in [
        (0, "Interrupted. Nothing is queued; run again to continue."),
        (1, "Interrupted. 1 indicator is queued; run again to continue."),
        (1837, "Interrupted. 1,837 indicators are queued; run again to continue."),
    ] {
        report.counts.waiting = waiting;
        assert_eq!(interrupted(&report), text);
    }
}
