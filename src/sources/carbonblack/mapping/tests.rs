use serde_json::{Value, json};

use super::*;
use crate::indicator::RejectReason;

const MD5: &str = "00000000000000000000000000000bad";

fn sha256(number: u64) -> String {
    format!("{number:064x}")
}

fn parse(alert: &Value, choice: IndicatorChoice) -> ParsedAlert {
    let text = alert.to_string();
    parse_alert(serde_json::from_str(&text).unwrap(), choice)
}

fn detection(alert: &Value, choice: IndicatorChoice) -> Detection {
    match parse(alert, choice).outcome {
        AlertOutcome::Detection(detection) => *detection,
        outcome => panic!("{alert}: {outcome:?}"),
    }
}

/// The alert that has these fields in addition to those that a detection needs.
fn alert(fields: &Value) -> Value {
    let mut alert = json!({
        "id": "a1",
        "backend_timestamp": "2026-11-21T08:01:00Z",
        "ioc_hit": "process_name:made.exe",
        "process_sha256": sha256(1),
    });
    for (key, value) in fields.as_object().unwrap() {
        alert[key] = value.clone();
    }
    alert
}

fn values(fields: &Value, choice: IndicatorChoice) -> Vec<(&'static str, String)> {
    let mentions = detection(&alert(fields), choice).mentions.into_iter();
    let value = |mention: &Mention| mention.indicator.as_ref().unwrap().value().to_owned();
    mentions.map(|mention| (mention.field, value(&mention))).collect()
}

#[test]
fn except_for_malicious_only_alerts_that_blocked_a_file_or_hit_an_ioc_are_wanted() {
    for empty in [json!(null), json!(""), json!("  ")] {
        let fields = json!({"ioc_hit": empty, "blocked_md5": empty, "severity": 5});
        let assessment = Assessment { severity: Some(5), ..Assessment::default() };
        let outcome = parse(&alert(&fields), IndicatorChoice::Both).outcome;
        assert_eq!(
            outcome,
            AlertOutcome::WithoutIndicator(BareAlert::new(assessment, None, false)),
            "{empty}"
        );
    }
    for wanted in ["blocked_sha256", "blocked_md5", "ioc_hit"] {
        let mut fields = json!({"ioc_hit": null});
        fields[wanted] = json!("anything");
        let found = values(&fields, IndicatorChoice::Process);
        assert_eq!(found, [("process_sha256", sha256(1))], "{wanted}");
    }
}

#[test]
fn the_choice_of_hashes_decides_what_is_mentioned() {
    let process = || ("process_sha256", sha256(1));
    let blocked = || ("blocked_sha256", sha256(2));
    let fields = json!({"blocked_sha256": sha256(2), "blocked_md5": MD5});
    assert_eq!(values(&fields, IndicatorChoice::Process), [process()]);
    assert_eq!(values(&fields, IndicatorChoice::Blocked), [blocked()]);
    assert_eq!(values(&fields, IndicatorChoice::Both), [process(), blocked()]);
    let md5_only = json!({"blocked_sha256": "", "blocked_md5": MD5});
    assert_eq!(values(&md5_only, IndicatorChoice::Blocked), [("blocked_md5", MD5.to_owned())]);
    let none = parse(&alert(&json!({})), IndicatorChoice::Blocked).outcome;
    assert_eq!(none, AlertOutcome::WithoutIndicator(BareAlert::default()));
}

#[test]
fn a_malformed_hash_is_a_mention_with_its_reason() {
    let alert = alert(&json!({"process_sha256": "1234"}));
    let mentions = detection(&alert, IndicatorChoice::Process).mentions;
    let rejected = mentions[0].indicator.as_ref().unwrap_err();
    assert_eq!((rejected.reason, &*rejected.text), (RejectReason::Invalid, "1234"));
    assert_eq!((mentions.len(), mentions[0].field), (1, "process_sha256"));
}

#[test]
fn the_time_of_the_detection_has_a_fallback() {
    let both = json!({"detection_timestamp": "2026-11-20T08:00:00Z"});
    let both = detection(&alert(&both), IndicatorChoice::Process);
    assert_eq!(both.observed_at.to_rfc3339(), "2026-11-20T08:00:00+00:00");
    assert_eq!(both.created_at.to_rfc3339(), "2026-11-21T08:01:00+00:00");
    let backend_only = detection(&alert(&json!({})), IndicatorChoice::Process);
    assert_eq!(backend_only.observed_at, both.created_at);
}

