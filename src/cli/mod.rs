//! The command line: its definitions, the older scripts' flags, and one validated [`Settings`].

mod commands;
mod effective;
mod generate;
mod help_text;
mod legacy_flags;
mod maintenance;
mod run_args;
mod value_parsers;

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgMatches, CommandFactory, FromArgMatches};

use crate::settings::EffectiveOption;

pub use self::commands::{CarbonblackArgs, Cli, Command, CrowdstrikeArgs};
pub use self::generate::{Artifact, GenerateArgs};
pub use self::maintenance::{
    CheckArgs, CheckSource, EntryFilterArgs, HistoryArgs, OutboxAction, OutboxArgs, StatusArgs,
};
pub use self::run_args::{LogArgs, OutputArgs, SourceArgs};

/// The command line's definition, for those who make something of it.
#[must_use]
pub fn definition() -> clap::Command {
    with_exit_codes(Cli::command())
}

/// Adds the exit codes to `--help` of a command and its subcommands; `-h` has to stay one screen.
fn with_exit_codes(command: clap::Command) -> clap::Command {
    let text = match command.get_after_long_help() {
        Some(examples) => format!("{examples}\n\n{}", help_text::EXIT_CODES),
        None => help_text::EXIT_CODES.to_owned(),
    };
    command.after_long_help(text).mut_subcommands(with_exit_codes)
}

/// A command line that was read.
#[derive(Debug)]
pub struct Parsed {
    /// What it says.
    pub cli: Cli,
    matches: ArgMatches,
}

impl Parsed {
    /// Every option of the innermost command with its value and where that came from, fit to be shown.
    /// `resolved` takes precedence: those may come from elsewhere.
    #[must_use]
    pub fn effective(&self, resolved: &[EffectiveOption]) -> Vec<EffectiveOption> {
        effective::options(&definition(), &self.matches, resolved)
    }
}

/// Reads the arguments, the older scripts' flags among them.
///
/// # Errors
/// With clap's message where they cannot be read, and for `--help` and `--version`. A stray word and a
/// value that looks like a secret are not repeated in it: a flag was forgotten or mistaken.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Parsed, clap::Error> {
    let arguments = legacy_flags::translate(arguments);
    definition()
        .try_get_matches_from(arguments)
        .and_then(|matches| Ok(Parsed { cli: Cli::from_arg_matches(&matches)?, matches }))
        .map_err(without_secrets)
}

fn without_secrets(mut error: clap::Error) -> clap::Error {
    let unshown =
        |word: &str| ContextValue::String(format!("({word}; not shown, it may be a secret)"));
    match (error.kind(), error.get(ContextKind::InvalidArg)) {
        (ErrorKind::UnknownArgument, Some(ContextValue::String(text)))
            if !text.starts_with('-') || may_be_secret(text) =>
        {
            error.insert(ContextKind::InvalidArg, unshown("a word that is no option"));
            error.remove(ContextKind::SuggestedArg);
        }
        (ErrorKind::InvalidSubcommand, _) => {
            error.insert(ContextKind::InvalidSubcommand, unshown("a word that is no command"));
        }
        _ => {}
    }
    if let Some(ContextValue::String(value)) = error.get(ContextKind::InvalidValue)
        && may_be_secret(value)
    {
        error.insert(ContextKind::InvalidValue, unshown("a word of letters and digits"));
    }
    error
}

/// Whether a refused value holds a word that could be a key: one of digits and letters, as long as the
/// shortest key, or longer where it is joined by hyphens. Keys come with others joined to them, as in
/// `secret/id` and `key:value`.
fn may_be_secret(value: &str) -> bool {
    const SHORTEST: usize = 10;
    const SHORTEST_JOINED: usize = 16;
    value.split(['/', ':', '.', '=']).any(|word| {
        let has = |kind: fn(&char) -> bool| word.chars().any(|char| kind(&char));
        let shortest =
            if has(|char| matches!(char, '-' | '_')) { SHORTEST_JOINED } else { SHORTEST };
        word.len() >= shortest
            && has(char::is_ascii_digit)
            && has(char::is_ascii_alphabetic)
            && !has(|char| char.is_whitespace())
    })
}
