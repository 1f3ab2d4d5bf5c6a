//! JSON documents, schema version 1: the parts that several commands have, and a run's report.

use serde::Serialize;
use serde_json::{Value, json};

use super::{Counts, DryRunItem, Report, TenantsReport, timestamp};
use crate::failure::Failure;
use crate::redact::{self, sanitize};
use crate::settings::Mode;
use crate::window::Window;

#[derive(Serialize)]
struct Document<'a> {
    schema_version: u8,
    tool_version: &'static str,
    run_id: &'a str,
    tenant: &'a str,
    source: &'static str,
    window: Option<Value>,
    mode: &'static str,
    counts: &'a Counts,
    exit_code: u8,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    items: Option<&'a [DryRunItem]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Error>,
}

#[derive(Serialize)]
struct TenantsDocument<'a> {
    schema_version: u8,
    tool_version: &'static str,
    tenants: Vec<Document<'a>>,
    exit_code: u8,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
}

#[derive(Serialize)]
struct Error {
    kind: &'static str,
    message: String,
    hint: String,
}

impl<'a> Document<'a> {
    fn new(report: &'a Report) -> Self {
        Self {
            schema_version: 1,
            tool_version: env!("CARGO_PKG_VERSION"),
            run_id: &report.run_id,
            tenant: report.tenant.as_str(),
            source: report.labels.name,
            window: report.window.map(window),
            mode: report.mode.name(),
            counts: &report.counts,
            exit_code: report.exit_code(),
            notes: lines([&report.notes, &report.warnings]),
            items: (report.mode == Mode::DryRun).then_some(&report.items),
            error: report.failures().first().map(Error::new),
        }
    }
}

impl Error {
    fn new(failure: &Failure) -> Self {
        Self {
            kind: failure.kind.name(),
            message: sanitize(&failure.to_string()),
            hint: sanitize(&failure.help),
        }
    }
}

/// Returns a document on one line: in its texts, secrets are masked and control characters are
/// visible.
pub(crate) fn document(document: Value) -> String {
    format!("{}\n", sanitized(document))
}

/// Returns the same value with sanitized texts.
pub(crate) fn sanitized(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(sanitize(&text)),
        Value::Array(values) => values.into_iter().map(sanitized).collect(),
        Value::Object(fields) => {
            fields.into_iter().map(|(key, value)| (key, sanitized(value))).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value,
    }
}

/// Returns a span of time as documents have it.
pub(crate) fn window(window: Window) -> Value {
    json!({"start": timestamp(window.start), "end": timestamp(window.end)})
}

/// Returns the document of a command that failed, on one line.
pub(super) fn error_document(failure: &Failure) -> String {
    document(json!({
        "schema_version": 1,
        "tool_version": env!("CARGO_PKG_VERSION"),
        "exit_code": failure.kind.exit_code(),
        "error": Error::new(failure),
    }))
}

/// Returns the document of a run, on one line.
pub(super) fn run_document(report: &Report) -> String {
    run_text(&Document::new(report))
}

/// Returns the document of several tenants' runs, on one line.
pub(super) fn tenants_document(report: &TenantsReport) -> String {
    run_text(&TenantsDocument {
        schema_version: 1,
        tool_version: env!("CARGO_PKG_VERSION"),
        tenants: report.reports.iter().map(Document::new).collect(),
        exit_code: report.exit_code(),
        notes: lines([&report.notes, &report.warnings]),
    })
}

fn lines<const N: usize>(texts: [&[String]; N]) -> Vec<String> {
    texts.into_iter().flatten().map(|text| sanitize(text)).collect()
}

/// Returns a document on one line. Its items are what would be sent, but with secrets masked.
fn run_text(document: &impl Serialize) -> String {
    // Strings, numbers and valid raw JSON cannot fail to serialize.
    serde_json::to_string(document).map_or_else(
        |error| format!("{{\"error\":\"{error}\"}}\n"),
        |text| redact::sanitize_json(&text) + "\n",
    )
}
