//! The one place that talks HTTP: it builds the client, retries, waits, and bounds every wait.
//!
//! It does not know what the payloads mean. A caller hands it a [`Call`] and a function that reads a
//! successful answer; an answer that cannot be read (cut short, not JSON) counts as broken, never as
//! empty, and is tried again like any other passing fault.

mod answer;
mod certificate;
mod proxy;
mod retry;
mod room;
mod stop;
mod throttle;
mod trouble;
mod trust;
mod waits;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode, Url, redirect};

pub use self::answer::{Answer, Broken, trace_in_short, words_in_short};
pub use self::certificate::{Reason, Refused};
use self::proxy::Proxies;
pub use self::proxy::remember_passwords;
pub use self::retry::{MAX_OBEYED_WAIT, TRIES};
pub use self::room::Body;
use self::room::Room;
pub use self::stop::Stop;
use self::throttle::{Throttle, Turn};
pub use self::trouble::Trouble;
pub use self::waits::Waits;
use crate::clock::Clock;
use crate::failure::{Failure, Kind};

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
        let (trusted_too, word) = match &self.ca_cert {
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
        let tls = trust::tls(trusted_too).map_err(|error| unbuilt(&error))?;
        Ok((tls, word))
    }
}

fn unbuilt(error: &(dyn std::error::Error + 'static)) -> Failure {
    Failure::new(
        Kind::Configuration,
        "the HTTPS client could not be set up",
        "Check that the system's certificates are installed (package ca-certificates).",
    )
    .because(trouble::chain(error))
}

/// One request, ready to be sent any number of times.
#[derive(Clone)]
pub struct Call {
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
impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Call({} {}, {} bytes)", self.method, self.url, self.body.len())
    }
}

impl Call {
    /// The service's host, for messages.
    #[must_use]
    pub fn host(&self) -> &str {
        self.url.host_str().unwrap_or("the service")
    }
}

/// What became of a call that was answered.
#[derive(Debug)]
pub enum Reply<T> {
    /// A 2xx answer, read.
    Success(T),
    /// Any other answer, after the retries that its status deserves.
    Refused(Answer),
}

