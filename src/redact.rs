//! Masks secrets and escapes control characters in everything that is printed or logged, also in
//! texts of others: a service may repeat a token in its error message.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::{PoisonError, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret, SecretString};
use url::form_urlencoded;

/// Every secret of this process, in each spelling in which it may appear.
static SPELLINGS: RwLock<Vec<Spelling>> = RwLock::new(Vec::new());

/// The replacement for a secret.
const MASK: &str = "[secret]";
/// Shorter values, in bytes, are ignored: masking them would garble ordinary text.
const SHORTEST_SECRET: usize = 6;

/// Registers a secret, which is masked from now on.
pub(crate) fn register_secret(secret: &SecretString) {
    let plain = secret.expose_secret().trim();
    if plain.len() < SHORTEST_SECRET {
        return;
    }
    let form: String = form_urlencoded::byte_serialize(plain.as_bytes()).collect();
    let percent = form.replace('+', "%20");
    let escaped = plain.escape_default().to_string();
    let texts = [plain, &form, &percent, &escaped].map(Spelling::text);
    let base64 = (0..3).flat_map(|offset| Spelling::base64(plain.as_bytes(), offset));
    let mut spellings = SPELLINGS.write().unwrap_or_else(PoisonError::into_inner);
    for spelling in texts.into_iter().chain(base64) {
        if !spellings.iter().any(|known| known.is_same(&spelling)) {
            spellings.push(spelling);
        }
    }
    // The longest first: a secret may contain another.
    spellings.sort_by_key(|known| std::cmp::Reverse(known.text.expose_secret().len()));
}

/// One way to write a secret.
struct Spelling {
    /// In lower case unless it is base64.
    text: SecretString,
    /// `None` for a text in any case.
    base64: Option<Base64>,
}

/// In base64, a character has 6 bits: one at either end of the secret may also have bits of what is
/// before or after it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Base64 {
    shares_first: bool,
    shares_last: bool,
}

impl Spelling {
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
        let shares =
            Base64 { shares_first: offset > 0, shares_last: !bytes.len().is_multiple_of(3) };
        let whole = |encoded: String| encoded.get(first..end).unwrap_or_default().to_owned();
        let standard = whole(STANDARD_NO_PAD.encode(&bytes));
        let percent = standard.replace('+', "%2B").replace('/', "%2F");
        let url_safe = whole(URL_SAFE_NO_PAD.encode(&bytes));
        [standard, percent, url_safe].map(|text| Self { text: text.into(), base64: Some(shares) })
    }

    fn is_same(&self, other: &Self) -> bool {
        self.text.expose_secret() == other.text.expose_secret() && self.base64 == other.base64
    }

    /// Masks this spelling in a text, which is given in lower case too; `None` if it is not in it.
    fn mask(&self, text: &str, lower_case: &str) -> Option<String> {
        let searched = if self.base64.is_some() { text } else { lower_case };
        let bytes = text.as_bytes();
        let is_base64 = |index: usize| {
            bytes
                .get(index)
                .is_some_and(|byte| byte.is_ascii_alphanumeric() || b"+/-_".contains(byte))
        };
        let mut masked = None;
        let mut copied = 0;
        for (mut start, found) in searched.match_indices(self.text.expose_secret()) {
            let mut end = start + found.len();
            if let Some(Base64 { shares_first, shares_last }) = self.base64 {
                if shares_first && start > copied && is_base64(start - 1) {
                    start -= 1;
                }
                if shares_last && is_base64(end) {
                    end += 1;
                }
                let padding = bytes.iter().skip(end).take(2).take_while(|byte| **byte == b'=');
                end += padding.count();
            }
            // Two that overlap: the first one was masked.
            let Some(between) = text.get(copied..start) else {
                continue;
            };
            let masked: &mut String = masked.get_or_insert_default();
            masked.push_str(between);
            masked.push_str(MASK);
            copied = end;
        }
        let mut masked = masked?;
        masked.push_str(text.get(copied..).unwrap_or_default());
        Some(masked)
    }
}

