//! The text output of `explain`.

use std::collections::BTreeMap;

use super::excluded::TenantFile;
use super::{Answer, TenantAnswer};
use crate::commands::tenants::SettingsEntry;
use crate::commands::time_or_never;
use crate::indicator::{Indicator, RejectReason};
use crate::ledger::{Alerts, Fate, INDICATORS_KEPT, KnownEntry, LeftOutSample};
use crate::redact::sanitize;
use crate::report::{Layout, counted, names, shorten, thousands};
use crate::selection::{MAX_SAMPLES, excerpt};

/// How many alerts of an indicator are shown, and how many entries; the newest.
const SHOWN: usize = 10;
/// How many entries of an alert are shown, and how many samples of what was left out.
const SHOWN_OF_ALERT: usize = 50;
/// The indent of continuation lines, in columns.
const INDENT: usize = 4;

pub(super) fn text(answer: &Answer<'_>, layout: Layout) -> String {
    let mut text = title(answer, layout);
    for tenant in answer.tenants.iter().filter(|tenant| tenant.is_known()) {
        text.push('\n');
        text.push_str(&tenant_text(tenant, answer, layout));
    }
    if !answer.is_known() {
        text.push_str(&never_seen(answer, layout));
    }
    if answer.question.indicator.is_ok() {
        text.push('\n');
        text.push_str(&excluded(&answer.tenants, layout));
    }
    text
}

/// Returns the heading: what the question was taken for and, if that is never sent, why.
fn title(answer: &Answer<'_>, layout: Layout) -> String {
    let asked = answer.question.shown();
    let is_alert = answer.tenants.iter().any(|tenant| tenant.alert_created.is_some());
    let (name, label) = match &answer.question.indicator {
        Ok(indicator) => (excerpt(indicator.value()), indicator.kind().as_str()),
        Err(_) if is_alert => (asked, "alert"),
        Err(_) => (asked, ""),
    };
    let label = if label.is_empty() { String::new() } else { format!(" ({label})") };
    let known = if answer.is_known() { "" } else { ": never seen here" };
    let name =
        layout.columns().map_or(name.clone(), |columns| shorten(&name, columns).into_owned());
    let title = layout.title(&name, &format!("{label}{known}"));
    let never_sent = match answer.question.indicator {
        Err(RejectReason::Private) => {
            "internal names and addresses, and names without a dot, are never sent"
        }
        Err(RejectReason::Meaningless) => {
            "placeholders, and hashes of an empty file or a line break, are never sent"
        }
        // Not an indicator, nor an alert that the ledger knows: it is taken for an alert id.
        Err(_) if !answer.is_known() => {
            let understood = "as an alert id (it is not a hash, domain, IP address or URL)";
            return title + &row("understood", understood, layout);
        }
        _ => return title,
    };
    if is_alert { title } else { title + &row("never sent", never_sent, layout) }
}

fn row(name: &str, value: &str, layout: Layout) -> String {
    layout.paragraph(&format!("  {name:<13}  "), value)
}

fn tenant_text(tenant: &TenantAnswer, answer: &Answer<'_>, layout: Layout) -> String {
    // Why `run` does not include the tenant.
    let note = tenant.tenant.settings_entry.and_then(SettingsEntry::note);
    let note = note.map(|note| format!(", {note}")).unwrap_or_default();
    let source = format!(" ({}{note})", tenant.tenant.source);
    let mut text = layout.title(&tenant.tenant.name, &source);
    if let Some(created) = tenant.alert_created {
        text.push_str(&row("alert created", &time_or_never(Some(created)), layout));
    }
    if let Some(alerts) = &tenant.alerts {
        text.push_str(&row("named by", &alert_summary(alerts), layout));
    }
    let asked = answer.question.indicator.as_ref().ok().map(Indicator::value);
    let shown = if tenant.alert_created.is_some() { SHOWN_OF_ALERT } else { SHOWN };
    for entry in tenant.entries.iter().take(shown) {
        text.push_str(&match asked {
            Some(asked) if asked == entry.value => entry_text(entry, layout),
            _ => entry_of_alert(entry, layout),
        });
    }
    text.push_str(&more(tenant.entries.len(), shown, layout));
    if let Some(alerts) = &tenant.alerts {
        for (id, created, entry) in alerts.newest.iter().rev().take(SHOWN) {
            let entry = match tenant.entries.as_slice() {
                [_] => String::new(),
                _ => format!("entry {entry}  "),
            };
            let cells = format!("  {:<13}  {}  {entry}", "alert", time_or_never(Some(*created)));
            text.push_str(&layout.row(&cells, INDENT, &excerpt(id)));
        }
        text.push_str(&more(usize::try_from(alerts.count).unwrap_or(usize::MAX), SHOWN, layout));
    }
    for sample in tenant.left_out.iter().take(SHOWN_OF_ALERT) {
        text.push_str(&row("left out", &left_out(sample, asked), layout));
    }
    text + &more(tenant.left_out.len(), SHOWN_OF_ALERT, layout)
}

