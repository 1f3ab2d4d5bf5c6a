//! The errors of requests without a usable response, classified by their source chain.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

use rustls::AlertDescription;
use thiserror::Error as ThisError;

use super::MAX_BODY_BYTES;
use super::certificate::RejectedCertificate;
use super::dns::ResolveError;
use super::response::{MalformedBody, Response};
use super::retry::MAX_RETRY_AFTER;
use crate::failure::{Failure, FailureKind, Signal};

/// The cause of a failed connection to a port that does not use TLS.
const NO_TLS: &str = "the server does not speak TLS on this port";

/// A request got no usable response. `host` is the host of the request, and `proxy` the proxy
/// for it, as `host:port`.
#[derive(Debug, ThisError)]
pub(crate) enum HttpError {
    /// The name of the host, or of its proxy, cannot be resolved.
    #[error("cannot resolve the host name {}", resolution_target(host, proxy.as_deref()))]
    Dns { host: String, proxy: Option<String>, source: ClientError },
    /// No connection: refused, timed out, no route, no network, no TLS.
    #[error("cannot connect to {host}{}{}", via_proxy(proxy.as_deref()), because(source))]
    Connect { host: String, proxy: Option<String>, source: ClientError },
    /// The certificate was rejected. Not retried.
    #[error("the certificate of {} was rejected", .0.host)]
    Certificate(#[source] RejectedCertificate),
    /// The proxy requires credentials, or rejected them. Not retried.
    #[error(
        "the proxy {proxy} for {host} requires a user name and a password, or rejected them (407)"
    )]
    ProxyCredentials { host: String, proxy: String },
    /// One attempt took longer than its time limit.
    #[error("{host} did not respond in time")]
    Timeout { host: String, source: ClientError },
    /// The connection was lost before the response was complete, or its body cannot be
    /// decompressed.
    #[error("the connection to {host} was lost")]
    ConnectionLost { host: String, source: ClientError },
    /// A successful response with an unusable body.
    #[error("{host} sent a malformed response")]
    MalformedBody { host: String, source: MalformedBody },
    /// A response body above the limit.
    #[error("the response of {host} is larger than {} MiB", MAX_BODY_BYTES / 1_048_576)]
    TooLarge { host: String },
    /// The request cannot be built.
    #[error("the request to {host} is invalid")]
    InvalidRequest { host: String, source: ClientError },
    /// The service requests a wait that is longer than the limit.
    #[error("{host} requested a {} s wait (limit {} s)", wait.as_secs(), MAX_RETRY_AFTER.as_secs())]
    RetryAfterTooLong { host: String, wait: Duration },
    /// The next attempt would be after the run's deadline.
    #[error("{host} cannot be tried again before the run's deadline")]
    NoTimeToRetry { host: String, source: Box<AttemptError> },
    /// The run's deadline passed.
    #[error("the run's deadline passed while waiting for {host}")]
    Deadline { host: String },
    /// A signal ended the run.
    #[error("interrupted by {}", .0.name())]
    Interrupted(Signal),
}

/// The reason of a failed attempt that can be retried.
#[derive(Debug, ThisError)]
pub(crate) enum AttemptError {
    /// The service rejected the request.
    #[error("{}", .0.summary())]
    Status(Response),
    /// No response came, or none that can be used.
    #[error(transparent)]
    Http(HttpError),
}

impl AttemptError {
    pub(super) fn status(&self) -> Option<u16> {
        match self {
            Self::Status(response) => Some(response.status.as_u16()),
            Self::Http(_) => None,
        }
    }
}

impl HttpError {
    /// Classifies the client's error.
    pub(super) fn from_client(host: &str, proxy: Option<String>, error: reqwest::Error) -> Self {
        if let Some(rejected) = RejectedCertificate::find(&error, host) {
            return Self::Certificate(rejected);
        }
        let host = host.to_owned();
        let source = ClientError(error.without_url());
        if source.0.is_builder() {
            Self::InvalidRequest { host, source }
        } else if source.0.is_connect() {
            match proxy {
                Some(proxy) if source.is_proxy_authorization_required() => {
                    Self::ProxyCredentials { host, proxy }
                }
                proxy if source.chain().any(<dyn Error>::is::<ResolveError>) => {
                    Self::Dns { host, proxy, source }
                }
                proxy => Self::Connect { host, proxy, source },
            }
        } else if source.0.is_timeout() {
            Self::Timeout { host, source }
        } else {
            Self::ConnectionLost { host, source }
        }
    }

