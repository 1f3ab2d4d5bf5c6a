//! Why no usable answer came, told apart by walking the error's chain of sources.

use std::error::Error;
use std::time::Duration;

use thiserror::Error as ThisError;

use crate::failure::{Failure, Kind, Signal};

/// Why a call got no usable answer.
#[derive(Debug, Clone, PartialEq, Eq, ThisError)]
pub enum Trouble {
    /// No connection: refused, no such name, no route, no network.
    #[error("could not connect to {host} ({detail})")]
    Connect {
        /// The host that was called.
        host: String,
        /// The chain of reasons.
        detail: String,
    },
    /// The certificate was not accepted: final.
    #[error("the certificate of {host} was not accepted ({detail})")]
    Certificate {
        /// The host that was called.
        host: String,
        /// The chain of reasons.
        detail: String,
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
    Lost {
        /// The host that was called.
        host: String,
        /// The chain of reasons.
        detail: String,
    },
    /// A success that cannot be read.
    #[error("the answer of {host} is broken: {detail}")]
    Broken {
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
    Unsendable {
        /// The host that was called.
        host: String,
        /// The chain of reasons.
        detail: String,
    },
    /// The service asked for a wait longer than is obeyed.
    #[error("{host} asked to wait {} s, longer than the {} s that are waited", wait.as_secs(), super::MAX_OBEYED_WAIT.as_secs())]
    LongWait {
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

impl Trouble {
    /// Reads the client's error. The URL is taken off it: a proxy's URL can hold a password.
    pub(super) fn from_client(host: &str, error: &reqwest::Error) -> Self {
        let host = host.to_owned();
        let detail = chain(error);
        if is_certificate(error) {
            Self::Certificate { host, detail }
        } else if error.is_builder() {
            Self::Unsendable { host, detail }
        } else if error.is_connect() {
            Self::Connect { host, detail }
        } else if error.is_timeout() {
            Self::Timeout { host, detail }
        } else {
            Self::Lost { host, detail }
        }
    }

    /// Whether another try may go better.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Connect { .. }
            | Self::Timeout { .. }
            | Self::Lost { .. }
            | Self::Broken { .. } => true,
            Self::Certificate { .. }
            | Self::TooLarge { .. }
            | Self::Unsendable { .. }
            | Self::LongWait { .. }
            | Self::Deadline { .. }
            | Self::Interrupted(_) => false,
        }
    }

    /// The trouble as a failure, with what to do next.
    #[must_use]
    pub fn into_failure(self) -> Failure {
        let message = self.to_string();
        let (kind, hint) = match &self {
            Self::Connect { .. } => (
                Kind::Temporary,
                "Check the host name, the network, DNS, the firewall and HTTPS_PROXY; then run again, nothing is lost by waiting.",
            ),
            Self::Certificate { .. } => (
                Kind::Configuration,
                "An inspecting proxy or a wrong host shows a certificate this machine does not trust: add the issuer to the system's certificates, or correct the host.",
            ),
            Self::Timeout { .. } | Self::Lost { .. } => (
                Kind::Temporary,
                "Run again later; if it stays, look at the network between here and the service.",
            ),
            Self::Broken { .. } => (
                Kind::Temporary,
                "Something in between (a proxy, a login page, a gateway) may have answered in the service's place; check the host, then run again.",
            ),
            Self::TooLarge { .. } => (
                Kind::Unexpected,
                "Ask for less at once (a shorter --hours) and report this: no known answer is that large.",
            ),
            Self::Unsendable { .. } => (
                Kind::Configuration,
                "Check the keys and host names for stray characters such as line breaks.",
            ),
            Self::LongWait { .. } => (
                Kind::Temporary,
                "Another program may be using up the limit of this account or address; run again after the wait.",
            ),
            Self::Deadline { .. } => (
                Kind::Temporary,
                "Run again, or give the run more time with --deadline <MINUTES>.",
            ),
            Self::Interrupted(signal) => (
                Kind::Interrupted(*signal),
                "Run again; it goes on where this run ended.",
            ),
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
    if reasons.is_empty() {
        "no reason given".into()
    } else {
        reasons.join(": ")
    }
}

fn is_certificate(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if matches!(
            error.downcast_ref(),
            Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented)
        ) {
            return true;
        }
        // An I/O error leaves out of its sources the very error it wraps, and is itself wrapped in others.
        let wrapped = error
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref);
        next = match wrapped {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    false
}
