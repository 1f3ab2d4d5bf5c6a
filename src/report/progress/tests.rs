use clap::ColorChoice;
use indicatif::InMemoryTerm;

use super::text::{bar, clock, estimate, percent};
use super::*;

const HALF: Work = Work::Reading { pages: 100, alerts: 100_000, total: Some(200_000) };

fn styler(choice: ColorChoice) -> Styler {
    Styler::new(choice, &stderr())
}

/// Draws on a terminal in memory.
fn drawing(progress: &Progress) -> (ProgressBar, InMemoryTerm) {
    let terminal = InMemoryTerm::new(5, 80);
    let target = ProgressDrawTarget::term_like(Box::new(terminal.clone()));
    let bar = progress.draw(target, styler(ColorChoice::Never), || 80).unwrap();
    (bar, terminal)
}

#[track_caller]
fn wait_until_shown(terminal: &InMemoryTerm, text: &str) {
    let started = Instant::now();
    while !terminal.contents().contains(text) {
        assert!(started.elapsed() < Duration::from_secs(30), "{}", terminal.contents());
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn the_work_is_drawn_and_cleared() {
    let progress = Progress::default();
    let (bar, terminal) = drawing(&progress);
    wait_until_shown(&terminal, " Working  0:0");
    progress.set(HALF);
    wait_until_shown(
        &terminal,
        "Reading alerts [==========>         ]  50 %  100,000 of 200,000  0:0",
    );
    assert_eq!(terminal.contents().lines().count(), 1);
    let cleared = bar.clone();
    clear_bar_in_time(bar);
    assert_eq!(terminal.contents(), "");
    progress.set(Work::Idle);
    thread::sleep(FRAME * 2);
    cleared.tick();
    assert_eq!(terminal.contents(), "", "nothing is drawn any more");
}

#[test]
fn a_panicking_thread_clears_the_line() {
    struct OnPanic(Option<ProgressBar>);
    impl Drop for OnPanic {
        fn drop(&mut self) {
            assert!(thread::panicking());
            clear_bar_in_time(self.0.take().unwrap());
        }
    }
    let (bar, terminal) = drawing(&Progress::default());
    wait_until_shown(&terminal, "Working");
    let panicked = thread::spawn(move || {
        let _on_panic = OnPanic(Some(bar));
        panic!("on purpose");
    });
    assert!(panicked.join().is_err());
    assert_eq!(terminal.contents(), "");
}

#[test]
fn a_wait_replaces_the_bar() {
    let progress = Progress::default();
    let waits = PendingWaits::default();
    progress.watch(waits.clone());
    progress.set(HALF);
    let until = tokio::time::Instant::now() + Duration::from_secs(250);
    let wait = waits.start("api.us-2.crowdstrike.com", until);
    let (bar, terminal) = drawing(&progress);
    wait_until_shown(&terminal, " Waiting 2");
    wait_until_shown(&terminal, "s for api.us-2.crowdstrike.com; read 100,000 of 200,000 alerts");
    drop(wait);
    wait_until_shown(&terminal, "Reading alerts [");
    clear_bar_in_time(bar);
}

#[test]
fn a_hostile_host_name_is_escaped() {
    let progress = Progress::default();
    let waits = PendingWaits::default();
    progress.watch(waits.clone());
    let until = tokio::time::Instant::now() + Duration::from_secs(250);
    let _wait = waits.start("x\u{1b}[2J\r\n{spinner}", until);
    let line = progress.0.line(80, styler(ColorChoice::Never));
    assert!(line.contains("s for x\\u{1b}[2J\\u{d}\\u{a}{spinner}"), "{line:?}");
    let (bar, terminal) = drawing(&progress);
    wait_until_shown(&terminal, "s for x\\u{1b}[2J\\u{d}\\u{a}{spinner}");
    clear_bar_in_time(bar);
}

#[test]
fn every_line_is_exactly_as_wide_as_the_terminal() {
    let progress = Progress::default();
    for total in [None, Some(0), Some(1), Some(u64::MAX)] {
        progress.set(Work::Reading { pages: u64::MAX, alerts: u64::MAX, total });
        for columns in 0..200 {
            let line = progress.0.line(columns, styler(ColorChoice::Never));
            assert_eq!(line.len(), columns, "{line:?}");
            let colored = progress.0.line(columns, styler(ColorChoice::Always));
            assert_eq!(console::strip_ansi_codes(&colored), line);
        }
    }
}

#[test]
fn a_bar_always_has_the_same_width() {
    assert_eq!(bar(0, 0), " ".repeat(20));
    assert_eq!(bar(0, 9), " ".repeat(20));
    assert_eq!(bar(1, 1_000_000), format!(">{}", " ".repeat(19)));
    assert_eq!(bar(1, 2), format!("{}>{}", "=".repeat(10), " ".repeat(9)));
    assert_eq!(bar(9, 9), "=".repeat(20));
    assert_eq!(bar(u64::MAX, 1), "=".repeat(20));
}

#[test]
fn work_is_described_as_far_as_it_is_known() {
    let reading = |total| Work::Reading { pages: 12, alerts: 12_000, total };
    let sending = |rejected| Work::Sending { batches: 3, sent: 3000, rejected, total: 5000 };
    for (work, text) in [
        (Work::Idle, None),
        (reading(Some(20_000)), Some("read 12,000 of 20,000 alerts")),
        (reading(None), Some("read 12,000 alerts")),
        (sending(0), Some("sent 3,000 of 5,000 indicators")),
        (sending(2), Some("sent 3,000 of 5,000 indicators, 2 rejected")),
    ] {
        assert_eq!(work.describe().as_deref(), text);
    }
}

/// A phase that began that many seconds ago.
fn phase(work: Work, seconds: u64) -> Phase {
    let started = Instant::now().checked_sub(Duration::from_secs(seconds)).unwrap();
    Phase { work, started, ..Phase::default() }
}

#[test]
fn a_narrow_line_leaves_out_the_bar_and_then_the_counts() {
    let progress = Progress::default();
    *progress.0.lock_phase() =
        phase(Work::Sending { batches: 1, sent: 249, rejected: 1, total: 1000 }, 65);
    for (columns, line) in [
        (90, "Sending [=====>              ]  25 %  249 of 1,000, 1 rejected  1:05, 3:15 left"),
        (77, "Sending  25 %  249 of 1,000, 1 rejected  1:05, 3:15 left"),
        (37, "Sending  25 %  1:05, 3:15 left"),
        (21, "Sending  25 %"),
        (8, "Sending"),
    ] {
        let shown = progress.0.line(columns, styler(ColorChoice::Never));
        assert_eq!(shown.trim_end(), line, "{columns}");
    }
}

#[test]
fn what_is_left_is_estimated_after_a_while() {
    let seconds = Duration::from_secs;
    assert_eq!(estimate(seconds(10), 100, 400), Some(seconds(30)));
    assert_eq!(estimate(seconds(1), 100, 400), None);
    assert_eq!(estimate(seconds(10), 0, 400), None);
    assert_eq!(estimate(seconds(10), 400, 400), None);
    assert_eq!(estimate(seconds(10), 400, 300), None);
    assert_eq!(clock(seconds(3785)), "1:03:05");
    assert_eq!(clock(seconds(185)), "3:05");
    assert_eq!((percent(0, 0), percent(1, 3), percent(u64::MAX, 1)), (100, 33, 100));
}

#[test]
fn a_phase_that_is_done_says_how_much_it_was_and_how_long_it_took() {
    let reading = |pages| Work::Reading { pages, alerts: 1852, total: Some(1852) };
    let sending = |sent| Work::Sending { batches: 1, sent, rejected: 0, total: 1 };
    for (work, seconds, text) in [
        (Work::Idle, 5, None),
        (reading(0), 5, None),
        (reading(2), 5, Some("Read 1,852 alerts in 5 s")),
        (reading(2), 59, Some("Read 1,852 alerts in 59 s")),
        (sending(1), 185, Some("Sent 1 indicator in 3 min 5 s")),
        (sending(0), 3785, Some("Sent 0 indicators in 1 h 3 min")),
    ] {
        assert_eq!(phase(work, seconds).describe_done().as_deref(), text);
    }
}
