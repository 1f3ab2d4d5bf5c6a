//! Carbon Black Cloud's search for alerts: `POST /api/alerts/v7/orgs/{org}/alerts/_search`

mod query;

use std::cmp::Ordering;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::alert_store::{Alert, SearchKeys, join};
use crate::faults::{Fault, org_of};
use crate::handler::{Request, Response};
use crate::time::parse_rfc3339;
use crate::world::CarbonBlackWorld;
use query::{Query, Sort, SortField};

/// The last row that can be read. The service responds 500 to requests beyond it.
const LAST_ROW: usize = 10_000;

/// The search keys of a Carbon Black alert.
#[derive(Debug, Clone, Default)]
pub struct CarbonBlackKeys {
    id: Option<Box<str>>,
    kind: Option<Box<str>>,
    backend: Option<DateTime<Utc>>,
    backend_update: Option<DateTime<Utc>>,
    detection: Option<DateTime<Utc>>,
    severity: Option<i64>,
}

impl SearchKeys for CarbonBlackKeys {
    fn from_alert(alert: &Value) -> Option<Self> {
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

    fn created(&self) -> Option<DateTime<Utc>> {
        self.backend
    }
}

/// The last search, with the revision of the store and the result: the next request is usually for
/// the next page of this result.
#[derive(Debug, Default)]
pub(crate) struct SearchCache {
    last: Option<(Query, u64, Arc<Vec<usize>>)>,
}

fn error_response(status: u16, error_code: &str, message: &str) -> Response {
    Response::json(status, json!({"error_code": error_code, "message": message}).to_string())
}

/// Returns the response to an unknown path or organization.
pub(crate) fn not_found() -> Response {
    error_response(404, "NOT_FOUND", "the requested resource was not found")
}

/// Returns one page of a search.
pub(crate) fn search(
    world: &CarbonBlackWorld,
    cache: &mut SearchCache,
    request: &Request<'_>,
    fault: &Fault,
) -> Response {
    if let Some(status) = world.switched_off {
        return error_response(status, "GONE", "this version of the API was switched off");
    }
    if let Err(response) = authorize(world, request) {
        return response;
    }
    match Query::parse(request.body, Utc::now()) {
        Ok(query) => page(world, cache, query, fault),
        Err(message) => error_response(400, "BAD_REQUEST", &message),
    }
}

fn authorize(world: &CarbonBlackWorld, request: &Request<'_>) -> Result<(), Response> {
    if request.method != "POST" {
        return Err(error_response(405, "METHOD_NOT_ALLOWED", "only POST is supported"));
    }
    // The secret comes first: swapped halves do not match an account.
    let given = request.header("x-auth-token").and_then(|token| token.split_once('/'));
    let find_account = |(secret, id): (&str, &str)| {
        world.accounts.iter().find(|account| account.secret == secret && account.api_id == id)
    };
    let Some(account) = given.and_then(find_account) else {
        return Err(error_response(401, "UNAUTHORIZED", "the API secret or the API id is wrong"));
    };
    if org_of(request.path) != Some(&account.org_key) {
        return Err(not_found());
    }
    if !account.alerts_read {
        return Err(error_response(
            403,
            "FORBIDDEN",
            "the API key lacks the permission org.alerts READ",
        ));
    }
    if !request.is_content_type("application/json") {
        return Err(error_response(
            415,
            "UNSUPPORTED_MEDIA_TYPE",
            "Content-Type must be application/json",
        ));
    }
    Ok(())
}

fn page(
    world: &CarbonBlackWorld,
    cache: &mut SearchCache,
    query: Query,
    fault: &Fault,
) -> Response {
    let found = find(world, cache, &query);
    let begin = query.start - 1;
    let end = begin.saturating_add(query.rows).min(found.len());
    if query.start > LAST_ROW || end > LAST_ROW {
        return error_response(500, "INTERNAL_SERVER_ERROR", "an internal error occurred");
    }
    let rows = query.rows.min(world.max_page_size);
    let end = end.min(begin.saturating_add(rows));
    let is_later = begin > 0;
    let (range, total) = match fault {
        Fault::RepeatedPage if is_later => (begin.saturating_sub(rows)..begin, found.len()),
        Fault::LoopingPage if is_later => (0..rows.min(found.len()), found.len()),
        Fault::EmptyPage if is_later => (begin..begin, 0),
        _ => (begin..end, found.len()),
    };
    let alerts = world.alerts.alerts();
    let page = found.get(range).unwrap_or_default();
    let page = page.iter().map(|&at| &alerts[at]).filter(|alert| !is_hidden(world, alert));
    let (texts, ids) = join(page);
    let available = match world.num_available {
        true => format!(r#","num_available":{}"#, total.min(LAST_ROW)),
        false => String::new(),
    };
    let numbers = match fault {
        Fault::WithoutPagination => String::new(),
        _ => format!(r#","num_found":{total}{available}"#),
    };
    Response { ids, ..Response::json(200, format!(r#"{{"results":[{texts}]{numbers}}}"#)) }
}

fn is_hidden(world: &CarbonBlackWorld, alert: &Alert<CarbonBlackKeys>) -> bool {
    let id = alert.keys.as_ref().and_then(CarbonBlackKeys::id);
    id.is_some_and(|id| world.hidden_alerts.iter().any(|hidden| hidden == id))
}

fn find(world: &CarbonBlackWorld, cache: &mut SearchCache, query: &Query) -> Arc<Vec<usize>> {
    let revision = world.alerts.revision();
    if let Some((last, last_revision, found)) = &cache.last
        && last.same_search(query)
        && *last_revision == revision
    {
        return Arc::clone(found);
    }
    let alerts = world.alerts.alerts();
    let mut found: Vec<usize> =
        (0..alerts.len()).filter(|&at| matches(query, &alerts[at])).collect();
    // Stable: alerts with equal keys stay in insertion order.
    found.sort_by(|&a, &b| compare(&query.sort, alerts[a].keys.as_ref(), alerts[b].keys.as_ref()));
    let found = Arc::new(found);
    cache.last = Some((query.clone(), revision, Arc::clone(&found)));
    found
}

/// Reports whether an alert matches. One that is not an object always does; one without
/// `backend_timestamp` never does.
fn matches(query: &Query, alert: &Alert<CarbonBlackKeys>) -> bool {
    let Some(keys) = &alert.keys else { return true };
    let kind = keys.kind.as_deref().unwrap_or_default();
    let in_range = keys
        .backend
        .is_some_and(|instant| query.start_time <= instant && instant <= query.end_time);
    let is_severe = query.minimum_severity.is_none_or(|minimum| keys.severity >= Some(minimum));
    in_range
        && is_severe
        && !query.excluded_types.iter().any(|excluded| excluded == kind)
        && (query.types.is_empty() || query.types.iter().any(|wanted| wanted == kind))
}

fn compare(sort: &[Sort], a: Option<&CarbonBlackKeys>, b: Option<&CarbonBlackKeys>) -> Ordering {
    let (Some(a), Some(b)) = (a, b) else {
        return a.is_none().cmp(&b.is_none());
    };
    let compare_field = |sort: &Sort| {
        let order = match sort.field {
            SortField::Backend => a.backend.cmp(&b.backend),
            SortField::BackendUpdate => a.backend_update.cmp(&b.backend_update),
            SortField::Detection => a.detection.cmp(&b.detection),
            SortField::Severity => a.severity.cmp(&b.severity),
        };
        if sort.descending { order.reverse() } else { order }
    };
    sort.iter().map(compare_field).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}