    /// Returns whether another attempt may succeed.
    pub(super) fn is_temporary(&self) -> bool {
        matches!(
            self,
            Self::Dns { .. }
                | Self::Connect { .. }
                | Self::Timeout { .. }
                | Self::ConnectionLost { .. }
                | Self::MalformedBody { .. }
        )
    }

    /// Returns whether the service cannot have received the request.
    pub(super) const fn precedes_the_request(&self) -> bool {
        matches!(
            self,
            Self::Dns { .. }
                | Self::Connect { .. }
                | Self::Certificate(_)
                | Self::ProxyCredentials { .. }
                | Self::InvalidRequest { .. }
        )
    }

    fn kind(&self) -> FailureKind {
        match self {
            Self::Dns { .. }
            | Self::Connect { .. }
            | Self::Timeout { .. }
            | Self::ConnectionLost { .. }
            | Self::MalformedBody { .. }
            | Self::RetryAfterTooLong { .. }
            | Self::NoTimeToRetry { .. }
            | Self::Deadline { .. } => FailureKind::Temporary,
            Self::Certificate(_) | Self::InvalidRequest { .. } => FailureKind::Configuration,
            Self::ProxyCredentials { .. } => FailureKind::Credentials,
            Self::TooLarge { .. } => FailureKind::Unexpected,
            Self::Interrupted(signal) => FailureKind::Interrupted(*signal),
        }
    }

    fn help(&self) -> &'static str {
        match self {
            Self::Connect { proxy: None, source, .. } if source.reason() == Some(NO_TLS) => {
                "Check the host name and the port in the settings: something else responds there. Then run again."
            }
            Self::Dns { proxy: None, .. } | Self::Connect { proxy: None, .. } => {
                "Check the host name, the network, DNS, the firewall and HTTPS_PROXY; then run again."
            }
            Self::Dns { .. } | Self::Connect { .. } => {
                "Check that the proxy in HTTPS_PROXY is the right one, is running, accepts the user name and password given there, and allows this host (NO_PROXY lists hosts that are reached without it); then run again."
            }
            Self::Certificate(rejected) => rejected.help(),
            Self::ProxyCredentials { .. } => {
                "Set HTTPS_PROXY to http://USER:PASSWORD@HOST:PORT, with special characters in the user name and the password percent-encoded (@ is %40), or configure the proxy to allow this machine without a password."
            }
            Self::Timeout { .. } => {
                "Run again later, or allow more time per request with --timeout <SECONDS>. If the error persists, check the network between this machine and the service."
            }
            Self::ConnectionLost { .. } => {
                "Run again later. If the error persists, check the network between this machine and the service."
            }
            Self::MalformedBody { .. } => {
                "A proxy, a login page or a gateway may have responded instead of the service: check the host, then run again."
            }
            Self::TooLarge { .. } => {
                "Request less at once (a shorter --hours) and report this: no known response is that large."
            }
            Self::InvalidRequest { .. } => {
                "Check the keys and host names for invalid characters such as line breaks; `collective-insights check --show-config` lists where each value comes from."
            }
            Self::RetryAfterTooLong { .. } => {
                "Another program may be using up the rate limit of this account or address. Run again after the wait."
            }
            Self::NoTimeToRetry { .. } | Self::Deadline { .. } => {
                "Run again, or allow the run more time with --deadline <MINUTES>."
            }
            Self::Interrupted(_) => "Run again; the next run continues where this one ended.",
        }
    }
}

