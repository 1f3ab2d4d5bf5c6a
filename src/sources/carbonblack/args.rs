//! The command line arguments and environment variables of `carbonblack`.

#![allow(
    clippy::doc_markdown,
    rustdoc::bare_urls,
    reason = "the doc comments of the arguments are help texts, read in a terminal"
)]

use secrecy::SecretString;

use super::{Config, INFO, IndicatorChoice};
use crate::detection::SourceInfo;
use crate::failure::Failure;
use crate::http::MAX_CONCURRENCY;
use crate::settings::lookup::{Lookup, Names, Part};
use crate::settings::{base_url, invalid_setting};
use crate::sources::{Source, SourceArgs};

const ORG_ID: Names =
    Names { flag: "--org-id", variable: "CB_ORG_ID", fallbacks: &["CBC_ORG_KEY"], combined: None };
const HOSTNAME: Names =
    Names { flag: "--hostname", variable: "CB_HOSTNAME", fallbacks: &["CBC_URL"], combined: None };
const SECRET: Names = Names {
    flag: "--secret",
    variable: "CB_SECRET",
    fallbacks: &[],
    combined: Some(token_part(|token| Some(token.rsplit_once('/')?.0))),
};
const API_ID: Names = Names {
    flag: "--api-id",
    variable: "CB_API_ID",
    fallbacks: &[],
    combined: Some(token_part(|token| Some(token.rsplit_once('/')?.1))),
};

/// Returns a part of the token that Carbon Black's own tools use.
const fn token_part(take: fn(&str) -> Option<&str>) -> Part {
    Part { variable: "CBC_TOKEN", form: "<secret>/<id>", take }
}

/// The examples in the help.
pub(crate) const EXAMPLES: &str = "\
Examples:
  Show what would be sent for the last 24 hours, without sending it:
    collective-insights carbonblack --dry-run
  Exclude indicators that are known to be good:
    collective-insights carbonblack --exclusion-file known-good.txt
  Send what Carbon Black judges to be malicious:
    collective-insights carbonblack --indicator malicious
  Read all alerts since a point in time:
    collective-insights carbonblack --since 2026-11-01
  Let Recorded Future validate everything without storing it:
    collective-insights carbonblack --debug";

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Source")]
pub(crate) struct Args {
    /// Organization key [env: CB_ORG_ID]
    #[arg(long, value_name = "KEY")]
    org_id: Option<String>,
    /// Host or URL of the console [env: CB_HOSTNAME]
    ///
    /// As shown in the browser's address bar, for example defense-prod05.conferdeploy.net.
    #[arg(long, value_name = "HOST")]
    hostname: Option<String>,
    /// API secret key [env: CB_SECRET]
    #[arg(long, value_name = "SECRET")]
    secret: Option<SecretString>,
    /// API ID [env: CB_API_ID]
    #[arg(long, value_name = "ID")]
    api_id: Option<SecretString>,
    /// Parallel requests
    ///
    /// From 1 to 32. Reduced while the service limits the request rate.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=i64::from(MAX_CONCURRENCY)))]
    concurrency: u8,
    /// Minimum severity: 1-10
    ///
    /// Alerts below it are counted and not sent; so are those without a severity.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=10), help_heading = "Selection")]
    min_severity: Option<u8>,
    /// Which indicators to send
    ///
    /// process, blocked, both or malicious. malicious (recommended): of every alert, the hashes of
    /// the process and of the blocked file that Carbon Black judges to be bad, and the IOC that was
    /// hit. The others send hashes of alerts that blocked a file or hit an IOC, whatever Carbon
    /// Black thinks of them. process, as the Python script: of the acting process, often a clean
    /// system program. blocked: of the blocked file, often clean too. both: of both files.
    #[arg(
        long,
        value_name = "WHICH",
        value_enum,
        hide_possible_values = true,
        default_value = "process",
        ignore_case = true,
        help_heading = "Selection"
    )]
    indicator: IndicatorChoice,
    /// Leave out files that Carbon Black trusts
    ///
    /// By their effective reputation; they are counted. With --indicator malicious they are always
    /// left out.
    #[arg(long, help_heading = "Selection")]
    skip_trusted: bool,
}

impl SourceArgs for Args {
    fn info(&self) -> SourceInfo {
        INFO
    }

    fn legacy_flags(&self) -> &'static [(&'static str, &'static str)] {
        &[
            ("-co", ORG_ID.flag),
            ("-ch", HOSTNAME.flag),
            ("-cs", SECRET.flag),
            ("-cid", API_ID.flag),
            ("-ef", "--exclusion-file"),
        ]
    }

    fn recommended_options(&self) -> &'static str {
        "--indicator malicious --skip-dismissed"
    }

    fn resolve(&self, lookup: &mut Lookup) -> Option<Box<dyn Source>> {
        let org_key = lookup.required(&ORG_ID, self.org_id.as_deref());
        let hostname = lookup.required(&HOSTNAME, self.hostname.as_deref());
        let secret = lookup.secret(&SECRET, self.secret.as_ref());
        let api_id = lookup.secret(&API_ID, self.api_id.as_ref());
        Some(Box::new(Config {
            org_key: lookup.validate(&ORG_ID, valid_org_key(org_key?))?,
            base: lookup.validate(
                &HOSTNAME,
                base_url(&with_scheme(hostname?), &HOSTNAME, "defense-prod05.conferdeploy.net"),
            )?,
            secret: secret?,
            api_id: api_id?,
            min_severity: self.min_severity.unwrap_or(0),
            indicator: self.indicator,
            skip_trusted: self.skip_trusted,
            concurrency: self.concurrency.into(),
        }))
    }
}

/// Rejects a key that would change the path of the URL it is put into.
fn valid_org_key(key: String) -> Result<String, Failure> {
    if key.chars().all(|char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_')) {
        Ok(key)
    } else {
        Err(invalid_setting(
            &ORG_ID,
            "an organization key consists of letters and digits, for example ABCD1234",
        ))
    }
}

fn with_scheme(hostname: String) -> String {
    if hostname.contains("://") { hostname } else { format!("https://{hostname}") }
}
