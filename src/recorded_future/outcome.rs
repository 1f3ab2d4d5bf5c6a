//! What Recorded Future's response means for a batch.

use serde::Deserialize;

use crate::failure::{Failure, FailureKind};
use crate::http::{HttpError, MalformedBody, Response};
use crate::indicator::IndicatorType;

/// The outcome of submitting a batch.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The batch was accepted.
    Delivered(Receipt),
    /// A temporary error that outlasted the retries: the batch stays queued for the next run.
    Temporary(Failure),
    /// Something in the batch is not accepted.
    Rejected(Rejection),
    /// The daily quota is used up: everything stays queued until tomorrow.
    QuotaExhausted(Failure),
    /// The run cannot continue: everything stays queued.
    Fatal(Failure),
}

/// The rejection of a batch because of its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rejection {
    pub status: u16,
    /// Status, message and trace id on one line.
    pub message: String,
}

impl Rejection {
    /// Returns whether the batch was too large, rather than invalid.
    pub(crate) const fn too_large(&self) -> bool {
        self.status == 413
    }
}

/// What a successful response says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Receipt {
    /// `options.debug` of the request, if the response repeats it.
    pub debug: Option<bool>,
    /// The number of processed items by type; `None` if the response has none.
    pub processed: Option<ProcessedCounts>,
}

/// The number of processed items by indicator type.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct ProcessedCounts {
    hash: u64,
    domain: u64,
    ip: u64,
    url: u64,
}

impl ProcessedCounts {
    /// Returns the number of items of a type.
    pub(crate) const fn of(&self, kind: IndicatorType) -> u64 {
        match kind {
            IndicatorType::Hash => self.hash,
            IndicatorType::Domain => self.domain,
            IndicatorType::Ip => self.ip,
            IndicatorType::Url => self.url,
        }
    }

    /// Counts one item of a type.
    pub(crate) fn add(&mut self, kind: IndicatorType) {
        *match kind {
            IndicatorType::Hash => &mut self.hash,
            IndicatorType::Domain => &mut self.domain,
            IndicatorType::Ip => &mut self.ip,
            IndicatorType::Url => &mut self.url,
        } += 1;
    }
}

/// Parses a 2xx response. A JSON object of unknown shape is an empty receipt. Anything else is
/// malformed: the 200 of a proxy or a login page does not prove that the batch arrived.
///
/// # Errors
/// When the body is not a JSON object.
pub(super) fn parse_receipt(response: &Response) -> Result<Receipt, MalformedBody> {
    // 204 has no body by definition, and still means that the batch was accepted.
    if response.status.as_u16() == 204 {
        return Ok(Receipt { debug: None, processed: None });
    }
    let body: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(&response.body).map_err(|error| MalformedBody::json(&error))?;
    let result = body.get("result");
    let debug = result.and_then(|result| result.get("debug")).and_then(serde_json::Value::as_bool);
    let processed = result
        .and_then(|result| result.pointer("/summary/processed"))
        // serde would deserialize a list by position.
        .filter(|processed| processed.is_object())
        .and_then(|processed| ProcessedCounts::deserialize(processed).ok());
    Ok(Receipt { debug, processed })
}

/// Returns the outcome for a receipt. A `debug` that differs from the request's is fatal: a live
/// run would store nothing, or a test would store its items.
pub(super) fn from_receipt(receipt: Receipt, debug: bool) -> Outcome {
    match receipt.debug {
        Some(other) if other != debug => Outcome::Fatal(
            Failure::new(
                FailureKind::Unexpected,
                format!("Recorded Future responded with debug: {other} to a request with debug: {debug}"),
                if debug {
                    "The items of this test may have been stored: tell Recorded Future's support."
                } else {
                    "Nothing of this batch was stored, and it stays queued: tell Recorded Future's support, then run again."
                },
            )
            .with_cause("options.debug of the response differs from that of the request"),
        ),
        _ => Outcome::Delivered(receipt),
    }
}

/// Returns the outcome for a response that is not 2xx.
pub(super) fn from_response(response: &Response, host: &str) -> Outcome {
    let message = format!("Recorded Future ({host}) responded with {}", response.summary());
    match response.status.as_u16() {
        status @ (400 | 413 | 422) => {
            Outcome::Rejected(Rejection { status, message: response.summary() })
        }
        401 => Outcome::Fatal(
            Failure::new(
                FailureKind::Credentials,
                message,
                "Check --rf-api-key (RF_API_KEY): 32 lower-case letters and digits, from Recorded Future > User settings > API access. Replace a key that expired or was regenerated.",
            )
            .with_cause("the API key is wrong or no longer valid"),
        ),
        403 => Outcome::Fatal(
            Failure::new(
                FailureKind::Credentials,
                message,
                "Ask your Recorded Future account manager or administrator to give this API key the Collective Insights permission; then run again.",
            )
            .with_cause("the API key lacks the Collective Insights permission"),
        ),
        429 if is_daily_quota(response) => Outcome::QuotaExhausted(
            Failure::new(
                FailureKind::Temporary,
                message,
                "Nothing has to be done: the first run after midnight UTC sends the queued indicators.",
            )
            .with_cause("the daily quota of submissions is used up"),
        ),
        429 | 500..=599 => Outcome::Temporary(Failure::new(
            FailureKind::Temporary,
            message,
            "Run again later. Recorded Future's support asks for the trace id.",
        )),
        300..=399 => Outcome::Fatal(
            Failure::new(
                FailureKind::Configuration,
                message,
                "Check --rf-api-url (RF_API_URL): it should be https://api.recordedfuture.com.",
            )
            .with_cause("redirects are not followed, because they would send the API key to another address"),
        ),
        404 => Outcome::Fatal(
            Failure::new(
                FailureKind::Configuration,
                message,
                "Check --rf-api-url (RF_API_URL): it should be https://api.recordedfuture.com, without a path.",
            )
            .with_cause("there is no Collective Insights API at this address"),
        ),
        _ => Outcome::Fatal(Failure::new(
            FailureKind::Unexpected,
            message,
            "Run again with --debug and report this together with the log; Recorded Future's support asks for the trace id.",
        )),
    }
}

/// Returns the outcome if there was no usable response.
pub(super) fn from_http_error(error: HttpError) -> Outcome {
    let mut failure = Failure::from(error);
    failure.message = format!("Recorded Future: {}", failure.message);
    match failure.kind {
        FailureKind::Temporary => Outcome::Temporary(failure),
        _ => Outcome::Fatal(failure),
    }
}

/// Returns whether a 429 is about the day's quota. Only the service's message distinguishes
/// it from the rate limit.
fn is_daily_quota(response: &Response) -> bool {
    let message = response.error_message().unwrap_or_default().to_ascii_lowercase();
    message.contains("quota")
        || (message.contains("limit") && (message.contains("day") || message.contains("daily")))
}
