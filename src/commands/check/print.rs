//! Prints the findings of a check.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::section::{Check, Finding, Section};
use crate::failure::{Failure, most_urgent_exit_code};
use crate::report::{self, Layout, failure_block};
use crate::settings::{EffectiveOption, TenantName};

/// Prints the findings. Returns the exit code of the most urgent failure, or success.
///
/// # Errors
/// When they cannot be printed.
pub(super) fn findings(sections: &[Section], json: bool) -> Result<ExitCode, Failure> {
    let failures: Vec<&Failure> = sections
        .iter()
        .flat_map(|section| &section.findings)
        .filter_map(|finding| finding.result.as_ref().err())
        .collect();
    let code = most_urgent_exit_code(failures.iter().copied());
    if json {
        let checks: Vec<Value> = sections
            .iter()
            .flat_map(|section| {
                section.findings.iter().map(|finding| as_json(section.title, finding))
            })
            .collect();
        let document = json!({"schema_version": 1, "checks": checks, "exit_code": code});
        report::write_stdout(&report::document(document))?;
    } else if failures.iter().any(|failure| report::is_interrupt(failure)) {
        report::write_stderr("Interrupted.\n");
    } else {
        let layout = Layout::stdout();
        let (tenants, shared): (Vec<&Section>, Vec<&Section>) =
            sections.iter().partition(|section| section.tenant.is_some());
        let shared: Vec<&Section> =
            shared.into_iter().filter(|section| !section.findings.is_empty()).collect();
        let mut text: String = shared.iter().map(|section| as_text(section, layout)).collect();
        text.push_str(&tenants_as_text(&tenants, &shared, layout));
        // Writing to a String cannot fail.
        let _ = match failures.len() {
            0 => writeln!(text, "All checks passed."),
            1 => writeln!(text, "1 check failed."),
            count => writeln!(text, "{count} checks failed."),
        };
        report::write_stdout(&text)?;
    }
    Ok(ExitCode::from(code))
}

fn as_text(section: &Section, layout: Layout) -> String {
    let mut text = format!("{}\n", layout.styler.bold(section.title));
    for finding in &section.findings {
        text.push_str(&match &finding.result {
            Ok(message) => passed(finding, "", message, layout),
            Err(failure) => {
                let tenants: Vec<&str> = finding.tenants.iter().map(TenantName::as_str).collect();
                failed(finding.check, &tenants, failure, layout)
            }
        });
    }
    text
}

/// Returns a line for each tenant that passed, and then each failure once, with the tenants that it
/// concerns. Failures in the `shared` sections are not repeated, but their tenants have not passed.
fn tenants_as_text(sections: &[&Section], shared: &[&Section], layout: Layout) -> String {
    if sections.is_empty() {
        return String::new();
    }
    let failed_together: BTreeSet<&TenantName> = shared
        .iter()
        .flat_map(|section| &section.findings)
        .filter(|finding| finding.result.is_err())
        .flat_map(|finding| &finding.tenants)
        .collect();
    let has_passed = |section: &&&Section| {
        let tenant = section.tenant.as_ref();
        section.is_ok() && !tenant.is_some_and(|tenant| failed_together.contains(tenant))
    };
    let mut text = String::new();
    let (mut passed_count, mut not_checked_count) = (0_usize, 0_usize);
    for section in sections.iter().filter(has_passed) {
        let is_not_checked = section.is_not_checked();
        not_checked_count += usize::from(is_not_checked);
        passed_count += usize::from(!is_not_checked);
        let name = section.tenant.as_ref().map_or("", TenantName::as_str);
        text.push_str(&match section.findings.last() {
            // The origin of each setting is too much for many tenants: `--show-config` prints it.
            Some(Finding { check: Check::Settings, .. }) | None => layout
                .paragraph(&mark(Check::Settings, layout), &format!("{name}: settings are valid")),
            Some(finding) => {
                let message = finding.result.as_deref().unwrap_or_default();
                passed(finding, &format!("{name}: "), message, layout)
            }
        });
    }
    let failures = sections.iter().flat_map(|section| {
        let name = section.tenant.as_ref().map_or("", TenantName::as_str);
        section.findings.iter().filter_map(move |finding| {
            Some(((finding.check, finding.result.as_ref().err()?), name))
        })
    });
    for ((check, failure), tenants) in report::tenants_by_value(failures) {
        text.push_str(&failed(check, &tenants, failure, layout));
    }
    let failed_count = sections.len() - passed_count - not_checked_count;
    let title = "Tenants";
    let about =
        format!(": {passed_count} passed, {failed_count} failed, {not_checked_count} left out");
    layout.title(title, &about) + &text
}

fn mark(check: Check, layout: Layout) -> String {
    match check {
        Check::NotConfigured | Check::NotChecked => "  - ".to_owned(),
        _ => format!("  {} ", layout.styler.green("✓")),
    }
}

fn passed(finding: &Finding, about: &str, message: &str, layout: Layout) -> String {
    let text = format!("{about}{}: {message}", finding.check.name());
    layout.paragraph(&mark(finding.check, layout), &text)
}

fn failed(check: Check, tenants: &[&str], failure: &Failure, layout: Layout) -> String {
    let label = format!("  {} ", layout.styler.red("✗"));
    let about = match tenants {
        [] => format!("{}: ", check.name()),
        tenants => format!("{}: {}: ", report::names(tenants), check.name()),
    };
    failure_block(failure, &label, &about, "    ", layout)
}

fn as_json(title: &str, finding: &Finding) -> Value {
    let check = finding.check.name();
    let tenants: Vec<&str> = finding.tenants.iter().map(TenantName::as_str).collect();
    match &finding.result {
        Ok(message) => json!({
            "about": title,
            "tenants": tenants,
            "check": check,
            "ok": true,
            "message": message,
        }),
        Err(failure) => json!({
            "about": title,
            "tenants": tenants,
            "check": check,
            "ok": false,
            "message": failure.to_string(),
            "hint": failure.help,
            "kind": failure.kind.name(),
        }),
    }
}

/// Prints every option with its value and where the value came from.
///
/// # Errors
/// When they cannot be printed.
pub(super) fn config(
    title: &str,
    tenant: Option<&TenantName>,
    options: &[EffectiveOption],
    json: bool,
) -> Result<(), Failure> {
    let tenant = tenant.map(TenantName::as_str);
    if json {
        let settings: Vec<Value> = options
            .iter()
            .map(|option| {
                json!({
                    "setting": option.flag,
                    "value": option.value,
                    "origin": option.origin.to_string(),
                })
            })
            .collect();
        let document = json!({
            "schema_version": 1,
            "about": title,
            "tenant": tenant,
            "settings": settings,
        });
        return report::write_stdout(&report::document(document));
    }
    let width = options.iter().map(|option| option.flag.len()).max().unwrap_or_default();
    let layout = Layout::stdout();
    let mut text = match tenant {
        Some(tenant) => layout.title(tenant, &format!(" ({title})")),
        None => format!("{}\n", layout.styler.bold(title)),
    };
    for option in options {
        let label = format!("  {:<width$}  ", option.flag);
        let value = match option.value.as_str() {
            "" => format!("[{}]", option.origin),
            value => format!("{value}  [{}]", option.origin),
        };
        text.push_str(&layout.paragraph(&label, &value));
    }
    report::write_stdout(&text)
}
