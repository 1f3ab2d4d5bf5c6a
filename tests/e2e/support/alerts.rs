//! Alerts made by hand, in the shapes the contracts describe. Times are within the 24 hours before the
//! staged [`NOW`](super::NOW).

use serde_json::{Value, json};

/// When made alerts happened, unless a test says otherwise.
pub const HAPPENED: &str = "2026-11-21T08:00:00.123Z";

/// A SHA-256 that is told apart by its number.
pub fn sha256(number: u64) -> String {
    format!("{number:064x}")
}

/// A Falcon alert of product `epp` with an IOC, created a minute after it happened.
pub fn falcon(id: &str, ioc_type: &str, ioc_value: &str) -> Value {
    json!({
        "composite_id": id,
        "product": "epp",
        "type": "ldt",
        "created_timestamp": "2026-11-21T08:01:00.123456789Z",
        "timestamp": HAPPENED,
        "severity": 70,
        "confidence": 80,
        "description": "A file was written.",
        "display_name": "FileWritten",
        "ioc_type": ioc_type,
        "ioc_value": ioc_value,
        "ioc_context": [],
        "tactic_id": "TA0002",
        "technique_id": "T1204",
    })
}

/// A Carbon Black watchlist alert with an IOC hit.
pub fn carbonblack(id: &str, process_sha256: &str) -> Value {
    json!({
        "id": id,
        "type": "WATCHLIST",
        "backend_timestamp": "2026-11-21T08:01:00.123Z",
        "detection_timestamp": HAPPENED,
        "severity": 5,
        "reason": "A process matched a watchlist.",
        "ioc_hit": "process_name:made.exe",
        "process_sha256": process_sha256,
        "attack_tactic": "",
        "attack_technique": "T1059.001",
        "ttps": ["MITRE_T1204_002_MALICIOUS_FILE", "RUN_CMD_SHELL"],
    })
}

/// An alert with one field set to a value.
pub fn with(mut alert: Value, field: &str, value: Value) -> Value {
    alert[field] = value;
    alert
}

/// An alert with one field taken away.
pub fn without(mut alert: Value, field: &str) -> Value {
    alert.as_object_mut().unwrap().remove(field);
    alert
}

/// A Falcon alert that was created, and happened, at that time.
pub fn at(number: u64, created: &str) -> Value {
    let alert = falcon(&format!("id{number}"), "hash_sha256", &sha256(number));
    with(with(alert, "created_timestamp", json!(created)), "timestamp", json!(created))
}

/// The values of several such alerts.
pub fn hashes(numbers: impl IntoIterator<Item = u64>) -> Vec<String> {
    numbers.into_iter().map(sha256).collect()
}
