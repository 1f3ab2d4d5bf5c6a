//! The options that both sources have.

#![allow(
    clippy::doc_markdown,
    rustdoc::bare_urls,
    reason = "these comments are the program's help, read in a terminal"
)]

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use clap::{Args, ColorChoice};
use secrecy::SecretString;

use super::value_parsers::{self, LogLevel};
use crate::logging::{Format, LogSettings};
use crate::settings::Mode;

/// Options of both sources.
#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is one flag of the command line")]
pub struct SourceArgs {
    /// Recorded Future API key [env: RF_API_KEY]
    #[arg(short = 'k', long, value_name = "KEY", value_parser = value_parsers::secret, help_heading = "Delivery")]
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
    #[arg(long, value_name = "TIME", value_parser = value_parsers::instant, help_heading = "Selection")]
    pub since: Option<DateTime<Utc>>,
    /// Read up to this time [default: now]
    ///
    /// In the same form as the beginning, without which it says nothing.
    #[arg(long, value_name = "TIME", value_parser = value_parsers::instant, requires = "since", help_heading = "Selection")]
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
    #[arg(long, value_name = "N", default_value_t = 15000, help_heading = "Delivery")]
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
    /// Certificates to trust beside the system's
    ///
    /// A PEM file, for example with an inspecting proxy's certificate.
    #[arg(long, value_name = "FILE", help_heading = "Delivery")]
    pub ca_cert: Option<PathBuf>,
    /// Seconds to connect
    ///
    /// From 1 to 300.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=300), hide_short_help = true, help_heading = "Delivery")]
    pub connect_timeout: u16,
    /// Seconds a request may take
    ///
    /// Its whole answer included; from 1 to 3600.
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u16).range(1..=3600), hide_short_help = true, help_heading = "Delivery")]
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
        value_parser = value_parsers::size,
        hide_short_help = true, help_heading = "Log and output"
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
        hide_short_help = true, help_heading = "Log and output"
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
            level: if debug { tracing::Level::DEBUG } else { self.log_level.level() },
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
