//! The report of several tenants: a line for each, and a total.

use std::process::ExitCode;

use super::layout::{Layout, thousands};
use super::table::{NumberRow, NumberTable};
use super::{
    Counts, Output, Report, counted, is_interrupt, items, json, print_failure, print_failure_about,
    warn, write_stderr, write_stdout,
};
use crate::failure::most_urgent_exit_code;
use crate::redact::sanitize;
use crate::settings::Mode;

/// How many names stand before a text that is the same for several tenants.
const MAX_NAMES: usize = 3;
/// The heading of the exit codes.
const EXIT_CODE: &str = "exit code";

/// The report of the runs of several tenants in one process.
#[derive(Debug)]
pub(crate) struct TenantsReport {
    /// The mode of all runs.
    pub mode: Mode,
    /// A report for each chosen tenant, in the order of `--tenant`, else of the settings file.
    pub reports: Vec<Report>,
    /// Notes on the whole process.
    pub notes: Vec<String>,
    /// Warnings about the whole process; on stderr, also with `--quiet`.
    pub warnings: Vec<String>,
}

impl TenantsReport {
    /// Adds a note on the whole process and logs it.
    pub(crate) fn note(&mut self, note: String) {
        tracing::info!("{note}");
        self.notes.push(note);
    }

    /// Adds a warning about the whole process and logs it.
    pub(crate) fn warn(&mut self, warning: String) {
        tracing::warn!("{warning}");
        self.warnings.push(warning);
    }

    /// Returns the exit code: that of the most urgent failure of all tenants, else 0.
    pub(crate) fn exit_code(&self) -> u8 {
        most_urgent_exit_code(self.reports.iter().flat_map(Report::failures))
    }

    /// Whether the window of some tenant is known, so that there are numbers.
    fn has_started(&self) -> bool {
        self.reports.iter().any(|report| report.window.is_some())
    }
}

/// Prints the report of several tenants and returns the exit code. Each tenant's own summary is in
/// the log.
#[must_use]
pub(crate) fn print_tenants(report: &TenantsReport, output: Output) -> ExitCode {
    log_total(report);
    let is_interrupted = report.reports.iter().any(Report::is_interrupted);
    let printed = if output.json {
        write_stdout(&json::tenants_document(report))
    } else if output.quiet || !report.has_started() || is_interrupted {
        Ok(())
    } else {
        let layout = Layout::stdout();
        write_stdout(&dry_run_items(report, layout))
            .and_then(|()| write_stdout(&summary(report, layout)))
    };
    for warning in &report.warnings {
        warn(warning);
    }
    for (warning, tenants) in by_text(report, |report| &report.warnings) {
        warn(&format!("{}: {warning}", names(&tenants)));
    }
    for (failure, tenants) in by_text(report, Report::failures) {
        if !is_interrupt(failure) {
            print_failure_about(&tenants, failure);
        }
    }
    if is_interrupted {
        write_stderr(&Layout::stderr().paragraph("", &interrupted(report)));
    }
    let unprinted = printed.map_err(|failure| print_failure(&failure)).err();
    // Last, and also with --quiet: a crontab with --debug would never deliver anything.
    if report.mode == Mode::Debug {
        warn("test mode: Recorded Future stored nothing");
    }
    // The runs' own failures are the more urgent ones.
    let code = report.exit_code();
    unprinted.filter(|_| code == 0).unwrap_or(code.into())
}

/// Returns the sum of the counts of all tenants.
fn total(report: &TenantsReport) -> Counts {
    let mut total = Counts::default();
    for report in &report.reports {
        total.add(&report.counts);
    }
    total
}

/// Returns the summary: a line for each tenant, the total, and the notes.
fn summary(report: &TenantsReport, layout: Layout) -> String {
    let count = u64::try_from(report.reports.len()).unwrap_or(u64::MAX);
    let succeeded = report.reports.iter().filter(|report| report.exit_code() == 0).count();
    let succeeded = u64::try_from(succeeded).unwrap_or(u64::MAX);
    let about = match report.mode {
        Mode::Live => String::new(),
        Mode::DryRun => "; nothing was sent or stored".to_owned(),
        Mode::Debug => "; NOTHING WAS STORED".to_owned(),
    };
    let mut text = layout.title(
        &counted(count, "tenant", "tenants"),
        &format!(", {} with exit code 0{about}", thousands(succeeded)),
    );
    text.push_str(&table(report).text(layout));
    let label = format!("  {} ", layout.styler.bold("note:"));
    for note in &report.notes {
        text.push_str(&layout.paragraph(&label, note));
    }
    for (note, tenants) in by_text(report, |report| &report.notes) {
        text.push_str(&layout.paragraph(&label, &format!("{}: {note}", names(&tenants))));
    }
    text
}

