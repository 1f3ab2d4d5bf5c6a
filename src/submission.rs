//! A submission: one Collective Insights item, for one indicator of a run.
//!
//! Field by field the shape of Recorded Future's API. Absent values are left out; no `null` and no
//! empty text is sent.

use std::borrow::Cow;
use std::collections::BTreeSet;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

use crate::detection::{Detection, SourceInfo};
use crate::indicator::Indicator;
use crate::mitre::MitreCodes;

/// The longest name that is sent, in characters. No limit is documented; people read it.
const MAX_NAME_CHARACTERS: usize = 2000;

/// One item, as it is stored and sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Submission<'a> {
    /// When the detection was observed: RFC 3339, UTC, milliseconds. It sorts as text.
    timestamp: Cow<'a, str>,
    #[serde(borrow)]
    ioc: Ioc<'a>,
    #[serde(borrow)]
    detection: DetectionPart<'a>,
    #[serde(borrow)]
    incident: Incident<'a>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    mitre_codes: BTreeSet<Cow<'a, str>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ioc<'a> {
    r#type: Cow<'a, str>,
    value: Cow<'a, str>,
    source_type: Cow<'a, str>,
    field: Cow<'a, str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DetectionPart<'a> {
    r#type: Cow<'a, str>,
    id: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<Cow<'a, str>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Incident<'a> {
    id: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<Cow<'a, str>>,
    r#type: Cow<'a, str>,
}

/// The parts of a submission that are not the same for all of a source.
#[derive(Debug)]
pub(crate) struct SubmissionParts<'a> {
    /// When the detection was observed, UTC.
    pub detected_at: DateTime<Utc>,
    pub indicator_type: &'a str,
    pub value: &'a str,
    /// The field of the alert that names the indicator.
    pub field: &'a str,
    /// The alert's id.
    pub detection: &'a str,
    pub name: Option<&'a str>,
    pub incident_name: Option<&'a str>,
    pub mitre_codes: BTreeSet<Cow<'a, str>>,
}

impl<'a> Submission<'a> {
    /// Returns the submission of one indicator that a detection names in `field`.
    #[must_use]
    pub(crate) fn new(
        detection: &'a Detection,
        indicator: &'a Indicator,
        field: &'a str,
        source: SourceInfo,
    ) -> Self {
        let parts = SubmissionParts {
            detected_at: detection.observed_at,
            indicator_type: indicator.kind().as_str(),
            value: indicator.value(),
            field,
            detection: &detection.id,
            name: detection.name.as_deref(),
            incident_name: detection.incident_name.as_deref(),
            mitre_codes: codes(&detection.mitre_codes),
        };
        Self::from_parts(parts, source)
    }

    /// Returns the submission that consists of these parts.
    pub(crate) fn from_parts(parts: SubmissionParts<'a>, source: SourceInfo) -> Self {
        Self {
            timestamp: parts.detected_at.to_rfc3339_opts(SecondsFormat::Millis, true).into(),
            ioc: Ioc {
                r#type: parts.indicator_type.into(),
                value: parts.value.into(),
                source_type: source.source_type.into(),
                field: parts.field.into(),
            },
            detection: DetectionPart {
                // A correlation of the vendor's; `detection_rule` would need Recorded Future's own
                // rule id.
                r#type: "correlation".into(),
                id: parts.detection.into(),
                name: parts.name.and_then(clean),
            },
            incident: Incident {
                id: parts.detection.into(),
                name: parts.incident_name.and_then(clean),
                r#type: source.incident_type.into(),
            },
            mitre_codes: parts.mitre_codes,
        }
    }

    /// Returns the type of the indicator, as Recorded Future names it.
    pub(crate) fn indicator_type(&self) -> &str {
        &self.ioc.r#type
    }

    /// Returns the indicator.
    pub(crate) fn value(&self) -> &str {
        &self.ioc.value
    }

    /// Returns the name of the detection, or else that of the incident, or else an empty text.
    pub(crate) fn description(&self) -> &str {
        self.detection.name.as_deref().or(self.incident.name.as_deref()).unwrap_or_default()
    }

    /// Merges another submission of the same indicator into this one: the earliest detection
    /// represents the indicator, whatever the order in which they come, with the MITRE codes of
    /// all.
    ///
    /// Returns whether anything changed.
    pub(crate) fn merge(&mut self, mut other: Self) -> bool {
        let earlier = other.sort_key() < self.sort_key();
        let codes_before = self.mitre_codes.len();
        if earlier {
            std::mem::swap(self, &mut other);
        }
        self.mitre_codes.append(&mut other.mitre_codes);
        earlier || self.mitre_codes.len() > codes_before
    }

    /// The order in which detections represent an indicator; all times have the same form.
    fn sort_key(&self) -> (&str, &str, &str) {
        (&self.timestamp, &self.detection.id, &self.ioc.field)
    }
}

/// The reason why a stored item is not sent: it changed since it was stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DamagedItem {
    /// It is not JSON, lacks a field, or has an unknown one.
    #[error("the stored item is damaged: {0}")]
    Malformed(#[from] serde_json::Error),
    /// It names another indicator than its row in the ledger.
    #[error("the stored item is damaged: it names another indicator than its row")]
    OtherIndicator,
    /// The type of its indicator is unknown.
    #[error("the stored item is damaged: the type of its indicator is unknown")]
    UnknownType,
}

