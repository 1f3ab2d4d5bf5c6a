//! Reading the vendor to the window's end, or as far as it goes.

use chrono::{DateTime, Utc};

use super::books::Books;
use super::crash_point::crash_point;
use crate::failure::Failure;
use crate::http::Http;
use crate::report::Report;
use crate::report::progress::Work;
use crate::selection::exclusions::Exclusions;
use crate::selection::{Selection, Tally};
use crate::settings::Settings;
use crate::sources::Page;
use crate::submission::{Repeats, Submission};
use crate::window::Window;

/// What was read and selected.
pub(super) struct Read {
    /// The unique new submissions, the earliest first.
    pub submissions: Vec<Submission>,
    /// The detections that they stand for beside the first.
    pub repeats: Repeats,
    /// Every alert of the window before this instant was read.
    pub complete_until: DateTime<Utc>,
}

/// Reads the window's pages into a selection. A vendor's failure in the midst of it goes to the report;
/// what was read before it is kept.
///
/// # Errors
/// The ledger's alone.
pub(super) async fn read(
    settings: &Settings,
    http: &Http,
    window: Window,
    exclusions: Exclusions,
    books: &Books<'_>,
    report: &mut Report,
) -> Result<Read, Failure> {
    let mut reader = settings.source.reader(http, window, settings.concurrency);
    let mut selection = Selection::new(settings.thresholds, exclusions);
    let mut complete_until = window.start;
    let mut flawed = false;
    let (mut pages, mut total) = (0, None);
    loop {
        report.progress.set(Work::Reading {
            pages,
            alerts: selection.tally().alerts_fetched,
            total,
        });
        match reader.next_page().await {
            Ok(None) => break,
            Ok(Some(page)) => {
                pages += 1;
                total = page.total;
                flawed |= page.partial_error.is_some();
                // A page that the vendor itself calls incomplete makes nothing behind it certain.
                if !flawed {
                    complete_until = page.complete_until;
                }
                take(page, &mut selection, books, report)?;
                crash_point();
            }
            Err(failure) => {
                report.fail(failure);
                break;
            }
        }
    }
    // What it remembers of all alerts is not needed any more, and takes memory.
    drop(reader);
    let selected = selection.finish();
    tell(report, &selected.tally);
    report.counts.tally = selected.tally;
    Ok(Read { submissions: selected.submissions, repeats: selected.repeats, complete_until })
}

fn take(
    page: Page,
    selection: &mut Selection,
    books: &Books<'_>,
    report: &mut Report,
) -> Result<(), Failure> {
    let of_total = page.total.map(|total| format!(" of {total}")).unwrap_or_default();
    let at_once = books.at_once()?;
    for reading in page.outcomes {
        selection.take(reading, |detection, indicator| books.past(detection, indicator))?;
    }
    drop(at_once);
    if let Some(partial_error) = page.partial_error {
        report.fail(partial_error);
    }
    tracing::debug!("read {}{of_total} alerts", selection.tally().alerts_fetched);
    Ok(())
}

fn tell(report: &mut Report, tally: &Tally) {
    if tally.alerts_unreadable > 0 {
        report.note(format!(
            "{} alerts cannot be read and are left out; the log names them",
            tally.alerts_unreadable
        ));
    }
}
