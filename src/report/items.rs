//! What a dry run would send: JSON for programs, and a table of the first items for people.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use super::layout::{Layout, display_width, shorten, truncate};
use super::{Report, line, thousands};
use crate::submission::Submission;

/// How many items the table shows.
const SHOWN: usize = 20;
/// The columns between two cells.
const GAP: usize = 2;
/// The widest indicator that others are aligned with: a SHA-256.
const MAX_ALIGNED: usize = 64;
/// The narrowest columns of indicators and of descriptions.
const MIN_INDICATOR: usize = 20;
const MIN_DESCRIPTION: usize = 28;

/// One item of a dry run.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct DryRunItem {
    /// 0 to 100, where the vendor gave one.
    #[serde(skip)]
    pub severity: Option<u8>,
    /// The JSON that would be sent.
    pub json: Box<RawValue>,
}

/// The cells of one row.
struct Cells {
    indicator_type: String,
    severity: String,
    indicator: String,
    description: String,
}

impl Cells {
    fn heading() -> Self {
        Self {
            indicator_type: "type".to_owned(),
            severity: "severity".to_owned(),
            indicator: "indicator".to_owned(),
            description: "description".to_owned(),
        }
    }

    /// `None` for an item that is not a submission: only those that are valid are collected.
    fn of(item: &DryRunItem) -> Option<Self> {
        let submission: Submission<'_> = serde_json::from_str(item.json.get()).ok()?;
        Some(Self {
            indicator_type: line(submission.indicator_type()),
            severity: item.severity.map_or_else(|| "-".to_owned(), |number| number.to_string()),
            indicator: line(submission.value()),
            description: line(submission.description()),
        })
    }
}

/// Returns a table of the first items, the most severe first; nothing where there are none.
pub(super) fn table(report: &Report, layout: Layout) -> String {
    if report.items.is_empty() {
        return String::new();
    }
    let shown = report.items.iter().take(SHOWN).filter_map(Cells::of);
    let rows: Vec<Cells> = [Cells::heading()].into_iter().chain(shown).collect();
    let widths = Widths::of(&rows, layout.columns());
    let mut text = String::new();
    for (index, row) in rows.iter().enumerate() {
        let row = widths.row(row);
        text.push_str(&if index == 0 { layout.styler.bold(&row) } else { row });
        text.push('\n');
    }
    let more = report.items.len().saturating_sub(SHOWN);
    if more > 0 {
        let more = thousands(u64::try_from(more).unwrap_or(u64::MAX));
        text.push_str(&layout.paragraph("", &format!("{more} more: --json")));
    }
    text.push('\n');
    text
}

/// The widths of the columns; 0 for a column that does not fit.
struct Widths {
    indicator_type: usize,
    severity: usize,
    indicator: usize,
    description: usize,
    is_shortened: bool,
}

impl Widths {
    /// Returns the widths for a terminal with this many columns, or for whole texts.
    fn of(rows: &[Cells], columns: Option<usize>) -> Self {
        let widest = |cell: fn(&Cells) -> &str| {
            rows.iter().map(|row| display_width(cell(row))).max().unwrap_or_default()
        };
        let all = Self {
            indicator_type: widest(|row| &row.indicator_type),
            severity: widest(|row| &row.severity),
            indicator: widest(|row| &row.indicator).min(MAX_ALIGNED),
            description: widest(|row| &row.description),
            is_shortened: columns.is_some(),
        };
        let Some(columns) = columns else {
            return all;
        };
        let left = columns.saturating_sub(all.indicator_type + GAP);
        let after_severity = left.saturating_sub(all.severity + GAP);
        if after_severity < MIN_INDICATOR {
            return Self { severity: 0, indicator: left, description: 0, ..all };
        }
        let after_description = after_severity.saturating_sub(MIN_DESCRIPTION + GAP);
        if after_description < MIN_INDICATOR {
            return Self { indicator: after_severity, description: 0, ..all };
        }
        let indicator = all.indicator.min(after_description);
        Self { indicator, description: after_severity - indicator - GAP, ..all }
    }

    fn row(&self, cells: &Cells) -> String {
        let (mut indicator, mut description) =
            (Cow::Borrowed(cells.indicator.as_str()), Cow::Borrowed(cells.description.as_str()));
        // Without a terminal, a long indicator is whole and moves what follows it.
        if self.is_shortened {
            indicator = shorten(&cells.indicator, self.indicator);
            description = truncate(&cells.description, self.description);
        }
        let cells = [
            (cells.indicator_type.as_str(), self.indicator_type),
            (&indicator, self.indicator),
            (&cells.severity, self.severity),
            (&description, self.description),
        ];
        let mut row = String::new();
        for (text, width) in cells.into_iter().filter(|(_, width)| *width > 0) {
            let missing = width.saturating_sub(display_width(text)).min(MAX_ALIGNED);
            row.push_str(text);
            row.push_str(&" ".repeat(missing + GAP));
        }
        row.truncate(row.trim_end().len());
        row
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(value: &str, severity: Option<u8>, name: &str) -> DryRunItem {
        let json = serde_json::json!({
            "timestamp": "2026-11-21T00:15:00.000Z",
            "ioc": {"type": "hash", "value": value, "source_type": "a:b", "field": "c"},
            "detection": {"type": "correlation", "id": "1", "name": name},
            "incident": {"id": "1", "type": "a-b"},
        });
        DryRunItem { severity, json: RawValue::from_string(json.to_string()).unwrap() }
    }

    fn rows(columns: Option<usize>) -> Vec<String> {
        let items = [
            item(&"a".repeat(64), Some(90), "a rule with a long name that nobody reads to its end"),
            item("b", None, "\u{1b}[2J検出"),
        ];
        let rows: Vec<Cells> =
            [Cells::heading()].into_iter().chain(items.iter().filter_map(Cells::of)).collect();
        let widths = Widths::of(&rows, columns);
        rows.iter().map(|row| widths.row(row)).collect()
    }

    #[test]
    fn the_table_has_the_columns_that_fit() {
        assert_eq!(
            rows(Some(80)),
            [
                "type  indicator                           severity  description",
                "hash  aaaaaaaaaaaaaaaaa…aaaaaaaaaaaaaaaa  90        a rule with a long name tha…",
                "hash  b                                   -         \\u{1b}[2J検出",
            ]
        );
        assert_eq!(rows(Some(40))[1], "hash  aaaaaaaaaaaa…aaaaaaaaaaa  90");
        assert_eq!(rows(Some(24))[1], "hash  aaaaaaaaa…aaaaaaaa");
        for columns in 24..=200 {
            for row in rows(Some(columns)) {
                assert!(display_width(&row) <= columns, "{columns}: {row:?}");
            }
        }
    }

    #[test]
    fn nothing_is_shortened_without_a_terminal() {
        let rows = rows(None);
        let (hash, name) = ("a".repeat(64), "a rule with a long name that nobody reads to its end");
        assert_eq!(rows[1], format!("hash  {hash}  90        {name}"));
        assert_eq!(rows[2], format!("hash  b{}  -         \\u{{1b}}[2J検出", " ".repeat(63)));
    }
}
