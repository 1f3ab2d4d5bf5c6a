//! The commands. Their names and options are fixed: crontabs depend on them.

#![allow(
    clippy::doc_markdown,
    reason = "the doc comments of the arguments are help texts, read in a terminal"
)]

use clap::{Args, ColorChoice, Parser, Subcommand};

use super::NAME;
use super::generate::Artifact;
use super::help_text;
use super::ledger_commands::{
    CheckArgs, CheckpointAction, ExplainArgs, HistoryArgs, OutboxAction, ReportArgs, StatusArgs,
    VerifyArgs,
};
use super::run_tenants::RunTenantsArgs;
use super::source_command::SourceCommand;
use super::topics::Topic;
use crate::version;

/// Send endpoint detections to Recorded Future Collective Insights
///
/// Meant to run daily: reads the alerts of the last 24 hours, sends each indicator in them once
/// per run, and records in a ledger what was sent and what is still queued.
#[derive(Debug, Parser)]
#[command(
    name = NAME,
    version = version::long(),
    arg_required_else_help = true,
    disable_help_subcommand = true,
    after_help = help_text::exit_codes(),
    after_long_help = help_text::FIRST_STEPS
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub command: Command,
    /// Colors: auto, always or never
    ///
    /// auto uses colors on a terminal if NO_COLOR is not set.
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        value_enum,
        default_value = "auto",
        ignore_case = true,
        hide_possible_values = true,
        help_heading = "Log and output"
    )]
    pub color: ColorChoice,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// A run of a source.
    #[command(flatten)]
    Source(SourceCommand),
    /// Send the detections of all enabled tenants of the settings file
    ///
    /// Runs each enabled [[tenant]] of the settings file like the command of its source, several at
    /// a time, in one process with one log and one ledger. The failure of one tenant stops no
    /// other.
    #[command(disable_help_flag = true, after_long_help = help_text::RUN)]
    Run(Box<RunTenantsArgs>),
    /// Check configuration, files, ledger and services
    ///
    /// Without a source, checks each enabled [[tenant]] of the settings file, or every configured
    /// source if the file has no tenants.
    Check(CheckArgs),
    /// Show the last run, last success and queue of each tenant
    Status(StatusArgs),
    /// Show daily totals, top indicators and top ATT&CK techniques
    ///
    /// One row per UTC day and tenant adds up all its runs. Below are the delivered indicators that
    /// most detections named, and the techniques that most delivered submissions named. Runs with
    /// --dry-run or --debug do not count.
    #[command(after_long_help = help_text::HISTORY)]
    History(HistoryArgs),
    /// Write a page with charts of what was shared
    ///
    /// One HTML file from the ledger, for a browser or for paper: whether runs succeeded, what was
    /// shared and what was not, ATT&CK techniques and top indicators.
    #[command(after_long_help = help_text::REPORT)]
    Report(ReportArgs),
    /// Show what became of one indicator, or of those of one alert
    ///
    /// Reads the ledger and the exclusion files, and makes no request: which alerts named it, and
    /// whether it was delivered, queued, quarantined, dropped or left out, and why. Of what runs
    /// left out the ledger has samples. "Never seen here" is an answer and not a failure: the exit
    /// code is 0, and --json has it as `seen`.
    #[command(after_long_help = help_text::EXPLAIN)]
    Explain(ExplainArgs),
    /// Compare what was delivered with what Recorded Future has
    ///
    /// Searches Recorded Future for the indicators that runs delivered in the last days. Sends
    /// nothing. Ends with exit code 3 if one is not found a day after its delivery.
    #[command(after_long_help = help_text::VERIFY)]
    Verify(VerifyArgs),
    /// List, retry, export or drop undelivered indicators, or repair the ledger
    #[command(subcommand, after_long_help = help_text::OUTBOX)]
    Outbox(OutboxAction),
    /// Set back a checkpoint that is in the future
    #[command(subcommand)]
    Checkpoint(CheckpointAction),
    /// Print completions, man pages, schedules or example files
    #[command(subcommand, after_long_help = help_text::GENERATE)]
    Generate(Artifact),
    /// Print help for a command or a topic
    #[command(after_long_help = help_text::HELP)]
    Help(HelpArgs),
}

#[derive(Debug, Args)]
pub(crate) struct HelpArgs {
    /// A command, for example `outbox list`, or a topic; without it, the commands and the topics
    #[arg(value_name = "COMMAND|TOPIC")]
    pub words: Vec<String>,
}

impl HelpArgs {
    /// Returns the topic that was asked for; None for the help of a command.
    pub(crate) fn topic(&self) -> Option<Topic> {
        match self.words.as_slice() {
            [word] => Topic::find(word),
            _ => None,
        }
    }
}
