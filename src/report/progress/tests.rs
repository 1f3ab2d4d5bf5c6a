use clap::ColorChoice;
use indicatif::InMemoryTerm;

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
    wait_until_shown(&terminal, " Working, 0:0");
    progress.set(HALF);
    wait_until_shown(
        &terminal,
        "Reading alerts [==========>         ] 100000 of 200000, 100 pages, 0:0",
    );
    assert_eq!(terminal.contents().lines().count(), 1);
    let cleared = bar.clone();
    clear_bar(bar);
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
            clear_bar(self.0.take().unwrap());
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
    wait_until_shown(&terminal, "s for api.us-2.crowdstrike.com; read 100000 of 200000 alerts");
    drop(wait);
    wait_until_shown(&terminal, "Reading alerts [");
    clear_bar(bar);
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
    clear_bar(bar);
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
        (reading(Some(20_000)), Some("read 12000 of 20000 alerts")),
        (reading(None), Some("read 12000 alerts")),
        (sending(0), Some("sent 3000 of 5000 indicators")),
        (sending(2), Some("sent 3000 of 5000 indicators, 2 rejected")),
    ] {
        assert_eq!(work.describe().as_deref(), text);
    }
}
