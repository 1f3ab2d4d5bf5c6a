//! Finds secrets in a text, in each spelling: plain, percent-encoded, escaped and base64. The time
//! depends on the text, and hardly on the number of secrets.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::BuildHasher as _;
use std::iter;
use std::ops::Range;

use super::spelling::{SHORTEST_SECRET, Spelling};

/// The replacement for a secret.
pub(super) const MASK: &str = "[secret]";
/// Every spelling has a prefix of this many bytes.
const PREFIX: usize = SHORTEST_SECRET;

/// The secrets, in each spelling.
#[derive(Default)]
pub(super) struct Index {
    /// All spellings but base64, in lower case: compared with the text in lower case.
    texts: Spellings,
    base64: Spellings,
}

/// Spellings by the hash of their prefix; those with the same hash are sorted by their text.
///
/// The map does not contain the prefix itself: it may be a whole secret, and a map that grows
/// leaves copies of its keys in memory, while a `SecretString` is erased.
#[derive(Default)]
struct Spellings {
    by_hash: HashMap<u64, Vec<Spelling>>,
    /// For every two bytes, at the index [`first_two`]: whether a spelling begins with them. With
    /// few secrets, hardly any position of a text needs a hash, which makes long texts several
    /// times faster.
    begins: Vec<bool>,
}

impl Index {
    pub(super) fn add(&mut self, spelling: Spelling) {
        if spelling.is_base64() {
            self.base64.add(spelling);
        } else {
            self.texts.add(spelling);
        }
    }

    /// Masks each secret, and secrets that overlap as one: no part of either is left.
    pub(super) fn mask<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut ranges = self.texts.find(text.to_ascii_lowercase().as_bytes());
        ranges.append(&mut self.base64.find(text.as_bytes()));
        if ranges.is_empty() {
            return Cow::Borrowed(text);
        }
        ranges.sort_unstable_by_key(|range| range.start);
        let mut masked = String::with_capacity(text.len());
        let mut copied = 0;
        for Range { start, end } in ranges {
            // `None` if the range overlaps with the one before: one mask covers both.
            if let Some(between) = text.get(copied..start) {
                masked.push_str(between);
                masked.push_str(MASK);
            }
            copied = copied.max(end);
        }
        masked.push_str(text.get(copied..).unwrap_or_default());
        Cow::Owned(masked)
    }
}

impl Spellings {
    fn add(&mut self, spelling: Spelling) {
        let prefix = spelling.bytes().get(..PREFIX).unwrap_or_default();
        self.begins.resize(1 << 16, false);
        if let Some(begins) = self.begins.get_mut(first_two(prefix)) {
            *begins = true;
        }
        let hash = self.hash(prefix);
        let sorted = self.by_hash.entry(hash).or_default();
        match sorted.binary_search_by(|known| known.bytes().cmp(spelling.bytes())) {
            Ok(index) => {
                if let Some(known) = sorted.get_mut(index) {
                    known.combine(&spelling);
                }
            }
            Err(index) => sorted.insert(index, spelling),
        }
    }

    /// Returns the ranges of a text to mask, in bytes; they may overlap.
    fn find(&self, text: &[u8]) -> Vec<Range<usize>> {
        let mut ranges = Vec::new();
        for (start, prefix) in text.windows(PREFIX).enumerate() {
            if self.begins.get(first_two(prefix)) != Some(&true) {
                continue;
            }
            let Some(sorted) = self.by_hash.get(&self.hash(prefix)) else {
                continue;
            };
            let rest = text.get(start..).unwrap_or_default();
            let found = starts_of(rest, sorted);
            ranges.extend(found.map(|spelling| spelling.range_in(text, start)));
        }
        ranges
    }

    /// Hashes with the map's hasher, whose seed is random.
    fn hash(&self, prefix: &[u8]) -> u64 {
        self.by_hash.hasher().hash_one(prefix)
    }
}

/// Returns the first two bytes as a number.
fn first_two(prefix: &[u8]) -> usize {
    prefix.first_chunk().map_or(0, |bytes| usize::from(u16::from_be_bytes(*bytes)))
}

