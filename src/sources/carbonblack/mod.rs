//! Carbon Black Cloud: the Alerts API v7.

mod args;
mod errors;
mod mapping;
mod page;
mod reader;
mod rows;
mod wire;

use reqwest::Url;
use secrecy::SecretString;

pub(crate) use self::args::{Args, EXAMPLES};
pub use self::page::read_page;
use self::reader::Reader;
use super::{AlertReader, BoxFuture, Page, Source};
use crate::detection::SourceInfo;
use crate::failure::Failure;
use crate::http::Http;
use crate::window::Window;

/// The names of Carbon Black Cloud.
const INFO: SourceInfo = SourceInfo {
    name: "carbonblack",
    title: "Carbon Black Cloud",
    source_type: "carbonblack:cloud",
    incident_type: "carbonblack-cloud-alert",
};

/// Which hashes of an alert are indicators.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum HashChoice {
    /// The acting process, as in the Python script. On a watchlist hit it is often a clean system
    /// program.
    #[default]
    Process,
    /// The blocked file, usually the malware itself: its SHA-256, or its MD5 if there is no
    /// SHA-256.
    Blocked,
    /// Both hashes.
    Both,
}

/// The validated settings of Carbon Black Cloud.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// The address of the console, without a path.
    pub base: Url,
    pub org_key: String,
    pub secret: SecretString,
    pub api_id: SecretString,
    pub indicator: HashChoice,
    /// The number of parallel requests, 1 to 32.
    pub concurrency: usize,
}

impl Source for Config {
    fn info(&self) -> SourceInfo {
        INFO
    }

    fn account(&self) -> String {
        self.org_key.clone()
    }

    fn base_url(&self) -> &Url {
        &self.base
    }

    fn probe<'a>(
        &'a self,
        http: &'a Http,
        window: Window,
    ) -> BoxFuture<'a, Result<Option<u64>, Failure>> {
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
}
