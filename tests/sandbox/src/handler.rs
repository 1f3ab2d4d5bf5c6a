//! Handles one request: reads it, applies the queued fault, processes it and sends the response.

use std::collections::HashMap;
use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use chrono::Utc;
use http_body_util::BodyExt;
use hyper::HeaderMap;
use hyper::body::Incoming;
use hyper::http::request::Parts;
use tokio::sync::mpsc::UnboundedSender;

use crate::alert_store::Snapshot;
use crate::carbon_black::CarbonBlackKeys;
use crate::falcon::FalconKeys;
use crate::faults::{Fault, FaultPlan, Service};
use crate::record::{InFlight, Recorder};
use crate::response_body::ResponseBody;
use crate::server::ConnectionFault;
use crate::time::http_date;
use crate::world::{DateHeader, World};
use crate::{carbon_black, falcon, recorded_future};

/// Smaller bodies, in bytes, are not compressed.
const GZIP_MIN_BYTES: usize = 1024;

/// The state that all connections share.
#[derive(Debug, Clone)]
pub(crate) struct SharedState {
    pub(crate) world: Arc<Mutex<World>>,
    pub(crate) faults: Arc<Mutex<FaultPlan>>,
    pub(crate) services: Arc<ServiceStates>,
    pub(crate) recorder: Recorder,
}

/// The state of the services between requests, each behind its own lock.
#[derive(Debug, Default)]
pub(crate) struct ServiceStates {
    falcon: Mutex<falcon::FalconState>,
    carbon_black: Mutex<carbon_black::SearchCache>,
    falcon_alerts: Mutex<Option<Snapshot<FalconKeys>>>,
    carbon_black_alerts: Mutex<Option<Snapshot<CarbonBlackKeys>>>,
    /// The number of items charged to the quota of each token.
    quota_used: Mutex<HashMap<String, u64>>,
}

/// A request whose body was read.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a [u8],
    /// The request's index in the record.
    pub(crate) index: usize,
}

impl Request<'_> {
    /// Returns the text of a header; `None` if it is absent or not text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Reports whether the `Content-Type` without its parameters is `wanted`.
    pub(crate) fn is_content_type(&self, wanted: &str) -> bool {
        let media = self.header("content-type").and_then(|value| value.split(';').next());
        media.is_some_and(|media| media.trim().eq_ignore_ascii_case(wanted))
    }
}

/// A response, before any fault while it is sent.
#[derive(Debug, Default)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
    /// The ids of the alerts in it.
    pub(crate) ids: Vec<String>,
}

impl Response {
    pub(crate) fn json(status: u16, body: impl Into<String>) -> Self {
        Self { status, body: body.into().into(), ..Self::default() }
            .header("Content-Type", "application/json")
    }

    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    fn html() -> Self {
        let page = "<!DOCTYPE html><html><head><title>Please wait</title></head><body><h1>Checking your browser</h1></body></html>";
        Self { status: 200, body: page.into(), ..Self::default() }
            .header("Content-Type", "text/html; charset=utf-8")
    }
}

/// The error that makes hyper close the connection without a response. Over HTTP/2 it resets only
/// the stream of the request.
#[derive(Debug)]
pub(crate) enum Disconnect {
    /// Over HTTP/2, the reason of the reset is INTERNAL_ERROR.
    Reset,
    /// Over HTTP/2, the reset has the reason of this error, which hyper finds with `source`.
    WithReason(h2::Error),
}

impl std::fmt::Display for Disconnect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the connection is closed without a response")
    }
}

impl std::error::Error for Disconnect {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Reset => None,
            Self::WithReason(error) => Some(error),
        }
    }
}

