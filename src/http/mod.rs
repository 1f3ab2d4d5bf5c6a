//! The HTTP client: retries, `Retry-After`, concurrency limit, deadline, TLS and proxies.
//!
//! It does not know what payloads mean. A caller passes a [`Request`] and a function that parses a
//! successful response. A body that cannot be parsed (truncated, not JSON) is never taken for an
//! empty one: it is retried like other temporary errors.

mod address_limits;
mod buffers;
mod certificate;
mod concurrency;
mod dns;
mod error;
mod options;
mod proxy;
mod request;
mod response;
mod retry;
mod service_clock;
mod trust;
mod waits;

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode, Url, redirect};

use self::address_limits::Turn;
pub(crate) use self::address_limits::{AddressLimits, OneAtATime};
use self::buffers::BodyBuffers;
use self::concurrency::ConcurrencyLimit;
pub(crate) use self::concurrency::RequestCeiling;
use self::error::AttemptError;
pub(crate) use self::error::HttpError;
pub(crate) use self::options::NetworkOptions;
use self::proxy::Proxies;
pub(crate) use self::proxy::register_proxy_passwords;
pub(crate) use self::request::{Request, secret_header};
pub(crate) use self::response::{MalformedBody, Response, truncate_message, truncate_trace_id};
use self::retry::{MAX_ATTEMPTS, MAX_RETRY_AFTER};
pub(crate) use self::service_clock::ServiceClock;
pub(crate) use self::waits::PendingWaits;
use crate::clock::Clock;
use crate::failure::{Failure, error_chain};
use crate::shutdown::Shutdown;

/// The highest number of requests in flight that can be set for a service.
pub(crate) const MAX_CONCURRENCY: u8 = 32;
/// The HTTP/2 window of a response: the bytes that a server may send before they are read.
const STREAM_WINDOW: u32 = 1024 * 1024;

/// Returns the HTTP/2 window of a connection, in bytes, for all its bodies together. The services
/// of a host share a connection.
///
/// It is enough for a full stream window of each request in flight, and one for a sign-in or a
/// submission. Otherwise bodies that wait for a buffer would use up the connection's window, and
/// those that have a buffer would get no more data.
fn connection_window() -> u32 {
    STREAM_WINDOW * (u32::from(MAX_CONCURRENCY) + 1)
}

/// The largest body that is read into memory, in bytes: many times the largest real page.
const MAX_BODY_BYTES: usize = 256 * 1024 * 1024;
/// The maximum number of bytes that are read of an error's body: its message is at the start.
const MAX_ERROR_BODY_BYTES: usize = 1024 * 1024;

/// The outcome of a request that got a response.
#[derive(Debug)]
pub(crate) enum Reply<T> {
    /// A 2xx response, parsed.
    Success(T),
    /// Any other response, after all retries.
    Rejected(Response),
}

/// The HTTP client; all services of a run share one.
#[derive(Debug, Clone)]
pub(crate) struct Http {
    client: reqwest::Client,
    clock: Clock,
    service_clock: ServiceClock,
    deadline: tokio::time::Instant,
    shutdown: Shutdown,
    limit: Arc<ConcurrencyLimit>,
    /// The limits per address that this client shares with others, if any.
    addresses: Option<AddressLimits>,
    /// The ceiling of this service, for its own limit and for those of `addresses`.
    ceiling: Option<RequestCeiling>,
    waits: PendingWaits,
    buffers: Arc<BodyBuffers>,
    proxies: Arc<Proxies>,
    max_attempts: u32,
}

