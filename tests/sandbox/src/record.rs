//! What was asked, what was answered, and what was stored.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use serde_json::Value;

use crate::faults::{Fault, Service};

/// One request, as it came, and what became of it.
#[derive(Debug, Clone)]
pub struct Asked {
    /// `None` for a path that is none of the services'.
    pub service: Option<Service>,
    /// `POST`, most often.
    pub method: String,
    /// Path with its query.
    pub path: String,
    /// Names in lower case, in the order in which they came.
    pub headers: Vec<(String, String)>,
    /// Empty when the client went away before all of it came.
    pub body: Bytes,
    /// `None` when the connection was closed without an answer.
    pub status: Option<u16>,
    /// Bytes of body handed to the connection, after compression.
    pub bytes_out: u64,
    /// Whether the whole answer was sent.
    pub complete: bool,
    /// What was scripted to go wrong with it.
    pub fault: Fault,
    /// When its head had come.
    pub started: Instant,
    /// `None` while it is under way.
    pub ended: Option<Instant>,
}

impl Asked {
    /// The body as JSON, when it is that.
    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// The first header of that name (give it in lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// One submission that Recorded Future keeps.
#[derive(Debug, Clone)]
pub struct Stored {
    /// The element of `data`.
    pub item: Value,
    /// Those of its batch.
    pub organization_ids: Option<Vec<String>>,
    /// Index into [`crate::Sandbox::requests`] of the request that brought it.
    pub request: usize,
    /// When it was stored.
    pub at: Instant,
}

/// Ids of the alerts in answers that were successful and sent to their end, in that order, repeats included.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HandedOut {
    /// `composite_id`
    pub falcon: Vec<String>,
    /// `id`
    pub carbon_black: Vec<String>,
}

#[derive(Debug, Default)]
pub(crate) struct Pages {
    pub(crate) requests: Vec<Asked>,
    pub(crate) stored: Vec<Stored>,
    pub(crate) handed_out: HandedOut,
    pub(crate) posts_in_flight: usize,
    pub(crate) overlapping_posts: bool,
    pub(crate) panics: Vec<String>,
}

/// The record, shared by everything that writes to it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Record(Arc<Mutex<Pages>>);

impl Record {
    pub(crate) fn open(&self) -> MutexGuard<'_, Pages> {
        // A panic elsewhere is reported by itself; the record stays readable.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes down a request whose head has come.
    pub(crate) fn begin(
        &self,
        service: Option<Service>,
        head: &hyper::http::request::Parts,
    ) -> Flight {
        let headers = head
            .headers
            .iter()
            .map(|(name, value)| {
                (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
            })
            .collect();
        let mut pages = self.open();
        if service == Some(Service::RecordedFuture) {
            pages.posts_in_flight += 1;
            pages.overlapping_posts |= pages.posts_in_flight > 1;
        }
        pages.requests.push(Asked {
            service,
            method: head.method.to_string(),
            path: head.uri.to_string(),
            headers,
            body: Bytes::new(),
            status: None,
            bytes_out: 0,
            complete: false,
            fault: Fault::None,
            started: Instant::now(),
            ended: None,
        });
        Flight { record: self.clone(), index: pages.requests.len() - 1, service, ids: Vec::new() }
    }
}

/// A request under way. It ends when this is dropped: after the last byte, or because a side went away.
#[derive(Debug)]
pub(crate) struct Flight {
    record: Record,
    pub(crate) index: usize,
    service: Option<Service>,
    ids: Vec<String>,
}

impl Flight {
    pub(crate) fn body(&self, body: Bytes) {
        self.record.open().requests[self.index].body = body;
    }

    pub(crate) fn fault(&self, fault: Fault) {
        self.record.open().requests[self.index].fault = fault;
    }

    /// Writes down the status, and the alerts that count as handed out once all is sent.
    pub(crate) fn answered(&mut self, status: u16, ids: Vec<String>) {
        self.record.open().requests[self.index].status = Some(status);
        self.ids = ids;
    }

    pub(crate) fn sent(&self, bytes: usize) {
        self.record.open().requests[self.index].bytes_out += bytes as u64;
    }

    pub(crate) fn complete(&mut self) {
        let ids = std::mem::take(&mut self.ids);
        let mut pages = self.record.open();
        pages.requests[self.index].complete = true;
        match self.service {
            Some(Service::FalconAlerts) => pages.handed_out.falcon.extend(ids),
            Some(Service::CarbonBlack) => pages.handed_out.carbon_black.extend(ids),
            _ => {}
        }
        drop(pages);
        self.end();
    }

    /// The client has its answer from here on and may send the next request at once.
    fn end(&mut self) {
        let mut pages = self.record.open();
        let asked = &mut pages.requests[self.index];
        if asked.ended.is_some() {
            return;
        }
        asked.ended = Some(Instant::now());
        if self.service == Some(Service::RecordedFuture) {
            pages.posts_in_flight -= 1;
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.end();
    }
}
