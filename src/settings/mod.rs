//! From arguments and variables to one validated [`Settings`]. Everything that can be wrong with them
//! is found here, before any request.

pub mod lookup;
mod mode;

use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};

pub use self::lookup::{EffectiveOption, Origin};
use self::lookup::{Lookup, given};
pub use self::mode::Mode;
use crate::cli::SourceArgs;
use crate::cli::{CarbonblackArgs, CrowdstrikeArgs};
use crate::failure::{Failure, FailureKind};
use crate::http;
use crate::recorded_future;
use crate::selection::Thresholds;
use crate::sources::{SourceSettings, carbonblack, crowdstrike};

/// Recorded Future's address where no other is given.
const RF_API: &str = "https://api.recordedfuture.com";

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
    /// How the network is met.
    pub network: http::Options,
    /// Pages asked for side by side: 1 to 32.
    pub concurrency: usize,
    /// Send again what was delivered.
    pub resend: bool,
    /// What is done with what was selected.
    pub mode: Mode,
    /// The memory between runs.
    pub ledger: LedgerChoice,
    /// What was looked up outside the command line too, fit to be shown.
    pub resolved: Vec<EffectiveOption>,
}

impl Settings {
    /// Reads CrowdStrike's settings.
    ///
    /// # Errors
    /// A failure that names every missing setting, or the first that is wrong.
    pub fn crowdstrike(args: &CrowdstrikeArgs) -> Result<Self, Failure> {
        let mut lookup = Lookup::default();
        let (source, receiver) = look_up_crowdstrike(args, &mut lookup)?;
        lookup.check()?;
        let thresholds = source.thresholds;
        let source = SourceSettings::CrowdStrike(source);
        Self::with(source, thresholds, receiver, lookup, &args.common)
    }

    /// Reads Carbon Black's settings.
    ///
    /// # Errors
    /// A failure that names every missing setting, or the first that is wrong.
    pub fn carbonblack(args: &CarbonblackArgs) -> Result<Self, Failure> {
        let mut lookup = Lookup::default();
        let (org_key, hostname, secret, api_id, receiver) = look_up_carbonblack(args, &mut lookup)?;
        lookup.check()?;
        if !org_key.chars().all(|char| char.is_ascii_alphanumeric() || char == '-' || char == '_') {
            return Err(wrong(
                "--org-id (CB_ORG_ID)",
                "an organization key is letters and digits, for example ABCD1234",
            ));
        }
        let with_scheme =
            if hostname.contains("://") { hostname } else { format!("https://{hostname}") };
        let base =
            base_url(&with_scheme, "--hostname (CB_HOSTNAME)", "defense-prod05.conferdeploy.net")?;
        let indicator = args.indicator;
        let source = SourceSettings::CarbonBlack(carbonblack::Settings {
            base,
            org_key,
            secret,
            api_id,
            indicator,
        });
        Self::with(source, Thresholds::default(), receiver, lookup, &args.common)
    }

    /// What CrowdStrike's settings would be and where they come from, also where some are missing.
    ///
    /// # Errors
    /// When a value cannot be read.
    pub fn resolve_crowdstrike(args: &CrowdstrikeArgs) -> Result<Vec<EffectiveOption>, Failure> {
        let mut lookup = Lookup::default();
        look_up_crowdstrike(args, &mut lookup)?;
        Ok(lookup.into_found())
    }

    /// What Carbon Black's settings would be and where they come from, also where some are missing.
    ///
    /// # Errors
    /// When a value cannot be read.
    pub fn resolve_carbonblack(args: &CarbonblackArgs) -> Result<Vec<EffectiveOption>, Failure> {
        let mut lookup = Lookup::default();
        look_up_carbonblack(args, &mut lookup)?;
        Ok(lookup.into_found())
    }

    fn with(
        source: SourceSettings,
        thresholds: Thresholds,
        receiver: Receiver,
        lookup: Lookup,
        args: &SourceArgs,
    ) -> Result<Self, Failure> {
        let default_concurrency = source.default_concurrency();
        Ok(Self {
            source,
            recorded_future: receiver.settings(&args.organization_id)?,
            thresholds,
            span: args
                .since
                .map_or(Span::Hours(args.hours), |since| Span::Exact { since, until: args.until }),
            max_catch_up: chrono::TimeDelta::days(args.max_catch_up.into()),
            exclusion_file: args.exclusion_file.clone(),
            batch_size: usize::try_from(args.batch_size).unwrap_or(usize::MAX),
            daily_limit: (args.daily_limit > 0).then(|| args.daily_limit.into()),
            deadline: Duration::from_secs(u64::from(args.deadline) * 60),
            network: http::Options {
                ca_cert: args.network.ca_cert.clone(),
                connect_timeout: Duration::from_secs(args.network.connect_timeout.into()),
                timeout: Duration::from_secs(args.network.timeout.into()),
            },
            concurrency: args.concurrency.map_or(default_concurrency, usize::from),
            resend: args.resend,
            mode: args.mode(),
            ledger: if args.no_ledger {
                LedgerChoice::None
            } else {
                LedgerChoice::File(args.ledger.ledger.clone())
            },
            resolved: lookup.into_found(),
        })
    }
}

