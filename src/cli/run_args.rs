//! The options of a run that all sources have in common, and those that other commands share.

#![allow(
    clippy::doc_markdown,
    rustdoc::bare_urls,
    reason = "the doc comments of the arguments are help texts, read in a terminal"
)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::TimeDelta;
use clap::Args;
use secrecy::{ExposeSecret, SecretString};

use super::value_parsers::{self, LogLevel};
use crate::failure::Failure;
use crate::http;
use crate::logging::{Format, LogSettings};
use crate::recorded_future;
use crate::report::Output;
use crate::settings::lookup::{Lookup, Names, non_blank};
use crate::settings::{
    LedgerChoice, LockWait, Mode, PointInTime, RequestedSpan, Settings, TenantName, base_url,
    default_ledger,
};

const RF_API_KEY: Names = Names {
    flag: "--rf-api-key",
    variable: "RF_API_KEY",
    fallbacks: &["RF_TOKEN"],
    combined: None,
};
const RF_API_URL: Names = Names {
    flag: "--rf-api-url",
    variable: "RF_API_URL",
    fallbacks: &["RF_BASE_URL"],
    combined: None,
};
const RF_API_URL_DEFAULT: &str = "https://api.recordedfuture.com";

/// The options of a run of one source.
#[derive(Debug, Args)]
pub(crate) struct RunArgs<A: Args> {
    #[command(flatten)]
    pub vendor: A,
    #[command(flatten)]
    pub common: CommonArgs,
}

/// The options of the requested span.
#[derive(Debug, Args)]
pub(crate) struct SpanArgs {
    /// Read the alerts of the last N hours
    ///
    /// From 1 to 8760, also as 24h or 7d. What missed runs did not read is read too, as far back
    /// as --max-catch-up allows.
    #[arg(long, value_name = "N", default_value = "24", value_parser = value_parsers::hours, conflicts_with = "since", help_heading = "Selection")]
    hours: u32,
    /// Read alerts since this time
    ///
    /// Replaces --hours; missed runs are not caught up. A day, from midnight UTC (2026-11-21,
    /// yesterday), a duration before now (7d, 36h), or RFC 3339 with a time zone
    /// (2026-11-21T00:15:00Z). The summary and the log show the instant.
    #[arg(long, value_name = "TIME", value_parser = value_parsers::point_in_time, help_heading = "Selection")]
    since: Option<PointInTime>,
    /// Read alerts before this time [default: now]
    ///
    /// Same format as --since; requires --since.
    #[arg(long, value_name = "TIME", value_parser = value_parsers::point_in_time, requires = "since", conflicts_with = "hours", help_heading = "Selection")]
    until: Option<PointInTime>,
}

/// The options of a process, for one tenant or several.
#[derive(Debug, Args)]
#[command(next_help_heading = "Delivery")]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct ProcessArgs {
    /// Maximum run time in minutes
    ///
    /// From 1 to 1440. The next run continues where this one stops.
    #[arg(long, value_name = "MINUTES", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=1440))]
    pub deadline: u32,
    /// Wait for another run to end, for example 2h
    ///
    /// Waits up to this long while another run has the ledger locked; if it is still locked then,
    /// ends with exit code 7. The --deadline begins after the wait. A number of seconds (s),
    /// minutes (m), hours (h) or days (d). [default: no wait]
    #[arg(long, value_name = "DURATION", value_parser = value_parsers::duration)]
    wait: Option<TimeDelta>,
    /// Show what would be sent, without sending it
    ///
    /// Reads the vendor's alerts, sends no request to Recorded Future and records nothing in the
    /// ledger.
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Test mode: Recorded Future stores nothing
    ///
    /// Recorded Future validates what is sent but does not store it, and nothing is recorded in the
    /// ledger. The log is verbose and also goes to stderr. For more detail about a real run, use
    /// -l debug.
    // It may be repeated, as with the Python scripts that this program replaces.
    #[arg(long, overrides_with = "debug", help_heading = "Log and output")]
    pub debug: bool,
    #[command(flatten)]
    ledger: LedgerArgs,
    /// Run without the ledger
    ///
    /// No deduplication between runs, no retry by later runs: an alert that is read again is sent
    /// again, and what is rejected or cannot be sent is lost.
    #[arg(long, conflicts_with = "ledger")]
    no_ledger: bool,
    #[command(flatten)]
    pub log: LogArgs,
    /// Metrics file for Prometheus
    ///
    /// For the textfile collector of node_exporter, which reads files whose names end in .prom. A
    /// run replaces it at its end; one with --dry-run or --debug does not. Use the same file for
    /// all runs that share a ledger. See `collective-insights help operations`.
    #[arg(long, value_name = "FILE", help_heading = "Log and output", hide_short_help = true)]
    pub metrics_file: Option<PathBuf>,
    #[command(flatten)]
    pub output: OutputArgs,
    /// Print help (--help prints more)
    // Defined here so that it is listed last instead of under a heading of its own at the top.
    #[arg(short, long, action = clap::ArgAction::Help, help_heading = "Log and output")]
    help: Option<bool>,
}

