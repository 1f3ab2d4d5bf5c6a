//! The address of a service, as a person gives it.

use reqwest::Url;

use super::invalid_setting;
use super::lookup::Names;
use crate::failure::Failure;

/// Parses the address of a service: `https` (`http` for loopback hosts only) and a host, without a
/// path, a query, a user name or a password.
///
/// # Errors
/// When the text is not such an address; the message gives `example`.
pub(crate) fn base_url(text: &str, names: &Names, example: &str) -> Result<Url, Failure> {
    let invalid =
        |reason: &str| Err(invalid_setting(names, &format!("{reason}; for example {example}")));
    let Ok(url) = Url::parse(text.trim()) else {
        return invalid("it is not a URL with https:// and a host");
    };
    if !url.username().is_empty() || url.password().is_some() {
        return invalid("it must not contain a user name or password");
    }
    let loopback = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => return invalid("it has no host"),
    };
    match url.scheme() {
        "https" => {}
        "http" if loopback => {}
        "http" => {
            return invalid(
                "http:// would send secrets unencrypted and is accepted for loopback hosts only; use https://",
            );
        }
        _ => return invalid("it must start with https://"),
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return invalid("it must not have a path or a query");
    }
    Ok(url)
}
