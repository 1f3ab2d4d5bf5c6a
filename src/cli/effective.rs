//! The effective options of a command, from the definition that parsed them.

use std::any::TypeId;
use std::collections::BTreeMap;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use secrecy::SecretString;

use super::layered::InnermostCommand;
use crate::settings::{EffectiveOption, Origin};

/// Returns the options of the innermost subcommand and the global ones, without help and version.
/// `resolved` has the options that are also set by a variable of a vendor; they are taken from
/// there. `origins` has the origin of each option that another variable or the settings file sets,
/// by its flag.
pub(super) fn options(
    definition: &Command,
    matches: &ArgMatches,
    origins: &BTreeMap<String, Origin>,
    resolved: &[EffectiveOption],
) -> Vec<EffectiveOption> {
    // Global options, such as --color, are part of the definition of the program only.
    let of_every_command = definition.get_arguments().filter(|argument| argument.is_global_set());
    let InnermostCommand { command, matches, .. } = InnermostCommand::find(definition, matches);
    command
        .get_arguments()
        .chain(of_every_command)
        .filter(|argument| {
            argument.get_long().is_some_and(|name| name != "help" && name != "version")
        })
        .map(|argument| option(argument, matches, origins, resolved))
        .collect()
}

fn option(
    argument: &Arg,
    matches: &ArgMatches,
    origins: &BTreeMap<String, Origin>,
    resolved: &[EffectiveOption],
) -> EffectiveOption {
    let flag = format!("--{}", argument.get_long().unwrap_or_default());
    if let Some(option) = resolved.iter().find(|option| option.flag == flag) {
        return option.clone();
    }
    let id = argument.get_id().as_str();
    let origin = match matches.value_source(id) {
        _ if origins.contains_key(&flag) => origins.get(&flag).cloned().unwrap_or(Origin::Unset),
        Some(ValueSource::CommandLine) => Origin::Argument,
        Some(_) => Origin::Default,
        None => Origin::Unset,
    };
    let value = match argument.get_action() {
        // Secrets are in `resolved`, masked; do not show one that is missing there.
        _ if is_secret(argument) => String::new(),
        ArgAction::SetTrue => matches.get_flag(id).to_string(),
        _ => matches
            .get_raw(id)
            .map(|values| values.map(|value| value.to_string_lossy()).collect::<Vec<_>>().join(" "))
            .unwrap_or_default(),
    };
    EffectiveOption { flag, value, origin }
}

fn is_secret(argument: &Arg) -> bool {
    argument.get_value_parser().type_id() == TypeId::of::<SecretString>()
}
