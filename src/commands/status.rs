//! `status`: the last run, the last success and the queue of each tenant.

use serde_json::json;

use super::tenants::{SettingsEntry, SettingsFileTenants, known_tenants, tenant_filter};
use super::{open_reader, time_or_never};
use crate::cli::StatusArgs;
use crate::clock::Clock;
use crate::failure::{Failure, FailureKind};
use crate::ledger::{LedgerReader, TenantFilter, TenantStatus};
use crate::redact::sanitize;
use crate::report::{self, Layout, thousands, timestamp};

/// The status of a tenant, and whether the settings file has it.
struct Listed {
    status: TenantStatus,
    /// `None` if the settings file has no tenants.
    settings_entry: Option<SettingsEntry>,
}

/// Returns the last run, last success, checkpoint, queue and quarantine of each tenant. With
/// `--max-age` they are printed instead, and an old success is a failure.
pub(crate) fn status(
    args: &StatusArgs,
    file_tenants: SettingsFileTenants<'_>,
    clock: Clock,
) -> Result<String, Failure> {
    let ledger = open_reader(&args.ledger.path()?)?;
    let filter = tenant_filter(&ledger, &args.tenants, file_tenants)?;
    let tenants = list(&ledger, file_tenants, &filter, clock)?;
    let text: String = match tenants.as_slice() {
        tenants if args.json => as_json(tenants),
        [] => "the ledger has no such tenant\n".to_owned(),
        tenants => tenants.iter().map(as_text).collect(),
    };
    let Some(max_age) = args.max_age else {
        return Ok(text);
    };
    report::write_stdout(&text)?;
    if tenants.is_empty() {
        return Err(no_tenant());
    }
    // `None` if no time can be that long ago: then no success is too old.
    let oldest = clock.now().checked_sub_signed(max_age);
    let is_old = |tenant: &&Listed| {
        let success = tenant.status.last_success;
        success.is_none_or(|time| oldest.is_some_and(|oldest| time < oldest))
    };
    let is_expected = |tenant: &&Listed| match tenant.settings_entry {
        None | Some(SettingsEntry::Enabled) => true,
        Some(SettingsEntry::Disabled) => false,
        // A tenant that was removed from the file is only expected to run if --tenant names it.
        Some(SettingsEntry::Absent) => filter.name.is_some(),
    };
    let old: Vec<String> =
        tenants.iter().filter(is_expected).filter(is_old).map(last_success).collect();
    if old.is_empty() { Ok(String::new()) } else { Err(too_old(&old, file_tenants)) }
}

/// Returns the tenants of the ledger, then those of the settings file that have never run.
fn list(
    ledger: &LedgerReader,
    file_tenants: SettingsFileTenants<'_>,
    filter: &TenantFilter,
    clock: Clock,
) -> Result<Vec<Listed>, Failure> {
    let in_ledger = ledger.status(clock.now(), filter)?.into_iter();
    let in_ledger = in_ledger
        .map(|status| Listed { settings_entry: file_tenants.entry(&status.tenant), status });
    let known = known_tenants(ledger, file_tenants, filter)?.into_iter();
    let new = known.filter(|tenant| tenant.never_ran).map(|tenant| Listed {
        status: TenantStatus {
            tenant: tenant.name,
            source: tenant.source,
            ..TenantStatus::default()
        },
        settings_entry: tenant.settings_entry,
    });
    Ok(in_ledger.chain(new).collect())
}

fn last_success(tenant: &Listed) -> String {
    format!("{} ({})", tenant.status.tenant, time_or_never(tenant.status.last_success))
}

fn no_tenant() -> Failure {
    Failure::new(
        FailureKind::Partial,
        "the ledger has no such tenant, so none has succeeded",
        "Correct --tenant and --source, or see why its runs do not begin: `collective-insights status` shows all tenants.",
    )
}

fn too_old(tenants: &[String], file_tenants: SettingsFileTenants<'_>) -> Failure {
    let unused = match file_tenants.0 {
        [] => "keeps its entry: name others with --tenant.",
        _ => {
            "does not count once it is removed from the settings file, or has `enabled = false` there."
        }
    };
    Failure::new(
        FailureKind::Partial,
        format!("the last success is older than --max-age: {}", tenants.join(", ")),
        format!(
            "Look for the reason in the line of the last run, and in the log. A tenant that you stopped using {unused}"
        ),
    )
}

