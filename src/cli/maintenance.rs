//! The options of the commands that check, look and tend.

#![allow(
    clippy::doc_markdown,
    rustdoc::bare_urls,
    reason = "these comments are the program's help, read in a terminal"
)]

use clap::{Args, ColorChoice, Subcommand};

use super::commands::{CarbonblackArgs, CrowdstrikeArgs};
use super::run_args::LedgerArgs;

/// Options of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// What to check; without it, every source that is configured by variables.
    #[command(subcommand)]
    pub source: Option<CheckSource>,
    /// Ask no service: settings, files and ledger only
    #[arg(long, global = true)]
    pub offline: bool,
    /// Show each setting and where it came from; check nothing
    #[arg(long, global = true)]
    pub show_config: bool,
    /// One JSON document instead of text
    #[arg(id = "check_json", long = "json")]
    pub json: bool,
    /// Colours: auto, always or never
    ///
    /// With auto, on a terminal and without NO_COLOR.
    #[arg(
        id = "check_color",
        long = "color",
        value_name = "WHEN",
        value_enum,
        default_value = "auto",
        ignore_case = true,
        hide_possible_values = true
    )]
    pub color: ColorChoice,
}

impl CheckArgs {
    /// When colours are used: what is said after the source counts before what is said ahead of it.
    #[must_use]
    pub fn color(&self) -> ColorChoice {
        let source = match &self.source {
            Some(CheckSource::Crowdstrike(args)) => args.common.output.color,
            Some(CheckSource::Carbonblack(args)) => args.common.output.color,
            None => ColorChoice::Auto,
        };
        match source {
            ColorChoice::Auto => self.color,
            ColorChoice::Always | ColorChoice::Never => source,
        }
    }
}

/// The source to check.
#[derive(Debug, Subcommand)]
pub enum CheckSource {
    /// Check CrowdStrike Falcon, with the options of `crowdstrike`
    #[command(disable_help_flag = true)]
    Crowdstrike(Box<CrowdstrikeArgs>),
    /// Check Carbon Black Cloud, with the options of `carbonblack`
    #[command(disable_help_flag = true)]
    Carbonblack(Box<CarbonblackArgs>),
}

/// Options of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Where the ledger is.
    #[command(flatten)]
    pub ledger: LedgerArgs,
    /// One JSON document instead of text
    #[arg(long)]
    pub json: bool,
}

/// Options of `history`.
#[derive(Debug, Args)]
pub struct HistoryArgs {
    /// How many days to look back
    ///
    /// From 1 to 400, today among them. Runs and techniques are remembered for 400 days, indicators for 90.
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=400))]
    pub days: u32,
    /// Where the ledger is.
    #[command(flatten)]
    pub ledger: LedgerArgs,
    /// One JSON document instead of text
    #[arg(long)]
    pub json: bool,
}

/// Options of `outbox`.
#[derive(Debug, Args)]
pub struct OutboxArgs {
    /// What to do with it.
    #[command(subcommand)]
    pub action: OutboxAction,
}

/// What to do with what has not been delivered.
#[derive(Debug, Subcommand)]
pub enum OutboxAction {
    /// Show what waits and what is in quarantine
    List {
        /// Which of it.
        #[command(flatten)]
        which: EntryFilterArgs,
        /// One JSON document instead of text
        #[arg(long)]
        json: bool,
    },
    /// Let what is in quarantine wait again: the next run sends it
    Retry {
        /// Which of it.
        #[command(flatten)]
        which: EntryFilterArgs,
    },
    /// Print the items as JSON, as they would be sent
    Export {
        /// Which of it.
        #[command(flatten)]
        which: EntryFilterArgs,
    },
    /// Drop it: it is never sent
    Drop {
        /// Which of it.
        #[command(flatten)]
        which: EntryFilterArgs,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// Which part of the outbox.
#[derive(Debug, Args)]
pub struct EntryFilterArgs {
    /// Only what is in quarantine
    #[arg(long)]
    pub quarantined: bool,
    /// Where the ledger is.
    #[command(flatten)]
    pub ledger: LedgerArgs,
}
