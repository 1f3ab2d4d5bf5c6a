//! `explain`: what became of one indicator, or of those of one alert.

mod excluded;
mod question;
mod text;

use std::path::Path;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use self::excluded::{ExclusionFiles, TenantFile};
use self::question::Question;
use super::open_reader;
use super::tenants::{
    KnownTenant, SettingsEntry, SettingsFileTenants, known_tenants, tenant_filter,
};
use crate::cli::{ExplainArgs, Parsed};
use crate::failure::Failure;
use crate::indicator::{Indicator, IndicatorType};
use crate::ledger::{
    Alerts, Fate, KnownEntry, LedgerReader, LeftOutSample, SpanRead, TenantFilter,
};
use crate::report::{self, Layout, timestamp};
use crate::selection::excerpt;

/// The answer, by tenant.
struct Answer<'a> {
    question: Question,
    ledger: &'a Path,
    /// Whether other tenants were left out.
    is_filtered: bool,
    tenants: Vec<TenantAnswer>,
}

/// The answer for a tenant.
struct TenantAnswer {
    tenant: KnownTenant,
    read: SpanRead,
    /// The alerts that named the indicator.
    alerts: Option<Alerts>,
    /// When the alert that was asked about was created.
    alert_created: Option<DateTime<Utc>>,
    /// The entries of the indicator, or those that the alert named; the latest first.
    entries: Vec<KnownEntry>,
    left_out: Vec<LeftOutSample>,
    /// The exclusion file of its runs, where an indicator was asked about.
    exclusions: TenantFile,
}

impl TenantAnswer {
    const fn is_known(&self) -> bool {
        !self.entries.is_empty() || !self.left_out.is_empty()
    }
}

impl Answer<'_> {
    fn is_known(&self) -> bool {
        self.tenants.iter().any(TenantAnswer::is_known)
    }
}

/// Returns what the ledger and the exclusion files say.
pub(crate) fn explain(args: &ExplainArgs, parsed: &Parsed) -> Result<String, Failure> {
    let path = args.ledger.path()?;
    let ledger = open_reader(&path)?;
    let file = SettingsFileTenants(parsed.file_tenants());
    let filter = tenant_filter(&ledger, &args.tenants, file)?;
    let tenants = known_tenants(&ledger, file, &filter)?;
    let question = Question::new(&args.question);
    let mut found = ledger.find(question.indicator.as_ref().ok(), &question.text, &filter)?;
    let mut left_out = samples(&ledger, &question, &filter)?;
    let mut read = ledger.spans_read()?;
    let mut files = ExclusionFiles::new(args, parsed, question.indicator.as_ref().ok())?;
    let answer = |tenant: KnownTenant| TenantAnswer {
        read: read.remove(&tenant.name).unwrap_or_default(),
        alerts: found.alerts.remove(&tenant.name),
        alert_created: found.alert_created.remove(&tenant.name),
        entries: found.entries.extract_if(.., |entry| entry.tenant == tenant.name).collect(),
        left_out: left_out.extract_if(.., |sample| sample.tenant == tenant.name).collect(),
        exclusions: files.of(&tenant),
        tenant,
    };
    let tenants = tenants.into_iter().map(answer).collect();
    files.warn();
    let is_filtered = filter.name.is_some() || filter.source.is_some();
    let answer = Answer { question, ledger: &path, is_filtered, tenants };
    Ok(if args.json { as_json(&answer) } else { text::text(&answer, Layout::stdout()) })
}

fn samples(
    ledger: &LedgerReader,
    question: &Question,
    filter: &TenantFilter,
) -> Result<Vec<LeftOutSample>, Failure> {
    let texts = question.sampled_texts();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    Ok(ledger.left_out_of(&texts, &excerpt(&question.text), filter)?)
}

fn as_json(answer: &Answer<'_>) -> String {
    let indicator = answer.question.indicator.as_ref();
    let known = |indicator: &Indicator| json!({"type": indicator.kind().as_str(), "value": indicator.value()});
    report::document(json!({
        "schema_version": 1,
        "question": answer.question.shown(),
        "seen": answer.is_known(),
        "indicator": indicator.ok().map(known),
        "not_sent": indicator.err().map(ToString::to_string),
        "tenants": answer.tenants.iter().map(tenant_as_json).collect::<Vec<_>>(),
    }))
}

fn tenant_as_json(answer: &TenantAnswer) -> Value {
    let alerts = answer.alerts.clone().unwrap_or_default();
    let is_named = alerts.count > 0;
    let newest = alerts.newest.iter().rev().map(|(id, created, entry)| {
        json!({"id": id, "created": timestamp(*created), "entry": entry.to_string()})
    });
    let rule = answer.exclusions.rule.as_ref();
    let left_out = answer.left_out.iter().map(|sample| {
        json!({
            "reason": sample.reason,
            "type": sample.indicator_type.map(IndicatorType::as_str),
            "value": sample.value,
            "mentions": sample.mentions,
            "first": timestamp(sample.first_at),
            "last": timestamp(sample.last_at),
            "last_alert": sample.alert,
        })
    });
    json!({
        "tenant": answer.tenant.name,
        "source": answer.tenant.source,
        "settings_file": answer.tenant.settings_entry.map(SettingsEntry::name),
        "read_from": answer.read.from.map(timestamp),
        "read_until": answer.read.until.map(timestamp),
        "gaps": answer.read.gaps.iter().copied().map(report::window).collect::<Vec<_>>(),
        "alerts": alerts.count,
        "first_alert": is_named.then(|| timestamp(alerts.first)),
        "last_alert": is_named.then(|| timestamp(alerts.last)),
        "newest_alerts": newest.collect::<Vec<_>>(),
        "alert_created": answer.alert_created.map(timestamp),
        "entries": answer.entries.iter().map(entry_as_json).collect::<Vec<_>>(),
        "left_out": left_out.collect::<Vec<_>>(),
        "exclusion_file": answer.exclusions.path.as_ref().map(|path| path.display().to_string()),
        "excluded_by": rule.map(|(line, rule)| json!({"line": line, "rule": rule})),
    })
}

fn entry_as_json(entry: &KnownEntry) -> Value {
    let (state, since, batch, status, message) = match &entry.fate {
        Fate::Queued { since } => ("waiting", since, None, None, None),
        Fate::InDoubt { since, batch } => ("in_doubt", since, Some(batch), None, None),
        Fate::Quarantined { since, status, message } => {
            ("quarantined", since, None, status.as_ref(), Some(message))
        }
        Fate::Delivered { at, batch } => ("delivered", at, Some(batch), None, None),
        Fate::Dropped { at } => ("dropped", at, None, None, None),
    };
    json!({
        "id": entry.id.to_string(),
        "type": entry.indicator_type,
        "value": entry.value,
        "state": state,
        "since": timestamp(*since),
        "batch": batch.map(ToString::to_string),
        "status": status,
        "words": message,
        "tries": entry.attempts,
        "detections": entry.detections,
        "severity": entry.severity,
        "field": entry.field,
        "mitre_codes": entry.mitre_codes.split_whitespace().collect::<Vec<_>>(),
    })
}
