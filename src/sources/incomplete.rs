//! The parts of a window that could not be read completely, and the failure that reports them. A
//! part is a time slice (CrowdStrike) or a range of rows (Carbon Black).

use chrono::{DateTime, SecondsFormat, Utc};

use super::completeness::{Completeness, MAX_QUERIES};
use crate::failure::{Failure, FailureKind};
use crate::window::Window;

/// The parts that are still incomplete after [`MAX_QUERIES`] queries.
#[derive(Debug, Default)]
pub(super) struct IncompleteParts {
    count: usize,
    /// The earliest one, and why it is incomplete.
    earliest: Option<(Window, String)>,
}

impl IncompleteParts {
    /// Adds a part. `reports_total` is whether the page that decides reported a total that is not
    /// too small: the last one of CrowdStrike, the first one of Carbon Black.
    pub(super) fn add(&mut self, part: Window, completeness: &Completeness, reports_total: bool) {
        let reason = reason(completeness, reports_total);
        tracing::warn!(start = %part.start, end = %part.end, reason, "a part of the window is incomplete");
        self.count += 1;
        if self.earliest.as_ref().is_none_or(|(earliest, _)| part.start < earliest.start) {
            self.earliest = Some((part, reason));
        }
    }

    /// Removes all parts and returns the failure that reports them; `None` if there are none.
    pub(super) fn take_failure(&mut self, vendor: &str) -> Option<Failure> {
        let Self { count, earliest } = std::mem::take(self);
        let (part, reason) = earliest?;
        let instant = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::AutoSi, true);
        let (start, end) = (instant(part.start), instant(part.end));
        let others = match count {
            0 | 1 => String::new(),
            count => format!(", nor all of {} later parts of the window", count - 1),
        };
        Some(
            Failure::new(
                FailureKind::Partial,
                format!("{vendor} did not return all alerts from {start} to {end}{others}"),
                format!(
                    "Run again: the next run reads from {start} on; after --since or --no-ledger, name the same window. All alerts that were received are kept. If the error persists, send this message to {vendor} support."
                ),
            )
            .with_cause(reason),
        )
    }
}

fn reason(completeness: &Completeness, reports_total: bool) -> String {
    let received = completeness.received();
    match completeness.promised() {
        _ if completeness.is_stalled() => format!(
            "pages had no new alerts, or those of another time, also in the last of {MAX_QUERIES} queries"
        ),
        Some(promised) if received < promised => format!(
            "the last of {MAX_QUERIES} queries returned {received} of the {promised} alerts that the service reported"
        ),
        _ if !reports_total => format!(
            "in the last of {MAX_QUERIES} queries, the first or the last page did not report how many alerts there are, or reported too few"
        ),
        _ => format!("the last of {MAX_QUERIES} queries did not end"),
    }
}
