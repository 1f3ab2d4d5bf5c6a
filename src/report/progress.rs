//! The progress of a run: a line on the terminal, and a log line every ten seconds. Each phase that
//! is done leaves a line.
//!
//! The run stores its counts here after each page or batch. The line is drawn by other threads
//! only, so that a stopped terminal (Ctrl-S) does not stop the run; what `suspend` prints waits for
//! it. Vendors' texts are never shown: the lines consist of counts, fixed text and a host name.

#[cfg(test)]
mod tests;
mod text;

use std::io::stderr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use console::{Alignment, Term};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::{Layout, Output, Styler};
use crate::clock::Clock;
use crate::http::PendingWaits;
use crate::redact::sanitize;

/// The interval at which progress is logged.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(10);
/// The interval at which the line is drawn, and the maximum rate of all changes to it.
const FRAME: Duration = Duration::from_millis(100);
const MAX_FRAMES_PER_SECOND: u8 = 20;
/// The maximum wait for the line to be cleared after a panic or a signal.
const CLEAR_TIMEOUT: Duration = Duration::from_secs(1);
/// The columns of the spinner, the space after it, and the carriage return at the end.
const OTHER_COLUMNS: u16 = 3;
/// The text of the line after Ctrl-C.
const STOPPING: [&str; 2] = ["Stopping; Ctrl-C again stops at once", "Stopping"];

/// The line on the terminal: a process has one terminal.
static LINE: Mutex<Line> = Mutex::new(Line { bar: None, printing: Vec::new() });
/// Whether a person ended the run with Ctrl-C.
static IS_STOPPING: AtomicBool = AtomicBool::new(false);

/// The line, and the threads that print above it.
#[derive(Debug)]
struct Line {
    bar: Option<ProgressBar>,
    printing: Vec<JoinHandle<()>>,
}

/// The current work of a run, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Work {
    /// No work that takes long.
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
        /// All submissions of the run: sent, rejected and queued.
        total: u64,
    },
    /// Running several tenants.
    Tenants {
        /// The tenants whose run has ended.
        done: u64,
        /// All tenants of the process.
        total: u64,
    },
}

/// A handle to the progress of a run.
#[derive(Debug, Clone)]
pub(crate) struct Progress(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    phase: Mutex<Phase>,
    waits: OnceLock<PendingWaits>,
    /// Whether a line is printed for each phase that is done.
    keeps_lines: AtomicBool,
}

/// The current work, and since when it is of this kind.
#[derive(Debug, Clone, Copy)]
struct Phase {
    work: Work,
    started: Instant,
    /// When the work was set last.
    changed: Instant,
}

impl Default for Phase {
    fn default() -> Self {
        let now = Instant::now();
        Self { work: Work::Idle, started: now, changed: now }
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self(Arc::new(Shared {
            phase: Mutex::new(Phase::default()),
            waits: OnceLock::new(),
            keeps_lines: AtomicBool::new(false),
        }))
    }
}

impl Progress {
    /// Starts to draw the line, if stderr is a terminal that can clear it. There is no line in
    /// quiet runs, nor when the log goes to stderr. With JSON, no line stays.
    pub(crate) fn show(&self, output: Output, log_on_stderr: bool) {
        let terminal = Term::buffered_stderr();
        if terminal.is_term() && !console::is_dumb() && !output.quiet && !log_on_stderr {
            let target = ProgressDrawTarget::term(terminal.clone(), MAX_FRAMES_PER_SECOND);
            let styler = Styler::of(&stderr());
            line().bar = self.draw(target, styler, move || terminal.size().1);
            self.0.keeps_lines.store(!output.json, Ordering::Relaxed);
        }
    }

    /// Shows this work from now on.
    pub(crate) fn set(&self, work: Work) {
        let mut phase = self.0.lock_phase();
        phase.changed = Instant::now();
        if std::mem::discriminant(&phase.work) != std::mem::discriminant(&work) {
            phase.started = phase.changed;
        }
        phase.work = work;
    }

