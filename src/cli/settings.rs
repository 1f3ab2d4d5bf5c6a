//! From arguments and variables to one validated [`Settings`]. Everything that can be wrong with them
//! is found here, before any request.

use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};

use super::commands::{CarbonblackArgs, CrowdstrikeArgs, SourceArgs};
use crate::failure::{Failure, Kind};
use crate::logging::redaction;
use crate::recorded_future;
use crate::selection::Thresholds;
use crate::sources::{SourceSettings, carbonblack, crowdstrike};

/// What a run does with what it selected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It is sent and saved.
    Live,
    /// It is sent with `options.debug`: Recorded Future checks it and saves nothing.
    Debug,
    /// It is shown.
    DryRun,
}

impl Mode {
    /// The mode's name in the JSON document and the ledger.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Debug => "debug",
            Self::DryRun => "dry-run",
        }
    }
}

/// Which span of time was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// The last N hours (1 to 8760), and what earlier runs missed.
    Hours(u32),
    /// Exactly this; up to now where no end is given.
    Exact {
        /// The first instant.
        since: DateTime<Utc>,
        /// The first instant that is no longer in it.
        until: Option<DateTime<Utc>>,
    },
}

/// Where the memory between runs is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LedgerChoice {
    /// In this file.
    File(PathBuf),
    /// Nowhere.
    None,
}

/// Everything a run needs to know.
#[derive(Debug)]
pub struct Settings {
    /// The vendor.
    pub source: SourceSettings,
    /// The receiver.
    pub recorded_future: recorded_future::Settings,
    /// The least scores.
    pub thresholds: Thresholds,
    /// The span of time.
    pub span: Span,
    /// How far a late run may look back.
    pub max_catch_up: chrono::TimeDelta,
    /// The file of known-good indicators.
    pub exclusion_file: Option<PathBuf>,
    /// Submissions a request, at least 1.
    pub batch_size: usize,
    /// Submissions a UTC day; `None` for no limit.
    pub daily_limit: Option<u64>,
    /// How long the run may take.
    pub deadline: Duration,
    /// Pages asked for side by side: 1 to 32.
    pub concurrency: usize,
    /// Send again what was delivered.
    pub resend: bool,
    /// What is done with what was selected.
    pub mode: Mode,
    /// The memory between runs.
    pub ledger: LedgerChoice,
}

impl Settings {
    /// Reads CrowdStrike's settings.
    ///
    /// # Errors
    /// A failure that names every missing setting, or the first that is wrong.
    pub fn crowdstrike(args: &CrowdstrikeArgs) -> Result<Self, Failure> {
        let mut wanted = Wanted::default();
        let client_id = wanted.secret(args.client_id.as_ref(), "--client-id", "CS_CLIENT_ID");
        let client_secret = wanted.secret(
            args.client_secret.as_ref(),
            "--client-secret",
            "CS_CLIENT_SECRET",
        );
        let token = wanted.secret(
            args.common.rf_api_key.as_ref(),
            "--rf-api-key",
            "RF_API_KEY",
        );
        wanted.check()?;
        let thresholds = Thresholds {
            severity: args.min_severity,
            confidence: args.min_confidence,
        };
        let source = SourceSettings::CrowdStrike(crowdstrike::Settings {
            client_id,
            client_secret,
            member_cid: given(args.member_cid.as_deref()).map(str::to_owned),
            address: falcon_address(args)?,
            thresholds,
        });
        Self::with(source, thresholds, token, &args.common)
    }

    /// Reads Carbon Black's settings.
    ///
    /// # Errors
    /// A failure that names every missing setting, or the first that is wrong.
    pub fn carbonblack(args: &CarbonblackArgs) -> Result<Self, Failure> {
        let mut wanted = Wanted::default();
        let org_key = wanted.text(args.org_id.as_deref(), "--org-id", "CB_ORG_ID");
        let hostname = wanted.text(args.hostname.as_deref(), "--hostname", "CB_HOSTNAME");
        let secret = wanted.secret(args.secret.as_ref(), "--secret", "CB_SECRET");
        let api_id = wanted.secret(args.api_id.as_ref(), "--api-id", "CB_API_ID");
        let token = wanted.secret(
            args.common.rf_api_key.as_ref(),
            "--rf-api-key",
            "RF_API_KEY",
        );
        wanted.check()?;
        if !org_key
            .chars()
            .all(|char| char.is_ascii_alphanumeric() || char == '-' || char == '_')
        {
            return Err(wrong(
                "--org-id (CB_ORG_ID)",
                "an organization key is letters and digits, for example ABCD1234",
            ));
        }
        let with_scheme = if hostname.contains("://") {
            hostname
        } else {
            format!("https://{hostname}")
        };
        let base = base_url(
            &with_scheme,
            "--hostname (CB_HOSTNAME)",
            "defense-prod05.conferdeploy.net",
        )?;
        let source = SourceSettings::CarbonBlack(carbonblack::Settings {
            base,
            org_key,
            secret,
            api_id,
            indicator: args.indicator,
        });
        Self::with(source, Thresholds::default(), token, &args.common)
    }

