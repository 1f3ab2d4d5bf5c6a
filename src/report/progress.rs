//! The progress of a run: a line on the terminal, and a log line every ten seconds.
//!
//! The run stores its counts here after each page or batch. The terminal is written to by indicatif's
//! own thread only, so that a stopped terminal (Ctrl-S) does not stop the run. Vendors' texts are never
//! shown: the line consists of counts, fixed text and a host name.

use std::io::stderr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use console::{Alignment, Term};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::{Output, Styler};
use crate::clock::Clock;
use crate::http::PendingWaits;

/// How often progress is logged.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// How often the line is drawn, and how often at most, per second.
const FRAME: Duration = Duration::from_millis(100);
const MAX_FRAMES_PER_SECOND: u8 = 20;
/// How long a panic may wait for the line to be cleared.
const CLEAR_TIMEOUT: Duration = Duration::from_secs(1);
/// The width of the bar, and the width of the line from which there is one.
const BAR_COLUMNS: u16 = 20;
const MIN_COLUMNS_FOR_BAR: usize = 65;
/// The columns of the spinner, the space after it, and the carriage return at the end.
const OTHER_COLUMNS: u16 = 3;

/// The line on the terminal: a process has one terminal.
static LINE: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// What a run is doing, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Work {
    /// Nothing that takes long.
    #[default]
    Idle,
    /// Reading the vendor's alerts.
    Reading {
        /// The pages read.
        pages: u64,
        /// The alerts in them, without duplicates.
        alerts: u64,
        /// The number of alerts to read, if the vendor reports it.
        total: Option<u64>,
    },
    /// Storing the selected submissions in the outbox.
    Storing {
        /// The number of submissions.
        submissions: u64,
    },
    /// Sending the outbox.
    Sending {
        /// The accepted batches.
        batches: u64,
        /// The submissions in them.
        sent: u64,
        /// The submissions that were rejected.
        rejected: u64,
        /// All submissions of the run: these, and the queued ones.
        total: u64,
    },
}

/// A handle to the progress of a run.
#[derive(Debug, Clone)]
pub(crate) struct Progress(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    started: Instant,
    work: Mutex<Work>,
    waits: OnceLock<PendingWaits>,
}

impl Default for Progress {
    fn default() -> Self {
        Self(Arc::new(Shared {
            started: Instant::now(),
            work: Mutex::default(),
            waits: OnceLock::new(),
        }))
    }
}

impl Progress {
    /// Starts to draw the line, if stderr is a terminal that can clear it. There is no line in quiet
    /// runs, nor when the log goes to stderr.
    pub(crate) fn show(&self, output: Output, log_on_stderr: bool) {
        let terminal = Term::buffered_stderr();
        if terminal.is_term() && !console::is_dumb() && !output.quiet && !log_on_stderr {
            let target = ProgressDrawTarget::term(terminal.clone(), MAX_FRAMES_PER_SECOND);
            let styler = Styler::new(output.color, &stderr());
            *line() = self.draw(target, styler, move || terminal.size().1);
        }
    }

    /// Clears the line and stops drawing. Must be called before anything else is printed.
    pub(crate) fn clear(&self) {
        let drawn = line().take();
        if let Some(bar) = drawn {
            clear(bar);
        }
    }

    /// Sets what the run is doing.
    pub(crate) fn set(&self, work: Work) {
        *self.0.work.lock().unwrap_or_else(PoisonError::into_inner) = work;
    }

    /// Shows these waits from now on.
    pub(crate) fn watch(&self, waits: PendingWaits) {
        // It is set once per process.
        let _ = self.0.waits.set(waits);
    }

    /// Logs the progress every ten seconds; never returns.
    pub(crate) async fn log_heartbeat(self, clock: Clock) {
        let interval = clock.scaled(HEARTBEAT).max(Duration::from_millis(1));
        loop {
            tokio::time::sleep(interval).await;
            self.0.log();
        }
    }

    /// Draws the line on a target until [`clear`] is called with the result. `None` if indicatif does
    /// not accept the template.
    fn draw(
        &self,
        target: ProgressDrawTarget,
        styler: Styler,
        columns: impl Fn() -> u16 + Clone + Send + Sync + 'static,
    ) -> Option<ProgressBar> {
        let shared = Arc::clone(&self.0);
        // A key of its own, because indicatif's set_message waits while the terminal is stopped.
        let text = move |_: &ProgressState, out: &mut dyn std::fmt::Write| {
            let columns = columns().saturating_sub(OTHER_COLUMNS);
            let line = shared.line(columns.into(), styler);
            // The carriage return lets the terminal's own ^C appear in this line, which is cleared.
            let _ = write!(out, "{line}\r");
        };
        let style = ProgressStyle::with_template(&format!("{} {{text}}", styler.cyan("{spinner}")));
        let style = style.ok()?.tick_chars("|/-\\ ").with_key("text", text);
        let bar = ProgressBar::with_draw_target(None, target).with_style(style);
        bar.enable_steady_tick(FRAME);
        Some(bar)
    }
}

/// Prints with the line cleared.
pub(crate) fn suspend(print: impl FnOnce()) {
    let drawn = line().clone();
    match drawn {
        Some(bar) => bar.suspend(print),
        None => print(),
    }
}