impl From<HttpError> for Failure {
    fn from(error: HttpError) -> Self {
        let failure = Self::new(error.kind(), error.to_string(), error.help());
        match error {
            HttpError::Connect { source, .. } if source.reason().is_none() => {
                failure.with_cause(source)
            }
            HttpError::Dns { source, .. }
            | HttpError::Connect { source, .. }
            | HttpError::Timeout { source, .. }
            | HttpError::ConnectionLost { source, .. } => failure.with_logged_cause(source),
            HttpError::InvalidRequest { source, .. } => failure.with_cause(source),
            HttpError::Certificate(rejected) => failure.with_cause(rejected),
            HttpError::MalformedBody { source, .. } => failure.with_cause(source),
            // Without the sources of the last attempt's error: each attempt was logged with them.
            HttpError::NoTimeToRetry { source, .. } => failure.with_cause(source.to_string()),
            _ => failure,
        }
    }
}

fn resolution_target(host: &str, proxy: Option<&str>) -> String {
    proxy.map_or_else(
        || host.to_owned(),
        |proxy| format!("of the proxy {proxy}, through which {host} is reached"),
    )
}

fn via_proxy(proxy: Option<&str>) -> String {
    proxy.map(|proxy| format!(" through the proxy {proxy}")).unwrap_or_default()
}

fn because(error: &ClientError) -> String {
    error.reason().map(|reason| format!(": {reason}")).unwrap_or_default()
}

/// Returns an error and its sources, the outermost first. The error that an I/O error wraps is one
/// of them: `io::Error::source` would skip it.
pub(super) fn links<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error: &&'a (dyn Error + 'static)| {
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let source: Option<&'a (dyn Error + 'static)> = match wrapped {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
        source
    })
}

/// The client's error without its URL, and without its own text, which says only that a request
/// failed: the reasons are in its sources.
#[derive(Debug)]
pub(crate) struct ClientError(reqwest::Error);

impl ClientError {
    /// Returns the reasons, the outermost first.
    fn chain(&self) -> impl Iterator<Item = &(dyn Error + 'static)> {
        std::iter::successors(self.0.source(), |error| (*error).source())
            .filter(|error| !error.is::<reqwest::Error>())
    }

    /// Returns why there is no connection, in plain words; `None` for a reason that is not known
    /// here.
    fn reason(&self) -> Option<&'static str> {
        if self.0.is_timeout() {
            return Some("it did not respond in time");
        }
        links(&self.0).find_map(|error| match error.downcast_ref::<rustls::Error>() {
            Some(error) => tls_reason(error),
            None if is_rejected_tunnel(error) => Some("the proxy rejected the connection"),
            None => error.downcast_ref::<io::Error>().and_then(|error| io_reason(error.kind())),
        })
    }

    /// Returns whether a proxy responded to CONNECT with 407. The error's type is private to the
    /// client's connector, so only its text can be compared.
    fn is_proxy_authorization_required(&self) -> bool {
        self.chain().any(|error| error.to_string() == "tunnel error: proxy authorization required")
    }
}

/// Returns whether a proxy responded to CONNECT with another status than 407; see above.
fn is_rejected_tunnel(error: &(dyn Error + 'static)) -> bool {
    error.to_string() == "tunnel error: unsuccessful"
}

fn tls_reason(error: &rustls::Error) -> Option<&'static str> {
    match error {
        rustls::Error::InvalidMessage(_) => Some(NO_TLS),
        rustls::Error::PeerIncompatible(_)
        | rustls::Error::AlertReceived(
            AlertDescription::ProtocolVersion | AlertDescription::HandshakeFailure,
        ) => Some("the server supports no version of TLS that is secure"),
        rustls::Error::AlertReceived(_) => Some("the server rejected the TLS connection"),
        _ => None,
    }
}

fn io_reason(kind: io::ErrorKind) -> Option<&'static str> {
    match kind {
        io::ErrorKind::ConnectionRefused => Some("the connection was refused"),
        io::ErrorKind::TimedOut => Some("it did not respond in time"),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            Some("there is no route to it")
        }
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::UnexpectedEof => Some("the server closed the connection"),
        _ => None,
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.chain().next() {
            Some(reason) => fmt::Display::fmt(reason, f),
            None => f.write_str("the reason is unknown"),
        }
    }
}

impl Error for ClientError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.chain().nth(1)
    }
}
