//! The ids seen in one part of a window.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use chrono::{DateTime, Utc};

/// A set of ids, each with the instant it belongs to. It keeps 16 bytes per id instead of the text.
///
/// Ids are replaced by a randomly keyed hash, so that nobody can craft two that are taken for the
/// same. The probability that two of 10,000 ids collide is about 3 in 10^12.
#[derive(Debug, Default)]
pub(super) struct SeenIds {
    key: RandomState,
    /// Creation times by the hash of the id: nanoseconds since 1970, or [`UNKNOWN`].
    instants: HashMap<u64, i64>,
    /// The same for the ids that the part before this one, or an earlier query of this part, has
    /// seen.
    inherited: HashMap<u64, i64>,
}

const UNKNOWN: i64 = i64::MAX;

impl SeenIds {
    /// Adds an id; `true` if it is new.
    pub(super) fn insert(&mut self, id: &str, instant: Option<DateTime<Utc>>) -> bool {
        let hash = self.key.hash_one(id);
        self.instants.insert(hash, nanoseconds(instant)).is_none()
            && !self.inherited.contains_key(&hash)
    }

    /// Returns the number of ids that were added.
    pub(super) fn len(&self) -> usize {
        self.instants.len()
    }

    /// Returns an empty set that recognizes all ids that this one recognizes.
    pub(super) fn recount(&self) -> Self {
        Self { key: self.key.clone(), instants: HashMap::new(), inherited: self.all().collect() }
    }

    /// Returns an empty set that recognizes the ids at `start` and later, and the added ones whose
    /// instant is unknown: a part that begins at `start` can read them again.
    pub(super) fn carry_over(&self, start: DateTime<Utc>) -> Self {
        let start = nanoseconds(Some(start));
        let inherited = self.inherited.iter().filter(|(_, instant)| **instant != UNKNOWN);
        let ids = inherited.chain(&self.instants).filter(|(_, instant)| **instant >= start);
        Self {
            key: self.key.clone(),
            instants: HashMap::new(),
            inherited: ids.map(|(hash, instant)| (*hash, *instant)).collect(),
        }
    }

    /// Returns an empty set that recognizes the ids of a part, from `start` to before `end`.
    pub(super) fn between(&self, start: DateTime<Utc>, end: DateTime<Utc>) -> Self {
        let span = nanoseconds(Some(start))..nanoseconds(Some(end));
        Self {
            key: self.key.clone(),
            instants: HashMap::new(),
            inherited: self.all().filter(|(_, instant)| span.contains(instant)).collect(),
        }
    }

    fn all(&self) -> impl Iterator<Item = (u64, i64)> {
        self.inherited.iter().chain(&self.instants).map(|(hash, instant)| (*hash, *instant))
    }
}

fn nanoseconds(instant: Option<DateTime<Utc>>) -> i64 {
    instant.and_then(|instant| instant.timestamp_nanos_opt()).unwrap_or(UNKNOWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp(second, 0)
    }

    #[test]
    fn an_id_is_new_once() {
        let mut seen = SeenIds::default();
        assert!(seen.insert("a", at(1)));
        assert!(seen.insert("b", None));
        assert!(!seen.insert("a", at(2)));
        assert!(!seen.insert("b", None));
        assert_eq!(seen.len(), 2);
    }

    #[test]
    fn ids_at_the_start_and_with_an_unknown_instant_are_carried_over() {
        let mut seen = SeenIds::default();
        for (id, instant) in [("before", at(1)), ("start", at(2)), ("unknown", None)] {
            seen.insert(id, instant);
        }
        let mut next = seen.carry_over(at(2).unwrap());
        assert_eq!(next.len(), 0);
        assert!(!next.insert("start", at(2)));
        assert!(!next.insert("unknown", None));
        assert!(next.insert("before", at(1)));
        assert!(next.insert("after", at(3)));
    }

    #[test]
    fn a_recount_recognizes_all_ids_and_counts_them_from_0() {
        let mut first = SeenIds::default();
        first.insert("a", at(1));
        let mut next = first.carry_over(at(0).unwrap());
        next.insert("b", at(2));
        let mut recounted = next.recount();
        assert_eq!(recounted.len(), 0);
        assert!(!recounted.insert("a", at(1)));
        assert!(!recounted.insert("b", at(2)));
        assert!(recounted.insert("c", at(3)));
        assert_eq!(recounted.len(), 3);
    }

    #[test]
    fn a_part_recognizes_the_ids_of_its_span() {
        let mut first = SeenIds::default();
        for second in 1..5 {
            first.insert(&second.to_string(), at(second));
        }
        let again = first.recount().carry_over(at(2).unwrap());
        let mut part = again.between(at(2).unwrap(), at(4).unwrap());
        let is_new: Vec<bool> = ["1", "2", "3", "4"].map(|id| part.insert(id, at(2))).into();
        assert_eq!(is_new, [true, false, false, true]);
    }

    #[test]
    fn only_ids_that_were_read_again_are_carried_over_twice() {
        let mut seen = SeenIds::default();
        seen.insert("unknown", None);
        seen.insert("read again", None);
        let mut next = seen.carry_over(at(1).unwrap());
        next.insert("read again", None);
        let mut last = next.carry_over(at(2).unwrap());
        assert!(last.insert("unknown", None));
        assert!(!last.insert("read again", None));
    }
}