#[test]
fn an_alert_with_an_indicator_but_without_id_or_time_is_unreadable() {
    let no_id = parse(&alert(&json!({"id": ""})), IndicatorChoice::Process).outcome;
    assert_eq!(no_id, AlertOutcome::Unreadable { id: None, reason: "it has no id" });
    let no_time = json!({"backend_timestamp": "yesterday"});
    let no_time = parse(&alert(&no_time), IndicatorChoice::Process).outcome;
    assert!(
        matches!(&no_time, AlertOutcome::Unreadable { id: Some(id), .. } if id == "a1"),
        "{no_time:?}"
    );
}

#[test]
fn a_malicious_file_is_a_mention_of_any_alert() {
    let mentions = |fields: &Value| match parse(&alert(fields), IndicatorChoice::Malicious).outcome
    {
        AlertOutcome::Detection(detection) => {
            detection.mentions.iter().map(|mention| mention.field).collect()
        }
        _ => Vec::new(),
    };
    let bad = "KNOWN_MALWARE";
    for (fields, expected) in [
        (json!({"ioc_hit": "", "process_effective_reputation": bad}), vec!["process_sha256"]),
        (json!({"process_effective_reputation": "TRUSTED_WHITE_LIST"}), vec![]),
        (json!({"process_effective_reputation": "NOT_LISTED"}), vec![]),
        (json!({"process_reputation": bad}), vec![]),
        (
            json!({"blocked_sha256": sha256(2), "blocked_effective_reputation": "PUP"}),
            vec!["blocked_sha256"],
        ),
        (
            json!({"blocked_md5": MD5, "blocked_effective_reputation": "adware"}),
            vec!["blocked_md5"],
        ),
        (
            json!({
                "blocked_sha256": sha256(2),
                "blocked_effective_reputation": bad,
                "process_effective_reputation": bad,
            }),
            vec!["process_sha256", "blocked_sha256"],
        ),
        (
            json!({"process_sha256": "", "process_md5": MD5, "process_effective_reputation": bad}),
            vec!["process_md5"],
        ),
        (
            json!({
                "blocked_sha256": "malformed",
                "blocked_md5": MD5,
                "blocked_effective_reputation": bad,
            }),
            vec!["blocked_md5"],
        ),
    ] {
        assert_eq!(mentions(&fields), expected, "{fields}");
    }
}

#[test]
fn an_ioc_hit_is_an_indicator_where_its_field_says_so() {
    let hit = |field: &str, value: &str, reputation: &str| {
        let fields = json!({
            "ioc_field": field,
            "ioc_hit": value,
            "process_effective_reputation": reputation,
        });
        match parse(&alert(&fields), IndicatorChoice::Malicious).outcome {
            AlertOutcome::Detection(detection) => {
                let mention = detection.mentions[0].clone();
                assert_eq!((detection.mentions.len(), mention.field), (1, "ioc_hit"));
                let value = mention.indicator.map(|found| found.value().to_owned());
                Some((value.map_err(|rejected| rejected.reason), mention.trusted))
            }
            _ => None,
        }
    };
    let trusted = "TRUSTED_WHITE_LIST";
    for (field, value) in [
        ("modload_sha256", sha256(7)),
        ("process_sha256", sha256(7)),
        ("childproc_MD5", MD5.to_owned()),
        ("netconn_ipv4", "9.9.9.9".to_owned()),
        ("netconn_ipv6", "2606:4700::1".to_owned()),
        ("netconn_domain", "evil.example.com".to_owned()),
    ] {
        assert_eq!(hit(field, &value, trusted), Some((Ok(value.clone()), false)), "{field}");
    }
    let own = sha256(1);
    assert_eq!(hit("process_sha256", &own, trusted), Some((Ok(own.clone()), true)));
    assert_eq!(hit("process_sha256", &own, "NOT_LISTED"), Some((Ok(own), false)));
    assert_eq!(
        hit("netconn_ipv4", "process_name:x", ""),
        Some((Err(RejectReason::Invalid), false))
    );
    for field in ["", "process_name", "sha256", "netconn_port"] {
        assert_eq!(hit(field, &sha256(7), trusted), None, "{field}");
    }
}

