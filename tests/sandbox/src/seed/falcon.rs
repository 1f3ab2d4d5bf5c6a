//! Generates Falcon alerts.

use chrono::TimeDelta;
use serde_json::{Map, Value, json};

use super::Recipe;
use super::customer_cid;
use super::prng::{Prng, Sample};
use crate::time::{millis, trimmed};

/// The number of the first [`Sample`] that is malware which Falcon stopped: above all other files.
const FIRST_MALWARE: u64 = 1 << 32;

/// Name, tactic, tactic id, technique, technique id. The ids are MITRE's or CrowdStrike's own.
const PATTERNS: [(&str, &str, &str, &str, &str); 6] = [
    ("MadeUpDropper", "Execution", "TA0002", "User Execution", "T1204"),
    ("MadeUpInjection", "Defense Evasion", "TA0005", "Process Hollowing", "T1055.012"),
    ("MadeUpBeacon", "Command and Control", "TA0011", "Web Protocols", "T1071.001"),
    ("MadeUpModel", "Machine Learning", "CSTA0004", "Sensor-based ML", "CST0007"),
    ("MadeUpIntel", "Custom Intelligence", "CSTA0005", "Indicator of Compromise", "CST0005"),
    ("MadeUpTheft", "Credential Access", "TA0006", "LSASS Memory", "T1003.001"),
];

/// The kind of an alert. Most are endpoint alerts.
#[derive(Debug, Clone, Copy, PartialEq)]
enum AlertKind {
    /// `epp`/`ldt`: the most frequent one.
    Endpoint,
    /// `epp`/`ods`: an on-demand scan. It has no confidence and no description.
    Scan,
    /// `xdr`. It has no severity and no confidence.
    Xdr,
    /// `idp`: identity protection.
    Identity,
}

/// Generates the fields of one alert, without padding.
pub(super) fn alert(recipe: &Recipe, index: usize) -> Map<String, Value> {
    let mut random = recipe.random(index, 2);
    let kind = random.weighted(&[
        (88, AlertKind::Endpoint),
        (5, AlertKind::Scan),
        (4, AlertKind::Xdr),
        (3, AlertKind::Identity),
    ]);
    let (name, tactic, tactic_id, technique, technique_id) = PATTERNS[index % PATTERNS.len()];
    let (product, type_) = match kind {
        AlertKind::Endpoint => ("epp", "ldt"),
        AlertKind::Scan => ("epp", "ods"),
        AlertKind::Xdr => ("xdr", "xdr"),
        AlertKind::Identity => ("idp", "idp-session-source-user-endpoint-target-info"),
    };
    let created = recipe.created(index);
    let happened = created
        - TimeDelta::milliseconds(30_000 + i64::try_from(random.below(60_000)).unwrap_or(0));
    let (agent, serial) = (random.hex(32), random.below(1 << 40));
    let customer = customer_cid(index % recipe.customers.max(1));
    let marker = if kind == AlertKind::Xdr { "xdr|inc-" } else { "" };
    let mut alert = object(json!({
        "agent_id": agent,
        "aggregate_id": if kind == AlertKind::Endpoint { format!("aggind:{agent}:{serial}") } else { String::new() },
        "composite_id": format!("{customer}:ind:{agent}:{marker}{serial}-{index}"),
        "created_timestamp": trimmed(created),
        "timestamp": millis(happened),
        "updated_timestamp": trimmed(created + TimeDelta::hours(1)),
        "name": name, "display_name": name,
        "product": product, "type": type_,
        "tactic": tactic, "tactic_id": tactic_id, "technique": technique, "technique_id": technique_id,
        "status": "new", "ioc_context": [],
    }));
    // The hashes of a program that triggered many alerts. Alerts of other products name no file.
    let hashes = (Sample(random.below(50)).hash(64), Sample(random.below(50)).hash(32));
    if matches!(kind, AlertKind::Endpoint | AlertKind::Scan) {
        alert.insert("sha256".into(), hashes.0.into());
        alert.insert("md5".into(), hashes.1.into());
    }
    if kind != AlertKind::Xdr {
        alert.insert(
            "severity".into(),
            random.weighted(&[(1, 10), (2, 30), (3, 50), (3, 70), (2, 90)]).into(),
        );
    }
    if kind == AlertKind::Endpoint {
        alert.insert(
            "confidence".into(),
            random.weighted(&[(1, 10), (1, 40), (4, 80), (2, 100)]).into(),
        );
        alert.insert("description".into(), format!("A process did what {name} describes.").into());
        let pair = json!([{"pattern_id": index % 9000, "tactic_id": tactic_id, "technique_id": technique_id}]);
        alert.insert("mitre_attack".into(), pair);
    }
    if recipe.own_indicators {
        let own = Sample(u64::try_from(index).unwrap_or(u64::MAX)).hash(64);
        insert_indicator(&mut alert, "hash_sha256", own);
    } else if kind != AlertKind::Xdr && recipe.random(index, 3).chance(recipe.indicator_share) {
        add_indicator(&mut alert, recipe, &mut random);
    }
    let mut random = recipe.random(index, 4);
    let key = if random.chance(0.03) { "origin_cid" } else { "cid" };
    alert.insert(key.into(), customer.into());
    add_verdict(&mut alert, &mut random);
    if matches!(kind, AlertKind::Endpoint | AlertKind::Scan) {
        add_disposition(&mut alert, kind, recipe, &mut random);
    }
    alert
}

