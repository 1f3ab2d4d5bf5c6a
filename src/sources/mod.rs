//! The vendors. The submodule of each signs in, pages through the alerts and maps them to
//! [`Detection`](crate::detection::Detection)s.
//!
//! A new vendor is a folder with the same outline (`args.rs`, `mod.rs`, `wire.rs`, `mapping.rs`,
//! `reader.rs`, `errors.rs`), a `mod` line here and a variant of `cli::SourceCommand`.

pub(crate) mod carbonblack;
mod completeness;
pub(crate) mod crowdstrike;
mod customers;
mod errors;
mod incomplete;
mod lenient;
mod parsed_alert;
mod request;
mod request_queue;
mod seen_ids;
#[cfg(test)]
mod tests;
mod watermark;

use std::fmt;
use std::pin::Pin;

use chrono::{DateTime, Utc};
use reqwest::Url;

pub(crate) use self::customers::{CustomerSource, Customers};
use crate::detection::{AlertOutcome, SourceInfo};
use crate::failure::{Failure, FailureKind};
use crate::http::Http;
use crate::selection::Thresholds;
use crate::settings::lookup::Lookup;
use crate::window::Window;

/// A boxed future: traits with `async fn` cannot be used as `dyn`.
pub(crate) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One page of alerts.
#[derive(Debug)]
pub(crate) struct Page {
    /// The alerts not seen before in this run.
    pub outcomes: Vec<AlertOutcome>,
    /// Every alert of the window before this instant (UTC) is in this page or an earlier one. It
    /// goes back when a part turns out to be incomplete.
    pub complete_until: DateTime<Utc>,
    /// The error that the vendor reported for this page although it sent alerts.
    pub partial_error: Option<Failure>,
    /// The number of alerts in the window, where the vendor reports it.
    pub total: Option<u64>,
    /// The customers whose alerts the page has, where the vendor names them.
    pub customers: Customers,
}

/// The result of reading a few alerts of a window, to check access.
#[derive(Debug)]
pub(crate) struct Probe {
    /// The number of alerts in the window, where the vendor reports it.
    pub total: Option<u64>,
    /// The customers of the alerts that were read.
    pub customers: Customers,
}

/// The command line arguments of one source.
pub(crate) trait SourceArgs: fmt::Debug {
    /// Returns the names of this source.
    fn info(&self) -> SourceInfo;

    /// Returns the flags of the Python script that this source replaces, each with its new name.
    fn legacy_flags(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// Returns the options for the generated schedules: they select what is worth sharing. Without
    /// them a run sends what the Python script sent.
    fn recommended_options(&self) -> &'static str;

    /// Returns the source with its settings, or `None` if one is missing or not valid; `lookup` has
    /// the reason. Every setting is looked up first, so that all missing ones are reported
    /// together.
    fn resolve(&self, lookup: &mut Lookup) -> Option<Box<dyn Source>>;
}

/// A configured vendor: its validated settings.
pub(crate) trait Source: fmt::Debug + Send + Sync {
    /// Returns the names of this source.
    fn info(&self) -> SourceInfo;

    /// Returns the account whose alerts are read: client id and member CID, or organization key.
    fn account(&self) -> String;

    /// Returns where the customer of the alerts is named.
    fn customer(&self) -> CustomerSource;

    /// Returns the configured address of the API.
    fn base_url(&self) -> &Url;

    /// Returns the minimum scores of an alert.
    fn thresholds(&self) -> Thresholds {
        Thresholds::default()
    }

    /// Whether files that the vendor trusts are left out.
    fn skip_trusted(&self) -> bool {
        false
    }

    /// Explains that some of the hashes that a run selected are of files that the vendor trusts.
    fn trusted_note(&self, trusted: u64, hashes: u64) -> String {
        format!("{trusted} of {hashes} hashes belong to programs that {} trusts", self.info().title)
    }

    /// Explains the alerts without an indicator in the fields of `--indicator`. `alerts` is the
    /// number of those that have one in the fields of another `--indicator`.
    fn other_choice_note(&self, _alerts: u64) -> Option<String> {
        None
    }

    /// Returns the failure for alerts of `count` customers, which must not be shared together.
    fn several_customers(&self, count: usize) -> Failure {
        Failure::new(
            FailureKind::Configuration,
            format!("the alerts belong to {count} customers, so none of them are shared"),
            "Use credentials that read the alerts of one customer.",
        )
    }

    /// Signs in and requests a few alerts to verify access.
    ///
    /// # Errors
    /// The same failure that a run would report.
    fn probe<'a>(&'a self, http: &'a Http, window: Window)
    -> BoxFuture<'a, Result<Probe, Failure>>;

    /// Returns a reader of the window's alerts. It sends no request yet.
    fn reader(&self, http: &Http, window: Window) -> Box<dyn AlertReader>;
}

/// Reads the alerts of a window page by page.
pub(crate) trait AlertReader: fmt::Debug {
    /// Returns the next page; `None` at the end of the window.
    ///
    /// # Errors
    /// When the window cannot be read further, and at its end when a part of it is incomplete. The
    /// pages returned before remain valid.
    fn next_page(&mut self) -> BoxFuture<'_, Result<Option<Page>, Failure>>;

    /// Returns the number of alerts in the window whatever their scores, where the vendor reports
    /// it.
    ///
    /// # Errors
    /// When it cannot be requested.
    fn total_without_thresholds(&mut self) -> BoxFuture<'_, Result<Option<u64>, Failure>>;
}
