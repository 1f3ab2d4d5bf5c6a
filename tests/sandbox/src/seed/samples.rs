//! Recorded answers, read from a folder that is given at run time. None of them is part of this crate.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::time::{millis, trimmed};

/// Reads the recorded alerts below a folder (`crowdstrike/`, `carbonblack/`), spread evenly over a window:
/// only `created_timestamp` or `backend_timestamp` is replaced. An identity is taken once.
/// Gives the alerts of Falcon and of Carbon Black, or `None` when the folder is not there.
pub fn samples(
    dir: &Path,
    start: DateTime<Utc>,
    end: DateTime<Utc>,
) -> Option<(Vec<Value>, Vec<Value>)> {
    if !dir.is_dir() {
        return None;
    }
    let mut falcon = read(&dir.join("crowdstrike"), "resources", |name| {
        name.starts_with("alert_") || name.starts_with("sgnl_combined_page")
    });
    let mut carbon_black = read(&dir.join("carbonblack"), "results", |name| {
        name.contains("alert_v7_") && !name.contains("grouped")
    });
    once(&mut falcon, "composite_id");
    once(&mut carbon_black, "id");
    shift(&mut falcon, "created_timestamp", start, end, trimmed);
    shift(&mut carbon_black, "backend_timestamp", start, end, millis);
    Some((falcon, carbon_black))
}

/// The alerts in the JSON files whose names are wanted: one in each, or a list of them below `list`.
fn read(dir: &Path, list: &str, wanted: impl Fn(&str) -> bool) -> Vec<Value> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(dir)
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    paths.retain(|path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.ends_with(".json") && wanted(name)
    });
    paths.sort();
    let texts = paths.iter().filter_map(|path| std::fs::read_to_string(path).ok());
    let files = texts.filter_map(|text| serde_json::from_str::<Value>(&text).ok());
    files.flat_map(|mut file| alerts(&mut file, list)).collect()
}

fn alerts(file: &mut Value, list: &str) -> Vec<Value> {
    let mut alerts = match file.get_mut(list) {
        Some(Value::Array(alerts)) => std::mem::take(alerts),
        _ => vec![file.take()],
    };
    for alert in alerts.iter_mut().filter_map(Value::as_object_mut) {
        // Such keys are notes of whoever keeps the files.
        alert.retain(|key, _| !key.starts_with('_'));
    }
    alerts
}

fn once(alerts: &mut Vec<Value>, identity: &str) {
    let mut seen = HashSet::new();
    alerts.retain(|alert| match alert.get(identity).and_then(Value::as_str) {
        Some(id) => seen.insert(id.to_owned()),
        None => true,
    });
}

fn shift(
    alerts: &mut [Value],
    key: &str,
    start: DateTime<Utc>,
    end: DateTime<Utc>,
    form: fn(DateTime<Utc>) -> String,
) {
    let step = (end - start) / i32::try_from(alerts.len().max(1)).unwrap_or(i32::MAX);
    let mut at = start;
    for alert in alerts.iter_mut().filter_map(Value::as_object_mut) {
        alert.insert(key.into(), form(at).into());
        at += step;
    }
}
