//! A response as bytes, and what the error responses of all services have in common.

use chrono::{DateTime, Utc};
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::buffers::Body;
use crate::redact;

/// How many characters of a service's error message are quoted.
const QUOTED_CHARACTERS: usize = 300;
/// How many characters of a trace id are quoted: real ones have 16 to 36.
const TRACE_CHARACTERS: usize = 100;
/// The maximum number of elements, of all lists and objects together, in a body that
/// [`Response::json`] parses: several times that of the largest real one, a thousand rows of a
/// search. Parsed, one takes up to 660 bytes, so without a limit a small compressed body could take
/// gigabytes.
const MAX_JSON_ELEMENTS: usize = 500_000;

/// The body of a 2xx response is not usable: truncated, not JSON, far too large, or of another
/// shape.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct MalformedBody(pub String);

impl MalformedBody {
    /// Describes a body that is not the expected JSON.
    #[must_use]
    pub fn json(error: &serde_json::Error) -> Self {
        // serde_json's own text may quote values; category and position do not.
        Self(format!(
            "not the expected JSON ({:?} at line {} column {})",
            error.classify(),
            error.line(),
            error.column()
        ))
    }
}

/// Status, headers and body of one response.
#[derive(Debug)]
pub(crate) struct Response {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// The body, decompressed.
    pub body: Body,
    /// When the head arrived, by this machine's clock (UTC).
    pub received_at: DateTime<Utc>,
}

impl Response {
    /// Creates a response for a test.
    #[cfg(test)]
    pub(crate) fn new(status: u16, text: impl AsRef<[u8]>) -> Self {
        let mut body = Body::default();
        body.extend(text.as_ref());
        Self {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body,
            received_at: DateTime::UNIX_EPOCH,
        }
    }

    /// Parses the body as JSON. Pages of alerts, which are larger, have decoders of their own.
    ///
    /// # Errors
    /// When the body is not the expected JSON, or has more than 500,000 elements.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, MalformedBody> {
        // An upper bound: the characters in texts count too.
        let begins_element = |byte: &&u8| matches!(byte, b'{' | b'[' | b',');
        if self.body.iter().filter(begins_element).count() > MAX_JSON_ELEMENTS {
            return Err(MalformedBody("far more elements than expected".to_owned()));
        }
        serde_json::from_slice(&self.body).map_err(|error| MalformedBody::json(&error))
    }

    /// Returns a header's value, if it is printable ASCII.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Returns the service's time, from the `Date` header.
    pub(super) fn date(&self) -> Option<DateTime<Utc>> {
        let date = self.header("date")?;
        httpdate::parse_http_date(date.trim()).ok().map(DateTime::from)
    }

    /// Returns the trace id that the service's support asks for: from the headers, else from the
    /// body of an error.
    ///
    /// Seen as `X-Cs-Traceid` and `meta.trace_id` (CrowdStrike), `trace_id`, `traceId` and `CF-RAY`
    /// (Recorded Future).
    pub(crate) fn trace_id(&self) -> Option<String> {
        let header = self.header("x-cs-traceid").or_else(|| self.header("cf-ray"));
        if let Some(trace) = header {
            return Some(truncate_trace_id(trace));
        }
        if self.status.is_success() {
            return None;
        }
        let body: Value = serde_json::from_slice(&self.body).ok()?;
        [body.pointer("/meta/trace_id"), body.get("trace_id"), body.get("traceId")]
            .into_iter()
            .flatten()
            .find_map(Value::as_str)
            .filter(|trace| !trace.is_empty())
            .map(truncate_trace_id)
    }

    /// Returns the service's error message: the message field in any of the known shapes, else the
    /// start of the body; `None` for an empty body.
    pub(crate) fn error_message(&self) -> Option<String> {
        let message = serde_json::from_slice::<Value>(&self.body).ok().and_then(|body| {
            [
                body.pointer("/errors/0/message"),
                body.get("message"),
                body.pointer("/error/message"),
                body.get("error"),
                body.get("error_code"),
            ]
            .into_iter()
            .flatten()
            .find_map(Value::as_str)
            .map(str::to_owned)
        });
        let text = message.unwrap_or_else(|| String::from_utf8_lossy(&self.body).into_owned());
        let message = truncate_message(&text);
        (!message.is_empty()).then_some(message)
    }

    /// Releases the shared buffer early: error bodies are small and may outlive a long wait.
    pub(super) fn release_early(&mut self) {
        self.body.release_early();
    }

    /// Returns status, message and trace id on one line, for example `403 "access denied" (trace
    /// 1234)`.
    pub(crate) fn summary(&self) -> String {
        let status = self.status.as_u16();
        let message =
            self.error_message().map(|message| format!(" \"{message}\"")).unwrap_or_default();
        let trace = self.trace_id().map(|trace| format!(" (trace {trace})")).unwrap_or_default();
        format!("{status}{message}{trace}")
    }
}

/// Returns the start of a service's message, on one line and without secrets.
pub(crate) fn truncate_message(text: &str) -> String {
    let shown = redact::mask_secrets(text);
    let words = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    words.chars().take(QUOTED_CHARACTERS).collect()
}

/// Returns the start of a trace id, without secrets.
pub(crate) fn truncate_trace_id(text: &str) -> String {
    redact::excerpt(text, TRACE_CHARACTERS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(body: &str) -> Response {
        Response::new(403, body)
    }

    #[test]
    fn a_body_that_is_far_too_large_is_not_parsed() {
        let list = |value: &str, count: usize| format!("[{}]", vec![value; count].join(","));
        let response = |text| Response::new(200, text);
        assert!(response(list("0", MAX_JSON_ELEMENTS + 1)).json::<Value>().is_err());
        assert!(response(list(r#"{"":0}"#, MAX_JSON_ELEMENTS / 2 + 1)).json::<Value>().is_err());
        let rows: Vec<Value> = response(list(r#"{"":0}"#, MAX_JSON_ELEMENTS / 2)).json().unwrap();
        assert_eq!(rows.len(), MAX_JSON_ELEMENTS / 2);
    }

    #[test]
    fn messages_and_trace_ids_are_found_in_every_known_shape() {
        for body in [
            r#"{"errors":[{"code":403,"message":"no"}],"meta":{"trace_id":"t"}}"#,
            r#"{"message":"no","status_code":403,"trace_id":"t"}"#,
            r#"{"error":{"message":"no","status":403},"traceId":"t"}"#,
        ] {
            assert_eq!(response(body).error_message().as_deref(), Some("no"), "{body}");
            assert_eq!(response(body).trace_id().as_deref(), Some("t"), "{body}");
        }
        assert_eq!(response(r#"{"error":"no"}"#).error_message().as_deref(), Some("no"));
        assert_eq!(response(r#"{"error_code":"NO"}"#).error_message().as_deref(), Some("NO"));
        assert_eq!(
            response(r#"{"error_code":"NO","message":"no"}"#).error_message().as_deref(),
            Some("no")
        );
        assert_eq!(response("<html>\n <h1>no").error_message().as_deref(), Some("<html> <h1>no"));
        assert_eq!(response("").error_message(), None);
        assert_eq!(
            response(&"x".repeat(9000)).error_message().map(|message| message.len()),
            Some(QUOTED_CHARACTERS)
        );
    }
}
