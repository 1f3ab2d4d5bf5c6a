//! The history as text for 80 columns; only longer indicators and names exceed them.

use std::fmt::Write as _;

use chrono::NaiveDate;

use super::History;
use super::days::Day;
use crate::report::line;

/// The longest bar: 80 columns less the other columns.
const MAX_BAR_COLUMNS: u64 = 10;

pub(super) fn text(history: &History) -> String {
    let mut text = String::new();
    if history.rows.is_empty() {
        text.push_str(&no_run(history.since, history.days));
    } else {
        write_days(&mut text, history);
    }
    write_indicators(&mut text, history);
    write_techniques(&mut text, history);
    text
}

pub(super) fn no_run(since: NaiveDate, days: u32) -> String {
    format!("no run since {since} (the last {days} days, UTC)\n")
}

fn write_days(text: &mut String, history: &History) {
    let width = history.rows.iter().map(|day| line(&day.tenant).len()).max().unwrap_or_default();
    let width = width.max("tenant".len());
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "{:<10} {:<width$} {:>7} {:>6} {:>9} {:>7} {:>11}",
        "date (UTC)", "tenant", "fetched", "sent", "processed", "queued", "quarantined"
    );
    let max = largest(history.rows.iter().map(|day| day.sent));
    for day in &history.rows {
        let _ = writeln!(text, "{}", row(day, width, max).trim_end());
    }
    if history.rows.iter().any(|day| day.runs > 0 && !day.all_succeeded) {
        text.push_str("! not every run ended with exit code 0: see `collective-insights status`\n");
    }
}

fn row(day: &Day, width: usize, max: u64) -> String {
    let (date, tenant) = (day.date, line(&day.tenant));
    if day.runs == 0 {
        return format!("{date} {tenant:<width$} no run");
    }
    format!(
        "{date} {tenant:<width$} {:>7} {:>6} {:>9} {:>7} {:>11} {} {}",
        day.fetched,
        day.sent,
        day.processed,
        day.queued,
        day.quarantined,
        if day.all_succeeded { ' ' } else { '!' },
        bar(day.sent, max)
    )
}

fn write_indicators(text: &mut String, history: &History) {
    if history.indicators.is_empty() {
        return;
    }
    let since = if history.indicators_since > history.since {
        format!(" (records go back to {})", history.indicators_since)
    } else {
        String::new()
    };
    let _ = writeln!(text, "\nTop indicators{since}");
    for top in &history.indicators {
        let _ = writeln!(
            text,
            "{:>7} {}, last delivered {}, {}\n        {}",
            top.detections,
            if top.detections == 1 { "detection" } else { "detections" },
            top.last_delivered.date_naive(),
            top.indicator_type.as_str(),
            line(&top.value)
        );
    }
}

fn write_techniques(text: &mut String, history: &History) {
    if history.techniques.is_empty() {
        return;
    }
    text.push_str("\nTop MITRE ATT&CK techniques, by number of indicators\n");
    let max = largest(history.techniques.iter().map(|one| one.submissions));
    for technique in &history.techniques {
        let _ = writeln!(
            text,
            "{:>7} {:<9} {}",
            technique.submissions,
            line(&technique.code),
            bar(technique.submissions, max)
        );
    }
}

fn largest(numbers: impl Iterator<Item = u64>) -> u64 {
    numbers.max().unwrap_or_default()
}

/// Returns a bar in proportion to a number; it is never empty for a number above 0.
fn bar(number: u64, max: u64) -> String {
    let length = number
        .saturating_mul(MAX_BAR_COLUMNS)
        .checked_div(max)
        .map_or(0, |length| length.clamp(u64::from(number > 0), MAX_BAR_COLUMNS));
    "#".repeat(usize::try_from(length).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::indicator::IndicatorType;
    use crate::ledger::{Technique, TopIndicator};

    fn date(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn day(date: &str, runs: u32, sent: u64, all_succeeded: bool) -> Day {
        Day {
            date: self::date(date),
            tenant: "crowdstrike".to_owned(),
            source: "crowdstrike".to_owned(),
            runs,
            fetched: 123_456,
            sent,
            processed: sent,
            queued: 100_000,
            quarantined: 12_345,
            all_succeeded,
        }
    }

    fn history(rows: Vec<Day>, indicators: Vec<TopIndicator>) -> History {
        History {
            days: 30,
            since: date("2026-10-24"),
            indicators_since: date("2026-10-24"),
            rows,
            indicators,
            techniques: vec![Technique { code: "T1059.001".to_owned(), submissions: 15_000 }],
        }
    }

    fn top(value: &str) -> TopIndicator {
        TopIndicator {
            indicator_type: IndicatorType::Hash,
            value: value.to_owned(),
            detections: 100_000,
            last_delivered: DateTime::parse_from_rfc3339("2026-11-22T00:15:00Z").unwrap().to_utc(),
        }
    }

    #[test]
    fn no_line_is_wider_than_80_columns() {
        let days = vec![
            day("2026-11-20", 1, 15_000, true),
            day("2026-11-21", 1, 100_000, false),
            day("2026-11-22", 0, 0, false),
        ];
        let text = text(&history(days, vec![top(&"a".repeat(64))]));
        let wide: Vec<_> = text.lines().filter(|line| line.chars().count() > 80).collect();
        assert!(wide.is_empty(), "{wide:?}");
        assert!(text.contains("2026-11-22 crowdstrike no run\n"), "{text}");
    }

    #[test]
    fn control_characters_in_values_are_escaped() {
        let text = text(&history(Vec::new(), vec![top("http://a\u{1b}[2Jb/\n\u{202e}cod")]));
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text:?}");
        assert_eq!(text.lines().count(), 8, "{text}");
    }

    #[test]
    fn a_bar_shows_any_number_above_0() {
        assert_eq!(bar(0, 0), "");
        assert_eq!(bar(0, 100), "");
        assert_eq!(bar(1, 100_000), "#");
        assert_eq!(bar(50, 100), "#####");
        assert_eq!(bar(100, 100), "##########");
    }
}
