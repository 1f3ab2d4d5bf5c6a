//! `outbox`: lists, retries, exports or drops undelivered indicators, or repairs the ledger.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use chrono::SecondsFormat;
use serde_json::json;

use super::confirm::confirm;
use super::output_file::OutputFile;
use super::tenants::{SettingsFileTenants, tenant_filter};
use super::{no_ledger, open_ledger, open_reader};
use crate::cli::{EntryFilterArgs, OutboxAction};
use crate::clock::Clock;
use crate::failure::{Failure, FailureKind};
use crate::ledger::{EntryFilter, EntryState, Ledger, LedgerReader, OutboxEntry};
use crate::logging;
use crate::redact::{self, sanitize};
use crate::report::{self, Layout, Stdout, counted, timestamp};

/// How many entries are listed as text without `--limit`.
const TEXT_LIMIT: u32 = 50;

/// The indent of the further lines of an entry.
const INDENT: &str = "    ";

/// Lists, retries, exports or drops undelivered indicators, or repairs the ledger.
pub(crate) fn outbox(action: &OutboxAction, clock: Clock) -> Result<String, Failure> {
    match action {
        OutboxAction::List { filter, limit, json: true } => list_json(filter, limit.unwrap_or(0)),
        OutboxAction::List { filter, limit, json: false } => {
            list_text(filter, limit.unwrap_or(TEXT_LIMIT))
        }
        OutboxAction::Retry { filter } => retry(filter, clock),
        OutboxAction::Export { filter, output } => export(filter, output.as_deref()),
        OutboxAction::Repair { ledger } => repair(&ledger.path()?, clock),
        OutboxAction::Drop { filter, yes, all_tenants } => {
            drop_entries(filter, *yes, *all_tenants, clock)
        }
    }
}

/// Saves what can be read of a damaged ledger in a new one.
fn repair(path: &Path, clock: Clock) -> Result<String, Failure> {
    // A file is not opened here: `open` fails for an empty one, which can be repaired. Where there
    // is none, `open` fails if it finds an unfinished journal.
    if path.symlink_metadata().is_err() && LedgerReader::open(path)?.is_none() {
        return Err(no_ledger(path));
    }
    logging::warn_on_stderr();
    let Some(repaired) = Ledger::repair(path, clock.now())? else {
        return Ok("the ledger is not damaged\n".to_owned());
    };
    let mut text = format!(
        "saved {} in the outbox and {} that were delivered or dropped; the damaged file is now {}\n",
        counted(repaired.pending, "indicator", "indicators"),
        repaired.settled,
        sanitize(&repaired.damaged.display().to_string()),
    );
    for error in repaired.incomplete {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "rows may be missing in {}", sanitize(&error));
    }
    Ok(text)
}

/// Returns a filter for the entries that the arguments choose.
///
/// # Errors
/// When the ledger has no such tenant, and when it cannot be read.
fn entry_filter(ledger: &LedgerReader, args: &EntryFilterArgs) -> Result<EntryFilter, Failure> {
    let state = args.quarantined.then_some(EntryState::Quarantined);
    let tenants = tenant_filter(ledger, &args.tenants, SettingsFileTenants::default())?;
    Ok(EntryFilter { tenants, state, last: None })
}

/// The first entries that match a filter, and the number of all that match.
struct Selected {
    /// Matches the first entries only.
    first: EntryFilter,
    total: u64,
}

impl Selected {
    /// Selects at most `limit` entries (0 for no limit), those that were stored first. `None` if no
    /// entry matches.
    fn new(
        ledger: &LedgerReader,
        args: &EntryFilterArgs,
        limit: u32,
    ) -> Result<Option<Self>, Failure> {
        let filter = entry_filter(ledger, args)?;
        let Some((total, end)) = ledger.extent(&filter)? else {
            return Ok(None);
        };
        let last = match limit {
            0 => Some(end),
            limit => ledger.last_of_first(limit, &filter)?,
        };
        // None: another process delivered, dropped or requeued all of them meanwhile.
        Ok(last.map(|last| Self { first: EntryFilter { last: Some(last), ..filter }, total }))
    }
}

