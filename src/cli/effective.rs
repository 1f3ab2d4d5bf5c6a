//! The options in force, read off the very definitions that parsed them.

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::settings::lookup::{
    CB_API_ID, CB_SECRET, CS_CLIENT_ID, CS_CLIENT_SECRET, EffectiveOption, Origin, RF_API_KEY,
};

const SECRETS: [&str; 5] =
    [RF_API_KEY.flag, CS_CLIENT_ID.flag, CS_CLIENT_SECRET.flag, CB_SECRET.flag, CB_API_ID.flag];

/// Every option of the innermost command that was named.
pub(super) fn options(
    definition: &Command,
    matches: &ArgMatches,
    resolved: &[EffectiveOption],
) -> Vec<EffectiveOption> {
    let (mut command, mut matches) = (definition, matches);
    while let Some((name, inner)) = matches.subcommand() {
        let Some(found) = command.find_subcommand(name) else {
            break;
        };
        (command, matches) = (found, inner);
    }
    command
        .get_arguments()
        .filter(|argument| {
            argument.get_long().is_some_and(|name| name != "help" && name != "version")
        })
        .map(|argument| option(argument, matches, resolved))
        .collect()
}

fn option(argument: &Arg, matches: &ArgMatches, resolved: &[EffectiveOption]) -> EffectiveOption {
    let flag = format!("--{}", argument.get_long().unwrap_or_default());
    if let Some(found) = resolved.iter().find(|found| found.flag == flag) {
        return found.clone();
    }
    let id = argument.get_id().as_str();
    let origin = match matches.value_source(id) {
        Some(ValueSource::CommandLine) => Origin::Argument,
        Some(_) => Origin::Default,
        None => Origin::Unset,
    };
    let value = match argument.get_action() {
        // Looked up always; should one ever not be, it is masked all the same.
        _ if SECRETS.contains(&flag.as_str()) => String::new(),
        ArgAction::SetTrue => matches.get_flag(id).to_string(),
        _ => matches
            .get_raw(id)
            .map(|values| values.map(|value| value.to_string_lossy()).collect::<Vec<_>>().join(" "))
            .unwrap_or_default(),
    };
    EffectiveOption { flag, value, origin }
}