fn line() -> MutexGuard<'static, Option<ProgressBar>> {
    LINE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn clear(bar: ProgressBar) {
    if !thread::panicking() {
        bar.finish_and_clear();
        return;
    }
    // indicatif draws nothing on a thread that panics. Another thread may wait for the panicking one.
    let (done, cleared) = mpsc::channel();
    thread::spawn(move || {
        bar.finish_and_clear();
        let _ = done.send(());
    });
    let _ = cleared.recv_timeout(CLEAR_TIMEOUT);
}

impl Shared {
    fn work(&self) -> Work {
        *self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the host with the longest remaining wait, and that wait in seconds, rounded up.
    fn wait(&self) -> Option<(String, u64)> {
        let (host, remaining) = self.waits.get()?.longest_remaining()?;
        Some((host, remaining.as_secs() + u64::from(remaining.subsec_nanos() > 0)))
    }

    fn log(&self) {
        let (waiting_for, wait_seconds) = self.wait().unzip();
        match self.work() {
            Work::Idle => {}
            Work::Reading { pages, alerts, total } => {
                tracing::info!(pages, alerts, total, waiting_for, wait_seconds, "reading alerts");
            }
            Work::Storing { submissions } => {
                tracing::info!(indicators = submissions, "storing indicators");
            }
            Work::Sending { batches, sent, rejected, total } => tracing::info!(
                batches,
                sent,
                rejected,
                total,
                waiting_for,
                wait_seconds,
                "sending indicators"
            ),
        }
    }

    /// Returns the line, exactly as wide as given. It is ASCII, for every locale.
    fn line(&self, columns: usize, styler: Styler) -> String {
        let (work, elapsed) = (self.work(), self.started.elapsed().as_secs());
        let text = match self.wait() {
            Some((host, seconds)) => {
                let work = work.describe().map(|work| format!("; {work}")).unwrap_or_default();
                format!("Waiting {seconds} s for {}{work}", super::line(&host))
            }
            None => format!(
                "{}, {}:{:02}",
                work.progress_text(columns, styler),
                elapsed / 60,
                elapsed % 60
            ),
        };
        console::pad_str(&text, columns, Alignment::Left, Some("")).into_owned()
    }
}

impl Work {
    /// Returns the work in words, if there is any.
    fn describe(self) -> Option<String> {
        match self {
            Self::Idle => None,
            Self::Reading { alerts, total, .. } => Some(match total {
                Some(total) => format!("read {alerts} of {total} alerts"),
                None => format!("read {alerts} alerts"),
            }),
            Self::Storing { submissions } => Some(format!("storing {submissions} indicators")),
            Self::Sending { sent, rejected, total, .. } => {
                Some(format!("sent {sent} of {total} indicators{}", rejected_text(rejected)))
            }
        }
    }

    /// Returns the progress of the work, with a bar if there is space for it.
    fn progress_text(self, columns: usize, styler: Styler) -> String {
        let with_bar = |label: &str, done: u64, total: u64, counts: String| {
            if columns >= MIN_COLUMNS_FOR_BAR {
                format!("{label} [{}] {counts}", styler.cyan(&bar(done, total)))
            } else {
                format!("{label}: {counts}")
            }
        };
        match self {
            Self::Idle => "Working".to_owned(),
            Self::Reading { pages: 0, total: None, .. } => "Reading alerts".to_owned(),
            Self::Reading { pages, alerts, total: None } => {
                format!("Reading alerts: {alerts}, {}", counted(pages, "page", "pages"))
            }
            Self::Reading { pages, alerts, total: Some(total) } => {
                let pages = counted(pages, "page", "pages");
                with_bar("Reading alerts", alerts, total, format!("{alerts} of {total}, {pages}"))
            }
            Self::Storing { submissions } => format!("Storing {submissions} indicators"),
            Self::Sending { batches, sent, rejected, total } => {
                let batches = counted(batches, "batch", "batches");
                let counts = format!("{sent} of {total}, {batches}{}", rejected_text(rejected));
                with_bar("Sending", sent.saturating_add(rejected), total, counts)
            }
        }
    }
}

fn rejected_text(rejected: u64) -> String {
    match rejected {
        0 => String::new(),
        _ => format!(", {rejected} rejected"),
    }
}

/// Returns `1 page` or `2 pages`.
fn counted(count: u64, one: &str, more: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { more })
}

/// Returns a bar such as `=====>              `.
fn bar(done: u64, total: u64) -> String {
    let columns = u128::from(BAR_COLUMNS);
    let full = u128::from(done) * columns / u128::from(total.max(1));
    (0..columns).fold(String::new(), |mut bar, column| {
        bar.push(match column {
            _ if column < full => '=',
            _ if column == full && done > 0 => '>',
            _ => ' ',
        });
        bar
    })
}

#[cfg(test)]
mod tests {
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
        clear(bar);
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
                clear(self.0.take().unwrap());
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
        clear(bar);
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
        clear(bar);
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
            (Work::Storing { submissions: 9 }, Some("storing 9 indicators")),
            (sending(0), Some("sent 3000 of 5000 indicators")),
            (sending(2), Some("sent 3000 of 5000 indicators, 2 rejected")),
        ] {
            assert_eq!(work.describe().as_deref(), text);
        }
    }
}
