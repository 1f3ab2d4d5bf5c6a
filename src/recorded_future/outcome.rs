//! What an answer of Recorded Future means for the batch it answers.

use serde::Deserialize;

use crate::failure::{Failure, FailureKind};
use crate::http::{HttpError, MalformedBody, Response};
use crate::indicator;

/// What became of a batch.
#[derive(Debug)]
pub enum Outcome {
    /// Accepted, with what was processed of it.
    Delivered(Receipt),
    /// A passing trouble that the retries did not outlast: keep the batch for the next run.
    Transient(Failure),
    /// Something in the batch is refused.
    Rejected(Rejection),
    /// The day's quota is used up: keep everything until tomorrow.
    QuotaExhausted(Failure),
    /// The run cannot go on: keep everything.
    Fatal(Failure),
}

/// A refusal of a batch for what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The HTTP status.
    pub status: u16,
    /// Recorded Future's words, with the trace id.
    pub words: String,
}

impl Rejection {
    /// Whether the batch was too large rather than wrong.
    #[must_use]
    pub const fn too_large(&self) -> bool {
        self.status == 413
    }
}

/// What a 200 says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The echo of `options.debug`, where there is one.
    pub debug: Option<bool>,
    /// How many of each kind were processed; `None` when the answer does not say.
    pub processed: Option<ProcessedCounts>,
}

/// ProcessedCounts items by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProcessedCounts {
    /// Hashes.
    pub hash: u64,
    /// Domains.
    pub domain: u64,
    /// Addresses.
    pub ip: u64,
    /// URLs.
    pub url: u64,
}

impl ProcessedCounts {
    /// The number of one kind.
    #[must_use]
    pub const fn of(&self, kind: indicator::IndicatorType) -> u64 {
        match kind {
            indicator::IndicatorType::Hash => self.hash,
            indicator::IndicatorType::Domain => self.domain,
            indicator::IndicatorType::Ip => self.ip,
            indicator::IndicatorType::Url => self.url,
        }
    }

    /// Counts one item of a kind.
    pub fn add(&mut self, kind: indicator::IndicatorType) {
        *match kind {
            indicator::IndicatorType::Hash => &mut self.hash,
            indicator::IndicatorType::Domain => &mut self.domain,
            indicator::IndicatorType::Ip => &mut self.ip,
            indicator::IndicatorType::Url => &mut self.url,
        } += 1;
    }
}

/// Reads a 2xx response. A JSON object of unknown shape is a receipt that says nothing; anything else is
/// broken, because a proxy's or login page's 200 is no proof that the batch arrived.
///
/// # Errors
/// When the body is not a JSON object.
pub(super) fn receipt(response: &Response) -> Result<Receipt, MalformedBody> {
    // It has no body by definition, and says all the same that the batch was taken.
    if response.status.as_u16() == 204 {
        return Ok(Receipt { debug: None, processed: None });
    }
    let body: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(&response.body).map_err(|error| MalformedBody::json(&error))?;
    let result = body.get("result");
    let debug = result.and_then(|result| result.get("debug")).and_then(serde_json::Value::as_bool);
    let processed = result
        .and_then(|result| result.pointer("/summary/processed"))
        // A list would be read by its places.
        .filter(|processed| processed.is_object())
        .and_then(|processed| {
            #[derive(Deserialize)]
            struct Counts {
                #[serde(default)]
                hash: u64,
                #[serde(default)]
                domain: u64,
                #[serde(default)]
                ip: u64,
                #[serde(default)]
                url: u64,
            }
            let Counts { hash, domain, ip, url } = Counts::deserialize(processed).ok()?;
            Some(ProcessedCounts { hash, domain, ip, url })
        });
    Ok(Receipt { debug, processed })
}

/// The verdict on a receipt: a run that saves must not be told that nothing was saved, nor the other
/// way round.
pub(super) fn of_receipt(receipt: Receipt, debug: bool) -> Outcome {
    match receipt.debug {
        Some(echo) if echo != debug => Outcome::Fatal(
            Failure::new(
                FailureKind::Unexpected,
                format!("Recorded Future answered as if debug were {echo}, but {debug} was sent"),
                if debug {
                    "What was meant as a rehearsal may have been saved: tell Recorded Future's support."
                } else {
                    "Nothing of this batch was saved, and it is kept: tell Recorded Future's support, then run again."
                },
            )
            .with_cause("the answer's options.debug differs from the request's"),
        ),
        _ => Outcome::Delivered(receipt),
    }
}

/// The verdict on an answer that is not 2xx.
pub(super) fn of_answer(response: &Response, host: &str) -> Outcome {
    let message = format!("Recorded Future ({host}) answered {}", response.summary());
    match response.status.as_u16() {
        status @ (400 | 413 | 422) => Outcome::Rejected(Rejection { status, words: response.summary() }),
        401 => Outcome::Fatal(
            Failure::new(
                FailureKind::Credentials,
                message,
                "Check --rf-api-key (RF_API_KEY): 32 lower-case letters and digits, from Recorded Future > User settings > API access. A key that expired or was regenerated must be replaced here.",
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
        429 if says_quota(response) => Outcome::QuotaExhausted(
            Failure::new(FailureKind::Temporary, message, "Nothing needs to be done: what waits is sent by the next run after midnight UTC.")
                .with_cause("the day's quota of submissions is used up"),
        ),
        429 | 500..=599 => Outcome::Transient(Failure::new(
            FailureKind::Temporary,
            message,
            "Run again later. Recorded Future's support asks for the trace id.",
        )),
        300..=399 => Outcome::Fatal(
            Failure::new(FailureKind::Configuration, message, "Check --rf-api-url (RF_API_URL): it should be https://api.recordedfuture.com.")
                .with_cause("redirects are not followed, since they would carry the API key along"),
        ),
        404 => Outcome::Fatal(
            Failure::new(FailureKind::Configuration, message, "Check --rf-api-url (RF_API_URL): it should be https://api.recordedfuture.com, without a path.")
                .with_cause("there is no Collective Insights API at this address"),
        ),
        _ => Outcome::Fatal(Failure::new(
            FailureKind::Unexpected,
            message,
            "Run again with --debug and show the log to whoever maintains this tool; Recorded Future's support asks for the trace id.",
        )),
    }
}

/// The verdict where no usable answer came.
pub(super) fn of_trouble(trouble: HttpError) -> Outcome {
    let mut failure = Failure::from(trouble);
    failure.message = format!("Recorded Future: {}", failure.message);
    match failure.kind {
        FailureKind::Temporary => Outcome::Transient(failure),
        _ => Outcome::Fatal(failure),
    }
}

/// Whether a 429 is about the day, not the moment.
fn says_quota(response: &Response) -> bool {
    let words = response.error_message().unwrap_or_default().to_ascii_lowercase();
    words.contains("quota")
        || (words.contains("limit") && (words.contains("day") || words.contains("daily")))
}
