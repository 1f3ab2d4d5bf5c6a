//! The one place that talks HTTP: it builds the client, retries, waits, and bounds every wait.
//!
//! It does not know what the payloads mean. A caller hands it a [`Request`] and a function that reads a
//! successful response; an answer that cannot be read (cut short, not JSON) counts as broken, never as
//! empty, and is tried again like any other passing fault.

mod buffers;
mod certificate;
mod concurrency;
mod error;
mod proxy;
mod response;
mod retry;
mod trust;
mod waits;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode, Url, redirect};

pub use self::buffers::Body;
use self::buffers::BodyBuffers;
pub use self::certificate::{Reason, RejectedCertificate};
use self::concurrency::{ConcurrencyLimit, Permit};
pub use self::error::HttpError;
use self::proxy::Proxies;
pub use self::proxy::remember_passwords;
pub use self::response::{MalformedBody, Response, truncate_message, truncate_trace_id};
pub use self::retry::{MAX_RETRY_AFTER, TRIES};
pub use self::waits::PendingWaits;
use crate::clock::Clock;
use crate::failure::{Failure, FailureKind};
use crate::shutdown::Shutdown;

/// The largest answer that is read into memory, in bytes: many times the largest real page.
const MAX_ANSWER_BYTES: usize = 256 * 1024 * 1024;
/// How much of a refusal is read: its words are at its beginning.
const MAX_REFUSAL_BYTES: usize = 1024 * 1024;

/// How the network is met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// A PEM file of certificates that are trusted beside the system's.
    pub ca_cert: Option<PathBuf>,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// How long one try of a request may take, its answer's last byte included.
    pub timeout: Duration,
}

impl Options {
    /// Whether a client can be built on this, and whom and what it would go by.
    ///
    /// # Errors
    /// When certificates cannot be loaded, or the environment's proxy cannot be used.
    pub fn examine(&self) -> Result<String, Failure> {
        let (_, proxy) = Proxies::from_environment()?;
        let (_, certificates) = self.tls()?;
        Ok(match proxy {
            Some(proxy) => format!("{certificates}; {proxy}"),
            None => format!("{certificates}; no proxy"),
        })
    }

    /// TLS, and a word on whose certificates are trusted.
    fn tls(&self) -> Result<(rustls::ClientConfig, String), Failure> {
        let (extra_roots, word) = match &self.ca_cert {
            Some(path) => {
                let certificates = trust::read(path)?;
                let word = format!(
                    "trusted are the system's certificates and {} in {}",
                    certificates.len(),
                    path.display()
                );
                (certificates, word)
            }
            None => (Vec::new(), "trusted are the system's certificates".to_owned()),
        };
        let tls = trust::tls(extra_roots).map_err(|error| unbuilt(&error))?;
        Ok((tls, word))
    }
}

fn unbuilt(error: &(dyn std::error::Error + 'static)) -> Failure {
    Failure::new(
        FailureKind::Configuration,
        "the HTTPS client could not be set up",
        "Check that the system's certificates are installed (package ca-certificates).",
    )
    .with_cause(error::chain(error))
}

/// One request, ready to be sent any number of times.
#[derive(Clone)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// Where to.
    pub url: Url,
    /// All headers; those that carry a secret are marked sensitive by their maker.
    pub headers: HeaderMap,
    /// The body's bytes.
    pub body: Vec<u8>,
}

/// Without headers and body: a sign-in's body holds a secret.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({} {}, {} bytes)", self.method, self.url, self.body.len())
    }
}

impl Request {
    /// The service's host, for messages.
    #[must_use]
    pub fn host(&self) -> &str {
        self.url.host_str().unwrap_or("the service")
    }
}

/// What became of a call that was answered.
#[derive(Debug)]
pub enum Reply<T> {
    /// A 2xx response, read.
    Success(T),
    /// Any other response, after the retries that its status deserves.
    Rejected(Response),
}

/// The client: one for all services of a run.
#[derive(Debug, Clone)]
pub struct Http {
    client: reqwest::Client,
    clock: Clock,
    deadline: tokio::time::Instant,
    stop: Shutdown,
    throttle: Arc<ConcurrencyLimit>,
    waits: PendingWaits,
    room: Arc<BodyBuffers>,
    proxies: Arc<Proxies>,
    tries: u32,
}

