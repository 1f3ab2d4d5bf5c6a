//! A submission: one unique indicator with the detection that stands for it.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use crate::detection::Detection;
use crate::indicator::Indicator;
use crate::mitre::MitreCode;

/// One item to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// The indicator.
    pub indicator: Indicator,
    /// The vendor's field it stood in.
    pub field: &'static str,
    /// The detection that stands for it: the earliest that names it.
    pub detection_id: String,
    /// When that detection was observed, UTC.
    pub observed_at: DateTime<Utc>,
    /// What was detected, in the vendor's words.
    pub name: Option<String>,
    /// The vendor's short title.
    pub incident_name: Option<String>,
    /// The MITRE codes of all detections it stands for.
    pub mitre_codes: BTreeSet<MitreCode>,
    /// The highest severity of them, on the vendor's scale: the most severe are sent first.
    pub severity: Option<u8>,
    /// The other detections it stands for.
    pub repeats: BTreeSet<String>,
}

impl Submission {
    /// The submission of one detection's indicator.
    #[must_use]
    pub fn new(detection: &Detection, indicator: &Indicator, field: &'static str) -> Self {
        Self {
            indicator: indicator.clone(),
            field,
            detection_id: detection.id.clone(),
            observed_at: detection.observed_at,
            name: detection.name.clone(),
            incident_name: detection.incident_name.clone(),
            mitre_codes: detection.mitre_codes.clone(),
            severity: detection.scores.severity,
            repeats: BTreeSet::new(),
        }
    }

    /// Who stands for an indicator: the earliest detection, whatever the order they came in.
    #[must_use]
    pub fn precedence(&self) -> (DateTime<Utc>, &str, &str) {
        (self.observed_at, &self.detection_id, self.field)
    }

    /// Merges another submission of the same indicator into this one.
    pub fn merge(&mut self, mut other: Self) {
        if other.precedence() < self.precedence() {
            std::mem::swap(self, &mut other);
        }
        self.mitre_codes.append(&mut other.mitre_codes);
        self.severity = self.severity.max(other.severity);
        self.repeats.append(&mut other.repeats);
        self.repeats.insert(other.detection_id);
        self.repeats.remove(&self.detection_id);
    }
}