    /// Whether the work was not set for this long.
    pub(crate) fn is_older_than(&self, age: Duration) -> bool {
        self.0.lock_phase().changed.elapsed() > age
    }

    /// Ends the phase, whose work is done, and prints a line about it.
    pub(crate) fn finish(&self) {
        let phase = *self.0.lock_phase();
        self.set(Work::Idle);
        let Some(done) = phase.describe_done() else {
            return;
        };
        let mut line = line();
        if let Some(bar) = line.bar.clone().filter(|_| self.0.keeps_lines.load(Ordering::Relaxed)) {
            let layout = Layout::stderr();
            let text = layout.paragraph(&format!("{} ", layout.styler.green("✓")), &done);
            line.printing.push(thread::spawn(move || bar.println(text.trim_end())));
        }
    }

    /// Shows these waits from now on.
    pub(crate) fn watch(&self, waits: PendingWaits) {
        // Each run sets it once, on a handle of its own.
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

    /// Draws the line on a target until the result is finished. `None` if indicatif does not accept
    /// the template.
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

/// Shows that the run is about to stop.
pub(crate) fn show_stopping() {
    IS_STOPPING.store(true, Ordering::Relaxed);
}

/// Clears the line and stops drawing. Must be called before anything else is printed.
pub(crate) fn clear() {
    let Some((bar, printing)) = take_line() else {
        return;
    };
    if thread::panicking() {
        // indicatif draws nothing on a thread that panics.
        return clear_bar_in_time(bar);
    }
    for printing in printing {
        // It cannot panic, and its line is the only thing that would be missing.
        let _ = printing.join();
    }
    bar.finish_and_clear();
}

/// Clears the line like [`clear`], but does not wait for a terminal that is stopped.
pub(crate) fn clear_in_time() {
    if let Some((bar, _)) = take_line() {
        clear_bar_in_time(bar);
    }
}

fn take_line() -> Option<(ProgressBar, Vec<JoinHandle<()>>)> {
    let mut line = line();
    Some((line.bar.take()?, std::mem::take(&mut line.printing)))
}

/// Clears the line on another thread: some thread may wait for this one, or for the terminal.
fn clear_bar_in_time(bar: ProgressBar) {
    let (done, cleared) = mpsc::channel();
    thread::spawn(move || {
        bar.finish_and_clear();
        let _ = done.send(());
    });
    let _ = cleared.recv_timeout(CLEAR_TIMEOUT);
}

/// Prints with the line cleared.
pub(crate) fn suspend(print: impl FnOnce()) {
    let drawn = line().bar.clone();
    match drawn {
        Some(bar) => bar.suspend(print),
        None => print(),
    }
}

fn line() -> MutexGuard<'static, Line> {
    LINE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn lock_phase(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the host with the longest remaining wait, and that wait in seconds, rounded up.
    fn wait(&self) -> Option<(String, u64)> {
        let (host, remaining) = self.waits.get()?.longest_remaining()?;
        Some((host, remaining.as_secs() + u64::from(remaining.subsec_nanos() > 0)))
    }

    fn log(&self) {
        let (waiting_for, wait_seconds) = self.wait().unzip();
        match self.lock_phase().work {
            // Each tenant logs its own.
            Work::Idle | Work::Tenants { .. } => {}
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
        let phase = *self.lock_phase();
        let forms = match self.wait() {
            _ if IS_STOPPING.load(Ordering::Relaxed) => STOPPING.map(str::to_owned).to_vec(),
            Some((host, seconds)) => {
                let wait = format!("Waiting {seconds} s for {}", sanitize(&host));
                let work = phase.work.describe().map(|work| format!("{wait}; {work}"));
                work.into_iter().chain([wait]).collect()
            }
            None => phase.forms(styler),
        };
        let fits = |form: &&String| console::measure_text_width(form) <= columns;
        let line = forms.iter().find(fits).or(forms.last()).map(String::as_str).unwrap_or_default();
        console::pad_str(line, columns, Alignment::Left, Some("")).into_owned()
    }
}