impl Http {
    /// Builds the client: certificates of the system and the options, proxies from the environment,
    /// HTTP/2 where the server offers it, gzip, no redirects (they would send secrets to other
    /// hosts).
    ///
    /// `deadline` bounds the whole run, from now.
    ///
    /// # Errors
    /// When certificates cannot be loaded, the environment's proxy is invalid, or the client cannot
    /// be built.
    pub(crate) fn new(
        options: &NetworkOptions,
        clock: Clock,
        deadline: Duration,
        shutdown: Shutdown,
    ) -> Result<Self, Failure> {
        let (proxies, proxy) = Proxies::from_environment()?;
        let (tls, certificates) = options.tls()?;
        tracing::debug!(certificates, "trusted certificates");
        if let Some(proxy) = proxy {
            tracing::info!("using {proxy}");
        }
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .dns_resolver(dns::SystemResolver)
            .user_agent(format!(
                "collective-insights/{} ({})",
                env!("CARGO_PKG_VERSION"),
                std::env::consts::OS
            ))
            .redirect(redirect::Policy::none())
            // All retries happen here.
            .retry(reqwest::retry::never())
            .connect_timeout(options.connect_timeout)
            .timeout(options.timeout)
            .gzip(true)
            // A connection that died is closed while a request still waits for it: a retry would
            // use the same one.
            .http2_keep_alive_interval(options.timeout / 4)
            .http2_keep_alive_timeout(options.timeout / 4)
            .http2_initial_stream_window_size(STREAM_WINDOW)
            .http2_initial_connection_window_size(connection_window())
            .build()
            .map_err(|error| options::setup_failed().with_cause(error))?;
        Ok(Self {
            client,
            clock,
            service_clock: ServiceClock::default(),
            deadline: tokio::time::Instant::now() + deadline,
            shutdown,
            limit: ConcurrencyLimit::new(1, None),
            addresses: None,
            ceiling: None,
            waits: PendingWaits::default(),
            buffers: BodyBuffers::new(),
            proxies: Arc::new(proxies),
            max_attempts: MAX_ATTEMPTS,
        })
    }

    /// Returns the waits of this client and its clones.
    pub(crate) fn waits(&self) -> PendingWaits {
        self.waits.clone()
    }

    /// Returns a client for another service, with at most this many requests in flight, and not
    /// more than [`MAX_CONCURRENCY`].
    pub(crate) fn with_concurrency(&self, max: usize) -> Self {
        self.with_limits(max, None)
    }

    /// Returns the same with a ceiling: above it, requests wait.
    pub(crate) fn with_ceiling(&self, max: usize, ceiling: RequestCeiling) -> Self {
        let period = self.clock.scaled(ceiling.period);
        self.with_limits(max, Some(RequestCeiling { period, ..ceiling }))
    }

    fn with_limits(&self, max: usize, ceiling: Option<RequestCeiling>) -> Self {
        Self {
            limit: ConcurrencyLimit::new(max.min(MAX_CONCURRENCY.into()), ceiling),
            ceiling,
            // Its own limit: the bodies of one service do not wait for those of another one.
            buffers: BodyBuffers::new(),
            ..self.clone()
        }
    }

    /// Returns a client that sends requests one after the other, together with the other clients
    /// that share `turns`.
    pub(crate) fn with_turns(&self, turns: &OneAtATime) -> Self {
        Self { limit: Arc::clone(&turns.0), ..self.clone() }
    }

    /// Returns a client that shares the limits of addresses with others.
    pub(crate) fn with_address_limits(&self, addresses: &AddressLimits) -> Self {
        Self { addresses: Some(addresses.clone()), ..self.clone() }
    }

    /// Returns a client for services with a clock of their own.
    pub(crate) fn with_own_service_clock(&self) -> Self {
        Self { service_clock: ServiceClock::default(), ..self.clone() }
    }

    /// Returns the clock of the services of this client and its clones.
    pub(crate) const fn service_clock(&self) -> &ServiceClock {
        &self.service_clock
    }

    /// Whether the time of the run is over.
    pub(crate) fn is_out_of_time(&self) -> bool {
        tokio::time::Instant::now() >= self.deadline
    }

    /// Returns a client that sends each request once: for a person who waits for the result.
    pub(crate) fn without_retries(&self) -> Self {
        Self { max_attempts: 1, ..self.clone() }
    }

    /// Returns the proxy for a URL, as `host:port`.
    pub(crate) fn proxy(&self, url: &Url) -> Option<String> {
        self.proxies.proxy_for(url)
    }

