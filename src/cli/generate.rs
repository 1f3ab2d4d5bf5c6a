//! The options of `generate`.

use std::path::PathBuf;

use clap::Subcommand;
use clap_complete::Shell;

/// What can be generated.
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
    /// Print a crontab line for each source
    Cron,
    /// Print or write hardened systemd units for each source
    Systemd {
        /// Write the units to this directory
        ///
        /// Creates the directory if needed. Units that were changed by hand are never replaced.
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Print a commented exclusion file as a starting point
    Exclusions,
    /// Print a commented settings file as a starting point
    Config,
}