/// Locks a mutex, also after a panic elsewhere: that panic is reported there.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SharedState {
    /// Handles one request. An error makes hyper close the connection without a response, or over
    /// HTTP/2 reset the stream.
    pub(crate) async fn handle(
        self,
        request: hyper::Request<Incoming>,
        connection: UnboundedSender<ConnectionFault>,
    ) -> Result<hyper::Response<ResponseBody>, Disconnect> {
        let (head, body) = request.into_parts();
        let service = Service::at(head.uri.path());
        let in_flight = self.recorder.begin(service, &head);
        let body = body.collect().await.map_err(|_| Disconnect::Reset)?.to_bytes();
        in_flight.set_body(body.clone());

        let latency = lock(&self.world).latency;
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        let fault = service.map_or(Fault::None, |service| lock(&self.faults).next(service));
        in_flight.set_fault(fault.clone());
        let is_http2 = head.version == hyper::Version::HTTP_2;
        let connection_fault = match fault {
            Fault::GoAwayWithError if is_http2 => Some(ConnectionFault::GoAwayWithError),
            Fault::CloseConnection | Fault::GoAwayWithError => Some(ConnectionFault::Close),
            Fault::GoAway => Some(ConnectionFault::GoAway),
            Fault::StopServing => Some(ConnectionFault::StopServing),
            _ => None,
        };
        if let Some(connection_fault) = connection_fault {
            // It fails only if the connection has ended already.
            let _ = connection.send(connection_fault);
        }
        if matches!(fault, Fault::CloseConnection | Fault::GoAwayWithError | Fault::StopServing) {
            drop(in_flight);
            return std::future::pending().await;
        }
        let response = self.respond(&head, &body, &in_flight, &fault).await?;
        let response = self.with_date(response, service);
        Ok(self.send(response, &head.headers, in_flight, &fault))
    }

    /// Returns the response under a fault. An arm that does not call `process` leaves the request
    /// unprocessed.
    async fn respond(
        &self,
        head: &Parts,
        body: &Bytes,
        in_flight: &InFlight,
        fault: &Fault,
    ) -> Result<Response, Disconnect> {
        let process = || self.process(head, body, in_flight.index, fault);
        match fault {
            Fault::Status { code, headers, body } => Ok(Response {
                status: *code,
                headers: headers.clone(),
                body: body.clone().into(),
                ids: Vec::new(),
            }),
            Fault::Reset | Fault::CloseConnection | Fault::GoAwayWithError | Fault::StopServing => {
                Err(Disconnect::Reset)
            }
            Fault::RefuseStream => Err(Disconnect::WithReason(h2::Reason::REFUSED_STREAM.into())),
            Fault::HangThenReset(wait) => {
                tokio::time::sleep(*wait).await;
                Err(Disconnect::Reset)
            }
            Fault::HangThenRespond(wait) => {
                tokio::time::sleep(*wait).await;
                Ok(process())
            }
            Fault::ResetAfterProcessing => {
                process();
                Err(Disconnect::Reset)
            }
            Fault::Html => Ok(Response::html()),
            Fault::HtmlAfterProcessing => {
                process();
                Ok(Response::html())
            }
            Fault::StatusAfterProcessing(code, body) => {
                process();
                Ok(Response { status: *code, body: body.clone().into(), ..Response::default() })
            }
            Fault::Empty200 => Ok(Response { status: 200, ..Response::default() }),
            Fault::ExpireAccessTokens => {
                lock(&self.world).falcon.expire_access_tokens();
                Ok(process())
            }
            Fault::ExpirePageTokens => {
                lock(&self.world).falcon.expire_page_tokens();
                Ok(process())
            }
            Fault::RemoveAlerts(ids) => {
                let is_kept = |id: &str| !ids.iter().any(|removed| removed == id);
                let mut world = lock(&self.world);
                world.falcon.alerts.retain(is_kept);
                world.carbon_black.alerts.retain(is_kept);
                drop(world);
                Ok(process())
            }
            Fault::None
            | Fault::WithoutPagination
            | Fault::RepeatedPage
            | Fault::LoopingPage
            | Fault::EmptyPage
            | Fault::Truncate
            | Fault::SlowBody(_)
            | Fault::GoAway
            | Fault::FewerProcessed(_)
            | Fault::WrongDebugEcho => Ok(process()),
        }
    }

    fn process(&self, head: &Parts, body: &[u8], index: usize, fault: &Fault) -> Response {
        let request = Request {
            method: head.method.as_str(),
            path: head.uri.path(),
            headers: &head.headers,
            body,
            index,
        };
        // A cheap copy (alerts are shared), so that a test can change the world at the same time.
        let mut world = lock(&self.world).clone();
        let services = &self.services;
        let now = world.date.unwrap_or_else(Utc::now);
        if let Some(time) = world.date {
            Snapshot::apply(&mut lock(&services.falcon_alerts), &mut world.falcon.alerts, time);
            let cached = &mut lock(&services.carbon_black_alerts);
            Snapshot::apply(cached, &mut world.carbon_black.alerts, time);
        }
        match Service::at(request.path) {
            Some(Service::FalconToken) => {
                falcon::sign_in(&world.falcon, &mut lock(&services.falcon), &request)
            }
            Some(Service::FalconAlerts) => {
                falcon::alerts(&world.falcon, &mut lock(&services.falcon), &request, fault)
            }
            Some(Service::CarbonBlack) => carbon_black::search(
                &world.carbon_black,
                &mut lock(&services.carbon_black),
                &request,
                fault,
            ),
            Some(Service::RecordedFuture) => {
                let quota_used = &mut lock(&services.quota_used);
                let world = &world.recorded_future;
                recorded_future::submit(world, quota_used, &self.recorder, now, &request, fault)
            }
            Some(Service::Search) => recorded_future::search(
                &world.recorded_future, &self.recorder, now, &request, fault,
            ),
            None if request.path.starts_with("/api/") => carbon_black::not_found(),
            None if request.path.starts_with("/collective-insights") => {
                recorded_future::not_found()
            }
            None => falcon::not_found(),
        }
    }

    /// Adds the `Date` of the service, unless the response has one.
    fn with_date(&self, response: Response, service: Option<Service>) -> Response {
        if response.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("date")) {
            return response;
        }
        let world = lock(&self.world);
        let date = match service {
            Some(Service::FalconToken | Service::FalconAlerts) => world.falcon.date.clone(),
            Some(Service::CarbonBlack) => world.carbon_black.date.clone(),
            Some(Service::RecordedFuture | Service::Search) => world.recorded_future.date.clone(),
            None => DateHeader::default(),
        };
        let now = world.date.unwrap_or_else(Utc::now);
        match date {
            DateHeader::Skew(skew) => response.header("Date", http_date(now + skew)),
            DateHeader::Text(text) => response.header("Date", text),
            DateHeader::Absent => response,
        }
    }

    fn send(
        &self,
        mut response: Response,
        request_headers: &HeaderMap,
        mut in_flight: InFlight,
        fault: &Fault,
    ) -> hyper::Response<ResponseBody> {
        let large = response.body.len() >= GZIP_MIN_BYTES;
        if lock(&self.world).gzip && large && accepts_gzip(request_headers) {
            response.body = gzip(&response.body);
            response =
                response.header("Content-Encoding", "gzip").header("Vary", "Accept-Encoding");
        }
        let success = (200..300).contains(&response.status) && *fault != Fault::HtmlAfterProcessing;
        in_flight.set_response(response.status, if success { response.ids } else { Vec::new() });
        let length = response.body.len();
        let body = match fault {
            Fault::Truncate => ResponseBody::truncated(response.body, in_flight),
            Fault::SlowBody(time) => ResponseBody::slow(response.body, *time, in_flight),
            _ => ResponseBody::complete(response.body, in_flight),
        };
        let mut builder = hyper::Response::builder().status(response.status);
        for (name, value) in &response.headers {
            builder = builder.header(name, value);
        }
        // Only a fault of a test can have an invalid status or header; then that test must fail.
        let response = builder.header("Content-Length", length).body(body);
        response.expect("the status and the headers of the fault are valid")
    }
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
    let all = headers.get_all("accept-encoding");
    all.iter().filter_map(|value| value.to_str().ok()).any(|value| {
        value.split(',').any(|coding| {
            let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
            name.trim() == "gzip" && !matches!(weight.trim(), "q=0" | "q=0.0")
        })
    })
}

fn gzip(body: &[u8]) -> Bytes {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let written = encoder.write_all(body).and_then(|()| encoder.finish());
    written.expect("writing to memory does not fail").into()
}
