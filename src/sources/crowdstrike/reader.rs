//! Reads a window of Falcon alerts: slices concurrently, the pages of a slice one after the other.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};

use super::errors::VENDOR;
use super::page::{AlertPage, alert_page};
use super::session::Session;
use super::slice::{Sizes, TimeSlice};
use super::sliced_window::SlicedWindow;
use super::wire::Query;
use super::{Config, IndicatorChoice, errors};
use crate::failure::Failure;
use crate::http::{Http, Reply, RequestCeiling, Response};
use crate::selection::Thresholds;
use crate::sources::request_queue::RequestQueue;
use crate::sources::{Page, Probe, request};
use crate::window::Window;

const PATH: &str = "alerts/combined/alerts/v1";
/// Alerts per page: the maximum of the service.
const PAGE_SIZE: u32 = 1000;
/// Alerts that are requested when only the total is needed: the documentation asks for more than
/// one.
const COUNT_SIZE: u32 = 2;
/// Alerts that are requested to verify access: enough to see whether they are of several customers.
const PROBE_SIZE: u32 = 100;
/// Alerts per slice: the memory of a run does not grow with its window.
const SLICE_SIZE: usize = 10_000;
/// Half of the account's 6,000 requests per minute: other programs share them. A run can reach it
/// (8 concurrent requests of 100 ms each are 4,800 per minute), but only with more than 3,000,000
/// alerts.
const CEILING: RequestCeiling = RequestCeiling { requests: 3000, period: Duration::from_mins(1) };
/// Immutable, so that no alert moves while pages are read.
const SORT: &str = "created_timestamp|asc";

type SliceReply = (TimeSlice, Result<Reply<AlertPage>, Failure>);

#[derive(Debug)]
pub(super) struct Reader {
    session: Arc<Session>,
    host: String,
    thresholds: Thresholds,
    choice: IndicatorChoice,
    window: SlicedWindow,
    queue: RequestQueue<TimeSlice, (bool, DateTime<Utc>), SliceReply>,
}

impl Reader {
    /// Creates a reader that has not sent a request.
    pub(super) fn new(settings: &Config, http: &Http, window: Window) -> Self {
        let sizes = Sizes { page: PAGE_SIZE.into(), slice: SLICE_SIZE };
        let (window, first) = SlicedWindow::new(window, sizes);
        let mut queue = RequestQueue::new(settings.concurrency, TimeSlice::priority);
        queue.push(first);
        let http = http.with_ceiling(settings.concurrency, CEILING);
        Self {
            session: Arc::new(Session::new(&http, settings)),
            host: host(settings),
            thresholds: settings.thresholds,
            choice: settings.indicator,
            window,
            queue,
        }
    }

    /// Returns the next page of any slice; `None` when all slices were read.
    pub(super) async fn next_page(&mut self) -> Result<Option<Page>, Failure> {
        loop {
            let (session, thresholds, choice) = (&self.session, self.thresholds, self.choice);
            let reply = self
                .queue
                .next(|slice| send(Arc::clone(session), slice, thresholds, choice))
                .await?;
            let Some((slice, reply)) = reply else {
                return self.window.take_failure().map_or(Ok(None), Err);
            };
            let reply = reply?;
            if let Some(remainder) = self.restart(&slice, &reply) {
                tracing::info!(start = %remainder.start, "{VENDOR} rejected a page token: reading on");
                self.queue.push(remainder);
                continue;
            }
            match reply {
                Reply::Success(page) => {
                    let (page, next) = self.window.record_page(slice, page, self.queue.spare())?;
                    for slice in next {
                        self.queue.push(slice);
                    }
                    return Ok(Some(page));
                }
                Reply::Rejected(response) => {
                    return Err(errors::query_rejected(&response, &self.host));
                }
            }
        }
    }

    /// Requests two alerts of the window without thresholds, and returns how many there are.
    pub(super) async fn total_without_thresholds(&self) -> Result<Option<u64>, Failure> {
        let (session, window, all) = (&self.session, self.window.window(), Thresholds::default());
        Ok(first_page(session, window, all, COUNT_SIZE, &self.host).await?.total)
    }

    /// Returns the slice to read instead of one whose page token was rejected: how long a token is
    /// valid is not documented. `None` if it was not rejected, or if the slice cannot be restarted.
    fn restart(&mut self, slice: &TimeSlice, reply: &Reply<AlertPage>) -> Option<TimeSlice> {
        (slice.token.is_some() && may_reject_token(reply)).then(|| self.window.restart(slice))?
    }
}

/// Whether this reply may be the rejection of a page token: the service reports it by the status,
/// or in a page without alerts.
fn may_reject_token(reply: &Reply<AlertPage>) -> bool {
    let is_rejection = |code| matches!(code, 400 | 404 | 410);
    match reply {
        Reply::Success(page) => page.alerts.is_empty() && page.error_codes().any(is_rejection),
        Reply::Rejected(response) => is_rejection(response.status.as_u16().into()),
    }
}

/// Requests the next page of a slice.
async fn send(
    session: Arc<Session>,
    slice: TimeSlice,
    thresholds: Thresholds,
    choice: IndicatorChoice,
) -> SliceReply {
    let filter = filter(slice.start, slice.end, thresholds);
    let query =
        Query { filter: &filter, limit: PAGE_SIZE, sort: SORT, after: slice.token.as_deref() };
    let is_first = slice.token.is_none();
    let reply = session.post(PATH, &query, |response| alert_page(response, is_first, choice)).await;
    (slice, reply)
}

/// Requests some alerts to verify access.
pub(super) async fn probe(
    settings: &Config,
    http: &Http,
    window: Window,
) -> Result<Probe, Failure> {
    let session = Session::new(http, settings);
    let host = host(settings);
    let page = first_page(&session, window, settings.thresholds, PROBE_SIZE, &host).await?;
    Ok(Probe { total: page.total, customers: page.customers })
}

/// Requests the first alerts of a window.
async fn first_page(
    session: &Session,
    window: Window,
    thresholds: Thresholds,
    limit: u32,
    host: &str,
) -> Result<AlertPage, Failure> {
    let filter = filter(window.start, window.end, thresholds);
    let query = Query { filter: &filter, limit, sort: SORT, after: None };
    let is_first = true;
    let read = |response: &Response| alert_page(response, is_first, IndicatorChoice::default());
    let reply = session.post(PATH, &query, read).await?;
    let page = request::accepted(reply, |response| errors::query_rejected(response, host))?;
    errors::in_page(&page).map_or(Ok(page), Err)
}

fn host(settings: &Config) -> String {
    settings.address.base().host_str().unwrap_or(VENDOR).to_owned()
}

/// Returns the window and the thresholds in Falcon's query language. The window is a span of
/// `created_timestamp`, which never changes; by `timestamp`, alerts that hosts upload late would be
/// missed.
fn filter(start: DateTime<Utc>, end: DateTime<Utc>, thresholds: Thresholds) -> String {
    let instant = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::AutoSi, true);
    let mut filter = format!(
        "product:'epp'+created_timestamp:>='{}'+created_timestamp:<'{}'",
        instant(start),
        instant(end)
    );
    for (field, minimum) in
        [("severity", thresholds.severity), ("confidence", thresholds.confidence)]
    {
        if minimum > 0 {
            // Writing to a String cannot fail.
            let _ = write!(filter, "+{field}:>={minimum}");
        }
    }
    filter
}
