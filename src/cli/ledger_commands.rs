//! The options of `check` and of the commands that work on the ledger.

#![allow(
    clippy::doc_markdown,
    rustdoc::bare_urls,
    reason = "the doc comments of the arguments are help texts, read in a terminal"
)]

use std::path::PathBuf;

use chrono::TimeDelta;
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};

use super::run_args::LedgerArgs;
use super::source_command::SourceCommand;
use super::value_parsers;
use crate::settings::TenantName;

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The source to check; if none is given, all tenants of the settings file, or every configured
    /// source.
    #[command(subcommand)]
    pub source: Option<SourceCommand>,
    /// Send no request: check configuration, files and ledger only
    #[arg(long, global = true)]
    pub offline: bool,
    /// Show each option and where its value came from; check nothing
    #[arg(long, global = true)]
    pub show_config: bool,
    /// Settings file [env: COLLECTIVE_INSIGHTS_CONFIG]
    #[arg(id = "check_config", long = "config", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print one JSON document instead of text
    #[arg(id = "check_json", long = "json")]
    json: bool,
}

impl CheckArgs {
    /// Whether to print JSON: given before or after the source.
    pub(crate) fn json(&self) -> bool {
        self.json || self.source.as_ref().is_some_and(|source| source.args().1.process.output.json)
    }
}

/// Which tenants a command works on.
#[derive(Debug, Args)]
pub(crate) struct TenantArgs {
    /// Only this tenant
    #[arg(long, value_name = "NAME")]
    pub tenant: Option<TenantName>,
    /// Only tenants of this source
    #[arg(long, value_name = "SOURCE", value_parser = SourceCommand::names())]
    pub source: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Exit with code 3 if the last success of a tenant is older
    ///
    /// For monitoring. A tenant that never succeeded counts as older. If the settings file has
    /// tenants, its enabled ones are checked, and a tenant that is not in it only if --tenant names
    /// it. A number of seconds (s), minutes (m), hours (h) or days (d).
    #[arg(long, value_name = "DURATION", value_parser = value_parsers::duration)]
    pub max_age: Option<TimeDelta>,
    #[command(flatten)]
    pub tenants: TenantArgs,
    #[command(flatten)]
    pub ledger: LedgerArgs,
    /// Print one JSON document instead of text
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct HistoryArgs {
    /// Number of days to show
    ///
    /// From 1 to 400, including today. Runs and techniques are kept for 400 days, indicators for
    /// 90.
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=400))]
    pub days: u32,
    /// Show each run instead of daily totals
    ///
    /// With its start, duration, mode, exit code and error.
    #[arg(long)]
    pub runs: bool,
    #[command(flatten)]
    pub tenants: TenantArgs,
    #[command(flatten)]
    pub ledger: LedgerArgs,
    /// Print one JSON document instead of text
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// Write the page to this file
    ///
    /// One file without scripts, which loads nothing. A file of this name is replaced and keeps its
    /// mode and group; a new one can be read by its owner only.
    #[arg(long, value_name = "FILE")]
    pub html: PathBuf,
    /// Number of days to show
    ///
    /// From 1 to 90, including today. Indicators are kept for 90 days.
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=90))]
    pub days: u32,
    /// Also show alert ids, messages of errors, and samples of what was left out
    ///
    /// The samples have internal addresses and host names.
    #[arg(long)]
    pub with_details: bool,
    #[command(flatten)]
    pub tenants: TenantArgs,
    #[command(flatten)]
    pub ledger: LedgerArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// A hash, domain, IP address or URL, or the id of an alert
    ///
    /// Defanged spellings are understood: hxxp://, example[.]com, example(dot)com, 8.8.8[.]8.
    #[arg(value_name = "INDICATOR|ALERT-ID", value_parser = NonEmptyStringValueParser::new())]
    pub question: String,
    /// Exclusion file to look the indicator up in
    ///
    /// [default: for each tenant, the one that its runs use: --exclusion-file in its table of the
    /// settings file, in COLLECTIVE_INSIGHTS_EXCLUSION_FILE, or in the defaults of the settings
    /// file]
    #[arg(long, value_name = "FILE")]
    pub exclusion_file: Option<PathBuf>,
    #[command(flatten)]
    pub tenants: TenantArgs,
    #[command(flatten)]
    pub ledger: LedgerArgs,
    /// Print one JSON document instead of text
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Number of days to verify
    ///
    /// From 1 to 90, including today, by the day of the delivery (UTC).
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=90))]
    pub days: u32,
    /// Only this tenant; repeatable
    #[arg(long, value_name = "NAME")]
    pub tenant: Vec<TenantName>,
    /// Queue again what is missing
    ///
    /// The next run sends it, with the id of its earliest alert, the time and the MITRE codes, but
    /// without names, which the ledger does not keep. What was delivered within the last 24 hours
    /// is left alone: it may not be found yet.
    #[arg(long)]
    pub requeue_missing: bool,
    #[command(flatten)]
    pub ledger: LedgerArgs,
    /// Print one JSON document instead of text
    #[arg(long)]
    pub json: bool,
}

/// An operation on undelivered indicators, or the repair of the ledger.
#[derive(Debug, Subcommand)]
pub(crate) enum OutboxAction {
    /// List queued and quarantined indicators
    List {
        #[command(flatten)]
        filter: EntryFilterArgs,
        /// Maximum indicators to list
        ///
        /// Those that were stored first; 0 for no limit. [default: 50, with --json no limit]
        #[arg(long, value_name = "N")]
        limit: Option<u32>,
        /// Print one JSON document instead of text
        #[arg(long)]
        json: bool,
    },
    /// Requeue quarantined indicators for the next run
    Retry {
        #[command(flatten)]
        filter: EntryFilterArgs,
    },
    /// Print the indicators as JSON, as they would be sent
    Export {
        #[command(flatten)]
        filter: EntryFilterArgs,
        /// Write to this file instead of stdout
        ///
        /// Only its owner can read the file. If the export fails, an existing file is not changed.
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Save what can be read of a damaged ledger in a new one
    ///
    /// The damaged file is kept under another name. A ledger that is not damaged is not changed.
    Repair {
        #[command(flatten)]
        ledger: LedgerArgs,
    },
    /// Drop indicators: they are sent only if a new alert names them
    Drop {
        #[command(flatten)]
        filter: EntryFilterArgs,
        /// Do not ask for confirmation
        #[arg(long)]
        yes: bool,
        /// With --yes, also drop the indicators of several tenants
        #[arg(long)]
        all_tenants: bool,
    },
}

/// An operation on checkpoints.
#[derive(Debug, Subcommand)]
pub(crate) enum CheckpointAction {
    /// Set checkpoints that are in the future to 30 days ago
    ///
    /// While a checkpoint is in the future, which a wrong clock can lead to, no run reads what
    /// earlier runs missed. The next run reads the alerts of 30 days again, or since the start of
    /// the first run's window if that is later, and sends nothing twice. Other checkpoints stay as
    /// they are.
    Reset {
        #[command(flatten)]
        ledger: LedgerArgs,
        /// Do not ask for confirmation
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct EntryFilterArgs {
    /// Only quarantined indicators
    #[arg(long)]
    pub quarantined: bool,
    #[command(flatten)]
    pub tenants: TenantArgs,
    #[command(flatten)]
    pub ledger: LedgerArgs,
}
