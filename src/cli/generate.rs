//! The options of `generate`.

#![allow(
    clippy::doc_markdown,
    rustdoc::bare_urls,
    reason = "these comments are the program's help, read in a terminal"
)]

use std::path::PathBuf;

use clap::{Args, Subcommand};
use clap_complete::Shell;

/// Options of `generate`.
#[derive(Debug, Args)]
pub struct GenerateArgs {
    /// What to make.
    #[command(subcommand)]
    pub what: Artifact,
}

/// What can be made.
#[derive(Debug, Subcommand)]
pub enum Artifact {
    /// Print the completions of a shell
    Completions {
        /// The shell
        #[arg(value_enum, value_name = "SHELL", ignore_case = true)]
        shell: Shell,
    },
    /// Print the man page, or write one for each command
    Man {
        /// Write a page for each command to this folder
        ///
        /// It is made if it is not there. Pages of the same names in it are replaced.
        #[arg(long, value_name = "FOLDER")]
        dir: Option<PathBuf>,
    },
    /// Print a crontab line for each source
    Cron,
    /// Print or write hardened systemd units for each source
    Systemd {
        /// Write the units to this folder
        ///
        /// It is made if it is not there. Units in it that were changed by hand are never replaced.
        #[arg(long, value_name = "FOLDER")]
        dir: Option<PathBuf>,
    },
    /// Print a commented exclusion file, to be kept and changed
    Exclusions,
}
