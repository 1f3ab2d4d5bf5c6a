//! A run's report as text: the answer to "why 800 in and 200 out?".

use std::fmt::Write as _;

use chrono::SecondsFormat;

use super::{Report, line};
use crate::failure::Failure;
use crate::redact;
use crate::settings::Mode;

/// The summary, a few lines.
pub(super) fn summary(report: &Report) -> String {
    let (counts, tally) = (&report.counts, &report.counts.tally);
    let mut text = String::new();
    let span = report.window.map_or_else(String::new, |window| {
        let instant =
            |time: chrono::DateTime<chrono::Utc>| time.to_rfc3339_opts(SecondsFormat::Secs, true);
        format!(", {} to {}", instant(window.start), instant(window.end))
    });
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{}{span} (run {})", report.labels.title, report.run_id);
    let _ = writeln!(
        text,
        "Alerts:      {} fetched; of these {} below threshold, {} unreadable, {} without an indicator",
        tally.alerts_fetched,
        tally.alerts_below_threshold,
        tally.alerts_unreadable,
        tally.alerts_without_indicator
    );
    let carried = if counts.carried_in > 0 {
        format!(", and {} waited from before", counts.carried_in)
    } else {
        String::new()
    };
    let _ = writeln!(
        text,
        "Indicators:  {} found{carried}; {}",
        tally.indicators_found,
        places(report)
    );
    let _ = writeln!(text, "{}", last_line(report));
    for note in &report.notes {
        let _ = writeln!(text, "Note:        {}", line(note));
    }
    text
}

/// Where the indicators went; what never happened on a quiet night is left out.
fn places(report: &Report) -> String {
    let (counts, tally) = (&report.counts, &report.counts.tally);
    let always = [
        (tally.indicators_unsupported, "unsupported"),
        (tally.indicators_invalid, "invalid"),
        (tally.indicators_private, "private"),
        (tally.indicators_excluded, "excluded"),
        (tally.indicators_repeated, "repeated"),
    ];
    let rare = [
        (tally.already_delivered, "already delivered"),
        (counts.waiting, "waiting in the outbox"),
        (counts.quarantined, "in quarantine"),
    ];
    let submitted = match report.mode {
        Mode::DryRun => "to be submitted",
        Mode::Live | Mode::Debug => "submitted",
    };
    always
        .into_iter()
        .chain(rare.into_iter().filter(|(count, _)| *count > 0))
        .chain([(counts.submitted, submitted)])
        .map(|(count, word)| format!("{count} {word}"))
        .collect::<Vec<_>>()
        .join(", ")
}

fn last_line(report: &Report) -> String {
    let counts = &report.counts;
    match report.mode {
        Mode::DryRun => {
            "Dry run:     nothing was sent to Recorded Future, and nothing is remembered".to_owned()
        }
        Mode::Debug => format!(
            "Debug:       {} checked by Recorded Future, {} not; it SAVED NOTHING, and nothing is remembered here",
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

/// The items of a dry run, one a line as the JSON that would be sent.
pub(super) fn items(report: &Report) -> String {
    report.items.iter().fold(String::new(), |mut text, item| {
        let _ = writeln!(text, "{}", redact::safe_json(item.get()));
        text
    })
}

/// A failure as one block: what happened, why, what to do.
pub(super) fn failure(failure: &Failure) -> String {
    let mut text = format!("error: {}\n", line(&failure.message));
    if let Some(cause) = &failure.cause {
        let _ = writeln!(text, "  why: {}", line(cause));
    }
    let _ = writeln!(text, "  what to do: {}", line(&failure.hint));
    text
}
