//! Generates Carbon Black alerts.

use chrono::TimeDelta;
use serde_json::{Map, Value, json};

use super::Recipe;
use super::prng::{Prng, Sample};
use super::reputation::{Judgement, NamedFile};
use crate::time::millis;
use crate::world::CB_ORG;

/// Alert types, each after its weight.
const TYPES: [(u64, &str); 7] = [
    (40, "CB_ANALYTICS"),
    (40, "WATCHLIST"),
    (6, "HOST_BASED_FIREWALL"),
    (5, "INTRUSION_DETECTION_SYSTEM"),
    (5, "DEVICE_CONTROL"),
    (3, "CONTAINER_RUNTIME"),
    (1, "FUTURE_TYPE"),
];

/// The severities of recorded alerts, each after its weight.
const SEVERITIES: [(u64, u64); 9] =
    [(4, 1), (1, 2), (2, 3), (4, 4), (5, 5), (1, 6), (1, 7), (2, 8), (3, 9)];

/// Techniques of watchlists: as a tag, and as the path of a link to MITRE.
const TECHNIQUES: [(&str, &str); 4] = [
    ("t1053", "techniques/T1053/"),
    ("t1558.003", "techniques/T1558/003/"),
    ("t1218", "wiki/Technique/T1218"),
    ("t1059.001", "techniques/T1059/001"),
];

/// Generates the fields of one alert, without padding.
pub(super) fn alert(recipe: &Recipe, index: usize) -> Map<String, Value> {
    let mut random = recipe.random(index, 2);
    let kind = random.weighted(&TYPES);
    let backend = recipe.created(index);
    // One in fifty is from a sensor that was offline for days.
    let delay = if random.chance(0.02) { TimeDelta::days(3) } else { TimeDelta::seconds(30) };
    let id = random.uuid();
    let mut judgement_random = recipe.random(index, 4);
    let mut alert = object(json!({
        "org_key": CB_ORG,
        "alert_url": format!("console.example.com/alerts?s[c][query_string]=id:{id}&orgKey={CB_ORG}"),
        "id": id,
        "type": kind,
        "backend_timestamp": millis(backend),
        "backend_update_timestamp": millis(backend + TimeDelta::minutes(10)),
        "detection_timestamp": millis(backend - delay),
        "user_update_timestamp": null,
        "severity": random.weighted(&SEVERITIES),
        "reason": format!("A made-up rule {} matched.", random.below(40)),
        "policy_applied": "NOT_APPLIED", "run_state": "RAN", "sensor_action": "ALLOW",
        "determination": determination(&mut judgement_random),
        "tags": if random.chance(0.5) { json!("") } else { Value::Null },
    }));
    if !matches!(kind, "DEVICE_CONTROL" | "CONTAINER_RUNTIME" | "FUTURE_TYPE") {
        let names_indicator = recipe.random(index, 3).chance(recipe.indicator_share);
        let judgement = judge_process(kind, names_indicator, &mut judgement_random);
        add_process(&mut alert, judgement, recipe, (&mut random, &mut judgement_random));
        if kind == "WATCHLIST" {
            add_report(&mut alert, &mut recipe.random(index, 5));
        } else {
            add_attack(&mut alert, &mut random);
        }
        match (names_indicator, kind) {
            (true, "WATCHLIST") => add_ioc_hit(&mut alert, recipe, &mut random),
            (true, _) => add_blocked(&mut alert, recipe, (&mut random, &mut judgement_random)),
            (false, _) => add_empty_indicator(&mut alert, &mut random),
        }
    }
    alert
}

/// Returns the verdict of the analysts; there is none on most alerts.
fn determination(random: &mut Prng) -> Value {
    match random.below(100) {
        0..15 => Value::Null,
        15..90 => json!({"value": "NONE"}),
        90..94 => json!({"value": "TRUE_POSITIVE"}),
        _ => json!({"value": "FALSE_POSITIVE"}),
    }
}

/// Returns how the acting process is judged. In recorded alerts it is nearly always trusted where
/// the alert has an indicator, and all malware is in `CB_ANALYTICS` alerts without an indicator.
fn judge_process(kind: &str, names_indicator: bool, random: &mut Prng) -> Judgement {
    let (trusted, bad, undecided) = match (kind, names_indicator) {
        (_, true) => (94, 1, 5),
        ("CB_ANALYTICS", false) => (65, 20, 15),
        (_, false) => (84, 2, 14),
    };
    random.weighted(&[
        (trusted, Judgement::Trusted),
        (bad, Judgement::Bad),
        (undecided, Judgement::Undecided),
    ])
}

