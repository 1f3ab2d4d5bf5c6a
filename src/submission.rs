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
    pub repeats: Repeats,
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
            repeats: Repeats::default(),
        }
    }

    /// Who stands for an indicator: the earliest detection, whatever the order they came in.
    #[must_use]
    pub fn precedence(&self) -> (DateTime<Utc>, &str, &str) {
        (self.observed_at, &self.detection_id, self.field)
    }

    /// The identities of all detections it stands for: first the one that stands, then the others.
    pub fn detections(&self) -> impl Iterator<Item = String> {
        let others = self.repeats.iter().filter(|id| *id != self.detection_id);
        std::iter::once(self.detection_id.clone()).chain(others)
    }

    /// Lets it stand for one more detection that names its indicator.
    pub fn add(&mut self, detection: &Detection, field: &'static str) {
        self.mitre_codes.extend(&detection.mitre_codes);
        self.severity = self.severity.max(detection.scores.severity);
        let same = detection.id == self.detection_id;
        if (detection.observed_at, detection.id.as_str(), field) < self.precedence() {
            if !same {
                self.repeats.add(&self.detection_id);
            }
            self.field = field;
            self.detection_id.clone_from(&detection.id);
            self.observed_at = detection.observed_at;
            self.name.clone_from(&detection.name);
            self.incident_name.clone_from(&detection.incident_name);
        } else if !same {
            self.repeats.add(&detection.id);
        }
    }
}

/// Identities of detections, packed: a run can have a hundred thousand of them, and within an account
/// they begin alike.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Repeats {
    /// The first in full, and of the others what follows the beginning that they share with it.
    text: String,
    /// For each, how many bytes it shares with the first, and where its own text ends.
    marks: Vec<(usize, usize)>,
}

impl Repeats {
    fn add(&mut self, id: &str) {
        let shared = shared(self.first(), id);
        let own = id.get(shared..).unwrap_or_default();
        if self.text.capacity() - self.text.len() < own.len() {
            // Doubling would leave a third of all of them empty.
            self.text.reserve_exact(own.len() + self.text.len() / 8);
        }
        self.text.push_str(own);
        self.marks.push((shared, self.text.len()));
    }

    fn first(&self) -> &str {
        let end = self.marks.first().map_or(0, |(_, end)| *end);
        self.text.get(..end).unwrap_or_default()
    }

    /// Each of them; one that named the indicator several times may come as often.
    pub fn iter(&self) -> impl Iterator<Item = String> {
        let starts = std::iter::once(0).chain(self.marks.iter().map(|(_, end)| *end));
        starts.zip(&self.marks).map(|(start, (shared, end))| {
            let parts = [self.first().get(..*shared), self.text.get(start..*end)];
            parts.into_iter().flatten().collect()
        })
    }
}

/// How many bytes two texts have in common at their beginning, in whole characters.
fn shared(a: &str, b: &str) -> usize {
    let equal = a.chars().zip(b.chars()).take_while(|(a, b)| a == b);
    equal.map(|(char, _)| char.len_utf8()).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_packed_comes_out(ids in prop::collection::vec("(cid:ind:|c|\u{e9})?.{0,9}", 0..9)) {
            let mut repeats = Repeats::default();
            for id in &ids {
                repeats.add(id);
            }
            prop_assert_eq!(repeats.iter().collect::<Vec<_>>(), ids);
        }
    }
}