/// Verifies that a stored item is a submission of this indicator.
///
/// # Errors
/// When it is not.
pub(crate) fn verify(item: &str, indicator_type: &str, value: &str) -> Result<(), DamagedItem> {
    let Submission { ioc, .. } = serde_json::from_str::<Submission<'_>>(item)?;
    if ioc.r#type == indicator_type && ioc.value == value {
        Ok(())
    } else {
        Err(DamagedItem::OtherIndicator)
    }
}

/// The result of storing a mention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoreOutcome {
    /// It is a new entry of the outbox.
    New,
    /// An earlier mention of this run has the indicator, or an earlier run stored the mention,
    /// which is in the outbox or was dropped from there.
    Duplicate,
    /// An earlier run delivered it.
    AlreadyDelivered,
}

fn codes<'a>(codes: &MitreCodes) -> BTreeSet<Cow<'a, str>> {
    codes.iter().map(|code| code.to_string().into()).collect()
}

/// Replaces control characters and limits the length of a vendor's text; `None` when nothing is
/// left.
fn clean(text: &str) -> Option<Cow<'_, str>> {
    let text = match text.char_indices().nth(MAX_NAME_CHARACTERS) {
        Some((end, _)) => text.get(..end).unwrap_or(text),
        None => text,
    };
    let clean = if text.contains(char::is_control) {
        let spaced: String =
            text.chars().map(|char| if char.is_control() { ' ' } else { char }).collect();
        Cow::Owned(spaced.trim().to_owned())
    } else {
        Cow::Borrowed(text.trim())
    };
    (!clean.is_empty()).then_some(clean)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::detection::Assessment;
    use crate::indicator::ClaimedType;
    use crate::mitre::MitreCode;

    const SOURCE: SourceInfo = SourceInfo {
        name: "source",
        title: "Source",
        source_type: "source:type",
        incident_type: "source-alert",
    };

    fn detection(id: u8, second: i64, codes: &[u16], name: &str) -> Detection {
        let time = chrono::DateTime::from_timestamp(second, 0).unwrap();
        Detection {
            id: format!("id:{id}"),
            observed_at: time,
            created_at: time,
            name: Some(name.to_owned()),
            incident_name: None,
            assessment: Assessment::default(),
            mitre_codes: codes
                .iter()
                .map(|code| MitreCode::parse(&format!("T{code}")).unwrap())
                .collect(),
            mentions: Vec::new(),
        }
    }

    fn indicator() -> Indicator {
        Indicator::parse(ClaimedType::Domain, "example.com").unwrap()
    }

    #[test]
    fn absent_values_are_left_out() {
        let (alert, indicator) = (detection(1, 0, &[], " \u{7}\n"), indicator());
        let item = serde_json::to_string(&Submission::new(&alert, &indicator, "field", SOURCE));
        assert_eq!(
            item.unwrap(),
            r#"{"timestamp":"1970-01-01T00:00:00.000Z","ioc":{"type":"domain","value":"example.com","source_type":"source:type","field":"field"},"detection":{"type":"correlation","id":"id:1"},"incident":{"id":"id:1","type":"source-alert"}}"#
        );
    }

    #[test]
    fn names_are_limited_and_have_no_control_characters() {
        assert_eq!(clean(" a\u{1b}[31m\tb\n").as_deref(), Some("a [31m b"));
        assert_eq!(clean(&"ä".repeat(3000)).map(|name| name.chars().count()), Some(2000));
        assert_eq!(clean(" \u{0} "), None);
    }

    proptest! {
        #[test]
        fn the_earliest_detection_represents_the_indicator_in_any_order(
            alerts in prop::collection::vec((0_u8..4, 0_i64..3, prop::collection::vec(1000_u16..1009, 0..3)), 1..8),
            order in any::<u64>(),
        ) {
            let indicator = indicator();
            let alerts: Vec<Detection> = alerts
                .iter()
                .map(|(id, second, codes)| detection(*id, *second, codes, "name"))
                .collect();
            let merge = |alerts: &[&Detection]| {
                let mut stored = String::new();
                for alert in alerts {
                    let new = Submission::new(alert, &indicator, "field", SOURCE);
                    let merged = if stored.is_empty() {
                        new
                    } else {
                        let mut old: Submission<'_> = serde_json::from_str(&stored).unwrap();
                        old.merge(new);
                        old
                    };
                    stored = serde_json::to_string(&merged).unwrap();
                }
                stored
            };
            let mut shuffled: Vec<&Detection> = alerts.iter().collect();
            fastrand::Rng::with_seed(order).shuffle(&mut shuffled);
            let merged = merge(&shuffled);
            prop_assert_eq!(&merged, &merge(&alerts.iter().collect::<Vec<_>>()));
            let item: serde_json::Value = serde_json::from_str(&merged).unwrap();
            let earliest = alerts.iter().map(|alert| (alert.observed_at, &alert.id)).min().unwrap();
            prop_assert_eq!(item["detection"]["id"].as_str(), Some(earliest.1.as_str()));
            let all: BTreeSet<String> =
                alerts.iter().flat_map(|alert| alert.mitre_codes.iter().map(ToString::to_string)).collect();
            let found: Vec<String> = item["mitre_codes"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|code| code.as_str().unwrap().to_owned())
                .collect();
            prop_assert_eq!(found, all.into_iter().collect::<Vec<_>>());
        }
    }
}