impl ProcessArgs {
    /// Returns whether the run has a ledger, and its path.
    ///
    /// # Errors
    /// As [`default_ledger`].
    pub(crate) fn ledger(&self) -> Result<LedgerChoice, Failure> {
        if self.no_ledger {
            return Ok(LedgerChoice::None);
        }
        let in_state_folder = self.ledger.ledger.is_none();
        Ok(LedgerChoice::File { path: self.ledger.path()?, in_state_folder })
    }

    /// Returns how to wait for another run; `None` without `--wait`.
    pub(crate) fn wait(&self) -> Option<LockWait> {
        let limit = self.wait?.to_std().ok()?;
        Some(LockWait { limit, announce: !self.output.quiet && !self.logs_to_stderr() })
    }

    /// Returns what the run does with the selected indicators.
    pub(crate) const fn mode(&self) -> Mode {
        match (self.dry_run, self.debug) {
            (true, _) => Mode::DryRun,
            (false, true) => Mode::Debug,
            (false, false) => Mode::Live,
        }
    }

    /// Returns whether the log goes to stderr, alone or in addition to a file.
    pub(crate) fn logs_to_stderr(&self) -> bool {
        self.debug || self.log.is_stderr()
    }
}

/// The options that all sources have in common.
#[derive(Debug, Args)]
#[command(next_help_heading = "Delivery")]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct CommonArgs {
    /// Recorded Future API key [env: RF_API_KEY]
    #[arg(short = 'k', long, value_name = "KEY")]
    rf_api_key: Option<SecretString>,
    /// Recorded Future base URL [env: RF_API_URL]
    ///
    /// [default: https://api.recordedfuture.com]
    #[arg(long, value_name = "URL")]
    rf_api_url: Option<String>,
    /// Name in the ledger [default: the source's name]
    ///
    /// A tenant is one account of a source. The ledger keeps a separate history and queue for each
    /// name. Credentials, the Recorded Future key and the organizations may change later.
    #[arg(long, value_name = "NAME")]
    tenant: Option<TenantName>,
    /// Accept a changed customer id
    ///
    /// A run stops if the alerts belong to another customer than those of earlier runs. Use this
    /// once if it is the same customer under a new id.
    #[arg(long, hide_short_help = true)]
    adopt: bool,
    /// Organization that receives the detections
    ///
    /// The prefix uhash: is optional. Repeatable. [default: all of the key's user]
    #[arg(long, value_name = "ID")]
    organization_id: Vec<String>,
    #[command(flatten)]
    pub span: SpanArgs,
    /// Maximum days to catch up
    ///
    /// After missed runs, a run also reads what they missed, but nothing that is much older than
    /// this. From 1 to 365.
    #[arg(long, value_name = "DAYS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=365), help_heading = "Selection")]
    max_catch_up: u32,
    /// Give up alerts that were too old to catch up
    ///
    /// What a run does not read because of --max-catch-up is a gap: that run ends with exit code 3,
    /// and `status` shows the gap until a run with --since and --until reads it, or one with this
    /// option gives it up.
    #[arg(long, help_heading = "Selection", hide_short_help = true)]
    accept_gap: bool,
    /// Indicators that are never sent, one per line
    ///
    /// `collective-insights generate exclusions` prints an example with every kind of line.
    #[arg(long, value_name = "FILE", help_heading = "Selection")]
    exclusion_file: Option<PathBuf>,
    /// Leave out alerts that an analyst dismissed
    ///
    /// CrowdStrike: tagged false_positive or ignored. Carbon Black: determined to be a false
    /// positive. The summary counts them.
    #[arg(long, help_heading = "Selection")]
    skip_dismissed: bool,
    /// Maximum indicators per request
    ///
    /// From 1 to 15000.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=15000))]
    batch_size: u32,
    /// Maximum indicators per UTC day
    ///
    /// Counted per API key, over all sources of one ledger; 0 for no limit. Indicators above the
    /// limit stay queued for the next run.
    #[arg(long, value_name = "N", default_value_t = 15000)]
    daily_limit: u32,
    /// Additional CA certificates to trust (PEM)
    ///
    /// Trusted in addition to the system's, for example the CA certificate of a TLS-inspecting
    /// proxy.
    #[arg(long, value_name = "FILE")]
    ca_cert: Option<PathBuf>,
    /// Connection timeout in seconds
    ///
    /// From 1 to 300.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=300), hide_short_help = true)]
    connect_timeout: u16,
    /// Request timeout in seconds
    ///
    /// Includes the complete response. From 1 to 3600.
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u16).range(1..=3600), hide_short_help = true)]
    timeout: u16,
    /// Send indicators again that were already delivered
    #[arg(long)]
    resend: bool,
    #[command(flatten)]
    pub process: ProcessArgs,
}

