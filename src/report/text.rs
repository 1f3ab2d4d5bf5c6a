//! A run's report as text: where every alert and indicator went.
//!
//! Each group of rows is a sum: its first row, what is subtracted and, for the indicators, what
//! earlier runs queued. The first mentions row says how many alerts remain; the mentions that
//! remain are the first row of the indicators. The numbers are those of the JSON document, or
//! differences of them, except that `already_delivered` is two rows (mentions, and what a search
//! found); rows between a first and a last one that are zero are not shown.

use chrono::{DateTime, TimeDelta, Utc};

use super::layout::{Layout, thousands};
use super::{Report, counted};
use crate::failure::Failure;
use crate::settings::Mode;
use crate::window::Window;

/// The narrowest terminal on which the name of a group is in its first row.
const MIN_COLUMNS: usize = 50;

/// Longer windows are shown with their start.
const MAX_HOURS: i64 = 72;
const HALF_A_MINUTE: TimeDelta = TimeDelta::seconds(30);

/// One row: a number, and what it counts.
struct Row {
    /// The name of the group, in its first row.
    group: &'static str,
    number: String,
    text: String,
    style: Style,
}

#[derive(Clone, Copy)]
enum Style {
    Plain,
    /// The result of the run.
    Result,
    /// A number that a later run has to deal with.
    Attention,
    /// A number that a person has to look at.
    Failed,
}

/// Returns the summary: a title, the rows, and the notes.
pub(super) fn summary(report: &Report, layout: Layout) -> String {
    let tenant = format!("tenant {}", report.tenant);
    let parts: Vec<String> =
        [tenant].into_iter().chain(report.window.map(describe_window)).collect();
    let mut text = layout.title(report.labels.title, &format!(" · {}", parts.join(" · ")));
    let mut rows = alert_rows(report);
    rows.extend(mention_rows(report));
    rows.extend(indicator_rows(report));
    text.push_str(&lines(&rows, layout));
    for note in &report.notes {
        text.push_str(&layout.paragraph(&format!("  {} ", layout.styler.bold("note:")), note));
    }
    text
}

/// Returns the rows with their numbers in one column. On a narrow terminal, the name of a group is
/// above its rows.
fn lines(rows: &[Row], layout: Layout) -> String {
    let is_narrow = layout.columns().is_some_and(|columns| columns < MIN_COLUMNS);
    let groups = rows.iter().map(|row| row.group.len()).max().unwrap_or_default();
    let numbers = rows.iter().map(|row| row.number.len()).max().unwrap_or_default();
    let mut text = String::new();
    for row in rows {
        let number = format!("{:>numbers$}", row.number);
        let number = match row.style {
            Style::Plain => number,
            Style::Result => layout.styler.green(&number),
            Style::Attention => layout.styler.yellow(&number),
            Style::Failed => layout.styler.red(&number),
        };
        if is_narrow {
            if !row.group.is_empty() {
                text.push_str(&layout.paragraph("  ", row.group));
            }
            text.push_str(&layout.hanging(&format!("    {number}  "), numbers + 6, &row.text));
        } else {
            let label = format!("  {:<groups$}  {number}  ", row.group);
            text.push_str(&layout.hanging(&label, groups + numbers + 6, &row.text));
        }
    }
    text
}

/// Returns the rows of a group: its first one has the group's name.
fn group(name: &'static str, rows: impl IntoIterator<Item = Row>) -> Vec<Row> {
    let mut rows: Vec<Row> = rows.into_iter().collect();
    if let Some(first) = rows.first_mut() {
        first.group = name;
    }
    rows
}

fn row(number: u64, text: impl Into<String>, style: Style) -> Row {
    Row { group: "", number: thousands(number), text: text.into(), style }
}

/// Returns a row for each of these that is not zero, with this sign.
fn signed<'a>(
    sign: char,
    counts: impl IntoIterator<Item = (u64, &'a str, Style)>,
) -> impl Iterator<Item = Row> {
    counts.into_iter().filter(|(count, ..)| *count > 0).map(move |(count, text, style)| Row {
        number: format!("{sign}{}", thousands(count)),
        ..row(count, text, style)
    })
}

/// Returns what happened to the alerts. A run that failed before it read one has no rows.
fn alert_rows(report: &Report) -> Vec<Row> {
    let tally = &report.counts.tally;
    if tally.alerts_fetched == 0 && !report.failures().is_empty() {
        return Vec::new();
    }
    let subtracted = [
        (tally.alerts_below_threshold, "below the threshold", Style::Plain),
        (tally.alerts_dismissed, "dismissed by an analyst", Style::Plain),
        (tally.alerts_unreadable, "unreadable", Style::Failed),
        (tally.alerts_without_indicator, "without an indicator", Style::Plain),
    ];
    let fetched = row(tally.alerts_fetched, "fetched", Style::Plain);
    group("alerts", [fetched].into_iter().chain(signed('-', subtracted)))
}