fn as_text(tenant: &Listed) -> String {
    let layout = Layout::stdout();
    let row = |name: &str, value: String| layout.paragraph(&format!("  {name:<13}  "), &value);
    let status = &tenant.status;
    let note = tenant.settings_entry.and_then(SettingsEntry::note);
    let note = note.map(|note| row("settings", note.to_owned())).unwrap_or_default();
    // Only the settings file has the tenant.
    if status.account.is_empty() {
        let title = layout.title(&status.tenant, &format!(" ({})", status.source));
        return format!("{title}{note}{}", row("last run", "never".to_owned()));
    }
    let since = status
        .oldest_queued
        .map(|time| format!(" (oldest since {})", time_or_never(Some(time))))
        .unwrap_or_default();
    let future = if status.is_checkpoint_in_future {
        " (in the future: missed alerts are not read; see `collective-insights checkpoint reset --help`)"
    } else {
        ""
    };
    let mut text = layout.title(&status.tenant, &identity(status));
    text.push_str(&note);
    text.push_str(&row("last run", last_run(status)));
    text.push_str(&row("last success", time_or_never(status.last_success)));
    text.push_str(&row("last alerts", time_or_never(status.last_alerts)));
    text.push_str(&row("read until", format!("{}{future}", time_or_never(status.read_until))));
    for gap in &status.gaps {
        let (start, end) = (time_or_never(Some(gap.start)), time_or_never(Some(gap.end)));
        let options = gap.as_options();
        text.push_str(&row(
            "not read",
            format!("{start} to {end}: read it with {options}, or give it up with --accept-gap"),
        ));
    }
    text.push_str(&row("queued", format!("{}{since}", thousands(status.queued))));
    text.push_str(&row("in quarantine", thousands(status.quarantined)));
    let used_today = thousands(status.used_today);
    text.push_str(&row("sent today", format!("{used_today} (this API key, UTC day)")));
    if let Some(warning) = status.no_alerts_warning() {
        text.push_str(&row("warning", warning));
    }
    text
}

/// Returns the source, account, customer and organizations, to be shown after the tenant's name.
fn identity(status: &TenantStatus) -> String {
    let customer = status.customer.as_ref().map(|digest| format!(", customer {digest}"));
    let organizations = if status.organizations.is_empty() {
        String::new()
    } else {
        format!(", organizations {}", sanitize(&status.organizations.join(" ")))
    };
    let (source, account) = (&status.source, &status.account);
    format!(" ({source}, account {account}{}{organizations})", customer.unwrap_or_default())
}

/// Returns when the last run started, and how it ended.
fn last_run(status: &TenantStatus) -> String {
    let result = match (status.last_run, status.last_exit_code) {
        (None, _) => String::new(),
        (Some(_), Some(code)) => format!(", exit code {code}"),
        (Some(_), None) => ", running, or killed".into(),
    };
    let error = status.last_error.as_deref().map(|error| format!(": {}", sanitize(error)));
    format!("{}{result}{}", time_or_never(status.last_run), error.unwrap_or_default())
}

fn as_json(tenants: &[Listed]) -> String {
    let elements: Vec<_> = tenants
        .iter()
        .map(|Listed { status, settings_entry }| {
            json!({
                "tenant": status.tenant,
                "source": status.source,
                "settings_file": settings_entry.map(SettingsEntry::name),
                "account": status.account,
                "customer": status.customer,
                "organizations": status.organizations,
                "last_run": status.last_run.map(timestamp),
                "last_exit_code": status.last_exit_code,
                "last_error": status.last_error,
                "last_success": status.last_success.map(timestamp),
                "last_alerts": status.last_alerts.map(timestamp),
                "quiet": status.is_quiet,
                "read_until": status.read_until.map(timestamp),
                "read_until_in_future": status.is_checkpoint_in_future,
                "gaps": status.gaps.iter().copied().map(report::window).collect::<Vec<_>>(),
                "waiting": status.queued,
                "oldest_waiting": status.oldest_queued.map(timestamp),
                "quarantined": status.quarantined,
                "used_today": status.used_today,
            })
        })
        .collect();
    // Schema version 1 names its tenants so.
    report::document(json!({"schema_version": 1, "sources": elements}))
}
