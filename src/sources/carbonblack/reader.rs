//! AlertOutcome a window of Carbon Black's alerts: rounds of at most 10,000 rows, pages side by side.

use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use secrecy::ExposeSecret;

use super::errors::VENDOR;
use super::page::{AlertPage, alert_page};
use super::rows::{LAST_ROW, RowPage, RowRange};
use super::wire::{Exclusions, Search, Sort, TimeRange};
use super::{Settings, errors};
use crate::detection::AlertOutcome;
use crate::failure::{Failure, FailureKind};
use crate::http::{Http, Request};
use crate::sources::parsed_alert::ParsedAlert;
use crate::sources::request_queue::RequestQueue;
use crate::sources::seen_ids::SeenIds;
use crate::sources::{Page, request};
use crate::window::Window;

const TOKEN_HEADER: HeaderName = HeaderName::from_static("x-auth-token");

type Answered = (RowPage, Result<AlertPage, Failure>);

/// Reads a window of Carbon Black's alerts.
#[derive(Debug)]
pub struct Reader {
    client: Arc<SearchClient>,
    window: Window,
    queue: RequestQueue<RowPage, Answered>,
    round: RowRange,
    alerts: SeenIds,
    total: Option<u64>,
}

impl Reader {
    /// A reader that has asked nothing yet.
    pub(in crate::sources) fn new(
        settings: &Settings,
        http: &Http,
        window: Window,
        concurrency: usize,
    ) -> Self {
        let (round, first) = RowRange::new(window.start);
        let mut queue = RequestQueue::new(concurrency);
        queue.push(first);
        Self {
            client: Arc::new(SearchClient {
                http: http.with_concurrency(concurrency),
                settings: settings.clone(),
            }),
            window,
            queue,
            round,
            alerts: SeenIds::default(),
            total: None,
        }
    }

    /// The next page of any round; `None` at the window's end.
    pub(in crate::sources) async fn next_page(&mut self) -> Result<Option<Page>, Failure> {
        loop {
            let span = Window { start: self.round.start, end: self.window.end };
            let client = &self.client;
            let answered = self.queue.next(|rows| ask(Arc::clone(client), span, rows)).await?;
            match answered {
                Some((rows, page)) => return Ok(Some(self.take(rows, page?))),
                None if self.round.is_truncated() => self.begin_next_round()?,
                None => return Ok(None),
            }
        }
    }

    /// Past row 10,000 the service answers 500: the rows begin again at the last instant seen,
    /// inclusive, and what was read already is recognised. (One millisecond more, as the vendor's own
    /// tools do, would lose alerts that share the instant.)
    fn begin_next_round(&mut self) -> Result<(), Failure> {
        let complete_until = self.round.complete_until();
        if complete_until <= self.round.start {
            return Err(errors::too_many_at_instant(&instant(complete_until), LAST_ROW));
        }
        let (round, first) = RowRange::new(complete_until);
        self.round = round;
        self.queue.push(first);
        Ok(())
    }

    fn take(&mut self, rows: RowPage, page: AlertPage) -> Page {
        let got = u32::try_from(page.alerts.len()).unwrap_or(u32::MAX);
        // The first number counts the whole window; those of later rounds count what is left of it.
        self.total = self.total.or(page.found);
        let (outcomes, latest) = self.outcomes(page.alerts);
        for rows in self.round.take(rows, got, latest, page.found) {
            self.queue.push(rows);
        }
        let finished = self.queue.is_empty() && !self.round.is_truncated();
        let complete_until = if finished { self.window.end } else { self.round.complete_until() };
        Page { outcomes, complete_until, partial_error: None, total: self.total }
    }

    /// The alerts of a page that are of this window and new to this run, and the latest instant at
    /// which one became searchable.
    fn outcomes(&mut self, alerts: Vec<ParsedAlert>) -> (Vec<AlertOutcome>, Option<DateTime<Utc>>) {
        let mut outcomes = Vec::with_capacity(alerts.len());
        let mut latest = None;
        for alert in alerts {
            if let Some(searchable) = alert.created_at {
                // The service's end is taken to be inclusive; ours is the next window's.
                if searchable >= self.window.end {
                    continue;
                }
                latest = latest.max(Some(searchable));
            }
            if alert.id.is_none_or(|id| self.alerts.is_new(&id)) {
                outcomes.push(alert.outcome);
            }
        }
        (outcomes, latest)
    }
}

/// Requests one alert to verify access and returns the number of alerts in the window, where the
/// service reports it.
pub(in crate::sources) async fn probe(
    settings: &Settings,
    http: &Http,
    window: Window,
) -> Result<Option<u64>, Failure> {
    let client = SearchClient { http: http.clone(), settings: settings.clone() };
    Ok(client.search(window, RowPage { start: 1, count: 1 }).await?.found)
}

async fn ask(client: Arc<SearchClient>, span: Window, rows: RowPage) -> Answered {
    let page = client.search(span, rows).await;
    (rows, page)
}

/// Sends searches.
#[derive(Debug)]
struct SearchClient {
    http: Http,
    settings: Settings,
}

impl SearchClient {
    async fn search(&self, span: Window, rows: RowPage) -> Result<AlertPage, Failure> {
        let request = self.request(span, rows)?;
        let hashes = self.settings.indicator;
        let reply = request::send(&self.http, VENDOR, &request, |response| {
            alert_page(response, rows.start, hashes)
        })
        .await?;
        request::accepted(reply, |response| errors::search(response, request.host()))
    }

    fn request(&self, span: Window, rows: RowPage) -> Result<Request, Failure> {
        let search = Search {
            time_range: TimeRange { start: instant(span.start), end: instant(span.end) },
            start: rows.start,
            rows: rows.count,
            sort: [Sort { field: "backend_timestamp", order: "ASC" }],
            exclusions: Exclusions { r#type: ["DEVICE_CONTROL", "CONTAINER_RUNTIME"] },
        };
        let headers = [
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (TOKEN_HEADER, self.token()?),
        ];
        let path = format!("api/alerts/v7/orgs/{}/alerts/_search", self.settings.org_key);
        Ok(request::post(&self.settings.base, &path, headers, request::json_body(&search)?))
    }

    /// Returns the token: the secret comes first; if the two are swapped, the response is 401.
    fn token(&self) -> Result<HeaderValue, Failure> {
        let (secret, id) =
            (self.settings.secret.expose_secret(), self.settings.api_id.expose_secret());
        request::secret_header(&format!("{secret}/{id}")).ok_or_else(|| {
            Failure::new(
                FailureKind::Configuration,
                "the Carbon Black API secret or API ID contains characters that are not allowed in an HTTP header",
                "Check --secret (CB_SECRET) and --api-id (CB_API_ID) for stray characters such as line breaks.",
            )
        })
    }
}

/// Formats an instant as the service documents it: UTC with milliseconds.
fn instant(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}
