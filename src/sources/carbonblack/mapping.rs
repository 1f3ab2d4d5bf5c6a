//! Maps a Carbon Black alert to a [`Detection`].

use std::borrow::Cow;

use super::HashChoice;
use super::wire::Alert;
use crate::detection::{AlertOutcome, Detection, Mention, Scores};
use crate::indicator::{ClaimedType, Indicator};
use crate::mitre::{MitreCode, MitreCodes};
use crate::sources::parsed_alert::ParsedAlert;

/// Maps one alert. If it blocked a file or hit an IOC, the chosen hashes are its indicators.
pub(super) fn parse_alert(alert: Alert<'_>, hashes: HashChoice) -> ParsedAlert {
    ParsedAlert {
        id: alert.id.as_ref().map(|id| id.clone().into_owned()),
        created_at: alert.backend_timestamp,
        outcome: outcome(alert, hashes),
    }
}

fn outcome(alert: Alert<'_>, hashes: HashChoice) -> AlertOutcome {
    let scores = Scores { severity: alert.severity, confidence: None };
    // Empty texts are absent: the API sends `""` for fields that do not apply.
    let is_wanted =
        alert.blocked_sha256.is_some() || alert.blocked_md5.is_some() || alert.ioc_hit.is_some();
    let mentions = if is_wanted { mentions(&alert, hashes) } else { Vec::new() };
    if mentions.is_empty() {
        return AlertOutcome::WithoutIndicator(scores);
    }
    let mitre_codes = mitre_codes(&alert);
    // `backend_timestamp` can be days later, if a sensor was offline.
    let observed_at = alert.detection_timestamp.or(alert.backend_timestamp);
    match (alert.id.map(Cow::into_owned), observed_at) {
        (Some(id), Some(observed_at)) => AlertOutcome::Detection(Box::new(Detection {
            id,
            observed_at,
            created_at: alert.backend_timestamp.unwrap_or(observed_at),
            name: alert.reason.map(Cow::into_owned),
            incident_name: None,
            scores,
            mitre_codes,
            mentions,
        })),
        (None, _) => AlertOutcome::Unreadable { id: None, reason: "it has no id" },
        (id, None) => AlertOutcome::Unreadable {
            id,
            reason: "it has neither a readable detection_timestamp nor backend_timestamp",
        },
    }
}

fn mentions(alert: &Alert<'_>, hashes: HashChoice) -> Vec<Mention> {
    let process =
        alert.process_sha256.as_deref().map(|value| ("process_sha256", ClaimedType::Sha256, value));
    let blocked = alert
        .blocked_sha256
        .as_deref()
        .map(|value| ("blocked_sha256", ClaimedType::Sha256, value))
        .or(alert.blocked_md5.as_deref().map(|value| ("blocked_md5", ClaimedType::Md5, value)));
    let chosen = match hashes {
        HashChoice::Process => [process, None],
        HashChoice::Blocked => [blocked, None],
        HashChoice::Both => [process, blocked],
    };
    chosen
        .into_iter()
        .flatten()
        .map(|(field, claimed, value)| Mention {
            field,
            indicator: Indicator::parse(claimed, value),
        })
        .collect()
}

