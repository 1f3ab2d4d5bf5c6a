//! The options that can be set outside the command line: their keys in the settings file, and their
//! generated variables. They follow from the definition of the command line.

use std::any::TypeId;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::LazyLock;

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Args as _, Command};
use secrecy::SecretString;

use super::run_args::{CommonArgs, ProcessArgs};
use super::source_command::SourceCommand;
use super::{NAME, usage_error};
use crate::settings::config_file::{CONFIG_VARIABLE, Value};

/// The options with which a person agrees to something: only accepted on the command line.
const CONFIRMATIONS: [&str; 6] =
    ["accept-gap", "adopt", "all-cids", "all-tenants", "resend", "yes"];

/// The type of an option's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arity {
    Flag,
    One,
    Many,
}

/// An option that can be set outside the command line.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a property of an option")]
pub(super) struct Settable {
    /// The argument's id in the definition.
    pub id: String,
    /// The long option without its dashes.
    pub key: String,
    pub arity: Arity,
    pub is_secret: bool,
    /// Whether the value is the path of a file.
    pub is_path: bool,
    /// Whether the source defines the option itself. Another one can have an option of the same
    /// name, such as `--min-severity`.
    pub is_source_specific: bool,
    /// Whether it applies to the whole process, and so cannot differ from tenant to tenant.
    pub applies_to_process: bool,
    /// The generated variable.
    pub variable: String,
}

impl Settable {
    /// Returns an option of a command; `None` if it can only be given on the command line. `source`
    /// is the source that the command runs, and `common` has the options that all sources have.
    fn new(argument: &Arg, source: Option<&str>, common: &Command) -> Option<Self> {
        let key = argument.get_long()?;
        let is_excluded = ["help", "version", "config"].contains(&key) || is_confirmation(key);
        let arity = match argument.get_action() {
            ArgAction::SetTrue => Arity::Flag,
            ArgAction::Append => Arity::Many,
            ArgAction::Set => Arity::One,
            _ => return None,
        };
        let is_common = common.get_arguments().any(|other| other.get_long() == Some(key));
        let owner = source.filter(|_| !is_common);
        (!is_excluded).then(|| Self {
            id: argument.get_id().to_string(),
            key: key.to_owned(),
            arity,
            is_secret: argument.get_value_parser().type_id() == TypeId::of::<SecretString>(),
            is_path: argument.get_value_parser().type_id() == TypeId::of::<PathBuf>(),
            is_source_specific: owner.is_some(),
            applies_to_process: applies_to_process(key),
            variable: variable(owner, key),
        })
    }

    /// Returns the arguments that set the option to this value.
    ///
    /// # Errors
    /// The reason why the option does not accept the value.
    pub(super) fn arguments(&self, value: &Value) -> Result<Vec<OsString>, String> {
        let argument = |text: &String| format!("--{}={text}", self.key).into();
        match (self.arity, value) {
            (Arity::Flag, Value::Flag(flag)) => {
                let argument = || format!("--{}", self.key).into();
                Ok(flag.then(argument).into_iter().collect())
            }
            (Arity::One, Value::One(text)) => Ok(vec![argument(text)]),
            (Arity::Many, Value::Many(texts)) => Ok(texts.iter().map(argument).collect()),
            (Arity::Flag, _) => Err(format!("{} must be true or false", self.key)),
            (Arity::One, Value::Other(what)) => {
                Err(format!("{} must be a string or an integer, not {what}", self.key))
            }
            (Arity::One, _) => Err(format!("{} must be a string or an integer", self.key)),
            (Arity::Many, _) => {
                Err(format!("{0} must be an array of strings: {0} = [\"...\"]", self.key))
            }
        }
    }

    /// Returns the text of a variable as a value of the option.
    ///
    /// # Errors
    /// The reason why it is not such a value.
    pub(super) fn parse_variable(&self, text: &str) -> Result<Value, String> {
        match self.arity {
            Arity::One => Ok(Value::One(text.to_owned())),
            Arity::Many => {
                let texts = text.split(',').map(str::trim).filter(|text| !text.is_empty());
                Ok(Value::Many(texts.map(str::to_owned).collect()))
            }
            Arity::Flag => match text.to_ascii_lowercase().as_str() {
                "true" | "1" => Ok(Value::Flag(true)),
                "false" | "0" => Ok(Value::Flag(false)),
                _ => Err("its value must be true, false, 1 or 0".to_owned()),
            },
        }
    }
}

/// Whether an option confirms a risk, which no variable and no file can give.
pub(super) fn is_confirmation(key: &str) -> bool {
    CONFIRMATIONS.contains(&key)
}

/// Returns the options of a command that can be set outside the command line; `source` is the name
/// of the source that it runs.
pub(super) fn options<'a>(
    arguments: impl Iterator<Item = &'a Arg>,
    source: Option<&str>,
) -> Vec<Settable> {
    let common = common_options();
    arguments.filter_map(|argument| Settable::new(argument, source, common)).collect()
}

