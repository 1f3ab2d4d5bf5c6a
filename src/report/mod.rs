//! What a run did, as numbers that add up: collected here, printed by [`print`](fn@print).

mod counts;
mod json;
pub mod progress;
mod style;
mod text;

use std::io::Write as _;
use std::process::ExitCode;

use clap::ColorChoice;
use serde_json::value::RawValue;

pub use self::counts::Counts;
use self::progress::Progress;
pub use self::style::Styler;
use crate::detection::SourceInfo;
use crate::failure::{Failure, FailureKind};
use crate::redact;
use crate::settings::Mode;
use crate::window::Window;

/// What is printed on stdout, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    /// Whether to print one JSON document instead of text.
    pub json: bool,
    /// Whether to print nothing on success, and no progress.
    pub quiet: bool,
    /// When to use colors.
    pub color: ColorChoice,
}

/// Everything there is to say about a run.
#[derive(Debug)]
pub struct Report {
    /// The run's id.
    pub run_id: String,
    /// The vendor.
    pub labels: SourceInfo,
    /// What was done with what was selected.
    pub mode: Mode,
    /// The span of time that was asked for, once it is known.
    pub window: Option<Window>,
    /// The numbers.
    pub counts: Counts,
    /// How far it is, while it is on.
    pub progress: Progress,
    /// Plain lines for the summary.
    pub notes: Vec<String>,
    /// The items of a dry run.
    pub items: Vec<Box<RawValue>>,
    failures: Vec<Failure>,
}

impl Report {
    /// A report of a run that has done nothing yet.
    #[must_use]
    pub fn new(run_id: &str, labels: SourceInfo, mode: Mode) -> Self {
        Self {
            run_id: run_id.to_owned(),
            labels,
            mode,
            window: None,
            counts: Counts::default(),
            progress: Progress::default(),
            notes: Vec::new(),
            items: Vec::new(),
            failures: Vec::new(),
        }
    }

    /// Adds a plain line to the summary; it is logged too.
    pub fn note(&mut self, note: String) {
        tracing::info!("{note}");
        self.notes.push(note);
    }

    /// Adds a line to the summary that a person should look at; it is logged as a warning.
    pub fn warn(&mut self, note: String) {
        tracing::warn!("{note}");
        self.notes.push(note);
    }

    /// Adds a failure; the one that most needs a person leads.
    pub fn fail(&mut self, failure: Failure) {
        tracing::error!("{failure}; what to do: {}", failure.hint);
        if !self.failures.contains(&failure) {
            self.failures.push(failure);
        }
        self.failures.sort_by_key(|failure| urgency(failure.kind));
    }

    /// The failures, the most urgent first.
    #[must_use]
    pub fn failures(&self) -> &[Failure] {
        &self.failures
    }

    /// How the run ended, as an exit code.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        self.failures.first().map_or(0, |failure| failure.kind.exit_code())
    }
}

/// A signal was a person's wish; what needs a person comes before what needs only time.
pub(crate) const fn urgency(kind: FailureKind) -> u8 {
    match kind {
        FailureKind::Interrupted(_) => 0,
        FailureKind::Ledger | FailureKind::Locked => 1,
        FailureKind::Credentials | FailureKind::Configuration => 2,
        FailureKind::Unexpected => 3,
        FailureKind::Partial => 4,
        FailureKind::Temporary => 5,
    }
}

/// Prints a run's report where it belongs (summary to stdout and the log, failures to stderr) and gives
/// the process's exit code.
#[must_use]
pub fn print(report: &Report, output: Output) -> ExitCode {
    // Without a window the run ended before it began, and has no numbers to tell.
    let summary = if report.window.is_some() { text::summary(report) } else { String::new() };
    for line in summary.lines() {
        tracing::info!("{line}");
    }
    if !report.counts.add_up() {
        tracing::error!("the numbers of this run do not add up: {:?}", report.counts);
    }
    if output.json {
        out(&json::document(report));
    } else if !output.quiet || !report.failures.is_empty() {
        out(&summary);
        out(&text::items(report));
    }
    for failure in &report.failures {
        err(&text::failure(failure));
    }
    ExitCode::from(report.exit_code())
}

/// Prints a failure that came before there was a run to report.
#[must_use]
pub fn print_failure(failure: &Failure) -> ExitCode {
    tracing::error!("{failure}; what to do: {}", failure.hint);
    err(&text::failure(failure));
    failure.exit_code()
}

/// Writes to stdout. A reader that went away (`| head`) is no failure of the run.
pub fn out(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

fn err(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// One line, safe for a terminal: without secrets and control characters.
#[must_use]
pub fn line(text: &str) -> String {
    redact::safe(text)
}
