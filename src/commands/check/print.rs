//! How a check's findings are shown.

use std::fmt::Write as _;
use std::process::ExitCode;

use serde_json::json;

use super::{Finding, Section};
use crate::failure::Failure;
use crate::report::{self, Styler, line};
use crate::settings::EffectiveOption;

/// Prints the findings; the exit code is that of the most urgent failure.
pub(super) fn findings(sections: &[Section], json: bool, paint: Styler) -> ExitCode {
    let failures = || {
        sections
            .iter()
            .flat_map(|section| &section.findings)
            .filter_map(|found| found.result.as_ref().err())
    };
    let worst = failures().min_by_key(|failure| report::urgency(failure.kind));
    let code = worst.map_or(0, |failure| failure.kind.exit_code());
    if json {
        let checks: Vec<_> = sections
            .iter()
            .flat_map(|section| section.findings.iter().map(|found| as_json(section.title, found)))
            .collect();
        report::out(&format!(
            "{}\n",
            json!({"schema_version": 1, "checks": checks, "exit_code": code})
        ));
    } else {
        let as_text = |section| as_text(section, paint);
        report::out(&sections.iter().map(as_text).collect::<String>());
        report::out(&match failures().count() {
            0 => "All is in place.\n".to_owned(),
            1 => "1 thing is to be mended.\n".to_owned(),
            count => format!("{count} things are to be mended.\n"),
        });
    }
    ExitCode::from(code)
}

fn as_text(section: &Section, paint: Styler) -> String {
    let mut text = format!("{}\n", section.title);
    for Finding { check, result } in &section.findings {
        // Writing to a String cannot fail.
        let _ = match result {
            Ok(found) => writeln!(text, "  {} {check}: {}", paint.green("✓"), line(found)),
            Err(failure) => writeln!(
                text,
                "  {} {check}: {}\n      what to do: {}",
                paint.red("✗"),
                why(failure),
                line(&failure.hint)
            ),
        };
    }
    text
}

fn why(failure: &Failure) -> String {
    line(&failure.to_string())
}

fn as_json(title: &str, found: &Finding) -> serde_json::Value {
    match &found.result {
        Ok(text) => {
            json!({"about": title, "check": found.check, "ok": true, "message": line(text)})
        }
        Err(failure) => json!({
            "about": title,
            "check": found.check,
            "ok": false,
            "message": why(failure),
            "hint": line(&failure.hint),
            "kind": failure.kind.name(),
        }),
    }
}

/// Prints every setting with its value and where it came from.
pub(super) fn config(title: &str, settings: &[EffectiveOption], json: bool) {
    if json {
        let settings: Vec<_> = settings
            .iter()
            .map(|found| json!({"setting": found.flag, "value": line(&found.value), "origin": found.origin.to_string()}))
            .collect();
        report::out(&format!(
            "{}\n",
            json!({"schema_version": 1, "about": title, "settings": settings})
        ));
        return;
    }
    let widest = settings.iter().map(|found| found.flag.len()).max().unwrap_or_default();
    let mut text = format!("{title}\n");
    for found in settings {
        let _ = writeln!(
            text,
            "  {:<widest$}  {}  [{}]",
            found.flag,
            line(&found.value),
            line(&found.origin.to_string())
        );
    }
    report::out(&text);
}
