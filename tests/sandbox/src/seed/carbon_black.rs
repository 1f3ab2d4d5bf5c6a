//! Generates Carbon Black alerts.

use chrono::TimeDelta;
use serde_json::{Map, Value, json};

use super::Recipe;
use super::prng::{Prng, Sample};
use crate::time::millis;
use crate::world::CB_ORG;

const TYPES: [(u64, &str); 7] = [
    (40, "CB_ANALYTICS"),
    (40, "WATCHLIST"),
    (6, "HOST_BASED_FIREWALL"),
    (5, "INTRUSION_DETECTION_SYSTEM"),
    (5, "DEVICE_CONTROL"),
    (3, "CONTAINER_RUNTIME"),
    (1, "FUTURE_TYPE"),
];

/// Generates the fields of one alert, without padding.
pub(super) fn alert(recipe: &Recipe, index: usize) -> Map<String, Value> {
    let mut random = recipe.random(index, 2);
    let kind = random.weighted(&TYPES);
    let backend = recipe.created(index);
    // One in fifty is from a sensor that was offline for days.
    let delay = if random.chance(0.02) { TimeDelta::days(3) } else { TimeDelta::seconds(30) };
    let id = random.uuid();
    let mut alert = object(json!({
        "org_key": CB_ORG,
        "alert_url": format!("console.example.com/alerts?s[c][query_string]=id:{id}&orgKey={CB_ORG}"),
        "id": id,
        "type": kind,
        "backend_timestamp": millis(backend),
        "backend_update_timestamp": millis(backend + TimeDelta::minutes(10)),
        "detection_timestamp": millis(backend - delay),
        "user_update_timestamp": null,
        "severity": 1 + random.below(10),
        "reason": format!("A made-up rule {} matched.", random.below(40)),
        "policy_applied": "NOT_APPLIED", "run_state": "RAN", "sensor_action": "ALLOW",
        "determination": null, "tags": if random.chance(0.5) { json!("") } else { Value::Null },
        "attack_tactic": "", "attack_technique": "",
    }));
    if !matches!(kind, "DEVICE_CONTROL" | "CONTAINER_RUNTIME" | "FUTURE_TYPE") {
        add_process(&mut alert, recipe, &mut random);
        if recipe.random(index, 3).chance(recipe.indicator_share) {
            add_indicator(&mut alert, kind, recipe, &mut random);
        } else {
            add_empty_indicator(&mut alert, &mut random);
        }
    }
    alert
}

/// Adds the acting process. Its hash is sometimes missing or malformed.
fn add_process(alert: &mut Map<String, Value>, recipe: &Recipe, random: &mut Prng) {
    let hash = Sample(random.below(recipe.distinct.max(1) as u64));
    let sha256 = match random.below(100) {
        0..88 => json!(hash.hash(64)),
        88..92 => json!(hash.hash(64).to_uppercase()),
        92..94 => json!(hash.hash(32)),
        94..96 => json!("not a hash"),
        96..98 => json!(""),
        _ => Value::Null,
    };
    alert.insert("process_sha256".into(), sha256);
    alert.insert("process_md5".into(), hash.hash(32).into());
    alert.insert("process_name".into(), "c:\\windows\\made-up\\worker.exe".into());
    alert.insert(
        "process_issuer".into(),
        if random.chance(0.5) { json!([]) } else { json!("Made Up CA") },
    );
    if random.chance(0.5) {
        alert.insert("attack_tactic".into(), random.pick(&["TA0002", "TA0005", "TA0011"]).into());
        alert.insert(
            "attack_technique".into(),
            random.pick(&["T1059.001", "T1055", "T1190", ""]).into(),
        );
        let ttps = json!([
            "RUN_UNKNOWN_APP",
            random.pick(&["MITRE_T1204_002_MALICIOUS_FILE", "MITRE_T1055_PROCESS_INJECT"])
        ]);
        alert.insert("ttps".into(), ttps);
    }
}

