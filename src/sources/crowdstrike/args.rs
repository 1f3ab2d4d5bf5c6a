//! The command line arguments and environment variables of `crowdstrike`.

#![allow(
    clippy::doc_markdown,
    rustdoc::bare_urls,
    reason = "the doc comments of the arguments are help texts, read in a terminal"
)]

use secrecy::SecretString;

use super::{Address, Cloud, Config, INFO, IndicatorChoice, cloud_base};
use crate::detection::SourceInfo;
use crate::http::MAX_CONCURRENCY;
use crate::selection::Thresholds;
use crate::settings::lookup::{Lookup, Names, non_blank};
use crate::settings::{base_url, invalid_setting};
use crate::sources::{Source, SourceArgs};

const CLIENT_ID: Names = Names {
    flag: "--client-id",
    variable: "CS_CLIENT_ID",
    fallbacks: &["FALCON_CLIENT_ID"],
    combined: None,
};
const CLIENT_SECRET: Names = Names {
    flag: "--client-secret",
    variable: "CS_CLIENT_SECRET",
    fallbacks: &["FALCON_CLIENT_SECRET"],
    combined: None,
};
const BASE_URL: Names =
    Names { flag: "--base-url", variable: "CS_BASE_URL", fallbacks: &[], combined: None };
/// This variable is that of the vendor's own tools: the Python script had none for the cloud.
const CLOUD: Names =
    Names { flag: "--cloud", variable: "FALCON_CLOUD", fallbacks: &[], combined: None };

/// The examples in the help.
pub(crate) const EXAMPLES: &str = "\
Examples:
  Show what would be sent for the last 24 hours, without sending it:
    collective-insights crowdstrike --dry-run
  Exclude indicators that are known to be good:
    collective-insights crowdstrike --exclusion-file known-good.txt
  Send detections of medium severity or higher:
    collective-insights crowdstrike --min-severity medium
  Read all alerts since a point in time:
    collective-insights crowdstrike --since 2026-11-01
  Let Recorded Future validate everything without storing it:
    collective-insights crowdstrike --debug";

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Source")]
pub(crate) struct Args {
    /// API client ID [env: CS_CLIENT_ID]
    #[arg(long, value_name = "ID")]
    client_id: Option<SecretString>,
    /// API client secret [env: CS_CLIENT_SECRET]
    #[arg(long, value_name = "SECRET")]
    client_secret: Option<SecretString>,
    /// Falcon cloud [env: FALCON_CLOUD]
    ///
    /// One of us-1, us-2, us-3, eu-1, us-gov-1 and us-gov-2. Government accounts must name theirs.
    /// [default: detected automatically, starting at us-1]
    #[arg(
        long,
        value_name = "CLOUD",
        value_enum,
        ignore_case = true,
        hide_possible_values = true,
        conflicts_with = "base_url"
    )]
    cloud: Option<Cloud>,
    /// API base URL [env: CS_BASE_URL]
    ///
    /// Disables automatic cloud detection. Cannot be used with --cloud.
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// CID of a child account (Flight Control)
    ///
    /// The API client belongs to the parent account; only the detections of this child are read.
    #[arg(long, value_name = "CID")]
    member_cid: Option<String>,
    /// Share all child accounts together
    ///
    /// The API client of a parent account reads the alerts of all its children. Without this option
    /// or --member-cid, a run that finds alerts of more than one customer stops and sends nothing.
    #[arg(long, conflicts_with = "member_cid")]
    all_cids: bool,
    /// Parallel requests
    ///
    /// From 1 to 32. Reduced while the service limits the request rate.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u8).range(1..=i64::from(MAX_CONCURRENCY)))]
    concurrency: u8,
    /// Minimum severity: 0-100 or a name
    ///
    /// A number from 0 to 100, or informational (0), low (20), medium (40), high (60) or critical
    /// (80). Detections below it are counted and not sent; so are those without a severity if it is
    /// more than 0.
    #[arg(long, value_name = "N", default_value = "0", value_parser = severity, help_heading = "Selection")]
    min_severity: u8,
    /// Minimum confidence: 0-100
    ///
    /// Detections below it are counted and not sent; so are those without a confidence, such as all
    /// of on-demand scans, if it is more than 0.
    #[arg(long, value_name = "N", default_value = "0", value_parser = clap::value_parser!(u8).range(0..=100), help_heading = "Selection")]
    min_confidence: u8,
    /// What to send: ioc, files or both
    ///
    /// ioc: the indicators of compromise that an alert names. files: the hashes of the files that
    /// Falcon stopped or quarantined, and of files found by an on-demand scan.
    #[arg(
        long,
        value_name = "WHICH",
        value_enum,
        hide_possible_values = true,
        default_value = "ioc",
        ignore_case = true,
        help_heading = "Selection"
    )]
    indicator: IndicatorChoice,
}

