//! Carbon Black Cloud: the Alerts API v7.

mod errors;
mod mapping;
mod reader;
mod rows;
#[cfg(test)]
mod tests;
mod wire;

use reqwest::Url;
use secrecy::SecretString;

pub use self::reader::Reader;
pub(super) use self::reader::probe;
use crate::detection::{AlertOutcome, SourceInfo};
use crate::http::MalformedBody;

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

/// Reads the alerts of a page by itself, as a run does but for telling repeats.
///
/// # Errors
/// When the bytes are no page.
pub fn read_page(bytes: &[u8], choice: HashChoice) -> Result<Vec<AlertOutcome>, MalformedBody> {
    let page = wire::decode(bytes)?;
    let slots = page.results.into_iter();
    Ok(slots.map(|slot| mapping::of_slot(slot, choice)).collect())
}