/// Adds an indicator: a blocked file, or a match of a watchlist query.
fn add_indicator(alert: &mut Map<String, Value>, kind: &str, recipe: &Recipe, random: &mut Prng) {
    let hash = Sample(random.below(recipe.distinct.max(1) as u64));
    if kind == "WATCHLIST" {
        let hit = match random.below(3) {
            0 => hash.hash(64),
            1 => format!("process_name:made-up-{}.exe", hash.0),
            _ => format!(
                "(process_cmdline:made-up AND NOT (process_name:c\\:\\\\ok.exe)) OR netconn_domain:{}",
                hash.domain()
            ),
        };
        alert.insert("ioc_hit".into(), hit.into());
        alert.insert("report_name".into(), "Made-up report".into());
        return;
    }
    alert.insert("policy_applied".into(), "APPLIED".into());
    alert.insert("run_state".into(), "DID_NOT_RUN".into());
    alert.insert("sensor_action".into(), "TERMINATE".into());
    alert.insert("blocked_name".into(), "c:\\users\\made-up\\dropped.exe".into());
    let (sha256, md5) = match random.below(10) {
        0 => (String::new(), hash.hash(32)),
        1 => (hash.hash(64).to_uppercase(), String::new()),
        2 => (hash.hash(60), hash.hash(32)),
        _ => (hash.hash(64), hash.hash(32)),
    };
    alert.insert("blocked_sha256".into(), sha256.into());
    alert.insert("blocked_md5".into(), md5.into());
}

/// Adds the same keys without a value: absent, empty or null, like the service.
fn add_empty_indicator(alert: &mut Map<String, Value>, random: &mut Prng) {
    for key in ["blocked_sha256", "blocked_md5", "ioc_hit"] {
        match random.below(3) {
            0 => {}
            1 => drop(alert.insert(key.into(), "".into())),
            _ => drop(alert.insert(key.into(), Value::Null)),
        }
    }
}

/// Generates the remaining fields of a real alert.
pub(super) fn padding(number: u64) -> Map<String, Value> {
    let mut random = Prng::new(0xCB0, number, 0);
    let mut process = |role: &str| {
        let entries = [
            ("guid", format!("{CB_ORG}-{}-{}", random.hex(16), random.hex(15))),
            ("cmdline", format!("\"c:\\made-up\\{role}.exe\" --once --key {}", random.hex(120))),
            ("username", format!("MADE-UP\\user-{number}")),
            ("effective_reputation", "TRUSTED_WHITE_LIST".to_owned()),
            ("reputation", "NOT_LISTED".to_owned()),
        ];
        entries.map(|(key, value)| (format!("{role}_{key}"), Value::from(value)))
    };
    let mut padding: Map<String, Value> =
        ["process", "parent", "childproc"].into_iter().flat_map(&mut process).collect();
    let other_process_fields = json!({
        "netconn_remote_port": -15_000, "netconn_local_port": 443, "netconn_protocol": "",
        "parent_sha256": random.hex(64), "parent_md5": "", "parent_pid": 1111, "parent_name": "c:\\made-up\\parent.exe",
        "childproc_sha256": "", "childproc_md5": "", "childproc_name": "",
        "process_pid": 2222, "process_publisher": [],
        "primary_event_id": random.hex(32), "reason_code": random.uuid(), "threat_id": random.hex(32),
        "report_description": format!("A made-up description. {}", random.hex(370)),
        "report_id": random.hex(40), "report_tags": ["made", "up"], "report_link": "https://example.com/reports/1",
        "watchlists": [{"id": random.hex(20), "name": "Made-up watchlist"}],
    });
    padding.extend(object(other_process_fields));
    padding.extend(object(device(number)));
    padding
}

fn device(number: u64) -> Value {
    let at = "2026-01-01T00:00:00.000Z";
    json!({
        "alert_notes_present": false, "threat_notes_present": false, "is_updated": false, "asset_id": null,
        "device_id": 1000 + number, "device_name": format!("MADE-UP\\HOST-{number}"), "device_uem_id": "",
        "device_os": "WINDOWS", "device_os_version": "Windows 10 x64", "device_policy": "made up",
        "device_policy_id": 4711, "device_target_value": "MEDIUM", "device_location": "OFFSITE",
        "device_username": "someone@example.com", "device_external_ip": Sample(number).ipv4(),
        "device_internal_ip": Sample(number).private_ipv4(),
        "first_event_timestamp": at, "last_event_timestamp": at,
        "mdr_alert": false, "mdr_alert_notes_present": false, "mdr_threat_notes_present": false,
        "workflow": {"change_timestamp": at, "changed_by_type": "SYSTEM", "changed_by": "ALERT_CREATION"},
    })
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
