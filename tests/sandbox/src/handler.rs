//! One request and its answer: read it, let the scripted fault act, do the work, send.

use std::collections::HashMap;
use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::{HeaderMap, Request, Response};

use crate::faults::{Fault, Script, Service};
use crate::record::{Flight, Record};
use crate::response_body::Outgoing;
use crate::world::World;
use crate::{carbon_black, falcon, recorded_future};

/// Pieces of a body that is sent slowly.
const SLOW_PIECES: usize = 20;
/// Smaller bodies are not worth compressing.
const GZIP_FROM: usize = 1024;

/// What all connections share.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    pub(crate) world: Arc<Mutex<World>>,
    pub(crate) script: Arc<Mutex<Script>>,
    pub(crate) memory: Arc<Memory>,
    pub(crate) record: Record,
}

/// What the services remember from one request to the next, each behind its own lock.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    falcon: Mutex<falcon::Memory>,
    carbon_black: Mutex<carbon_black::Memory>,
    /// Live items stored, by token.
    submitted: Mutex<HashMap<String, u64>>,
}

/// A request, read in full.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a [u8],
    /// The request's index in the record.
    pub(crate) index: usize,
}

impl Asked<'_> {
    /// A header's text; `None` when it is absent or no text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Whether `Content-Type` is this, parameters aside.
    pub(crate) fn is_content_type(&self, wanted: &str) -> bool {
        let media = self.header("content-type").and_then(|value| value.split(';').next());
        media.is_some_and(|media| media.trim().eq_ignore_ascii_case(wanted))
    }
}

/// An answer, before any fault in its sending.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
    /// Ids of the alerts in it.
    pub(crate) ids: Vec<String>,
}

impl Answer {
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

/// The reason for which a connection is closed without an answer. hyper sees an error and hangs up.
#[derive(Debug)]
pub(crate) struct HangUp;

impl std::fmt::Display for HangUp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the connection is closed without an answer")
    }
}

impl std::error::Error for HangUp {}

/// A lock that a panic elsewhere does not take away: that panic is reported by itself.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// Handles one request. An error makes hyper close the connection without an answer.
    pub(crate) async fn handle(
        self,
        request: Request<Incoming>,
    ) -> Result<Response<Outgoing>, HangUp> {
        let (head, body) = request.into_parts();
        let service = Service::at(head.uri.path());
        let flight = self.record.begin(service, &head);
        let body = body.collect().await.map_err(|_| HangUp)?.to_bytes();
        flight.body(body.clone());

        let latency = lock(&self.world).latency;
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        let fault = service.map_or(Fault::None, |service| lock(&self.script).next(service));
        flight.fault(fault.clone());
        let answer = self.answer(&head, &body, &flight, &fault).await?;
        Ok(self.send(answer, &head.headers, flight, &fault))
    }

    /// The answer under a fault; the arms that do not call `work` leave the work undone.
    async fn answer(
        &self,
        head: &Parts,
        body: &Bytes,
        flight: &Flight,
        fault: &Fault,
    ) -> Result<Answer, HangUp> {
        let work = || self.work(head, body, flight.index, fault);
        match fault {
            Fault::Status { code, headers, body } => Ok(Answer {
                status: *code,
                headers: headers.clone(),
                body: body.clone().into(),
                ids: Vec::new(),
            }),
            Fault::ResetBefore => Err(HangUp),
            Fault::HangThenClose(wait) => {
                tokio::time::sleep(*wait).await;
                Err(HangUp)
            }
            Fault::HangThenAnswer(wait) => {
                tokio::time::sleep(*wait).await;
                Ok(work())
            }
            Fault::ResetAfter => {
                work();
                Err(HangUp)
            }
            Fault::Garbage => Ok(Answer::html()),
            Fault::GarbageAfter => {
                work();
                Ok(Answer::html())
            }
            Fault::Empty200 => Ok(Answer { status: 200, ..Answer::default() }),
            Fault::ExpireTokens => {
                lock(&self.world).falcon.expire_sign_ins();
                Ok(work())
            }
            Fault::ExpireAfter => {
                lock(&self.world).falcon.expire_after();
                Ok(work())
            }
            Fault::None
            | Fault::Truncate
            | Fault::SlowBody(_)
            | Fault::ShortProcessed(_)
            | Fault::WrongDebugEcho => Ok(work()),
        }
    }

    fn work(&self, head: &Parts, body: &[u8], index: usize, fault: &Fault) -> Answer {
        let asked = Asked {
            method: head.method.as_str(),
            path: head.uri.path(),
            headers: &head.headers,
            body,
            index,
        };
        // A copy (alerts are shared, not copied), so that a test may change the world meanwhile.
        let world = lock(&self.world).clone();
        let memory = &self.memory;
        match Service::at(asked.path) {
            Some(Service::FalconToken) => {
                falcon::sign_in(&world.falcon, &mut lock(&memory.falcon), &asked)
            }
            Some(Service::FalconAlerts) => {
                falcon::alerts(&world.falcon, &mut lock(&memory.falcon), &asked)
            }
            Some(Service::CarbonBlack) => {
                carbon_black::search(&world.carbon_black, &mut lock(&memory.carbon_black), &asked)
            }
            Some(Service::RecordedFuture) => {
                let quota = &mut lock(&memory.submitted);
                recorded_future::submit(&world.recorded_future, quota, &self.record, &asked, fault)
            }
            None if asked.path.starts_with("/api/") => carbon_black::not_found(),
            None if asked.path.starts_with("/collective-insights") => recorded_future::not_found(),
            None => falcon::not_found(),
        }
    }

    fn send(
        &self,
        mut answer: Answer,
        asked: &HeaderMap,
        mut flight: Flight,
        fault: &Fault,
    ) -> Response<Outgoing> {
        if lock(&self.world).gzip && answer.body.len() >= GZIP_FROM && accepts_gzip(asked) {
            answer.body = gzip(&answer.body);
            answer = answer.header("Content-Encoding", "gzip").header("Vary", "Accept-Encoding");
        }
        let success = (200..300).contains(&answer.status) && *fault != Fault::GarbageAfter;
        flight.answered(answer.status, if success { answer.ids } else { Vec::new() });
        let length = answer.body.len();
        let body = match fault {
            Fault::Truncate => Outgoing::cut(answer.body, flight),
            Fault::SlowBody(time) => Outgoing::slow(answer.body, SLOW_PIECES, *time, flight),
            _ => Outgoing::whole(answer.body, flight),
        };
        let mut response = Response::builder().status(answer.status);
        for (name, value) in &answer.headers {
            response = response.header(name, value);
        }
        // Only a test's own status or header can be invalid, and then the test is what has to fail.
        let response = response.header("Content-Length", length).body(body);
        response.expect("a scripted status and its headers can be sent")
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
    written.expect("writing into memory does not fail").into()
}

/// The pause after which the half of a cut body has left for the client.
pub(crate) const CUT_AFTER: Duration = Duration::from_millis(30);
