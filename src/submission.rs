//! A submission: one unique indicator with the detection that stands for it.

use chrono::{DateTime, Utc};

use crate::detection::Detection;
use crate::indicator::Indicator;
use crate::mitre::MitreCodes;

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
        self.mitre_codes.add_all(&detection.mitre_codes);
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
///
/// One after the other: how many bytes it shares with the first one at its beginning, how many follow
/// that are its own, and these. The first shares none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Repeats(Vec<u8>);

impl Repeats {
    fn add(&mut self, id: &str) {
        let shared = shared(self.parts().next().map_or("", |(_, own)| own), id);
        let own = id.get(shared..).unwrap_or_default();
        let needed = packed_length(shared) + packed_length(own.len()) + own.len();
        if self.0.capacity() - self.0.len() < needed {
            // Doubling would leave a third of all of them empty.
            self.0.reserve_exact(needed + self.0.len() / 16);
        }
        push_number(&mut self.0, shared);
        push_number(&mut self.0, own.len());
        self.0.extend_from_slice(own.as_bytes());
    }

    /// Each of them; one that named the indicator several times may come as often.
    pub fn iter(&self) -> impl Iterator<Item = String> {
        let first = self.parts().next().map_or("", |(_, own)| own);
        self.parts()
            .map(|(shared, own)| [first.get(..shared).unwrap_or_default(), own].concat())
    }

    /// Of each, how many bytes it shares with the first, and its own.
    fn parts(&self) -> impl Iterator<Item = (usize, &str)> {
        let mut rest = self.0.as_slice();
        std::iter::from_fn(move || {
            let shared = take_number(&mut rest)?;
            let length = take_number(&mut rest)?;
            let (own, others) = rest.split_at_checked(length)?;
            rest = others;
            Some((shared, str::from_utf8(own).ok()?))
        })
    }
}

/// How many bytes a packed number takes.
fn packed_length(number: usize) -> usize {
    let bits = number.checked_ilog2().map_or(1, |highest| highest + 1);
    usize::try_from(bits.div_ceil(7)).unwrap_or_default()
}

/// Appends a number, seven bits a byte and the lowest first; the eighth bit says that more follow.
fn push_number(bytes: &mut Vec<u8>, number: usize) {
    let mut rest = number;
    loop {
        let [lowest, ..] = rest.to_le_bytes();
        rest >>= 7;
        bytes.push(if rest == 0 { lowest } else { lowest | 0x80 });
        if rest == 0 {
            return;
        }
    }
}

/// Takes the number that the bytes begin with.
fn take_number(bytes: &mut &[u8]) -> Option<usize> {
    let length = bytes.iter().position(|byte| byte & 0x80 == 0)? + 1;
    let (number, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    let groups = number.iter().rev();
    Some(groups.fold(0, |number, group| (number << 7) | usize::from(group & 0x7f)))
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
        fn what_was_packed_comes_out(ids in prop::collection::vec("(cid:ind:|c|\u{e9})?.{0,200}", 0..9)) {
            let mut repeats = Repeats::default();
            for id in &ids {
                repeats.add(id);
            }
            prop_assert_eq!(repeats.iter().collect::<Vec<_>>(), ids);
        }

        #[test]
        fn a_number_of_any_size_comes_out(number in prop_oneof![any::<usize>(), 0_usize..300], behind: Vec<u8>) {
            let mut bytes = Vec::new();
            push_number(&mut bytes, number);
            prop_assert_eq!(bytes.len(), packed_length(number));
            bytes.extend(&behind);
            let mut rest = bytes.as_slice();
            prop_assert_eq!(take_number(&mut rest), Some(number));
            prop_assert_eq!(rest, behind);
        }
    }
}
