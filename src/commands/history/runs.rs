//! The list of runs: when, how long, and how each ended.

use serde_json::json;

use crate::ledger::RunRecord;
use crate::redact::sanitize;
use crate::report::{self, Layout, duration, timestamp};

/// The indent of the further lines of a run whose result does not fit in one.
const INDENT: usize = 4;

/// Returns the runs as text, in this order.
pub(super) fn text(runs: &[RunRecord], layout: Layout) -> String {
    let width = runs.iter().map(|run| sanitize(&run.tenant).len()).max().unwrap_or_default();
    let width = width.max("tenant".len());
    let heading = format!(
        "{:<20} {:<width$} {:<7} {:>11}  {:<12} result",
        "started (UTC)", "tenant", "mode", "time", "run"
    );
    let mut text = layout.lines(&(layout.styler.bold(&heading) + "\n"));
    for run in runs {
        let cells = format!(
            "{:<20} {:<width$} {:<7} {:>11}  {:<12} ",
            run.started_at.format("%Y-%m-%d %H:%M:%S"),
            sanitize(&run.tenant),
            sanitize(&run.mode),
            run.duration()
                .map_or_else(|| "-".to_owned(), |time| duration(time.to_std().unwrap_or_default())),
            sanitize(&run.id),
        );
        text.push_str(&layout.hanging(&cells, INDENT, &result(run)));
    }
    text
}

fn result(run: &RunRecord) -> String {
    let ended = match run.exit_code {
        Some(0) => "ok".to_owned(),
        Some(code) => format!("exit code {code}"),
        None => "running, or killed".to_owned(),
    };
    match &run.error {
        Some(error) => format!("{ended}: {error}"),
        None => ended,
    }
}

/// Returns the elements of the list in the JSON document.
pub(super) fn as_json(runs: &[RunRecord]) -> Vec<serde_json::Value> {
    let each = |run: &RunRecord| {
        json!({
            "run_id": run.id,
            "tenant": run.tenant,
            "source": run.source,
            "mode": run.mode,
            "window": run.window.map(report::window),
            "started_at": timestamp(run.started_at),
            "finished_at": run.finished_at.map(timestamp),
            "seconds": run.duration().map(|duration| duration.num_seconds()),
            "exit_code": run.exit_code,
            "error": run.error,
        })
    };
    runs.iter().map(each).collect()
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn run(finished_at: Option<&str>, exit_code: Option<i32>, error: Option<&str>) -> RunRecord {
        RunRecord {
            id: "0123456789ab".to_owned(),
            tenant: "acme".to_owned(),
            source: "crowdstrike".to_owned(),
            mode: "live".to_owned(),
            window: None,
            started_at: at("2026-11-22T00:15:00Z"),
            finished_at: finished_at.map(at),
            exit_code,
            counts: None,
            error: error.map(str::to_owned),
        }
    }

    #[test]
    fn each_run_is_a_row_with_its_time_and_result() {
        let runs = [
            run(Some("2026-11-22T00:15:07.9Z"), Some(0), None),
            run(Some("2026-11-22T00:18:05Z"), Some(5), Some("503\n\u{1b}[31m")),
            run(Some("2026-11-22T03:16:00Z"), Some(0), None),
            run(Some("2026-11-22T00:14:00Z"), Some(0), None),
            run(None, None, None),
        ];
        let start = "2026-11-22 00:15:00  acme   live  ";
        assert_eq!(
            text(&runs, Layout::PLAIN).lines().collect::<Vec<_>>(),
            [
                "started (UTC)        tenant mode           time  run          result".to_owned(),
                format!("{start}          7 s  0123456789ab ok"),
                format!("{start}    3 min 5 s  0123456789ab exit code 5: 503\\u{{a}}\\u{{1b}}[31m"),
                format!("{start}    3 h 1 min  0123456789ab ok"),
                format!("{start}         0 ms  0123456789ab ok"),
                format!("{start}            -  0123456789ab running, or killed"),
            ]
        );
    }
}