/// Adds the acting process. Its hash is sometimes missing or malformed.
fn add_process(
    alert: &mut Map<String, Value>,
    judgement: Judgement,
    recipe: &Recipe,
    (random, judgement_random): (&mut Prng, &mut Prng),
) {
    let file = NamedFile { judgement, number: random.below(recipe.distinct.max(1) as u64) };
    let hash = file.sample();
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
    if let Some(reputation) = file.effective_reputation(judgement_random) {
        alert.insert("process_effective_reputation".into(), reputation);
    }
    alert.insert(
        "process_issuer".into(),
        if random.chance(0.5) { json!([]) } else { json!("Made Up CA") },
    );
}

/// Adds the techniques of an alert of another type than a watchlist.
fn add_attack(alert: &mut Map<String, Value>, random: &mut Prng) {
    if !random.chance(0.5) {
        alert.extend(object(json!({"attack_tactic": "", "attack_technique": ""})));
        return;
    }
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

/// Adds the report of a watchlist, which names a technique in its tags, in its link, in both or not
/// at all. Recorded alerts of watchlists have neither `attack_technique` nor `ttps`.
fn add_report(alert: &mut Map<String, Value>, random: &mut Prng) {
    let (tag, path) = random.weighted(&TECHNIQUES.map(|technique| (1, technique)));
    let mut tags = vec!["attack", "attackframework", "windows"];
    if random.chance(0.5) {
        tags.push(tag);
    }
    let link = match random.below(10) {
        0..5 => format!("https://attack.mitre.org/{path}"),
        5..8 => String::new(),
        _ => "https://example.com/reports/1".to_owned(),
    };
    alert.insert("report_name".into(), "Made-up report".into());
    alert.insert("report_tags".into(), if random.chance(0.2) { json!([]) } else { json!(tags) });
    alert.insert("report_link".into(), link.into());
}

/// Adds what a watchlist hit: usually the text of its query, sometimes a value of a field.
fn add_ioc_hit(alert: &mut Map<String, Value>, recipe: &Recipe, random: &mut Prng) {
    let number = random.below(recipe.distinct.max(1) as u64);
    let bad = NamedFile { judgement: Judgement::Bad, number }.sample();
    let (field, hit) = match random.below(100) {
        0..44 => ("", format!("process_name:made-up-{number}.exe")),
        44..85 => (
            "",
            format!(
                "(process_cmdline:made-up AND NOT (process_name:c\\:\\\\ok.exe)) OR netconn_domain:{}",
                Sample(number).domain()
            ),
        ),
        // The acting process itself, however it is judged.
        85..88 => process_hash(alert),
        88..92 => ("childproc_sha256", bad.hash(64)),
        92..95 => ("netconn_ipv4", Sample(number).ipv4()),
        95..96 => ("netconn_ipv4", Sample(number).private_ipv4()),
        96..99 => ("netconn_domain", Sample(number).domain()),
        _ => ("process_name", format!("made-up-{number}.exe")),
    };
    alert.insert("ioc_field".into(), field.into());
    alert.insert("ioc_hit".into(), hit.into());
}

/// Returns a hash of the acting process, with its field.
fn process_hash(alert: &Map<String, Value>) -> (&'static str, String) {
    let hash = |field| match alert.get(field).and_then(Value::as_str) {
        Some(hash) if !hash.is_empty() => Some((field, hash.to_owned())),
        _ => None,
    };
    hash("process_sha256").or_else(|| hash("process_md5")).unwrap_or_default()
}

/// Adds a blocked file: in recorded alerts a trusted program that a policy stopped.
fn add_blocked(
    alert: &mut Map<String, Value>,
    recipe: &Recipe,
    (random, judgement_random): (&mut Prng, &mut Prng),
) {
    let judgement = judgement_random.weighted(&[
        (75, Judgement::Trusted),
        (15, Judgement::Bad),
        (10, Judgement::Undecided),
    ]);
    let file = NamedFile { judgement, number: random.below(recipe.distinct.max(1) as u64) };
    let hash = file.sample();
    alert.insert("policy_applied".into(), "APPLIED".into());
    alert.insert("run_state".into(), "DID_NOT_RUN".into());
    alert.insert("sensor_action".into(), "TERMINATE".into());
    alert.insert("blocked_name".into(), "c:\\users\\made-up\\dropped.exe".into());
    if let Some(reputation) = file.effective_reputation(judgement_random) {
        alert.insert("blocked_effective_reputation".into(), reputation);
    }
    let (sha256, md5) = match random.below(10) {
        0 => (String::new(), hash.hash(32)),
        1 => (hash.hash(64).to_uppercase(), String::new()),
        2 => (hash.hash(60), hash.hash(32)),
        _ => (hash.hash(64), hash.hash(32)),
    };
    alert.insert("blocked_sha256".into(), sha256.into());
    alert.insert("blocked_md5".into(), md5.into());
}

/// Adds the keys of an indicator without a value: absent, empty or null, like the service.
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
        "parent_effective_reputation": "TRUSTED_WHITE_LIST", "childproc_effective_reputation": "RESOLVING",
        "report_id": random.hex(40),
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
