//! What may be shown: secrets are replaced and control characters spelled out before any text reaches
//! a log, a terminal or a document, whoever made it (a service may echo a token in its error).

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::{PoisonError, RwLock};

use secrecy::{ExposeSecret, SecretString};
use url::form_urlencoded;

/// Every secret this process knows, in each spelling it could appear in.
static SECRETS: RwLock<Vec<SecretString>> = RwLock::new(Vec::new());

/// What stands in a secret's place.
const MASK: &str = "[secret]";
/// Shorter texts are no secrets of the services and would tear holes into ordinary words.
const SHORTEST_SECRET: usize = 6;

/// Remembers a secret, so that it is never shown.
pub fn register_secret(secret: &SecretString) {
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
    // The longest first: one secret can be a part of another.
    secrets.sort_by_key(|known| std::cmp::Reverse(known.expose_secret().len()));
}

/// The text without secrets and with control characters spelled out: safe to show on one line.
#[must_use]
pub fn safe(text: &str) -> String {
    printable(&without_secrets(text)).into_owned()
}

/// JSON without secrets and with what [`safe`] spells out written as JSON's own escapes: safe to show,
/// and the same values to whoever reads it.
#[must_use]
pub fn safe_json(json: &str) -> String {
    escape(&without_secrets(json), |shown, char| {
        let mut units = [0; 2];
        for unit in char.encode_utf16(&mut units) {
            // Writing to a String cannot fail.
            let _ = write!(shown, "\\u{unit:04x}");
        }
    })
    .into_owned()
}

/// The text without secrets, to be cut: a part of a secret would not be recognised any more.
#[must_use]
pub fn without_secrets(text: &str) -> Cow<'_, str> {
    let secrets = SECRETS.read().unwrap_or_else(PoisonError::into_inner);
    secrets.iter().fold(Cow::Borrowed(text), |text, secret| {
        if text.contains(secret.expose_secret()) {
            Cow::Owned(text.replace(secret.expose_secret(), MASK))
        } else {
            text
        }
    })
}

fn printable(text: &str) -> Cow<'_, str> {
    escape(text, |shown, char| {
        // Writing to a String cannot fail.
        let _ = write!(shown, "{}", char.escape_unicode());
    })
}

/// Spells out what a terminal or a log would act upon: control characters, line and paragraph
/// separators, and the characters that turn the direction of writing.
fn escape(text: &str, spell: impl Fn(&mut String, char)) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for char in text.chars() {
        if is_unsafe(char) {
            spell(&mut shown, char);
        } else {
            shown.push(char);
        }
    }
    Cow::Owned(shown)
}

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
        for shown in ["key p@ss word/42!", "key p%40ss+word%2F42!", "key p%40ss%20word%2F42!"] {
            assert_eq!(safe(shown), "key [secret]!", "{shown}");
        }
    }

    #[test]
    fn a_secret_within_another_does_not_uncover_it() {
        register_secret(&SecretString::from("inner-secret"));
        register_secret(&SecretString::from("inner-secret-and-more"));
        assert_eq!(safe("x inner-secret-and-more x"), "x [secret] x");
    }

    #[test]
    fn short_texts_are_no_secrets() {
        register_secret(&SecretString::from("a"));
        assert_eq!(safe("a banana"), "a banana");
    }

    #[test]
    fn nothing_acts_on_the_terminal() {
        assert_eq!(
            safe("a\u{1b}[31mb\r\nc\u{202e}d\u{9b}e"),
            "a\\u{1b}[31mb\\u{d}\\u{a}c\\u{202e}d\\u{9b}e"
        );
        assert_eq!(safe("näive 漢字"), "näive 漢字");
    }
    #[test]
    fn json_stays_json() {
        register_secret(&SecretString::from("jsons-secret"));
        let text = "a\u{1b}\u{7f}b\u{202e}c\u{9b}\u{2028} \"jsons-secret\" 漢字";
        let shown = safe_json(&serde_json::to_string(text).unwrap());
        assert!(!shown.contains(is_unsafe), "{shown}");
        let read: String = serde_json::from_str(&shown).unwrap();
        assert_eq!(read, text.replace("jsons-secret", MASK));
    }
}
