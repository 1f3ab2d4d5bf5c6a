//! The vendors: each folder signs in, pages and maps one vendor's alerts to [`Detection`]s.
//!
//! A further vendor is one more folder with the same outline (`mod.rs` settings and reader, `wire.rs`
//! what it answers, `mapping.rs` alert to detection, `refusal.rs` its errors in plain words), one
//! variant here and one subcommand in `cli`.
//!
//! [`Detection`]: crate::detection::Detection

pub mod carbonblack;
pub mod crowdstrike;
mod errors;
mod lenient;
mod parsed_alert;
mod request;
mod request_queue;
mod seen_ids;
#[cfg(test)]
mod tests;
mod watermark;

use chrono::{DateTime, Utc};
use reqwest::Url;

use crate::detection::{AlertOutcome, SourceInfo};
use crate::failure::Failure;
use crate::http::Http;
use crate::window::Window;

/// One page of alerts, read.
#[derive(Debug)]
pub struct Page {
    /// The alerts not seen before in this run.
    pub outcomes: Vec<AlertOutcome>,
    /// Every alert of the window before this instant (UTC) has been handed out with this page or
    /// earlier ones.
    pub complete_until: DateTime<Utc>,
    /// What the vendor said was wrong with this page although it sent alerts.
    pub partial_error: Option<Failure>,
    /// How many alerts the vendor says the window holds.
    pub total: Option<u64>,
}

/// Which vendor to read, and how.
#[derive(Debug, Clone)]
pub enum SourceSettings {
    /// CrowdStrike Falcon.
    CrowdStrike(crowdstrike::Settings),
    /// Carbon Black Cloud.
    CarbonBlack(carbonblack::Settings),
}

impl SourceSettings {
    /// How this source is named.
    #[must_use]
    pub const fn info(&self) -> SourceInfo {
        match self {
            Self::CrowdStrike(_) => crowdstrike::INFO,
            Self::CarbonBlack(_) => carbonblack::INFO,
        }
    }

    /// The vendor's name for the customer whose alerts are read: part of the tenant.
    #[must_use]
    pub fn account(&self) -> String {
        match self {
            Self::CrowdStrike(settings) => settings.account(),
            Self::CarbonBlack(settings) => settings.account(),
        }
    }

    /// How many pages are asked for side by side where nothing else is said: what each vendor's rate
    /// limit bears easily.
    #[must_use]
    pub const fn default_concurrency(&self) -> usize {
        match self {
            Self::CrowdStrike(_) => 8,
            Self::CarbonBlack(_) => 4,
        }
    }

    /// The service's address as it is set.
    #[must_use]
    pub const fn base(&self) -> &Url {
        match self {
            Self::CrowdStrike(settings) => settings.address.base(),
            Self::CarbonBlack(settings) => &settings.base,
        }
    }

    /// Signs in and asks for the fewest alerts there can be, to see whether a run would be let in. Gives
    /// how many alerts the window holds, where the service says.
    ///
    /// # Errors
    /// The very failure that a run would meet.
    pub async fn probe(&self, http: &Http, window: Window) -> Result<Option<u64>, Failure> {
        match self {
            Self::CrowdStrike(settings) => crowdstrike::probe(settings, http, window).await,
            Self::CarbonBlack(settings) => carbonblack::probe(settings, http, window).await,
        }
    }

    /// A reader of the window's alerts that asks for so many pages side by side. Nothing is asked yet.
    #[must_use]
    pub fn reader(&self, http: &Http, window: Window, concurrency: usize) -> Reader {
        match self {
            Self::CrowdStrike(settings) => Reader::CrowdStrike(Box::new(crowdstrike::Reader::new(
                settings,
                http,
                window,
                concurrency,
            ))),
            Self::CarbonBlack(settings) => Reader::CarbonBlack(Box::new(carbonblack::Reader::new(
                settings,
                http,
                window,
                concurrency,
            ))),
        }
    }
}

/// Reads a window page by page.
#[derive(Debug)]
pub enum Reader {
    /// CrowdStrike Falcon.
    CrowdStrike(Box<crowdstrike::Reader>),
    /// Carbon Black Cloud.
    CarbonBlack(Box<carbonblack::Reader>),
}

impl Reader {
    /// The next page; `None` when the window has been read to its end.
    ///
    /// # Errors
    /// What kept the window from being read further; pages handed out before stay good.
    pub async fn next_page(&mut self) -> Result<Option<Page>, Failure> {
        match self {
            Self::CrowdStrike(reader) => reader.next_page().await,
            Self::CarbonBlack(reader) => reader.next_page().await,
        }
    }
}
