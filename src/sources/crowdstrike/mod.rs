//! CrowdStrike Falcon: the Alerts API, product `epp`.
//!
//! One alert of this product is one behavior of the Detects API, which the Python script read and
//! which was switched off on 2025-09-30.

mod args;
mod cloud;
mod errors;
mod mapping;
mod page;
mod reader;
mod session;
mod slice;
mod sliced_window;
mod wire;

use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};

pub(crate) use self::args::{Args, EXAMPLES};
use self::cloud::Cloud;
pub use self::page::read_page;
use self::reader::Reader;
use super::{AlertReader, BoxFuture, CustomerSource, Page, Probe, Source};
use crate::detection::SourceInfo;
use crate::failure::{Failure, FailureKind, REPORT_BUG};
use crate::http::Http;
use crate::selection::Thresholds;
use crate::window::Window;

/// The names of CrowdStrike Falcon.
const INFO: SourceInfo = SourceInfo {
    name: "crowdstrike",
    title: "CrowdStrike Falcon",
    source_type: "crowdstrike:falcon",
    incident_type: "crowdstrike-falcon-alert",
};

/// The address of Falcon's API.
#[derive(Debug, Clone)]
pub(crate) enum Address {
    /// Start here and switch to the cloud of the account.
    Discover(Url),
    /// Never leave this address.
    Fixed(Url),
}

impl Address {
    /// Returns the URL to start with.
    pub(crate) const fn base(&self) -> &Url {
        match self {
            Self::Discover(url) | Self::Fixed(url) => url,
        }
    }
}

/// The fields of an alert that are read as indicators.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum IndicatorChoice {
    /// The IOCs that the alert names, as in the Python script.
    #[default]
    Ioc,
    /// The hashes of the files that Falcon stopped or quarantined, or that a scan found.
    Files,
    /// Both.
    Both,
}

/// The validated settings of CrowdStrike Falcon.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub client_id: SecretString,
    pub client_secret: SecretString,
    /// The child account to read, where the API client belongs to a parent account.
    pub member_cid: Option<String>,
    /// Whether alerts of several customers may be shared together.
    pub all_cids: bool,
    pub address: Address,
    /// The minimum scores, applied by the server and again by `selection`.
    pub thresholds: Thresholds,
    pub indicator: IndicatorChoice,
    /// The number of parallel requests, 1 to 32.
    pub concurrency: usize,
}

impl Source for Config {
    fn info(&self) -> SourceInfo {
        INFO
    }

    fn account(&self) -> String {
        let member = self.member_cid.as_deref().unwrap_or_default();
        format!("{}/{member}", self.client_id.expose_secret())
    }

    fn customer(&self) -> CustomerSource {
        if self.all_cids { CustomerSource::Any } else { CustomerSource::Alerts }
    }

    fn base_url(&self) -> &Url {
        self.address.base()
    }

    fn thresholds(&self) -> Thresholds {
        self.thresholds
    }

    fn other_choice_note(&self, alerts: u64) -> Option<String> {
        let of_them = match self.indicator {
            _ if alerts == 0 => return None,
            IndicatorChoice::Ioc => {
                "files that Falcon stopped or quarantined, or that a scan found"
            }
            IndicatorChoice::Files => "IOCs",
            IndicatorChoice::Both => return None,
        };
        let name = if alerts == 1 { "names" } else { "name" };
        Some(format!("{alerts} of these {name} {of_them}, which --indicator both sends too"))
    }

    fn several_customers(&self, count: usize) -> Failure {
        errors::several_customers(count)
    }

    fn probe<'a>(
        &'a self,
        http: &'a Http,
        window: Window,
    ) -> BoxFuture<'a, Result<Probe, Failure>> {
        Box::pin(reader::probe(self, http, window))
    }

    fn reader(&self, http: &Http, window: Window) -> Box<dyn AlertReader> {
        Box::new(Reader::new(self, http, window))
    }
}

impl AlertReader for Reader {
    fn next_page(&mut self) -> BoxFuture<'_, Result<Option<Page>, Failure>> {
        Box::pin(self.next_page())
    }

    fn total_without_thresholds(&mut self) -> BoxFuture<'_, Result<Option<u64>, Failure>> {
        Box::pin(Self::total_without_thresholds(self))
    }
}

/// Returns the base URL of a cloud.
///
/// # Errors
/// When the table of clouds has an invalid host name.
fn cloud_base(cloud: Cloud) -> Result<Url, Failure> {
    Url::parse(&format!("https://{}", cloud.host())).map_err(|error| {
        Failure::new(
            FailureKind::Unexpected,
            format!("internal error: the address of {} is not valid", cloud.name()),
            format!("{REPORT_BUG} Until it is fixed, set --base-url (CS_BASE_URL)."),
        )
        .with_cause(error)
    })
}
