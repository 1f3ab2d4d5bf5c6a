//! `history`: daily totals, top indicators and top MITRE techniques, or each run.

mod runs;
mod text;

use chrono::{DateTime, NaiveDate, Utc};
use serde_json::{Value, json};

use super::days::{self, Day, first_day, midnight};
use super::open_reader;
use super::tenants::{
    KnownTenant, SettingsEntry, SettingsFileTenants, known_tenants, tenant_filter,
};
use crate::cli::HistoryArgs;
use crate::clock::Clock;
use crate::failure::Failure;
use crate::ledger::{INDICATORS_KEPT, LedgerReader, Period, Technique, TenantFilter, TopIndicator};
use crate::report::{self, Layout, timestamp};

/// The maximum number of indicators, and of techniques, that are shown.
const TOP: u32 = 10;

/// The history of a span of days.
struct History {
    days: u32,
    /// The first day, UTC.
    since: NaiveDate,
    /// The first day of `indicators`: `since`, or later if the ledger does not keep them that long.
    indicators_since: NaiveDate,
    rows: Vec<Day>,
    tenants: Vec<KnownTenant>,
    indicators: Vec<TopIndicator>,
    techniques: Vec<Technique>,
}

/// Returns each day's numbers, the top indicators and the top MITRE techniques; with `--runs`, each
/// run instead.
pub(crate) fn history(
    args: &HistoryArgs,
    file_tenants: SettingsFileTenants<'_>,
    clock: Clock,
) -> Result<String, Failure> {
    let ledger = open_reader(&args.ledger.path()?)?;
    let filter = tenant_filter(&ledger, &args.tenants, file_tenants)?;
    let tenants = known_tenants(&ledger, file_tenants, &filter)?;
    if args.runs {
        return runs(&ledger, &tenants, &filter, args, clock.now());
    }
    let history = History { tenants, ..History::read(&ledger, &filter, args.days, clock.now())? };
    Ok(if args.json { as_json(&history) } else { text::text(&history, Layout::stdout()) })
}

/// Returns each run of the last days.
fn runs(
    ledger: &LedgerReader,
    tenants: &[KnownTenant],
    filter: &TenantFilter,
    args: &HistoryArgs,
    now: DateTime<Utc>,
) -> Result<String, Failure> {
    let since = first_day(now, args.days);
    let runs = ledger.runs(midnight(since), filter)?;
    if args.json {
        return Ok(report::document(json!({
            "schema_version": 1,
            "days": args.days,
            "since": since.to_string(),
            "runs": runs::as_json(&runs),
            "tenants": tenants_as_json(tenants),
        })));
    }
    let layout = Layout::stdout();
    let text = match runs.as_slice() {
        [] => text::no_run(since, args.days, layout),
        runs => runs::text(runs, layout),
    };
    let shown = |name: &str| runs.iter().any(|run| run.tenant == name);
    Ok(text + &text::tenant_notes(tenants, shown, layout))
}

impl History {
    /// Reads the last `days` UTC days, today included.
    fn read(
        ledger: &LedgerReader,
        tenants: &TenantFilter,
        days: u32,
        now: DateTime<Utc>,
    ) -> Result<Self, Failure> {
        let since = first_day(now, days);
        let indicators_since = since.max((now - INDICATORS_KEPT).date_naive());
        Ok(Self {
            days,
            since,
            indicators_since,
            tenants: Vec::new(),
            rows: days::days(&ledger.runs(midnight(since), tenants)?, now),
            indicators: ledger.top_indicators(midnight(indicators_since), TOP, tenants)?,
            techniques: ledger.techniques(Period::since(midnight(since)), TOP, tenants)?,
        })
    }
}

fn as_json(history: &History) -> String {
    let rows: Vec<_> = history
        .rows
        .iter()
        .map(|day| {
            json!({
                "date": day.date.to_string(),
                "tenant": day.tenant,
                "source": day.source,
                "runs": day.runs,
                "fetched": day.count(|counts| counts.tally.alerts_fetched),
                "sent": day.count(|counts| counts.submitted),
                "processed": day.count(|counts| counts.processed),
                "waiting": day.count(|counts| counts.waiting),
                "quarantined": day.count(|counts| counts.quarantined),
                "all_well": day.all_succeeded,
            })
        })
        .collect();
    let indicators: Vec<_> = history
        .indicators
        .iter()
        .map(|top| {
            json!({
                "type": top.indicator_type.as_str(),
                "value": top.value,
                "detections": top.detections,
                "last_delivered": timestamp(top.last_delivered),
            })
        })
        .collect();
    let techniques: Vec<_> = history
        .techniques
        .iter()
        .map(|technique| json!({"code": technique.code, "submissions": technique.submissions}))
        .collect();
    report::document(json!({
        "schema_version": 1,
        "days": history.days,
        "since": history.since.to_string(),
        // Schema version 1 names the days so.
        "nights": rows,
        "indicators_since": history.indicators_since.to_string(),
        "indicators": indicators,
        "techniques": techniques,
        "tenants": tenants_as_json(&history.tenants),
    }))
}

fn tenants_as_json(tenants: &[KnownTenant]) -> Value {
    let tenant = |tenant: &KnownTenant| {
        json!({
            "tenant": tenant.name,
            "source": tenant.source,
            "settings_file": tenant.settings_entry.map(SettingsEntry::name),
            "never_ran": tenant.never_ran,
        })
    };
    tenants.iter().map(tenant).collect()
}
