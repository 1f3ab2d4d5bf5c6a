//! Reads a window of Carbon Black alerts: row ranges one after the other, the pages of a range
//! concurrently.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use secrecy::ExposeSecret;

use super::errors::VENDOR;
use super::page::{AlertPage, alert_page};
use super::rows::{RowLimits, RowRange, RowRequest};
use super::wire::{Criteria, Exclusions, Search, Sort, TimeRange};
use super::{Config, errors};
use crate::failure::{Failure, FailureKind};
use crate::http::{self, Http, Request, RequestCeiling};
use crate::sources::incomplete::IncompleteParts;
use crate::sources::request_queue::RequestQueue;
use crate::sources::{Customers, Page, Probe, request};
use crate::window::Window;

const TOKEN_HEADER: HeaderName = HeaderName::from_static("x-auth-token");
/// Half of the 1,000 requests in 5 minutes that the vendor names for an IP address: other programs
/// share them. A run reaches it only with more than about 500,000 alerts.
const CEILING: RequestCeiling = RequestCeiling { requests: 500, period: Duration::from_mins(5) };
const LIMITS: RowLimits = RowLimits { page: 1000, last: 10_000 };

/// The rows of a request that only needs the total: one.
const FIRST_ROW: RowRequest = RowRequest { start: 1, count: 1 };

type RowReply = (RowRequest, Result<AlertPage, Failure>);

#[derive(Debug)]
pub(super) struct Reader {
    client: Arc<SearchClient>,
    window: Window,
    queue: RequestQueue<RowRequest, u32, RowReply>,
    range: RowRange,
    /// The window can only be complete before this instant (UTC).
    limit: DateTime<Utc>,
    incomplete: IncompleteParts,
    total: Option<u64>,
}

impl Reader {
    /// Creates a reader that has not sent a request.
    pub(super) fn new(settings: &Config, http: &Http, window: Window) -> Self {
        let range = RowRange::new(window.start, LIMITS);
        let mut queue =
            RequestQueue::new(settings.concurrency, |request: &RowRequest| request.start);
        queue.push(range.first_request());
        let http = http.with_ceiling(settings.concurrency, CEILING);
        let client = Arc::new(SearchClient { http, settings: settings.clone() });
        let (limit, incomplete) = (window.end, IncompleteParts::default());
        Self { client, window, queue, range, limit, incomplete, total: None }
    }

    /// Returns the next page, if necessary from the next range; `None` at the end of the window.
    pub(super) async fn next_page(&mut self) -> Result<Option<Page>, Failure> {
        loop {
            let span = self.range.span(self.window);
            let client = &self.client;
            let reply = self.queue.next(|rows| send(Arc::clone(client), span, rows)).await?;
            match reply {
                Some((rows, page)) => return Ok(Some(self.record_page(rows, page?))),
                None => match self.next_range()? {
                    Some(next) => {
                        self.queue.push(next.first_request());
                        self.range = next;
                    }
                    None => return self.incomplete.take_failure(VENDOR).map_or(Ok(None), Err),
                },
            }
        }
    }

    /// Requests one alert of the window without thresholds, and returns how many there are.
    pub(super) async fn total_without_thresholds(&self) -> Result<Option<u64>, Failure> {
        // The end is inclusive, but an alert at the end belongs to the next window.
        let Window { start, end } = self.window;
        let before_end = Some(end - TimeDelta::milliseconds(1)).filter(|before| *before > start);
        let span = Window { start, end: before_end.unwrap_or(end) };
        Ok(self.client.search(span, FIRST_ROW, 0).await?.found)
    }

    /// Returns the range to read after this one, or if this one is incomplete the same for another
    /// search; `None` at the end of the window.
    fn next_range(&mut self) -> Result<Option<RowRange>, Failure> {
        if !self.range.is_complete() {
            if let Some(again) = self.range.query_again() {
                return Ok(Some(again));
            }
            self.range.give_up(self.window, &mut self.incomplete);
            self.limit = self.limit.min(self.range.start);
        }
        if !self.range.is_truncated() {
            return Ok(None);
        }
        // The next range begins at the last instant, inclusive. The vendor's own tools add a
        // millisecond, which loses alerts of the same instant.
        match self.range.next_range() {
            None => {
                Err(errors::too_many_at_instant(&instant(self.range.complete_until()), LIMITS.last))
            }
            next => Ok(next),
        }
    }

