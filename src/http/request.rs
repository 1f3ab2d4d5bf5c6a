//! A request, as the callers of the client describe it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use reqwest::header::{HeaderMap, HeaderValue, InvalidHeaderValue};
use reqwest::{Method, StatusCode, Url};

use super::error::HttpError;
use super::response::Response;

/// One request, which can be sent any number of times.
#[derive(Clone)]
pub(crate) struct Request {
    pub method: Method,
    pub url: Url,
    /// All headers; those that contain a secret must be marked as sensitive.
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    is_final: fn(&Response) -> bool,
    /// See [`Self::may_have_arrived`]. Shared by the clones.
    may_have_arrived: Arc<AtomicBool>,
}

/// Leaves out headers and body: the body of a sign-in contains a secret.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({} {}, {} bytes)", self.method, self.url, self.body.len())
    }
}

impl Request {
    /// Creates a request; the status of a response decides whether it is sent again.
    pub(crate) fn new(method: Method, url: Url, headers: HeaderMap, body: Vec<u8>) -> Self {
        let may_have_arrived = Arc::default();
        Self { method, url, headers, body, is_final: |_| false, may_have_arrived }
    }

    /// Sets which responses are final although their status is temporary.
    pub(crate) fn without_retry_if(self, is_final: fn(&Response) -> bool) -> Self {
        Self { is_final, ..self }
    }

    /// Returns whether this response is final although its status is temporary.
    pub(super) fn is_final(&self, response: &Response) -> bool {
        (self.is_final)(response)
    }

    /// Returns whether the service may have processed the request in one of its attempts.
    pub(crate) fn may_have_arrived(&self) -> bool {
        self.may_have_arrived.load(Ordering::Relaxed)
    }

    /// Records that the service may have processed the request, unless the result of an attempt
    /// rules that out.
    pub(super) fn observe(&self, result: &Result<Response, HttpError>) {
        let is_ruled_out = match result {
            Ok(response) => {
                // A gateway may give up (408) on what the service still processes.
                let is_unknown = response.status == StatusCode::REQUEST_TIMEOUT;
                !is_unknown && !response.status.is_server_error() && !response.status.is_success()
            }
            Err(error) => error.precedes_the_request(),
        };
        if !is_ruled_out {
            self.may_have_arrived.store(true, Ordering::Relaxed);
        }
    }

    /// Returns the service's host, for messages.
    pub(crate) fn host(&self) -> &str {
        self.url.host_str().unwrap_or("the service")
    }
}

/// Returns a header value that is never logged.
///
/// # Errors
/// When the text has characters that a header cannot contain.
pub(crate) fn secret_header(text: &str) -> Result<HeaderValue, InvalidHeaderValue> {
    let mut value = HeaderValue::try_from(text)?;
    value.set_sensitive(true);
    Ok(value)
}
