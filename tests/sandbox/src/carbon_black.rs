//! Carbon Black Cloud: `POST /api/alerts/v7/orgs/{org}/alerts/_search`

mod query;

use std::cmp::Ordering;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::alert_store::{Alert, Keys, join};
use crate::faults::org_of;
use crate::handler::{Answer, Asked};
use crate::time::parse_rfc3339;
use crate::world::CarbonBlackWorld;
use query::{By, Query, Sort};

/// Rows past this one are answered with 500, as the service does.
const LAST_ROW: usize = 10_000;

/// What a search needs to know of a Carbon Black alert.
#[derive(Debug, Clone, Default)]
pub struct CarbonBlackKeys {
    id: Option<Box<str>>,
    kind: Option<Box<str>>,
    backend: Option<DateTime<Utc>>,
    backend_update: Option<DateTime<Utc>>,
    detection: Option<DateTime<Utc>>,
    severity: Option<i64>,
}

impl Keys for CarbonBlackKeys {
    fn read(alert: &Value) -> Option<Self> {
        let alert = alert.as_object()?;
        let text = |key: &str| alert.get(key)?.as_str().map(Box::from);
        let date = |key: &str| parse_rfc3339(alert.get(key)?.as_str()?);
        Some(Self {
            id: text("id"),
            kind: text("type"),
            backend: date("backend_timestamp"),
            backend_update: date("backend_update_timestamp"),
            detection: date("detection_timestamp"),
            severity: alert.get("severity").and_then(Value::as_i64),
        })
    }

    fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }
}

/// The last search, remembered: its next page is most often what is asked next.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    last: Option<(Query, u64, Arc<Vec<usize>>)>,
}

fn refused(status: u16, error_code: &str, message: &str) -> Answer {
    Answer::json(status, json!({"error_code": error_code, "message": message}).to_string())
}

/// The answer for a path or an organization that does not exist.
pub(crate) fn not_found() -> Answer {
    refused(404, "NOT_FOUND", "the requested resource was not found")
}

/// One page of a search.
pub(crate) fn search(world: &CarbonBlackWorld, memory: &mut Memory, asked: &Asked<'_>) -> Answer {
    if let Err(answer) = authorize(world, asked) {
        return answer;
    }
    match Query::parse(asked.body, Utc::now()) {
        Ok(query) => page(world, memory, query),
        Err(message) => refused(400, "BAD_REQUEST", &message),
    }
}

fn authorize(world: &CarbonBlackWorld, asked: &Asked<'_>) -> Result<(), Answer> {
    if asked.method != "POST" {
        return Err(refused(405, "METHOD_NOT_ALLOWED", "only POST is served"));
    }
    // Secret first. Swapped, no account has it.
    let given = asked.header("x-auth-token").and_then(|token| token.split_once('/'));
    let of = |(secret, id): (&str, &str)| {
        world.accounts.iter().find(|account| account.secret == secret && account.api_id == id)
    };
    let Some(account) = given.and_then(of) else {
        return Err(refused(401, "UNAUTHORIZED", "the API secret or the API id is wrong"));
    };
    if org_of(asked.path) != Some(&account.org_key) {
        return Err(not_found());
    }
    if !account.alerts_read {
        return Err(refused(403, "FORBIDDEN", "the API key lacks the permission org.alerts READ"));
    }
    if !asked.is_content_type("application/json") {
        return Err(refused(
            415,
            "UNSUPPORTED_MEDIA_TYPE",
            "Content-Type must be application/json",
        ));
    }
    Ok(())
}

fn page(world: &CarbonBlackWorld, memory: &mut Memory, query: Query) -> Answer {
    let found = find(world, memory, &query);
    let begin = query.start - 1;
    let end = begin.saturating_add(query.rows).min(found.len());
    if query.start > LAST_ROW || end > LAST_ROW {
        return refused(500, "INTERNAL_SERVER_ERROR", "an internal error occurred");
    }
    let end = end.min(begin.saturating_add(world.largest_page));
    let shelf = world.alerts.alerts();
    let shown = found.get(begin..end).unwrap_or_default();
    let (texts, ids) = join(shown.iter().map(|&at| &shelf[at]));
    let available = match world.num_available {
        true => format!(r#","num_available":{}"#, found.len().min(LAST_ROW)),
        false => String::new(),
    };
    let body = format!(r#"{{"results":[{texts}],"num_found":{}{available}}}"#, found.len());
    Answer { ids, ..Answer::json(200, body) }
}

fn find(world: &CarbonBlackWorld, memory: &mut Memory, query: &Query) -> Arc<Vec<usize>> {
    let revision = world.alerts.revision();
    if let Some((last, of, found)) = &memory.last
        && last.same_search(query)
        && *of == revision
    {
        return Arc::clone(found);
    }
    let shelf = world.alerts.alerts();
    let mut found: Vec<usize> = (0..shelf.len()).filter(|&at| matches(query, &shelf[at])).collect();
    // Stable: alerts that are equal in all keys stay in the order of the shelf.
    found.sort_by(|&a, &b| compare(&query.sort, shelf[a].keys.as_ref(), shelf[b].keys.as_ref()));
    let found = Arc::new(found);
    memory.last = Some((query.clone(), revision, Arc::clone(&found)));
    found
}

/// A stray (no object) is part of every answer; an alert without `backend_timestamp` is part of none.
fn matches(query: &Query, alert: &Alert<CarbonBlackKeys>) -> bool {
    let Some(keys) = &alert.keys else { return true };
    let kind = keys.kind.as_deref().unwrap_or_default();
    let in_range = keys
        .backend
        .is_some_and(|instant| query.start_time <= instant && instant <= query.end_time);
    in_range
        && !query.excluded.iter().any(|excluded| excluded == kind)
        && (query.wanted.is_empty() || query.wanted.iter().any(|wanted| wanted == kind))
}

fn compare(sort: &[Sort], a: Option<&CarbonBlackKeys>, b: Option<&CarbonBlackKeys>) -> Ordering {
    let (Some(a), Some(b)) = (a, b) else {
        return a.is_none().cmp(&b.is_none());
    };
    let by = |sort: &Sort| {
        let order = match sort.by {
            By::Backend => a.backend.cmp(&b.backend),
            By::BackendUpdate => a.backend_update.cmp(&b.backend_update),
            By::Detection => a.detection.cmp(&b.detection),
            By::Severity => a.severity.cmp(&b.severity),
        };
        if sort.down { order.reverse() } else { order }
    };
    sort.iter().map(by).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}