fn more(count: usize, shown: usize, layout: Layout) -> String {
    match count.saturating_sub(shown) {
        0 => String::new(),
        more => {
            let more = thousands(u64::try_from(more).unwrap_or(u64::MAX));
            row("", &format!("and {more} more"), layout)
        }
    }
}

fn alert_summary(alerts: &Alerts) -> String {
    let count = counted(alerts.count, "alert", "alerts");
    let (first, last) = (time_or_never(Some(alerts.first)), time_or_never(Some(alerts.last)));
    if alerts.first == alerts.last {
        format!("{count}, created {first}")
    } else {
        format!("{count}, created {first} to {last}")
    }
}

/// Returns what became of an entry of the indicator that was asked about.
fn entry_text(entry: &KnownEntry, layout: Layout) -> String {
    let (state, since) = state(&entry.fate);
    let fate = match &entry.fate {
        Fate::Queued { .. } => format!("stored {since}; a later run sends it"),
        Fate::InDoubt { batch, .. } => {
            format!(
                "since {since} in batch {batch}: it may have arrived, and the next run looks for it"
            )
        }
        Fate::Quarantined { .. } => format!("since {since}: {}", rejection(&entry.fate)),
        Fate::Delivered { batch, .. } => format!("{since} in batch {batch}"),
        Fate::Dropped { .. } => format!("{since} with `outbox drop`"),
    };
    row(state, &format!("{fate}{} (entry {})", details(entry), entry.id), layout)
}

/// Returns what became of an indicator of the alert that was asked about, in one line.
fn entry_of_alert(entry: &KnownEntry, layout: Layout) -> String {
    let (state, since) = state(&entry.fate);
    let cells = format!("  {state:<13}  {since}  {:<6}  ", excerpt(&entry.indicator_type));
    let mut text = layout.row(&sanitize(&cells), INDENT, &excerpt(&entry.value));
    if let Fate::Quarantined { .. } = entry.fate {
        text.push_str(&row("", &rejection(&entry.fate), layout));
    }
    text
}

/// Returns the name of a state, and since when an entry has it.
fn state(fate: &Fate) -> (&'static str, String) {
    let (name, since) = match fate {
        Fate::Queued { since } => ("queued", since),
        Fate::InDoubt { since, .. } => ("in doubt", since),
        Fate::Quarantined { since, .. } => ("quarantined", since),
        Fate::Delivered { at, .. } => ("delivered", at),
        Fate::Dropped { at } => ("dropped", at),
    };
    (name, time_or_never(Some(*since)))
}

/// Returns why an entry is in quarantine. If Recorded Future rejected it, this begins with the
/// status.
fn rejection(fate: &Fate) -> String {
    match fate {
        Fate::Quarantined { message, .. } => excerpt(message),
        _ => String::new(),
    }
}

fn details(entry: &KnownEntry) -> String {
    let mut details = vec![format!("for {}", counted(entry.detections, "alert", "alerts"))];
    if let Some(attempts) = entry.attempts.filter(|attempts| *attempts > 0) {
        details.push(counted(attempts.into(), "attempt", "attempts"));
    }
    if let Some(severity) = entry.severity {
        details.push(format!("severity {severity}"));
    }
    details.extend(entry.field.clone());
    if !entry.mitre_codes.is_empty() {
        details.push(entry.mitre_codes.clone());
    }
    excerpt(&format!(", {}", details.join(", ")))
}

fn left_out(sample: &LeftOutSample, asked: Option<&str>) -> String {
    let value = match asked {
        Some(asked) if excerpt(asked) == sample.value => String::new(),
        _ => format!("{}, ", sample.value),
    };
    let mentions = counted(sample.mentions, "mention", "mentions");
    let last = time_or_never(Some(sample.last_at));
    format!("{value}{}: {mentions}, last {last}, alert {}", sample.reason, sample.alert)
}

const UNREADABLE: &str =
    "whether it is excluded now: the exclusion file cannot be read, see the warning";
const NO_FILE: &str =
    "whether it is excluded now: no exclusion file is set here (--exclusion-file)";