#[test]
fn an_ioc_is_trusted_if_the_file_in_its_field_is() {
    for (field, reputation, expected) in [
        ("process_md5", "process_effective_reputation", true),
        ("parent_sha256", "parent_effective_reputation", true),
        ("childproc_sha256", "childproc_effective_reputation", true),
        ("ChildProc_MD5", "childproc_effective_reputation", true),
        ("childproc_sha256", "process_effective_reputation", false),
        // The alert names another file there.
        ("process_sha256", "process_effective_reputation", false),
        ("netconn_ipv4", "process_effective_reputation", false),
    ] {
        let hit = match field.rsplit_once('_').unwrap().1 {
            "sha256" => sha256(7),
            "ipv4" => "9.9.9.9".to_owned(),
            _ => MD5.to_owned(),
        };
        let fields = json!({"ioc_field": field, "ioc_hit": hit, reputation: "LOCAL_WHITE"});
        let mentions = detection(&alert(&fields), IndicatorChoice::Malicious).mentions;
        assert_eq!((mentions.len(), mentions[0].trusted), (1, expected), "{field}");
    }
}

#[test]
fn a_hash_that_is_trusted_elsewhere_in_the_alert_is_trusted() {
    let hit = json!({"ioc_field": "childproc_sha256", "ioc_hit": sha256(7)});
    for (field, hash, expected) in
        [("parent", sha256(7), true), ("parent", sha256(8), false), ("childproc", sha256(8), false)]
    {
        let mut fields = hit.clone();
        fields[format!("{field}_sha256")] = hash.into();
        fields[format!("{field}_effective_reputation")] = "LOCAL_WHITE".into();
        let mentions = detection(&alert(&fields), IndicatorChoice::Malicious).mentions;
        assert_eq!((mentions.len(), mentions[0].trusted), (1, expected), "{fields}");
    }
    let twice = json!({
        "process_effective_reputation": "KNOWN_MALWARE",
        "blocked_sha256": sha256(1),
        "blocked_effective_reputation": "TRUSTED_WHITE_LIST",
    });
    assert!(detection(&alert(&twice), IndicatorChoice::Malicious).mentions[0].trusted);
}

#[test]
fn a_trusted_file_is_marked() {
    let fields = json!({
        "process_effective_reputation": "TRUSTED_WHITE_LIST",
        "blocked_sha256": sha256(2),
        "blocked_effective_reputation": "KNOWN_MALWARE",
    });
    let mentions = detection(&alert(&fields), IndicatorChoice::Both).mentions;
    let trusted: Vec<_> = mentions.iter().map(|mention| (mention.field, mention.trusted)).collect();
    assert_eq!(trusted, [("process_sha256", true), ("blocked_sha256", false)]);
}

#[test]
fn a_false_positive_is_dismissed() {
    for (value, expected) in [
        (json!({"value": "FALSE_POSITIVE"}), true),
        (json!({"value": "false_positive"}), true),
        (json!({"value": "TRUE_POSITIVE"}), false),
        (json!({"value": null}), false),
        (json!(null), false),
    ] {
        let alert = alert(&json!({"determination": value}));
        let assessment = detection(&alert, IndicatorChoice::Process).assessment;
        assert_eq!(assessment.dismissed, expected, "{alert}");
    }
}

#[test]
fn the_report_of_a_watchlist_hit_names_mitre_codes() {
    let fields = json!({
        "report_tags": ["t1053", "windows", null, "TA0003"],
        "report_link": "https://attack.mitre.org/techniques/T1558/003/",
    });
    let codes = detection(&alert(&fields), IndicatorChoice::Process).mitre_codes;
    let codes: Vec<String> = codes.iter().map(ToString::to_string).collect();
    assert_eq!(codes, ["T1053", "T1558.003", "TA0003"]);
}

#[test]
fn mitre_codes_come_from_the_attack_fields_and_the_ttps() {
    let fields = json!({
        "attack_tactic": "",
        "attack_technique": "T1059.001",
        "ttps": ["MITRE_T1204_002_MALICIOUS_FILE", "RUN_CMD_SHELL", 5],
    });
    let codes = detection(&alert(&fields), IndicatorChoice::Process).mitre_codes;
    let codes: Vec<String> = codes.iter().map(ToString::to_string).collect();
    assert_eq!(codes, ["T1059.001", "T1204.002"]);
}
