//! Masks secrets and escapes control characters in everything that is printed or logged, also in
//! texts of others: a service may repeat a token in its error message.

mod index;
mod spelling;

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::{LazyLock, PoisonError, RwLock};

use secrecy::SecretString;

use self::index::Index;
use self::spelling::Spelling;

/// Every secret of this process.
static SECRETS: LazyLock<RwLock<Index>> = LazyLock::new(RwLock::default);

/// Registers a secret, which is masked from now on. One of less than 6 bytes is ignored.
pub(crate) fn register_secret(secret: &SecretString) {
    let spellings = Spelling::all(secret);
    let mut secrets = SECRETS.write().unwrap_or_else(PoisonError::into_inner);
    for spelling in spellings {
        secrets.add(spelling);
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
    SECRETS.read().unwrap_or_else(PoisonError::into_inner).mask(text)
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
        || matches!(char, '\u{61c}' | '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

    use super::index::MASK;
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
        assert_eq!(sanitize("x ab-ab-ab-ab x"), "x [secret] x");
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
            sanitize("a\u{1b}[31mb\r\nc\u{202e}d\u{9b}e\u{61c}f"),
            "a\\u{1b}[31mb\\u{d}\\u{a}c\\u{202e}d\\u{9b}e\\u{61c}f"
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