/// Masks secrets and escapes control characters: the result is safe to print on one line.
pub(crate) fn sanitize(text: &str) -> String {
    let masked = mask_secrets(text);
    escape(&masked, |escaped, char| {
        // Writing to a String cannot fail.
        let _ = write!(escaped, "{}", char.escape_unicode());
    })
    .into_owned()
}

/// Does the same as [`sanitize`] to a JSON document, with JSON's own escapes: it stays the same
/// document, apart from the secrets.
pub(crate) fn sanitize_json(json: &str) -> String {
    let masked = mask_secrets(json);
    escape(&masked, |escaped, char| {
        let mut units = [0; 2];
        for unit in char.encode_utf16(&mut units) {
            // Writing to a String cannot fail.
            let _ = write!(escaped, "\\u{unit:04x}");
        }
    })
    .into_owned()
}

/// Masks secrets. Needed before a text is truncated: part of a secret would not be recognized.
pub(crate) fn mask_secrets(text: &str) -> Cow<'_, str> {
    let spellings = SPELLINGS.read().unwrap_or_else(PoisonError::into_inner);
    let mut masked = Cow::Borrowed(text);
    let mut lower_case = text.to_ascii_lowercase();
    for spelling in spellings.iter() {
        if let Some(changed) = spelling.mask(&masked, &lower_case) {
            lower_case = changed.to_ascii_lowercase();
            masked = Cow::Owned(changed);
        }
    }
    masked
}

/// Returns the start of a text of others, at most `limit` characters, without secrets.
pub(crate) fn excerpt(text: &str, limit: usize) -> String {
    mask_secrets(text).chars().take(limit).collect()
}

/// Removes the user name and the password from a text that may be a URL, also an invalid one.
pub(crate) fn without_credentials(text: &str) -> Cow<'_, str> {
    // Programs accept any number of slashes after the scheme, also none.
    let Some((_, after)) = text.split_once(':') else {
        return Cow::Borrowed(text);
    };
    let rest = after.trim_start_matches(['/', '\\']);
    let end = rest.find(['/', '\\', '?', '#']).unwrap_or(rest.len());
    match rest.get(..end).and_then(|authority| authority.rfind('@')) {
        Some(at) => {
            let scheme = text.strip_suffix(rest).unwrap_or_default();
            Cow::Owned(format!("{scheme}{}", rest.get(at + 1..).unwrap_or_default()))
        }
        None => Cow::Borrowed(text),
    }
}

/// Replaces every unsafe character with what `write` writes for it.
fn escape(text: &str, write: impl Fn(&mut String, char)) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for char in text.chars() {
        if is_unsafe(char) {
            write(&mut escaped, char);
        } else {
            escaped.push(char);
        }
    }
    Cow::Owned(escaped)
}

