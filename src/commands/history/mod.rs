//! `history`: daily totals, top indicators and top MITRE techniques.

mod days;
mod text;

use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};
use serde_json::json;

use self::days::Day;
use super::{open_reader, tenant_filter};
use crate::cli::HistoryArgs;
use crate::clock::Clock;
use crate::failure::Failure;
use crate::ledger::{LedgerReader, SIGHTINGS_KEPT, Technique, TenantFilter, TopIndicator};
use crate::report::{line, timestamp};

/// The number of indicators and techniques that are shown.
const TOP: u32 = 10;

/// The history of a span of days.
struct History {
    days: u32,
    /// The first day, UTC.
    since: NaiveDate,
    /// The first day whose indicators are still kept.
    indicators_since: NaiveDate,
    rows: Vec<Day>,
    indicators: Vec<TopIndicator>,
    techniques: Vec<Technique>,
}

/// Returns each day's numbers, the top indicators and the top MITRE techniques.
pub(crate) fn history(args: &HistoryArgs, clock: Clock) -> Result<String, Failure> {
    let ledger = open_reader(&args.ledger.path()?)?;
    let tenants = tenant_filter(&ledger, &args.tenants)?;
    let history = History::read(&ledger, &tenants, args.days, clock.now())?;
    Ok(if args.json { as_json(&history) } else { text::text(&history) })
}

impl History {
    /// Reads the last `days` UTC days, today included.
    fn read(
        ledger: &LedgerReader,
        tenants: &TenantFilter,
        days: u32,
        now: DateTime<Utc>,
    ) -> Result<Self, Failure> {
        let today = now.date_naive();
        let since = today - Days::new(u64::from(days.saturating_sub(1)));
        let indicators_since = since.max((now - SIGHTINGS_KEPT).date_naive());
        Ok(Self {
            days,
            since,
            indicators_since,
            rows: days::days(&ledger.runs(midnight(since), tenants)?, today),
            indicators: ledger.top_indicators(midnight(indicators_since), TOP, tenants)?,
            techniques: ledger.techniques(since, TOP, tenants)?,
        })
    }
}

fn midnight(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(NaiveTime::MIN).and_utc()
}

fn as_json(history: &History) -> String {
    let rows: Vec<_> = history
        .rows
        .iter()
        .map(|day| {
            json!({
                "date": day.date.to_string(),
                "tenant": line(&day.tenant),
                "source": line(&day.source),
                "runs": day.runs,
                "fetched": day.fetched,
                "sent": day.sent,
                "processed": day.processed,
                "waiting": day.queued,
                "quarantined": day.quarantined,
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
                "value": line(&top.value),
                "detections": top.detections,
                "last_delivered": timestamp(top.last_delivered),
            })
        })
        .collect();
    let techniques: Vec<_> = history
        .techniques
        .iter()
        .map(|technique| json!({"code": line(&technique.code), "submissions": technique.submissions}))
        .collect();
    let document = json!({
        "schema_version": 1,
        "days": history.days,
        "since": history.since.to_string(),
        "nights": rows,
        "indicators_since": history.indicators_since.to_string(),
        "indicators": indicators,
        "techniques": techniques,
    });
    format!("{document}\n")
}
