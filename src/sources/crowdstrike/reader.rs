//! AlertOutcome a window of Falcon's alerts: page after page within a slice of time, slices side by side.

use std::fmt::Write as _;
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};

use super::page::{AlertPage, alert_page};
use super::session::Session;
use super::slice::TimeSlice;
use super::wire::Query;
use super::{Settings, errors};
use crate::detection::AlertOutcome;
use crate::failure::Failure;
use crate::http::{Http, Reply, Response};
use crate::selection::Thresholds;
use crate::sources::parsed_alert::ParsedAlert;
use crate::sources::request_queue::RequestQueue;
use crate::sources::seen_ids::SeenIds;
use crate::sources::watermark::Watermark;
use crate::sources::{Page, request};
use crate::window::Window;

const PATH: &str = "alerts/combined/alerts/v1";
/// Alerts a page: the most the service gives.
const PAGE_SIZE: u32 = 1000;
/// Immutable, so that no alert changes its place while pages are read.
const SORT: &str = "created_timestamp|asc";

type Answered = (TimeSlice, Result<Reply<AlertPage>, Failure>);

/// Reads a window of Falcon's alerts.
#[derive(Debug)]
pub struct Reader {
    session: Arc<Session>,
    host: String,
    thresholds: Thresholds,
    window: Window,
    queue: RequestQueue<TimeSlice, Answered>,
    watermark: Watermark,
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
        let mut queue = RequestQueue::new(concurrency);
        queue.push(TimeSlice::new(window.start, window.end));
        Self {
            session: Arc::new(Session::new(&http.with_concurrency(concurrency), settings)),
            host: settings.address.base().host_str().unwrap_or("CrowdStrike").to_owned(),
            thresholds: settings.thresholds,
            window,
            queue,
            watermark: Watermark::new(window),
            alerts: SeenIds::default(),
            total: None,
        }
    }

    /// The next page of any slice; `None` when all have been read.
    pub(in crate::sources) async fn next_page(&mut self) -> Result<Option<Page>, Failure> {
        loop {
            let (session, thresholds) = (&self.session, self.thresholds);
            let answered =
                self.queue.next(|slice| ask(Arc::clone(session), slice, thresholds)).await?;
            let Some((slice, reply)) = answered else {
                return Ok(None);
            };
            match reply? {
                Reply::Success(page) => return self.take(slice, page).map(Some),
                Reply::Rejected(response) => self.restart(&slice, &response)?,
            }
        }
    }

    /// How long a page token lives is not documented. When a later page is refused for it, the slice
    /// begins again at the last instant seen, and what was read already is recognised.
    fn restart(&mut self, slice: &TimeSlice, response: &Response) -> Result<(), Failure> {
        let token_refused =
            slice.after.is_some() && matches!(response.status.as_u16(), 400 | 404 | 410);
        match slice.remainder() {
            Some(rest) if token_refused => {
                tracing::info!(
                    "CrowdStrike no longer takes a page token: reading on from {}",
                    rest.start
                );
                self.watermark.split_at(rest.start);
                self.queue.push(rest);
                Ok(())
            }
            _ => Err(errors::alerts(response, &self.host)),
        }
    }

    fn take(&mut self, mut slice: TimeSlice, page: AlertPage) -> Result<Page, Failure> {
        let mut partial_error = errors::in_page(&page);
        if let Some(error) = partial_error.take_if(|_| page.alerts.is_empty()) {
            return Err(error);
        }
        let next = page.next_token.filter(|_| !page.alerts.is_empty());
        slice.count(page.alerts.len(), page.total);
        // The first page's total counts the whole window; those of slices count what is in them.
        self.total = self.total.or(page.total);
        let outcomes = self.outcomes(&mut slice, page.alerts);
        // What the service counts and has not handed out may lie behind the last alert that came.
        let is_read = next.is_none() && !slice.is_short();
        self.watermark
            .advance(slice.start, if is_read { slice.end } else { slice.complete_until() });
        match next {
            None => slice.warn_if_short(),
            Some(token) if slice.tokens.is_new(&token) => {
                slice.after = Some(token);
                self.go_on(slice);
            }
            // This page is as good as any; only the way on from it is lost.
            Some(_) => {
                partial_error = Some(errors::repeated_token());
            }
        }
        Ok(Page {
            outcomes,
            complete_until: self.watermark.complete_until(),
            partial_error,
            total: self.total,
        })
    }

    /// Reads a slice on: by itself, or in as many parts as there are idle queue.
    fn go_on(&mut self, slice: TimeSlice) {
        for slice in slice.split(self.queue.idle(), u64::from(PAGE_SIZE)) {
            self.watermark.split_at(slice.start);
            self.queue.push(slice);
        }
    }

    /// The alerts of a page that are of this window and new to this run.
    fn outcomes(&mut self, slice: &mut TimeSlice, alerts: Vec<ParsedAlert>) -> Vec<AlertOutcome> {
        let mut outcomes = Vec::with_capacity(alerts.len());
        for alert in alerts {
            if let Some(created) = alert.created_at {
                // `<` may act as `<=`, as `>` was seen to act as `>=`: the end is the next window's.
                if created >= self.window.end {
                    continue;
                }
                slice.observe(created);
            }
            if alert.id.is_none_or(|id| self.alerts.is_new(&id)) {
                outcomes.push(alert.outcome);
            }
        }
        outcomes
    }
}

/// Asks for a slice's next page.
async fn ask(session: Arc<Session>, slice: TimeSlice, thresholds: Thresholds) -> Answered {
    let filter = filter(slice.start, slice.end, thresholds);
    let query =
        Query { filter: &filter, limit: PAGE_SIZE, sort: SORT, after: slice.after.as_deref() };
    let first = slice.after.is_none();
    let reply = session.post(PATH, &query, |response| alert_page(response, first)).await;
    (slice, reply)
}

/// Asks for two alerts (the service's own words ask for more than one) to see whether a run would be
/// let in.
pub(in crate::sources) async fn probe(
    settings: &Settings,
    http: &Http,
    window: Window,
) -> Result<Option<u64>, Failure> {
    let session = Session::new(http, settings);
    let filter = filter(window.start, window.end, settings.thresholds);
    let query = Query { filter: &filter, limit: 2, sort: SORT, after: None };
    let reply = session.post(PATH, &query, |response| alert_page(response, true)).await?;
    let host = settings.address.base().host_str().unwrap_or("CrowdStrike");
    let page = request::accepted(reply, |response| errors::alerts(response, host))?;
    errors::in_page(&page).map_or(Ok(page.total), Err)
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
    for (field, least) in [("severity", thresholds.severity), ("confidence", thresholds.confidence)]
    {
        if least > 0 {
            // Writing to a String cannot fail.
            let _ = write!(filter, "+{field}:>={least}");
        }
    }
    filter
}
