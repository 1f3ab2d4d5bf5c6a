//! Strings of YAML and of TOML.

use std::fmt::Write as _;

/// Returns the text in double quotes, with the escapes that YAML and TOML have in common.
/// Everything but printable ASCII is escaped, because other characters can end a line or a comment.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        // Writing to a String cannot fail.
        let _ = match (character, u32::from(character)) {
            ('"' | '\\', _) => write!(quoted, "\\{character}"),
            (' '..='~', _) => write!(quoted, "{character}"),
            (_, code @ ..=0xffff) => write!(quoted, "\\u{code:04x}"),
            (_, code) => write!(quoted, "\\U{code:08x}"),
        };
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::quoted;

    #[test]
    fn everything_but_printable_ascii_is_escaped() {
        assert_eq!(quoted("a b#:'"), "\"a b#:'\"");
        assert_eq!(quoted("\"\\\n\u{85}\u{7f}"), r#""\"\\\u000a\u0085\u007f""#);
        assert_eq!(quoted("\u{e4}\u{2028}\u{1f600}"), r#""\u00e4\u2028\U0001f600""#);
    }

    proptest! {
        #[test]
        fn toml_reads_what_was_quoted(text: String) {
            let document = format!("key = {}\n", quoted(&text));
            let table = toml::de::DeTable::parse(&document).unwrap();
            let read = table.get_ref().get("key").unwrap().get_ref().as_str().unwrap().to_owned();
            prop_assert_eq!(read, text);
        }
    }
}
