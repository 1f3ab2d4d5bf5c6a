//! Faults that a test can inject into requests (an error status, a closed connection, a wrong
//! page), one queue per service.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

/// One of the five endpoints of the web services. Faults are queued and requests are counted per
/// endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Service {
    /// `POST /oauth2/token`
    FalconToken,
    /// `POST /alerts/combined/alerts/v1`
    FalconAlerts,
    /// `POST /api/alerts/v7/orgs/{org}/alerts/_search`
    CarbonBlack,
    /// `POST /collective-insights/detections`
    RecordedFuture,
    /// `POST /collective-insights/search`
    Search,
}

impl Service {
    /// Returns the service that has this path (without its query).
    pub fn at(path: &str) -> Option<Self> {
        match path {
            "/oauth2/token" => Some(Self::FalconToken),
            "/alerts/combined/alerts/v1" => Some(Self::FalconAlerts),
            "/collective-insights/detections" => Some(Self::RecordedFuture),
            "/collective-insights/search" => Some(Self::Search),
            _ => org_of(path).map(|_| Self::CarbonBlack),
        }
    }
}

/// Returns the organization key in the path of a Carbon Black search.
pub(crate) fn org_of(path: &str) -> Option<&str> {
    let org = path.strip_prefix("/api/alerts/v7/orgs/")?.strip_suffix("/alerts/_search")?;
    (!org.is_empty() && !org.contains('/')).then_some(org)
}

/// The fault of one request. "Processes" means that the request takes effect: a batch is
/// stored, a page is read, a token is issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// No fault.
    None,
    /// Responds with this status, without processing.
    Status {
        /// A valid HTTP status: 200 to 599.
        code: u16,
        /// Names and values, without `Content-Length`.
        headers: Vec<(String, String)>,
        /// Sent unchanged.
        body: String,
    },
    /// Closes the connection without a response, without processing. Over HTTP/2, this and the next
    /// faults that close a connection reset only the stream of the request (RST_STREAM).
    Reset,
    /// Processes the request, then closes the connection without a response.
    ResetAfterProcessing,
    /// Waits, then does the same as `Reset`.
    HangThenReset(Duration),
    /// Waits, then processes and responds normally, unless the client has disconnected by then.
    HangThenRespond(Duration),
    /// Processes the request, sends the head with the `Content-Length` of the whole body and then
    /// half of the body, and closes the connection.
    Truncate,
    /// Responds 200 with an HTML page, without processing.
    Html,
    /// Processes the request, and responds 200 with an HTML page.
    HtmlAfterProcessing,
    /// Responds 200 with no body, without processing.
    Empty200,
    /// Processes the request, and responds with this status and body instead.
    StatusAfterProcessing(u16, String),
    /// Falcon: invalidates all access tokens, then processes the request, which is then a 401.
    ExpireAccessTokens,
    /// Falcon: invalidates all `after` tokens, then processes the request; a later page is then
    /// rejected.
    ExpirePageTokens,
    /// Falcon, Carbon Black and the search: leaves out what belongs to the paging:
    /// `meta.pagination`, `num_found` and `num_available`, or `counts`.
    WithoutPagination,
    /// Falcon, Carbon Black and the search: returns the rows of the previous page instead of this
    /// page's own, which the client then never gets. A Falcon page still has the token of the next
    /// page. No effect on a first page.
    RepeatedPage,
    /// Falcon, Carbon Black and the search: paging goes in circles. A Falcon page has the rows of
    /// the previous page and a token that leads to this page again; the other two return their
    /// first rows again. No effect on a first page.
    LoopingPage,
    /// Falcon, Carbon Black and the search: returns a later page as if nothing was found: no rows,
    /// and a total of 0. No effect on a first page.
    EmptyPage,
    /// Falcon and Carbon Black: removes the alerts with these ids, then processes the request.
    RemoveAlerts(Vec<String>),
    /// Recorded Future: stores all items, but reports that many fewer as `processed`.
    FewerProcessed(u64),
    /// Recorded Future: echoes the opposite of `debug`, and stores nothing.
    WrongDebugEcho,
    /// Processes the request, and sends the body in chunks over that time.
    SlowBody(Duration),
    /// Closes the connection, over HTTP/2 with all its requests, without processing.
    CloseConnection,
    /// Closes the connection with all its requests, without processing; over HTTP/2 it sends GOAWAY
    /// with INTERNAL_ERROR before that.
    GoAwayWithError,
    /// Refuses the request, without processing: over HTTP/2 it resets the stream with
    /// REFUSED_STREAM, over HTTP/1.1 it does the same as `Reset`.
    RefuseStream,
    /// Processes the request and responds, but takes no further request on the connection: over
    /// HTTP/2 it sends GOAWAY.
    GoAway,
    /// Keeps the connection open, but neither reads nor sends anything from now on, without
    /// processing.
    StopServing,
}

impl Fault {
    /// Responds with a status and a body.
    pub fn status(code: u16, body: impl Into<String>) -> Self {
        Self::Status { code, headers: Vec::new(), body: body.into() }
    }

    /// Responds with a status and `Retry-After` (seconds or an HTTP date).
    pub fn retry_after(code: u16, retry_after: impl Into<String>) -> Self {
        let headers = vec![("Retry-After".to_owned(), retry_after.into())];
        Self::Status { code, headers, body: String::new() }
    }
}

/// 2xx responses to a batch that are not a receipt: they do not confirm that it was stored. Each is
/// a status and a body.
pub const NOT_RECEIPTS: [(u16, &str); 8] = [
    (200, "{}"),
    (200, r#"{"message":"Internal error"}"#),
    (200, r#"{"error":"login_required"}"#),
    (200, r#"{"result":{"status":"error"}}"#),
    (200, r#"{"result":{"status":"error","debug":false}}"#),
    (200, r#"{"result":{"status":"OK","summary":{"processed":{"hash":1}}}}"#),
    (202, "{}"),
    (204, ""),
];

/// The faults that are still to be injected.
#[derive(Debug, Default)]
pub(crate) struct FaultPlan {
    queues: HashMap<Service, VecDeque<Fault>>,
    always: HashMap<Service, Fault>,
}

impl FaultPlan {
    pub(crate) fn queue(&mut self, service: Service, faults: Vec<Fault>) {
        self.queues.entry(service).or_default().extend(faults);
    }

    pub(crate) fn always(&mut self, service: Service, fault: Option<Fault>) {
        match fault {
            Some(fault) => self.always.insert(service, fault),
            None => self.always.remove(&service),
        };
    }

    /// Takes the fault for the next request: from the queue, and once that is empty the permanent
    /// one.
    pub(crate) fn next(&mut self, service: Service) -> Fault {
        let queued = self.queues.get_mut(&service).and_then(VecDeque::pop_front);
        queued.or_else(|| self.always.get(&service).cloned()).unwrap_or(Fault::None)
    }

    pub(crate) fn clear(&mut self, service: Service) {
        self.queues.remove(&service);
        self.always.remove(&service);
    }

    pub(crate) fn remaining(&self, service: Service) -> usize {
        self.queues.get(&service).map_or(0, VecDeque::len)
    }
}