/// Returns for each exclusion file which rule matches, that none does, or that this is not known.
fn excluded(tenants: &[TenantAnswer], layout: Layout) -> String {
    let mut by_file: BTreeMap<&TenantFile, Vec<&str>> = BTreeMap::new();
    for tenant in tenants {
        by_file.entry(&tenant.exclusions).or_default().push(&tenant.tenant.name);
    }
    let all = tenants.len();
    let mut text = String::new();
    for (file, tenants) in &by_file {
        let suffix =
            if tenants.len() == all { String::new() } else { format!(", for {}", names(tenants)) };
        let row = |name, value: &str| row(name, &format!("{value}{suffix}"), layout);
        let path = file.path.as_deref().map(|path| path.display().to_string());
        text.push_str(&match (path, &file.rule) {
            (_, _) if file.is_unreadable => row("not known", UNREADABLE),
            (Some(path), Some((number, rule))) => row(
                "excluded",
                &format!("by line {number} of {path} ({}): runs skip it", excerpt(rule)),
            ),
            (Some(path), None) => row("not excluded", &format!("by {path}")),
            (None, _) => row("not known", NO_FILE),
        });
    }
    text
}

/// Lists the possible reasons why nothing is known.
fn never_seen(answer: &Answer<'_>, layout: Layout) -> String {
    let path = std::path::absolute(answer.ledger);
    let path = path.as_deref().unwrap_or(answer.ledger).display();
    let samples = thousands(u64::try_from(MAX_SAMPLES).unwrap_or(u64::MAX));
    let days = INDICATORS_KEPT.num_days();
    let other_tenant = if answer.is_filtered { ", or of another tenant" } else { "" };
    let elsewhere = format!("It is in another ledger than {path} (--ledger){other_tenant}.");
    let reasons = match answer.question.indicator {
        // The title says why.
        Err(RejectReason::Private | RejectReason::Meaningless | RejectReason::Unsupported) => {
            return String::new();
        }
        Err(RejectReason::Invalid) => vec![
            "It is an alert that names no indicator, and of such alerts nothing is recorded.".to_owned(),
            "What it named was left out, and a later alert named the same: a sample has the id of the last one.".to_owned(),
            "The id is written in another way: upper and lower case matter.".to_owned(),
            "It is an indicator in another spelling: a host with a port or a path is a URL, and needs http:// or https:// before it.".to_owned(),
            format!("It was delivered, dropped or left out more than {days} days ago."),
            elsewhere,
        ],
        Ok(_) => vec![
            "The service did not return the alert, because it is below the thresholds of the run.".to_owned(),
            "The alert names it in a field that the run does not read: see --indicator.".to_owned(),
            format!("It was left out, and is not among the samples: a tenant keeps the latest {samples}. With --log-level debug, a run logs all that it leaves out."),
            format!("It was delivered, dropped or left out more than {days} days ago."),
            elsewhere,
        ],
    };
    let mut text = layout.paragraph("", "This can mean:");
    for reason in spans_read(&answer.tenants).into_iter().chain(reasons) {
        text.push_str(&layout.paragraph("- ", &reason));
    }
    text
}

/// How many tenants are listed with the span that was read; `status` has all of them.
const SHOWN_SPANS: usize = 5;

/// Returns a sentence for each of the first tenants: the times of the alerts that its runs read.
fn spans_read(tenants: &[TenantAnswer]) -> Vec<String> {
    let mut spans: Vec<String> = tenants.iter().take(SHOWN_SPANS).map(span_read).collect();
    if tenants.len() > SHOWN_SPANS {
        spans.push(
            "What was read of the other tenants is in `collective-insights status`.".to_owned(),
        );
    }
    spans
}

fn span_read(tenant: &TenantAnswer) -> String {
    let name = sanitize(&tenant.tenant.name);
    let (from, until) = match (tenant.read.from, tenant.read.until) {
        (Some(from), Some(until)) => (from, until),
        (Some(_), None) => return format!("{name}: no window was read completely yet."),
        (None, _) => return format!("{name}: no run has read alerts yet."),
    };
    let gaps = tenant.read.gaps.iter().map(|gap| {
        format!("{} to {}", time_or_never(Some(gap.start)), time_or_never(Some(gap.end)))
    });
    let gaps = gaps.collect::<Vec<_>>().join(", ");
    let except = if gaps.is_empty() { gaps } else { format!("; not read: {gaps}") };
    format!(
        "{name}: the alert was created outside of what was read, {} to {}{except}.",
        time_or_never(Some(from)),
        time_or_never(Some(until)),
    )
}
