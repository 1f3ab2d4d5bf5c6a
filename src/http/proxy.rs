//! Proxies from the environment and, on Windows and macOS, from the system's settings. The client's
//! own matcher decides which of them a URL uses.

use std::fmt;

use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use percent_encoding::percent_decode_str;
use reqwest::Url;
use secrecy::SecretString;

use crate::failure::{Failure, FailureKind};
use crate::redact;

/// The two spellings of each variable; the first that is set counts, even if it is empty.
const FOR_HTTPS: [&str; 2] = ["HTTPS_PROXY", "https_proxy"];
const FOR_HTTP: [&str; 2] = ["HTTP_PROXY", "http_proxy"];
const FOR_ALL: [&str; 2] = ["ALL_PROXY", "all_proxy"];

/// The proxies that the client uses.
pub(super) struct Proxies(Matcher);

impl Proxies {
    /// Reads the proxies, and describes the one for HTTPS if the environment has it.
    ///
    /// # Errors
    /// When the proxy for HTTPS is invalid: the client would silently connect without it.
    pub(super) fn from_environment() -> Result<(Self, Option<String>), Failure> {
        let description = match https_proxy()? {
            Some((name, value)) => Some(format!("proxy {} ({name})", parse(name, &value)?)),
            None => None,
        };
        Ok((Self(Matcher::from_system()), description))
    }

    /// Returns the proxy for a URL, as `host:port`.
    pub(super) fn proxy_for(&self, url: &Url) -> Option<String> {
        let proxy = self.0.intercept(&url.as_str().parse().ok()?)?;
        proxy.uri().authority().map(ToString::to_string)
    }
}

impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Proxies")
    }
}

/// Registers the passwords of the environment's proxies as secrets.
pub(crate) fn register_proxy_passwords() {
    for name in [FOR_HTTPS, FOR_HTTP, FOR_ALL].concat() {
        let value = std::env::var_os(name).unwrap_or_default();
        let value = value.to_string_lossy();
        // Even in an invalid URL: a password with a stray / in it is still a password.
        let Some((before, _)) = value.rsplit_once('@') else {
            continue;
        };
        let credentials = before.split_once("://").map_or(before, |(_, text)| text);
        let Some((_, password)) = credentials.split_once(':') else {
            continue;
        };
        redact::register_secret(&SecretString::from(password));
        let decoded = percent_decode_str(password).decode_utf8_lossy();
        redact::register_secret(&SecretString::from(decoded.into_owned()));
        // The base64 form in the Proxy-Authorization header.
        if let Some(proxy) = proxy_from(&value)
            && let Some(basic) = proxy.basic_auth().and_then(|header| header.to_str().ok())
        {
            redact::register_secret(&SecretString::from(basic.trim_start_matches("Basic ")));
        }
    }
}

fn https_proxy() -> Result<Option<(&'static str, String)>, Failure> {
    match first_set(FOR_HTTPS)? {
        Some(found) => Ok(Some(found)),
        None => first_set(FOR_ALL),
    }
}

/// Returns the first variable that is set, unless it is empty.
fn first_set(names: [&'static str; 2]) -> Result<Option<(&'static str, String)>, Failure> {
    let first = names.into_iter().find_map(|name| Some((name, std::env::var_os(name)?)));
    match first {
        Some((name, value)) => match value.into_string() {
            Ok(value) if value.is_empty() => Ok(None),
            Ok(value) => Ok(Some((name, value))),
            Err(_) => Err(invalid(&format!("{name} is not valid UTF-8"))),
        },
        None => Ok(None),
    }
}

/// Returns the proxy as `host:port`.
///
/// Stricter than the client: part of a password with an unencoded / or @ would become a host name,
/// and would be looked up and logged.
fn parse(name: &str, value: &str) -> Result<String, Failure> {
    let authority = value.split_once("://").map_or(value, |(_, authority)| authority);
    let authority = authority.strip_suffix('/').unwrap_or(authority);
    let is_plain =
        !authority.contains(['/', '?', '#', '\\']) && authority.matches('@').count() <= 1;
    let proxy = proxy_from(value)
        .filter(|_| is_plain)
        .ok_or_else(|| invalid(&format!("{name} is not a valid proxy URL")))?;
    match (proxy.uri().scheme_str(), proxy.uri().authority()) {
        (Some("http" | "https"), Some(authority)) => Ok(authority.to_string()),
        _ => Err(invalid(&format!("{name} names a SOCKS proxy, which is not supported"))),
    }
}

fn proxy_from(value: &str) -> Option<Intercept> {
    let any = "https://host.example".parse().ok()?;
    Matcher::builder().https(value).build().intercept(&any)
}

/// The value is not quoted: it may contain a password.
fn invalid(message: &str) -> Failure {
    Failure::new(
        FailureKind::Configuration,
        message,
        "Set it to http://HOST:PORT or http://USER:PASSWORD@HOST:PORT, with special characters in the user name and the password percent-encoded (@ is %40, / is %2F), or unset it. No request was made.",
    )
}
