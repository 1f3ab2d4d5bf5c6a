//! A run's report as a JSON document, schema version 1.

use serde::Serialize;

use super::{Counts, DryRunItem, Report, TenantsReport, line, timestamp};
use crate::failure::Failure;
use crate::redact;
use crate::settings::Mode;

#[derive(Serialize)]
struct Document<'a> {
    schema_version: u8,
    tool_version: &'static str,
    run_id: &'a str,
    tenant: &'a str,
    source: &'static str,
    window: Option<Span>,
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
struct Span {
    start: String,
    end: String,
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
            window: report
                .window
                .map(|window| Span { start: timestamp(window.start), end: timestamp(window.end) }),
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
            message: redact::sanitize(&failure.to_string()),
            hint: redact::sanitize(&failure.help),
        }
    }
}

/// Returns the document of a command line that is not understood, on one line.
pub(crate) fn error_document(failure: &Failure) -> String {
    let document = serde_json::json!({
        "schema_version": 1,
        "tool_version": env!("CARGO_PKG_VERSION"),
        "exit_code": failure.kind.exit_code(),
        "error": Error::new(failure),
    });
    redact::sanitize_json(&document.to_string()) + "\n"
}

/// Returns the document of a run, on one line.
pub(super) fn document(report: &Report) -> String {
    text(&Document::new(report))
}

/// Returns the document of several tenants' runs, on one line.
pub(super) fn tenants_document(report: &TenantsReport) -> String {
    text(&TenantsDocument {
        schema_version: 1,
        tool_version: env!("CARGO_PKG_VERSION"),
        tenants: report.reports.iter().map(Document::new).collect(),
        exit_code: report.exit_code(),
        notes: lines([&report.notes, &report.warnings]),
    })
}

fn lines<const N: usize>(texts: [&[String]; N]) -> Vec<String> {
    texts.into_iter().flatten().map(|text| line(text)).collect()
}

fn text(document: &impl Serialize) -> String {
    // Strings, numbers and valid raw JSON cannot fail to serialize.
    serde_json::to_string(document).map_or_else(
        |error| format!("{{\"error\":\"{error}\"}}\n"),
        |text| redact::sanitize_json(&text) + "\n",
    )
}