impl CommonArgs {
    /// Returns the tenant of a run of the source with this name.
    pub(crate) fn tenant(&self, source: &str) -> TenantName {
        self.tenant.clone().unwrap_or_else(|| TenantName::of_source(source))
    }

    /// Returns the exclusion file.
    pub(crate) fn exclusion_file(&self) -> Option<&Path> {
        self.exclusion_file.as_deref()
    }

    /// Returns the settings of a run of the source with this name; `None` if one is missing or not
    /// valid, which `lookup` records.
    pub(crate) fn resolve(&self, source: &str, lookup: &mut Lookup) -> Option<Settings> {
        Some(Settings {
            tenant: self.tenant(source),
            adopt: self.adopt,
            recorded_future: self.recorded_future(lookup)?,
            span: match self.span.since {
                Some(since) => RequestedSpan::Exact { since, until: self.span.until },
                None => RequestedSpan::Hours(self.span.hours),
            },
            accept_gap: self.accept_gap,
            max_catch_up: TimeDelta::days(self.max_catch_up.into()),
            exclusion_file: self.exclusion_file.clone(),
            batch_size: usize::try_from(self.batch_size).unwrap_or(usize::MAX),
            daily_limit: (self.daily_limit > 0).then(|| self.daily_limit.into()),
            deadline: Duration::from_mins(self.process.deadline.into()),
            network: http::NetworkOptions {
                ca_cert: self.ca_cert.clone(),
                connect_timeout: Duration::from_secs(self.connect_timeout.into()),
                timeout: Duration::from_secs(self.timeout.into()),
            },
            skip_dismissed: self.skip_dismissed,
            resend: self.resend,
            mode: self.process.mode(),
            ledger: lookup.accept(self.process.ledger())?,
            wait: self.process.wait(),
        })
    }

    fn recorded_future(&self, lookup: &mut Lookup) -> Option<recorded_future::Config> {
        let token = lookup.secret(&RF_API_KEY, self.rf_api_key.as_ref());
        let url = lookup.defaulted(&RF_API_URL, self.rf_api_url.as_deref(), RF_API_URL_DEFAULT);
        let token = token?;
        warn_if_unusual(&token);
        let mut organization_ids: Vec<String> = self
            .organization_id
            .iter()
            .filter_map(|id| non_blank(Some(id)))
            .map(with_prefix)
            .collect();
        organization_ids.sort();
        organization_ids.dedup();
        let base = lookup.validate(&RF_API_URL, base_url(&url, &RF_API_URL, RF_API_URL_DEFAULT))?;
        Some(recorded_future::Config { base, token, organization_ids })
    }
}

/// Returns an organization id as Recorded Future expects it: with the prefix, which people leave
/// out or write in capitals.
fn with_prefix(id: &str) -> String {
    const PREFIX: &str = "uhash:";
    let bare = match id.split_at_checked(PREFIX.len()) {
        Some((prefix, bare)) if prefix.eq_ignore_ascii_case(PREFIX) => bare,
        _ => id,
    };
    format!("{PREFIX}{bare}")
}

