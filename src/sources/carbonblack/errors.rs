//! Carbon Black Cloud's errors: what happened, why, and what to do.

use crate::failure::{Failure, FailureKind};
use crate::http::Response;
use crate::sources::errors::{Hints, blames_address, common_failure};

/// The vendor's name in messages.
pub(super) const VENDOR: &str = "Carbon Black Cloud";

/// Returns the failure for a rejected search.
pub(super) fn search_rejected(response: &Response, host: &str) -> Failure {
    let message =
        format!("{VENDOR} rejected the search for alerts at {host}: {}", response.summary());
    match response.status.as_u16() {
        401 => Failure::new(
            FailureKind::Credentials,
            message,
            "Compare --secret (CB_SECRET) and --api-id (CB_API_ID) with Settings > API Access: the secret is the longer of the two. Also check --hostname (CB_HOSTNAME): a key works only in its own region.",
        )
        .with_cause("the API secret or the API id is wrong, or the two are swapped"),
        403 if blames_address(&response.error_message().unwrap_or_default()) => Failure::new(
            FailureKind::Credentials,
            message,
            "Add this machine's public IP address to those that may use the API key (Settings > API Access), or remove the restriction.",
        )
        .with_cause("the IP address of this request is not on the allow-list"),
        403 => Failure::new(
            FailureKind::Credentials,
            message,
            "Give the key's custom access level the permission org.alerts READ (Settings > API Access > Access Levels). A key created according to the Python script's readme has only the Search permission, which this API does not use.",
        )
        .with_cause("the API key lacks the permission org.alerts READ"),
        404 => Failure::new(
            FailureKind::Configuration,
            message,
            "Check --org-id (CB_ORG_ID): the org key of about eight letters and digits under Settings > API Access, not the org id number. Also check --hostname (CB_HOSTNAME). Carbon Black EDR (on-premises) is another product and not supported. If both are right, update this program.",
        )
        .with_cause("the organization key is wrong, or this host is not Carbon Black Cloud, or this version of its API was switched off"),
        // The same kind of failure as for a 404, which a version that was switched off may return.
        410 => Failure::new(
            FailureKind::Configuration,
            message,
            "Update this program. If there is no newer version, report this message, and check --hostname (CB_HOSTNAME) and --org-id (CB_ORG_ID).",
        )
        .with_cause("this version of Carbon Black Cloud's API was switched off"),
        _ => common_failure(
            response,
            host,
            message,
            Hints {
                vendor: VENDOR,
                redirect: "Check --hostname (CB_HOSTNAME): the host name of the console, for example defense-prod05.conferdeploy.net.".to_owned(),
                rate_limit: "Run again later. If this persists, look for other programs that call Carbon Black Cloud from the same IP address.",
            },
        ),
    }
}

/// Returns the failure for more alerts at one instant than the service returns rows.
pub(super) fn too_many_at_instant(instant: &str, rows: u32) -> Failure {
    Failure::new(
        FailureKind::Partial,
        format!(
            "at least {rows} alerts have backend_timestamp {instant}; {VENDOR} returns at most {rows} of them"
        ),
        format!(
            "All alerts before {instant} and the first {rows} of that instant were read. For the later alerts, run again with --since set 1 ms after {instant}. Ask Carbon Black support for the other alerts of that instant."
        ),
    )
}
