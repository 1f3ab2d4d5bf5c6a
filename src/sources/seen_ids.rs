//! The ids seen in one part of a window.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};

use chrono::{DateTime, Utc};

/// A set of ids, each with the instant it belongs to. It keeps 16 bytes per id instead of the text.
///
/// Ids are replaced by a randomly keyed hash, so that nobody can craft two that are taken for the
/// same. The probability that two of 10,000 ids collide is about 3 in 10^12.
#[derive(Debug, Default)]
pub(super) struct SeenIds {
    key: RandomState,
    /// By hash: nanoseconds since 1970, or [`UNKNOWN`].
    instants: HashMap<u64, i64>,
    /// The hashes of ids that the part before this one has seen.
    inherited: HashSet<u64>,
}

const UNKNOWN: i64 = i64::MAX;

impl SeenIds {
    /// Adds an id; `true` if it is new.
    pub(super) fn insert(&mut self, id: &str, instant: Option<DateTime<Utc>>) -> bool {
        let hash = self.key.hash_one(id);
        let nanoseconds =
            instant.and_then(|instant| instant.timestamp_nanos_opt()).unwrap_or(UNKNOWN);
        self.instants.insert(hash, nanoseconds).is_none() && !self.inherited.contains(&hash)
    }

    /// Returns the number of ids that were added.
    pub(super) fn len(&self) -> usize {
        self.instants.len()
    }

    /// Returns an empty set that recognizes the added ids at `start` and later, and those whose
    /// instant is unknown: a part that begins at `start` can read them again.
    pub(super) fn carry_over(&self, start: DateTime<Utc>) -> Self {
        let start = start.timestamp_nanos_opt().unwrap_or(UNKNOWN);
        let inherited = self.instants.iter().filter(|(_, instant)| **instant >= start);
        Self {
            key: self.key.clone(),
            instants: HashMap::new(),
            inherited: inherited.map(|(hash, _)| *hash).collect(),
        }
    }
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
