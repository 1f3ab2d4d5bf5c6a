//! Which alerts and page tokens a run has met already.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

/// A set of texts that keeps 16 bytes each instead of the text.
///
/// Two differently and randomly keyed 64-bit hashes stand for a text, so nobody can make two alert
/// identities that look the same here, and chance does not either.
#[derive(Debug, Default)]
pub(super) struct Seen {
    keys: (RandomState, RandomState),
    known: HashSet<(u64, u64)>,
}

impl Seen {
    /// Remembers a text; `true` when it is new.
    pub fn is_new(&mut self, text: &str) -> bool {
        self.known
            .insert((self.keys.0.hash_one(text), self.keys.1.hash_one(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_new_once() {
        let mut seen = Seen::default();
        assert!(seen.is_new("a"));
        assert!(seen.is_new("b"));
        assert!(!seen.is_new("a"));
    }
}
