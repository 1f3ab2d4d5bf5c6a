//! The command line: its definitions, the older scripts' flags, and one validated [`Settings`].

#[allow(
    clippy::doc_markdown,
    rustdoc::bare_urls,
    reason = "these comments are the program's help, read in a terminal"
)]
mod commands;
#[allow(
    clippy::doc_markdown,
    reason = "these comments are the program's help, read in a terminal"
)]
mod generate;
mod legacy;
mod settings;
mod texts;
mod values;

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, FromArgMatches};

pub use self::commands::{
    Cli, Command, HistoryArgs, LogArgs, OutboxAction, OutboxArgs, OutputArgs, SourceArgs,
    StatusArgs, WhichArgs,
};
pub use self::generate::{GenerateArgs, Generated};
pub use self::settings::{LedgerChoice, Mode, Settings, Span};

/// The command line's definition, for those who make something of it.
#[must_use]
pub fn definition() -> clap::Command {
    with_exit_codes(Cli::command())
}

/// Adds the exit codes to `--help` of a command and its subcommands; `-h` has to stay one screen.
fn with_exit_codes(command: clap::Command) -> clap::Command {
    let text = match command.get_after_long_help() {
        Some(examples) => format!("{examples}\n\n{}", texts::EXIT_CODES),
        None => texts::EXIT_CODES.to_owned(),
    };
    command
        .after_long_help(text)
        .mut_subcommands(with_exit_codes)
}

/// Reads the arguments, the older scripts' flags among them.
///
/// # Errors
/// With clap's message where they cannot be read, and for `--help` and `--version`. A stray word is
/// not repeated in it: it may be a secret whose flag was forgotten.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let arguments = legacy::translate(arguments);
    definition()
        .try_get_matches_from(arguments)
        .and_then(|matches| Cli::from_arg_matches(&matches))
        .map_err(without_stray_words)
}

fn without_stray_words(mut error: clap::Error) -> clap::Error {
    let stray = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(text)) => {
            error.kind() == ErrorKind::UnknownArgument && !text.starts_with('-')
        }
        _ => false,
    };
    if stray {
        error.insert(
            ContextKind::InvalidArg,
            ContextValue::String("(a word without its flag; not shown, it may be a secret)".into()),
        );
        error.remove(ContextKind::SuggestedArg);
    }
    error
}
