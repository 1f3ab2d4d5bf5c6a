//! Carbon Black Cloud: the Alerts API v7.

mod args;
mod errors;
mod mapping;
mod page;
mod reader;
mod reputation;
mod rows;
mod wire;

use reqwest::Url;
use secrecy::SecretString;

pub(crate) use self::args::{Args, EXAMPLES};
pub use self::page::read_page;
use self::reader::Reader;
use super::{AlertReader, BoxFuture, CustomerSource, Page, Probe, Source};
use crate::detection::SourceInfo;
use crate::failure::Failure;
use crate::http::Http;
use crate::selection::Thresholds;
use crate::window::Window;

/// The names of Carbon Black Cloud.
const INFO: SourceInfo = SourceInfo {
    name: "carbonblack",
    title: "Carbon Black Cloud",
    source_type: "carbonblack:cloud",
    incident_type: "carbonblack-cloud-alert",
};

/// The fields of an alert that are read as indicators.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum IndicatorChoice {
    /// The SHA-256 of the acting process of an alert that blocked a file or hit an IOC, as in the
    /// Python script. It is often that of a program that Carbon Black trusts.
    #[default]
    Process,
    /// The hash of the blocked file of such an alert: its SHA-256, or its MD5 if there is no
    /// SHA-256. It is often that of a program that Carbon Black trusts.
    Blocked,
    /// Both hashes.
    Both,
    /// Of every alert, the hashes of the process and of the blocked file that Carbon Black judges
    /// to be bad, and the IOC that was hit.
    Malicious,
}

/// The validated settings of Carbon Black Cloud.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// The address of the console, without a path.
    pub base: Url,
    pub org_key: String,
    pub secret: SecretString,
    pub api_id: SecretString,
    /// The minimum severity, 1 to 10, applied by the server and again by `selection`; 0 for all.
    pub min_severity: u8,
    pub indicator: IndicatorChoice,
    /// Whether files that Carbon Black trusts are left out. With `malicious` they always are.
    pub skip_trusted: bool,
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

    fn customer(&self) -> CustomerSource {
        CustomerSource::Settings(self.org_key.clone())
    }

    fn base_url(&self) -> &Url {
        &self.base
    }

    fn thresholds(&self) -> Thresholds {
        Thresholds { severity: self.min_severity, confidence: 0 }
    }

    fn skip_trusted(&self) -> bool {
        self.skip_trusted || self.indicator == IndicatorChoice::Malicious
    }

    fn trusted_note(&self, trusted: u64, hashes: u64) -> String {
        format!(
            "{trusted} of {hashes} hashes belong to programs that Carbon Black trusts; --skip-trusted leaves them out, --indicator malicious shares what it judges malicious"
        )
    }

    fn other_choice_note(&self, alerts: u64) -> Option<String> {
        if self.indicator == IndicatorChoice::Malicious {
            return Some("Carbon Black judges no file in these to be malicious".to_owned());
        }
        (alerts > 0).then(|| {
            let name = if alerts == 1 { "names" } else { "name" };
            format!("{alerts} of these {name} what Carbon Black judges to be malicious, which --indicator malicious sends")
        })
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