/// Returns the spellings with which a text starts, the longest first. It does not compare each one,
/// because hundreds may have the same prefix: access tokens have the same header.
fn starts_of<'a>(mut text: &'a [u8], sorted: &'a [Spelling]) -> impl Iterator<Item = &'a Spelling> {
    iter::from_fn(move || {
        loop {
            // A spelling with which the text starts is sorted before the text. If the last one
            // before it is not a start, a start can only be in what both have in common.
            let end = sorted.partition_point(|spelling| spelling.bytes() <= text);
            let last = sorted.get(..end)?.last()?;
            let bytes = last.bytes();
            let common = iter::zip(bytes, text).take_while(|(a, b)| a == b).count();
            let is_start = common == bytes.len();
            text = text.get(..common - usize::from(is_start))?;
            if is_start {
                return Some(last);
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use secrecy::SecretString;

    use super::*;

    fn index_of(secrets: &[String]) -> Index {
        let mut index = Index::default();
        for spelling in secrets.iter().flat_map(|secret| Spelling::all(&secret.as_str().into())) {
            index.add(spelling);
        }
        index
    }

    fn spellings_in(index: &Index) -> usize {
        index.texts.by_hash.values().chain(index.base64.by_hash.values()).map(Vec::len).sum()
    }

    /// Searches for each spelling at each position.
    fn mask_naively(text: &str, spellings: &[Spelling]) -> String {
        let lower_case = text.to_ascii_lowercase();
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for spelling in spellings {
            let searched = if spelling.is_base64() { text } else { &lower_case }.as_bytes();
            for start in 0..searched.len() {
                if !searched[start..].starts_with(spelling.bytes()) {
                    continue;
                }
                let mut range = spelling.range_in(searched, start);
                ranges.retain(|other| {
                    let overlap = other.start < range.end && range.start < other.end;
                    if overlap {
                        range = range.start.min(other.start)..range.end.max(other.end);
                    }
                    !overlap
                });
                ranges.push(range);
            }
        }
        ranges.sort_unstable_by_key(|range| std::cmp::Reverse(range.start));
        let mut masked = text.to_owned();
        for range in ranges {
            masked.replace_range(range, MASK);
        }
        masked
    }

    /// A generator of pseudo-random numbers (xorshift).
    struct Random(u64);

    impl Random {
        fn below(&mut self, limit: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            usize::try_from(self.0 >> 33).unwrap() % limit
        }

        fn text(&mut self, characters: &str, length: usize) -> String {
            let characters: Vec<char> = characters.chars().collect();
            (0..length).map(|_| characters[self.below(characters.len())]).collect()
        }
    }

    #[test]
    fn it_masks_what_a_search_for_each_spelling_finds() {
        let mut random = Random(0x2545_f491_4f6c_dd1d);
        let mut with_several = 0;
        for round in 0..300 {
            // Few different characters: secrets overlap, and contain and repeat one another.
            let characters = ["ab", "aB?", "a-\u{e9} b~", "U/+%"][round % 4];
            let mut secrets: Vec<String> = Vec::new();
            for _ in 0..=random.below(6) {
                let length = 6 + random.below(8);
                secrets.push(random.text(characters, length));
            }
            let mut text = String::new();
            for _ in 0..12 {
                let length = random.below(9);
                let other =
                    random.text(characters, length) + ["", "=", "\u{6f22}"][random.below(3)];
                let secret = &secrets[random.below(secrets.len())];
                let part = match random.below(5) {
                    0 => other,
                    1 => secret.to_ascii_uppercase(),
                    2 => STANDARD.encode(format!("{other}{secret}{other}")),
                    3 => format!("\u{e4}{secret}\u{df}"),
                    _ => secret.chars().take(length).collect(),
                };
                text.push_str(&part);
            }
            let of_each = |secret: &String| Spelling::all(&SecretString::from(secret.as_str()));
            let spellings: Vec<_> = secrets.iter().flat_map(of_each).collect();
            let masked = index_of(&secrets).mask(&text);
            assert_eq!(masked, mask_naively(&text, &spellings), "{text:?} {secrets:?}");
            with_several += usize::from(masked.matches(MASK).count() > 1);
        }
        assert!(with_several > 100, "{with_several}");
    }

    #[test]
    fn secrets_that_overlap_have_one_mask() {
        let index = index_of(&["one-two-".into(), "two-three".into(), "TWO-THR".into()]);
        assert_eq!(index.mask("x one-two-three x"), "x [secret] x");
        assert_eq!(index.mask("one-two-two-three"), "[secret][secret]");
    }

    #[test]
    fn thousands_of_secrets_are_masked() {
        // All have the same prefix, also in base64.
        let secrets: Vec<_> = (0..5000).map(|number| format!("Token-{number}/\u{e9}")).collect();
        let index = index_of(&secrets);
        for secret in secrets.iter().step_by(97) {
            let encoded = STANDARD.encode(secret);
            let text = format!("\u{6f22}{secret}\u{5b57} token-x {encoded} TOKEN-1\u{df}");
            let expected = "\u{6f22}[secret]\u{5b57} token-x [secret] TOKEN-1\u{df}";
            assert_eq!(index.mask(&text), expected);
        }
    }

    #[test]
    fn a_secret_is_stored_once() {
        let secret = || "abc?def~".to_owned();
        let once = spellings_in(&index_of(&[secret()]));
        assert_eq!(spellings_in(&index_of(&[secret(), secret(), secret()])), once);
    }

    #[test]
    fn the_same_base64_at_several_offsets_is_masked_with_the_characters_around_each() {
        // It is `VVVVVVVVVV` at all three offsets. The characters next to it may have bits of the
        // secret, as the `J` has in `YWJVVVVVVVVVVQ==`.
        let secret = "UUUUUUUU";
        let index = index_of(&[secret.into()]);
        for (before, expected) in
            [("", "[secret]"), ("a", "[secret]"), ("ab", "YW[secret]"), ("abc", "YWJ[secret]")]
        {
            assert_eq!(index.mask(&STANDARD.encode(format!("{before}{secret}"))), expected);
        }
    }
}
