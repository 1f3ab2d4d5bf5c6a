//! The HTTP status errors that all vendors have in common.

use crate::failure::{Failure, FailureKind};
use crate::http::Response;

/// What a vendor adds to the common errors.
#[derive(Debug)]
pub(super) struct Hints {
    pub vendor: &'static str,
    /// What to do about a redirect.
    pub redirect: String,
    /// What to do about an exhausted rate limit.
    pub rate_limit: &'static str,
}

/// Returns the failure for a redirect, an exhausted rate limit, a temporary error, or a status that
/// no vendor documents. `message` says what was rejected.
pub(super) fn common_failure(
    response: &Response,
    host: &str,
    message: String,
    hints: Hints,
) -> Failure {
    let status = response.status.as_u16();
    match status {
        300..=399 => Failure::new(
            FailureKind::Configuration,
            format!("{host} answered with a redirect ({status})"),
            hints.redirect,
        )
        .with_cause(
            "redirects are not followed, because they could send the secret to another host",
        ),
        429 => Failure::new(FailureKind::Temporary, message, hints.rate_limit)
            .with_cause("the rate limit was still exhausted after all retries"),
        408 | 425 | 500..=599 => Failure::new(
            FailureKind::Temporary,
            message,
            format!(
                "Run again later. If the error persists, send this message to {} support.",
                hints.vendor
            ),
        ),
        _ => Failure::new(
            FailureKind::Unexpected,
            message,
            format!(
                "{} does not document this status. If the error persists, report it with this message and the log (run with --debug for more detail).",
                hints.vendor
            ),
        ),
    }
}
