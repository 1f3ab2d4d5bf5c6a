//! The commands and their options, as clap reads them. Names are fixed: people's crontabs use them.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use clap::{Args, Parser, Subcommand};
use secrecy::SecretString;

use super::settings::Mode;
use super::values::{self, LogLevel};
use crate::sources::carbonblack::IndicatorChoice;
use crate::sources::crowdstrike::Cloud;

const EXIT_CODES: &str = "\
Exit codes:
  0    done, or nothing to do
  1    unexpected
  2    usage or configuration
  3    partly done: something waits or is in quarantine
  4    credentials or permission
  5    temporary trouble, safe to run again
  6    the ledger cannot be used
  7    another run holds the ledger
  130, 143  interrupted by Ctrl-C, by SIGTERM";

/// Shares what endpoint tools detect with Recorded Future's Collective Insights.
#[derive(Debug, Parser)]
#[command(name = "collective-insights", version, arg_required_else_help = true, after_help = EXIT_CODES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Share CrowdStrike Falcon's detections
    #[command(after_help = EXIT_CODES)]
    Crowdstrike(Box<CrowdstrikeArgs>),
    /// Share Carbon Black Cloud's alerts
    #[command(after_help = EXIT_CODES)]
    Carbonblack(Box<CarbonblackArgs>),
    /// Check settings, files, ledger and services, and name the remedy
    Check(CheckArgs),
    /// Show what the ledger knows: last runs, what waits, what was refused
    Status(StatusArgs),
    /// Look at, send again, save or drop what has not been delivered
    Outbox(OutboxArgs),
}

/// Options of `crowdstrike`.
#[derive(Debug, Args)]
pub struct CrowdstrikeArgs {
    /// API client id [env: CS_CLIENT_ID]
    #[arg(long, value_name = "ID", value_parser = values::secret, help_heading = "Source")]
    pub client_id: Option<SecretString>,
    /// API client secret [env: CS_CLIENT_SECRET]
    #[arg(long, value_name = "SECRET", value_parser = values::secret, help_heading = "Source")]
    pub client_secret: Option<SecretString>,
    /// The account's cloud [default: us-1, and from there to where the account lives]
    #[arg(
        long,
        value_name = "CLOUD",
        value_enum,
        ignore_case = true,
        conflicts_with = "base_url",
        help_heading = "Source"
    )]
    pub cloud: Option<Cloud>,
    /// The API's address; it is never left [env: CS_BASE_URL]
    #[arg(long, value_name = "URL", help_heading = "Source")]
    pub base_url: Option<String>,
    /// A child account's CID, with a parent's API client
    #[arg(long, value_name = "CID", help_heading = "Source")]
    pub member_cid: Option<String>,
    /// Least severity: 0 to 100, or informational, low, medium, high, critical
    #[arg(long, value_name = "SEVERITY", default_value = "0", value_parser = values::severity, help_heading = "Selection")]
    pub min_severity: u8,
    /// Least confidence: 0 to 100
    #[arg(long, value_name = "CONFIDENCE", default_value = "0", value_parser = clap::value_parser!(u8).range(0..=100), help_heading = "Selection")]
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
    #[arg(long, value_name = "HOST", help_heading = "Source")]
    pub hostname: Option<String>,
    /// API secret key [env: CB_SECRET]
    #[arg(long, value_name = "SECRET", value_parser = values::secret, help_heading = "Source")]
    pub secret: Option<SecretString>,
    /// API id [env: CB_API_ID]
    #[arg(long, value_name = "ID", value_parser = values::secret, help_heading = "Source")]
    pub api_id: Option<SecretString>,
    /// Which hash to share: of the acting process, of the blocked file, or both
    #[arg(
        long,
        value_name = "WHICH",
        value_enum,
        default_value = "process",
        ignore_case = true,
        help_heading = "Selection"
    )]
    pub indicator: IndicatorChoice,
    /// Options of both sources.
    #[command(flatten)]
    pub common: SourceArgs,
}

/// Options of both sources.
#[derive(Debug, Args)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is one flag of the command line"
)]
pub struct SourceArgs {
    /// Recorded Future API key [env: RF_API_KEY]
    #[arg(short = 'k', long, value_name = "KEY", value_parser = values::secret, help_heading = "Delivery")]
    pub rf_api_key: Option<SecretString>,
    /// Recorded Future's address [env: RF_API_URL] [default: https://api.recordedfuture.com]
    #[arg(long, value_name = "URL", help_heading = "Delivery")]
    pub rf_api_url: Option<String>,
    /// An organization that is to see the detections; repeatable [default: all of the key's user]
    #[arg(long, value_name = "ID", help_heading = "Delivery")]
    pub organization_id: Vec<String>,
    /// Read the last N hours: 1 to 8760
    #[arg(long, value_name = "N", default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=8760), conflicts_with = "since", help_heading = "Selection")]
    pub hours: u32,
    /// Read from this time on, exactly (RFC 3339), instead of --hours
    #[arg(long, value_name = "TIME", value_parser = values::instant, help_heading = "Selection")]
    pub since: Option<DateTime<Utc>>,
    /// Read up to this time [default: now]
    #[arg(long, value_name = "TIME", value_parser = values::instant, requires = "since", help_heading = "Selection")]
    pub until: Option<DateTime<Utc>>,
    /// How many days a late run may look back to catch up: 1 to 365
    #[arg(long, value_name = "DAYS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=365), help_heading = "Selection")]
    pub max_catch_up: u32,
    /// Indicators that are never sent, one a line
    #[arg(long, value_name = "FILE", help_heading = "Selection")]
    pub exclusion_file: Option<PathBuf>,
    /// Submissions a request: 1 to 15000
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=15000), help_heading = "Delivery")]
    pub batch_size: u32,
    /// Submissions a UTC day with this API key; 0 for no limit
    #[arg(
        long,
        value_name = "N",
        default_value_t = 15000,
        help_heading = "Delivery"
    )]
    pub daily_limit: u32,
    /// Minutes the whole run may take: 1 to 1440
    #[arg(long, value_name = "MINUTES", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=1440), help_heading = "Delivery")]
    pub deadline: u32,
    /// Pages to ask the vendor for side by side: 1 to 32 [default: 8 for crowdstrike, 4 for carbonblack]
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u8).range(1..=32),
        help_heading = "Source"
    )]
    pub concurrency: Option<u8>,
    /// The network.
    #[command(flatten)]
    pub network: NetworkArgs,
    /// Send again what was delivered before
    #[arg(long, help_heading = "Delivery")]
    pub resend: bool,
    /// Send nothing; show what would be sent
    #[arg(short = 'n', long, help_heading = "Delivery")]
    pub dry_run: bool,
    /// Troubleshoot: log everything, also on stderr; Recorded Future checks and saves nothing
    #[arg(long, help_heading = "Log and output")]
    pub debug: bool,
    /// Where the ledger is.
    #[command(flatten)]
    pub ledger: LedgerArgs,
    /// Do without a ledger: no memory, no retries by later runs
    #[arg(long, conflicts_with = "ledger", help_heading = "Delivery")]
    pub no_ledger: bool,
    /// The log.
    #[command(flatten)]
    pub log: LogArgs,
    /// What stdout gets.
    #[command(flatten)]
    pub output: OutputArgs,
}

