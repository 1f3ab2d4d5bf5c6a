//! The command line: its definition, the flags of the Python scripts that this program replaces,
//! and the options that variables and the settings file add.

mod commands;
mod effective;
mod file_keys;
mod generate;
mod help_text;
mod layered;
mod ledger_commands;
mod legacy_flags;
mod run_args;
mod run_tenants;
mod scheduled_file;
mod settable;
mod source_command;
mod topics;
mod usage_error;
mod value_parsers;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::rc::Rc;
use std::sync::LazyLock;

use clap::builder::{PossibleValuesParser, Resettable};
use clap::{ArgMatches, ColorChoice, CommandFactory, FromArgMatches, ValueEnum as _};

use self::commands::Cli;
pub(crate) use self::commands::Command;
pub(crate) use self::generate::{Artifact, ProgramArgs, WeeklyReportArgs};
use self::layered::FoundFile;
pub(crate) use self::layered::TenantCommand;
pub(crate) use self::ledger_commands::{
    CheckArgs, CheckpointAction, EntryFilterArgs, ExplainArgs, HistoryArgs, OutboxAction,
    ReportArgs, StatusArgs, TenantArgs, VerifyArgs,
};
pub(crate) use self::run_args::{CommonArgs, ProcessArgs};
pub(crate) use self::run_tenants::RunTenantsArgs;
pub(crate) use self::scheduled_file::{Meaning, ScheduledEntry, ScheduledFile, ScheduledTable};
pub(crate) use self::source_command::{ResolvedRun, SourceCommand};
pub(crate) use self::usage_error::as_failure;
use crate::failure::{Failure, FailureKind, REPORT_BUG};
use crate::redact;
use crate::settings::layers::Layers;
use crate::settings::{EffectiveOption, Origin};

pub use self::topics::{TOPICS, Topic};

/// The name of the program, also in file names and completions.
pub(crate) const NAME: &str = "collective-insights";

/// Returns the definition of the command line.
#[must_use]
pub fn definition() -> &'static clap::Command {
    // Built once: the command line of each tenant is parsed with it, and building it takes longer
    // than parsing.
    static DEFINITION: LazyLock<clap::Command> = LazyLock::new(define);
    &DEFINITION
}

fn define() -> clap::Command {
    let command = Cli::command().mut_subcommand("check", |check| {
        // Here the sources are checked, not run: their own descriptions and examples do not apply.
        check.mut_subcommands(|source| {
            let about = format!("Check one source, with the options of `{}`", source.get_name());
            source.about(about).long_about(Resettable::Reset).after_long_help(Resettable::Reset)
        })
    });
    settable::with_variables(with_exit_codes(with_topics(command)))
}

/// Lists the topics in the program's own help, and lets `help` take them and the commands' names.
fn with_topics(command: clap::Command) -> clap::Command {
    let mut names: BTreeSet<String> = TOPICS.iter().map(|topic| topic.name.to_owned()).collect();
    add_command_names(&command, &mut names);
    let words = PossibleValuesParser::new(names);
    let list = topics::list();
    let short = format!("{list}\n\n{}", help_text::exit_codes());
    let long = format!("{}\n\n{list}", help_text::FIRST_STEPS);
    command.after_help(short).after_long_help(long).mut_subcommand("help", |help| {
        help.mut_arg("words", |argument| argument.value_parser(words).hide_possible_values(true))
    })
}

fn add_command_names(command: &clap::Command, names: &mut BTreeSet<String>) {
    for subcommand in command.get_subcommands() {
        names.insert(subcommand.get_name().to_owned());
        names.extend(subcommand.get_all_aliases().map(str::to_owned));
        add_command_names(subcommand, names);
    }
}

/// Adds the exit codes to `--help` of a command and its subcommands, but not to `-h`, which has to
/// fit on a screen.
fn with_exit_codes(command: clap::Command) -> clap::Command {
    let text = match command.get_after_long_help() {
        Some(examples) => format!("{examples}\n\n{}", help_text::exit_codes()),
        None => help_text::exit_codes(),
    };
    command.after_long_help(text).mut_subcommands(with_exit_codes)
}

/// A parsed command line.
#[derive(Debug)]
pub struct Parsed {
    pub(crate) command: Command,
    /// When to use colors.
    pub(crate) color: ColorChoice,
    matches: ArgMatches,
    /// The parsed arguments, with the scripts' flags translated. Once the settings file was read,
    /// they have the options from there and from variables too, except those that have a named
    /// variable, such as `CS_CLIENT_ID`.
    arguments: Vec<OsString>,
    /// The origin of each option that was added to the command line, by its flag.
    origins: BTreeMap<String, Origin>,
    /// The settings file.
    file: Option<FoundFile>,
    /// The settings outside the command line.
    pub(crate) layers: Rc<Layers>,
}

impl Parsed {
    /// Returns the source that is run or checked; `None` if the command names no source.
    pub(crate) const fn source(&self) -> Option<&SourceCommand> {
        match &self.command {
            Command::Source(source) => Some(source),
            Command::Check(args) => args.source.as_ref(),
            _ => None,
        }
    }

    /// Returns the source that is run or checked.
    ///
    /// # Errors
    /// When there is none, although the command line was created for the source `name`, which the
    /// message names.
    pub(crate) fn required_source(&self, name: &str) -> Result<&SourceCommand, Failure> {
        self.source().ok_or_else(|| source_command::unknown(name))
    }

