//! The result of the comparison as text and as JSON.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::Verified;
use super::compare::Numbers;
use crate::failure::{Failure, FailureKind, most_urgent_exit_code};
use crate::ledger::DeliveredEntry;
use crate::redact::sanitize;
use crate::report::{self, Layout, NumberRow, NumberTable, counted, names, thousands, timestamp};

/// How many missing indicators are listed as text.
const MAX_LISTED: usize = 20;

/// Prints the result and returns the exit code: that of the most urgent failure.
///
/// # Errors
/// When it cannot be printed.
pub(super) fn print(verified: &Verified, json: bool) -> Result<ExitCode, Failure> {
    let missing = missing(verified);
    let text = if json { as_json(verified, missing.as_ref()) } else { as_text(verified) };
    report::write_stdout(&text)?;
    for (tenants, failure) in &verified.failures {
        let tenants: Vec<&str> = tenants.iter().map(String::as_str).collect();
        report::print_failure_about(&tenants, failure);
    }
    if let Some(failure) = &missing {
        let _ = report::print_failure(failure);
    }
    Ok(exit_code(verified, missing.as_ref()).into())
}

fn exit_code(verified: &Verified, missing: Option<&Failure>) -> u8 {
    most_urgent_exit_code(verified.failures.iter().map(|(_, failure)| failure).chain(missing))
}

/// Returns the failure that reports missing indicators; `None` if none is missing.
fn missing(verified: &Verified) -> Option<Failure> {
    let missing = verified.comparison.total().missing;
    let help = match verified.requeued {
        None => "Run it again tomorrow; if they are still missing, `collective-insights verify --requeue-missing` queues them for the next run.".to_owned(),
        Some(requeued) => {
            let all = u64::try_from(verified.comparison.missing.len()).unwrap_or(u64::MAX);
            let others = match all.saturating_sub(requeued) {
                0 => String::new(),
                others => format!(
                    "{} not: the ledger no longer has all that is needed. ",
                    counted(others, "was", "were")
                ),
            };
            format!(
                "{} queued again: the next run sends them. {others}Tell Recorded Future's support if it happens again.",
                counted(requeued, "indicator was", "indicators were")
            )
        }
    };
    (missing > 0).then(|| {
        let message = format!(
            "{} delivered more than a day ago, but Recorded Future does not find {}",
            counted(missing, "indicator was", "indicators were"),
            if missing == 1 { "it" } else { "them" }
        );
        Failure::new(FailureKind::Partial, message, help)
    })
}

fn as_text(verified: &Verified) -> String {
    let layout = Layout::stdout();
    let total = verified.comparison.total();
    let since = verified.since.date_naive();
    if verified.tenants.is_empty() {
        return String::new();
    }
    if total == Numbers::default() {
        return notes(verified, layout)
            + &layout.paragraph("", &format!("nothing was delivered since {since} (UTC)"));
    }
    let tenants: Vec<&str> = verified.tenants.iter().map(String::as_str).collect();
    let mut text = layout.title(
        "Delivered and found",
        &format!(", since {since} (UTC), {}", sanitize(&names(&tenants))),
    );
    let days = verified.comparison.days.iter().map(|(day, numbers)| row(day.to_string(), *numbers));
    let types =
        verified.comparison.types.iter().map(|(name, numbers)| row(sanitize(name), *numbers));
    let table = NumberTable {
        name: "",
        headings: ["delivered", "found", "missing", "recent", "unknown"],
        red_unless_zero: "missing",
        rows: days.chain(types).chain([row("total".to_owned(), total)]).collect(),
    };
    text.push_str(&table.text(layout));
    text.push_str(&notes(verified, layout));
    let shown = &verified.comparison.shown;
    if !shown.is_empty() {
        text.push('\n');
        text.push_str(&layout.title("Missing", &more(shown.len(), &verified.comparison)));
        for entry in shown.iter().take(MAX_LISTED) {
            text.push_str(&listed(entry, layout));
        }
    }
    text
}

fn notes(verified: &Verified, layout: Layout) -> String {
    let mut notes = Vec::new();
    if verified.comparison.unreadable > 0 {
        let rows = counted(verified.comparison.unreadable, "row", "rows");
        notes.push(format!("{rows} of the search named no indicator and could not be compared"));
    }
    if !verified.left_out.is_empty() {
        let tenants: Vec<&str> = verified.left_out.iter().map(String::as_str).collect();
        let names = sanitize(&names(&tenants));
        notes.push(format!("not compared, because `run` leaves them out: {names}"));
    }
    notes.iter().map(|note| layout.paragraph("- ", note)).collect()
}

fn more(shown: usize, comparison: &super::Comparison) -> String {
    let total = comparison.total().missing;
    let listed = u64::try_from(shown.min(MAX_LISTED)).unwrap_or(u64::MAX);
    match total.saturating_sub(listed) {
        0 => String::new(),
        more => format!(", the first {listed}; not shown: {} (see --json)", thousands(more)),
    }
}

fn listed(entry: &DeliveredEntry, layout: Layout) -> String {
    let about = format!(
        "{}, delivered {}, {}",
        sanitize(&entry.tenant),
        entry.delivered_at.date_naive(),
        sanitize(&entry.indicator_type)
    );
    layout.paragraph("  ", &about) + &layout.paragraph("    ", &sanitize(&entry.value))
}

fn row(name: String, numbers: Numbers) -> NumberRow<5> {
    let Numbers { delivered, found, missing, recent, unknown } = numbers;
    NumberRow::new(name, [delivered, found, missing, recent, unknown])
}

fn as_json(verified: &Verified, missing: Option<&Failure>) -> String {
    let comparison = &verified.comparison;
    let days = comparison.days.iter();
    let days = days.map(|(day, numbers)| with_name("date", day.to_string(), *numbers));
    let types = comparison.types.iter();
    let types = types.map(|(name, numbers)| with_name("type", name.clone(), *numbers));
    let shown = comparison.shown.iter().map(|entry| {
        json!({
            "tenant": entry.tenant,
            "type": entry.indicator_type,
            "value": entry.value,
            "delivered": timestamp(entry.delivered_at),
            "detected": timestamp(entry.detected_at),
        })
    });
    let failed = verified.failures.iter().map(|(tenants, failure)| {
        json!({
            "tenants": tenants,
            "kind": failure.kind.name(),
            "message": failure.to_string(),
            "hint": failure.help,
        })
    });
    report::document(json!({
        "schema_version": 1,
        "since": verified.since.date_naive().to_string(),
        "tenants": verified.tenants,
        "total": comparison.total(),
        "days": days.collect::<Vec<Value>>(),
        "types": types.collect::<Vec<Value>>(),
        "unreadable": comparison.unreadable,
        "left_out": verified.left_out,
        "missing": shown.collect::<Vec<Value>>(),
        "requeued": verified.requeued,
        "failures": failed.collect::<Vec<Value>>(),
        "exit_code": exit_code(verified, missing),
    }))
}

/// Returns numbers with what they are about: a day or a type.
fn with_name(key: &str, name: String, numbers: Numbers) -> Value {
    let mut value = json!(numbers);
    if let Value::Object(fields) = &mut value {
        fields.insert(key.to_owned(), name.into());
    }
    value
}
