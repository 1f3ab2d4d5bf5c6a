//! The items that a dry run would send: JSON for programs, and a list of the first ones for people.

use serde::Serialize;
use serde_json::value::RawValue;

use super::layout::{Layout, truncate};
use super::{Report, thousands};
use crate::redact::sanitize;
use crate::submission::Submission;

/// How many items the list shows.
const SHOWN: usize = 20;
/// The indent of the description, which is below the indicator.
const INDENT: &str = "    ";

/// One item of a dry run.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct DryRunItem {
    /// The severity on the scale of the vendor, if it gave one.
    #[serde(skip)]
    pub severity: Option<u8>,
    /// The JSON that would be sent.
    pub json: Box<RawValue>,
}

/// Returns the first items, the most severe first; nothing where there are none.
pub(super) fn list(report: &Report, layout: Layout) -> String {
    if report.items.is_empty() {
        return String::new();
    }
    let heading = cells("type", "severity") + "indicator";
    let mut text = layout.lines(&(layout.styler.bold(&heading) + "\n"));
    for item in report.items.iter().take(SHOWN) {
        text.push_str(&item_text(item, layout));
    }
    let more = report.items.len().saturating_sub(SHOWN);
    if more > 0 {
        let more = thousands(u64::try_from(more).unwrap_or(u64::MAX));
        text.push_str(&layout.paragraph("", &format!("{more} more: --json")));
    }
    text.push('\n');
    text
}

/// Returns the columns before an indicator. A SHA-256 after them ends at column 80.
fn cells(indicator_type: &str, severity: &str) -> String {
    format!("{indicator_type:<6} {severity:<8} ")
}

fn item_text(item: &DryRunItem, layout: Layout) -> String {
    // Only valid submissions are collected.
    let Ok(submission) = serde_json::from_str::<Submission<'_>>(item.json.get()) else {
        return String::new();
    };
    let severity = item.severity.map_or_else(|| "-".to_owned(), |number| number.to_string());
    let cells = cells(&sanitize(submission.indicator_type()), &severity);
    let mut text = layout.row(&cells, INDENT.len(), submission.value());
    let description = sanitize(submission.description());
    if !description.is_empty() {
        // One line of a terminal: it can have thousands of characters.
        let columns =
            layout.columns().map_or(usize::MAX, |columns| columns.saturating_sub(INDENT.len()));
        text.push_str(&layout.paragraph(INDENT, &truncate(&description, columns)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::layout::display_width;

    fn item(value: &str, severity: Option<u8>, name: &str) -> DryRunItem {
        let json = serde_json::json!({
            "timestamp": "2026-11-21T00:15:00.000Z",
            "ioc": {"type": "hash", "value": value, "source_type": "a:b", "field": "c"},
            "detection": {"type": "correlation", "id": "1", "name": name},
            "incident": {"id": "1", "type": "a-b"},
        });
        DryRunItem { severity, json: RawValue::from_string(json.to_string()).unwrap() }
    }

    #[test]
    fn each_item_is_a_row_with_its_description_below() {
        let name = "a rule with a long name that nobody reads to its end";
        let items = [item(&"a".repeat(64), Some(90), name), item("b", None, "\u{1b}[2J検出")];
        let text = |layout| items.iter().map(|item| item_text(item, layout)).collect::<String>();
        let hash = "a".repeat(64);
        let expected = format!(
            "hash   90       {hash}\n    {name}\nhash   -        b\n    \\u{{1b}}[2J検出\n"
        );
        assert_eq!(text(Layout::with_columns(80)), expected);
        assert_eq!(text(Layout::PLAIN), expected);
        for columns in 24..=200 {
            let text = text(Layout::with_columns(columns));
            assert!(text.lines().all(|row| display_width(row) <= columns), "{columns}: {text}");
            assert_eq!(text.matches("to its end").count(), usize::from(columns >= 56), "{text}");
        }
    }
}
