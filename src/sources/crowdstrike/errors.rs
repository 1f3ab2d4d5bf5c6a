//! Falcon's errors: what happened, why, and what to do.

use super::cloud::Cloud;
use super::page::AlertPage;
use super::wire::Page;
use crate::failure::{Failure, FailureKind};
use crate::http::{Response, truncate_message, truncate_trace_id};
use crate::sources::errors::{Hints, blames_address, common_failure};

/// The vendor's name in messages.
pub(super) const VENDOR: &str = "CrowdStrike";

/// In the message of a 403 for an IP address that is not on the allow-list, and for a missing
/// scope.
const NOT_AUTHORIZED: &str = "authorization failed";

const API_CLIENTS: &str = "Falcon console > Support and resources > API clients and keys";

/// Returns the failure for a rejected sign-in.
pub(super) fn sign_in_rejected(response: &Response, host: &str) -> Failure {
    let message = format!("{VENDOR} rejected the sign-in at {host}: {}", response.summary());
    let credentials = |hint: String| Failure::new(FailureKind::Credentials, message.clone(), hint);
    let reason = response.error_message().unwrap_or_default();
    match sign_in_status(response) {
        // A missing scope has the same text, but shows only when alerts are requested.
        403 if blames_address(&reason) || reason.to_lowercase().contains(NOT_AUTHORIZED) => {
            address_denied(message)
        }
        401 | 403 => credentials(format!(
            "Compare --client-id (CS_CLIENT_ID) and --client-secret (CS_CLIENT_SECRET) with {API_CLIENTS}; the secret is shown only once, when the client is created. Also check --cloud (FALCON_CLOUD): an API client exists in one cloud only."
        ))
        .with_cause("the client id or the client secret is wrong, or the API client was deleted"),
        400 => credentials(format!(
            "--client-id (CS_CLIENT_ID) may be mistyped: compare it with {API_CLIENTS}. Government accounts need --cloud us-gov-1 or --cloud us-gov-2. With --member-cid, check that it is the id of a child of this account."
        ))
        .with_cause("this cloud does not know the client id, or the member CID of the request"),
        404 => not_an_api(message),
        _ => fallback(response, host, message),
    }
}

/// Returns whether a response to a sign-in has a 5xx status but, by the code in its body, rejects
/// the credentials.
pub(super) fn rejects_credentials(response: &Response) -> bool {
    response.status.is_server_error() && sign_in_status(response) < 500
}

/// Returns the status of a response to a sign-in. The code in the body outranks a 5xx: a wrong
/// client id was recorded as 500 with the code 400.
fn sign_in_status(response: &Response) -> u16 {
    let status = response.status.as_u16();
    let body = match status {
        500.. => serde_json::from_slice::<Page<'_>>(&response.body).unwrap_or_default(),
        _ => Page::default(),
    };
    match body.errors.first().and_then(|error| error.0.as_ref()?.code) {
        Some(400) => 400,
        Some(401) => 401,
        Some(403) => 403,
        _ => status,
    }
}

fn address_denied(message: String) -> Failure {
    Failure::new(
        FailureKind::Credentials,
        message,
        "Add this machine's public IP address to the allow-list of the API client or the account, or remove the restriction. With --member-cid, check that it is the id of a child of this account.",
    )
    .with_cause("the IP address of this request is not on the allow-list")
}

/// Returns the failure for a rejected query for alerts.
pub(super) fn query_rejected(response: &Response, host: &str) -> Failure {
    let message =
        format!("{VENDOR} rejected the query for alerts at {host}: {}", response.summary());
    let reason = response.error_message().unwrap_or_default();
    match response.status.as_u16() {
        403 if blames_address(&reason) => address_denied(message),
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

/// Returns the failure for a page token that was already used.
pub(super) fn repeated_token() -> Failure {
    Failure::new(
        FailureKind::Unexpected,
        format!("{VENDOR} sent the same page token twice"),
        format!(
            "Run again. If the error persists, send the log of a run with --debug to {VENDOR} support."
        ),
    )
}

/// Returns the failure for alerts of several customers without `--all-cids`.
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn response(status: u16, code: u16, message: &str) -> Response {
        let body = json!({"errors": [{"code": code, "message": message}]});
        Response::new(status, body.to_string())
    }

    /// The cause that is reported for a 403, for the sign-in and for the query.
    fn reported(message: &str) -> [&'static str; 2] {
        let response = response(403, 403, message);
        [sign_in_rejected(&response, "host"), query_rejected(&response, "host")].map(|failure| {
            let cause = failure.cause().unwrap();
            let reasons = [
                ("the IP address of this request is not on the allow-list", "address"),
                (
                    "lacks the scope Alerts: READ, or the IP address is not allowed",
                    "scope or address",
                ),
                ("the client id or the client secret is wrong", "credentials"),
            ];
            reasons.into_iter().find(|(text, _)| cause.contains(text)).unwrap().1
        })
    }

    #[test]
    fn an_allow_list_is_recognized_in_any_wording() {
        for message in [
            "IP not allowed",
            "ip address 192.0.2.1 denied",
            "The source IP-address is blocked.",
            "Your address is not permitted to use this API",
            "IPV6 UNAUTHORIZED",
            "not on the allowlist",
            "Not on the Allow-List",
            "not in the allow list",
            "client is not WHITELISTED",
            "access denied, authorization failed: ip_address not allowed",
            "Source IP 1.2.3.4 is not in the list of trusted addresses",
            "access from 203.0.113.9 not allowed",
            "IP restriction",
            "request origin not in permitted CIDR range",
        ] {
            assert_eq!(reported(message), ["address"; 2], "{message}");
        }
        for message in
            ["access denied, authorization failed", "Access Denied, Authorization Failed"]
        {
            assert_eq!(reported(message), ["address", "scope or address"], "{message}");
        }
        for message in [
            "Failed to issue access token - Not Authorized",
            "Failed to issue access token - Client authentication failed (e.g., unknown client, no client authentication included, or unsupported authentication method)",
            "access denied",
            "scope not allowed",
            "the list of addresses",
            "the tip was denied",
            "",
        ] {
            assert_eq!(reported(message), ["credentials", "scope or address"], "{message}");
        }
    }

    #[test]
    fn the_code_in_the_body_of_a_sign_in_outranks_a_5xx_only() {
        for (status, code, expected) in [
            (500, 400, 400),
            (503, 401, 401),
            (599, 403, 403),
            (500, 404, 500),
            (500, 500, 500),
            (502, 503, 502),
            (429, 403, 429),
            (403, 400, 403),
        ] {
            let response = response(status, code, "no");
            assert_eq!(sign_in_status(&response), expected, "{status} {code}");
            assert_eq!(rejects_credentials(&response), status >= 500 && expected < 500);
        }
    }
}
