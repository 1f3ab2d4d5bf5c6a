//! The report of a run: collected while it runs, printed at its end by [`print`](fn@print).

mod counts;
mod items;
mod json;
mod layout;
pub(crate) mod progress;
mod stdout;
mod style;
mod table;
mod tenants;
mod text;

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};

pub(crate) use self::counts::Counts;
pub(crate) use self::items::DryRunItem;
pub(crate) use self::json::{document, sanitized, window};
pub(crate) use self::layout::{Layout, duration, shorten, thousands};
use self::progress::Progress;
pub(crate) use self::stdout::{Stdout, unwritable_output, write_stdout};
pub(crate) use self::style::{Styler, set_color};
pub(crate) use self::table::{NumberRow, NumberTable};
pub(crate) use self::tenants::{TenantsReport, names, print_tenants, tenants_by_value};
pub(crate) use self::text::failure_block;
use crate::detection::SourceInfo;
use crate::failure::{Failure, FailureKind, Signal};
use crate::settings::{Mode, TenantName};
use crate::window::Window;

/// The format of the output on stdout.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    /// Whether to print one JSON document instead of text.
    pub json: bool,
    /// Whether to print only warnings and failures, and no progress.
    pub quiet: bool,
}

/// The report of one run.
#[derive(Debug)]
pub(crate) struct Report {
    pub run_id: String,
    pub tenant: TenantName,
    pub labels: SourceInfo,
    pub mode: Mode,
    /// Whether the next run sends what this one leaves in the outbox.
    pub is_queue_kept: bool,
    /// The requested window, once it is known.
    pub window: Option<Window>,
    pub counts: Counts,
    /// The duration of the run, without the wait for another one; zero if it did not start.
    pub duration: Duration,
    /// The progress of the running run.
    pub progress: Progress,
    /// Notes for the summary, one line each.
    pub notes: Vec<String>,
    /// Warnings, although the run may have succeeded; on stderr, also with `--quiet`.
    pub warnings: Vec<String>,
    /// The items of a dry run.
    pub items: Vec<DryRunItem>,
    failures: Vec<Failure>,
}

impl Report {
    /// Creates the report of a run that has done nothing yet.
    pub(crate) fn new(run_id: &str, tenant: &TenantName, labels: SourceInfo, mode: Mode) -> Self {
        Self {
            run_id: run_id.to_owned(),
            tenant: tenant.clone(),
            labels,
            mode,
            is_queue_kept: false,
            window: None,
            counts: Counts::default(),
            duration: Duration::ZERO,
            progress: Progress::default(),
            notes: Vec::new(),
            warnings: Vec::new(),
            items: Vec::new(),
            failures: Vec::new(),
        }
    }

    /// Adds a note to the summary and logs it.
    pub(crate) fn note(&mut self, note: String) {
        tracing::info!("{note}");
        self.notes.push(note);
    }

    /// Adds a warning and logs it. Only for what a person must know although nothing failed.
    pub(crate) fn warn(&mut self, warning: String) {
        tracing::warn!("{warning}");
        self.warnings.push(warning);
    }

    /// Adds a failure, unless the same one is there, and logs it.
    pub(crate) fn fail(&mut self, failure: Failure) {
        log_failure(&failure);
        if !self.failures.contains(&failure) {
            self.failures.push(failure);
        }
        self.failures.sort_by_key(|failure| failure.kind.urgency());
    }

    /// Returns the failures, the most urgent first.
    pub(crate) fn failures(&self) -> &[Failure] {
        &self.failures
    }

    /// Whether a person ended the run with Ctrl-C.
    fn is_interrupted(&self) -> bool {
        self.failures.iter().any(is_interrupt)
    }

    /// Returns the exit code: that of the most urgent failure, else 0.
    pub(crate) fn exit_code(&self) -> u8 {
        self.failures.first().map_or(0, |failure| failure.kind.exit_code())
    }
}

/// Whether a person ended the command with Ctrl-C.
pub(crate) fn is_interrupt(failure: &Failure) -> bool {
    failure.kind == FailureKind::Interrupted(Signal::Interrupt)
}

/// Prints a run's report (summary to stdout and the log, warnings and failures to stderr) and
/// returns the exit code.
#[must_use]
pub(crate) fn print(report: &Report, output: Output) -> ExitCode {
    log_summary(report);
    let printed = if output.json {
        write_stdout(&json::run_document(report))
    } else if report.window.is_none() || report.is_interrupted() {
        // The run ended before it started: there are no numbers. Or a person ended it.
        Ok(())
    } else if !output.quiet {
        let layout = Layout::stdout();
        write_stdout(&items::list(report, layout))
            .and_then(|()| write_stdout(&text::summary(report, layout)))
    } else {
        Ok(())
    };
    let layout = Layout::stderr();
    for warning in &report.warnings {
        warn(warning);
    }
    for failure in report.failures.iter().filter(|failure| !is_interrupt(failure)) {
        write_stderr(&text::failure(failure, layout));
    }
    if report.is_interrupted() {
        write_stderr(&layout.paragraph("", &text::interrupted(report)));
    }
    let unprinted = printed.map_err(|failure| print_failure(&failure)).err();
    // Last, and also with --quiet: a crontab with --debug would never deliver anything.
    if report.mode == Mode::Debug {
        warn("test mode: Recorded Future stored nothing");
    }
    // The run's own failure is the more urgent one.
    unprinted.filter(|_| report.failures.is_empty()).unwrap_or(report.exit_code().into())
}