    /// Whether the command prints JSON.
    pub(crate) fn prints_json(&self) -> bool {
        let mut options = self.arguments.iter().take_while(|argument| *argument != "--");
        options.any(|argument| argument == "--json")
    }

    /// Whether the value of an option (its flag) was added from a variable or the settings file.
    /// False for an option that has a named variable, such as `CS_CLIENT_ID`: it is resolved with
    /// the settings.
    pub(crate) fn is_set_elsewhere(&self, flag: &str) -> bool {
        self.origins.contains_key(flag)
    }

    /// Returns every option of the innermost subcommand with its effective value, safe to show.
    /// `resolved` are the options that have a named variable, such as `CS_CLIENT_ID` or
    /// `RF_API_KEY`: they are looked up with the settings, and can be missing in the parsed
    /// arguments.
    pub(crate) fn effective(&self, resolved: &[EffectiveOption]) -> Vec<EffectiveOption> {
        effective::options(definition(), &self.matches, &self.origins, resolved)
    }
}

/// Parses the arguments, including the flags of the Python scripts.
///
/// # Errors
/// When they cannot be parsed, and for `--help` and `--version`. The message does not repeat a
/// stray word or a value that looks like a secret: probably its flag is missing or misspelled.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Parsed, clap::Error> {
    let arguments = legacy_flags::translate(arguments);
    let has_command =
        !arguments.get(1).is_some_and(|word| word.as_encoded_bytes().starts_with(b"-"));
    let parsed =
        parse_words(arguments).map_err(|error| usage_error::with_tip(error, has_command))?;
    match &parsed.command {
        // `help outbox list` is `outbox list --help`.
        Command::Help(args) if args.topic().is_none() => {
            let words = args.words.iter().map(OsString::from);
            parse_words([NAME.into()].into_iter().chain(words).chain(["--help".into()]).collect())
        }
        _ => Ok(parsed),
    }
}

fn parse_words(arguments: Vec<OsString>) -> Result<Parsed, clap::Error> {
    definition()
        .clone()
        .color(color_of_messages(&arguments))
        .try_get_matches_from(&arguments)
        .and_then(|matches| {
            let Cli { command, color } = Cli::from_arg_matches(&matches)?;
            Ok(Parsed {
                command,
                color,
                matches,
                arguments,
                origins: BTreeMap::new(),
                file: None,
                layers: Rc::new(Layers::empty()),
            })
        })
        .map_err(usage_error::without_secrets)
}

/// Returns the value of `--color` for help and for errors of the command line, which are printed
/// without parsed arguments.
pub(crate) fn color_of_messages(arguments: &[OsString]) -> ColorChoice {
    let words: Vec<&str> = arguments.iter().filter_map(|word| word.to_str()).collect();
    let separate = words.windows(2).filter(|pair| pair.first() == Some(&"--color"));
    let values = separate.filter_map(|pair| pair.last().copied());
    let joined = words.iter().filter_map(|word| word.strip_prefix("--color="));
    let choices = values.chain(joined).map(|value| ColorChoice::from_str(value, true));
    choices.filter_map(Result::ok).next_back().unwrap_or_default()
}

/// Logs a warning for each variable of this process that is named like one of the program, but sets
/// no option.
pub(crate) fn warn_about_unknown_variables() {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for warning in settable::unknown_variables(definition(), names) {
        tracing::warn!("{}", redact::sanitize(&warning));
    }
}

/// Parses a command line for each source that consists of its name only.
///
/// # Errors
/// When a source requires an argument.
pub(crate) fn parse_each_source() -> Result<Vec<Parsed>, Failure> {
    let parse = |name: &String| {
        parse([NAME, name].map(OsString::from)).map_err(|error| {
            let message = format!("internal error: {name} cannot be named without options");
            Failure::new(FailureKind::Unexpected, message, REPORT_BUG).with_cause(error)
        })
    };
    SourceCommand::names().iter().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::lookup::Lookup;

    #[test]
    fn every_source_parses_from_its_bare_name() {
        let names: Vec<&str> = parse_each_source()
            .unwrap()
            .iter()
            .map(|parsed| parsed.source().unwrap().args().0.info().name)
            .collect();
        assert_eq!(names, SourceCommand::names());
    }

    #[test]
    fn the_help_names_the_variable_of_each_setting() {
        let definition = definition();
        for parsed in parse_each_source().unwrap() {
            let source = parsed.source().unwrap();
            let mut lookup = Lookup::without_layers();
            source.look_up(&mut lookup);
            let settings = lookup.settings().iter().map(|setting| setting.names.to_string());
            let config = "--config (COLLECTIVE_INSIGHTS_CONFIG)".to_owned();
            let expected: Vec<String> = settings.chain([config]).collect();
            let command = definition.find_subcommand(source.args().0.info().name).unwrap();
            let named: Vec<String> = command
                .get_arguments()
                .filter_map(|argument| {
                    let help = argument.get_help()?.to_string();
                    let (_, variable) = help.strip_suffix(']')?.split_once(" [env: ")?;
                    Some(format!("--{} ({variable})", argument.get_long()?))
                })
                .collect();
            let sorted = |mut names: Vec<String>| {
                names.sort();
                names
            };
            assert_eq!(sorted(named), sorted(expected));
        }
    }
}
