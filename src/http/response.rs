//! An answer as bytes, and the few things every service's answers have in common.

use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde_json::Value;

use super::buffers::Body;
use crate::redact;

/// How much of a service's own words a message quotes, in characters.
const QUOTED_CHARACTERS: usize = 300;
/// How much of a trace id: those seen have 16 to 36 characters.
const TRACE_CHARACTERS: usize = 100;

/// A 2xx answer that cannot be read: cut short, not JSON, or not of the promised shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MalformedBody(pub String);

impl MalformedBody {
    /// An answer that is not the JSON it should be.
    #[must_use]
    pub fn json(error: &serde_json::Error) -> Self {
        // serde_json's text can quote the value; position and category cannot carry a payload.
        Self(format!(
            "not the JSON it should be ({:?} at line {} column {})",
            error.classify(),
            error.line(),
            error.column()
        ))
    }
}

/// Status, headers and body of one response.
#[derive(Debug)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, decompressed.
    pub body: Body,
}

impl Response {
    /// An answer for a test.
    #[cfg(test)]
    pub(crate) fn made(status: u16, text: impl AsRef<[u8]>) -> Self {
        let mut body = Body::default();
        body.extend(text.as_ref());
        Self { status: StatusCode::from_u16(status).unwrap(), headers: HeaderMap::new(), body }
    }

    /// A header's value, where it is there once and plain text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The trace id a service's support asks for: from the headers, else from the body.
    ///
    /// Seen as `X-Cs-Traceid` and `meta.trace_id` (CrowdStrike), `trace_id`, `traceId` and `CF-RAY`
    /// (Recorded Future).
    #[must_use]
    pub fn trace_id(&self) -> Option<String> {
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

    /// The service's own words: its message field in any of the known shapes, else the first
    /// characters of the text; `None` for an empty body.
    #[must_use]
    pub fn error_message(&self) -> Option<String> {
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
        let short = truncate_message(&text);
        (!short.is_empty()).then_some(short)
    }

    /// Lets the next answer into memory before this one is dropped: a refusal is small, and may be held
    /// for the length of a wait.
    pub(super) fn release_early(&mut self) {
        self.body.release_early();
    }

    /// Status and words in one line, for example `403 "access denied" (trace 1234)`.
    #[must_use]
    pub fn summary(&self) -> String {
        let status = self.status.as_u16();
        let words = self.error_message().map(|words| format!(" \"{words}\"")).unwrap_or_default();
        let trace = self.trace_id().map(|trace| format!(" (trace {trace})")).unwrap_or_default();
        format!("{status}{words}{trace}")
    }
}

/// The beginning of a service's words, on one line.
#[must_use]
pub fn truncate_message(text: &str) -> String {
    let shown = redact::without_secrets(text);
    let words = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    words.chars().take(QUOTED_CHARACTERS).collect()
}

/// A trace id, or the beginning of what is too long to be one.
#[must_use]
pub fn truncate_trace_id(text: &str) -> String {
    redact::without_secrets(text).chars().take(TRACE_CHARACTERS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(body: &str) -> Response {
        Response::made(403, body)
    }

    #[test]
    fn words_are_found_in_every_known_shape() {
        for body in [
            r#"{"errors":[{"code":403,"message":"no"}],"meta":{"trace_id":"t"}}"#,
            r#"{"message":"no","status_code":403,"trace_id":"t"}"#,
            r#"{"error":{"message":"no","status":403},"traceId":"t"}"#,
        ] {
            assert_eq!(answer(body).error_message().as_deref(), Some("no"), "{body}");
            assert_eq!(answer(body).trace_id().as_deref(), Some("t"), "{body}");
        }
        assert_eq!(answer(r#"{"error":"no"}"#).error_message().as_deref(), Some("no"));
        assert_eq!(answer(r#"{"error_code":"NO"}"#).error_message().as_deref(), Some("NO"));
        assert_eq!(
            answer(r#"{"error_code":"NO","message":"no"}"#).error_message().as_deref(),
            Some("no")
        );
        assert_eq!(answer("<html>\n <h1>no").error_message().as_deref(), Some("<html> <h1>no"));
        assert_eq!(answer("").error_message(), None);
        assert_eq!(
            answer(&"x".repeat(9000)).error_message().map(|words| words.len()),
            Some(QUOTED_CHARACTERS)
        );
    }
}
