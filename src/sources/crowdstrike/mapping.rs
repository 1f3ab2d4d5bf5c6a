//! From a Falcon alert to a [`Detection`].

use std::borrow::Cow;

use chrono::{DateTime, Utc};

use super::wire::Alert;
use crate::detection::{AlertOutcome, Detection, Mention, Scores};
use crate::indicator::{ClaimedType, Indicator, RejectReason};
use crate::mitre::{MitreCode, MitreCodes};
use crate::sources::lenient::Lenient;

/// What is kept of one alert.
#[derive(Debug)]
pub(super) struct ParsedAlert {
    /// The alert's identity, by which repeats are told.
    pub id: Option<String>,
    /// When it reached the store.
    pub created: Option<DateTime<Utc>>,
    pub reading: AlertOutcome,
}

/// Reads one alert.
pub(super) fn parse_alert(alert: Alert<'_>) -> ParsedAlert {
    let id = alert.composite_id.as_ref().or(alert.id.as_ref());
    ParsedAlert {
        id: id.map(|id| id.clone().into_owned()),
        created: alert.created_timestamp,
        reading: reading(alert),
    }
}

fn reading(alert: Alert<'_>) -> AlertOutcome {
    let scores = Scores { severity: alert.severity, confidence: alert.confidence };
    let mentions = mentions(&alert);
    if mentions.is_empty() {
        return AlertOutcome::WithoutIndicator(scores);
    }
    let mitre_codes = mitre_codes(&alert);
    // When the behaviour happened; `created_timestamp` is when the alert reached the store.
    let observed_at = alert.timestamp.or(alert.created_timestamp);
    let id = alert.composite_id.or(alert.id).map(Cow::into_owned);
    let title = alert.display_name.or(alert.name);
    match (id, observed_at) {
        (Some(id), Some(observed_at)) => AlertOutcome::Detection(Box::new(Detection {
            id,
            observed_at,
            created_at: alert.created_timestamp.unwrap_or(observed_at),
            name: alert.description.or_else(|| title.clone()).map(Cow::into_owned),
            incident_name: title.map(Cow::into_owned),
            scores,
            mitre_codes,
            mentions,
        })),
        (None, _) => AlertOutcome::Unreadable { id: None, why: "it has no composite_id" },
        (id, None) => AlertOutcome::Unreadable {
            id,
            why: "it has neither a readable timestamp nor created_timestamp",
        },
    }
}

fn mentions(alert: &Alert<'_>) -> Vec<Mention> {
    let contexts = alert.ioc_context.iter().filter_map(|slot| match slot {
        Lenient::Parsed(context) => Some((
            "ioc_context.ioc_value",
            context.ioc_type.as_deref(),
            context.ioc_value.as_deref(),
        )),
        Lenient::Malformed => None,
    });
    std::iter::once(("ioc_value", alert.ioc_type.as_deref(), alert.ioc_value.as_deref()))
        .chain(contexts)
        .filter_map(|(field, ioc_type, value)| Some((field, ioc_type, value?)))
        .flat_map(|(field, ioc_type, value)| read_value(field, ioc_type.unwrap_or_default(), value))
        .collect()
}

/// One `ioc_value` can hold several values, split by commas: hashes, domains and addresses do, and a
/// comma inside a URL is part of it.
fn read_value(field: &'static str, ioc_type: &str, value: &str) -> Vec<Mention> {
    let outcome = |claim, text: &str| Mention { field, indicator: Indicator::parse(claim, text) };
    match claim(ioc_type) {
        None => vec![Mention { field, indicator: Err(RejectReason::Unsupported) }],
        Some(ClaimedType::Url) => vec![outcome(ClaimedType::Url, value)],
        Some(claim) => value
            .split(',')
            .filter(|part| !part.trim().is_empty())
            .map(|part| outcome(claim, part))
            .collect(),
    }
}

fn claim(ioc_type: &str) -> Option<ClaimedType> {
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
    let listed = alert.mitre_attack.iter().filter_map(|slot| match slot {
        Lenient::Parsed(mitre) => Some([&mitre.tactic_id, &mitre.technique_id]),
        Lenient::Malformed => None,
    });
    std::iter::once([&alert.tactic_id, &alert.technique_id])
        .chain(listed)
        .flatten()
        .filter_map(|code| MitreCode::parse(code.as_deref()?))
        .collect()
}