fn warn_if_unusual(token: &SecretString) {
    let plain = token.expose_secret();
    let is_usual = plain.len() == 32
        && plain.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    if !is_usual {
        tracing::warn!(
            "the Recorded Future API key does not have the usual form of 32 lower-case letters and digits; if it is rejected, check --rf-api-key (RF_API_KEY)"
        );
    }
}

// The files that most commands use: the ledger and the settings file.
#[derive(Debug, Args)]
pub(crate) struct LedgerArgs {
    /// Ledger file
    ///
    /// Records what was sent and what is still queued. Created by the first run; locked by one run
    /// at a time. The state folder is $STATE_DIRECTORY, $XDG_STATE_HOME/collective-insights,
    /// /var/lib/collective-insights for root, or ~/.local/state/collective-insights; on Windows
    /// %LOCALAPPDATA%\collective-insights.
    /// [default: collective-insights.db in the state folder]
    #[arg(long, value_name = "FILE")]
    pub ledger: Option<PathBuf>,
    /// Settings file [env: COLLECTIVE_INSIGHTS_CONFIG]
    ///
    /// TOML with the long options as keys; see `collective-insights help options`. It is looked for
    /// as collective-insights/config.toml in $XDG_CONFIG_HOME, ~/.config and /etc; on Windows in
    /// %LOCALAPPDATA%.
    /// [default: the first that exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl LedgerArgs {
    /// Returns the path of the ledger.
    ///
    /// # Errors
    /// As [`default_ledger`].
    pub(crate) fn path(&self) -> Result<PathBuf, Failure> {
        self.ledger.clone().map_or_else(default_ledger, Ok)
    }
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Log and output")]
pub(crate) struct LogArgs {
    /// Log level
    ///
    /// DEBUG, INFO, WARNING, ERROR or CRITICAL.
    #[arg(
        short = 'l',
        long = "log-level",
        value_name = "LEVEL",
        default_value = "INFO",
        value_enum,
        ignore_case = true,
        hide_possible_values = true
    )]
    level: LogLevel,
    /// Log file
    ///
    /// With - the log goes to stderr, with none there is no log. If it cannot be written, the run
    /// warns and continues without it.
    #[arg(long = "log-file", value_name = "FILE", default_value = "collective-insights.log")]
    file: PathBuf,
    /// Size at which the log is rotated
    ///
    /// In bytes, KiB, MiB or GiB; at least 1KiB.
    #[arg(
        long = "log-max-size",
        value_name = "SIZE",
        default_value = "10MiB",
        value_parser = value_parsers::size,
        hide_short_help = true
    )]
    max_size: u64,
    /// Number of rotated logs to keep
    ///
    /// From 1 to 99. The newest has the suffix .1.
    #[arg(
        long = "log-keep",
        value_name = "N",
        default_value_t = 5,
        value_parser = clap::value_parser!(u8).range(1..=99),
        hide_short_help = true
    )]
    keep: u8,
    /// Format of log lines: text or json
    #[arg(
        long = "log-format",
        value_name = "FORMAT",
        value_enum,
        default_value = "text",
        ignore_case = true,
        hide_possible_values = true
    )]
    format: Format,
}

impl LogArgs {
    /// Returns the path of the log; `None` if it goes to stderr, or if there is none.
    pub(crate) fn path(&self) -> Option<&Path> {
        let has_file = !self.is_stderr() && self.file.as_os_str() != "none";
        has_file.then_some(&*self.file)
    }

    /// Returns whether the log goes only to stderr.
    fn is_stderr(&self) -> bool {
        self.file.as_os_str() == "-"
    }

    /// Returns the settings of the log. With `debug`, its level is DEBUG and it also goes to
    /// stderr.
    pub(crate) fn settings(&self, debug: bool) -> LogSettings<'_> {
        LogSettings {
            file: self.path(),
            max_size: self.max_size,
            keep: self.keep,
            format: self.format,
            level: if debug { tracing::Level::DEBUG } else { self.level.level() },
            to_stderr: debug || self.is_stderr(),
        }
    }
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Log and output")]
pub(crate) struct OutputArgs {
    /// Print one JSON document instead of text
    #[arg(long)]
    pub json: bool,
    /// Print errors and warnings only
    ///
    /// With --json, the document is printed all the same.
    #[arg(short, long)]
    quiet: bool,
}

impl OutputArgs {
    /// Returns how the report is printed.
    pub(crate) const fn settings(&self) -> Output {
        Output { json: self.json, quiet: self.quiet }
    }
}
