//! Masks secrets and escapes control characters in everything that is printed or logged, also in
//! texts of others: a service may repeat a token in its error message.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::{PoisonError, RwLock};

use secrecy::{ExposeSecret, SecretString};
use url::form_urlencoded;

/// Every secret of this process, in each spelling in which it may appear.
static SECRETS: RwLock<Vec<SecretString>> = RwLock::new(Vec::new());

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
    let mut secrets = SECRETS.write().unwrap_or_else(PoisonError::into_inner);
    for spelling in [plain.to_owned(), form, percent, escaped] {
        if !secrets.iter().any(|known| known.expose_secret() == spelling) {
            secrets.push(SecretString::from(spelling));
        }
    }
    // The longest first: a secret may contain another.
    secrets.sort_by_key(|known| std::cmp::Reverse(known.expose_secret().len()));
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
    let secrets = SECRETS.read().unwrap_or_else(PoisonError::into_inner);
    secrets.iter().fold(Cow::Borrowed(text), |text, secret| {
        if text.contains(secret.expose_secret()) {
            Cow::Owned(text.replace(secret.expose_secret(), MASK))
        } else {
            text
        }
    })
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
    fn sanitized_json_is_the_same_document() {
        register_secret(&SecretString::from("jsons-secret"));
        let text = "a\u{1b}\u{7f}b\u{202e}c\u{9b}\u{2028} \"jsons-secret\" 漢字";
        let sanitized = sanitize_json(&serde_json::to_string(text).unwrap());
        assert!(!sanitized.contains(is_unsafe), "{sanitized}");
        let parsed: String = serde_json::from_str(&sanitized).unwrap();
        assert_eq!(parsed, text.replace("jsons-secret", MASK));
    }
}
