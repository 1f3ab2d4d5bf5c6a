//! The progress of a run: a line on the terminal, and a log line every ten seconds.
//!
//! The run stores its counts here after each page or batch. The terminal is written to by
//! indicatif's own thread only, so that a stopped terminal (Ctrl-S) does not stop the run. Vendors'
//! texts are never shown: the line consists of counts, fixed text and a host name.

#[cfg(test)]
mod tests;

use std::io::stderr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use console::{Alignment, Term};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::{Output, Styler, counted};
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
    /// Starts to draw the line, if stderr is a terminal that can clear it. There is no line in
    /// quiet runs, nor when the log goes to stderr.
    pub(crate) fn show(&self, output: Output, log_on_stderr: bool) {
        let terminal = Term::buffered_stderr();
        if terminal.is_term() && !console::is_dumb() && !output.quiet && !log_on_stderr {
            let target = ProgressDrawTarget::term(terminal.clone(), MAX_FRAMES_PER_SECOND);
            let styler = Styler::of(&stderr());
            *line() = self.draw(target, styler, move || terminal.size().1);
        }
    }

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

    /// Draws the line on a target until [`clear_bar`] is called with the result. `None` if
    /// indicatif does not accept the template.
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

/// Clears the line and stops drawing. Must be called before anything else is printed.
pub(crate) fn clear() {
    let drawn = line().take();
    if let Some(bar) = drawn {
        clear_bar(bar);
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

fn clear_bar(bar: ProgressBar) {
    if !thread::panicking() {
        bar.finish_and_clear();
        return;
    }
    // indicatif draws nothing on a thread that panics. Another thread may wait for the panicking
    // one.
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
            Work::Sending { batches, sent, rejected, total } => tracing::info!(
                batches, sent, rejected, total, waiting_for, wait_seconds, "sending indicators"
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