impl Http {
    /// Builds the client: system certificates and those of the options, proxies from the environment,
    /// HTTP/2 where it is offered, gzip, no automatic redirects (they would resend secrets anywhere).
    ///
    /// `deadline` bounds the whole run, counted from now.
    ///
    /// # Errors
    /// When certificates cannot be loaded, or the environment's proxy cannot be used.
    pub fn new(
        options: &Options,
        clock: Clock,
        deadline: Duration,
        stop: Shutdown,
    ) -> Result<Self, Failure> {
        let (proxies, proxy) = Proxies::from_environment()?;
        let (tls, certificates) = options.tls()?;
        tracing::debug!("{certificates}");
        if let Some(proxy) = proxy {
            tracing::info!("{proxy}");
        }
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .user_agent(format!(
                "collective-insights/{} ({})",
                env!("CARGO_PKG_VERSION"),
                std::env::consts::OS
            ))
            .redirect(redirect::Policy::none())
            // The policy of this module is the only one: nothing is repeated behind its back.
            .retry(reqwest::retry::never())
            .connect_timeout(options.connect_timeout)
            .timeout(options.timeout)
            .gzip(true)
            .build()
            .map_err(|error| unbuilt(&error))?;
        Ok(Self {
            client,
            clock,
            deadline: tokio::time::Instant::now() + deadline,
            stop,
            throttle: ConcurrencyLimit::new(1),
            waits: PendingWaits::default(),
            room: BodyBuffers::new(),
            proxies: Arc::new(proxies),
            tries: TRIES,
        })
    }

    /// Whom this client and all made from it wait for at any moment.
    #[must_use]
    pub fn waits(&self) -> PendingWaits {
        self.waits.clone()
    }

    /// The same client for another service, with at most so many requests to it side by side.
    #[must_use]
    pub fn with_concurrency(&self, most: usize) -> Self {
        Self {
            throttle: ConcurrencyLimit::new(most),
            // Its own, which goes with it: no other service's answers are as large.
            room: BodyBuffers::new(),
            ..self.clone()
        }
    }

    /// The same client that tries everything once: for a person who waits for the response.
    #[must_use]
    pub fn without_retries(&self) -> Self {
        Self { tries: 1, ..self.clone() }
    }

    /// The proxy on the way to an address, as `host:port`.
    #[must_use]
    pub fn proxy(&self, url: &Url) -> Option<String> {
        self.proxies.proxy_for(url)
    }

    /// Whether anything answers at an address, TLS included, and what time it says it is (UTC).
    ///
    /// # Errors
    /// When nothing answers.
    pub async fn reach(&self, url: &Url) -> Result<Option<DateTime<Utc>>, HttpError> {
        let request = Request {
            method: Method::GET,
            url: url.clone(),
            headers: HeaderMap::new(),
            body: Vec::new(),
        };
        let date = |response: &Response| {
            response.header("date").and_then(|date| httpdate::parse_http_date(date).ok())
        };
        let reply = self.send(&request, |response| Ok(date(response))).await?;
        Ok(match reply {
            Reply::Success(time) => time,
            Reply::Rejected(response) => date(&response),
        }
        .map(DateTime::from))
    }

    /// Sends a request, tries again what deserves it, and reads a successful answer with `read`.
    ///
    /// # Errors
    /// A [`HttpError`] when no usable answer came: network, certificate, a wait longer than
    /// [`MAX_RETRY_AFTER`], the run's deadline, or a signal.
    pub async fn send<T>(
        &self,
        request: &Request,
        read: impl Fn(&Response) -> Result<T, MalformedBody>,
    ) -> Result<Reply<T>, HttpError> {
        let mut tried = 1;
        loop {
            let (turn, result) = self.attempt(request, tried).await?;
            let (fault, asked) = match result {
                Ok(response) if response.status.is_success() => match read(&response) {
                    Ok(value) => {
                        turn.on_success(
                            response
                                .header("x-ratelimit-remaining")
                                .and_then(|left| left.parse().ok()),
                        );
                        return Ok(Reply::Success(value));
                    }
                    Err(MalformedBody(detail)) => (
                        Fault::HttpError(HttpError::MalformedBody {
                            host: request.host().into(),
                            detail,
                        }),
                        None,
                    ),
                },
                Ok(mut response) if retry::is_retryable(response.status) => {
                    response.release_early();
                    let asked = retry::retry_after(&response.headers, self.clock.now());
                    (Fault::Response(response), asked)
                }
                Ok(mut response) => {
                    response.release_early();
                    return Ok(Reply::Rejected(response));
                }
                Err(trouble) if trouble.is_transient() => (Fault::HttpError(trouble), None),
                Err(trouble) => return Err(trouble),
            };
            if let Some(wait) = asked.filter(|wait| *wait > MAX_RETRY_AFTER) {
                return Err(HttpError::RetryAfterTooLong { host: request.host().into(), wait });
            }
            if tried >= self.tries {
                return match fault {
                    Fault::Response(response) => Ok(Reply::Rejected(response)),
                    Fault::HttpError(trouble) => Err(trouble),
                };
            }
            let wait = asked.unwrap_or_else(|| retry::backoff(tried));
            tracing::warn!(
                "{}: {fault}; try {} of {TRIES} in {:.1} s",
                request.host(),
                tried + 1,
                wait.as_secs_f64()
            );
            if fault.asks_to_slow_down() {
                turn.on_rate_limited(self.clock.scaled(wait));
            }
            drop(turn);
            self.wait(wait, request).await?;
            tried += 1;
        }
    }

