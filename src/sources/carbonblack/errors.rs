//! Carbon Black Cloud's errors: what happened, why, and what to do.

use crate::failure::{Failure, FailureKind};
use crate::http::Response;
use crate::sources::errors::{Hints, common};

/// The vendor's name in messages.
pub(super) const VENDOR: &str = "Carbon Black Cloud";

/// Returns the failure for a rejected search.
pub(super) fn search(response: &Response, host: &str) -> Failure {
    let message =
        format!("{VENDOR} rejected the search for alerts at {host}: {}", response.summary());
    match response.status.as_u16() {
        401 => Failure::new(
            FailureKind::Credentials,
            message,
            "Check --secret (CB_SECRET, the longer one) and --api-id (CB_API_ID, about ten characters) against Settings > API Access; if they are swapped, the error is the same. Check --hostname (CB_HOSTNAME) too: a key of another region is unknown here.",
        )
        .with_cause("the API secret or the API id is wrong, or the two are swapped"),
        403 => Failure::new(
            FailureKind::Credentials,
            message,
            "Give the key's custom access level the permission org.alerts READ (Settings > API Access > Access Levels). A key that was created as the readme of the Python script says has only Search, which this API does not use.",
        )
        .with_cause("the API key lacks the permission org.alerts READ"),
        404 => Failure::new(
            FailureKind::Configuration,
            message,
            "Check --org-id (CB_ORG_ID): the org key of about eight letters and digits under Settings > API Access, not the org id number. Check --hostname (CB_HOSTNAME) too. Carbon Black EDR (on-premises) is another product and not supported.",
        )
        .with_cause("the organization key is wrong, or this host is not Carbon Black Cloud"),
        _ => common(
            response,
            host,
            message,
            Hints {
                vendor: VENDOR,
                redirect: "Check --hostname (CB_HOSTNAME): the host name of the console, for example defense-prod05.conferdeploy.net.".to_owned(),
                rate_limit: "Another program may use up the request limit of this IP address; run again later.",
            },
        ),
    }
}

/// Returns the failure for more alerts at one instant than the service returns rows.
pub(super) fn too_many_at_instant(instant: &str, rows: u32) -> Failure {
    Failure::new(
        FailureKind::Partial,
        format!(
            "{rows} alerts or more have the backend_timestamp {instant}, and {VENDOR} returns no row after {rows}"
        ),
        "The alerts before that instant and its first ones were read. Read those after it with --since set just after it; ask Carbon Black support about the remaining ones.",
    )
}