/// Prints and logs a failure for which there is no report, and returns its exit code.
#[must_use]
pub(crate) fn print_failure(failure: &Failure) -> ExitCode {
    log_failure(failure);
    write_stderr(&text::failure(failure, Layout::stderr()));
    failure.exit_code()
}

/// Prints a failure that ends a command, with `is_json` also as a document. Returns its exit code.
#[must_use]
pub(crate) fn print_error(failure: &Failure, is_json: bool) -> ExitCode {
    if is_json {
        print_error_document(failure);
    }
    print_failure(failure)
}

/// Prints the document of a failure, unless stdout already has a document or a part of one.
pub(crate) fn print_error_document(failure: &Failure) {
    if !stdout::is_used()
        && let Err(failure) = write_stdout(&json::error_document(failure))
    {
        let _ = print_failure(&failure);
    }
}

/// Prints a failure about some tenants.
pub(crate) fn print_failure_about(tenants: &[&str], failure: &Failure) {
    let layout = Layout::stderr();
    let label = format!("{} ", layout.styler.error("error:"));
    write_stderr(&text::failure_block(
        failure,
        &label,
        &format!("{}: ", names(tenants)),
        "",
        layout,
    ));
}

/// Prints an error of the command line, which clap describes and styles.
pub(crate) fn print_usage_error(message: &clap::builder::StyledStr) {
    let layout = Layout::stderr();
    let is_colored = layout.styler.is_colored();
    let text = if is_colored { message.ansi().to_string() } else { message.to_string() };
    write_stderr(&layout.lines(&text));
}

/// Prints a warning to stderr.
pub(crate) fn warn(text: &str) {
    write_stderr(&text::warning(text, Layout::stderr()));
}

/// Logs the summary: as text, and its numbers as fields.
pub(crate) fn log_summary(report: &Report) {
    if let Some(window) = report.window {
        for line in text::summary(report, Layout::PLAIN).lines() {
            tracing::info!("{line}");
        }
        log_counts(report, window);
    }
    if !report.counts.add_up() {
        tracing::error!(counts = ?report.counts, "the counts of this run do not add up");
    }
}

/// Logs a failure, and at debug level every link in its chain of causes.
fn log_failure(failure: &Failure) {
    let (kind, exit_code) = (failure.kind.name(), failure.kind.exit_code());
    tracing::error!(kind, exit_code, help = failure.help, "{failure}");
    for (depth, cause) in failure.cause_chain().into_iter().enumerate() {
        tracing::debug!(depth, cause, "caused by");
    }
}

/// Logs what the summary says as fields.
fn log_counts(report: &Report, window: Window) {
    let (counts, tally) = (&report.counts, &report.counts.tally);
    tracing::info!(
        window_start = timestamp(window.start),
        window_end = timestamp(window.end),
        exit_code = report.exit_code(),
        alerts_fetched = tally.alerts_fetched,
        alerts_below_threshold = tally.alerts_below_threshold,
        alerts_dismissed = tally.alerts_dismissed,
        alerts_unreadable = tally.alerts_unreadable,
        alerts_without_indicator = tally.alerts_without_indicator,
        carried_in = counts.carried_in,
        indicators_found = tally.indicators_found,
        indicators_unsupported = tally.indicators_unsupported,
        indicators_invalid = tally.indicators_invalid,
        indicators_private = tally.indicators_private,
        indicators_trusted = tally.indicators_trusted,
        indicators_excluded = tally.indicators_excluded,
        indicators_repeated = tally.indicators_repeated,
        already_delivered = tally.already_delivered,
        submitted = counts.submitted,
        processed = counts.processed,
        unprocessed = counts.unprocessed,
        would_submit = counts.would_submit,
        quarantined = counts.quarantined,
        waiting = counts.waiting,
        not_stored = counts.not_stored,
        "run finished"
    );
}

/// Writes to stderr.
pub(crate) fn write_stderr(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Returns a time as JSON documents have it: RFC 3339 with milliseconds.
pub(crate) fn timestamp(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Returns a count with its noun: `1 page` or `2,000 pages`.
pub(crate) fn counted(count: u64, one: &str, more: &str) -> String {
    format!("{} {}", thousands(count), if count == 1 { one } else { more })
}
