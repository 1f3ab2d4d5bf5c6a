//! Maps a Carbon Black alert to a [`Detection`].

use std::borrow::Cow;

use super::IndicatorChoice;
use super::reputation::Reputation;
use super::wire::Alert;
use crate::detection::{AlertOutcome, Assessment, BareAlert, Detection, Mention};
use crate::indicator::ClaimedType;
use crate::mitre::{MitreCode, MitreCodes};
use crate::sources::parsed_alert::ParsedAlert;

/// Maps one alert.
pub(super) fn parse_alert(alert: Alert<'_>, choice: IndicatorChoice) -> ParsedAlert {
    ParsedAlert {
        id: alert.id.as_ref().map(|id| id.clone().into_owned()),
        created_at: alert.backend_timestamp,
        outcome: outcome(alert, choice),
    }
}

fn outcome(alert: Alert<'_>, choice: IndicatorChoice) -> AlertOutcome {
    let assessment = assessment(&alert);
    let mentions = mentions(&alert, choice);
    if mentions.is_empty() {
        let other_choice = self::mentions(&alert, IndicatorChoice::Malicious);
        let other_choice = other_choice.iter().any(|mention| !mention.trusted);
        let bare = BareAlert::new(assessment, alert.r#type.as_deref(), other_choice);
        return AlertOutcome::WithoutIndicator(bare);
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
            assessment,
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

fn assessment(alert: &Alert<'_>) -> Assessment {
    let verdict = alert.determination.value.as_deref();
    Assessment {
        severity: alert.severity,
        confidence: None,
        dismissed: verdict.is_some_and(|verdict| verdict.eq_ignore_ascii_case("FALSE_POSITIVE")),
    }
}

/// A file that an alert names.
#[derive(Debug, Clone, Copy)]
struct File<'a> {
    field: &'static str,
    claimed: ClaimedType,
    hash: &'a str,
    reputation: Reputation,
}

impl File<'_> {
    fn mention(self) -> Mention {
        let trusted = self.reputation == Reputation::Trusted;
        Mention { trusted, ..Mention::parse(self.field, self.claimed, self.hash) }
    }
}

/// Returns the files that the alert names: the process, then the blocked file by its SHA-256 and by
/// its MD5.
fn files<'a>(alert: &'a Alert<'_>) -> [Option<File<'a>>; 3] {
    let process = Reputation::parse(alert.process_effective_reputation.as_deref());
    let blocked = Reputation::parse(alert.blocked_effective_reputation.as_deref());
    let file = |field, claimed, hash: &'a Option<Cow<'_, str>>, reputation| {
        hash.as_deref().map(|hash| File { field, claimed, hash, reputation })
    };
    [
        file("process_sha256", ClaimedType::Sha256, &alert.process_sha256, process),
        file("blocked_sha256", ClaimedType::Sha256, &alert.blocked_sha256, blocked),
        file("blocked_md5", ClaimedType::Md5, &alert.blocked_md5, blocked),
    ]
}

fn mentions(alert: &Alert<'_>, choice: IndicatorChoice) -> Vec<Mention> {
    let files = files(alert);
    let [process, blocked_sha256, blocked_md5] = files;
    let blocked = blocked_sha256.or(blocked_md5);
    let chosen = match choice {
        IndicatorChoice::Malicious => {
            let bad = [process, blocked].into_iter().flatten();
            return bad
                .filter(|file| file.reputation == Reputation::Bad)
                .map(File::mention)
                .chain(ioc_hit(alert, &files))
                .collect();
        }
        // Empty texts are absent: the API sends `""` for fields that do not apply.
        _ if blocked.is_none() && alert.ioc_hit.is_none() => [None, None],
        IndicatorChoice::Process => [process, None],
        IndicatorChoice::Blocked => [blocked, None],
        IndicatorChoice::Both => [process, blocked],
    };
    chosen.into_iter().flatten().map(File::mention).collect()
}