impl SourceArgs {
    /// What the run does with what it selected.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        match (self.dry_run, self.debug) {
            (true, _) => Mode::DryRun,
            (false, true) => Mode::Debug,
            (false, false) => Mode::Live,
        }
    }
}

/// The network.
#[derive(Debug, Args)]
pub struct NetworkArgs {
    /// PEM file of certificates to trust beside the system's, such as an inspecting proxy's
    #[arg(long, value_name = "FILE", help_heading = "Network")]
    pub ca_cert: Option<PathBuf>,
    /// Seconds a connection may take to be made: 1 to 300
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=300), help_heading = "Network")]
    pub connect_timeout: u16,
    /// Seconds a request may take, its whole answer included: 1 to 3600
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u16).range(1..=3600), help_heading = "Network")]
    pub timeout: u16,
}

/// Where the ledger is.
#[derive(Debug, Args)]
pub struct LedgerArgs {
    /// The file that remembers what was sent and what waits
    #[arg(
        long,
        value_name = "FILE",
        default_value = "collective-insights.db",
        help_heading = "Delivery"
    )]
    pub ledger: PathBuf,
}

/// The log.
#[derive(Debug, Args)]
pub struct LogArgs {
    /// How much to log: DEBUG, INFO, WARNING, ERROR or CRITICAL
    #[arg(
        short,
        long,
        value_name = "LEVEL",
        default_value = "INFO",
        value_enum,
        ignore_case = true,
        hide_possible_values = true,
        help_heading = "Log and output"
    )]
    pub log_level: LogLevel,
    /// The log file
    #[arg(
        long,
        value_name = "FILE",
        default_value = "collective-insights.log",
        help_heading = "Log and output"
    )]
    pub log_file: PathBuf,
}

impl LogArgs {
    /// The finest level to write.
    #[must_use]
    pub const fn level(&self, debug: bool) -> tracing::Level {
        if debug {
            tracing::Level::DEBUG
        } else {
            self.log_level.level()
        }
    }
}

/// What stdout gets.
#[derive(Debug, Clone, Copy, Args)]
pub struct OutputArgs {
    /// One JSON document on stdout instead of text
    #[arg(long, help_heading = "Log and output")]
    pub json: bool,
    /// Nothing on stdout when all is well
    #[arg(short, long, conflicts_with = "json", help_heading = "Log and output")]
    pub quiet: bool,
}

/// Options of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// What to check; without it, every source that is configured by variables.
    #[command(subcommand)]
    pub source: Option<CheckSource>,
    /// Ask no service: settings, files and ledger only
    #[arg(long, global = true)]
    pub offline: bool,
    /// Show every setting with its value and where it came from, and check nothing
    #[arg(long, global = true)]
    pub show_config: bool,
    /// One JSON document instead of text
    #[arg(id = "check_json", long = "json")]
    pub json: bool,
}

/// The source to check.
#[derive(Debug, Subcommand)]
pub enum CheckSource {
    /// Check CrowdStrike Falcon, with the options of `crowdstrike`
    Crowdstrike(Box<CrowdstrikeArgs>),
    /// Check Carbon Black Cloud, with the options of `carbonblack`
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
        which: WhichArgs,
        /// One JSON document instead of text
        #[arg(long)]
        json: bool,
    },
    /// Let what is in quarantine wait again: the next run sends it
    Retry {
        /// Which of it.
        #[command(flatten)]
        which: WhichArgs,
    },
    /// Print the items as JSON, as they would be sent
    Export {
        /// Which of it.
        #[command(flatten)]
        which: WhichArgs,
    },
    /// Drop it: it is never sent
    Drop {
        /// Which of it.
        #[command(flatten)]
        which: WhichArgs,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// Which part of the outbox.
#[derive(Debug, Args)]
pub struct WhichArgs {
    /// Only what is in quarantine
    #[arg(long)]
    pub quarantined: bool,
    /// Where the ledger is.
    #[command(flatten)]
    pub ledger: LedgerArgs,
}