/// The client: one for all services of a run.
#[derive(Debug, Clone)]
pub struct Http {
    client: reqwest::Client,
    clock: Clock,
    deadline: tokio::time::Instant,
    stop: Stop,
    throttle: Arc<Throttle>,
    waits: Waits,
    room: Arc<Room>,
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
        stop: Stop,
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
            throttle: Throttle::new(1),
            waits: Waits::default(),
            room: Room::new(),
            proxies: Arc::new(proxies),
            tries: TRIES,
        })
    }

    /// Whom this client and all made from it wait for at any moment.
    #[must_use]
    pub fn waits(&self) -> Waits {
        self.waits.clone()
    }

    /// The same client for another service, with at most so many requests to it side by side.
    #[must_use]
    pub fn side_by_side(&self, most: usize) -> Self {
        Self {
            throttle: Throttle::new(most),
            // Its own, which goes with it: no other service's answers are as large.
            room: Room::new(),
            ..self.clone()
        }
    }

    /// The same client that tries everything once: for a person who waits for the answer.
    #[must_use]
    pub fn trying_once(&self) -> Self {
        Self { tries: 1, ..self.clone() }
    }

    /// The proxy on the way to an address, as `host:port`.
    #[must_use]
    pub fn proxy(&self, url: &Url) -> Option<String> {
        self.proxies.on_the_way_to(url)
    }

    /// Whether anything answers at an address, TLS included, and what time it says it is (UTC).
    ///
    /// # Errors
    /// When nothing answers.
    pub async fn reach(&self, url: &Url) -> Result<Option<DateTime<Utc>>, Trouble> {
        let call = Call {
            method: Method::GET,
            url: url.clone(),
            headers: HeaderMap::new(),
            body: Vec::new(),
        };
        let date = |answer: &Answer| {
            answer.header("date").and_then(|date| httpdate::parse_http_date(date).ok())
        };
        let reply = self.send(&call, |answer| Ok(date(answer))).await?;
        Ok(match reply {
            Reply::Success(time) => time,
            Reply::Refused(answer) => date(&answer),
        }
        .map(DateTime::from))
    }

    /// Sends a call, tries again what deserves it, and reads a successful answer with `read`.
    ///
    /// # Errors
    /// A [`Trouble`] when no usable answer came: network, certificate, a wait longer than
    /// [`MAX_OBEYED_WAIT`], the run's deadline, or a signal.
    pub async fn send<T>(
        &self,
        call: &Call,
        read: impl Fn(&Answer) -> Result<T, Broken>,
    ) -> Result<Reply<T>, Trouble> {
        let mut tried = 1;
        loop {
            let (turn, result) = self.attempt(call, tried).await?;
            let (fault, asked) = match result {
                Ok(answer) if answer.status.is_success() => match read(&answer) {
                    Ok(value) => {
                        turn.went_well(
                            answer
                                .header("x-ratelimit-remaining")
                                .and_then(|left| left.parse().ok()),
                        );
                        return Ok(Reply::Success(value));
                    }
                    Err(Broken(detail)) => {
                        (Fault::Trouble(Trouble::Broken { host: call.host().into(), detail }), None)
                    }
                },
                Ok(mut answer) if retry::deserves(answer.status) => {
                    answer.leave_room();
                    let asked = retry::asked_wait(&answer.headers, self.clock.now());
                    (Fault::Answer(answer), asked)
                }
                Ok(mut answer) => {
                    answer.leave_room();
                    return Ok(Reply::Refused(answer));
                }
                Err(trouble) if trouble.is_passing() => (Fault::Trouble(trouble), None),
                Err(trouble) => return Err(trouble),
            };
            if let Some(wait) = asked.filter(|wait| *wait > MAX_OBEYED_WAIT) {
                return Err(Trouble::LongWait { host: call.host().into(), wait });
            }
            if tried >= self.tries {
                return match fault {
                    Fault::Answer(answer) => Ok(Reply::Refused(answer)),
                    Fault::Trouble(trouble) => Err(trouble),
                };
            }
            let wait = asked.unwrap_or_else(|| retry::backoff(tried));
            tracing::warn!(
                "{}: {fault}; try {} of {TRIES} in {:.1} s",
                call.host(),
                tried + 1,
                wait.as_secs_f64()
            );
            if fault.asks_to_slow_down() {
                turn.slow_down(self.clock.scaled(wait));
            }
            drop(turn);
            self.wait(wait, call).await?;
            tried += 1;
        }
    }

    /// One try when its turn has come, bounded by the deadline and by a signal's grace.
    ///
    /// # Errors
    /// When the run's time is over before the turn comes.
    async fn attempt(
        &self,
        call: &Call,
        tried: u32,
    ) -> Result<(Turn, Result<Answer, Trouble>), Trouble> {
        let late = || Trouble::Deadline { host: call.host().into() };
        let turn = tokio::select! {
            biased;
            signal = self.stop.signalled() => return Err(Trouble::Interrupted(signal)),
            () = tokio::time::sleep_until(self.deadline) => return Err(late()),
            turn = self.turn(call) => turn,
        };
        let started = Instant::now();
        let result = tokio::select! {
            biased;
            result = self.exchange(call) => result,
            () = tokio::time::sleep_until(self.deadline) => Err(late()),
            signal = self.stop.grace_over() => Err(Trouble::Interrupted(signal)),
        };
        Self::log(call, tried, started.elapsed(), &result);
        Ok((turn, result))
    }

    /// Waits until this request may begin; the pause that all requests make is noted.
    async fn turn(&self, call: &Call) -> Turn {
        let _waiting = self.throttle.resumes_at().map(|until| self.waits.begin(call.host(), until));
        self.throttle.turn().await
    }

    /// Each request at debug level: never a body, never a header that could be a secret.
    fn log(call: &Call, tried: u32, took: Duration, result: &Result<Answer, Trouble>) {
        let (method, url, took) = (&call.method, &call.url, took.as_millis());
        match result {
            Ok(answer) => tracing::debug!(
                "{method} {url} -> {} in {took} ms, {} bytes, try {tried}, trace {}, rate limit left {}",
                answer.status.as_u16(),
                answer.body.len(),
                answer.trace_id().unwrap_or_else(|| "none".into()),
                answer.header("x-ratelimit-remaining").unwrap_or("not told"),
            ),
            Err(trouble) => {
                tracing::debug!("{method} {url} -> {trouble} after {took} ms, try {tried}");
            }
        }
    }

    async fn exchange(&self, call: &Call) -> Result<Answer, Trouble> {
        let host = call.host();
        let mut response = self
            .client
            .request(call.method.clone(), call.url.clone())
            .headers(call.headers.clone())
            .body(call.body.clone())
            .send()
            .await
            .map_err(|error| Trouble::from_client(host, self.proxy(&call.url), &error))?;
        let status = response.status();
        // No service answers 407; over HTTPS the client meets it before there is an answer.
        if let Some(proxy) = self.proxy(&call.url)
            && status == StatusCode::PROXY_AUTHENTICATION_REQUIRED
        {
            return Err(Trouble::ProxyCredentials { host: host.into(), proxy });
        }
        let headers = std::mem::take(response.headers_mut());
        // Waiting here leaves the body with the network; it takes no memory until its turn comes.
        let mut body = self.room.body().await;
        let announced =
            response.content_length().and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
        body.reserve(announced.min(MAX_ANSWER_BYTES / 16));
        while let Some(chunk) =
            response.chunk().await.map_err(|error| Trouble::from_client(host, None, &error))?
        {
            if !status.is_success() && body.len() + chunk.len() > MAX_REFUSAL_BYTES {
                break;
            }
            if body.len() + chunk.len() > MAX_ANSWER_BYTES {
                return Err(Trouble::TooLarge { host: host.into(), limit: MAX_ANSWER_BYTES });
            }
            body.extend(&chunk);
        }
        Ok(Answer { status, headers, body })
    }

    /// Waits between tries, unless the deadline comes first or a signal asks to end.
    async fn wait(&self, wait: Duration, call: &Call) -> Result<(), Trouble> {
        let wait = self.clock.scaled(wait);
        let until = tokio::time::Instant::now() + wait;
        if until >= self.deadline {
            return Err(Trouble::Deadline { host: call.host().into() });
        }
        let _waiting = self.waits.begin(call.host(), until);
        tokio::select! {
            () = tokio::time::sleep_until(until) => Ok(()),
            signal = self.stop.signalled() => Err(Trouble::Interrupted(signal)),
        }
    }
}

/// What a try met that is worth another.
enum Fault {
    Answer(Answer),
    Trouble(Trouble),
}

impl Fault {
    fn asks_to_slow_down(&self) -> bool {
        matches!(self, Self::Answer(answer) if answer.status.as_u16() == 429)
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Answer(answer) => write!(f, "answered {}", answer.in_short()),
            Self::Trouble(trouble) => trouble.fmt(f),
        }
    }
}