/// Returns the IOC that was hit, where the alert says in which field it was looked for. Otherwise
/// it may be a query.
fn ioc_hit(alert: &Alert<'_>, files: &[Option<File<'_>>]) -> Option<Mention> {
    let hit = alert.ioc_hit.as_deref()?;
    let field = alert.ioc_field.as_deref()?;
    let claimed = claimed_type(field)?;
    let is_trusted_file = |file: &File<'_>| {
        file.reputation == Reputation::Trusted && file.hash.eq_ignore_ascii_case(hit)
    };
    // The value in that field of this alert may be known, and may be another one.
    let in_field = files.iter().flatten().find(|file| file.field.eq_ignore_ascii_case(field));
    let is_other = in_field.is_some_and(|file| !file.hash.eq_ignore_ascii_case(hit));
    let trusted = files.iter().flatten().any(is_trusted_file)
        || !is_other && reputation_in(alert, field) == Reputation::Trusted;
    Some(Mention { trusted, ..Mention::parse("ioc_hit", claimed, hit) })
}

/// Returns the reputation of the file whose hash is in a field such as `parent_md5`.
fn reputation_in(alert: &Alert<'_>, field: &str) -> Reputation {
    let role = field.to_ascii_lowercase();
    let name = match role.split_once('_').unwrap_or_default().0 {
        "process" => &alert.process_effective_reputation,
        "parent" => &alert.parent_effective_reputation,
        "childproc" => &alert.childproc_effective_reputation,
        "blocked" => &alert.blocked_effective_reputation,
        _ => &None,
    };
    Reputation::parse(name.as_deref())
}

/// Returns the type of the values of a field such as `process_sha256` or `netconn_ipv4`.
fn claimed_type(field: &str) -> Option<ClaimedType> {
    match field.to_ascii_lowercase().rsplit_once('_')?.1 {
        "sha256" => Some(ClaimedType::Sha256),
        "md5" => Some(ClaimedType::Md5),
        "ipv4" | "ipv6" => Some(ClaimedType::Address),
        "domain" => Some(ClaimedType::Domain),
        _ => None,
    }
}

/// Returns the codes of an alert; those of a watchlist hit are only in its report.
fn mitre_codes(alert: &Alert<'_>) -> MitreCodes {
    let attack = [&alert.attack_tactic, &alert.attack_technique];
    attack
        .into_iter()
        .filter_map(|code| MitreCode::parse(code.as_deref()?))
        .chain(alert.ttps.iter().filter_map(|ttp| MitreCode::from_ttp(ttp)))
        .chain(alert.report_tags.iter().filter_map(|tag| MitreCode::parse(tag)))
        .chain(alert.report_link.as_deref().and_then(MitreCode::from_link))
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
    fn only_alerts_that_blocked_a_file_or_hit_an_ioc_are_wanted() {
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
        let mentions =
            |fields: &Value| match parse(&alert(fields), IndicatorChoice::Malicious).outcome {
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
    fn a_trusted_file_is_marked() {
        let fields = json!({
            "process_effective_reputation": "TRUSTED_WHITE_LIST",
            "blocked_sha256": sha256(2),
            "blocked_effective_reputation": "KNOWN_MALWARE",
        });
        let mentions = detection(&alert(&fields), IndicatorChoice::Both).mentions;
        let trusted: Vec<_> =
            mentions.iter().map(|mention| (mention.field, mention.trusted)).collect();
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
    fn the_report_of_a_watchlist_hit_names_techniques() {
        let fields = json!({
            "report_tags": ["t1053", "windows", null, "TA0003"],
            "report_link": "https://attack.mitre.org/techniques/T1558/003/",
        });
        let codes = detection(&alert(&fields), IndicatorChoice::Process).mitre_codes;
        let codes: Vec<String> = codes.iter().map(ToString::to_string).collect();
        assert_eq!(codes, ["T1053", "T1558.003", "TA0003"]);
    }

    #[test]
    fn mitre_codes_come_from_both_places() {
        let fields = json!({
            "attack_tactic": "",
            "attack_technique": "T1059.001",
            "ttps": ["MITRE_T1204_002_MALICIOUS_FILE", "RUN_CMD_SHELL", 5],
        });
        let codes = detection(&alert(&fields), IndicatorChoice::Process).mitre_codes;
        let codes: Vec<String> = codes.iter().map(ToString::to_string).collect();
        assert_eq!(codes, ["T1059.001", "T1204.002"]);
    }
}
