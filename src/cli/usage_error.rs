//! Errors of the command line: without secrets, with tips, and as a failure, for JSON and for
//! values from variables and the settings file.

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::NAME;
use crate::failure::{Failure, FailureKind};
use crate::redact;

/// Hides words that may be a secret whose flag is missing or misspelled, and escapes the others.
pub(super) fn without_secrets(mut error: clap::Error) -> clap::Error {
    let hidden =
        |what: &str| ContextValue::String(format!("({what}; not shown, it may be a secret)"));
    match (error.kind(), error.get(ContextKind::InvalidArg)) {
        (ErrorKind::UnknownArgument, Some(ContextValue::String(text)))
            if !text.starts_with('-') || may_be_secret(text) =>
        {
            error.insert(ContextKind::InvalidArg, hidden("a word that is not an option"));
            error.remove(ContextKind::SuggestedArg);
            // The tip repeats the word.
            error.remove(ContextKind::Suggested);
        }
        (ErrorKind::InvalidSubcommand, _) => {
            hide_command(&mut error, hidden);
            keep_nearest_command(&mut error);
        }
        _ => {}
    }
    if let Some(ContextValue::String(value)) = error.get(ContextKind::InvalidValue)
        && may_be_secret(value)
    {
        error.insert(ContextKind::InvalidValue, hidden("a word of letters and digits"));
    }
    sanitize(&mut error);
    error
}

/// Escapes control characters in the arguments: they may be pasted, or come from a script.
fn sanitize(error: &mut clap::Error) {
    for kind in [ContextKind::InvalidArg, ContextKind::InvalidValue, ContextKind::PriorArg] {
        let Some(ContextValue::String(text)) = error.get(kind) else {
            continue;
        };
        let safe = redact::sanitize(text);
        if safe != *text {
            error.insert(kind, ContextValue::String(safe));
            // The tip repeats the text.
            error.remove(ContextKind::Suggested);
        }
    }
}

/// Hides a word that was given as a command, unless it may be a mistyped one.
fn hide_command(error: &mut clap::Error, hidden: impl Fn(&str) -> ContextValue) {
    let shown = match error.get(ContextKind::InvalidSubcommand) {
        Some(ContextValue::String(word)) if may_be_command(word) => {
            ContextValue::String(redact::sanitize(word))
        }
        _ => hidden("a word that is not a command"),
    };
    error.insert(ContextKind::InvalidSubcommand, shown);
    // The tip repeats the word.
    error.remove(ContextKind::Suggested);
}

/// Keeps the last suggestion, which is the most similar one: aliases of two letters resemble many
/// words.
fn keep_nearest_command(error: &mut clap::Error) {
    if let Some(ContextValue::Strings(names)) = error.get(ContextKind::SuggestedSubcommand) {
        let nearest = names.last().cloned().into_iter().collect();
        error.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(nearest));
    }
}

/// Whether a word may be a mistyped command, and not a secret: keys are longer, have digits, or
/// consist of capital letters.
fn may_be_command(word: &str) -> bool {
    const MAX_LENGTH: usize = 20;
    const MIN_SECRET_LENGTH: usize = 10;
    let is_short = word.len() < MIN_SECRET_LENGTH;
    let has_lowercase = word.chars().any(|char| char.is_ascii_lowercase());
    word.len() <= MAX_LENGTH && !may_be_secret(word) && (is_short || has_lowercase)
}

/// Whether a rejected value contains a word that could be a key: it has letters and digits, and is
/// at least as long as the shortest key. Keys can be joined to other words, as in `secret/id`.
fn may_be_secret(value: &str) -> bool {
    const MIN_LENGTH: usize = 10;
    /// For words with hyphens and underscores, such as `us-gov-west-1`.
    const MIN_LENGTH_HYPHENATED: usize = 16;
    value.split(['/', ':', '.', '=']).any(|word| {
        let has = |kind: fn(&char) -> bool| word.chars().any(|char| kind(&char));
        let min_length =
            if has(|char| matches!(char, '-' | '_')) { MIN_LENGTH_HYPHENATED } else { MIN_LENGTH };
        word.len() >= min_length
            && has(char::is_ascii_digit)
            && has(char::is_ascii_alphabetic)
            && !has(|char| char.is_whitespace())
    })
}

/// Adds a tip if an option is unknown and the command line does not begin with a command. The
/// Python scripts that this program replaces had no commands, because each read one source only.
pub(super) fn with_tip(mut error: clap::Error, has_command: bool) -> clap::Error {
    let is_unknown = error.kind() == ErrorKind::UnknownArgument;
    if is_unknown && !has_command && error.get(ContextKind::SuggestedArg).is_none() {
        let tip = StyledStr::from(format!(
            "name the source first, and then its options: '{NAME} crowdstrike -k <KEY>'"
        ));
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip]));
    }
    error
}

/// Returns an error of the command line as a failure: its first paragraph becomes the message, the
/// others become the help.
pub(crate) fn as_failure(error: &clap::Error) -> Failure {
    let text = error.render().to_string();
    let (message, help) = text.trim().split_once("\n\n").unwrap_or((text.trim(), ""));
    let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let message = one_line(message.strip_prefix("error: ").unwrap_or(message));
    let help: Vec<String> = help.split("\n\n").map(one_line).collect();
    Failure::new(FailureKind::Configuration, message, help.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_words_that_may_be_commands_are_shown() {
        for word in ["crowdstrke", "Crowdstrike", "carbon-blak", "staus", "STATUS", "qwerty", "cs2"]
        {
            assert!(may_be_command(word), "{word}");
        }
        for word in [
            "s3cr3twithoutitsflag", "ABCDEFGHIJ", "abcdef0123", "averylongwordofletters",
            "K7QZ1M4XPB",
        ] {
            assert!(!may_be_command(word), "{word}");
        }
    }

    #[test]
    fn control_characters_are_escaped() {
        for arguments in [["cs", "--x\u{1b}[2J\u{9b}2Jy"], ["cs", "--hours=\u{1b}[2J\n"]] {
            let error = super::super::parse([NAME].into_iter().chain(arguments).map(Into::into));
            let text = error.unwrap_err().render().ansi().to_string();
            assert!(!text.contains("\u{1b}[2J") && !text.contains('\u{9b}'), "{text:?}");
        }
    }

    #[test]
    fn a_failure_has_the_message_and_what_to_do_on_one_line_each() {
        let error = super::super::parse([NAME, "crowdstrke", "--json"].map(Into::into));
        let failure = as_failure(&error.unwrap_err());
        assert_eq!(failure.message, "unrecognized subcommand 'crowdstrke'");
        assert_eq!(
            failure.help,
            "tip: a similar subcommand exists: 'crowdstrike'; Usage: collective-insights [OPTIONS] <COMMAND>; For more information, try '--help'."
        );
    }
}
