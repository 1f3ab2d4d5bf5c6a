//! `history`: the days as rows, and which threats are shared most.

mod days;
mod text;

use std::process::ExitCode;

use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};
use serde_json::json;

use self::days::Day;
use super::{conclude, no_ledger_message, view};
use crate::cli::HistoryArgs;
use crate::clock::Clock;
use crate::failure::Failure;
use crate::ledger::{SIGHTINGS_KEPT, Seen, Technique, View};
use crate::report::line;

/// How many indicators and techniques are shown.
const MOST: u32 = 10;

/// What the ledger tells about a span of days.
struct History {
    days: u32,
    /// The first of the days, UTC.
    since: NaiveDate,
    /// The first of them of which indicators are still remembered.
    indicators_since: NaiveDate,
    rows: Vec<Day>,
    indicators: Vec<Seen>,
    techniques: Vec<Technique>,
}

/// Shows each day's numbers, the indicators seen most, and the MITRE techniques shared most.
#[must_use]
pub fn history(args: &HistoryArgs, clock: Clock) -> ExitCode {
    conclude(show(args, clock.now()))
}

fn show(args: &HistoryArgs, now: DateTime<Utc>) -> Result<String, Failure> {
    let path = &args.ledger.ledger;
    let view = view(path)?;
    if view.is_none() && !args.json {
        return Ok(no_ledger_message(path));
    }
    let history = History::read(view.as_ref(), args.days, now)?;
    Ok(if args.json { as_json(&history) } else { text::text(&history) })
}

impl History {
    /// Reads the last `days` UTC days, today among them; of no ledger, nothing.
    fn read(view: Option<&View>, days: u32, now: DateTime<Utc>) -> Result<Self, Failure> {
        let today = now.date_naive();
        let since = today - Days::new(u64::from(days.saturating_sub(1)));
        let indicators_since = since.max((now - SIGHTINGS_KEPT).date_naive());
        let mut history = Self {
            days,
            since,
            indicators_since,
            rows: Vec::new(),
            indicators: Vec::new(),
            techniques: Vec::new(),
        };
        if let Some(view) = view {
            history.rows = days::days(&view.runs(midnight(since))?, today);
            history.indicators = view.most_seen(midnight(indicators_since), MOST)?;
            history.techniques = view.techniques(since, MOST)?;
        }
        Ok(history)
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
                "source": line(&day.source),
                "runs": day.runs,
                "fetched": day.fetched,
                "sent": day.sent,
                "processed": day.processed,
                "waiting": day.waiting,
                "quarantined": day.quarantined,
                "all_well": day.all_succeeded,
            })
        })
        .collect();
    let indicators: Vec<_> = history
        .indicators
        .iter()
        .map(|seen| {
            json!({
                "type": seen.kind.as_str(),
                "value": line(&seen.value),
                "detections": seen.detections,
                "last_delivered": seen.last_delivered.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
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
