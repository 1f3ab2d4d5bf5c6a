//! Carbon Black Cloud: the Alerts API v7.

mod errors;
mod mapping;
mod page;
mod reader;
mod rows;
mod wire;

use reqwest::Url;
use secrecy::SecretString;

pub use self::page::read_page;
pub use self::reader::Reader;
pub(super) use self::reader::probe;
use crate::detection::SourceInfo;

/// How Carbon Black Cloud is named.
pub const INFO: SourceInfo = SourceInfo {
    name: "carbonblack",
    title: "Carbon Black Cloud",
    source_type: "carbonblack:cloud",
    incident_type: "carbonblack-cloud-alert",
};

/// Which hash of an alert is its indicator.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum HashChoice {
    /// The acting process: what the older script sends. For a watchlist hit it is often a clean
    /// system program.
    #[default]
    Process,
    /// The blocked file: usually the malware itself. Its SHA-256, or its MD5 where there is no other.
    Blocked,
    /// Both of them.
    Both,
}

/// What is needed to read Carbon Black Cloud.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The console's address, without a path.
    pub base: Url,
    /// The organization key.
    pub org_key: String,
    /// The API secret key.
    pub secret: SecretString,
    /// The API id.
    pub api_id: SecretString,
    /// Which hashes are indicators.
    pub indicator: HashChoice,
}

impl Settings {
    /// Whose alerts these are.
    pub(super) fn account(&self) -> String {
        self.org_key.clone()
    }
}
