//! Why no usable answer came, told apart by walking the error's chain of sources.

use std::error::Error;
use std::time::Duration;

use thiserror::Error as ThisError;

use super::certificate::RejectedCertificate;
use crate::failure::{Failure, FailureKind, Signal};

/// How the client's tunnel words a proxy's 407; its type is not public.
const PROXY_WANTS_CREDENTIALS: &str = "proxy authorization required";

/// Why a call got no usable response.
#[derive(Debug, Clone, PartialEq, Eq, ThisError)]
pub enum HttpError {
    /// No connection: refused, no such name, no route, no network.
    #[error("could not connect to {host}{} ({detail})", on_the_way(.proxy.as_deref()))]
    Connect {
        /// The host that was called.
        host: String,
        /// The proxy on the way to it.
        proxy: Option<String>,
        /// The chain of reasons.
        detail: String,
    },
    /// The certificate was not accepted: final.
    #[error("the certificate of {} was not accepted: {_0}", _0.host)]
    Certificate(RejectedCertificate),
    /// The proxy on the way does not know us: final.
    #[error(
        "the proxy {proxy} on the way to {host} wants a user name and a password, or another one (407)"
    )]
    ProxyCredentials {
        /// The host that was called.
        host: String,
        /// The proxy.
        proxy: String,
    },
    /// A time limit of one try passed.
    #[error("{host} did not answer in time ({detail})")]
    Timeout {
        /// The host that was called.
        host: String,
        /// The chain of reasons.
        detail: String,
    },
    /// The connection broke before the answer was whole.
    #[error("the connection to {host} broke ({detail})")]
    ConnectionLost {
        /// The host that was called.
        host: String,
        /// The chain of reasons.
        detail: String,
    },
    /// A success that cannot be read.
    #[error("the answer of {host} is broken: {detail}")]
    MalformedBody {
        /// The host that was called.
        host: String,
        /// What is wrong with it.
        detail: String,
    },
    /// An answer larger than is read into memory.
    #[error("the answer of {host} is larger than {limit} bytes")]
    TooLarge {
        /// The host that was called.
        host: String,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The request could not even be made.
    #[error("the request to {host} could not be made ({detail})")]
    InvalidRequest {
        /// The host that was called.
        host: String,
        /// The chain of reasons.
        detail: String,
    },
    /// The service asked for a wait longer than is obeyed.
    #[error("{host} asked to wait {} s, longer than the {} s that are waited", wait.as_secs(), super::MAX_RETRY_AFTER.as_secs())]
    RetryAfterTooLong {
        /// The host that was called.
        host: String,
        /// The wait it asked for.
        wait: Duration,
    },
    /// The run's own time is over.
    #[error("the run's deadline passed while {host} was to answer")]
    Deadline {
        /// The host that was called.
        host: String,
    },
    /// A signal asked the run to end.
    #[error("interrupted by a signal")]
    Interrupted(Signal),
}

impl HttpError {
    /// Reads the client's error. The URL is taken off it: a proxy's URL can hold a password.
    pub(super) fn from_client(host: &str, proxy: Option<String>, error: &reqwest::Error) -> Self {
        if let Some(refused) = RejectedCertificate::find(error, host) {
            return Self::Certificate(refused);
        }
        let host = host.to_owned();
        let detail = chain(error);
        if error.is_builder() {
            Self::InvalidRequest { host, detail }
        } else if error.is_connect() {
            match proxy {
                Some(proxy) if detail.contains(PROXY_WANTS_CREDENTIALS) => {
                    Self::ProxyCredentials { host, proxy }
                }
                proxy => Self::Connect { host, proxy, detail },
            }
        } else if error.is_timeout() {
            Self::Timeout { host, detail }
        } else {
            Self::ConnectionLost { host, detail }
        }
    }

    /// Whether another try may go better.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Connect { .. }
            | Self::Timeout { .. }
            | Self::ConnectionLost { .. }
            | Self::MalformedBody { .. } => true,
            Self::Certificate(_)
            | Self::ProxyCredentials { .. }
            | Self::TooLarge { .. }
            | Self::InvalidRequest { .. }
            | Self::RetryAfterTooLong { .. }
            | Self::Deadline { .. }
            | Self::Interrupted(_) => false,
        }
    }

    /// The trouble as a failure, with what to do next.
    #[must_use]
    pub fn into_failure(self) -> Failure {
        let message = self.to_string();
        let (kind, hint) = match &self {
            Self::Connect { proxy: None, .. } => (
                FailureKind::Temporary,
                "Check the host name, the network, DNS, the firewall and HTTPS_PROXY; then run again, nothing is lost by waiting.",
            ),
            Self::Connect { .. } => (
                FailureKind::Temporary,
                "Check that the proxy in HTTPS_PROXY is the right one, runs, takes the user name and password given there, and lets this host pass (NO_PROXY names hosts that are reached without it); then run again, nothing is lost by waiting.",
            ),
            Self::Certificate(refused) => (FailureKind::Configuration, refused.hint()),
            Self::ProxyCredentials { .. } => (
                FailureKind::Credentials,
                "Set HTTPS_PROXY to http://USER:PASSWORD@HOST:PORT, with the special characters of both percent-encoded (@ is %40), or have this machine let through without.",
            ),
            Self::Timeout { .. } => (
                FailureKind::Temporary,
                "Run again later, or give each request more time with --timeout <SECONDS>; if it stays, look at the network between here and the service.",
            ),
            Self::ConnectionLost { .. } => (
                FailureKind::Temporary,
                "Run again later; if it stays, look at the network between here and the service.",
            ),
            Self::MalformedBody { .. } => (
                FailureKind::Temporary,
                "Something in between (a proxy, a login page, a gateway) may have answered in the service's place; check the host, then run again.",
            ),
            Self::TooLarge { .. } => (
                FailureKind::Unexpected,
                "Ask for less at once (a shorter --hours) and report this: no known answer is that large.",
            ),
            Self::InvalidRequest { .. } => (
                FailureKind::Configuration,
                "Check the keys and host names for stray characters such as line breaks.",
            ),
            Self::RetryAfterTooLong { .. } => (
                FailureKind::Temporary,
                "Another program may be using up the limit of this account or address; run again after the wait.",
            ),
            Self::Deadline { .. } => (
                FailureKind::Temporary,
                "Run again, or give the run more time with --deadline <MINUTES>.",
            ),
            Self::Interrupted(signal) => {
                (FailureKind::Interrupted(*signal), "Run again; it goes on where this run ended.")
            }
        };
        Failure::new(kind, message, hint)
    }
}

/// The chain of reasons as one line, without URLs and without repeating a text its cause repeats.
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut reasons: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        // reqwest's own text names the URL; its sources do not.
        if !error.is::<reqwest::Error>() {
            let reason = error.to_string();
            if reasons.last() != Some(&reason) {
                reasons.push(reason);
            }
        }
        next = error.source();
    }
    if reasons.is_empty() { "no reason given".into() } else { reasons.join(": ") }
}

fn on_the_way(proxy: Option<&str>) -> String {
    proxy.map(|proxy| format!(" through the proxy {proxy}")).unwrap_or_default()
}
