//! The history as text that fits the terminal. If stdout is not a terminal it has 80 columns, which
//! long indicators and names exceed.

use std::fmt::Write as _;

use chrono::NaiveDate;

use super::History;
use crate::commands::days::Day;
use crate::commands::tenants::{KnownTenant, SettingsEntry};
use crate::redact::sanitize;
use crate::report::{Counts, Layout, NumberRow, NumberTable};

/// The longest bar.
const MAX_BAR_COLUMNS: usize = 10;

/// The width if stdout is not a terminal.
const COLUMNS: usize = 80;
/// The columns between the numbers of a day and its bar: the mark of a failed run and its spaces.
const MARK_COLUMNS: usize = 3;
/// The columns before the bar of a technique.
const TECHNIQUE_COLUMNS: usize = 18;

pub(super) fn text(history: &History, layout: Layout) -> String {
    let mut text = String::new();
    if history.rows.is_empty() {
        text.push_str(&no_run(history.since, history.days, layout));
    } else {
        write_days(&mut text, history, layout);
    }
    let shown = |name: &str| history.rows.iter().any(|day| day.tenant == name);
    text.push_str(&tenant_notes(&history.tenants, shown, layout));
    write_indicators(&mut text, history, layout);
    write_techniques(&mut text, history, layout);
    text
}

pub(super) fn no_run(since: NaiveDate, days: u32, layout: Layout) -> String {
    layout.paragraph("", &format!("no run since {since} (the last {days} days, UTC)"))
}

/// Returns which enabled tenants have never run, and which of the shown tenants the settings file
/// excludes from `run`.
pub(super) fn tenant_notes(
    tenants: &[KnownTenant],
    is_shown: impl Fn(&str) -> bool,
    layout: Layout,
) -> String {
    let names = |is_meant: &dyn Fn(&KnownTenant) -> bool| {
        let names = tenants.iter().filter(|tenant| is_meant(tenant));
        names.map(|tenant| sanitize(&tenant.name)).collect::<Vec<_>>().join(", ")
    };
    let never = |tenant: &KnownTenant| {
        tenant.never_ran && tenant.settings_entry == Some(SettingsEntry::Enabled)
    };
    let left_out =
        [SettingsEntry::Disabled, SettingsEntry::Absent].into_iter().filter_map(|state| {
            let is_meant = |tenant: &KnownTenant| {
                tenant.settings_entry == Some(state) && is_shown(&tenant.name)
            };
            Some(("- ", state.note()?, names(&is_meant)))
        });
    let notes = std::iter::once(("! ", "never ran", names(&never))).chain(left_out);
    let notes = notes.filter(|(_, _, names)| !names.is_empty());
    notes.map(|(mark, note, names)| layout.paragraph(mark, &format!("{note}: {names}"))).collect()
}

/// Returns the maximum length of a bar that begins after this many columns.
fn bar_columns(layout: Layout, before: usize) -> usize {
    layout.columns().unwrap_or(COLUMNS).saturating_sub(before).min(MAX_BAR_COLUMNS)
}

fn write_days(text: &mut String, history: &History, layout: Layout) {
    let mut table = NumberTable {
        name: "date (UTC) tenant",
        headings: ["fetched", "sent", "processed", "queued", "quarantined"],
        red_unless_zero: "",
        rows: history.rows.iter().map(row).collect(),
    };
    let columns = bar_columns(layout, table.width() + MARK_COLUMNS);
    let max = largest(history.rows.iter().map(|day| day.count(|counts| counts.submitted)));
    for (row, day) in table.rows.iter_mut().zip(&history.rows).filter(|(_, day)| day.runs > 0) {
        let mark = if day.has_failed { '!' } else { ' ' };
        let bar = bar(day.count(|counts| counts.submitted), max, columns);
        format!("{mark} {bar}").trim_end().clone_into(&mut row.note);
    }
    text.push_str(&table.text(layout));
    if history.rows.iter().any(|day| day.has_failed) {
        let note = "not every run ended with exit code 0: see `collective-insights status`";
        text.push_str(&layout.paragraph("! ", note));
    }
}

/// Returns the row of a day, without its bar.
fn row(day: &Day) -> NumberRow<5> {
    let name = format!("{} {}", day.date, sanitize(&day.tenant));
    if day.runs == 0 {
        return NumberRow { name, numbers: [None; 5], note: "no run".to_owned() };
    }
    let numbers: [fn(&Counts) -> u64; 5] = [
        |counts| counts.tally.alerts_fetched,
        |counts| counts.submitted,
        |counts| counts.processed,
        |counts| counts.waiting,
        |counts| counts.quarantined,
    ];
    NumberRow::new(name, numbers.map(|number| day.count(number)))
}