fn list_json(args: &EntryFilterArgs, limit: u32) -> Result<String, Failure> {
    let ledger = open_reader(&args.ledger.path()?)?;
    let selected = Selected::new(&ledger, args, limit)?;
    let mut stdout = Stdout::lock();
    stdout.write("{\"entries\":[")?;
    let mut separator = "";
    if let Some(selected) = &selected {
        ledger.for_each_entry(&selected.first, |entry| {
            stdout.write(&format!("{separator}{}", report::sanitized(as_json(&entry))))?;
            separator = ",";
            Ok::<_, Failure>(())
        })?;
    }
    let total = selected.map_or(0, |selected| selected.total);
    stdout.write(&format!("],\"total\":{total},\"schema_version\":1}}\n"))?;
    stdout.finish()?;
    Ok(String::new())
}

fn list_text(args: &EntryFilterArgs, limit: u32) -> Result<String, Failure> {
    let ledger = open_reader(&args.ledger.path()?)?;
    let Some(selected) = Selected::new(&ledger, args, limit)? else {
        let place = if args.quarantined { "in quarantine" } else { "queued or in quarantine" };
        return Ok(format!("nothing is {place}\n"));
    };
    let mut stdout = Stdout::lock();
    let layout = Layout::stdout();
    let heading = cells(&["id", "state", "tenant", "stored (UTC)", "type"]) + "indicator";
    stdout.write(&layout.lines(&(layout.styler.bold(&heading) + "\n")))?;
    let mut shown: u64 = 0;
    ledger.for_each_entry(&selected.first, |entry| {
        shown += 1;
        stdout.write(&as_text(&entry, layout))
    })?;
    stdout.finish()?;
    let total = counted(selected.total, "indicator", "indicators");
    let rest = match selected.total.saturating_sub(shown) {
        0 => String::new(),
        more => format!("; not shown: {} (--limit 0 shows all)", report::thousands(more)),
    };
    Ok(layout.paragraph("", &format!("{total}{rest}")))
}

/// Returns the first cells of a line of the list.
fn cells([id, state, tenant, stored, indicator_type]: &[&str; 5]) -> String {
    format!("{id:<7} {state:<11} {tenant:<11} {stored:<20} {indicator_type:<6} ")
}

fn as_text(entry: &OutboxEntry, layout: Layout) -> String {
    let cells = cells(&[
        &entry.id.to_string(),
        state_text(entry.state),
        &sanitize(&entry.tenant),
        &entry.stored_at.to_rfc3339_opts(SecondsFormat::Secs, true),
        &sanitize(&entry.indicator_type),
    ]);
    let mut text = layout.row(&cells, INDENT.len(), &entry.value);
    if let Some(message) = &entry.message {
        // The message of a rejection begins with the status.
        let label = if entry.status.is_some() { "rejected" } else { "not sent" };
        text.push_str(&layout.paragraph(&format!("{INDENT}{label}: "), message));
    }
    text
}

fn state_text(state: EntryState) -> &'static str {
    match state {
        EntryState::Queued => "queued",
        EntryState::Quarantined => "quarantined",
    }
}

fn as_json(entry: &OutboxEntry) -> serde_json::Value {
    // Schema version 1 has keys that differ from the names of the fields.
    json!({
        "id": entry.id.to_string(),
        "tenant": entry.tenant,
        "source": entry.source,
        "organizations": entry.organizations,
        "run": entry.run,
        "type": entry.indicator_type,
        "value": entry.value,
        "severity": entry.severity,
        "stored_at": timestamp(entry.stored_at),
        "tries": entry.attempts,
        "state": entry.state.as_str(),
        "status": entry.status,
        "words": entry.message,
        "refused_at": entry.rejected_at.map(timestamp),
    })
}