/// Adds the analysts' verdict on an alert, which is a tag. A third of the recorded alerts are
/// `ignored`.
fn add_verdict(alert: &mut Map<String, Value>, random: &mut Prng) {
    let tags = match random.below(100) {
        0..60 => return,
        60..70 => Value::Null,
        70..80 => json!([]),
        80..85 => json!(["FalconGroupingTags/made-up"]),
        85..89 => json!(["true_positive"]),
        89..93 => json!(["false_positive"]),
        93..98 => json!(["ignored"]),
        _ => json!(["", "ignored"]),
    };
    let is_verdict = |tag: &Value| tag != "" && tag != "FalconGroupingTags/made-up";
    if tags.as_array().is_some_and(|tags| tags.iter().any(is_verdict)) {
        alert.insert("status".into(), "closed".into());
    }
    alert.insert("tags".into(), tags);
}

/// Falcon's actions on the file of an alert.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Disposition {
    Detected,
    ProcessKilled,
    ProcessBlocked,
    FileQuarantined,
}

/// Adds what Falcon did. The hash of the alert is that of malware if Falcon stopped it or a scan
/// found it, else that of the program that triggered the alert.
fn add_disposition(
    alert: &mut Map<String, Value>,
    kind: AlertKind,
    recipe: &Recipe,
    random: &mut Prng,
) {
    let malware = Sample(FIRST_MALWARE + random.below(recipe.distinct.max(1) as u64)).hash(64);
    let disposition = match kind {
        // Recorded scans have no `pattern_disposition_details`, only `quarantined`.
        AlertKind::Scan => {
            random.weighted(&[(70, Disposition::FileQuarantined), (30, Disposition::Detected)])
        }
        _ => random.weighted(&[
            (82, Disposition::Detected),
            (4, Disposition::ProcessKilled),
            (8, Disposition::ProcessBlocked),
            (6, Disposition::FileQuarantined),
        ]),
    };
    let is_quarantined = disposition == Disposition::FileQuarantined;
    let is_stopped = is_quarantined || disposition == Disposition::ProcessBlocked;
    if kind == AlertKind::Scan {
        alert.insert("quarantined".into(), is_quarantined.into());
    } else {
        let details = json!({
            "detect": false, "indicator": false, "operation_blocked": false,
            "kill_process": disposition == Disposition::ProcessKilled,
            "process_blocked": disposition == Disposition::ProcessBlocked,
            "quarantine_file": is_quarantined,
        });
        alert.insert("pattern_disposition_details".into(), details);
    }
    if is_stopped || kind == AlertKind::Scan {
        // In recorded alerts this is the same hash as the IOC, if the IOC is a SHA-256.
        let ioc = alert.get("ioc_value").and_then(Value::as_str);
        let ioc = ioc.filter(|ioc| ioc.len() == 64 && alert["ioc_type"] == "hash_sha256");
        let sha256 = ioc.map_or(malware, str::to_owned);
        if is_quarantined {
            // A quarantined file can be released afterwards.
            let state = if random.chance(0.1) { "released" } else { "quarantined" };
            let file = json!({"sha256": sha256, "filename": "dropped.exe", "state": state});
            alert.insert("quarantined_files".into(), json!([file]));
        }
        alert.insert("sha256".into(), sha256.into());
    } else if random.chance(0.04) {
        alert.remove("sha256");
    }
}

/// Adds an indicator: at the top level, in `ioc_context`, or both.
fn add_indicator(alert: &mut Map<String, Value>, recipe: &Recipe, random: &mut Prng) {
    let (ioc_type, value) = indicator(recipe, random);
    let listed = random.chance(0.5);
    if listed {
        let own = Sample(random.below(50));
        alert.insert(
            "ioc_context".into(),
            json!([{
                "ioc_type": ioc_type, "ioc_value": value, "ioc_source": "library_load",
                "sha256": own.hash(64), "md5": own.hash(32), "type": "module",
            }]),
        );
    }
    // One in six of the indicators in `ioc_context` is not at the top level.
    if !listed || !random.chance(1.0 / 6.0) {
        insert_indicator(alert, ioc_type, value);
    }
}

fn insert_indicator(alert: &mut Map<String, Value>, ioc_type: &str, value: String) {
    alert.insert("ioc_type".into(), ioc_type.into());
    alert.insert("ioc_value".into(), value.into());
    alert.insert("ioc_source".into(), "library_load".into());
}

