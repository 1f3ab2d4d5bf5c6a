//! What is sent, field by field: the shape of the Collective Insights API. Absent values are left out;
//! no `null` and no empty text ever goes out.

use chrono::SecondsFormat;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::detection::SourceInfo;
use crate::submission::Submission;

/// The longest name that is sent, in characters: nothing is documented, and a description is read by
/// people.
const LONGEST_NAME: usize = 2000;

/// The body of one request.
#[derive(Debug, Serialize)]
pub(super) struct RequestBody<'a> {
    pub options: Options,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub organization_ids: &'a [String],
    pub data: &'a [&'a RawValue],
}

#[derive(Debug, Serialize)]
pub(super) struct Options {
    /// Always sent: the texts disagree on its default.
    pub debug: bool,
    pub summary: bool,
}

#[derive(Debug, Serialize)]
struct Item<'a> {
    timestamp: String,
    ioc: Ioc<'a>,
    detection: DetectionPart<'a>,
    incident: Incident<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mitre_codes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Ioc<'a> {
    r#type: &'static str,
    value: &'a str,
    source_type: &'static str,
    field: &'static str,
}

#[derive(Debug, Serialize)]
struct DetectionPart<'a> {
    r#type: &'static str,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

#[derive(Debug, Serialize)]
struct Incident<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    r#type: &'static str,
}

/// A submission as the JSON item that is sent and, until then, stored.
///
/// # Errors
/// Never with the types as they are; a change of them that JSON cannot hold would show here.
pub fn item(submission: &Submission, labels: SourceInfo) -> serde_json::Result<Box<RawValue>> {
    let item = Item {
        timestamp: submission.observed_at.to_rfc3339_opts(SecondsFormat::Millis, true),
        ioc: Ioc {
            r#type: submission.indicator.kind().as_str(),
            value: submission.indicator.value(),
            source_type: labels.source_type,
            field: submission.field,
        },
        detection: DetectionPart {
            // A correlation of the vendor's; `detection_rule` would need Recorded Future's own rule id.
            r#type: "correlation",
            id: &submission.detection_id,
            name: submission.name.as_deref().and_then(clean),
        },
        incident: Incident {
            id: &submission.detection_id,
            name: submission.incident_name.as_deref().and_then(clean),
            r#type: labels.incident_type,
        },
        mitre_codes: submission.mitre_codes.iter().map(ToString::to_string).collect(),
    };
    serde_json::value::to_raw_value(&item)
}

/// A vendor's text without control characters and of bearable length; `None` when nothing is left.
fn clean(text: &str) -> Option<String> {
    let spaced: String = text
        .chars()
        .map(|char| if char.is_control() { ' ' } else { char })
        .take(LONGEST_NAME)
        .collect();
    let trimmed = spaced.trim();
    (!trimmed.is_empty()).then(|| trimmed.to_owned())
}
