//! A submission: one unique indicator with the detection that stands for it.

mod repeats;

use chrono::{DateTime, Utc};

use crate::detection::Detection;
use crate::indicator::Indicator;
use crate::mitre::MitreCodes;

use self::repeats::Place;
pub use self::repeats::Repeats;

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
    pub mitre_codes: MitreCodes,
    /// The highest severity of them, on the vendor's scale: the most severe are sent first.
    pub severity: Option<u8>,
    /// The last of the other detections it stands for, among the [`Repeats`] of its run.
    pub last_repeat: Option<Place>,
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
            last_repeat: None,
        }
    }

    /// Who stands for an indicator: the earliest detection, whatever the order they came in.
    #[must_use]
    pub fn precedence(&self) -> (DateTime<Utc>, &str, &str) {
        (self.observed_at, &self.detection_id, self.field)
    }

    /// The identities of all detections it stands for: first the one that stands, then the others.
    pub fn detections(&self, repeats: &Repeats) -> impl Iterator<Item = String> {
        let others = repeats.back_from(self.last_repeat).filter(|id| *id != self.detection_id);
        std::iter::once(self.detection_id.clone()).chain(others)
    }

    /// Lets it stand for one more detection that names its indicator.
    pub fn add(&mut self, detection: &Detection, field: &'static str, repeats: &mut Repeats) {
        self.mitre_codes.add_all(&detection.mitre_codes);
        self.severity = self.severity.max(detection.scores.severity);
        let same = detection.id == self.detection_id;
        if (detection.observed_at, detection.id.as_str(), field) < self.precedence() {
            if !same {
                self.last_repeat = Some(repeats.add(self.last_repeat, &self.detection_id));
            }
            self.field = field;
            self.detection_id.clone_from(&detection.id);
            self.observed_at = detection.observed_at;
            self.name.clone_from(&detection.name);
            self.incident_name.clone_from(&detection.incident_name);
        } else if !same {
            self.last_repeat = Some(repeats.add(self.last_repeat, &detection.id));
        }
    }
}