fn indicator(recipe: &Recipe, random: &mut Prng) -> (&'static str, String) {
    let distinct = recipe.distinct.max(1) as u64;
    let (one, two) = (Sample(random.below(distinct)), Sample(random.below(distinct)));
    match random.below(100) {
        0..44 => ("hash_sha256", one.hash(64)),
        44..48 => ("hash_sha256", one.hash(64).to_uppercase()),
        48..54 => ("hash_md5", one.hash(32)),
        54..57 => ("hash_sha1", one.hash(40)),
        57..72 => ("domain", one.domain()),
        72..74 => ("domain", format!("{}.", one.domain().to_uppercase())),
        74..82 => ("ipv4", one.ipv4()),
        82..84 => ("ipv6", one.ipv6()),
        84..86 => ("domain", format!("{},{}", one.domain(), two.domain())),
        86..88 => ("hash_sha256", format!("{},{}", one.hash(64), two.hash(64))),
        88..90 => ("url", format!("http://{}/path,with,commas?n={}", one.domain(), one.0)),
        90..92 => ("ipv4", one.private_ipv4()),
        92..94 => ("registry_key", format!(r"\REGISTRY\MACHINE\SOFTWARE\Made\Up{}", one.0)),
        94..96 => ("filename", format!("made-up-{}.exe", one.0)),
        96..98 => ("hash_sha256", one.hash(28)),
        98..99 => ("behavior", "made-up behavior".into()),
        _ => ("domain", String::new()),
    }
}

/// Generates the remaining fields of a real alert: device, files, parent.
pub(super) fn padding(number: u64) -> Map<String, Value> {
    let mut random = Prng::new(0xB01D, number, 0);
    object(json!({
        "cloud_indicator": "false",
        "cmdline": format!("\"C:\\Program Files\\Made Up\\worker-{number}.exe\" --quiet --token {}", random.hex(24)),
        "data_domains": ["Endpoint"],
        "device": device(&mut random, number),
        "email_sent": true,
        "falcon_host_link": format!("https://falcon.example.com/activity/detections/{}?_cid={}", random.hex(64), random.hex(32)),
        "filename": format!("worker-{number}.exe"),
        "filepath": format!("\\Device\\HarddiskVolume3\\Program Files\\Made Up\\worker-{number}.exe"),
        "files_accessed": files(&mut random), "files_written": files(&mut random),
        "global_prevalence": "low", "local_prevalence": "unique",
        "incident": {"id": format!("inc:{}", random.hex(64)), "score": "8.5", "created": "2026-01-01T00:00:00Z"},
        "parent_details": parent(&mut random),
        "pattern_disposition": 0,
        "pattern_disposition_description": "A made-up disposition.",
        "poly_id": random.hex(64),
        "scenario": "attacker_methodology",
        "seconds_to_resolved": 0, "seconds_to_triaged": 0, "show_in_ui": true,
        "sha1": "0".repeat(40),
        "source_products": ["Falcon Insight"], "source_vendors": ["CrowdStrike"],
        "user_name": format!("user-{number}"), "user_id": format!("S-1-5-21-{}", random.below(1 << 40)),
    }))
}

fn device(random: &mut Prng, number: u64) -> Value {
    json!({
        "agent_load_flags": "0", "agent_version": "9.99.11111.0", "agent_local_time": "2026-01-01T00:00:00.000Z",
        "bios_manufacturer": "Made Up BIOS", "bios_version": "1.0",
        "config_id_base": "11111111", "config_id_build": "11111", "config_id_platform": "3",
        "device_id": random.hex(32), "external_ip": Sample(number).ipv4(), "local_ip": Sample(number).private_ipv4(),
        "first_seen": "2026-01-01T00:00:00Z", "last_seen": "2026-01-02T00:00:00Z",
        "hostinfo": {"domain": ""}, "hostname": format!("HOST-{number}"), "mac_address": "02-00-00-00-00-01",
        "machine_domain": "", "major_version": "10", "minor_version": "0", "os_version": "Windows 11",
        "ou": null, "pod_labels": null, "platform_id": "0", "platform_name": "Windows",
        "product_type": "1", "product_type_desc": "Workstation", "status": "normal",
        "groups": [random.hex(32)],
        "system_manufacturer": "Made Up Inc.", "system_product_name": "Virtual Machine",
    })
}

fn files(random: &mut Prng) -> Value {
    json!([
        {"filename": format!("{}.tmp", random.hex(10)), "filepath": "\\Device\\HarddiskVolume3\\Temp\\", "timestamp": "1767225600"},
        {"filename": format!("{}.dll", random.hex(10)), "filepath": "\\Device\\HarddiskVolume3\\Temp\\", "timestamp": "1767225601"},
    ])
}

fn parent(random: &mut Prng) -> Value {
    json!({
        "cmdline": "\"C:\\Windows\\explorer.exe\"", "filename": "explorer.exe",
        "filepath": "\\Device\\HarddiskVolume3\\Windows\\explorer.exe", "local_process_id": "1234",
        "md5": random.hex(32), "sha256": random.hex(64),
        "process_id": random.below(1 << 50).to_string(), "timestamp": "2026-01-01T00:00:00Z",
        "user_graph_id": format!("uid:{}", random.hex(40)), "user_name": "someone",
    })
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