    /// One try when its turn has come, bounded by the deadline and by a signal's grace.
    ///
    /// # Errors
    /// When the run's time is over before the turn comes.
    async fn attempt(
        &self,
        request: &Request,
        tried: u32,
    ) -> Result<(Permit, Result<Response, HttpError>), HttpError> {
        let late = || HttpError::Deadline { host: request.host().into() };
        let turn = tokio::select! {
            biased;
            signal = self.stop.requested() => return Err(HttpError::Interrupted(signal)),
            () = tokio::time::sleep_until(self.deadline) => return Err(late()),
            turn = self.turn(request) => turn,
        };
        let started = Instant::now();
        let result = tokio::select! {
            biased;
            result = self.exchange(request) => result,
            () = tokio::time::sleep_until(self.deadline) => Err(late()),
            signal = self.stop.grace_expired() => Err(HttpError::Interrupted(signal)),
        };
        Self::log(request, tried, started.elapsed(), &result);
        Ok((turn, result))
    }

    /// PendingWaits until this request may begin; the pause that all requests make is noted.
    async fn turn(&self, request: &Request) -> Permit {
        let _waiting =
            self.throttle.resumes_at().map(|until| self.waits.start(request.host(), until));
        self.throttle.acquire().await
    }

    /// Each request at debug level: never a body, never a header that could be a secret.
    fn log(request: &Request, tried: u32, took: Duration, result: &Result<Response, HttpError>) {
        let (method, url, took) = (&request.method, &request.url, took.as_millis());
        match result {
            Ok(response) => tracing::debug!(
                "{method} {url} -> {} in {took} ms, {} bytes, try {tried}, trace {}, rate limit left {}",
                response.status.as_u16(),
                response.body.len(),
                response.trace_id().unwrap_or_else(|| "none".into()),
                response.header("x-ratelimit-remaining").unwrap_or("not told"),
            ),
            Err(trouble) => {
                tracing::debug!("{method} {url} -> {trouble} after {took} ms, try {tried}");
            }
        }
    }

    async fn exchange(&self, request: &Request) -> Result<Response, HttpError> {
        let host = request.host();
        let mut response = self
            .client
            .request(request.method.clone(), request.url.clone())
            .headers(request.headers.clone())
            .body(request.body.clone())
            .send()
            .await
            .map_err(|error| HttpError::from_client(host, self.proxy(&request.url), &error))?;
        let status = response.status();
        // No service answers 407; over HTTPS the client meets it before there is an response.
        if let Some(proxy) = self.proxy(&request.url)
            && status == StatusCode::PROXY_AUTHENTICATION_REQUIRED
        {
            return Err(HttpError::ProxyCredentials { host: host.into(), proxy });
        }
        let headers = std::mem::take(response.headers_mut());
        // Waiting here leaves the body with the network; it takes no memory until its turn comes.
        let mut body = self.room.body().await;
        let announced =
            response.content_length().and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
        body.reserve(announced.min(MAX_ANSWER_BYTES / 16));
        while let Some(chunk) =
            response.chunk().await.map_err(|error| HttpError::from_client(host, None, &error))?
        {
            if !status.is_success() && body.len() + chunk.len() > MAX_REFUSAL_BYTES {
                break;
            }
            if body.len() + chunk.len() > MAX_ANSWER_BYTES {
                return Err(HttpError::TooLarge { host: host.into(), limit: MAX_ANSWER_BYTES });
            }
            body.extend(&chunk);
        }
        Ok(Response { status, headers, body })
    }

    /// PendingWaits between tries, unless the deadline comes first or a signal asks to end.
    async fn wait(&self, wait: Duration, request: &Request) -> Result<(), HttpError> {
        let wait = self.clock.scaled(wait);
        let until = tokio::time::Instant::now() + wait;
        if until >= self.deadline {
            return Err(HttpError::Deadline { host: request.host().into() });
        }
        let _waiting = self.waits.start(request.host(), until);
        tokio::select! {
            () = tokio::time::sleep_until(until) => Ok(()),
            signal = self.stop.requested() => Err(HttpError::Interrupted(signal)),
        }
    }
}

/// What a try met that is worth another.
enum Fault {
    Response(Response),
    HttpError(HttpError),
}

impl Fault {
    fn asks_to_slow_down(&self) -> bool {
        matches!(self, Self::Response(response) if response.status.as_u16() == 429)
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Response(response) => write!(f, "answered {}", response.summary()),
            Self::HttpError(trouble) => trouble.fmt(f),
        }
    }
}
