//! What an answer of Recorded Future means for the batch it answers.

use serde::Deserialize;

use crate::failure::{Failure, Kind};
use crate::http::{Answer, Broken, Trouble};
use crate::indicator;

/// What became of a batch.
#[derive(Debug)]
pub enum Verdict {
    /// Accepted, with what was processed of it.
    Delivered(Receipt),
    /// A passing trouble that the retries did not outlast: keep the batch for the next run.
    TryAgain(Failure),
    /// Something in the batch is refused.
    Halve(Refused),
    /// The day's quota is used up: keep everything until tomorrow.
    StopForToday(Failure),
    /// The run cannot go on: keep everything.
    Fatal(Failure),
}

/// A refusal of a batch for what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The HTTP status.
    pub status: u16,
    /// Recorded Future's words, with the trace id.
    pub words: String,
}

impl Refused {
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
    pub processed: Option<Processed>,
}

/// Processed items by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Processed {
    /// Hashes.
    pub hash: u64,
    /// Domains.
    pub domain: u64,
    /// Addresses.
    pub ip: u64,
    /// URLs.
    pub url: u64,
}

impl Processed {
    /// The number of one kind.
    #[must_use]
    pub const fn of(&self, kind: indicator::Kind) -> u64 {
        match kind {
            indicator::Kind::Hash => self.hash,
            indicator::Kind::Domain => self.domain,
            indicator::Kind::Ip => self.ip,
            indicator::Kind::Url => self.url,
        }
    }

    /// Counts one item of a kind.
    pub fn add(&mut self, kind: indicator::Kind) {
        *match kind {
            indicator::Kind::Hash => &mut self.hash,
            indicator::Kind::Domain => &mut self.domain,
            indicator::Kind::Ip => &mut self.ip,
            indicator::Kind::Url => &mut self.url,
        } += 1;
    }
}

/// Reads a 2xx answer. A JSON object of unknown shape is a receipt that says nothing; anything else is
/// broken, because a proxy's or login page's 200 is no proof that the batch arrived.
///
/// # Errors
/// When the body is not a JSON object.
pub(super) fn receipt(answer: &Answer) -> Result<Receipt, Broken> {
    // It has no body by definition, and says all the same that the batch was taken.
    if answer.status.as_u16() == 204 {
        return Ok(Receipt { debug: None, processed: None });
    }
    let body: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(&answer.body).map_err(|error| Broken::json(&error))?;
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
            Some(Processed { hash, domain, ip, url })
        });
    Ok(Receipt { debug, processed })
}

/// The verdict on a receipt: a run that saves must not be told that nothing was saved, nor the other
/// way round.
pub(super) fn of_receipt(receipt: Receipt, debug: bool) -> Verdict {
    match receipt.debug {
        Some(echo) if echo != debug => Verdict::Fatal(
            Failure::new(
                Kind::Unexpected,
                format!("Recorded Future answered as if debug were {echo}, but {debug} was sent"),
                if debug {
                    "What was meant as a rehearsal may have been saved: tell Recorded Future's support."
                } else {
                    "Nothing of this batch was saved, and it is kept: tell Recorded Future's support, then run again."
                },
            )
            .because("the answer's options.debug differs from the request's"),
        ),
        _ => Verdict::Delivered(receipt),
    }
}

/// The verdict on an answer that is not 2xx.
pub(super) fn of_answer(answer: &Answer, host: &str) -> Verdict {
    let message = format!("Recorded Future ({host}) answered {}", answer.in_short());
    match answer.status.as_u16() {
        status @ (400 | 413 | 422) => Verdict::Halve(Refused { status, words: answer.in_short() }),
        401 => Verdict::Fatal(
            Failure::new(
                Kind::Credentials,
                message,
                "Check --rf-api-key (RF_API_KEY): 32 lower-case letters and digits, from Recorded Future > User settings > API access. A key that expired or was regenerated must be replaced here.",
            )
            .because("the API key is wrong or no longer valid"),
        ),
        403 => Verdict::Fatal(
            Failure::new(
                Kind::Credentials,
                message,
                "Ask your Recorded Future account manager or administrator to give this API key the Collective Insights permission; then run again.",
            )
            .because("the API key lacks the Collective Insights permission"),
        ),
        429 if says_quota(answer) => Verdict::StopForToday(
            Failure::new(Kind::Temporary, message, "Nothing needs to be done: what waits is sent by the next run after midnight UTC.")
                .because("the day's quota of submissions is used up"),
        ),
        429 | 500..=599 => Verdict::TryAgain(Failure::new(
            Kind::Temporary,
            message,
            "Run again later. Recorded Future's support asks for the trace id.",
        )),
        300..=399 => Verdict::Fatal(
            Failure::new(Kind::Configuration, message, "Check --rf-api-url (RF_API_URL): it should be https://api.recordedfuture.com.")
                .because("redirects are not followed, since they would carry the API key along"),
        ),
        404 => Verdict::Fatal(
            Failure::new(Kind::Configuration, message, "Check --rf-api-url (RF_API_URL): it should be https://api.recordedfuture.com, without a path.")
                .because("there is no Collective Insights API at this address"),
        ),
        _ => Verdict::Fatal(Failure::new(
            Kind::Unexpected,
            message,
            "Run again with --debug and show the log to whoever maintains this tool; Recorded Future's support asks for the trace id.",
        )),
    }
}

/// The verdict where no usable answer came.
pub(super) fn of_trouble(trouble: Trouble) -> Verdict {
    let mut failure = trouble.into_failure();
    failure.message = format!("Recorded Future: {}", failure.message);
    match failure.kind {
        Kind::Temporary => Verdict::TryAgain(failure),
        _ => Verdict::Fatal(failure),
    }
}

/// Whether a 429 is about the day, not the moment.
fn says_quota(answer: &Answer) -> bool {
    let words = answer.words().unwrap_or_default().to_ascii_lowercase();
    words.contains("quota")
        || (words.contains("limit") && (words.contains("day") || words.contains("daily")))
}
