//! The options of `generate`.

#![allow(
    clippy::doc_markdown,
    reason = "the doc comments of the arguments are help texts, read in a terminal"
)]

use std::path::PathBuf;

use clap::{Args, Subcommand};
use clap_complete::Shell;

use super::NAME;
use crate::settings::TenantName;

/// A file that can be generated.
#[derive(Debug, Subcommand)]
pub(crate) enum Artifact {
    /// Print completions for a shell
    Completions {
        /// The shell
        #[arg(value_enum, value_name = "SHELL", ignore_case = true)]
        shell: Shell,
    },
    /// Print the man page, or write one for each command and topic
    Man {
        /// Write a page for each command and topic below this directory
        ///
        /// The pages of commands go to man1 and those of topics to man7; both are created if
        /// needed. Pages of the same names are replaced.
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Print a crontab line for each source, or one for all tenants
    ///
    /// If the settings file has tenants, one line runs all of them.
    Cron {
        #[command(flatten)]
        file: ConfigArgs,
        #[command(flatten)]
        program: ProgramArgs,
        #[command(flatten)]
        report: WeeklyReportArgs,
    },
    /// Print or write hardened systemd units for each source, or for all tenants
    ///
    /// If the settings file has tenants, one service runs all of them.
    Systemd {
        #[command(flatten)]
        file: ConfigArgs,
        #[command(flatten)]
        program: ProgramArgs,
        #[command(flatten)]
        report: WeeklyReportArgs,
        /// Write the units to this directory
        ///
        /// Creates the directory if needed. Units that were changed by hand are never replaced.
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Print a Kubernetes CronJob for all tenants, its Secret and its volume
    ///
    /// For the settings file, or without one for the example of `generate config`. The settings and
    /// the files that they name come from the Secret, which has placeholders for their content: no
    /// secret is read or printed.
    Kubernetes {
        #[command(flatten)]
        file: ConfigArgs,
        /// Only this tenant of the settings file; repeatable
        ///
        /// To split a file over several CronJobs, each with the secrets of its own tenants.
        #[arg(long, value_name = "NAME")]
        tenant: Vec<TenantName>,
        /// Name of the CronJob, the Secret and the volume
        ///
        /// Two CronJobs never share a volume: each needs a name of its own. Up to 52 lower-case
        /// letters, digits and hyphens.
        #[arg(long, value_name = "NAME", default_value = NAME, value_parser = resource_name)]
        name: String,
    },
    /// Print a commented exclusion file as a starting point
    Exclusions,
    /// Print a commented settings file as a starting point
    Config,
}

/// The settings file whose tenants are scheduled.
#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    /// Settings file [env: COLLECTIVE_INSIGHTS_CONFIG]
    ///
    /// If it has tenants, they are scheduled together, with `run`. It is looked for as
    /// collective-insights/config.toml in $XDG_CONFIG_HOME, ~/.config and /etc; on Windows in
    /// %LOCALAPPDATA%.
    /// [default: the first that exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// The program that a schedule starts.
#[derive(Debug, Args)]
pub(crate) struct ProgramArgs {
    /// Path of the program on the machine that runs it
    ///
    /// For a schedule that is written on another machine, such as one that builds packages.
    /// [default: where this program is]
    #[arg(long, value_name = "PATH")]
    pub program: Option<PathBuf>,
}

/// A report that is written every week.
#[derive(Debug, Args)]
pub(crate) struct WeeklyReportArgs {
    /// Also schedule a report, which replaces this file every Monday at 06:30
    ///
    /// An absolute path. The report covers 30 days; create the file with the mode that it is to
    /// have, because a new one can be read by its owner only.
    #[arg(long, value_name = "FILE")]
    pub weekly_report: Option<PathBuf>,
}

/// Parses the name of a CronJob: an RFC 1123 label, shorter than 63 characters because Kubernetes
/// adds 11 to it for the names of the jobs.
fn resource_name(text: &str) -> Result<String, &'static str> {
    const MAX_CHARACTERS: usize = 52;
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_valid = (1..=MAX_CHARACTERS).contains(&text.len())
        && text.bytes().all(is_allowed)
        && !text.starts_with('-')
        && !text.ends_with('-');
    is_valid.then(|| text.to_owned()).ok_or(
        "a name has up to 52 lower-case letters, digits and hyphens, and a hyphen is neither first nor last",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_that_kubernetes_accepts() {
        for name in [NAME, "a", "0-9", &"x".repeat(52)] {
            assert_eq!(resource_name(name).as_deref(), Ok(name));
        }
        for name in ["", "-a", "a-", "A", "a.b", "a_b", "a\n", "\u{e4}", &"x".repeat(53)] {
            assert!(resource_name(name).is_err(), "{name:?}");
        }
    }
}