/// Returns what happened to the mentions of indicators in the alerts that were not left out.
fn mention_rows(report: &Report) -> Vec<Row> {
    let counts = &report.counts;
    let tally = &counts.tally;
    if tally.indicators_found == 0 {
        return Vec::new();
    }
    let with_indicator = tally.alerts_with_indicator();
    let found = if with_indicator < tally.alerts_fetched {
        format!("found in the other {}", thousands(with_indicator))
    } else {
        "found in them".to_owned()
    };
    let subtracted = [
        (tally.indicators_repeated, "repeated (each is sent once)", Style::Plain),
        (counts.delivered_before(), "already delivered", Style::Plain),
        (tally.indicators_unsupported, "of an unsupported type", Style::Plain),
        (tally.indicators_invalid, "invalid", Style::Plain),
        (tally.indicators_private, "internal address or host name", Style::Plain),
        (tally.indicators_trusted, "trusted file", Style::Plain),
        (tally.indicators_excluded, "excluded", Style::Plain),
    ];
    let found = row(tally.indicators_found, found, Style::Plain);
    group("mentions", [found].into_iter().chain(signed('-', subtracted)))
}

/// Returns what happened to the unique indicators.
fn indicator_rows(report: &Report) -> Vec<Row> {
    let counts = &report.counts;
    let carried_in = signed('+', [(counts.carried_in, "queued by earlier runs", Style::Plain)]);
    let subtracted = [
        (counts.confirmed_by_search, "found in Recorded Future", Style::Plain),
        (counts.waiting, "queued for the next run", Style::Attention),
        (counts.quarantined, "in quarantine", Style::Failed),
        (counts.not_stored, "neither sent nor stored", Style::Failed),
    ];
    let mut rows: Vec<Row> = carried_in.chain(signed('-', subtracted)).collect();
    // If no alert was read, "0 new" is not a result.
    if !rows.is_empty() && counts.tally.alerts_fetched > 0 {
        rows.insert(0, row(counts.new_indicators(), "new", Style::Plain));
    }
    // A run that failed before it sent anything has no "0 sent".
    let sent_or_to_be = counts.submitted + counts.would_submit;
    if sent_or_to_be > 0 || report.failures().is_empty() {
        let style = if sent_or_to_be > 0 { Style::Result } else { Style::Plain };
        rows.push(row(sent_or_to_be, sent(report), style));
    }
    group("indicators", rows)
}

fn sent(report: &Report) -> String {
    let counts = &report.counts;
    let not = |what: &str| match counts.unprocessed {
        0 => String::new(),
        count => format!(", {} not {what}", thousands(count)),
    };
    let processed = thousands(counts.processed);
    match report.mode {
        Mode::DryRun => "to be sent; nothing was sent or stored".to_owned(),
        Mode::Debug => format!(
            "sent, {processed} validated by Recorded Future{}; NOTHING WAS STORED",
            not("validated")
        ),
        Mode::Live if counts.submitted == 0 => "sent".to_owned(),
        Mode::Live => {
            format!("sent, {processed} processed by Recorded Future{}", not("processed"))
        }
    }
}

/// Returns the window: its length and its end if it is 1 to 72 whole hours (to the minute), or else
/// its start and its end.
fn describe_window(window: Window) -> String {
    let minute = |time: DateTime<Utc>| time.format("%Y-%m-%d %H:%M").to_string();
    let length = window.end - window.start;
    let hours = (length + HALF_A_MINUTE).num_hours();
    if (length - TimeDelta::hours(hours)).abs() <= HALF_A_MINUTE && (1..=MAX_HOURS).contains(&hours)
    {
        format!("{hours} h to {} UTC", minute(window.end))
    } else {
        format!("{} to {} UTC", minute(window.start), minute(window.end))
    }
}

/// Returns the line of a run that a person ended.
pub(super) fn interrupted(report: &Report) -> String {
    match report.counts.waiting {
        _ if report.window.is_none() => {
            "Interrupted before the run started; run again to start it.".to_owned()
        }
        _ if !report.is_queue_kept => "Interrupted. Run again to start over.".to_owned(),
        // The ledger could not be read.
        0 if report.counts.not_stored > 0 => "Interrupted. Run again to continue.".to_owned(),
        0 => "Interrupted. Nothing is queued; run again to continue.".to_owned(),
        queued => format!(
            "Interrupted. {} queued; run again to continue.",
            counted(queued, "indicator is", "indicators are")
        ),
    }
}

/// Returns a failure as lines: `error:`, its list, `cause:` if there is one, and `help:`.
pub(super) fn failure(failure: &Failure, layout: Layout) -> String {
    failure_block(failure, &format!("{} ", layout.styler.error("error:")), "", "", layout)
}

/// Returns a failure as a block of lines: the first one has a label and what the failure is about,
/// and the others begin with `margin`.
pub(crate) fn failure_block(
    failure: &Failure,
    label: &str,
    about: &str,
    margin: &str,
    layout: Layout,
) -> String {
    let styler = layout.styler;
    let message = format!("{about}{}", failure.message);
    let mut text = match failure.list.as_slice() {
        [] => layout.paragraph(label, &message),
        [one] => layout.paragraph(label, &format!("{message}: {one}")),
        several => {
            let mut text = layout.paragraph(label, &format!("{message}:"));
            for item in several {
                text.push_str(&layout.hanging(&format!("{margin}    "), margin.len() + 4, item));
            }
            text
        }
    };
    if let Some(cause) = failure.cause() {
        text.push_str(&layout.paragraph(&format!("{margin}  {} ", styler.bold("cause:")), &cause));
    }
    text + &layout.paragraph(&format!("{margin}  {} ", styler.bold("help:")), &failure.help)
}

/// Returns a warning as lines.
pub(super) fn warning(text: &str, layout: Layout) -> String {
    layout.paragraph(&format!("{} ", layout.styler.warning("warning:")), text)
}

#[cfg(test)]
mod tests;
