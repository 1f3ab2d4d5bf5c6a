//! Requests to a vendor's API: how they are built and sent.

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use serde::Serialize;

use crate::failure::{Failure, FailureKind, REPORT_BUG};
use crate::http::{Http, MalformedBody, Reply, Request, Response};

/// Builds a POST request to `path` at `base`, which has no path of its own.
pub(super) fn post(
    base: &Url,
    path: &str,
    headers: impl IntoIterator<Item = (HeaderName, HeaderValue)>,
    body: Vec<u8>,
) -> Request {
    let mut url = base.clone();
    url.set_path(path);
    Request::new(Method::POST, url, HeaderMap::from_iter(headers), body)
}

/// Serializes a request body as JSON.
///
/// # Errors
/// When a value cannot be expressed in JSON.
pub(super) fn json_body(body: &impl Serialize) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(body).map_err(|error| {
        Failure::new(
            FailureKind::Unexpected,
            "internal error: a request cannot be serialized as JSON",
            REPORT_BUG,
        )
        .with_cause(error)
    })
}

/// Sends a request.
///
/// # Errors
/// The `HttpError` if no response came or none can be used, with the vendor's name in front.
pub(super) async fn send<T>(
    http: &Http,
    vendor: &str,
    request: &Request,
    read: impl Fn(&Response) -> Result<T, MalformedBody>,
) -> Result<Reply<T>, Failure> {
    http.send(request, read).await.map_err(|error| {
        let mut failure = Failure::from(error);
        failure.message = format!("{vendor}: {}", failure.message);
        failure
    })
}

/// Returns the content of a successful response.
///
/// # Errors
/// The failure that `rejected` returns for any other response.
pub(super) fn accepted<T>(
    reply: Reply<T>,
    rejected: impl FnOnce(&Response) -> Failure,
) -> Result<T, Failure> {
    match reply {
        Reply::Success(content) => Ok(content),
        Reply::Rejected(response) => Err(rejected(&response)),
    }
}
