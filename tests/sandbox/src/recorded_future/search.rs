//! The search of Recorded Future for what was submitted: `POST /collective-insights/search`

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::{Rejection, check_head, error_response};
use crate::body_check::{Checked, list, object, one_of, text};
use crate::faults::Fault;
use crate::handler::{Request, Response};
use crate::record::{Recorder, StoredItem};
use crate::submission::{DETECTION_TYPES, IOC_TYPES};
use crate::time::{parse_rfc3339, parse_zulu};
use crate::world::RecordedFutureWorld;

const SUBMISSION_METHODS: [&str; 3] = ["api", "integration", "sandbox"];
/// The default and the maximum of `limit`, in rows.
const DEFAULT_LIMIT: u64 = 100;
const MAX_LIMIT: u64 = 1000;

/// A valid search.
#[derive(Debug)]
struct Search {
    filters: Filters,
    limit: usize,
    offset: usize,
}

/// The filters of a search; an absent filter is `None`.
#[derive(Debug, Default)]
struct Filters {
    /// Both ends are included.
    from: Option<DateTime<Utc>>,
    to: Option<DateTime<Utc>>,
    methods: Option<Vec<String>>,
    types: Option<Vec<String>>,
    organizations: Option<Vec<String>>,
    detection_types: Option<Vec<String>>,
}

/// Returns one page of the stored items of a token and of the rows of other clients.
pub(crate) fn search(
    world: &RecordedFutureWorld,
    recorder: &Recorder,
    now: DateTime<Utc>,
    request: &Request<'_>,
    fault: &Fault,
) -> Response {
    let checked = check_head(world, request).and_then(|token| {
        if !world.search.is_allowed {
            return Err((403, "Forbidden: the API token lacks the permission to search".into()));
        }
        Ok((token, check_body(request)?))
    });
    match checked {
        Ok((token, search)) => page(world, &rows(world, recorder, now, token), &search, fault),
        Err((status, message)) => error_response(status, &message),
    }
}

fn check_body(request: &Request<'_>) -> Result<Search, Rejection> {
    let body: Value = serde_json::from_slice(request.body)
        .map_err(|error| (400, format!("invalid JSON: {error}")))?;
    check_search(&body).map_err(|message| (400, message))
}

fn check_search(body: &Value) -> Checked<Search> {
    let top = object("body", body, &[], &["filters", "limit", "offset"])?;
    let number = |key: &str, default| match top.get(key) {
        None => Ok(default),
        Some(value) => value.as_u64().ok_or_else(|| format!("{key} must be a whole number")),
    };
    let (limit, offset) = (number("limit", DEFAULT_LIMIT)?, number("offset", 0)?);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(format!("limit must be 1 to {MAX_LIMIT}"));
    }
    let filters = top.get("filters").map(check_filters).transpose()?.unwrap_or_default();
    let as_rows = |number: u64| usize::try_from(number).map_err(|_| "it is too large".to_owned());
    Ok(Search { filters, limit: as_rows(limit)?, offset: as_rows(offset)? })
}

/// Rejects unknown filters, so that a test fails if the program sends one.
fn check_filters(value: &Value) -> Checked<Filters> {
    let known = [
        "detection_time", "submission_method", "indicator_type", "organizations", "detection_type",
    ];
    let filters = object("filters", value, &[], &known)?;
    let (from, to) = match filters.get("detection_time") {
        Some(time) => detection_time(time)?,
        None => (None, None),
    };
    Ok(Filters {
        from,
        to,
        methods: choices(filters, "submission_method", Some(&SUBMISSION_METHODS))?,
        types: choices(filters, "indicator_type", Some(&IOC_TYPES))?,
        organizations: choices(filters, "organizations", None)?,
        detection_types: choices(filters, "detection_type", Some(&DETECTION_TYPES))?,
    })
}

type OptionalTime = Option<DateTime<Utc>>;

fn detection_time(value: &Value) -> Checked<(OptionalTime, OptionalTime)> {
    let at = "filters.detection_time";
    let range = object(at, value, &[], &["from", "to"])?;
    let time = |key: &str| {
        let Some(value) = range.get(key) else { return Ok(None) };
        let text = text(&format!("{at}.{key}"), value)?;
        let time = parse_zulu(text).ok_or_else(|| format!("{at}.{key} must be a time in UTC"));
        time.map(Some)
    };
    let (from, to) = (time("from")?, time("to")?);
    if from > to && to.is_some() {
        return Err(format!("{at}.from must not be after {at}.to"));
    }
    Ok((from, to))
}

