//! The ways to write a secret.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret, SecretString};
use url::form_urlencoded;

/// Shorter values, in bytes, are ignored: masking them would garble ordinary text. No spelling is
/// shorter than its secret.
pub(super) const SHORTEST_SECRET: usize = 6;

/// One way to write a secret.
pub(super) struct Spelling {
    /// The text, in lower case unless it is base64.
    text: SecretString,
    /// `None` for a text in any case.
    base64: Option<Base64>,
}

/// In base64, a character has 6 bits: the first and the last one of a secret can also have bits of
/// what is next to it. Such characters differ, so that the text of a spelling does not have them,
/// but they are masked with it.
struct Base64 {
    shares_first: bool,
    shares_last: bool,
}

impl Spelling {
    /// Returns each spelling in which a secret may appear, none for a short one.
    pub(super) fn all(secret: &SecretString) -> Vec<Self> {
        let plain = secret.expose_secret().trim();
        if plain.len() < SHORTEST_SECRET {
            return Vec::new();
        }
        let form: String = form_urlencoded::byte_serialize(plain.as_bytes()).collect();
        let percent = form.replace('+', "%20");
        let escaped = plain.escape_default().to_string();
        let texts = [plain, &form, &percent, &escaped].map(Self::text);
        let base64 = (0..3).flat_map(|offset| Self::base64(plain.as_bytes(), offset));
        texts.into_iter().chain(base64).collect()
    }

    fn text(text: &str) -> Self {
        Self { text: text.to_ascii_lowercase().into(), base64: None }
    }

    /// Returns the spellings in base64 where `offset` bytes of a group of three are before the
    /// secret, as in `user:secret`: in the standard alphabet, percent-encoded, and URL-safe.
    fn base64(secret: &[u8], offset: usize) -> [Self; 3] {
        let mut bytes = vec![0; offset];
        bytes.extend_from_slice(secret);
        // The characters that have bits of the secret only.
        let (first, end) = ((offset * 8).div_ceil(6), bytes.len() * 8 / 6);
        let (shares_first, shares_last) = (offset > 0, !bytes.len().is_multiple_of(3));
        let whole = |encoded: String| encoded.get(first..end).unwrap_or_default().to_owned();
        let standard = whole(STANDARD_NO_PAD.encode(&bytes));
        let percent = standard.replace('+', "%2B").replace('/', "%2F");
        let url_safe = whole(URL_SAFE_NO_PAD.encode(&bytes));
        [standard, percent, url_safe].map(|text| Self {
            text: text.into(),
            base64: Some(Base64 { shares_first, shares_last }),
        })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.text.expose_secret().as_bytes()
    }

    pub(super) fn is_base64(&self) -> bool {
        self.base64.is_some()
    }

    /// Combines two spellings with the same text: a character that one of them shares with its
    /// neighbor is masked for both.
    pub(super) fn combine(&mut self, other: &Self) {
        if let (Some(base64), Some(other)) = (&mut self.base64, &other.base64) {
            base64.shares_first |= other.shares_first;
            base64.shares_last |= other.shares_last;
        }
    }

    /// Returns the bytes of a text to mask, where this spelling begins at `start`.
    pub(super) fn range_in(&self, text: &[u8], mut start: usize) -> Range<usize> {
        let mut end = start + self.bytes().len();
        let Some(Base64 { shares_first, shares_last }) = self.base64 else {
            return start..end;
        };
        let is_base64 = |index: usize| {
            text.get(index)
                .is_some_and(|byte| byte.is_ascii_alphanumeric() || b"+/-_".contains(byte))
        };
        if shares_first && start > 0 && is_base64(start - 1) {
            start -= 1;
        }
        if shares_last && is_base64(end) {
            end += 1;
        }
        end += text.iter().skip(end).take(2).take_while(|byte| **byte == b'=').count();
        start..end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_spelling_is_shorter_than_the_shortest_secret() {
        for secret in ["abcdef", "\u{e9}\u{e0}\u{fc}", "\u{6f22}\u{5b57}", "~~??>>", "UUUUUU"] {
            let spellings = Spelling::all(&SecretString::from(secret));
            assert_eq!(spellings.len(), 13);
            assert!(spellings.iter().all(|spelling| spelling.bytes().len() >= SHORTEST_SECRET));
        }
    }
}
