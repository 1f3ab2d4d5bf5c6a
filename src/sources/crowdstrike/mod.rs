//! CrowdStrike Falcon: the Alerts API, product `epp`.
//!
//! One alert of this product is one behaviour of the Detects API that the older scripts read and that
//! was switched off on 2025-09-30.

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

pub use self::cloud::Cloud;
pub use self::page::read_page;
pub use self::reader::Reader;
pub(super) use self::reader::probe;
use crate::detection::SourceInfo;
use crate::failure::{Failure, FailureKind};
use crate::selection::Thresholds;

/// How CrowdStrike is named.
pub const INFO: SourceInfo = SourceInfo {
    name: "crowdstrike",
    title: "CrowdStrike Falcon",
    source_type: "crowdstrike:falcon",
    incident_type: "crowdstrike-falcon-alert",
};

/// Where Falcon's API is.
#[derive(Debug, Clone)]
pub enum Address {
    /// Start here, and go where the account lives.
    Discover(Url),
    /// Here, and never elsewhere.
    Fixed(Url),
}

impl Address {
    /// The URL to start with.
    #[must_use]
    pub const fn base(&self) -> &Url {
        match self {
            Self::Discover(url) | Self::Fixed(url) => url,
        }
    }
}

/// What is needed to read Falcon.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The API client's id.
    pub client_id: SecretString,
    /// The API client's secret.
    pub client_secret: SecretString,
    /// A child account of an MSSP, where the client is the parent's.
    pub member_cid: Option<String>,
    /// Where the API is.
    pub address: Address,
    /// What is asked for on the server (and checked again in `selection`).
    pub thresholds: Thresholds,
}

impl Settings {
    /// Whose alerts these are: client id, and the child account where one is named.
    pub(super) fn account(&self) -> String {
        let member = self.member_cid.as_deref().unwrap_or_default();
        format!("{}/{member}", self.client_id.expose_secret())
    }
}

/// The base URL of a cloud.
///
/// # Errors
/// Never with the clouds as they are known; a wrong host in the table would show here.
pub fn cloud_base(cloud: Cloud) -> Result<Url, Failure> {
    Url::parse(&format!("https://{}", cloud.host())).map_err(|error| {
        Failure::new(
            FailureKind::Unexpected,
            format!("the address of {} is wrong: {error}", cloud.name()),
            "Report this; --base-url helps meanwhile.",
        )
    })
}
