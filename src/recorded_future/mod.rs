//! Recorded Future's Collective Insights API: the client, and the meaning of responses.

mod bisection;
mod outcome;
mod search;

use std::collections::BTreeSet;

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::value::RawValue;

pub(crate) use self::bisection::{Bisection, Part};
pub(crate) use self::outcome::{Outcome, ProcessedCounts, Receipt, Rejection};
pub(crate) use self::search::{DetectionTimes, FoundRow, Query};
use crate::failure::{Failure, FailureKind, REPORT_BUG};
use crate::http::{self, Http, Reply, Request, ServiceClock};

const PATH: &str = "collective-insights/detections";
const TOKEN_HEADER: HeaderName = HeaderName::from_static("x-rftoken");

/// The configuration of the client.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// The API's base URL, without a path.
    pub base: Url,
    pub token: SecretString,
    /// The organizations that receive the submissions; empty for all organizations of the key's
    /// user.
    pub organization_ids: Vec<String>,
}

impl Config {
    /// Whether the other configuration has the same address and key.
    pub(crate) fn has_same_address_and_key(&self, other: &Self) -> bool {
        self.base == other.base && self.token.expose_secret() == other.token.expose_secret()
    }

    /// Whether requests with the other configuration have the same result.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let sorted = |ids: &[String]| BTreeSet::from_iter(ids.to_vec());
        self.has_same_address_and_key(other)
            && sorted(&self.organization_ids) == sorted(&other.organization_ids)
    }
}

#[derive(Debug, Serialize)]
struct RequestBody<'a> {
    options: RequestOptions,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    organization_ids: &'a [String],
    data: &'a [&'a RawValue],
}

#[derive(Debug, Serialize)]
struct RequestOptions {
    /// Always sent, because Recorded Future's documents disagree on its default.
    debug: bool,
    summary: bool,
}

/// The result of submitting a batch.
#[derive(Debug)]
pub(crate) struct Submitted {
    pub outcome: Outcome,
    /// Whether an attempt may have arrived, so that it may be stored whatever the outcome is.
    pub may_be_stored: bool,
}

/// Submits batches, one after the other, and searches for them.
#[derive(Debug)]
pub(crate) struct Client {
    http: Http,
    config: Config,
    url: Url,
    search_url: Url,
    headers: HeaderMap,
    debug: bool,
}

impl Client {
    /// Creates a client; with `debug`, Recorded Future validates what is sent but does not store
    /// it.
    ///
    /// # Errors
    /// When the base URL or the API key cannot be part of a request.
    pub(crate) fn new(http: &Http, config: &Config, debug: bool) -> Result<Self, Failure> {
        let url = |path| {
            config.base.join(path).map_err(|error| {
                Failure::new(
                    FailureKind::Configuration,
                    format!("{} is not a usable base URL", config.base),
                    "Check --rf-api-url (RF_API_URL).",
                )
                .with_cause(error)
            })
        };
        let (url, search_url) = (url(PATH)?, url(search::PATH)?);
        let token = http::secret_header(config.token.expose_secret()).map_err(|error| {
            Failure::new(
                FailureKind::Configuration,
                "the Recorded Future API key contains characters that are not allowed in an HTTP header",
                "Check --rf-api-key (RF_API_KEY) for stray characters such as line breaks.",
            )
            .with_cause(error)
        })?;
        let json = HeaderValue::from_static("application/json");
        let headers = HeaderMap::from_iter([
            (CONTENT_TYPE, json.clone()),
            (ACCEPT, json),
            (TOKEN_HEADER, token),
        ]);
        let (http, config) = (http.clone(), config.clone());
        Ok(Self { http, config, url, search_url, headers, debug })
    }

    /// Returns Recorded Future's clock.
    pub(crate) const fn service_clock(&self) -> &ServiceClock {
        self.http.service_clock()
    }

    /// Whether the time of the run is over.
    pub(crate) fn is_out_of_time(&self) -> bool {
        self.http.is_out_of_time()
    }

    /// Sends one batch.
    pub(crate) async fn submit(&self, items: &[&RawValue]) -> Submitted {
        let body = RequestBody {
            options: RequestOptions { debug: self.debug, summary: true },
            organization_ids: &self.config.organization_ids,
            data: items,
        };
        let body = match serde_json::to_vec(&body) {
            Ok(body) => body,
            Err(error) => {
                let message = "a batch could not be serialized as JSON";
                let failure = Failure::new(FailureKind::Unexpected, message, REPORT_BUG);
                let outcome = Outcome::Fatal(failure.with_cause(error));
                return Submitted { outcome, may_be_stored: false };
            }
        };
        let request = Request::new(Method::POST, self.url.clone(), self.headers.clone(), body);
        let parse = |response: &http::Response| outcome::parse_receipt(response, self.debug);
        let outcome = match self.http.send(&request, parse).await {
            Ok(Reply::Success(receipt)) => outcome::from_receipt(receipt, self.debug),
            Ok(Reply::Rejected(response)) => outcome::from_response(&response, request.host()),
            Err(error) => outcome::from_http_error(error),
        };
        Submitted { outcome, may_be_stored: request.may_have_arrived() }
    }
}
