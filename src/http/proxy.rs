//! The proxies that the environment names. Which of them is on the way to an address is decided by the very
//! rules that the client goes by.

use std::fmt;

use hyper_util::client::proxy::matcher::Matcher;
use percent_encoding::percent_decode_str;
use reqwest::Url;
use secrecy::SecretString;

use crate::failure::{Failure, FailureKind};
use crate::redact;

/// Each pair is one variable: the first that is set counts.
const FOR_HTTPS: [&str; 2] = ["HTTPS_PROXY", "https_proxy"];
const FOR_HTTP: [&str; 2] = ["HTTP_PROXY", "http_proxy"];
const FOR_ALL: [&str; 2] = ["ALL_PROXY", "all_proxy"];

/// The proxies in force.
pub(super) struct Proxies(Matcher);

impl Proxies {
    /// Those of the environment, and a word on the one for HTTPS.
    ///
    /// # Errors
    /// When the one for HTTPS cannot be used. The client would go without it, without a word.
    pub fn from_environment() -> Result<(Self, Option<String>), Failure> {
        let word = match https_proxy()? {
            Some((name, value)) => {
                let proxy = usable(name, &value)?;
                Some(format!("the proxy is {proxy} ({name})"))
            }
            None => None,
        };
        Ok((Self(Matcher::from_system()), word))
    }

    /// The proxy on the way to an address, as `host:port`.
    pub fn proxy_for(&self, url: &Url) -> Option<String> {
        let proxy = self.0.intercept(&url.as_str().parse().ok()?)?;
        proxy.uri().authority().map(ToString::to_string)
    }
}

impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Proxies")
    }
}

/// Remembers the passwords in the environment's proxies, so that they are never shown.
pub fn remember_passwords() {
    for name in [FOR_HTTPS, FOR_HTTP, FOR_ALL].concat() {
        let value = std::env::var_os(name).unwrap_or_default();
        let value = value.to_string_lossy();
        // Whether or not the rest is a URL: a password with a stray / in it is one all the same.
        let Some((before, _)) = value.rsplit_once('@') else {
            continue;
        };
        let user = before.split_once("://").map_or(before, |(_, user)| user);
        let Some((_, password)) = user.split_once(':') else {
            continue;
        };
        redact::register_secret(&SecretString::from(password));
        let decoded = percent_decode_str(password).decode_utf8_lossy();
        redact::register_secret(&SecretString::from(decoded.into_owned()));
        // As it is sent.
        if let Some(proxy) = intercept(&value)
            && let Some(basic) = proxy.basic_auth().and_then(|header| header.to_str().ok())
        {
            redact::register_secret(&SecretString::from(basic.trim_start_matches("Basic ")));
        }
    }
}

fn https_proxy() -> Result<Option<(&'static str, String)>, Failure> {
    match set(FOR_HTTPS)? {
        Some(found) => Ok(Some(found)),
        None => set(FOR_ALL),
    }
}

/// A variable that says something, and its name.
fn set(names: [&'static str; 2]) -> Result<Option<(&'static str, String)>, Failure> {
    let first = names.into_iter().find_map(|name| Some((name, std::env::var_os(name)?)));
    match first {
        Some((name, value)) => match value.into_string() {
            Ok(value) if value.is_empty() => Ok(None),
            Ok(value) => Ok(Some((name, value))),
            Err(_) => Err(unusable(name, "it is not UTF-8 text")),
        },
        None => Ok(None),
    }
}

/// The proxy as `host:port`, if it is one that can be used.
///
/// A password with a / or an @ as it is would make a host of its other half, to be looked up and logged.
fn usable(name: &str, value: &str) -> Result<String, Failure> {
    let place = value.split_once("://").map_or(value, |(_, place)| place);
    let place = place.strip_suffix('/').unwrap_or(place);
    let is_place = !place.contains(['/', '?', '#', '\\']) && place.matches('@').count() <= 1;
    let proxy = intercept(value)
        .filter(|_| is_place)
        .ok_or_else(|| unusable(name, "it is no URL of a proxy"))?;
    match (proxy.uri().scheme_str(), proxy.uri().authority()) {
        (Some("http" | "https"), Some(place)) => Ok(place.to_string()),
        _ => Err(unusable(name, "proxies that speak SOCKS are not supported")),
    }
}

fn intercept(value: &str) -> Option<hyper_util::client::proxy::matcher::Intercept> {
    let any = "https://host.example".parse().ok()?;
    Matcher::builder().https(value).build().intercept(&any)
}

/// The value is not quoted: it can hold a password.
fn unusable(name: &str, why: &str) -> Failure {
    Failure::new(
        FailureKind::Configuration,
        format!("the variable {name} is wrong: {why}"),
        "Set it to http://HOST:PORT or http://USER:PASSWORD@HOST:PORT, with the special characters of both percent-encoded (@ is %40, / is %2F), or unset it. Nothing was asked or sent.",
    )
}
