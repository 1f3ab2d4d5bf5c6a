//! What a schedule needs to know about a source, from the definition of the command line, and about
//! the run of all tenants.

use clap::Command;

use crate::cli::{self, SourceCommand};
use crate::detection::SourceInfo;
use crate::failure::{Failure, FailureKind};
use crate::settings::lookup::{Lookup, Setting};

/// The time that a run may take beyond its own deadline, in minutes.
pub(super) const GRACE_MINUTES: u32 = 5;

/// The maximum number of starts per day, including restarts.
pub(super) const MAX_STARTS: u32 = 4;

/// The run of all tenants of a settings file.
#[derive(Debug)]
pub(super) struct Run {
    /// The absolute path of the settings file, without characters that are special to cron or
    /// systemd.
    pub config: String,
    /// The maximum run time in minutes.
    pub deadline: u32,
    /// The maximum wait for another run, in minutes.
    pub wait: u32,
    /// The path of the metrics file, if the settings file names one.
    pub metrics_file: Option<String>,
}

/// Returns the exit codes after which a restart on the same day would not help.
pub(super) fn non_retryable() -> Vec<String> {
    let kinds = FailureKind::ALL.into_iter().filter(|kind| !kind.is_retryable());
    kinds.map(|kind| kind.exit_code().to_string()).collect()
}

/// A source to schedule.
#[derive(Debug)]
pub(super) struct ScheduledSource {
    pub info: SourceInfo,
    /// The options of a scheduled run.
    pub options: &'static str,
    /// The vendor's variable of each option that has one.
    pub variables: Vec<Variable>,
    /// The maximum run time in minutes.
    pub deadline: u32,
    /// The maximum wait for the runs of all other sources, in minutes: only one at a time can use
    /// the ledger.
    pub wait: u32,
}

/// An environment variable that sets an option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Variable {
    pub name: &'static str,
    /// The short help of the option.
    pub about: String,
    pub is_secret: bool,
    /// Whether a run needs it.
    pub is_required: bool,
}

/// Returns all sources, in the order in which they run.
///
/// # Errors
/// When a source has a required argument.
pub(super) fn all() -> Result<Vec<ScheduledSource>, Failure> {
    let definition = cli::definition();
    let parsed = cli::parse_each_source()?;
    let sources = || parsed.iter().filter_map(cli::Parsed::source);
    let run_time = |source: &SourceCommand| source.args().1.process.deadline + GRACE_MINUTES;
    let total: u32 = sources().map(run_time).sum();
    Ok(sources()
        .map(|source| {
            let (vendor, common) = source.args();
            let info = vendor.info();
            let mut lookup = Lookup::without_layers();
            // Only the names matter: without an environment there are no values. What all sources
            // share comes first.
            common.resolve(info.name, &mut lookup);
            vendor.resolve(&mut lookup);
            let command = definition.find_subcommand(info.name);
            let variables =
                lookup.settings().iter().map(|setting| variable(setting, command)).collect();
            let options = vendor.recommended_options();
            let wait = total - run_time(source);
            ScheduledSource { info, options, variables, deadline: common.process.deadline, wait }
        })
        .collect())
}

fn variable(setting: &Setting, command: Option<&Command>) -> Variable {
    let names = setting.names;
    let help = command
        .into_iter()
        .flat_map(Command::get_arguments)
        .find(|option| option.get_long() == names.flag.strip_prefix("--"))
        .and_then(|option| Some(option.get_help()?.to_string()))
        .unwrap_or_default();
    let about = help.strip_suffix(&format!(" [env: {}]", names.variable)).unwrap_or(&help);
    Variable {
        name: names.variable,
        about: about.to_owned(),
        is_secret: setting.is_secret,
        is_required: setting.is_required,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_source_has_its_variables_and_a_deadline() {
        let variables = |name: &str| -> Vec<String> {
            let sources = all().unwrap();
            let source = sources.iter().find(|source| source.info.name == name).unwrap();
            let others = u32::try_from(sources.len() - 1).unwrap();
            assert_eq!((source.deadline, source.wait), (60, 65 * others));
            let mark = |variable: &Variable| match (variable.is_secret, variable.is_required) {
                (true, _) => "*",
                (false, false) => "?",
                (false, true) => "",
            };
            let variables = source.variables.iter();
            variables.map(|variable| format!("{}{}", variable.name, mark(variable))).collect()
        };
        assert_eq!(
            variables("crowdstrike"),
            [
                "RF_API_KEY*", "RF_API_URL?", "CS_CLIENT_ID*", "CS_CLIENT_SECRET*", "CS_BASE_URL?",
                "FALCON_CLOUD?"
            ]
        );
        assert_eq!(
            variables("carbonblack"),
            ["RF_API_KEY*", "RF_API_URL?", "CB_ORG_ID", "CB_HOSTNAME", "CB_SECRET*", "CB_API_ID*"]
        );
    }

    #[test]
    fn each_variable_is_described() {
        for source in all().unwrap() {
            for variable in source.variables {
                assert!(!variable.about.is_empty(), "{variable:?}");
                assert!(!variable.about.contains('['), "{variable:?}");
            }
        }
    }
}
