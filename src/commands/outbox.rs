//! `outbox`: what has not been delivered, and what a person does with it.

use std::io::{BufRead as _, IsTerminal as _};
use std::process::ExitCode;

use chrono::SecondsFormat;
use serde_json::json;

use super::{conclude, no_ledger_message, view};
use crate::cli::{EntryFilterArgs, OutboxAction, OutboxArgs};
use crate::clock::Clock;
use crate::failure::{Failure, FailureKind};
use crate::ledger::{Filter, Held, Ledger, State};
use crate::redact;
use crate::report::{self, line};

/// Lists, retries, exports or drops what has not been delivered.
#[must_use]
pub fn outbox(args: &OutboxArgs, clock: Clock) -> ExitCode {
    conclude(match &args.action {
        OutboxAction::List { which, json } => list(which, *json),
        OutboxAction::Retry { which } => retry(which, clock),
        OutboxAction::Export { which } => export(which),
        OutboxAction::Drop { which, yes } => drop(which, *yes, clock),
    })
}

fn filter(which: &EntryFilterArgs) -> Filter {
    Filter { state: which.quarantined.then_some(State::Quarantined), ..Filter::default() }
}

fn held(which: &EntryFilterArgs) -> Result<Vec<Held>, Failure> {
    match view(&which.ledger.ledger)? {
        Some(view) => Ok(view.list(&filter(which))?),
        None => Ok(Vec::new()),
    }
}

fn list(which: &EntryFilterArgs, json: bool) -> Result<String, Failure> {
    let held = held(which)?;
    if json {
        let entries: Vec<_> = held.iter().map(as_json).collect();
        return Ok(format!("{}\n", json!({"schema_version": 1, "entries": entries})));
    }
    if held.is_empty() {
        return Ok(format!(
            "nothing {}\n",
            if which.quarantined { "is in quarantine" } else { "waits or is in quarantine" }
        ));
    }
    Ok(held.iter().map(as_text).collect())
}

fn as_text(held: &Held) -> String {
    let stored = held.stored_at.to_rfc3339_opts(SecondsFormat::Secs, true);
    let refused = match (&held.words, held.status) {
        (Some(words), Some(status)) => format!("\n      refused with {status}: {}", line(words)),
        _ => String::new(),
    };
    let (id, source, state) = (held.id, &held.source, held.state.as_str());
    format!(
        "{id}  {state}  {source}  since {stored}  {} {}{refused}\n",
        held.kind.as_str(),
        line(&held.value)
    )
}

fn as_json(held: &Held) -> serde_json::Value {
    json!({
        "id": held.id.to_string(),
        "source": held.source,
        "organizations": held.organizations,
        "run": held.run,
        "type": held.kind.as_str(),
        "value": held.value,
        "severity": held.severity,
        "stored_at": held.stored_at.to_rfc3339_opts(SecondsFormat::Millis, true),
        "tries": held.tries,
        "state": held.state.as_str(),
        "status": held.status,
        "words": held.words.as_deref().map(line),
        "refused_at": held.refused_at.map(|time| time.to_rfc3339_opts(SecondsFormat::Millis, true)),
    })
}

fn export(which: &EntryFilterArgs) -> Result<String, Failure> {
    let items = match view(&which.ledger.ledger)? {
        Some(view) => view.export(&filter(which))?,
        None => Vec::new(),
    };
    let items: Vec<String> = items.iter().map(|item| redact::safe_json(item)).collect();
    Ok(format!("[{}]\n", items.join(",\n")))
}

fn retry(which: &EntryFilterArgs, clock: Clock) -> Result<String, Failure> {
    let path = &which.ledger.ledger;
    let Some(ledger) = Ledger::open_existing(path, clock.now())? else {
        return Ok(no_ledger_message(path));
    };
    let count = ledger.retry_quarantined(&filter(which))?;
    Ok(format!("{count} submissions left quarantine; the next run sends what waits\n"))
}

fn drop(which: &EntryFilterArgs, yes: bool, clock: Clock) -> Result<String, Failure> {
    let path = &which.ledger.ledger;
    // A ledger of an earlier version is brought up to this one, or nothing could be looked at before a run. It is let go
    // again at once: a person takes time to answer, and a run may come.
    Ledger::open_existing(path, clock.now())?;
    let count = held(which)?.len();
    if count == 0 {
        return Ok("there is nothing to drop\n".into());
    }
    if !yes && !confirmed(count)? {
        return Ok("nothing was dropped\n".into());
    }
    let dropped = Ledger::open(path, clock.now())?.drop_entries(&filter(which), clock.now())?;
    Ok(format!(
        "{dropped} submissions were dropped and will not be sent; a new detection of the same indicator will\n"
    ))
}

fn confirmed(count: usize) -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::new(
            FailureKind::Configuration,
            format!("{count} submissions would be dropped, and there is nobody to ask"),
            "Add --yes to drop them without a question, or look first with `collective-insights outbox list`.",
        ));
    }
    report::out(&format!("Drop {count} submissions for good? They will never be sent. [y/N] "));
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).map_err(|error| {
        Failure::new(
            FailureKind::Unexpected,
            format!("the answer cannot be read: {error}"),
            "Add --yes to drop without a question.",
        )
    })?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}
