//! Carbon Black Cloud: the Alerts API v7.

mod mapping;
mod refusal;
mod wire;

use chrono::{DateTime, SecondsFormat, Utc};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use secrecy::{ExposeSecret, SecretString};

use self::wire::{Alert, AlertPage, Exclusions, Search, Sort, TimeRange};
use super::Page;
use super::lenient::Slot;
use super::seen::Seen;
use crate::detection::{Labels, Reading, Window};
use crate::failure::{Failure, Kind};
use crate::http::{Call, Http, Reply};

/// How Carbon Black Cloud is named.
pub const LABELS: Labels = Labels {
    name: "carbonblack",
    title: "Carbon Black Cloud",
    source_type: "carbonblack:cloud",
    incident_type: "carbonblack-cloud-alert",
};

/// Rows a page.
const PAGE_ROWS: u32 = 1000;
/// The last row the service gives; past it, it answers 500.
const LAST_ROW: u32 = 10_000;
const TOKEN_HEADER: HeaderName = HeaderName::from_static("x-auth-token");

/// Which hash of an alert is its indicator.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum IndicatorChoice {
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
    pub indicator: IndicatorChoice,
}

impl Settings {
    /// Whose alerts these are.
    pub(super) fn account(&self) -> String {
        self.org_key.clone()
    }
}

/// Reads a window of Carbon Black's alerts, oldest first.
#[derive(Debug)]
pub struct Reader {
    http: Http,
    settings: Settings,
    window: Window,
    /// Where the current round of rows begins: the window's start, or later beyond 10,000 rows.
    round_start: DateTime<Utc>,
    /// The next row of the round, counted from 1.
    next_row: u32,
    /// Everything before this has been handed out.
    known_until: DateTime<Utc>,
    alerts: Seen,
    total: Option<u64>,
    finished: bool,
}

impl Reader {
    /// A reader that has asked nothing yet.
    pub(super) fn new(settings: &Settings, http: &Http, window: Window) -> Self {
        Self {
            http: http.clone(),
            settings: settings.clone(),
            window,
            round_start: window.start,
            next_row: 1,
            known_until: window.start,
            alerts: Seen::default(),
            total: None,
            finished: false,
        }
    }

    /// The next page; `None` at the window's end.
    pub(super) async fn next_page(&mut self) -> Result<Option<Page>, Failure> {
        if self.finished {
            return Ok(None);
        }
        self.begin_round_past_the_last_row()?;
        let rows = PAGE_ROWS.min(LAST_ROW + 1 - self.next_row);
        let call = self.call(rows)?;
        let reply = self
            .http
            .send(&call, |answer| wire::alert_page(answer, self.next_row))
            .await
            .map_err(|trouble| {
                let mut failure = trouble.into_failure();
                failure.message = format!("Carbon Black Cloud: {}", failure.message);
                failure
            })?;
        match reply {
            Reply::Success(page) => Ok(Some(self.take(page))),
            Reply::Refused(answer) => Err(refusal::search(&answer, call.host())),
        }
    }

    /// Past row 10,000 the service answers 500: the rows begin again at the last instant seen,
    /// inclusive, and what was read already is recognised. (One millisecond more, as the vendor's own
    /// tools do, would lose alerts that share the instant.)
    fn begin_round_past_the_last_row(&mut self) -> Result<(), Failure> {
        if self.next_row <= LAST_ROW {
            return Ok(());
        }
        if self.known_until <= self.round_start {
            return Err(refusal::crowded_instant(
                &instant(self.known_until),
                LAST_ROW,
            ));
        }
        self.round_start = self.known_until;
        self.next_row = 1;
        Ok(())
    }

    fn call(&self, rows: u32) -> Result<Call, Failure> {
        let search = Search {
            time_range: TimeRange {
                start: instant(self.round_start),
                end: instant(self.window.end),
            },
            start: self.next_row,
            rows,
            sort: [Sort {
                field: "backend_timestamp",
                order: "ASC",
            }],
            exclusions: Exclusions {
                r#type: ["DEVICE_CONTROL", "CONTAINER_RUNTIME"],
            },
        };
        let body = serde_json::to_vec(&search).map_err(|error| {
            Failure::new(
                Kind::Unexpected,
                format!("a search could not be written as JSON: {error}"),
                "Report this.",
            )
        })?;
        let mut url = self.settings.base.clone();
        url.set_path(&format!(
            "api/alerts/v7/orgs/{}/alerts/_search",
            self.settings.org_key
        ));
        // The secret comes first; swapped, it is a 401.
        let token = format!(
            "{}/{}",
            self.settings.secret.expose_secret(),
            self.settings.api_id.expose_secret()
        );
        let mut token = HeaderValue::try_from(token).map_err(|_| {
            Failure::new(
                Kind::Configuration,
                "the Carbon Black API secret or id holds characters that no header can carry",
                "Check --secret (CB_SECRET) and --api-id (CB_API_ID) for stray characters such as line breaks.",
            )
        })?;
        token.set_sensitive(true);
        let headers = [
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (TOKEN_HEADER, token),
        ];
        Ok(Call {
            method: Method::POST,
            url,
            headers: HeaderMap::from_iter(headers),
            body,
        })
    }

    fn take(&mut self, page: AlertPage) -> Page {
        let got = u32::try_from(page.results.len()).unwrap_or(u32::MAX);
        self.next_row = self.next_row.saturating_add(got);
        let all_rows_read = page
            .num_found
            .is_some_and(|found| u64::from(self.next_row) > found);
        // The first round's number counts the whole window; later rounds count what is left of it.
        self.total = self.total.or(page.num_found);
        let readings = self.readings(page.results);
        if got == 0 || all_rows_read {
            self.finished = true;
            self.known_until = self.window.end;
        }
        Page {
            readings,
            known_until: self.known_until,
            flaw: None,
            total: self.total,
        }
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
            if let Some(searchable) = alert.backend_timestamp {
                // The service's end is taken to be inclusive; ours is the next window's.
                if searchable >= self.window.end {
                    continue;
                }
                self.known_until = self.known_until.max(searchable);
            }
            if alert.id.as_deref().is_none_or(|id| self.alerts.is_new(id)) {
                readings.push(mapping::reading(alert, self.settings.indicator));
            }
        }
        readings
    }
}

/// The form the service documents: UTC with milliseconds.
fn instant(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}
