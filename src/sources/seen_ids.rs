//! Which alerts and page tokens a run has met already.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

/// A set of texts that keeps 8 bytes each instead of the text.
///
/// A randomly keyed hash stands for a text, so nobody can make two alert identities that look the same
/// here. Chance makes two of a night's 20,000 look so once in 10^11 days.
#[derive(Debug, Default)]
pub(super) struct SeenIds {
    key: RandomState,
    known: HashSet<u64>,
}

impl SeenIds {
    /// Remembers a text; `true` when it is new.
    pub fn is_new(&mut self, text: &str) -> bool {
        self.known.insert(self.key.hash_one(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_new_once() {
        let mut seen = SeenIds::default();
        assert!(seen.is_new("a"));
        assert!(seen.is_new("b"));
        assert!(!seen.is_new("a"));
    }
}
