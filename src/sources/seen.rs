//! Which alerts and page tokens a run has met already.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

/// A set of texts that keeps 12 bytes each instead of the text.
///
/// Two differently and randomly keyed hashes stand for a text, of the second one a half, so nobody can
/// make two alert identities that look the same here, and among a million of them chance does so once
/// in 10^17 runs.
#[derive(Debug, Default)]
pub(super) struct Seen {
    keys: (RandomState, RandomState),
    /// As bytes: numbers would be padded to 16.
    known: HashSet<[u8; 12]>,
}

impl Seen {
    /// Remembers a text; `true` when it is new.
    pub fn is_new(&mut self, text: &str) -> bool {
        let [first, second] =
            [&self.keys.0, &self.keys.1].map(|key| u128::from(key.hash_one(text)));
        let [known @ .., _, _, _, _] = (first << u64::BITS | second).to_ne_bytes();
        self.known.insert(known)
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
