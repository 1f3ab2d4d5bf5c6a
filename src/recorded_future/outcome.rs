//! The meaning of Recorded Future's response to a batch.

use serde::Deserialize;
use serde_json::{Map, Value};

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
    /// The run cannot send anything more: everything stays queued.
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

/// The content of a successful response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Receipt {
    /// Whether the batch was only validated and not stored.
    pub debug: bool,
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

/// Parses a 2xx response to a request with this `options.debug`. Only a receipt proves that the
/// batch arrived: a `result` object whose `status` is absent or a success, and whose `debug` is a
/// boolean. Anything else is malformed: a gateway, a proxy or a login page may have sent it.
///
/// # Errors
/// When the response is not a receipt.
pub(super) fn parse_receipt(response: &Response, debug: bool) -> Result<Receipt, MalformedBody> {
    let body: Map<String, Value> = response.json()?;
    let not_a_receipt = |reason: &str| {
        MalformedBody(format!("{reason}, so nothing was confirmed: {}", response.summary()))
    };
    let result = body
        .get("result")
        .and_then(Value::as_object)
        .ok_or_else(|| not_a_receipt("it has no result object"))?;
    let receipt = Receipt {
        debug: result
            .get("debug")
            .and_then(Value::as_bool)
            .ok_or_else(|| not_a_receipt("result.debug is not a boolean"))?,
        processed: result.get("summary").and_then(processed),
    };
    // Whatever the status is, another debug is fatal: see from_receipt.
    if receipt.debug == debug && !result.get("status").is_none_or(is_success) {
        return Err(not_a_receipt("result.status is not OK"));
    }
    Ok(receipt)
}

fn processed(summary: &Value) -> Option<ProcessedCounts> {
    // serde would deserialize a list by position.
    let processed = summary.get("processed").filter(|processed| processed.is_object())?;
    ProcessedCounts::deserialize(processed).ok()
}

fn is_success(status: &Value) -> bool {
    let is = |name: &str| status.as_str().is_some_and(|status| status.eq_ignore_ascii_case(name));
    is("ok") || is("success")
}

/// Returns the outcome for a receipt. A `debug` that differs from the request's is fatal: a live
/// run would store nothing, or a test would store its items.
pub(super) fn from_receipt(receipt: Receipt, debug: bool) -> Outcome {
    let other = receipt.debug;
    if other == debug {
        return Outcome::Delivered(receipt);
    }
    Outcome::Fatal(
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
    )
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
        408 | 425 | 429 | 500..=599 => Outcome::Temporary(Failure::new(
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(status: u16, body: &Value) -> Result<Receipt, MalformedBody> {
        parse_receipt(&Response::new(status, body.to_string()), false)
    }

    #[test]
    fn a_receipt_has_a_successful_result_and_says_whether_it_is_debug() {
        let without_summary = Receipt { debug: false, processed: None };
        for result in [
            json!({"debug": false}),
            json!({"debug": false, "status": "OK"}),
            json!({"debug": false, "status": "ok", "summary": {}}),
            json!({"debug": false, "status": "Success", "summary": {"processed": [1]}}),
            json!({"debug": false, "status": "SUCCESS", "summary": null, "other": 1}),
        ] {
            let body = json!({"result": result, "other": 1});
            for status in [200, 201, 202, 299] {
                assert_eq!(parse(status, &body), Ok(without_summary.clone()), "{body}");
            }
        }
        let body = json!({"result": {"debug": false, "summary": {"processed": {"hash": 2}}}});
        let processed = ProcessedCounts { hash: 2, ..ProcessedCounts::default() };
        assert_eq!(parse(200, &body).unwrap().processed, Some(processed));
    }

    #[test]
    fn any_other_response_is_not_a_receipt_and_is_quoted() {
        for body in [
            json!({}),
            json!({"message": "Internal error"}),
            json!({"error": "login_required"}),
            json!({"result": "fine"}),
            json!({"result": {"status": "OK"}}),
            json!({"result": {"debug": "false", "status": "OK"}}),
            json!({"result": {"debug": false, "status": "error"}}),
            json!({"result": {"debug": false, "status": null}}),
            json!({"debug": false, "status": "OK"}),
        ] {
            let error = parse(200, &body).unwrap_err().0;
            assert!(error.contains("nothing was confirmed: 200 \""), "{body}: {error}");
        }
        let error = parse(202, &json!({"message": "Internal error"})).unwrap_err().0;
        assert!(error.ends_with("202 \"Internal error\""), "{error}");
        for body in ["", "[]", "null", "<html>"] {
            assert!(parse_receipt(&Response::new(204, body), false).is_err(), "{body}");
        }
    }

    #[test]
    fn another_debug_is_fatal_whatever_the_status_is() {
        for status in ["OK", "error"] {
            let body = json!({"result": {"debug": true, "status": status}});
            let outcome = from_receipt(parse(200, &body).unwrap(), false);
            assert!(matches!(outcome, Outcome::Fatal(_)), "{outcome:?}");
        }
    }
}
