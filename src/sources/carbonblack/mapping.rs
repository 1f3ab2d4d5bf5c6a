//! From a Carbon Black alert to a [`Detection`].

use super::HashChoice;
use super::wire::Alert;
use crate::detection::{AlertOutcome, Detection, Mention, Scores};
use crate::indicator::{ClaimedType, Indicator};
use crate::mitre::{MitreCode, MitreCodes};
use crate::sources::lenient::Lenient;

/// Reads one element of a page.
pub(super) fn of_slot(slot: Lenient<Alert>, choice: HashChoice) -> AlertOutcome {
    match slot {
        Lenient::Parsed(alert) => reading(alert, choice),
        Lenient::Malformed => AlertOutcome::MALFORMED,
    }
}

/// Reads one alert: it is wanted when it blocked a file or hit an IOC, and then the chosen hashes are
/// its indicators.
pub(super) fn reading(alert: Alert, choice: HashChoice) -> AlertOutcome {
    let scores = Scores { severity: alert.severity, confidence: None };
    // An empty text was read as none: the API sends `""` for fields that do not apply.
    let wanted =
        alert.blocked_sha256.is_some() || alert.blocked_md5.is_some() || alert.ioc_hit.is_some();
    let mentions = if wanted { mentions(&alert, choice) } else { Vec::new() };
    if mentions.is_empty() {
        return AlertOutcome::WithoutIndicator(scores);
    }
    let mitre_codes = mitre_codes(&alert);
    // When it was detected; `backend_timestamp` can be days later, when a sensor was offline.
    let observed_at = alert.detection_timestamp.or(alert.backend_timestamp);
    match (alert.id, observed_at) {
        (Some(id), Some(observed_at)) => AlertOutcome::Detection(Box::new(Detection {
            id,
            observed_at,
            created_at: alert.backend_timestamp.unwrap_or(observed_at),
            name: alert.reason,
            incident_name: None,
            scores,
            mitre_codes,
            mentions,
        })),
        (None, _) => AlertOutcome::Unreadable { id: None, why: "it has no id" },
        (id, None) => AlertOutcome::Unreadable {
            id,
            why: "it has neither a readable detection_timestamp nor backend_timestamp",
        },
    }
}

fn mentions(alert: &Alert, choice: HashChoice) -> Vec<Mention> {
    let process =
        alert.process_sha256.as_deref().map(|value| ("process_sha256", ClaimedType::Sha256, value));
    let blocked = alert
        .blocked_sha256
        .as_deref()
        .map(|value| ("blocked_sha256", ClaimedType::Sha256, value))
        .or(alert.blocked_md5.as_deref().map(|value| ("blocked_md5", ClaimedType::Md5, value)));
    let chosen = match choice {
        HashChoice::Process => [process, None],
        HashChoice::Blocked => [blocked, None],
        HashChoice::Both => [process, blocked],
    };
    chosen
        .into_iter()
        .flatten()
        .map(|(field, claim, value)| Mention { field, indicator: Indicator::parse(claim, value) })
        .collect()
}

fn mitre_codes(alert: &Alert) -> MitreCodes {
    let attack = [&alert.attack_tactic, &alert.attack_technique];
    attack
        .into_iter()
        .filter_map(|code| MitreCode::parse(code.as_deref()?))
        .chain(alert.ttps.iter().filter_map(|ttp| MitreCode::from_ttp(ttp)))
        .collect()
}
