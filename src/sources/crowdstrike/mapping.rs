//! Maps a Falcon alert to a [`Detection`].

use std::borrow::Cow;

use super::IndicatorChoice;
use super::wire::Alert;
use crate::detection::{AlertOutcome, Assessment, BareAlert, Detection, Mention};
use crate::indicator::ClaimedType;
use crate::mitre::{MitreCode, MitreCodes};
use crate::sources::parsed_alert::ParsedAlert;

/// Maps one alert.
pub(super) fn parse_alert(alert: Alert<'_>, choice: IndicatorChoice) -> ParsedAlert {
    let id = alert.composite_id.as_ref().or(alert.id.as_ref());
    ParsedAlert {
        id: id.map(|id| id.clone().into_owned()),
        created_at: alert.created_timestamp,
        outcome: outcome(alert, choice),
    }
}

fn outcome(alert: Alert<'_>, choice: IndicatorChoice) -> AlertOutcome {
    let assessment = assessment(&alert);
    let mentions = mentions(&alert, choice);
    if mentions.is_empty() {
        let other_choice = self::mentions(&alert, IndicatorChoice::Both);
        let other_choice = other_choice.iter().any(|mention| mention.indicator.is_ok());
        let bare = BareAlert::new(assessment, alert.r#type.as_deref(), other_choice);
        return AlertOutcome::WithoutIndicator(bare);
    }
    let mitre_codes = mitre_codes(&alert);
    // When the behavior happened; `created_timestamp` is when the alert entered the store.
    let observed_at = alert.timestamp.or(alert.created_timestamp);
    let id = alert.composite_id.0.or(alert.id.0).map(Cow::into_owned);
    let title = alert.display_name.0.or(alert.name.0);
    match (id, observed_at) {
        (Some(id), Some(observed_at)) => AlertOutcome::Detection(Box::new(Detection {
            id,
            observed_at,
            created_at: alert.created_timestamp.unwrap_or(observed_at),
            name: alert.description.0.or_else(|| title.clone()).map(Cow::into_owned),
            incident_name: title.map(Cow::into_owned),
            assessment,
            mitre_codes,
            mentions,
        })),
        (None, _) => {
            AlertOutcome::Unreadable { id: None, reason: "it has neither composite_id nor id" }
        }
        (id, None) => AlertOutcome::Unreadable {
            id,
            reason: "it has neither a readable timestamp nor created_timestamp",
        },
    }
}

fn mentions(alert: &Alert<'_>, choice: IndicatorChoice) -> Vec<Mention> {
    match choice {
        IndicatorChoice::Ioc => iocs(alert),
        IndicatorChoice::Files => files(alert),
        IndicatorChoice::Both => [iocs(alert), files(alert)].concat(),
    }
}

fn assessment(alert: &Alert<'_>) -> Assessment {
    let is_dismissal = |tag: &String| {
        ["false_positive", "ignored"].iter().any(|verdict| tag.eq_ignore_ascii_case(verdict))
    };
    Assessment {
        severity: alert.severity,
        confidence: alert.confidence,
        dismissed: alert.tags.iter().any(is_dismissal),
    }
}

/// Returns the hashes of the files that Falcon blocked, quarantined or found in a scan. The alert's
/// field `sha256` is one of them only then; otherwise it is that of the triggering process, often a
/// clean system program.
fn files(alert: &Alert<'_>) -> Vec<Mention> {
    let disposition = &alert.pattern_disposition_details;
    let is_scan = alert.r#type.as_deref().is_some_and(|name| name.eq_ignore_ascii_case("ods"));
    let is_own = is_scan || disposition.process_blocked || disposition.quarantine_file;
    let own = alert.sha256.as_deref().filter(|_| is_own).map(|hash| ("sha256", hash));
    let quarantined = alert.quarantined_files.iter().filter_map(|file| {
        let file = file.0.as_ref()?;
        let state = file.state.as_deref()?;
        let hash = file.sha256.as_deref()?;
        state.eq_ignore_ascii_case("quarantined").then_some(("quarantined_files.sha256", hash))
    });
    own.into_iter()
        .chain(quarantined)
        .map(|(field, hash)| Mention::parse(field, ClaimedType::Sha256, hash))
        .collect()
}

fn iocs(alert: &Alert<'_>) -> Vec<Mention> {
    let contexts =
        alert.ioc_context.iter().filter_map(|context| context.0.as_ref()).map(|context| {
            ("ioc_context.ioc_value", context.ioc_type.as_deref(), context.ioc_value.as_deref())
        });
    std::iter::once(("ioc_value", alert.ioc_type.as_deref(), alert.ioc_value.as_deref()))
        .chain(contexts)
        .filter_map(|(field, ioc_type, value)| Some((field, ioc_type, value?)))
        .flat_map(|(field, ioc_type, value)| parse_value(field, ioc_type, value))
        .collect()
}

/// Parses one `ioc_value`. It can contain several hashes, domains or addresses, separated by
/// commas; a comma in a URL is part of the URL.
fn parse_value(field: &'static str, ioc_type: Option<&str>, value: &str) -> Vec<Mention> {
    match claimed_type(ioc_type.unwrap_or_default()) {
        None => vec![Mention::unsupported(field, value)],
        Some(ClaimedType::Url) => vec![Mention::parse(field, ClaimedType::Url, value)],
        Some(claimed) => value
            .split(',')
            .filter(|part| !part.trim().is_empty())
            .map(|part| Mention::parse(field, claimed, part))
            .collect(),
    }
}

fn claimed_type(ioc_type: &str) -> Option<ClaimedType> {
    match ioc_type.to_ascii_lowercase().as_str() {
        "hash_sha256" | "sha256" => Some(ClaimedType::Sha256),
        "hash_sha1" | "sha1" => Some(ClaimedType::Sha1),
        "hash_md5" | "md5" => Some(ClaimedType::Md5),
        "domain" => Some(ClaimedType::Domain),
        "ipv4" | "ipv6" | "ip" => Some(ClaimedType::Address),
        "url" => Some(ClaimedType::Url),
        _ => None,
    }
}

fn mitre_codes(alert: &Alert<'_>) -> MitreCodes {
    let listed = alert.mitre_attack.iter().filter_map(|mitre| mitre.0.as_ref());
    std::iter::once([&alert.tactic_id, &alert.technique_id])
        .chain(listed.map(|mitre| [&mitre.tactic_id, &mitre.technique_id]))
        .flatten()
        .filter_map(|code| MitreCode::parse(code.as_deref()?))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::indicator::RejectReason;

    fn parse(alert: &Value) -> ParsedAlert {
        let text = alert.to_string();
        parse_alert(serde_json::from_str(&text).unwrap(), IndicatorChoice::Ioc)
    }

    fn detection(alert: &Value) -> Detection {
        match parse(alert).outcome {
            AlertOutcome::Detection(detection) => *detection,
            outcome => panic!("{alert}: {outcome:?}"),
        }
    }

    /// The alert that has these fields in addition to those that a detection needs.
    fn alert(fields: &Value) -> Value {
        let mut alert = json!({
            "composite_id": "c1",
            "created_timestamp": "2026-11-21T08:01:00Z",
            "ioc_type": "domain",
            "ioc_value": "evil.example.com",
        });
        for (key, value) in fields.as_object().unwrap() {
            alert[key] = value.clone();
        }
        alert
    }

    fn values(fields: &Value) -> Vec<(&'static str, Result<String, RejectReason>)> {
        let mentions = detection(&alert(fields)).mentions.into_iter();
        let value = |mention: Mention| {
            let value = mention.indicator.map(|found| found.value().to_owned());
            value.map_err(|rejected| rejected.reason)
        };
        mentions.map(|mention| (mention.field, value(mention))).collect()
    }

    #[test]
    fn an_alert_without_an_ioc_value_has_no_indicator() {
        for ioc_value in [json!(null), json!(""), json!(" "), json!({}), json!(" ,, ")] {
            let alert = alert(&json!({"ioc_value": ioc_value, "severity": 70, "confidence": 80}));
            let assessment =
                Assessment { severity: Some(70), confidence: Some(80), dismissed: false };
            assert_eq!(
                parse(&alert).outcome,
                AlertOutcome::WithoutIndicator(BareAlert::new(assessment, None, false)),
                "{alert}"
            );
        }
    }

    fn files_of(fields: &Value) -> Vec<(&'static str, String)> {
        let text = alert(fields).to_string();
        match parse_alert(serde_json::from_str(&text).unwrap(), IndicatorChoice::Files).outcome {
            AlertOutcome::Detection(detection) => detection
                .mentions
                .into_iter()
                .map(|mention| (mention.field, mention.indicator.unwrap().value().to_owned()))
                .collect(),
            _ => Vec::new(),
        }
    }

    #[test]
    fn the_files_are_those_that_falcon_stopped_quarantined_or_scanned() {
        let hash = |number: u64| format!("{number:064x}");
        let own = || ("sha256", hash(1));
        let details = |key: &str, value: Value| json!({"sha256": hash(1), "pattern_disposition_details": {key: value}});
        for (fields, expected) in [
            (json!({"sha256": hash(1), "type": "ods"}), vec![own()]),
            (json!({"sha256": hash(1), "type": "ldt"}), vec![]),
            (json!({"type": "ods"}), vec![]),
            (details("process_blocked", json!(true)), vec![own()]),
            (details("quarantine_file", json!("true")), vec![own()]),
            (details("kill_process", json!(true)), vec![]),
            (details("process_blocked", json!(false)), vec![]),
            (
                json!({"quarantined_files": [
                    {"sha256": hash(2), "state": "quarantined"},
                    {"sha256": hash(3), "state": "released"},
                    {"sha256": hash(4)},
                    {"state": "quarantined"},
                    null,
                ]}),
                vec![("quarantined_files.sha256", hash(2))],
            ),
        ] {
            assert_eq!(files_of(&fields), expected, "{fields}");
        }
    }

    #[test]
    fn both_are_the_iocs_and_the_files() {
        let text = alert(&json!({"type": "ods", "sha256": "a".repeat(63) + "b"})).to_string();
        let parsed = parse_alert(serde_json::from_str(&text).unwrap(), IndicatorChoice::Both);
        let AlertOutcome::Detection(detection) = parsed.outcome else { panic!("{parsed:?}") };
        let fields: Vec<_> = detection.mentions.iter().map(|mention| mention.field).collect();
        assert_eq!(fields, ["ioc_value", "sha256"]);
    }

    #[test]
    fn the_verdict_of_an_analyst_is_a_tag() {
        for (tags, expected) in [
            (json!(["false_positive"]), true),
            (json!(["x", "Ignored"]), true),
            (json!("ignored"), false),
            (json!(["true_positive", "FalconGroupingTags/ignored"]), false),
            (json!(null), false),
        ] {
            let dismissed = detection(&alert(&json!({"tags": tags}))).assessment.dismissed;
            assert_eq!(dismissed, expected, "{tags}");
        }
    }

    #[test]
    fn the_ids_and_times_have_fallbacks() {
        let parsed = parse(&alert(&json!({"composite_id": null, "id": "i1"})));
        assert_eq!(parsed.id.as_deref(), Some("i1"));
        assert_eq!(parsed.created_at, "2026-11-21T08:01:00Z".parse().ok());

        let both = detection(&alert(&json!({"id": "i1", "timestamp": "2026-11-21T08:00:00Z"})));
        assert_eq!(both.id, "c1");
        assert_eq!(both.observed_at.to_rfc3339(), "2026-11-21T08:00:00+00:00");
        assert_eq!(both.created_at.to_rfc3339(), "2026-11-21T08:01:00+00:00");
        let created_only = detection(&alert(&json!({"timestamp": "yesterday"})));
        assert_eq!(created_only.observed_at, both.created_at);
        let observed_only = json!({"created_timestamp": 5, "timestamp": "2026-11-21T08:00:00Z"});
        assert_eq!(detection(&alert(&observed_only)).created_at, both.observed_at);
    }

    #[test]
    fn an_alert_with_an_indicator_but_without_id_or_time_is_unreadable() {
        let no_id = parse(&alert(&json!({"composite_id": null}))).outcome;
        assert_eq!(
            no_id,
            AlertOutcome::Unreadable { id: None, reason: "it has neither composite_id nor id" }
        );
        let no_time = parse(&alert(&json!({"created_timestamp": null}))).outcome;
        assert!(
            matches!(&no_time, AlertOutcome::Unreadable { id: Some(id), .. } if id == "c1"),
            "{no_time:?}"
        );
    }

    #[test]
    fn names_have_fallbacks() {
        let all = json!({"description": "text", "display_name": "title", "name": "other"});
        for (absent, name, incident_name) in [
            (&[][..], Some("text"), Some("title")),
            (&["description"][..], Some("title"), Some("title")),
            (&["description", "display_name"][..], Some("other"), Some("other")),
            (&["display_name", "name"][..], Some("text"), None),
            (&["description", "display_name", "name"][..], None, None),
        ] {
            let mut fields = all.clone();
            for key in absent {
                fields[*key] = json!(null);
            }
            let detection = detection(&alert(&fields));
            assert_eq!(detection.name.as_deref(), name, "without {absent:?}");
            assert_eq!(detection.incident_name.as_deref(), incident_name, "without {absent:?}");
        }
    }

    #[test]
    fn lists_of_values_are_split_except_for_urls() {
        let ok = |value: &str| ("ioc_value", Ok(value.to_owned()));
        assert_eq!(
            values(&json!({"ioc_value": "a.example.com, ,B.example.com,"})),
            [ok("a.example.com"), ok("b.example.com")]
        );
        assert_eq!(
            values(&json!({"ioc_type": "URL", "ioc_value": "http://a.example.com/?x=1,2"})),
            [ok("http://a.example.com/?x=1,2")]
        );
        assert_eq!(
            values(&json!({"ioc_type": "ipv4", "ioc_value": "8.8.8.8,10.0.0.1,x"})),
            [
                ok("8.8.8.8"),
                ("ioc_value", Err(RejectReason::Private)),
                ("ioc_value", Err(RejectReason::Invalid))
            ]
        );
    }

    #[test]
    fn other_types_are_unsupported_as_a_whole() {
        for ioc_type in [json!("registry_key"), json!("behavior"), json!(null), json!(7)] {
            let fields = json!({"ioc_type": ioc_type, "ioc_value": "a,b"});
            assert_eq!(values(&fields), [("ioc_value", Err(RejectReason::Unsupported))]);
            let rejected = detection(&alert(&fields)).mentions.remove(0).indicator.unwrap_err();
            assert_eq!(&*rejected.text, "a,b");
        }
    }

    #[test]
    fn the_contexts_are_read_too() {
        let context = json!([
            {"ioc_type": "domain", "ioc_value": "b.example.com"},
            "malformed",
            {"ioc_type": "domain"},
        ]);
        assert_eq!(
            values(&json!({"ioc_value": null, "ioc_context": context})),
            [("ioc_context.ioc_value", Ok("b.example.com".to_owned()))]
        );
    }

    #[test]
    fn mitre_codes_come_from_both_places() {
        let fields = json!({
            "tactic_id": "TA0002",
            "technique_id": "CST0007",
            "mitre_attack": [{"tactic_id": "TA0002", "technique_id": "T1204"}, 5],
        });
        let codes = detection(&alert(&fields)).mitre_codes;
        let codes: Vec<String> = codes.iter().map(ToString::to_string).collect();
        assert_eq!(codes, ["T1204", "TA0002"]);
    }
}
