//! The HTTP status errors that all vendors have in common.

use std::net::IpAddr;

use crate::failure::{Failure, FailureKind};
use crate::http::Response;

/// The vendor-specific help texts of the common errors.
#[derive(Debug)]
pub(super) struct Hints {
    pub vendor: &'static str,
    /// The help after a redirect.
    pub redirect: String,
    /// The help after an exhausted rate limit.
    pub rate_limit: &'static str,
}

/// Whether the message of a 403 says that the IP address of the request is not allowed. Its wording
/// is documented by no vendor.
pub(super) fn blames_address(message: &str) -> bool {
    let message = message.to_lowercase();
    let letters: String = message.chars().filter(char::is_ascii_alphanumeric).collect();
    let words = || message.split(|c: char| !c.is_ascii_alphanumeric());
    let names_address = words().any(|word| {
        matches!(word, "ip" | "ips" | "ipv4" | "ipv6" | "address" | "addresses" | "cidr" | "origin")
    }) || message.split_whitespace().any(|word| word.parse::<IpAddr>().is_ok());
    let names_rule = words().any(|word| {
        let stems = ["allow", "authoriz", "block", "den", "forbid", "permit", "reject", "restrict"];
        stems.iter().any(|stem| word.starts_with(stem))
            || matches!(word, "trusted" | "unauthorized" | "untrusted")
    });
    letters.contains("allowlist") || letters.contains("whitelist") || names_address && names_rule
}

/// Returns the failure for a redirect, an exhausted rate limit, a temporary error, or any other
/// status. `message` says what was rejected.
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
                "This program does not expect this status from {}. If the error persists, report it with this message and the log (run with --debug for more detail).",
                hints.vendor
            ),
        ),
    }
}