/// Whether an option applies to a whole process, which has one ledger, one log and one output.
fn applies_to_process(key: &str) -> bool {
    static PROCESS: LazyLock<Command> =
        LazyLock::new(|| ProcessArgs::augment_args(Command::new(NAME)));
    // A tenant can have a deadline that is shorter than that of the process.
    key != "deadline" && PROCESS.get_arguments().any(|argument| argument.get_long() == Some(key))
}

/// Returns a command with the options that all sources have.
fn common_options() -> &'static Command {
    static COMMON: LazyLock<Command> =
        LazyLock::new(|| CommonArgs::augment_args(Command::new(NAME)));
    &COMMON
}

/// Returns the generated variable of an option; `owner` is the source that defines the option, if
/// it is specific to one.
fn variable(owner: Option<&str>, key: &str) -> String {
    let words = ["collective-insights"].into_iter().chain(owner).chain([key]);
    words.collect::<Vec<_>>().join("_").replace('-', "_").to_ascii_uppercase()
}

/// Adds the generated variables to `--help` of all commands.
pub(super) fn with_variables(command: Command) -> Command {
    add_variables(command, &SourceCommand::names(), common_options())
}

fn add_variables(command: Command, sources: &[String], common: &Command) -> Command {
    let source = sources.iter().find(|source| *source == command.get_name());
    let source = source.map(String::as_str);
    let options: Vec<Settable> = command
        .get_arguments()
        .filter_map(|argument| Settable::new(argument, source, common))
        .collect();
    command
        .mut_args(|argument| {
            let option = options.iter().find(|option| argument.get_id().as_str() == option.id);
            match option {
                Some(option) => with_variable(argument, &option.variable),
                None => argument,
            }
        })
        .mut_subcommands(|command| add_variables(command, sources, common))
}

fn with_variable(argument: Arg, variable: &str) -> Arg {
    let help = argument.get_long_help().or_else(|| argument.get_help());
    let help = help.map(StyledStr::to_string).unwrap_or_default();
    argument.long_help(format!("{help}\n\n[env: {variable}]"))
}

/// Returns a warning for each of these variables that has the program's prefix and sets no option.
pub(super) fn unknown_variables(
    definition: &Command,
    names: impl Iterator<Item = String>,
) -> Vec<String> {
    let prefix = variable(None, "");
    let test_prefix = variable(None, "test-");
    let mut known = vec![CONFIG_VARIABLE.to_owned()];
    add_known_variables(definition, &SourceCommand::names(), common_options(), &mut known);
    names
        .filter(|name| name.starts_with(&prefix) && !name.starts_with(&test_prefix))
        .filter(|name| !known.contains(name))
        .map(|name| match nearest(&name, known.iter().map(String::as_str)) {
            Some(nearest) => {
                format!("the variable {name} has no effect; the nearest is {nearest}")
            }
            None => format!("the variable {name} has no effect"),
        })
        .collect()
}

fn add_known_variables(
    command: &Command,
    sources: &[String],
    common: &Command,
    known: &mut Vec<String>,
) {
    let source = sources.iter().find(|source| *source == command.get_name());
    for argument in command.get_arguments() {
        if let Some(option) = Settable::new(argument, source.map(String::as_str), common)
            && !known.contains(&option.variable)
        {
            known.extend(option.is_secret.then(|| format!("{}_FILE", option.variable)));
            known.push(option.variable);
        }
    }
    for subcommand in command.get_subcommands() {
        add_known_variables(subcommand, sources, common, known);
    }
}

/// Returns why a command does not accept these arguments; `None` if it does, or if only required
/// ones are missing.
pub(super) fn rejection(command: &Command, arguments: &[OsString]) -> Option<String> {
    let words = [OsString::from(NAME)].into_iter().chain(arguments.iter().cloned());
    let error = command.clone().try_get_matches_from(words).err()?;
    if error.kind() == ErrorKind::MissingRequiredArgument {
        return None;
    }
    let failure = usage_error::as_failure(&usage_error::without_secrets(error));
    Some(failure.message)
}

/// Returns the known key that is most like `key`; `None` if none is similar.
pub(super) fn nearest<'a>(key: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    let command = known.fold(Command::new(NAME).disable_help_flag(true), |command, key| {
        command.arg(Arg::new(key.to_owned()).long(key.to_owned()).action(ArgAction::SetTrue))
    });
    let error = command.try_get_matches_from([NAME, &format!("--{key}")]).err()?;
    match error.get(ContextKind::SuggestedArg) {
        Some(ContextValue::String(flag)) => Some(flag.trim_start_matches('-').to_owned()),
        _ => None,
    }
}
