//! Falcon's refusals, in plain words: what happened, why, and what to do.

use crate::failure::{Failure, FailureKind};
use crate::http::Response;

const API_CLIENTS: &str = "Falcon console > Support and resources > API clients and keys";

/// A sign-in that was refused.
pub(super) fn sign_in(response: &Response, host: &str) -> Failure {
    let message = format!("CrowdStrike refused the sign-in at {host}: {}", response.summary());
    let credentials = |hint: String| Failure::new(FailureKind::Credentials, message.clone(), hint);
    let words = response.error_message().unwrap_or_default();
    match response.status.as_u16() {
        // The same text stands for an address that is not allowed and for a missing scope.
        403 if words.contains("authorization failed") => credentials(
            "Put this machine's public address on the API client's or account's allow-list of IP addresses, or ask for it to be lifted.".into(),
        )
        .with_cause("the address this request came from is not on the allow-list"),
        401 | 403 => credentials(format!(
            "Check --client-id (CS_CLIENT_ID) and --client-secret (CS_CLIENT_SECRET) against {API_CLIENTS}; the secret is shown once, when the client is made. Check --cloud too: a client of another cloud is unknown here."
        ))
        .with_cause("the client id or the client secret is wrong, or the API client was deleted"),
        400 => credentials(
            "Government accounts need --cloud us-gov-1 or --cloud us-gov-2. With --member-cid, check that it is the id of a child of this account.".into(),
        )
        .with_cause("this cloud does not know the account, or the request's member CID"),
        404 => not_an_api(message),
        300..=399 => redirected(response, host),
        _ => fallback(response, message),
    }
}

/// A query for alerts that was refused.
pub(super) fn alerts(response: &Response, host: &str) -> Failure {
    let message =
        format!("CrowdStrike refused the query for alerts at {host}: {}", response.summary());
    match response.status.as_u16() {
        401 => Failure::new(
            FailureKind::Credentials,
            message,
            format!("The API client may have been changed or deleted a moment ago: check it under {API_CLIENTS}, then run again."),
        )
        .with_cause("the access token was refused, also after a new sign-in"),
        403 => Failure::new(
            FailureKind::Credentials,
            message,
            format!("Give the API client the scope Alerts: READ ({API_CLIENTS}), and check that this machine's address is on the allow-list."),
        )
        .with_cause("the API client lacks the scope Alerts: READ, or the address is not allowed"),
        404 => not_an_api(message),
        300..=399 => redirected(response, host),
        _ => fallback(response, message),
    }
}

/// Something else answers at this address.
fn not_an_api(message: String) -> Failure {
    Failure::new(
        FailureKind::Configuration,
        message,
        "Check --cloud or --base-url (CS_BASE_URL): it must be the API's address, without a path, for example https://api.crowdstrike.com.",
    )
    .with_cause("there is no CrowdStrike API at this address")
}

/// A redirect that is not followed.
fn redirected(response: &Response, host: &str) -> Failure {
    let cloud = response.header("location").and_then(super::cloud::Cloud::from_location);
    let hint = cloud.map_or_else(
        || "Check --cloud or --base-url (CS_BASE_URL).".to_owned(),
        |cloud| {
            format!(
                "The account lives in another cloud: use --cloud {} and no --base-url.",
                cloud.name()
            )
        },
    );
    Failure::new(
        FailureKind::Configuration,
        format!("{host} sends us elsewhere ({})", response.status.as_u16()),
        hint,
    )
    .with_cause("redirects are not followed, since they would carry the secret along")
}

fn fallback(response: &Response, message: String) -> Failure {
    match response.status.as_u16() {
        429 => Failure::new(
            FailureKind::Temporary,
            message,
            "Another program may be using up the account's 6,000 requests a minute; run again later.",
        )
        .with_cause("the rate limit did not clear"),
        500..=599 => Failure::new(FailureKind::Temporary, message, "The service has trouble; run again later. Its support asks for the trace id."),
        _ => Failure::new(
            FailureKind::Unexpected,
            message,
            "Run again with --debug and show the log to whoever maintains this tool; CrowdStrike's support asks for the trace id.",
        ),
    }
}