    fn record_page(&mut self, rows: RowRequest, page: AlertPage) -> Page {
        // The first number is that of the window; those of later ranges are of its remainder.
        self.total = self.total.or(page.found);
        let (outcomes, requests) = self.range.record_page(rows, page, self.window);
        for request in requests {
            self.queue.push(request);
        }
        if self.range.is_stalled() {
            self.queue.clear();
        }
        let complete_until = self.complete_until().min(self.limit);
        Page {
            outcomes,
            complete_until,
            partial_error: None,
            total: self.total,
            customers: Customers::default(),
        }
    }

    /// Returns the instant before which every alert was read. If an alert is deleted while the rows
    /// are read, all later ones move up, and the next request skips one: no part of a range is
    /// certain before all its rows are counted.
    fn complete_until(&self) -> DateTime<Utc> {
        match self.queue.is_empty() && self.range.is_complete() {
            false => self.range.start,
            true if self.range.is_truncated() => self.range.complete_until(),
            true => self.window.end,
        }
    }
}

/// Requests one alert to verify access.
pub(super) async fn probe(
    settings: &Config,
    http: &Http,
    window: Window,
) -> Result<Probe, Failure> {
    let client = SearchClient { http: http.clone(), settings: settings.clone() };
    let total = client.search(window, FIRST_ROW, settings.min_severity).await?.found;
    Ok(Probe { total, customers: Customers::default() })
}

async fn send(client: Arc<SearchClient>, span: Window, rows: RowRequest) -> RowReply {
    let page = client.search(span, rows, client.settings.min_severity).await;
    (rows, page)
}

#[derive(Debug)]
struct SearchClient {
    http: Http,
    settings: Config,
}

impl SearchClient {
    async fn search(
        &self,
        span: Window,
        rows: RowRequest,
        min_severity: u8,
    ) -> Result<AlertPage, Failure> {
        let request = self.request(span, rows, min_severity)?;
        let choice = self.settings.indicator;
        let reply = request::send(&self.http, VENDOR, &request, |response| {
            alert_page(response, rows.start, choice)
        })
        .await?;
        request::accepted(reply, |response| errors::search_rejected(response, request.host()))
    }

    fn request(
        &self,
        span: Window,
        rows: RowRequest,
        min_severity: u8,
    ) -> Result<Request, Failure> {
        let search = Search {
            time_range: TimeRange { start: instant(span.start), end: instant(span.end) },
            start: rows.start,
            rows: rows.count,
            sort: [Sort { field: "backend_timestamp", order: "ASC" }],
            exclusions: Exclusions { r#type: ["DEVICE_CONTROL", "CONTAINER_RUNTIME"] },
            criteria: (min_severity > 0).then_some(Criteria { minimum_severity: min_severity }),
        };
        let headers = [
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (TOKEN_HEADER, self.token()?),
        ];
        let path = format!("api/alerts/v7/orgs/{}/alerts/_search", self.settings.org_key);
        Ok(request::post(&self.settings.base, &path, headers, request::json_body(&search)?))
    }

    /// Returns the token. The secret comes first: in the other order, the response is 401.
    fn token(&self) -> Result<HeaderValue, Failure> {
        let (secret, id) =
            (self.settings.secret.expose_secret(), self.settings.api_id.expose_secret());
        http::secret_header(&format!("{secret}/{id}")).map_err(|error| {
            Failure::new(
                FailureKind::Configuration,
                "the Carbon Black API secret or API id contains characters that are not allowed in an HTTP header",
                "Check --secret (CB_SECRET) and --api-id (CB_API_ID) for stray characters such as line breaks.",
            )
            .with_cause(error)
        })
    }
}

/// Formats an instant as the service documents it: UTC with milliseconds.
fn instant(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}