fn choices(
    filters: &Map<String, Value>,
    key: &str,
    known: Option<&[&str]>,
) -> Checked<Option<Vec<String>>> {
    let Some(value) = filters.get(key) else { return Ok(None) };
    let at = format!("filters.{key}");
    let entries = list(&at, value)?.iter().map(|entry| match known {
        Some(known) => one_of(&at, entry, known).map(str::to_owned),
        None => text(&at, entry).map(str::to_owned),
    });
    entries.collect::<Checked<_>>().map(Some)
}

/// Returns all rows that a token can see, the latest first.
fn rows(
    world: &RecordedFutureWorld,
    recorder: &Recorder,
    now: DateTime<Utc>,
    token: &str,
) -> Vec<Value> {
    let search = &world.search;
    let records = recorder.lock();
    let is_visible = |stored: &&StoredItem| {
        let value = stored.item["ioc"]["value"].as_str().unwrap_or_default();
        stored.token == token
            && stored.stored_at + search.lag <= now
            && !search.never_found.iter().any(|never| never == value)
    };
    let mut seen = HashSet::new();
    let mut rows: Vec<Value> = Vec::new();
    for (number, stored) in records.stored.iter().enumerate().filter(|(_, item)| is_visible(item)) {
        let ioc = &stored.item["ioc"];
        let is_new = seen.insert((ioc["type"].to_string(), ioc["value"].to_string()));
        if is_new || !search.merges_repeats {
            rows.push(row(number, stored));
        }
    }
    rows.extend(search.foreign_rows.iter().cloned());
    rows.sort_by_key(|row| std::cmp::Reverse(time_of(row)));
    rows
}

fn row(number: usize, stored: &StoredItem) -> Value {
    let StoredItem { item, organization_ids, .. } = stored;
    let mut row = json!({
        "id": format!("detection-{number}"),
        "organizations": organization_ids.clone().unwrap_or_default(),
        "submission_method": "api",
        "detection_type": item["detection"]["type"],
        "detection_time": item["timestamp"],
        "indicator": {
            "type": item["ioc"]["type"],
            "value": item["ioc"]["value"],
            "field": item["ioc"]["field"],
            "risk": {"score": {"at_detection": 5}},
        },
        "detection_rules": [],
        "associated_threats": {},
    });
    if let Some(incident) = item.get("incident") {
        row["incident"] = incident.clone();
    }
    row
}

fn time_of(row: &Value) -> Option<DateTime<Utc>> {
    parse_rfc3339(row["detection_time"].as_str()?)
}

impl Filters {
    fn matches(&self, row: &Value) -> bool {
        let is_one = |choices: &Option<Vec<String>>, value: &Value| {
            let Some(choices) = choices else { return true };
            value.as_str().is_some_and(|value| choices.iter().any(|choice| choice == value))
        };
        let is_in_range = match time_of(row) {
            Some(time) => {
                self.from.is_none_or(|from| from <= time) && self.to.is_none_or(|to| time <= to)
            }
            None => self.from.is_none() && self.to.is_none(),
        };
        let organizations = row["organizations"].as_array();
        let is_of_organization = self.organizations.is_none()
            || organizations
                .is_some_and(|all| all.iter().any(|id| is_one(&self.organizations, id)));
        is_in_range
            && is_of_organization
            && is_one(&self.methods, &row["submission_method"])
            && is_one(&self.types, &row["indicator"]["type"])
            && is_one(&self.detection_types, &row["detection_type"])
    }
}

fn page(world: &RecordedFutureWorld, rows: &[Value], search: &Search, fault: &Fault) -> Response {
    let found: Vec<&Value> = rows.iter().filter(|row| search.filters.matches(row)).collect();
    let limit = search.limit.min(world.search.max_page_size);
    let is_later = search.offset > 0;
    let offset = match fault {
        Fault::RepeatedPage if is_later => search.offset.saturating_sub(limit),
        Fault::LoopingPage if is_later => 0,
        _ => search.offset,
    };
    let is_empty = *fault == Fault::EmptyPage && is_later;
    let (total, limit) = if is_empty { (0, 0) } else { (found.len(), limit) };
    let data: Vec<&Value> = found.into_iter().skip(offset).take(limit).collect();
    let mut body = json!({"counts": {"returned": data.len(), "total": total}, "data": data});
    if *fault == Fault::WithoutPagination || !world.search.has_counts {
        body.as_object_mut().expect("an object").remove("counts");
    }
    Response::json(200, body.to_string())
}
