//! Falcon's errors: what happened, why, and what to do.

use super::cloud::Cloud;
use super::page::AlertPage;
use crate::failure::{Failure, FailureKind};
use crate::http::{Response, truncate_message, truncate_trace_id};
use crate::sources::errors::{Hints, common_failure};

/// The vendor's name in messages.
pub(super) const VENDOR: &str = "CrowdStrike";

const API_CLIENTS: &str = "Falcon console > Support and resources > API clients and keys";

/// Returns the failure for a rejected sign-in.
pub(super) fn sign_in_rejected(response: &Response, host: &str) -> Failure {
    let message = format!("{VENDOR} rejected the sign-in at {host}: {}", response.summary());
    let credentials = |hint: String| Failure::new(FailureKind::Credentials, message.clone(), hint);
    let reason = response.error_message().unwrap_or_default();
    match response.status.as_u16() {
        // A missing scope has the same text, but shows only when alerts are requested.
        403 if reason.contains("authorization failed") => credentials(
            "Add this machine's public IP address to the allow-list of the API client or the account, or remove the restriction.".into(),
        )
        .with_cause("the IP address of this request is not on the allow-list"),
        401 | 403 => credentials(format!(
            "Compare --client-id (CS_CLIENT_ID) and --client-secret (CS_CLIENT_SECRET) with {API_CLIENTS}; the secret is shown only once, when the client is created. Also check --cloud (FALCON_CLOUD): an API client exists in one cloud only."
        ))
        .with_cause("the client id or the client secret is wrong, or the API client was deleted"),
        400 => credentials(
            "Government accounts need --cloud us-gov-1 or --cloud us-gov-2. With --member-cid, check that it is the id of a child of this account.".into(),
        )
        .with_cause("this cloud does not know the account, or the member CID of the request"),
        404 => not_an_api(message),
        _ => fallback(response, host, message),
    }
}

/// Returns the failure for a rejected query for alerts.
pub(super) fn query_rejected(response: &Response, host: &str) -> Failure {
    let message =
        format!("{VENDOR} rejected the query for alerts at {host}: {}", response.summary());
    match response.status.as_u16() {
        401 => Failure::new(
            FailureKind::Credentials,
            message,
            format!("The API client may just have been changed or deleted: check it under {API_CLIENTS}, then run again."),
        )
        .with_cause("the access token was rejected, also after a new sign-in"),
        403 => Failure::new(
            FailureKind::Credentials,
            message,
            format!("Give the API client the scope Alerts: READ ({API_CLIENTS}), and check that the IP address of this machine is on the allow-list."),
        )
        .with_cause("the API client lacks the scope Alerts: READ, or the IP address is not allowed"),
        404 => not_an_api(message),
        _ => fallback(response, host, message),
    }
}

/// Returns the failure for the first error in a page that came with status 200; `None` if there is
/// no error.
pub(super) fn in_page(page: &AlertPage) -> Option<Failure> {
    let error = page.errors.first()?.0.as_ref();
    let code = error.and_then(|error| error.code).unwrap_or_default();
    let message =
        truncate_message(error.and_then(|error| error.message.as_deref()).unwrap_or_default());
    let trace = truncate_trace_id(page.trace_id.as_deref().unwrap_or("none"));
    let kind = match code {
        _ if !page.alerts.is_empty() => FailureKind::Partial,
        401 | 403 => FailureKind::Credentials,
        408 | 425 | 429 | 500..=599 => FailureKind::Temporary,
        _ => FailureKind::Unexpected,
    };
    Some(Failure::new(
        kind,
        format!("{VENDOR} returned a page with errors: {code} \"{message}\" (trace {trace})"),
        format!(
            "Run again; the alerts of the page are kept. If the error persists, send this message to {VENDOR} support."
        ),
    ))
}

/// Returns the failure for a page token that was already returned for another page.
pub(super) fn repeated_token() -> Failure {
    Failure::new(
        FailureKind::Unexpected,
        format!("{VENDOR} sent the same page token twice"),
        format!(
            "Run again. If the error persists, send the log of a run with --debug to {VENDOR} support."
        ),
    )
}

/// Returns the failure for alerts of several customers that nobody said to share together.
pub(super) fn several_customers(count: usize) -> Failure {
    Failure::new(
        FailureKind::Configuration,
        format!("the alerts belong to at least {count} customers, so none of them are shared"),
        "Name one customer with --member-cid, in a run of its own for each. To share the detections of all of them with one Recorded Future organization, use --all-cids.",
    )
    .with_cause("the API client belongs to a parent account (Flight Control), which sees the alerts of all its children")
}

fn not_an_api(message: String) -> Failure {
    Failure::new(
        FailureKind::Configuration,
        message,
        "Check --cloud or --base-url (CS_BASE_URL): it must be the address of the API, without a path, for example https://api.crowdstrike.com.",
    )
    .with_cause("there is no CrowdStrike API at this address")
}

fn fallback(response: &Response, host: &str, message: String) -> Failure {
    let cloud = response.header("location").and_then(Cloud::from_location);
    let redirect = match cloud {
        Some(cloud) => format!(
            "The account is in another cloud: use --cloud {} without --base-url.",
            cloud.name()
        ),
        None => "Check --cloud or --base-url (CS_BASE_URL).".to_owned(),
    };
    let rate_limit = "Run again later. If this persists, look for other programs that use the account's 6,000 requests per minute.";
    common_failure(response, host, message, Hints { vendor: VENDOR, redirect, rate_limit })
}