/// Returns the table: the numbers of each tenant and of all together.
fn table(report: &TenantsReport) -> NumberTable<'static, 6> {
    let sent = match report.mode {
        Mode::DryRun => "to send",
        Mode::Debug => "tested",
        Mode::Live => "sent",
    };
    let row = |name, counts: Option<&Counts>, exit_code: u8| {
        let [fetched, new, sent, queued, quarantined] = match counts {
            Some(counts) => [
                counts.tally.alerts_fetched,
                counts.new_indicators(),
                counts.submitted + counts.would_submit,
                counts.waiting,
                counts.quarantined,
            ]
            .map(Some),
            None => [None; 5],
        };
        let numbers = [fetched, new, sent, queued, quarantined, Some(exit_code.into())];
        NumberRow { name, numbers, note: String::new() }
    };
    let of_tenant = |report: &Report| {
        // Without a window, it failed before it could read anything.
        let counts = report.window.map(|_| &report.counts);
        row(sanitize(report.tenant.as_str()), counts, report.exit_code())
    };
    let mut rows: Vec<_> = report.reports.iter().map(of_tenant).collect();
    rows.push(row("total".to_owned(), Some(&total(report)), report.exit_code()));
    NumberTable {
        name: "tenant",
        headings: ["fetched", "new", sent, "queued", "quarantined", EXIT_CODE],
        red_unless_zero: EXIT_CODE,
        rows,
    }
}

/// Returns what a dry run would send, below the name of each tenant.
fn dry_run_items(report: &TenantsReport, layout: Layout) -> String {
    let mut text = String::new();
    for report in report.reports.iter().filter(|report| !report.items.is_empty()) {
        text.push_str(&layout.title(&format!("tenant {}", report.tenant), ""));
        text.push_str(&items::list(report, layout));
        text.push('\n');
    }
    text
}

/// Returns the texts of the reports, each once, with its tenants: otherwise a service that is down
/// would fill the screen with the same text for each tenant.
fn by_text<'a, T: PartialEq + 'a>(
    report: &'a TenantsReport,
    texts: impl Fn(&'a Report) -> &'a [T],
) -> Vec<(&'a T, Vec<&'a str>)> {
    tenants_by_value(
        report
            .reports
            .iter()
            .flat_map(|report| texts(report).iter().map(|text| (text, report.tenant.as_str()))),
    )
}

/// Returns each value once, with the tenants that have it.
pub(crate) fn tenants_by_value<'a, T: PartialEq>(
    values: impl Iterator<Item = (T, &'a str)>,
) -> Vec<(T, Vec<&'a str>)> {
    let mut found: Vec<(T, Vec<&str>)> = Vec::new();
    for (value, tenant) in values {
        match found.iter_mut().find(|(other, _)| *other == value) {
            Some((_, tenants)) => tenants.push(tenant),
            None => found.push((value, vec![tenant])),
        }
    }
    found
}

/// Returns the names of tenants: if there are many, the first ones and the number of the others.
pub(crate) fn names(tenants: &[&str]) -> String {
    let (first, others) = tenants.split_at(tenants.len().min(MAX_NAMES));
    let first = first.join(", ");
    match others.len() {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

/// Returns the line of runs that a person ended.
fn interrupted(report: &TenantsReport) -> String {
    let total = total(report);
    // Test runs and runs without a ledger keep no queue.
    if !report.reports.iter().any(|report| report.is_queue_kept) {
        return "Interrupted. Run again to start over.".to_owned();
    }
    let is_known = report.reports.iter().all(|report| report.window.is_some());
    match total.waiting {
        0 if is_known && total.not_stored == 0 => {
            "Interrupted. Nothing is queued; run again to continue.".to_owned()
        }
        // A tenant that did not start, or whose ledger cannot be read, may have queued indicators:
        // their number is not known here.
        0 => "Interrupted. Run again to continue.".to_owned(),
        queued => format!(
            "Interrupted. {} queued; run again to continue.",
            counted(queued, "indicator is", "indicators are")
        ),
    }
}

/// Logs the total as fields.
fn log_total(report: &TenantsReport) {
    let total = total(report);
    let failed = report.reports.iter().filter(|report| report.exit_code() != 0).count();
    tracing::info!(
        tenants = report.reports.len(),
        tenants_failed = failed,
        exit_code = report.exit_code(),
        alerts_fetched = total.tally.alerts_fetched,
        submitted = total.submitted + total.would_submit,
        waiting = total.waiting,
        quarantined = total.quarantined,
        "all tenants have ended"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_names_are_shortened() {
        assert_eq!(names(&["a"]), "a");
        assert_eq!(names(&["a", "b", "c"]), "a, b, c");
        assert_eq!(names(&["a", "b", "c", "d", "e"]), "a, b, c and 2 more");
    }
}