    /// Checks that a server responds at a URL, and returns the time in its response (UTC).
    ///
    /// # Errors
    /// As for [`Self::send`].
    pub(crate) async fn reach(&self, url: &Url) -> Result<Option<DateTime<Utc>>, HttpError> {
        let request = Request::new(Method::GET, url.clone(), HeaderMap::new(), Vec::new());
        Ok(match self.send(&request, |response| Ok(response.date())).await? {
            Reply::Success(time) => time,
            Reply::Rejected(response) => response.date(),
        })
    }

    /// Sends a request, retries temporary errors, and parses a successful response with `parse`.
    ///
    /// # Errors
    /// When there is no usable response: network, certificate, a malformed or too large body, a
    /// requested wait longer than [`MAX_RETRY_AFTER`], the run's deadline, or a signal.
    pub(crate) async fn send<T>(
        &self,
        request: &Request,
        parse: impl Fn(&Response) -> Result<T, MalformedBody>,
    ) -> Result<Reply<T>, HttpError> {
        let mut attempt = 1;
        loop {
            let (turn, result) = self.send_once_in_turn(request, attempt).await?;
            let (error, requested_wait) = match result {
                Ok(response) if response.status.is_success() => match parse(&response) {
                    Ok(value) => {
                        self.service_clock.observe(&response);
                        turn.on_success(rate_limit_remaining(&response));
                        return Ok(Reply::Success(value));
                    }
                    Err(source) => {
                        let host = request.host().into();
                        (AttemptError::Http(HttpError::MalformedBody { host, source }), None)
                    }
                },
                Ok(mut response)
                    if retry::is_retryable(response.status) && !request.is_final(&response) =>
                {
                    response.release_early();
                    let wait = retry::retry_after(&response, self.clock.now());
                    (AttemptError::Status(response), wait)
                }
                Ok(mut response) => {
                    self.service_clock.observe(&response);
                    response.release_early();
                    return Ok(Reply::Rejected(response));
                }
                Err(error) if error.is_temporary() => (AttemptError::Http(error), None),
                Err(error) => return Err(error),
            };
            // At least the backoff: a `Retry-After` of 0 would use up all attempts at once.
            let wait = retry::backoff(attempt).max(requested_wait.unwrap_or_default());
            if error.status() == Some(429) {
                // Also where this request is not sent again: the others must not be sent either.
                turn.on_rate_limited(self.clock.scaled(wait.min(MAX_RETRY_AFTER)));
            }
            if wait > MAX_RETRY_AFTER {
                return Err(HttpError::RetryAfterTooLong { host: request.host().into(), wait });
            }
            if attempt >= self.max_attempts {
                return match error {
                    AttemptError::Status(response) => Ok(Reply::Rejected(response)),
                    AttemptError::Http(error) => Err(error),
                };
            }
            tracing::warn!(
                host = request.host(),
                status = error.status(),
                reason = error_chain(&error),
                attempt,
                max_attempts = self.max_attempts,
                retry_in_ms = millis(wait),
                "request failed, retrying"
            );
            drop(turn);
            self.wait(wait, request, error).await?;
            attempt += 1;
        }
    }

    /// Sends a request once when the concurrency limit permits, bounded by the deadline and the
    /// grace period after a signal.
    ///
    /// # Errors
    /// When the run has to end before the request can be sent.
    async fn send_once_in_turn(
        &self,
        request: &Request,
        attempt: u32,
    ) -> Result<(Turn, Result<Response, HttpError>), HttpError> {
        let deadline_passed = || HttpError::Deadline { host: request.host().into() };
        let turn = tokio::select! {
            biased;
            signal = self.shutdown.requested() => return Err(HttpError::Interrupted(signal)),
            () = tokio::time::sleep_until(self.deadline) => return Err(deadline_passed()),
            turn = self.turn(request) => turn,
        };
        let started = Instant::now();
        let result = tokio::select! {
            biased;
            result = self.send_once(request) => result,
            () = tokio::time::sleep_until(self.deadline) => Err(deadline_passed()),
            signal = self.shutdown.grace_expired() => Err(HttpError::Interrupted(signal)),
        };
        request.observe(&result);
        Self::log(request, attempt, started.elapsed(), &result);
        Ok((turn, result))
    }

