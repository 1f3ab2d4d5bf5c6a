//! Carbon Black Cloud's refusals, in plain words: what happened, why, and what to do.

use crate::failure::{Failure, FailureKind};
use crate::http::Response;

/// A search that was refused.
pub(super) fn search(response: &Response, host: &str) -> Failure {
    let message = format!(
        "Carbon Black Cloud refused the search for alerts at {host}: {}",
        response.summary()
    );
    match response.status.as_u16() {
        401 => Failure::new(
            FailureKind::Credentials,
            message,
            "Check --secret (CB_SECRET, the longer one) and --api-id (CB_API_ID, about ten characters) against Settings > API Access; swapped, they are refused just like this. Check --hostname too: a key of another region is unknown here.",
        )
        .with_cause("the API secret or the API id is wrong, or the two are swapped"),
        403 => Failure::new(
            FailureKind::Credentials,
            message,
            "Give the key's custom access level the permission org.alerts READ (Settings > API Access > Access Levels). A key made from the old script's readme has only Search, which this API does not use.",
        )
        .with_cause("the API key lacks the permission org.alerts READ"),
        404 => Failure::new(
            FailureKind::Configuration,
            message,
            "Check --org-id (CB_ORG_ID): the org key of eight or so letters and digits under Settings > API Access, not the org id number. Check --hostname too. Carbon Black EDR (on-premises) is another product and not supported.",
        )
        .with_cause("the organization key is wrong, or this host is not Carbon Black Cloud"),
        300..=399 => Failure::new(
            FailureKind::Configuration,
            message,
            "Check --hostname (CB_HOSTNAME): the console's host, for example defense-prod05.conferdeploy.net.",
        )
        .with_cause("redirects are not followed, since they would carry the secret along"),
        429 => Failure::new(
            FailureKind::Temporary,
            message,
            "Another program may be using up the limit of this address; run again later.",
        )
        .with_cause("the rate limit did not clear"),
        500..=599 => Failure::new(FailureKind::Temporary, message, "The service has trouble; run again later."),
        _ => Failure::new(
            FailureKind::Unexpected,
            message,
            "Run again with --debug and show the log to whoever maintains this tool.",
        ),
    }
}

/// More alerts at one instant than the service lets anyone read.
pub(super) fn too_many_at_instant(instant: &str, rows: u32) -> Failure {
    Failure::new(
        FailureKind::Partial,
        format!(
            "{rows} alerts or more share the instant {instant}, and Carbon Black Cloud gives no row beyond {rows}"
        ),
        "The alerts before and the first ones of that instant were read. Read what comes after it with --since set just behind it; ask Carbon Black's support about the rest.",
    )
}
