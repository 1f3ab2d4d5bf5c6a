//! The commands and their options, as clap reads them. Names are fixed: people's crontabs use them.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use clap::{Args, ColorChoice, Parser, Subcommand};
use secrecy::SecretString;

use super::generate::GenerateArgs;
use super::mode::Mode;
use super::texts;
use super::values::{self, LogLevel};
use crate::logging::{Format, LogSettings};
use crate::sources::carbonblack::IndicatorChoice;
use crate::sources::crowdstrike::Cloud;

/// Shares what endpoint tools detect with Recorded Future's Collective Insights.
///
/// Made to run every night: it reads the alerts of the last 24 hours, sends each indicator in them once, and
/// remembers in a ledger what was sent and what waits.
#[derive(Debug, Parser)]
#[command(
    name = "collective-insights",
    version,
    arg_required_else_help = true,
    after_help = texts::EXIT_CODES,
    after_long_help = texts::FIRST_STEPS
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
    #[command(disable_help_flag = true, after_long_help = texts::CROWDSTRIKE)]
    Crowdstrike(Box<CrowdstrikeArgs>),
    /// Share Carbon Black Cloud's alerts
    ///
    /// Reads the alerts of the last 24 hours and what earlier runs missed, and sends the file hashes that they name,
    /// once.
    #[command(disable_help_flag = true, after_long_help = texts::CARBONBLACK)]
    Carbonblack(Box<CarbonblackArgs>),
    /// Check settings, files, ledger and services, and name the remedy
    Check(CheckArgs),
    /// Show how each source stands: its last run and what waits
    Status(StatusArgs),
    /// Show the nights, and which threats are shared most
    ///
    /// One row for each UTC day and source, with the numbers of all its runs; below them the indicators that most
    /// detections named and the MITRE techniques of what was delivered. Dry runs and --debug runs do not count.
    #[command(after_long_help = texts::HISTORY)]
    History(HistoryArgs),
    /// Look at, send again, save or drop what has not been delivered
    #[command(after_long_help = texts::OUTBOX)]
    Outbox(OutboxArgs),
    /// Print completions, man pages, schedules or an exclusion file
    #[command(after_long_help = texts::GENERATE)]
    Generate(GenerateArgs),
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
    #[arg(long, value_name = "N", default_value = "0", value_parser = values::severity, help_heading = "Selection")]
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
    #[arg(long, value_name = "SECRET", value_parser = values::secret, help_heading = "Source")]
    pub secret: Option<SecretString>,
    /// API id [env: CB_API_ID]
    #[arg(long, value_name = "ID", value_parser = values::secret, help_heading = "Source")]
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
    /// Recorded Future's address [env: RF_API_URL]
    ///
    /// [default: https://api.recordedfuture.com]
    #[arg(long, value_name = "URL", help_heading = "Delivery")]
    pub rf_api_url: Option<String>,
    /// An organization to see it; repeatable
    ///
    /// [default: all of the key's user]
    #[arg(long, value_name = "ID", help_heading = "Delivery")]
    pub organization_id: Vec<String>,
    /// Read the last N hours
    ///
    /// From 1 to 8760. A run that comes after missed ones also reads what they missed.
    #[arg(long, value_name = "N", default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=8760), conflicts_with = "since", help_heading = "Selection")]
    pub hours: u32,
    /// Read from this time on, instead of --hours
    ///
    /// Exactly: nothing is caught up. In RFC 3339 with its time zone, for example 2026-11-21T00:15:00Z.
    #[arg(long, value_name = "TIME", value_parser = values::instant, help_heading = "Selection")]
    pub since: Option<DateTime<Utc>>,
    /// Read up to this time [default: now]
    ///
    /// In the same form as the beginning, without which it says nothing.
    #[arg(long, value_name = "TIME", value_parser = values::instant, requires = "since", help_heading = "Selection")]
    pub until: Option<DateTime<Utc>>,
    /// How far a late run looks back
    ///
    /// In days, from 1 to 365: as far back a run reads what earlier ones missed.
    #[arg(long, value_name = "DAYS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=365), help_heading = "Selection")]
    pub max_catch_up: u32,
    /// Indicators never to send, one a line
    ///
    /// `collective-insights generate exclusions` prints one with every form a line can have.
    #[arg(long, value_name = "FILE", help_heading = "Selection")]
    pub exclusion_file: Option<PathBuf>,
    /// Submissions a request
    ///
    /// From 1 to 15000.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=15000), help_heading = "Delivery")]
    pub batch_size: u32,
    /// Submissions a UTC day
    ///
    /// With this API key, over all sources of one ledger; 0 for no limit. What is beyond it waits for the next run.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 15000,
        help_heading = "Delivery"
    )]
    pub daily_limit: u32,
    /// Minutes for the whole run
    ///
    /// From 1 to 1440. What is not done by then is left to the next run.
    #[arg(long, value_name = "MINUTES", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=1440), help_heading = "Delivery")]
    pub deadline: u32,
    /// Pages asked for side by side [default: 8 or 4]
    ///
    /// 8 for CrowdStrike, 4 for Carbon Black; 1 to 32. Fewer go side by side after a service asked to slow down.
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
    ///
    /// The vendor is read, Recorded Future is not asked, and nothing is remembered.
    #[arg(short = 'n', long, help_heading = "Delivery")]
    pub dry_run: bool,
    /// Troubleshoot; Recorded Future saves nothing
    ///
    /// Everything is logged, also on stderr. Recorded Future checks what is sent without saving it, and nothing is
    /// remembered here.
    #[arg(long, help_heading = "Log and output")]
    pub debug: bool,
    /// Where the ledger is.
    #[command(flatten, next_help_heading = "Delivery")]
    pub ledger: LedgerArgs,
    /// Do without memory and later retries
    ///
    /// What is refused or cannot be sent is lost, and a detection that is read again is sent again.
    #[arg(long, conflicts_with = "ledger", help_heading = "Delivery")]
    pub no_ledger: bool,
    /// The log.
    #[command(flatten)]
    pub log: LogArgs,
    /// What stdout gets.
    #[command(flatten)]
    pub output: OutputArgs,
    /// Print help (--help tells more)
    // Its own, so that it stands at the end instead of under a heading of its own at the top.
    #[arg(short, long, action = clap::ArgAction::Help, help_heading = "Log and output")]
    help: Option<bool>,
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
    /// The ledger
    ///
    /// The file that remembers what was sent and what waits. It is made by the first run, and one run at a time has
    /// it.
    #[arg(long, value_name = "FILE", default_value = "collective-insights.db")]
    pub ledger: PathBuf,
}