/// Control characters, line and paragraph separators, and characters that change the direction of
/// writing.
fn is_unsafe(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_in_each_spelling() {
        register_secret(&SecretString::from("p@ss word/42"));
        for text in ["key p@ss word/42!", "key p%40ss+word%2F42!", "key p%40ss%20word%2F42!"] {
            assert_eq!(sanitize(text), "key [secret]!", "{text}");
        }
    }

    #[test]
    fn secrets_are_masked_in_other_case() {
        register_secret(&SecretString::from("cAse/s3cret"));
        for text in ["key CASE/S3CRET!", "key case/s3cret!", "key case%2fs3cret!"] {
            assert_eq!(sanitize(text), "key [secret]!", "{text}");
        }
        assert_eq!(sanitize("ÄCASE/s3cretß漢"), "Ä[secret]ß漢");
    }

    #[test]
    fn secrets_are_masked_in_base64() {
        // With bytes that lead to "+", "/", "-" and "_".
        const SECRET: &str = "b64~~?s3c>>ret";
        register_secret(&SecretString::from(SECRET));
        for before in ["", "u", "us", "user:", "user1:", "user12:"] {
            for after in ["", "x", "xy", "xyz"] {
                let plain = format!("{before}{SECRET}{after}");
                let standard = STANDARD_NO_PAD.encode(&plain);
                let padding = "=".repeat(standard.len().wrapping_neg() % 4);
                let percent = standard.replace('+', "%2B").replace('/', "%2F");
                for encoded in [
                    format!("{standard}{padding}"),
                    format!("{}{padding}", URL_SAFE_NO_PAD.encode(&plain)),
                    URL_SAFE_NO_PAD.encode(&plain),
                    standard,
                    percent,
                ] {
                    let masked = sanitize(&format!("Basic {encoded}\u{e9}"));
                    let (start, end) = masked.split_once("[secret]").unwrap();
                    let start = start.strip_prefix("Basic ").unwrap();
                    // What is left are the other texts, of which the groups next to it are cut.
                    assert!(start.len() <= before.len() * 4 / 3, "{plain}: {masked}");
                    assert!(
                        end.chars().count() <= (after.len() * 4).div_ceil(3) + 1 + padding.len()
                    );
                    assert!(!after.is_empty() || end == "\u{e9}", "{plain}: {masked}");
                }
            }
        }
    }

    #[test]
    fn overlapping_secrets_are_masked() {
        register_secret(&SecretString::from("ab-ab-ab"));
        assert_eq!(sanitize("x ab-ab-ab-ab x"), "x [secret]-ab x");
    }

    #[test]
    fn a_secret_that_contains_another_is_masked_as_a_whole() {
        register_secret(&SecretString::from("short-secret"));
        register_secret(&SecretString::from("short-secret-and-more"));
        assert_eq!(sanitize("x short-secret-and-more x"), "x [secret] x");
    }

    #[test]
    fn short_texts_are_not_secrets() {
        register_secret(&SecretString::from("a"));
        assert_eq!(sanitize("a banana"), "a banana");
    }

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(
            sanitize("a\u{1b}[31mb\r\nc\u{202e}d\u{9b}e"),
            "a\\u{1b}[31mb\\u{d}\\u{a}c\\u{202e}d\\u{9b}e"
        );
        assert_eq!(sanitize("näive 漢字"), "näive 漢字");
    }

    #[test]
    fn an_excerpt_has_no_part_of_a_secret() {
        register_secret(&SecretString::from("cut-in-two"));
        assert_eq!(excerpt("ä cut-in-two b", 6), "ä [sec");
        assert_eq!(excerpt("ä cut-in-two b", 99), "ä [secret] b");
    }

    #[test]
    fn credentials_are_removed_from_urls_also_from_invalid_ones() {
        for (text, expected) in [
            ("http://me:s3cret@host/a@b", "http://host/a@b"),
            ("ftp://me:p@ss@exa mple/", "ftp://exa mple/"),
            ("x://me@", "x://"),
            ("http://host/?me:s3cret@b", "http://host/?me:s3cret@b"),
            ("http://host\\me@b", "http://host\\me@b"),
            ("me@example.com", "me@example.com"),
            ("://", "://"),
            ("http:///me:s3cret@host/x", "http:///host/x"),
            ("http:\\\\me:s3cret@host/", "http:\\\\host/"),
            ("http:me:s3cret@host", "http:host"),
        ] {
            assert_eq!(without_credentials(text), expected);
        }
    }

    #[test]
    fn sanitized_json_is_the_same_document() {
        register_secret(&SecretString::from("jsons-secret"));
        let text = "a\u{1b}\u{7f}b\u{202e}c\u{9b}\u{2028} \"jsons-secret\" 漢字";
        let sanitized = sanitize_json(&serde_json::to_string(text).unwrap());
        assert!(!sanitized.contains(is_unsafe), "{sanitized}");
        let parsed: String = serde_json::from_str(&sanitized).unwrap();
        assert_eq!(parsed, text.replace("jsons-secret", MASK));
    }
}