fn look_up_crowdstrike(
    args: &CrowdstrikeArgs,
    lookup: &mut Lookup,
) -> Result<(crowdstrike::Settings, Receiver), Failure> {
    let settings = crowdstrike::Settings {
        client_id: lookup.secret(&lookup::CS_CLIENT_ID, args.client_id.as_ref())?,
        client_secret: lookup.secret(&lookup::CS_CLIENT_SECRET, args.client_secret.as_ref())?,
        member_cid: given(args.member_cid.as_deref()).map(str::to_owned),
        address: falcon_address(args, lookup)?,
        thresholds: Thresholds { severity: args.min_severity, confidence: args.min_confidence },
    };
    Ok((settings, Receiver::look_up(lookup, &args.common)?))
}

type CarbonBlack = (String, String, SecretString, SecretString, Receiver);

fn look_up_carbonblack(
    args: &CarbonblackArgs,
    lookup: &mut Lookup,
) -> Result<CarbonBlack, Failure> {
    let org_key = lookup.required(&lookup::CB_ORG_ID, args.org_id.as_deref())?;
    let hostname = lookup.required(&lookup::CB_HOSTNAME, args.hostname.as_deref())?;
    let secret = lookup.secret(&lookup::CB_SECRET, args.secret.as_ref())?;
    let api_id = lookup.secret(&lookup::CB_API_ID, args.api_id.as_ref())?;
    Ok((org_key, hostname, secret, api_id, Receiver::look_up(lookup, &args.common)?))
}

/// Who receives what is sent, as it was looked up.
struct Receiver {
    token: SecretString,
    url: String,
}

impl Receiver {
    fn look_up(lookup: &mut Lookup, args: &SourceArgs) -> Result<Self, Failure> {
        let token = lookup.secret(&lookup::RF_API_KEY, args.rf_api_key.as_ref())?;
        let url = lookup.defaulted(&lookup::RF_API_URL, args.rf_api_url.as_deref(), RF_API)?;
        Ok(Self { token, url })
    }

    fn settings(self, organizations: &[String]) -> Result<recorded_future::Settings, Failure> {
        let plain = self.token.expose_secret();
        if plain.len() != 32
            || !plain.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        {
            tracing::warn!(
                "the Recorded Future API key does not have the usual form of 32 lower-case letters and digits; it is tried as it is"
            );
        }
        let mut organization_ids: Vec<String> =
            organizations.iter().filter_map(|id| given(Some(id))).map(str::to_owned).collect();
        organization_ids.sort();
        organization_ids.dedup();
        let base = base_url(&self.url, "--rf-api-url (RF_API_URL)", RF_API)?;
        Ok(recorded_future::Settings { base, token: self.token, organization_ids })
    }
}

fn falcon_address(
    args: &CrowdstrikeArgs,
    lookup: &mut Lookup,
) -> Result<crowdstrike::Address, Failure> {
    let cloud = args.cloud.map(crowdstrike::Cloud::name);
    // What is said on the command line counts, whatever the variables say.
    let by_hand = match cloud {
        Some(_) => None,
        None => lookup.optional(&lookup::CS_BASE_URL, args.base_url.as_deref())?,
    };
    if let Some(url) = by_hand {
        let example = "https://api.us-2.crowdstrike.com";
        return base_url(&url, "--base-url (CS_BASE_URL)", example)
            .map(crowdstrike::Address::Fixed);
    }
    match lookup.optional(&lookup::CS_CLOUD, cloud)? {
        // The vendor's own tools take this for discovery.
        Some(name) if !name.eq_ignore_ascii_case("autodiscover") => {
            let cloud = crowdstrike::Cloud::from_any_spelling(&name).ok_or_else(|| {
                wrong("FALCON_CLOUD", "it is none of us-1, us-2, us-3, eu-1, us-gov-1, us-gov-2")
            })?;
            crowdstrike::cloud_base(cloud).map(crowdstrike::Address::Fixed)
        }
        _ => crowdstrike::cloud_base(crowdstrike::Cloud::Us1).map(crowdstrike::Address::Discover),
    }
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
        FailureKind::Configuration,
        format!("{setting} is wrong: {why}"),
        "Correct it and run again; nothing was sent.",
    )
}
