//! The commands and the options of the sources, as clap reads them. Names are fixed: people's crontabs
//! use them.

#![allow(
    clippy::doc_markdown,
    rustdoc::bare_urls,
    reason = "these comments are the program's help, read in a terminal"
)]

use clap::{Args, Parser, Subcommand};
use secrecy::SecretString;

use super::generate::GenerateArgs;
use super::help_text;
use super::maintenance::{CheckArgs, HistoryArgs, OutboxArgs, StatusArgs};
use super::run_args::SourceArgs;
use super::value_parsers;
use crate::sources::carbonblack::HashChoice;
use crate::sources::crowdstrike::Cloud;

/// Shares what endpoint tools detect with Recorded Future's Collective Insights.
///
/// Made to run every day: it reads the alerts of the last 24 hours, sends each indicator in them once, and
/// remembers in a ledger what was sent and what waits.
#[derive(Debug, Parser)]
#[command(
    name = "collective-insights",
    version,
    arg_required_else_help = true,
    after_help = help_text::EXIT_CODES,
    after_long_help = help_text::FIRST_STEPS
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Share CrowdStrike Falcon's detections
    ///
    /// Reads the alerts of the last 24 hours and what earlier runs missed, and sends each file hash, domain, address
    /// and URL that they name as an indicator, once.
    #[command(disable_help_flag = true, after_long_help = help_text::CROWDSTRIKE)]
    Crowdstrike(Box<CrowdstrikeArgs>),
    /// Share Carbon Black Cloud's alerts
    ///
    /// Reads the alerts of the last 24 hours and what earlier runs missed, and sends the file hashes that they name,
    /// once.
    #[command(disable_help_flag = true, after_long_help = help_text::CARBONBLACK)]
    Carbonblack(Box<CarbonblackArgs>),
    /// Check settings, files, ledger and services, and name the remedy
    Check(CheckArgs),
    /// Show how each source stands: its last run and what waits
    Status(StatusArgs),
    /// Show the days, and which threats are shared most
    ///
    /// One row for each UTC day and source, with the numbers of all its runs; below them the indicators that most
    /// detections named and the MITRE techniques of what was delivered. Dry runs and --debug runs do not count.
    #[command(after_long_help = help_text::HISTORY)]
    History(HistoryArgs),
    /// Look at, send again, save or drop what has not been delivered
    #[command(after_long_help = help_text::OUTBOX)]
    Outbox(OutboxArgs),
    /// Print completions, man pages, schedules or an exclusion file
    #[command(after_long_help = help_text::GENERATE)]
    Generate(GenerateArgs),
}

/// Options of `crowdstrike`.
#[derive(Debug, Args)]
pub struct CrowdstrikeArgs {
    /// API client id [env: CS_CLIENT_ID]
    #[arg(long, value_name = "ID", value_parser = value_parsers::secret, help_heading = "Source")]
    pub client_id: Option<SecretString>,
    /// API client secret [env: CS_CLIENT_SECRET]
    #[arg(long, value_name = "SECRET", value_parser = value_parsers::secret, help_heading = "Source")]
    pub client_secret: Option<SecretString>,
    /// The account's cloud, if not found by itself
    ///
    /// One of us-1, us-2, us-3, eu-1, us-gov-1 and us-gov-2. Government accounts must name theirs.
    /// [default: us-1, and from there to where the account lives]
    #[arg(
        long,
        value_name = "CLOUD",
        value_enum,
        ignore_case = true,
        hide_possible_values = true,
        conflicts_with = "base_url",
        help_heading = "Source"
    )]
    pub cloud: Option<Cloud>,
    /// The API's address [env: CS_BASE_URL]
    ///
    /// Instead of --cloud; it is never left for another cloud.
    #[arg(long, value_name = "URL", help_heading = "Source")]
    pub base_url: Option<String>,
    /// A child account's CID (parent's API client)
    ///
    /// The API client is the parent account's, and only this child's detections are read.
    #[arg(long, value_name = "CID", help_heading = "Source")]
    pub member_cid: Option<String>,
    /// Least severity, 0-100 or a name
    ///
    /// A number from 0 to 100, or informational (0), low (20), medium (40), high (60), critical (80). Detections
    /// below it, or without a severity where it is more than 0, are counted and not sent.
    #[arg(long, value_name = "N", default_value = "0", value_parser = value_parsers::severity, help_heading = "Selection")]
    pub min_severity: u8,
    /// Least confidence, 0-100
    ///
    /// Detections below it, or without a confidence where it is more than 0, are counted and not sent.
    #[arg(long, value_name = "N", default_value = "0", value_parser = clap::value_parser!(u8).range(0..=100), help_heading = "Selection")]
    pub min_confidence: u8,
    /// Options of both sources.
    #[command(flatten)]
    pub common: SourceArgs,
}

/// Options of `carbonblack`.
#[derive(Debug, Args)]
pub struct CarbonblackArgs {
    /// Organization key [env: CB_ORG_ID]
    #[arg(long, value_name = "KEY", help_heading = "Source")]
    pub org_id: Option<String>,
    /// The console's host or URL [env: CB_HOSTNAME]
    ///
    /// As it stands in the browser's address bar, for example defense-prod05.conferdeploy.net.
    #[arg(long, value_name = "HOST", help_heading = "Source")]
    pub hostname: Option<String>,
    /// API secret key [env: CB_SECRET]
    #[arg(long, value_name = "SECRET", value_parser = value_parsers::secret, help_heading = "Source")]
    pub secret: Option<SecretString>,
    /// API id [env: CB_API_ID]
    #[arg(long, value_name = "ID", value_parser = value_parsers::secret, help_heading = "Source")]
    pub api_id: Option<SecretString>,
    /// Which hash to share
    ///
    /// process: of the acting process, which on a watchlist hit is often a clean system program. blocked: of the
    /// blocked file, usually the malware itself. both: of both.
    #[arg(
        long,
        value_name = "WHICH",
        value_enum,
        hide_possible_values = true,
        default_value = "process",
        ignore_case = true,
        help_heading = "Selection"
    )]
    pub indicator: HashChoice,
    /// Options of both sources.
    #[command(flatten)]
    pub common: SourceArgs,
}