    fn with(
        source: SourceSettings,
        thresholds: Thresholds,
        token: SecretString,
        args: &SourceArgs,
    ) -> Result<Self, Failure> {
        let usual_concurrency = source.usual_concurrency();
        let plain = token.expose_secret();
        if plain.len() != 32
            || !plain
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        {
            tracing::warn!(
                "the Recorded Future API key does not have the usual form of 32 lower-case letters and digits; it is tried as it is"
            );
        }
        let url = text(args.rf_api_url.as_deref(), "RF_API_URL")
            .unwrap_or_else(|| "https://api.recordedfuture.com".into());
        let mut organization_ids: Vec<String> = args
            .organization_id
            .iter()
            .filter_map(|id| given(Some(id)))
            .map(str::to_owned)
            .collect();
        organization_ids.sort();
        organization_ids.dedup();
        Ok(Self {
            source,
            recorded_future: recorded_future::Settings {
                base: base_url(
                    &url,
                    "--rf-api-url (RF_API_URL)",
                    "https://api.recordedfuture.com",
                )?,
                token,
                organization_ids,
            },
            thresholds,
            span: args
                .since
                .map_or(Span::Hours(args.hours), |since| Span::Exact {
                    since,
                    until: args.until,
                }),
            max_catch_up: chrono::TimeDelta::days(args.max_catch_up.into()),
            exclusion_file: args.exclusion_file.clone(),
            batch_size: usize::try_from(args.batch_size).unwrap_or(usize::MAX),
            daily_limit: (args.daily_limit > 0).then(|| args.daily_limit.into()),
            deadline: Duration::from_secs(u64::from(args.deadline) * 60),
            concurrency: args.concurrency.map_or(usual_concurrency, usize::from),
            resend: args.resend,
            mode: args.mode(),
            ledger: if args.no_ledger {
                LedgerChoice::None
            } else {
                LedgerChoice::File(args.ledger.ledger.clone())
            },
        })
    }
}

fn falcon_address(args: &CrowdstrikeArgs) -> Result<crowdstrike::Address, Failure> {
    let by_hand = given(args.base_url.as_deref()).map(str::to_owned);
    let by_variable = || text(None, "CS_BASE_URL").filter(|_| args.cloud.is_none());
    if let Some(url) = by_hand.or_else(by_variable) {
        return base_url(
            &url,
            "--base-url (CS_BASE_URL)",
            "https://api.us-2.crowdstrike.com",
        )
        .map(crowdstrike::Address::Fixed);
    }
    match args.cloud {
        Some(cloud) => crowdstrike::cloud_base(cloud).map(crowdstrike::Address::Fixed),
        None => {
            crowdstrike::cloud_base(crowdstrike::Cloud::Us1).map(crowdstrike::Address::Discover)
        }
    }
}

/// Collects required settings, so that all missing ones are named at once.
#[derive(Default)]
struct Wanted {
    missing: Vec<String>,
    secrets_as_arguments: Vec<&'static str>,
}

impl Wanted {
    fn text(
        &mut self,
        argument: Option<&str>,
        flag: &'static str,
        variable: &'static str,
    ) -> String {
        text(argument, variable).unwrap_or_else(|| {
            self.missing.push(format!("{flag} ({variable})"));
            String::new()
        })
    }

    fn secret(
        &mut self,
        argument: Option<&SecretString>,
        flag: &'static str,
        variable: &'static str,
    ) -> SecretString {
        let argument = argument.map(ExposeSecret::expose_secret);
        if given(argument).is_some() {
            self.secrets_as_arguments.push(flag);
        }
        let secret = SecretString::from(self.text(argument, flag, variable));
        redaction::remember(&secret);
        secret
    }

    fn check(self) -> Result<(), Failure> {
        if !self.secrets_as_arguments.is_empty() {
            tracing::warn!(
                "given on the command line, where other users of this machine can see it: {}; the environment variables are safer",
                self.secrets_as_arguments.join(", ")
            );
        }
        if self.missing.is_empty() {
            return Ok(());
        }
        Err(Failure::new(
            Kind::Configuration,
            format!("missing: {}", self.missing.join(", ")),
            "Set each as its flag or as the environment variable in brackets; an empty value counts as missing.",
        ))
    }
}

/// An argument, else the variable; what is empty or white space counts as missing.
fn text(argument: Option<&str>, variable: &str) -> Option<String> {
    let from_variable = || {
        std::env::var(variable)
            .ok()
            .and_then(|value| given(Some(&value)).map(str::to_owned))
    };
    given(argument).map(str::to_owned).or_else(from_variable)
}

fn given(text: Option<&str>) -> Option<&str> {
    text.map(str::trim).filter(|text| !text.is_empty())
}

/// A service's address: https (http for loopback only), a host, no path, no user name or password.
fn base_url(text: &str, setting: &str, example: &str) -> Result<Url, Failure> {
    let refuse = |why: &str| Err(wrong(setting, &format!("{why}; for example {example}")));
    let Ok(url) = Url::parse(text.trim()) else {
        return refuse("it is no URL with https:// and a host");
    };
    if !url.username().is_empty() || url.password().is_some() {
        return refuse("it must not hold a user name or password");
    }
    let loopback = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => return refuse("it names no host"),
    };
    match url.scheme() {
        "https" => {}
        "http" if loopback => {}
        "http" => {
            return refuse(
                "http:// would send secrets in the clear and is accepted for loopback hosts only: use https://",
            );
        }
        _ => return refuse("it must begin with https://"),
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return refuse("it must be the address alone, without a path");
    }
    Ok(url)
}

fn wrong(setting: &str, why: &str) -> Failure {
    Failure::new(
        Kind::Configuration,
        format!("{setting} is wrong: {why}"),
        "Correct it and run again; nothing was sent.",
    )
}
