//! CrowdStrike Falcon: the Alerts API, product `epp`.
//!
//! One alert of this product is one behaviour of the Detects API that the older scripts read and that
//! was switched off on 2025-09-30.

mod cloud;
mod mapping;
mod refusal;
mod session;
mod wire;

use std::fmt::Write as _;

use chrono::{DateTime, SecondsFormat, Utc};
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};

pub use self::cloud::Cloud;
use self::session::Session;
use self::wire::{Alert, AlertPage, Query};
use super::Page;
use super::lenient::Slot;
use super::seen::Seen;
use crate::detection::{Labels, Reading, Window};
use crate::failure::{Failure, Kind};
use crate::http::{Answer, Http, Reply, Trouble, trace_in_short, words_in_short};
use crate::selection::Thresholds;

/// How CrowdStrike is named.
pub const LABELS: Labels = Labels {
    name: "crowdstrike",
    title: "CrowdStrike Falcon",
    source_type: "crowdstrike:falcon",
    incident_type: "crowdstrike-falcon-alert",
};

const PATH: &str = "alerts/combined/alerts/v1";
/// Alerts a page: the most the service gives.
const PAGE_SIZE: u32 = 1000;
/// Immutable, so that no alert changes its place while pages are read.
const SORT: &str = "created_timestamp|asc";

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
            Kind::Unexpected,
            format!("the address of {} is wrong: {error}", cloud.name()),
            "Report this; --base-url helps meanwhile.",
        )
    })
}

/// Reads a window of Falcon's alerts, oldest first.
#[derive(Debug)]
pub struct Reader {
    session: Session,
    thresholds: Thresholds,
    window: Window,
    /// Where the current round of pages begins: the window's start, or later after a restart.
    round_start: DateTime<Utc>,
    after: Option<String>,
    /// Everything before this has been handed out.
    known_until: DateTime<Utc>,
    alerts: Seen,
    tokens: Seen,
    finished: bool,
}

impl Reader {
    /// A reader that has asked nothing yet.
    pub(super) fn new(settings: &Settings, http: &Http, window: Window) -> Self {
        Self {
            session: Session::new(http, settings),
            thresholds: settings.thresholds,
            window,
            round_start: window.start,
            after: None,
            known_until: window.start,
            alerts: Seen::default(),
            tokens: Seen::default(),
            finished: false,
        }
    }

    /// The next page; `None` at the window's end.
    pub(super) async fn next_page(&mut self) -> Result<Option<Page>, Failure> {
        if self.finished {
            return Ok(None);
        }
        let page = loop {
            match self.ask().await? {
                Reply::Success(page) => break page,
                Reply::Refused(answer) => self.restart(&answer)?,
            }
        };
        self.take(page).map(Some)
    }

    async fn ask(&mut self) -> Result<Reply<AlertPage>, Failure> {
        let filter = filter(self.round_start, self.window.end, self.thresholds);
        let query = Query {
            filter: &filter,
            limit: PAGE_SIZE,
            sort: SORT,
            after: self.after.as_deref(),
        };
        self.session.post(PATH, &query, wire::alert_page).await
    }

    /// How long a page token lives is not documented. When a later page is refused for it, the pages
    /// begin again at the last instant seen, and what was read already is recognised.
    fn restart(&mut self, answer: &Answer) -> Result<(), Failure> {
        let token_refused =
            self.after.is_some() && matches!(answer.status.as_u16(), 400 | 404 | 410);
        if !token_refused || self.known_until <= self.round_start {
            return Err(refusal::alerts(answer, self.session.host()));
        }
        tracing::info!(
            "CrowdStrike no longer takes the page token: reading on from {}",
            self.known_until
        );
        self.round_start = self.known_until;
        self.after = None;
        Ok(())
    }

    fn take(&mut self, page: AlertPage) -> Result<Page, Failure> {
        let mut flaw = flaw(&page);
        if let Some(flaw) = flaw.clone().filter(|_| page.resources.is_empty()) {
            return Err(flaw);
        }
        let next = page
            .meta
            .pagination
            .after
            .filter(|_| !page.resources.is_empty());
        let readings = self.readings(page.resources);
        match next {
            None => {
                self.finished = true;
                self.known_until = self.window.end;
            }
            Some(token) if self.tokens.is_new(&token) => self.after = Some(token),
            // This page is as good as any; only the way on from it is lost.
            Some(_) => {
                self.finished = true;
                flaw = Some(Failure::new(
                    Kind::Unexpected,
                    "CrowdStrike sent the same page token twice",
                    "Run again; if it stays, show the log of a --debug run to CrowdStrike's support.",
                ));
            }
        }
        Ok(Page {
            readings,
            known_until: self.known_until,
            flaw,
            total: page.meta.pagination.total,
        })
    }

    /// The alerts of a page that are of this window and new to this run.
    fn readings(&mut self, slots: Vec<Slot<Alert>>) -> Vec<Reading> {
        let mut readings = Vec::with_capacity(slots.len());
        for slot in slots {
            let alert = match slot {
                Slot::Read(alert) => alert,
                Slot::Strange => {
                    readings.push(Reading::Unreadable {
                        id: None,
                        why: "it is not a JSON object that can be read",
                    });
                    continue;
                }
            };
            if let Some(created) = alert.created_timestamp {
                // `<` may act as `<=`, as `>` was seen to act as `>=`: the end is the next window's.
                if created >= self.window.end {
                    continue;
                }
                self.known_until = self.known_until.max(created);
            }
            let known = alert
                .composite_id
                .as_deref()
                .or(alert.id.as_deref())
                .is_some_and(|id| !self.alerts.is_new(id));
            if !known {
                readings.push(mapping::reading(alert));
            }
        }
        readings
    }
}

/// What the service says is wrong with a page that it answered with 200.
fn flaw(page: &AlertPage) -> Option<Failure> {
    let first = page.errors.first()?;
    let (code, message) = match first {
        Slot::Read(error) => (
            error.code.unwrap_or_default(),
            words_in_short(error.message.as_deref().unwrap_or_default()),
        ),
        Slot::Strange => (0, String::new()),
    };
    let trace = trace_in_short(page.meta.trace_id.as_deref().unwrap_or("none"));
    let words = format!("CrowdStrike answered with errors: {code} \"{message}\" (trace {trace})");
    let hint = "Run again; alerts that were sent beside the error are kept. CrowdStrike's support asks for the trace id.";
    let kind = match code {
        _ if !page.resources.is_empty() => Kind::Partial,
        401 | 403 => Kind::Credentials,
        429 | 500..=599 => Kind::Temporary,
        _ => Kind::Unexpected,
    };
    Some(Failure::new(kind, words, hint))
}

/// The window and the thresholds in Falcon's query language. The window is on `created_timestamp`,
/// which is written once; `timestamp` would lose what hosts upload late.
fn filter(start: DateTime<Utc>, end: DateTime<Utc>, thresholds: Thresholds) -> String {
    let instant = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::AutoSi, true);
    let mut filter = format!(
        "product:'epp'+created_timestamp:>='{}'+created_timestamp:<'{}'",
        instant(start),
        instant(end)
    );
    for (field, least) in [
        ("severity", thresholds.severity),
        ("confidence", thresholds.confidence),
    ] {
        if least > 0 {
            // Writing to a String cannot fail.
            let _ = write!(filter, "+{field}:>={least}");
        }
    }
    filter
}

fn trouble(trouble: Trouble) -> Failure {
    let mut failure = trouble.into_failure();
    failure.message = format!("CrowdStrike: {}", failure.message);
    failure
}
