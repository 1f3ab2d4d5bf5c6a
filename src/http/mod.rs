//! The one place that talks HTTP: it builds the client, retries, waits, and bounds every wait.
//!
//! It does not know what the payloads mean. A caller hands it a [`Call`] and a function that reads a
//! successful answer; an answer that cannot be read (cut short, not JSON) counts as broken, never as
//! empty, and is tried again like any other passing fault.

mod answer;
mod retry;
mod stop;
mod trouble;

use std::time::{Duration, Instant};

use reqwest::header::HeaderMap;
use reqwest::{Method, Url, redirect};

pub use self::answer::{Answer, Broken, trace_in_short, words_in_short};
pub use self::retry::{MAX_OBEYED_WAIT, TRIES};
pub use self::stop::Stop;
pub use self::trouble::Trouble;
use crate::clock::Clock;
use crate::failure::{Failure, Kind};

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long one try of a request may take, its answer's last byte included.
const REQUEST_TIMEOUT: Duration = Duration::from_mins(2);
/// The largest answer that is read into memory, in bytes: many times the largest real page.
const MAX_ANSWER_BYTES: usize = 256 * 1024 * 1024;

/// One request, ready to be sent any number of times.
#[derive(Debug, Clone)]
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
}

impl Http {
    /// Builds the client: system certificates, proxies from the environment, gzip, no automatic
    /// redirects (they would resend secrets anywhere).
    ///
    /// `deadline` bounds the whole run, counted from now.
    ///
    /// # Errors
    /// When the machine's certificates cannot be loaded.
    pub fn new(clock: Clock, deadline: Duration, stop: Stop) -> Result<Self, Failure> {
        let client = reqwest::Client::builder()
            .user_agent(format!("collective-insights/{} ({})", env!("CARGO_PKG_VERSION"), std::env::consts::OS))
            .redirect(redirect::Policy::none())
            // The policy of this module is the only one: nothing is repeated behind its back.
            .retry(reqwest::retry::never())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            .gzip(true)
            .build()
            .map_err(|error| {
                Failure::new(
                    Kind::Configuration,
                    "the HTTPS client could not be set up",
                    "Check that the system's certificates are installed (package ca-certificates) and that HTTPS_PROXY, where set, is a URL.",
                )
                .because(trouble::chain(&error))
            })?;
        Ok(Self {
            client,
            clock,
            deadline: tokio::time::Instant::now() + deadline,
            stop,
        })
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
            let (fault, asked) = match self.attempt(call, tried).await {
                Ok(answer) if answer.status.is_success() => match read(&answer) {
                    Ok(value) => return Ok(Reply::Success(value)),
                    Err(broken) => (
                        Fault::Trouble(Trouble::Broken {
                            host: call.host().into(),
                            detail: broken.0,
                        }),
                        None,
                    ),
                },
                Ok(answer) if retry::deserves(answer.status) => {
                    let asked = retry::asked_wait(&answer.headers, self.clock.now());
                    (Fault::Answer(answer), asked)
                }
                Ok(answer) => return Ok(Reply::Refused(answer)),
                Err(trouble) if trouble.is_passing() => (Fault::Trouble(trouble), None),
                Err(trouble) => return Err(trouble),
            };
            if let Some(wait) = asked.filter(|wait| *wait > MAX_OBEYED_WAIT) {
                return Err(Trouble::LongWait {
                    host: call.host().into(),
                    wait,
                });
            }
            if tried >= TRIES {
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
            self.wait(wait, call).await?;
            tried += 1;
        }
    }

    /// One try, bounded by the deadline and by a signal's grace.
    async fn attempt(&self, call: &Call, tried: u32) -> Result<Answer, Trouble> {
        if let Some(signal) = self.stop.asked() {
            return Err(Trouble::Interrupted(signal));
        }
        let started = Instant::now();
        let result = tokio::select! {
            biased;
            result = self.exchange(call) => result,
            () = tokio::time::sleep_until(self.deadline) => Err(Trouble::Deadline { host: call.host().into() }),
            signal = self.stop.grace_over() => Err(Trouble::Interrupted(signal)),
        };
        let milliseconds = started.elapsed().as_millis();
        match &result {
            Ok(answer) => tracing::debug!(
                "{} {} -> {} in {milliseconds} ms, {} bytes, try {tried}, trace {}, rate limit left {}",
                call.method,
                call.url,
                answer.status.as_u16(),
                answer.body.len(),
                answer.trace_id().unwrap_or_else(|| "none".into()),
                answer.header("x-ratelimit-remaining").unwrap_or("not told"),
            ),
            Err(trouble) => {
                tracing::debug!(
                    "{} {} -> {trouble} after {milliseconds} ms, try {tried}",
                    call.method,
                    call.url
                );
            }
        }
        result
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
            .map_err(|error| Trouble::from_client(host, &error))?;
        let status = response.status();
        let headers = std::mem::take(response.headers_mut());
        let mut body = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| Trouble::from_client(host, &error))?
        {
            if body.len() + chunk.len() > MAX_ANSWER_BYTES {
                return Err(Trouble::TooLarge {
                    host: host.into(),
                    limit: MAX_ANSWER_BYTES,
                });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer {
            status,
            headers,
            body,
        })
    }

    /// Waits between tries, unless the deadline comes first or a signal asks to end.
    async fn wait(&self, wait: Duration, call: &Call) -> Result<(), Trouble> {
        let wait = self.clock.scaled(wait);
        if tokio::time::Instant::now() + wait >= self.deadline {
            return Err(Trouble::Deadline {
                host: call.host().into(),
            });
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => Ok(()),
            signal = self.stop.signalled() => Err(Trouble::Interrupted(signal)),
        }
    }
}

/// What a try met that is worth another.
enum Fault {
    Answer(Answer),
    Trouble(Trouble),
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Answer(answer) => write!(f, "answered {}", answer.in_short()),
            Self::Trouble(trouble) => trouble.fmt(f),
        }
    }
}
