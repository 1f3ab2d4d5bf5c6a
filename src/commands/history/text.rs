//! The history as text, 80 columns wide: only an indicator longer than that leaves its line.

use std::fmt::Write as _;

use super::History;
use super::days::Day;
use crate::report::line;

/// The longest bar: what is left of 80 columns beside a day's numbers.
const LONGEST_BAR: u64 = 10;

/// The whole history.
pub(super) fn text(history: &History) -> String {
    let mut text = String::new();
    if history.rows.is_empty() {
        // Writing to a String cannot fail.
        let _ =
            writeln!(text, "no run since {} (the last {} days, UTC)", history.since, history.days);
    } else {
        days(&mut text, history);
    }
    indicators(&mut text, history);
    techniques(&mut text, history);
    text
}

fn days(text: &mut String, history: &History) {
    let _ = writeln!(
        text,
        "{:<10} {:<11} {:>7} {:>6} {:>9} {:>7} {:>11}   sent",
        "date (UTC)", "source", "fetched", "sent", "processed", "waiting", "quarantined"
    );
    let most = most(history.rows.iter().map(|day| day.sent));
    for day in &history.rows {
        let _ = writeln!(text, "{}", row(day, most).trim_end());
    }
    if history.rows.iter().any(|day| day.runs > 0 && !day.all_succeeded) {
        text.push_str("! not every run ended with exit code 0: see `collective-insights status`\n");
    }
}

fn row(day: &Day, most: u64) -> String {
    let (date, source) = (day.date, line(&day.source));
    if day.runs == 0 {
        return format!("{date} {source:<11} no run");
    }
    format!(
        "{date} {source:<11} {:>7} {:>6} {:>9} {:>7} {:>11} {} {}",
        day.fetched,
        day.sent,
        day.processed,
        day.waiting,
        day.quarantined,
        if day.all_succeeded { ' ' } else { '!' },
        bar(day.sent, most)
    )
}

fn indicators(text: &mut String, history: &History) {
    if history.indicators.is_empty() {
        return;
    }
    let forgotten = if history.indicators_since > history.since {
        format!(", remembered since {}", history.indicators_since)
    } else {
        String::new()
    };
    let _ = writeln!(text, "\nIndicators seen most{forgotten}");
    for seen in &history.indicators {
        let _ = writeln!(
            text,
            "{:>7} {}, last delivered {}, {}\n        {}",
            seen.detections,
            if seen.detections == 1 { "detection" } else { "detections" },
            seen.last_delivered.date_naive(),
            seen.kind.as_str(),
            line(&seen.value)
        );
    }
}

fn techniques(text: &mut String, history: &History) {
    if history.techniques.is_empty() {
        return;
    }
    text.push_str("\nMITRE techniques shared most, by submissions that name them\n");
    let most = most(history.techniques.iter().map(|one| one.submissions));
    for technique in &history.techniques {
        let _ = writeln!(
            text,
            "{:>7} {:<9} {}",
            technique.submissions,
            line(&technique.code),
            bar(technique.submissions, most)
        );
    }
}

fn most(numbers: impl Iterator<Item = u64>) -> u64 {
    numbers.max().unwrap_or_default()
}

/// A bar for a number, the longest for the largest; whatever is more than nothing shows.
fn bar(number: u64, most: u64) -> String {
    let length = number
        .saturating_mul(LONGEST_BAR)
        .checked_div(most)
        .map_or(0, |length| length.clamp(u64::from(number > 0), LONGEST_BAR));
    "#".repeat(usize::try_from(length).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, NaiveDate};

    use super::*;
    use crate::indicator::IndicatorType;
    use crate::ledger::{Seen, Technique};

    fn date(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn day(date: &str, runs: u32, sent: u64, all_succeeded: bool) -> Day {
        Day {
            date: self::date(date),
            source: "crowdstrike".to_owned(),
            runs,
            fetched: 123_456,
            sent,
            processed: sent,
            waiting: 100_000,
            quarantined: 12_345,
            all_succeeded,
        }
    }

    fn history(rows: Vec<Day>, indicators: Vec<Seen>) -> History {
        History {
            days: 30,
            since: date("2026-10-24"),
            indicators_since: date("2026-10-24"),
            rows,
            indicators,
            techniques: vec![Technique { code: "T1059.001".to_owned(), submissions: 15_000 }],
        }
    }

    fn seen(value: &str) -> Seen {
        Seen {
            kind: IndicatorType::Hash,
            value: value.to_owned(),
            detections: 100_000,
            last_delivered: DateTime::parse_from_rfc3339("2026-11-22T00:15:00Z").unwrap().to_utc(),
        }
    }

    #[test]
    fn nothing_is_wider_than_80_columns() {
        let days = vec![
            day("2026-11-20", 1, 15_000, true),
            day("2026-11-21", 1, 100_000, false),
            day("2026-11-22", 0, 0, false),
        ];
        let text = text(&history(days, vec![seen(&"a".repeat(64))]));
        let wide: Vec<_> = text.lines().filter(|line| line.chars().count() > 80).collect();
        assert!(wide.is_empty(), "{wide:?}");
        assert!(text.contains("2026-11-22 crowdstrike no run\n"), "{text}");
    }

    #[test]
    fn hostile_values_stay_on_their_line() {
        let text = text(&history(Vec::new(), vec![seen("http://a\u{1b}[2Jb/\n\u{202e}cod")]));
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text:?}");
        assert_eq!(text.lines().count(), 8, "{text}");
    }

    #[test]
    fn bars_show_whatever_is_more_than_nothing() {
        assert_eq!(bar(0, 0), "");
        assert_eq!(bar(0, 100), "");
        assert_eq!(bar(1, 100_000), "#");
        assert_eq!(bar(50, 100), "#####");
        assert_eq!(bar(100, 100), "##########");
    }
}
