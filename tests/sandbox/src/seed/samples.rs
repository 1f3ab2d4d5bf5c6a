//! Loads recorded responses from a folder that is given at run time. This crate contains none.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::time::{millis, trimmed};

/// Loads the recorded alerts in a folder (`crowdstrike/`, `carbonblack/`), without duplicates, and
/// spreads them evenly over a window: only `created_timestamp` or `backend_timestamp` is replaced.
/// Returns the alerts of Falcon and of Carbon Black, or `None` if the folder does not exist.
pub fn samples(
    dir: &Path,
    start: DateTime<Utc>,
    end: DateTime<Utc>,
) -> Option<(Vec<Value>, Vec<Value>)> {
    if !dir.is_dir() {
        return None;
    }
    let mut falcon = read(&dir.join("crowdstrike"), "resources", |name| {
        ["alert_", "sgnl_combined_page", "response_xsoar_entities"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
    });
    let mut carbon_black =
        read(&dir.join("carbonblack"), "results", |name| name.contains("alert_v7_"));
    remove_duplicates(&mut falcon, "composite_id");
    remove_duplicates(&mut carbon_black, "id");
    spread(&mut falcon, "created_timestamp", start, end, trimmed);
    spread(&mut carbon_black, "backend_timestamp", start, end, millis);
    Some((falcon, carbon_black))
}

/// Loads the alerts of the JSON files with matching names: one per file, or a list under the key
/// `list`. An element of a grouped search has its alert under `most_recent_alert`.
fn read(dir: &Path, list: &str, name_matches: impl Fn(&str) -> bool) -> Vec<Value> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(dir)
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    paths.retain(|path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.ends_with(".json") && name_matches(name)
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
    for alert in &mut alerts {
        if let Some(grouped) = alert.get_mut("most_recent_alert") {
            *alert = grouped.take();
        }
    }
    for alert in alerts.iter_mut().filter_map(Value::as_object_mut) {
        // These keys are annotations, not part of the response.
        alert.retain(|key, _| !key.starts_with('_'));
    }
    alerts
}

fn remove_duplicates(alerts: &mut Vec<Value>, id_key: &str) {
    let mut seen = HashSet::new();
    alerts.retain(|alert| match alert.get(id_key).and_then(Value::as_str) {
        Some(id) => seen.insert(id.to_owned()),
        None => true,
    });
}

/// Replaces a timestamp of the alerts, so that they are spread evenly over a window.
fn spread(
    alerts: &mut [Value],
    key: &str,
    start: DateTime<Utc>,
    end: DateTime<Utc>,
    format: fn(DateTime<Utc>) -> String,
) {
    let step = (end - start) / i32::try_from(alerts.len().max(1)).unwrap_or(i32::MAX);
    let mut time = start;
    for alert in alerts.iter_mut().filter_map(Value::as_object_mut) {
        alert.insert(key.into(), format(time).into());
        time += step;
    }
}