fn write_indicators(text: &mut String, history: &History, layout: Layout) {
    if history.indicators.is_empty() {
        return;
    }
    let since = if history.indicators_since > history.since {
        format!(" (records go back to {})", history.indicators_since)
    } else {
        String::new()
    };
    text.push('\n');
    text.push_str(&layout.title("Top indicators", &since));
    for top in &history.indicators {
        let what = format!(
            "{}, last delivered {}, {}",
            if top.detections == 1 { "alert" } else { "alerts" },
            top.last_delivered.date_naive(),
            top.indicator_type.as_str(),
        );
        text.push_str(&layout.paragraph(&format!("{:>7} ", top.detections), &what));
        text.push_str(&layout.paragraph("        ", &top.value));
    }
}

fn write_techniques(text: &mut String, history: &History, layout: Layout) {
    if history.techniques.is_empty() {
        return;
    }
    let title = "Top MITRE ATT&CK techniques";
    text.push('\n');
    text.push_str(&layout.title(title, ", by number of indicators"));
    let max = largest(history.techniques.iter().map(|one| one.submissions));
    let columns = bar_columns(layout, TECHNIQUE_COLUMNS);
    for technique in &history.techniques {
        let row = format!(
            "{:>7} {:<9} {}",
            technique.submissions,
            sanitize(&technique.code),
            bar(technique.submissions, max, columns)
        );
        let _ = writeln!(text, "{}", row.trim_end());
    }
}

fn largest(numbers: impl Iterator<Item = u64>) -> u64 {
    numbers.max().unwrap_or_default()
}

/// Returns a bar whose length is `columns` for the number `max`, and in proportion for a lower one.
/// A number above 0 has a bar, unless `columns` is 0.
fn bar(number: u64, max: u64, columns: usize) -> String {
    let columns = u64::try_from(columns).unwrap_or(u64::MAX);
    let length = number
        .saturating_mul(columns)
        .checked_div(max)
        .map_or(0, |length| length.max(u64::from(number > 0)).min(columns));
    "#".repeat(usize::try_from(length).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::indicator::IndicatorType;
    use crate::ledger::{Technique, TopIndicator};
    use crate::selection::Tally;

    fn date(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn day(date: &str, runs: u32, sent: u64, all_succeeded: bool) -> Day {
        Day {
            date: self::date(date),
            tenant: "crowdstrike".to_owned(),
            source: "crowdstrike".to_owned(),
            runs,
            counts: Some(Counts {
                tally: Tally { alerts_fetched: 123_456, ..Tally::default() },
                submitted: sent,
                processed: sent,
                waiting: 100_000,
                quarantined: 12_345,
                ..Counts::default()
            }),
            all_succeeded,
            has_failed: runs > 0 && !all_succeeded,
        }
    }

    fn history(rows: Vec<Day>, indicators: Vec<TopIndicator>) -> History {
        History {
            days: 30,
            since: date("2026-10-24"),
            indicators_since: date("2026-10-24"),
            rows,
            tenants: Vec::new(),
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
        let text = text(&history(days, vec![top(&"a".repeat(64))]), Layout::PLAIN);
        let wide: Vec<_> = text.lines().filter(|line| line.chars().count() > 80).collect();
        assert!(wide.is_empty(), "{wide:?}");
        let row = text.lines().find(|line| line.contains("2026-11-22 crowdstrike"));
        assert!(row.is_some_and(|row| row.ends_with("crowdstrike no run")), "{text}");
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for columns in 24..=200 {
            let days = vec![day("2026-11-21", 1, 15_000, false), day("2026-11-22", 0, 0, true)];
            let history = history(days, vec![top(&"a".repeat(64))]);
            let text = text(&history, Layout::with_columns(columns));
            for line in text.lines() {
                assert!(line.chars().count() <= columns, "{columns}: {line:?}");
            }
            assert!(text.contains("123,456") && text.contains("15,000"), "{text}");
        }
    }

    #[test]
    fn control_characters_in_values_are_escaped() {
        let values = vec![top("http://a\u{1b}[2Jb/\n\u{202e}cod")];
        let text = text(&history(Vec::new(), values), Layout::PLAIN);
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text:?}");
        assert_eq!(text.lines().count(), 8, "{text}");
    }

    #[test]
    fn a_bar_shows_any_number_above_0() {
        assert_eq!(bar(0, 0, 10), "");
        assert_eq!(bar(0, 100, 10), "");
        assert_eq!(bar(1, 100_000, 10), "#");
        assert_eq!(bar(50, 100, 10), "#####");
        assert_eq!(bar(100, 100, 10), "##########");
        assert_eq!(bar(100, 100, 0), "");
    }
}