fn export(args: &EntryFilterArgs, file: Option<&Path>) -> Result<String, Failure> {
    let Some(path) = file else {
        let mut stdout = Stdout::lock();
        write_items(args, |text| stdout.write(text))?;
        stdout.finish()?;
        return Ok(String::new());
    };
    let mut output = OutputFile::create(path, "--output", &args.ledger.path()?)?;
    let count = write_items(args, |text| output.write(text))?;
    output.finish()?;
    Ok(format!(
        "{} written to {}\n",
        counted(count, "indicator", "indicators"),
        sanitize(&path.display().to_string())
    ))
}

/// Writes the selected items as a JSON array, one per line, and returns their number.
fn write_items(
    args: &EntryFilterArgs,
    mut write: impl FnMut(&str) -> Result<(), Failure>,
) -> Result<u64, Failure> {
    let ledger = open_reader(&args.ledger.path()?)?;
    let mut count = 0;
    write("[")?;
    let damaged = ledger.for_each_item(&entry_filter(&ledger, args)?, |item| {
        if count > 0 {
            write(",\n")?;
        }
        count += 1;
        write(&redact::sanitize_json(&item))
    })?;
    write("]\n")?;
    if damaged > 0 {
        report::warn(&format!(
            "{} damaged and not exported; after the next run, `collective-insights outbox list --quarantined` shows them",
            counted(damaged, "stored item is", "stored items are")
        ));
    }
    Ok(count)
}

fn retry(args: &EntryFilterArgs, clock: Clock) -> Result<String, Failure> {
    let ledger = open_ledger(&args.ledger.path()?, clock)?;
    let filter = entry_filter(ledger.reader(), args)?;
    Ok(match ledger.retry_quarantined(&filter, clock.now())? {
        0 => "no indicator is in quarantine\n".to_owned(),
        count => format!(
            "{} queued again for the next run\n",
            counted(count, "indicator is", "indicators are")
        ),
    })
}

fn drop_entries(
    args: &EntryFilterArgs,
    yes: bool,
    all_tenants: bool,
    clock: Clock,
) -> Result<String, Failure> {
    let path = args.ledger.path()?;
    let reader = open_reader(&path)?;
    let filter = entry_filter(&reader, args)?;
    let Some((count, last)) = reader.extent(&filter)? else {
        return Ok("there is nothing to drop\n".into());
    };
    let tenants = reader.count_by_tenant(&filter)?;
    drop(reader);
    if yes && tenants.len() > 1 && !all_tenants {
        return Err(several_tenants(&tenants));
    }
    if !yes && !confirmed(count, &tenants)? {
        return Ok("nothing was dropped\n".into());
    }
    // Opened after the confirmation, so that the ledger is not locked while waiting for it. Entries
    // after `last` were stored by a run meanwhile, and are not part of what was confirmed.
    let ledger = open_ledger(&path, clock)?;
    let dropped = ledger.drop_entries(&EntryFilter { last: Some(last), ..filter }, clock.now())?;
    Ok(format!(
        "{} dropped; a dropped indicator is sent only if a new alert names it\n",
        counted(dropped, "indicator", "indicators")
    ))
}

fn several_tenants(tenants: &BTreeMap<String, u64>) -> Failure {
    Failure::new(
        FailureKind::Configuration,
        format!(
            "these indicators belong to several tenants ({}); nothing was dropped",
            by_tenant(tenants)
        ),
        "Name one with --tenant <NAME>, or add --all-tenants to drop those of all.",
    )
}

fn by_tenant(tenants: &BTreeMap<String, u64>) -> String {
    let each: Vec<_> =
        tenants.iter().map(|(name, count)| format!("{}: {count}", sanitize(name))).collect();
    each.join(", ")
}

fn confirmed(count: u64, tenants: &BTreeMap<String, u64>) -> Result<bool, Failure> {
    let indicators = counted(count, "indicator", "indicators");
    confirm(
        &format!("Drop {indicators} without sending ({})?", by_tenant(tenants)),
        &format!("drop {indicators}"),
        "Add --yes to drop them without confirmation, or list them first with `collective-insights outbox list`.",
    )
}