impl SourceArgs for Args {
    fn info(&self) -> SourceInfo {
        INFO
    }

    fn legacy_flags(&self) -> &'static [(&'static str, &'static str)] {
        &[("-ccid", CLIENT_ID.flag), ("-ccs", CLIENT_SECRET.flag), ("-ef", "--exclusion-file")]
    }

    fn recommended_options(&self) -> &'static str {
        "--indicator both --skip-dismissed"
    }

    fn resolve(&self, lookup: &mut Lookup) -> Option<Box<dyn Source>> {
        let client_id = lookup.secret(&CLIENT_ID, self.client_id.as_ref());
        let client_secret = lookup.secret(&CLIENT_SECRET, self.client_secret.as_ref());
        let address = self.address(lookup);
        Some(Box::new(Config {
            client_id: client_id?,
            client_secret: client_secret?,
            member_cid: non_blank(self.member_cid.as_deref()).map(str::to_owned),
            all_cids: self.all_cids,
            address: address?,
            thresholds: Thresholds { severity: self.min_severity, confidence: self.min_confidence },
            indicator: self.indicator,
            concurrency: self.concurrency.into(),
        }))
    }
}

impl Args {
    fn address(&self, lookup: &mut Lookup) -> Option<Address> {
        let cloud = self.cloud.map(Cloud::name);
        let base = self.base_url.as_deref();
        // Of the two, the one that takes precedence applies, such as an argument over a variable.
        let base = if lookup.precedes((&CLOUD, cloud), (&BASE_URL, base)) {
            None
        } else {
            lookup.optional(&BASE_URL, base)
        };
        if let Some(base) = base {
            let base = base_url(&base, &BASE_URL, "https://api.us-2.crowdstrike.com");
            return lookup.validate(&BASE_URL, base).map(Address::Fixed);
        }
        match lookup.optional(&CLOUD, cloud) {
            // CrowdStrike's own tools use this name for automatic detection.
            Some(name) if !name.eq_ignore_ascii_case("autodiscover") => {
                let cloud = Cloud::from_any_spelling(&name).ok_or_else(|| {
                    let clouds = "us-1, us-2, us-3, eu-1, us-gov-1 and us-gov-2";
                    invalid_setting(&CLOUD, &format!("it is not one of {clouds}"))
                });
                let cloud = lookup.validate(&CLOUD, cloud)?;
                lookup.accept(cloud_base(cloud)).map(Address::Fixed)
            }
            _ => lookup.accept(cloud_base(Cloud::Us1)).map(Address::Discover),
        }
    }
}

/// Parses a minimum severity: a number, or the name of a band for its lower end.
fn severity(text: &str) -> Result<u8, String> {
    match text.to_ascii_lowercase().as_str() {
        "informational" => Ok(0),
        "low" => Ok(20),
        "medium" => Ok(40),
        "high" => Ok(60),
        "critical" => Ok(80),
        other => other.parse().ok().filter(|number| *number <= 100).ok_or_else(|| {
            "a severity is a number from 0 to 100 or one of informational, low, medium, high, critical; for example 60 or high".into()
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_severity_is_a_number_or_the_name_of_a_band() {
        for (text, minimum) in [
            ("0", 0),
            ("100", 100),
            ("informational", 0),
            ("Low", 20),
            ("MEDIUM", 40),
            ("high", 60),
            ("critical", 80),
        ] {
            assert_eq!(severity(text), Ok(minimum), "{text}");
        }
        for text in ["101", "-1", "", "severe", "6.5"] {
            assert!(severity(text).is_err(), "{text}");
        }
    }
}
