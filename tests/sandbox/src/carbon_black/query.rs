//! Parses the body of a search, and rejects what is unknown or invalid.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};

use crate::time::parse_zulu;

const DEFAULT_ROWS: usize = 20;
const MAX_ROWS: u64 = 10_000;
const DEFAULT_RANGE: TimeDelta = TimeDelta::weeks(2);

/// A field that results can be sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SortField {
    Backend,
    BackendUpdate,
    Detection,
    Severity,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sort {
    pub(super) field: SortField,
    pub(super) descending: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Query {
    /// The first row, counted from 1.
    pub(super) start: usize,
    pub(super) rows: usize,
    /// The range includes both ends.
    pub(super) start_time: DateTime<Utc>,
    pub(super) end_time: DateTime<Utc>,
    pub(super) sort: Vec<Sort>,
    /// The alert types to return; empty for all.
    pub(super) types: Vec<String>,
    /// The smallest severity to return, 1 to 10.
    pub(super) minimum_severity: Option<i64>,
    pub(super) excluded_types: Vec<String>,
}

impl Query {
    pub(super) fn parse(body: &[u8], now: DateTime<Utc>) -> Result<Self, String> {
        let body: Map<String, Value> = serde_json::from_slice(body)
            .map_err(|error| format!("Malformed JSON input: {error}"))?;
        let mut query = Self {
            start: 1,
            rows: DEFAULT_ROWS,
            start_time: now - DEFAULT_RANGE,
            end_time: now,
            sort: vec![Sort { field: SortField::Backend, descending: true }],
            types: Vec::new(),
            minimum_severity: None,
            excluded_types: Vec::new(),
        };
        for (key, value) in &body {
            match key.as_str() {
                "start" => query.start = start(value)?,
                "rows" => query.rows = rows(value)?,
                "time_range" => (query.start_time, query.end_time) = time_range(value)?,
                "sort" => query.sort = sorts(value)?,
                "criteria" => {
                    let criteria = object("criteria", value, &["type", "minimum_severity"])?;
                    query.types = types("criteria", criteria)?;
                    query.minimum_severity = minimum_severity(criteria)?;
                }
                "exclusions" => {
                    let exclusions = object("exclusions", value, &["type"])?;
                    query.excluded_types = types("exclusions", exclusions)?;
                }
                _ => return Err(format!("Malformed JSON input: unknown field {key:?}")),
            }
        }
        Ok(query)
    }

    /// Reports whether two queries have the same results in the same order, apart from the page.
    pub(super) fn same_search(&self, other: &Self) -> bool {
        (self.start_time, self.end_time) == (other.start_time, other.end_time)
            && self.sort == other.sort
            && self.types == other.types
            && self.minimum_severity == other.minimum_severity
            && self.excluded_types == other.excluded_types
    }
}

fn start(value: &Value) -> Result<usize, String> {
    let start = value.as_i64().ok_or("Malformed JSON input: start must be a number")?;
    let start = usize::try_from(start).ok().filter(|start| *start >= 1);
    start.ok_or_else(|| "start must be greater than or equal to 1".into())
}

fn rows(value: &Value) -> Result<usize, String> {
    let rows = value.as_u64().filter(|rows| (1..=MAX_ROWS).contains(rows));
    let rows = rows.and_then(|rows| usize::try_from(rows).ok());
    rows.ok_or_else(|| format!("rows must be between 1 and {MAX_ROWS}"))
}

fn time_range(value: &Value) -> Result<(DateTime<Utc>, DateTime<Utc>), String> {
    let range = object("time_range", value, &["start", "end"])?;
    let instant = |key: &str| {
        let text = range.get(key).and_then(Value::as_str);
        let instant = text.and_then(parse_zulu);
        instant.ok_or_else(|| {
            format!("time_range.{key} must be an RFC 3339 instant in UTC that ends with Z")
        })
    };
    let (start, end) = (instant("start")?, instant("end")?);
    if start >= end {
        return Err("time_range.start must be before time_range.end".into());
    }
    Ok((start, end))
}

fn sorts(value: &Value) -> Result<Vec<Sort>, String> {
    let list = value.as_array().ok_or("sort must be a list")?;
    list.iter().map(sort).collect()
}

fn sort(value: &Value) -> Result<Sort, String> {
    let entry = object("sort", value, &["field", "order"])?;
    let field = match entry.get("field").and_then(Value::as_str) {
        Some("backend_timestamp") => SortField::Backend,
        Some("backend_update_timestamp") => SortField::BackendUpdate,
        Some("detection_timestamp") => SortField::Detection,
        Some("severity") => SortField::Severity,
        _ => return Err("sort.field is not a sortable field".into()),
    };
    match entry.get("order").and_then(Value::as_str) {
        Some("ASC") => Ok(Sort { field, descending: false }),
        Some("DESC") => Ok(Sort { field, descending: true }),
        _ => Err("sort.order must be ASC or DESC".into()),
    }
}

fn minimum_severity(criteria: &Map<String, Value>) -> Result<Option<i64>, String> {
    let Some(value) = criteria.get("minimum_severity") else {
        return Ok(None);
    };
    let severity = value.as_i64().filter(|severity| (1..=10).contains(severity));
    severity.map(Some).ok_or_else(|| "criteria.minimum_severity must be 1 to 10".into())
}

/// Parses the types of a filter, `{"type": ["...", ...]}`.
fn types(name: &str, filter: &Map<String, Value>) -> Result<Vec<String>, String> {
    let Some(list) = filter.get("type") else {
        return Ok(Vec::new());
    };
    let list = list.as_array().ok_or_else(|| format!("{name}.type must be a list"))?;
    let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let texts: Option<Vec<String>> = list.iter().map(text).collect();
    texts.ok_or_else(|| format!("{name}.type must be a list of strings"))
}

fn object<'a>(
    name: &str,
    value: &'a Value,
    known: &[&str],
) -> Result<&'a Map<String, Value>, String> {
    let object = value.as_object().ok_or_else(|| format!("{name} must be an object"))?;
    match object.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(format!("Malformed JSON input: unknown field \"{name}.{key}\"")),
        None => Ok(object),
    }
}
