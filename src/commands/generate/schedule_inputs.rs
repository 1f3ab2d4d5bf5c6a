//! What a schedule has to know about a source, read from the command line's definition.

use std::any::TypeId;

use clap::{Arg, Command};
use secrecy::SecretString;

use crate::cli;
use crate::detection::SourceInfo;
use crate::sources::{carbonblack, crowdstrike};

/// The sources, in the order in which they run.
const SOURCES: [SourceInfo; 2] = [crowdstrike::INFO, carbonblack::INFO];
/// Variables that a run does without.
const WITH_DEFAULT: [&str; 2] = ["CS_BASE_URL", "RF_API_URL"];

/// A source that can be scheduled.
pub(super) struct Source {
    pub labels: SourceInfo,
    /// The variables it reads, Recorded Future's first.
    pub variables: Vec<Variable>,
    /// How many minutes a run may take unless told otherwise.
    pub deadline: u32,
}

/// A variable of the environment that stands in for an option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Variable {
    pub name: String,
    /// What it is, in a few words.
    pub about: String,
    /// Whether nobody else may know it.
    pub secret: bool,
    /// Whether a run does without it.
    pub optional: bool,
}

/// All sources.
pub(super) fn all() -> Vec<Source> {
    let definition = cli::definition();
    SOURCES
        .into_iter()
        .filter_map(|labels| {
            let command = definition.find_subcommand(labels.name)?;
            Some(Source { labels, variables: variables(command), deadline: deadline(command)? })
        })
        .collect()
}

fn variables(command: &Command) -> Vec<Variable> {
    let mut variables: Vec<Variable> = command.get_arguments().filter_map(variable).collect();
    variables.sort_by_key(|variable| !variable.name.starts_with("RF_"));
    variables
}

/// The variable that an option's help names as `[env: NAME]`.
fn variable(option: &Arg) -> Option<Variable> {
    let help = option.get_help()?.to_string();
    let (about, rest) = help.split_once(" [env: ")?;
    let (name, _) = rest.split_once(']')?;
    Some(Variable {
        name: name.to_owned(),
        about: about.to_owned(),
        secret: option.get_value_parser().type_id() == TypeId::of::<SecretString>(),
        optional: WITH_DEFAULT.contains(&name),
    })
}

fn deadline(command: &Command) -> Option<u32> {
    let option = command.get_arguments().find(|option| option.get_id() == "deadline")?;
    option.get_default_values().first()?.to_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_names_each_variable_and_which_are_secret() {
        let told: Vec<Vec<String>> = all()
            .iter()
            .map(|source| {
                let told = source.variables.iter().map(|variable| {
                    let mark = match (variable.secret, variable.optional) {
                        (true, _) => "*",
                        (false, true) => "?",
                        (false, false) => "",
                    };
                    format!("{}{mark}", variable.name)
                });
                told.collect()
            })
            .collect();
        let crowdstrike =
            ["RF_API_KEY*", "RF_API_URL?", "CS_CLIENT_ID*", "CS_CLIENT_SECRET*", "CS_BASE_URL?"];
        let carbonblack =
            ["RF_API_KEY*", "RF_API_URL?", "CB_ORG_ID", "CB_HOSTNAME", "CB_SECRET*", "CB_API_ID*"];
        assert_eq!(told, [crowdstrike.to_vec(), carbonblack.to_vec()]);
        assert!(all().iter().all(|source| source.deadline == 60));
    }
}
