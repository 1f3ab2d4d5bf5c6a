//! Alerts in the documented formats, created within the 24 hours before [`NOW`](super::NOW).

use serde_json::{Value, json};

/// The time of the detected event, unless a test sets another.
pub const EVENT_TIME: &str = "2026-11-21T08:00:00.123Z";

/// Returns a SHA-256 that is unique per number.
pub fn sha256(number: u64) -> String {
    format!("5a{number:062x}")
}

/// Returns a Falcon alert of product `epp` with an IOC, created a minute after the event.
pub fn falcon(id: &str, ioc_type: &str, ioc_value: &str) -> Value {
    json!({
        "composite_id": id,
        "product": "epp",
        "type": "ldt",
        "created_timestamp": "2026-11-21T08:01:00.123456789Z",
        "timestamp": EVENT_TIME,
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

/// Returns a Carbon Black watchlist alert with an IOC hit.
pub fn carbonblack(id: &str, process_sha256: &str) -> Value {
    json!({
        "id": id,
        "type": "WATCHLIST",
        "backend_timestamp": "2026-11-21T08:01:00.123Z",
        "detection_timestamp": EVENT_TIME,
        "severity": 5,
        "reason": "A process matched a watchlist.",
        "ioc_hit": "process_name:made.exe",
        "process_sha256": process_sha256,
        "attack_tactic": "",
        "attack_technique": "T1059.001",
        "ttps": ["MITRE_T1204_002_MALICIOUS_FILE", "RUN_CMD_SHELL"],
    })
}

/// Sets a field of an alert.
pub fn with(mut alert: Value, field: &str, value: Value) -> Value {
    alert[field] = value;
    alert
}

/// Removes a field of an alert.
pub fn without(mut alert: Value, field: &str) -> Value {
    alert.as_object_mut().unwrap().remove(field);
    alert
}

/// Returns a Falcon alert whose creation and event have this time.
pub fn falcon_at(number: u64, time: &str) -> Value {
    let alert = falcon(&format!("id{number}"), "hash_sha256", &sha256(number));
    with(with(alert, "created_timestamp", json!(time)), "timestamp", json!(time))
}

/// Returns the indicators of alerts with these numbers.
pub fn hashes(numbers: impl IntoIterator<Item = u64>) -> Vec<String> {
    numbers.into_iter().map(sha256).collect()
}
