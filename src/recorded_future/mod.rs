//! Recorded Future's Collective Insights API: what is sent, the client, and what an answer means.

mod bisection;
mod outcome;

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::value::RawValue;

pub use self::bisection::Bisection;
pub use self::outcome::{Outcome, ProcessedCounts, Receipt, Rejection};
use crate::failure::{Failure, FailureKind};
use crate::http::{Http, Reply, Request};

const PATH: &str = "collective-insights/detections";
const TOKEN_HEADER: HeaderName = HeaderName::from_static("x-rftoken");

/// What is needed to submit.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The API's address, without a path.
    pub base: Url,
    /// The API key.
    pub token: SecretString,
    /// The organizations that are to see the detections; empty for all of the key's user.
    pub organization_ids: Vec<String>,
}

/// The body of one request.
#[derive(Debug, Serialize)]
struct RequestBody<'a> {
    options: Options,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    organization_ids: &'a [String],
    data: &'a [&'a RawValue],
}

#[derive(Debug, Serialize)]
struct Options {
    /// Always sent: the sources disagree on its default.
    debug: bool,
    summary: bool,
}

/// Submits batches, one after the other.
#[derive(Debug)]
pub struct Client {
    http: Http,
    settings: Settings,
    url: Url,
    headers: HeaderMap,
    debug: bool,
}

impl Client {
    /// A client; with `debug`, Recorded Future validates what is sent and saves nothing.
    ///
    /// # Errors
    /// When the address or the token cannot be part of a request.
    pub fn new(http: &Http, settings: &Settings, debug: bool) -> Result<Self, Failure> {
        let url = settings.base.join(PATH).map_err(|error| {
            Failure::new(
                FailureKind::Configuration,
                format!("{} is no usable base URL: {error}", settings.base),
                "Check --rf-api-url (RF_API_URL).",
            )
        })?;
        let mut token = HeaderValue::try_from(settings.token.expose_secret()).map_err(|_| {
            Failure::new(
                FailureKind::Configuration,
                "the Recorded Future API key holds characters that no header can carry",
                "Check --rf-api-key (RF_API_KEY) for stray characters such as line breaks.",
            )
        })?;
        token.set_sensitive(true);
        let json = HeaderValue::from_static("application/json");
        let headers = HeaderMap::from_iter([
            (CONTENT_TYPE, json.clone()),
            (ACCEPT, json),
            (TOKEN_HEADER, token),
        ]);
        Ok(Self { http: http.clone(), settings: settings.clone(), url, headers, debug })
    }

    /// Sends one batch and says what became of it.
    pub async fn submit(&self, items: &[&RawValue]) -> Outcome {
        let body = RequestBody {
            options: Options { debug: self.debug, summary: true },
            organization_ids: &self.settings.organization_ids,
            data: items,
        };
        let body = match serde_json::to_vec(&body) {
            Ok(body) => body,
            Err(error) => {
                return Outcome::Fatal(Failure::new(
                    FailureKind::Unexpected,
                    format!("a batch could not be written as JSON: {error}"),
                    "Report this.",
                ));
            }
        };
        let request = Request {
            method: Method::POST,
            url: self.url.clone(),
            headers: self.headers.clone(),
            body,
        };
        match self.http.send(&request, outcome::receipt).await {
            Ok(Reply::Success(receipt)) => outcome::of_receipt(receipt, self.debug),
            Ok(Reply::Rejected(response)) => outcome::of_answer(&response, request.host()),
            Err(trouble) => outcome::of_trouble(trouble),
        }
    }
}
