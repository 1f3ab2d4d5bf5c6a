//! The record of all requests, of the alerts that were served, and of the items that were stored.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::faults::{Fault, Service};

/// One request as it was received, and its outcome.
#[derive(Debug, Clone)]
pub struct RecordedRequest {
    /// `None` for a path that does not belong to a service.
    pub service: Option<Service>,
    /// The HTTP method.
    pub method: String,
    /// The path with its query; over HTTP/2 with scheme and host.
    pub path: String,
    /// Whether it arrived over HTTP/2.
    pub http2: bool,
    /// Names in lower case, in the order of arrival.
    pub headers: Vec<(String, String)>,
    /// Empty if the client disconnected before all of it arrived.
    pub body: Bytes,
    /// `None` if the connection was closed without a response.
    pub status: Option<u16>,
    /// Bytes of the body passed to the connection, after compression.
    pub bytes_out: u64,
    /// Whether the whole response was sent.
    pub complete: bool,
    /// The fault that was injected.
    pub fault: Fault,
    /// When the head had arrived.
    pub started: Instant,
    /// `None` while it is in flight.
    pub ended: Option<Instant>,
}

impl RecordedRequest {
    /// Parses the body as JSON.
    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// Returns the first header with this name, given in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// One submission that Recorded Future stored.
#[derive(Debug, Clone)]
pub struct StoredItem {
    /// The element of `data`, unchanged.
    pub item: Value,
    /// The organization ids of its batch.
    pub organization_ids: Option<Vec<String>>,
    /// The token of the request.
    pub token: String,
    /// Index into [`crate::Sandbox::requests`] of the request that submitted it.
    pub request: usize,
    /// When it was stored.
    pub at: Instant,
    /// The same in the time of the services.
    pub stored_at: DateTime<Utc>,
}

/// The ids of the alerts in successful responses that were sent in full, in order, with duplicates.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServedAlerts {
    /// `composite_id`
    pub falcon: Vec<String>,
    /// `id`
    pub carbon_black: Vec<String>,
}

#[derive(Debug, Default)]
pub(crate) struct Records {
    pub(crate) requests: Vec<RecordedRequest>,
    pub(crate) stored: Vec<StoredItem>,
    pub(crate) served_alerts: ServedAlerts,
    pub(crate) posts_in_flight: usize,
    pub(crate) overlapping_posts: bool,
    pub(crate) panics: Vec<String>,
    /// Whether bodies, stored items and ids of alerts are not kept, so that the memory of a sandbox
    /// that runs on its own does not grow with each request.
    pub(crate) discards_contents: bool,
}

/// Writes the record. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recorder(Arc<Mutex<Records>>);

impl Recorder {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Records> {
        // A panic elsewhere is reported there; the record stays readable.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records a request whose head has arrived.
    pub(crate) fn begin(
        &self,
        service: Option<Service>,
        head: &hyper::http::request::Parts,
    ) -> InFlight {
        let headers = head
            .headers
            .iter()
            .map(|(name, value)| {
                (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
            })
            .collect();
        let mut records = self.lock();
        if service == Some(Service::RecordedFuture) {
            records.posts_in_flight += 1;
            records.overlapping_posts |= records.posts_in_flight > 1;
        }
        records.requests.push(RecordedRequest {
            service,
            method: head.method.to_string(),
            path: head.uri.to_string(),
            http2: head.version == hyper::Version::HTTP_2,
            headers,
            body: Bytes::new(),
            status: None,
            bytes_out: 0,
            complete: false,
            fault: Fault::None,
            started: Instant::now(),
            ended: None,
        });
        let index = records.requests.len() - 1;
        InFlight { recorder: self.clone(), index, service, ids: Vec::new() }
    }
}

/// A request in flight. It ends when this is dropped: after the last byte, or on a disconnect.
#[derive(Debug)]
pub(crate) struct InFlight {
    recorder: Recorder,
    pub(crate) index: usize,
    service: Option<Service>,
    ids: Vec<String>,
}

impl InFlight {
    pub(crate) fn set_body(&self, body: Bytes) {
        let mut records = self.recorder.lock();
        if !records.discards_contents {
            records.requests[self.index].body = body;
        }
    }

    pub(crate) fn set_fault(&self, fault: Fault) {
        self.recorder.lock().requests[self.index].fault = fault;
    }

    /// Records the status, and the alerts that count as served once the response is sent in full.
    pub(crate) fn set_response(&mut self, status: u16, ids: Vec<String>) {
        self.recorder.lock().requests[self.index].status = Some(status);
        self.ids = ids;
    }

    pub(crate) fn add_sent(&self, bytes: usize) {
        self.recorder.lock().requests[self.index].bytes_out += bytes as u64;
    }

    /// Records that the response was sent in full.
    pub(crate) fn complete(&mut self) {
        let ids = std::mem::take(&mut self.ids);
        let mut records = self.recorder.lock();
        records.requests[self.index].complete = true;
        match self.service {
            _ if records.discards_contents => {}
            Some(Service::FalconAlerts) => records.served_alerts.falcon.extend(ids),
            Some(Service::CarbonBlack) => records.served_alerts.carbon_black.extend(ids),
            _ => {}
        }
        drop(records);
        self.end();
    }

    /// Records the end. From here on the client has its response and may send the next request.
    fn end(&mut self) {
        let mut records = self.recorder.lock();
        let request = &mut records.requests[self.index];
        if request.ended.is_some() {
            return;
        }
        request.ended = Some(Instant::now());
        if self.service == Some(Service::RecordedFuture) {
            records.posts_in_flight -= 1;
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.end();
    }
}
