//! Prints the findings of a check.

use std::fmt::Write as _;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::{Check, Finding, Section};
use crate::failure::Failure;
use crate::report::{self, Layout, failure_block, line};
use crate::settings::EffectiveOption;

/// Prints the findings. Returns the exit code of the most urgent failure.
///
/// # Errors
/// When they cannot be printed.
pub(super) fn findings(sections: &[Section], json: bool) -> Result<ExitCode, Failure> {
    let failures: Vec<&Failure> = sections
        .iter()
        .flat_map(|section| &section.findings)
        .filter_map(|finding| finding.result.as_ref().err())
        .collect();
    let code = failures
        .iter()
        .min_by_key(|failure| failure.kind.urgency())
        .map_or(0, |failure| failure.kind.exit_code());
    if json {
        let checks: Vec<Value> = sections
            .iter()
            .flat_map(|section| {
                section.findings.iter().map(|finding| as_json(section.title, finding))
            })
            .collect();
        let document = json!({"schema_version": 1, "checks": checks, "exit_code": code});
        report::out(&format!("{document}\n"))?;
    } else if failures.iter().any(|failure| report::is_interrupt(failure)) {
        report::err("Interrupted.\n");
    } else {
        let layout = Layout::stdout();
        let mut text: String = sections.iter().map(|section| as_text(section, layout)).collect();
        // Writing to a String cannot fail.
        let _ = match failures.len() {
            0 => writeln!(text, "All checks passed."),
            1 => writeln!(text, "1 check failed."),
            count => writeln!(text, "{count} checks failed."),
        };
        report::out(&text)?;
    }
    Ok(ExitCode::from(code))
}

fn as_text(section: &Section, layout: Layout) -> String {
    let styler = layout.styler;
    let mut text = format!("{}\n", styler.bold(section.title));
    for finding in &section.findings {
        let check = finding.check.name();
        text.push_str(&match &finding.result {
            Ok(message) => {
                let mark = match finding.check {
                    Check::NotConfigured => "-".to_owned(),
                    _ => styler.green("✓"),
                };
                layout.paragraph(&format!("  {mark} "), &format!("{check}: {message}"))
            }
            Err(failure) => {
                let label = format!("  {} ", styler.red("✗"));
                failure_block(failure, &label, &format!("{check}: "), "    ", layout)
            }
        });
    }
    text
}

fn as_json(title: &str, finding: &Finding) -> Value {
    let check = finding.check.name();
    match &finding.result {
        Ok(message) => {
            json!({"about": title, "check": check, "ok": true, "message": line(message)})
        }
        Err(failure) => json!({
            "about": title,
            "check": check,
            "ok": false,
            "message": line(&failure.to_string()),
            "hint": line(&failure.help),
            "kind": failure.kind.name(),
        }),
    }
}

/// Prints every option with its value and where the value came from.
///
/// # Errors
/// When they cannot be printed.
pub(super) fn config(title: &str, options: &[EffectiveOption], json: bool) -> Result<(), Failure> {
    if json {
        let settings: Vec<Value> = options
            .iter()
            .map(|option| {
                json!({
                    "setting": option.flag,
                    "value": line(&option.value),
                    "origin": option.origin.to_string(),
                })
            })
            .collect();
        let document = json!({"schema_version": 1, "about": title, "settings": settings});
        return report::out(&format!("{document}\n"));
    }
    let width = options.iter().map(|option| option.flag.len()).max().unwrap_or_default();
    let layout = Layout::stdout();
    let mut text = format!("{}\n", layout.styler.bold(title));
    for option in options {
        let label = format!("  {:<width$}  ", option.flag);
        let value = match option.value.as_str() {
            "" => format!("[{}]", option.origin),
            value => format!("{value}  [{}]", option.origin),
        };
        text.push_str(&layout.paragraph(&label, &value));
    }
    report::out(&text)
}
