//! Faults that a test can switch on, one queue per service.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

/// One of the four endpoints that faults are scripted for and requests are counted by.
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
}

impl Service {
    /// The service behind a path (without its query), if there is one.
    pub fn at(path: &str) -> Option<Self> {
        match path {
            "/oauth2/token" => Some(Self::FalconToken),
            "/alerts/combined/alerts/v1" => Some(Self::FalconAlerts),
            "/collective-insights/detections" => Some(Self::RecordedFuture),
            _ => org_of(path).map(|_| Self::CarbonBlack),
        }
    }
}

/// The organization key in a Carbon Black search path.
pub(crate) fn org_of(path: &str) -> Option<&str> {
    let org = path.strip_prefix("/api/alerts/v7/orgs/")?.strip_suffix("/alerts/_search")?;
    (!org.is_empty() && !org.contains('/')).then_some(org)
}

/// What goes wrong with one request. "Work" is what the request asks for: a batch stored, a page read, a token made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: the request passes.
    None,
    /// This answer; the work is not done.
    Status {
        /// A status that HTTP knows: 200 to 599.
        code: u16,
        /// Names and values, `Content-Length` left out.
        headers: Vec<(String, String)>,
        /// Sent as it stands.
        body: String,
    },
    /// The connection is closed without an answer; the work is not done.
    ResetBefore,
    /// The work is done, then the connection is closed without an answer.
    ResetAfter,
    /// Silence for that long, then `ResetBefore`.
    HangThenClose(Duration),
    /// Silence for that long, then a normal answer. The work is done only if the client still waits.
    HangThenAnswer(Duration),
    /// The work is done; the head is right, `Content-Length` included, but the body ends in its middle.
    Truncate,
    /// 200 with a page of HTML; the work is not done.
    Garbage,
    /// The work is done; 200 with a page of HTML.
    GarbageAfter,
    /// 200 with no body; the work is not done.
    Empty200,
    /// Falcon: every access token becomes unknown, then the request is handled, which makes it a 401.
    ExpireTokens,
    /// Falcon: every `after` token becomes unknown, then the request is handled; a later page is then a 400.
    ExpireAfter,
    /// Recorded Future: all is stored, but `processed` counts that many fewer.
    ShortProcessed(u64),
    /// Recorded Future: `debug` is echoed as its opposite, and nothing is stored.
    WrongDebugEcho,
    /// The work is done; the body comes in twenty pieces over that time.
    SlowBody(Duration),
}

impl Fault {
    /// A status with no more than a text.
    pub fn status(code: u16, body: impl Into<String>) -> Self {
        Self::Status { code, headers: Vec::new(), body: body.into() }
    }

    /// 429 or 503 with `Retry-After` (seconds or an HTTP date, as given).
    pub fn retry_after(code: u16, retry_after: impl Into<String>) -> Self {
        let headers = vec![("Retry-After".to_owned(), retry_after.into())];
        Self::Status { code, headers, body: String::new() }
    }
}

/// What is scripted, and what has not yet come.
#[derive(Debug, Default)]
pub(crate) struct Script {
    queues: HashMap<Service, VecDeque<Fault>>,
    always: HashMap<Service, Fault>,
}

impl Script {
    pub(crate) fn queue(&mut self, service: Service, faults: Vec<Fault>) {
        self.queues.entry(service).or_default().extend(faults);
    }

    pub(crate) fn always(&mut self, service: Service, fault: Option<Fault>) {
        match fault {
            Some(fault) => self.always.insert(service, fault),
            None => self.always.remove(&service),
        };
    }

    /// The fault of the next request. The queue goes first; what is said to be always so follows it.
    pub(crate) fn next(&mut self, service: Service) -> Fault {
        let queued = self.queues.get_mut(&service).and_then(VecDeque::pop_front);
        queued.or_else(|| self.always.get(&service).cloned()).unwrap_or(Fault::None)
    }

    pub(crate) fn end(&mut self, service: Service) {
        self.queues.remove(&service);
        self.always.remove(&service);
    }

    pub(crate) fn left(&self, service: Service) -> usize {
        self.queues.get(&service).map_or(0, VecDeque::len)
    }
}