    /// Waits until this request may start; a pause of the whole service is shown as a wait.
    async fn turn(&self, request: &Request) -> Turn {
        let addresses = self.addresses.as_ref().zip(self.ceiling);
        let address = addresses.map(|(addresses, ceiling)| addresses.of(&request.url, ceiling));
        let pauses = [Some(&self.limit), address.as_ref()].into_iter().flatten();
        let until = pauses.filter_map(|limit| limit.resumes_at()).max();
        let _wait = until.map(|until| self.waits.start(request.host(), until));
        let own = self.limit.acquire().await;
        let address = match address {
            Some(address) => Some(address.acquire().await),
            None => None,
        };
        Turn { own, address }
    }

    /// Logs one attempt at debug level: never a body, never a header that may contain a secret.
    fn log(request: &Request, attempt: u32, took: Duration, result: &Result<Response, HttpError>) {
        let (method, url, ms) = (request.method.as_str(), request.url.as_str(), millis(took));
        match result {
            Ok(response) => tracing::debug!(
                method,
                url,
                status = response.status.as_u16(),
                ms,
                bytes = response.body.len(),
                attempt,
                trace_id = response.trace_id(),
                rate_limit_remaining = rate_limit_remaining(response),
                "request finished"
            ),
            Err(error) => {
                let error = error_chain(error);
                tracing::debug!(method, url, ms, attempt, error, "request failed");
            }
        }
    }

    async fn send_once(&self, request: &Request) -> Result<Response, HttpError> {
        let host = request.host();
        let mut response = self
            .client
            .request(request.method.clone(), request.url.clone())
            .headers(request.headers.clone())
            .body(request.body.clone())
            .send()
            .await
            .map_err(|error| HttpError::from_client(host, self.proxy(&request.url), error))?;
        let received_at = self.clock.now();
        let status = response.status();
        // No service responds with 407. Over HTTPS the client fails before there is a response.
        if let Some(proxy) = self.proxy(&request.url)
            && status == StatusCode::PROXY_AUTHENTICATION_REQUIRED
        {
            return Err(HttpError::ProxyCredentials { host: host.into(), proxy });
        }
        let headers = std::mem::take(response.headers_mut());
        // Back-pressure: until a buffer is free the body stays on the socket, or, over HTTP/2, up
        // to STREAM_WINDOW of it in memory.
        let mut body = self.buffers.acquire().await;
        let announced =
            response.content_length().and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
        body.reserve(announced.min(MAX_BODY_BYTES / 16));
        while let Some(chunk) =
            response.chunk().await.map_err(|error| HttpError::from_client(host, None, error))?
        {
            if !status.is_success() && body.len() + chunk.len() > MAX_ERROR_BODY_BYTES {
                break;
            }
            if body.len() + chunk.len() > MAX_BODY_BYTES {
                return Err(HttpError::TooLarge { host: host.into() });
            }
            body.extend(&chunk);
        }
        Ok(Response { status, headers, body, received_at })
    }

    /// Waits before the next attempt, unless the deadline or a signal comes first.
    async fn wait(
        &self,
        wait: Duration,
        request: &Request,
        error: AttemptError,
    ) -> Result<(), HttpError> {
        let wait = self.clock.scaled(wait);
        let until = tokio::time::Instant::now() + wait;
        if until >= self.deadline {
            let host = request.host().into();
            return Err(HttpError::NoTimeToRetry { host, source: Box::new(error) });
        }
        let _wait = self.waits.start(request.host(), until);
        tokio::select! {
            () = tokio::time::sleep_until(until) => Ok(()),
            signal = self.shutdown.requested() => Err(HttpError::Interrupted(signal)),
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn rate_limit_remaining(response: &Response) -> Option<u64> {
    response.header("x-ratelimit-remaining").and_then(|remaining| remaining.parse().ok())
}

#[cfg(test)]
mod tests;