fn mitre_codes(alert: &Alert<'_>) -> MitreCodes {
    let attack = [&alert.attack_tactic, &alert.attack_technique];
    attack
        .into_iter()
        .filter_map(|code| MitreCode::parse(code.as_deref()?))
        .chain(alert.ttps.iter().filter_map(|ttp| MitreCode::from_ttp(ttp)))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::indicator::RejectReason;

    const MD5: &str = "00000000000000000000000000000bad";

    fn sha256(number: u64) -> String {
        format!("{number:064x}")
    }

    fn parse(alert: &Value, hashes: HashChoice) -> ParsedAlert {
        let text = alert.to_string();
        parse_alert(serde_json::from_str(&text).unwrap(), hashes)
    }

    fn detection(alert: &Value, hashes: HashChoice) -> Detection {
        match parse(alert, hashes).outcome {
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

    fn values(fields: &Value, hashes: HashChoice) -> Vec<(&'static str, String)> {
        let mentions = detection(&alert(fields), hashes).mentions.into_iter();
        let value = |mention: &Mention| mention.indicator.as_ref().unwrap().value().to_owned();
        mentions.map(|mention| (mention.field, value(&mention))).collect()
    }

    #[test]
    fn only_alerts_that_blocked_a_file_or_hit_an_ioc_are_wanted() {
        for empty in [json!(null), json!(""), json!("  ")] {
            let fields = json!({"ioc_hit": empty, "blocked_md5": empty, "severity": 5});
            let scores = Scores { severity: Some(5), confidence: None };
            let outcome = parse(&alert(&fields), HashChoice::Both).outcome;
            assert_eq!(outcome, AlertOutcome::WithoutIndicator(scores), "{empty}");
        }
        for wanted in ["blocked_sha256", "blocked_md5", "ioc_hit"] {
            let mut fields = json!({"ioc_hit": null});
            fields[wanted] = json!("anything");
            let found = values(&fields, HashChoice::Process);
            assert_eq!(found, [("process_sha256", sha256(1))], "{wanted}");
        }
    }

    #[test]
    fn the_choice_of_hashes_decides_what_is_mentioned() {
        let process = || ("process_sha256", sha256(1));
        let blocked = || ("blocked_sha256", sha256(2));
        let fields = json!({"blocked_sha256": sha256(2), "blocked_md5": MD5});
        assert_eq!(values(&fields, HashChoice::Process), [process()]);
        assert_eq!(values(&fields, HashChoice::Blocked), [blocked()]);
        assert_eq!(values(&fields, HashChoice::Both), [process(), blocked()]);
        let md5_only = json!({"blocked_sha256": "", "blocked_md5": MD5});
        assert_eq!(values(&md5_only, HashChoice::Blocked), [("blocked_md5", MD5.to_owned())]);
        let none = parse(&alert(&json!({})), HashChoice::Blocked).outcome;
        assert_eq!(none, AlertOutcome::WithoutIndicator(Scores::default()));
    }

    #[test]
    fn a_malformed_hash_is_a_mention_with_its_reason() {
        let alert = alert(&json!({"process_sha256": "1234"}));
        let mentions = detection(&alert, HashChoice::Process).mentions;
        let indicator = Err(RejectReason::Invalid);
        assert_eq!(mentions, [Mention { field: "process_sha256", indicator }]);
    }

    #[test]
    fn the_time_of_the_detection_has_a_fallback() {
        let both = json!({"detection_timestamp": "2026-11-20T08:00:00Z"});
        let both = detection(&alert(&both), HashChoice::Process);
        assert_eq!(both.observed_at.to_rfc3339(), "2026-11-20T08:00:00+00:00");
        assert_eq!(both.created_at.to_rfc3339(), "2026-11-21T08:01:00+00:00");
        let backend_only = detection(&alert(&json!({})), HashChoice::Process);
        assert_eq!(backend_only.observed_at, both.created_at);
    }

    #[test]
    fn an_alert_with_an_indicator_but_without_id_or_time_is_unreadable() {
        let no_id = parse(&alert(&json!({"id": ""})), HashChoice::Process).outcome;
        assert_eq!(no_id, AlertOutcome::Unreadable { id: None, reason: "it has no id" });
        let no_time = json!({"backend_timestamp": "yesterday"});
        let no_time = parse(&alert(&no_time), HashChoice::Process).outcome;
        assert!(
            matches!(&no_time, AlertOutcome::Unreadable { id: Some(id), .. } if id == "a1"),
            "{no_time:?}"
        );
    }

    #[test]
    fn mitre_codes_come_from_both_places() {
        let fields = json!({
            "attack_tactic": "",
            "attack_technique": "T1059.001",
            "ttps": ["MITRE_T1204_002_MALICIOUS_FILE", "RUN_CMD_SHELL", 5],
        });
        let codes = detection(&alert(&fields), HashChoice::Process).mitre_codes;
        let codes: Vec<String> = codes.iter().map(ToString::to_string).collect();
        assert_eq!(codes, ["T1059.001", "T1204.002"]);
    }
}
