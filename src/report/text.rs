//! A run's report as text: where every alert and indicator went.

use std::fmt::Write as _;

use chrono::SecondsFormat;

use super::{Report, line};
use crate::failure::Failure;
use crate::redact;
use crate::settings::Mode;

/// Returns the summary, a few lines.
pub(super) fn summary(report: &Report) -> String {
    let (counts, tally) = (&report.counts, &report.counts.tally);
    let mut text = String::new();
    let window = report.window.map_or_else(String::new, |window| {
        let timestamp =
            |time: chrono::DateTime<chrono::Utc>| time.to_rfc3339_opts(SecondsFormat::Secs, true);
        format!(", {} to {}", timestamp(window.start), timestamp(window.end))
    });
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "{}, tenant {}{window} (run {})",
        report.labels.title, report.tenant, report.run_id
    );
    let dismissed = match tally.alerts_dismissed {
        0 => String::new(),
        count => format!("{count} dismissed, "),
    };
    let _ = writeln!(
        text,
        "Alerts:      {} fetched; of these {} below threshold, {dismissed}{} unreadable, {} without an indicator",
        tally.alerts_fetched,
        tally.alerts_below_threshold,
        tally.alerts_unreadable,
        tally.alerts_without_indicator
    );
    let carried_in = if counts.carried_in > 0 {
        format!(", {} queued by earlier runs", counts.carried_in)
    } else {
        String::new()
    };
    let _ = writeln!(
        text,
        "Indicators:  {} found{carried_in}; {}",
        tally.indicators_found,
        indicator_counts(report)
    );
    let _ = writeln!(text, "{}", delivery_line(report));
    for note in &report.notes {
        let _ = writeln!(text, "Note:        {}", line(note));
    }
    text
}

/// Returns what became of the indicators; rare counts are left out when they are zero.
fn indicator_counts(report: &Report) -> String {
    let (counts, tally) = (&report.counts, &report.counts.tally);
    let always = [
        (tally.indicators_unsupported, "unsupported"),
        (tally.indicators_invalid, "invalid"),
        (tally.indicators_private, "private"),
        (tally.indicators_excluded, "excluded"),
        (tally.indicators_repeated, "repeated"),
    ];
    let rare = [
        (tally.indicators_trusted, "trusted"),
        (tally.already_delivered, "already delivered"),
        (counts.waiting, "queued"),
        (counts.quarantined, "in quarantine"),
        (counts.not_stored, "neither sent nor stored"),
    ];
    let submitted = match report.mode {
        Mode::DryRun => (counts.would_submit, "to be submitted"),
        Mode::Live | Mode::Debug => (counts.submitted, "submitted"),
    };
    always
        .into_iter()
        .chain(rare.into_iter().filter(|(count, _)| *count > 0))
        .chain([submitted])
        .map(|(count, label)| format!("{count} {label}"))
        .collect::<Vec<_>>()
        .join(", ")
}

fn delivery_line(report: &Report) -> String {
    let counts = &report.counts;
    match report.mode {
        Mode::DryRun => {
            "Dry run:     nothing was sent to Recorded Future or stored in the ledger".to_owned()
        }
        Mode::Debug => format!(
            "Debug:       {} validated by Recorded Future, {} not; NOTHING WAS STORED there or in the ledger",
            counts.processed, counts.unprocessed
        ),
        Mode::Live => {
            format!(
                "Submitted:   {}; of these {} processed, {} not processed",
                counts.submitted, counts.processed, counts.unprocessed
            )
        }
    }
}

/// Returns the items of a dry run, one per line, as the JSON that would be sent.
pub(super) fn items(report: &Report) -> String {
    report.items.iter().fold(String::new(), |mut text, item| {
        let _ = writeln!(text, "{}", redact::sanitize_json(item.get()));
        text
    })
}

/// Returns a failure as a block of lines: `error:`, `cause:` if there is one, and `help:`.
pub(super) fn failure(failure: &Failure) -> String {
    let mut text = format!("error: {}\n", line(&failure.message));
    if let Some(cause) = failure.cause() {
        let _ = writeln!(text, "  cause: {}", line(&cause));
    }
    let _ = writeln!(text, "  help: {}", line(&failure.help));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::FailureKind;

    #[test]
    fn a_failure_has_three_labelled_lines() {
        let plain = Failure::new(FailureKind::Partial, "one\nline", "Do it.");
        assert_eq!(failure(&plain), "error: one\\u{a}line\n  help: Do it.\n");
        let caused = plain.with_cause(std::io::Error::other("\u{1b}[31mwhy"));
        assert_eq!(
            failure(&caused),
            "error: one\\u{a}line\n  cause: \\u{1b}[31mwhy\n  help: Do it.\n"
        );
    }
}
