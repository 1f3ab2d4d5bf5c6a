//! `outbox`: lists, retries, exports or drops undelivered indicators.

use std::io::{BufRead as _, IsTerminal as _};
use std::process::ExitCode;

use chrono::SecondsFormat;
use serde_json::json;

use super::{counted, no_ledger_message, print_result};
use crate::cli::{EntryFilterArgs, OutboxAction, OutboxArgs};
use crate::clock::Clock;
use crate::failure::{Failure, FailureKind};
use crate::ledger::{EntryFilter, EntryState, Ledger, LedgerReader, OutboxEntry};
use crate::redact;
use crate::report::{self, line};

/// Lists, retries, exports or drops undelivered indicators.
#[must_use]
pub(crate) fn outbox(args: &OutboxArgs, clock: Clock) -> ExitCode {
    print_result(match &args.action {
        OutboxAction::List { which, json } => list(which, *json),
        OutboxAction::Retry { which } => retry(which, clock),
        OutboxAction::Export { which } => export(which),
        OutboxAction::Drop { which, yes } => drop(which, *yes, clock),
    })
}

fn filter(which: &EntryFilterArgs) -> EntryFilter {
    let state = which.quarantined.then_some(EntryState::Quarantined);
    EntryFilter { state, ..EntryFilter::default() }
}

fn entries(which: &EntryFilterArgs) -> Result<Vec<OutboxEntry>, Failure> {
    match LedgerReader::open(&which.ledger.ledger)? {
        Some(ledger) => Ok(ledger.list(&filter(which))?),
        None => Ok(Vec::new()),
    }
}

fn list(which: &EntryFilterArgs, json: bool) -> Result<String, Failure> {
    let entries = entries(which)?;
    if json {
        let entries: Vec<_> = entries.iter().map(as_json).collect();
        return Ok(format!("{}\n", json!({"schema_version": 1, "entries": entries})));
    }
    if entries.is_empty() {
        return Ok(format!(
            "nothing {}\n",
            if which.quarantined { "is in quarantine" } else { "is queued or in quarantine" }
        ));
    }
    Ok(entries.iter().map(as_text).collect())
}

fn as_text(entry: &OutboxEntry) -> String {
    let stored = entry.stored_at.to_rfc3339_opts(SecondsFormat::Secs, true);
    let rejected = match (&entry.message, entry.status) {
        (Some(message), Some(status)) => {
            format!("\n      rejected with {status}: {}", line(message))
        }
        _ => String::new(),
    };
    let (id, source, state) = (entry.id, &entry.source, state_text(entry.state));
    format!(
        "{id}  {state}  {source}  since {stored}  {} {}{rejected}\n",
        entry.indicator_type.as_str(),
        line(&entry.value)
    )
}

fn state_text(state: EntryState) -> &'static str {
    match state {
        EntryState::Queued => "queued",
        EntryState::Quarantined => "quarantined",
    }
}

fn as_json(entry: &OutboxEntry) -> serde_json::Value {
    json!({
        "id": entry.id.to_string(),
        "source": entry.source,
        "organizations": entry.organizations,
        "run": entry.run,
        "type": entry.indicator_type.as_str(),
        "value": entry.value,
        "severity": entry.severity,
        "stored_at": entry.stored_at.to_rfc3339_opts(SecondsFormat::Millis, true),
        "tries": entry.attempts,
        "state": entry.state.as_str(),
        "status": entry.status,
        "words": entry.message.as_deref().map(line),
        "refused_at": entry.rejected_at.map(|time| time.to_rfc3339_opts(SecondsFormat::Millis, true)),
    })
}

fn export(which: &EntryFilterArgs) -> Result<String, Failure> {
    let items = match LedgerReader::open(&which.ledger.ledger)? {
        Some(ledger) => ledger.export(&filter(which))?,
        None => Vec::new(),
    };
    let items: Vec<String> = items.iter().map(|item| redact::sanitize_json(item)).collect();
    Ok(format!("[{}]\n", items.join(",\n")))
}

fn retry(which: &EntryFilterArgs, clock: Clock) -> Result<String, Failure> {
    let path = &which.ledger.ledger;
    let Some(ledger) = Ledger::open_existing(path, clock.now())? else {
        return Ok(no_ledger_message(path));
    };
    let count = ledger.retry_quarantined(&filter(which))?;
    Ok(format!(
        "{} queued again; the next run sends what is queued\n",
        counted(count, "indicator is", "indicators are")
    ))
}

fn drop(which: &EntryFilterArgs, yes: bool, clock: Clock) -> Result<String, Failure> {
    let path = &which.ledger.ledger;
    let count = u64::try_from(entries(which)?.len()).unwrap_or(u64::MAX);
    if count == 0 {
        return Ok("there is nothing to drop\n".into());
    }
    if !yes && !confirmed(count)? {
        return Ok("nothing was dropped\n".into());
    }
    // Opened only now: a person takes time to answer, and a run may start meanwhile.
    let dropped = Ledger::open(path, clock.now())?.drop_entries(&filter(which), clock.now())?;
    Ok(format!(
        "{} dropped: never sent, unless a new detection names them\n",
        counted(dropped, "indicator", "indicators")
    ))
}

fn confirmed(count: u64) -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::new(
            FailureKind::Configuration,
            format!(
                "refusing to drop {} without --yes: stdin is not a terminal",
                counted(count, "indicator", "indicators")
            ),
            "Add --yes to drop them without confirmation, or list them first with `collective-insights outbox list`.",
        ));
    }
    report::out(&format!(
        "Drop {}, never to be sent? [y/N] ",
        counted(count, "indicator", "indicators")
    ));
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).map_err(|error| {
        Failure::new(
            FailureKind::Unexpected,
            format!("the confirmation cannot be read: {error}"),
            "Add --yes to drop without confirmation.",
        )
    })?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}