/// The log.
#[derive(Debug, Args)]
pub struct LogArgs {
    /// How much to log
    ///
    /// DEBUG, INFO, WARNING, ERROR or CRITICAL.
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
    /// The log
    #[arg(
        long,
        value_name = "FILE",
        default_value = "collective-insights.log",
        help_heading = "Log and output"
    )]
    pub log_file: PathBuf,
    /// Begin a new log beyond this size
    ///
    /// A number of bytes, or of KiB, MiB or GiB; 1KiB at least.
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "10MiB",
        value_parser = values::size,
        help_heading = "Log and output"
    )]
    pub log_max_size: u64,
    /// Older logs to keep
    ///
    /// 1 to 99. The youngest has the number 1.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 5,
        value_parser = clap::value_parser!(u8).range(1..=99),
        help_heading = "Log and output"
    )]
    pub log_keep: u8,
    /// How a log line looks, text or json
    #[arg(
        long,
        value_name = "FORMAT",
        value_enum,
        default_value = "text",
        ignore_case = true,
        hide_possible_values = true,
        help_heading = "Log and output"
    )]
    pub log_format: Format,
}

impl LogArgs {
    /// What the log is to be.
    #[must_use]
    pub fn settings(&self, debug: bool) -> LogSettings<'_> {
        LogSettings {
            file: Some(&self.log_file),
            max_size: self.log_max_size,
            keep: self.log_keep,
            format: self.log_format,
            level: if debug {
                tracing::Level::DEBUG
            } else {
                self.log_level.level()
            },
            to_stderr: debug,
        }
    }
}

/// What stdout gets.
#[derive(Debug, Clone, Copy, Args)]
pub struct OutputArgs {
    /// One JSON document instead of text
    #[arg(long, help_heading = "Log and output")]
    pub json: bool,
    /// Nothing on stdout when all is well, and no progress
    #[arg(short, long, conflicts_with = "json", help_heading = "Log and output")]
    pub quiet: bool,
    /// Colours: auto, always or never
    ///
    /// With auto, on a terminal and without NO_COLOR.
    #[arg(
        long,
        value_name = "WHEN",
        value_enum,
        default_value = "auto",
        ignore_case = true,
        hide_possible_values = true,
        help_heading = "Log and output"
    )]
    pub color: ColorChoice,
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
