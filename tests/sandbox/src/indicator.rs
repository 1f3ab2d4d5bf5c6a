//! Checks that the value of an indicator is valid and, unless it is a URL, in normal form.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Checks a value of this type. The error describes what is wrong.
pub(crate) fn check(kind: &str, value: &str) -> Result<(), String> {
    match kind {
        "hash" => hash(value),
        "domain" => domain(value),
        "ip" => ip(value),
        "url" => url(value),
        "vulnerability" => vulnerability(value),
        _ => Err("has an unknown type".into()),
    }
}

fn hash(value: &str) -> Result<(), String> {
    let hex = value.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    match value.len() {
        32 | 40 | 64 if hex => Ok(()),
        _ => Err("must be 32, 40 or 64 hex digits in lower case".into()),
    }
}

fn domain(value: &str) -> Result<(), String> {
    let is_label = |label: &str| {
        let allowed = label.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'));
        (1..=63).contains(&label.len())
            && allowed
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let labels: Vec<&str> = value.split('.').collect();
    let is_name =
        value.len() <= 253 && labels.len() >= 2 && labels.iter().all(|text| is_label(text));
    let top_is_number = labels.last().is_some_and(|top| top.bytes().all(|b| b.is_ascii_digit()));
    if is_name && !top_is_number {
        Ok(())
    } else {
        Err("must be a domain in lower case without a trailing dot".into())
    }
}

fn url(value: &str) -> Result<(), String> {
    let rest = value.strip_prefix("https://").or_else(|| value.strip_prefix("http://"));
    let host = rest.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default());
    let has_space = value.chars().any(|c| c.is_whitespace() || c.is_control());
    match host {
        Some(host) if !host.is_empty() && !has_space => Ok(()),
        _ => Err("must be a URL with http:// or https://, a host and no spaces".into()),
    }
}

fn vulnerability(value: &str) -> Result<(), String> {
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let parts = value.strip_prefix("CVE-").and_then(|rest| rest.split_once('-'));
    match parts {
        Some((year, number))
            if year.len() == 4 && number.len() >= 4 && digits(year) && digits(number) =>
        {
            Ok(())
        }
        _ => Err("must be a CVE identifier".into()),
    }
}

fn ip(value: &str) -> Result<(), String> {
    let address: IpAddr = value.parse().map_err(|_| "must be an IP address".to_owned())?;
    if address.to_string() != value {
        return Err(format!("must be in canonical form: {address}"));
    }
    let global = match address {
        IpAddr::V4(address) => is_global_v4(address),
        IpAddr::V6(address) => is_global_v6(address),
    };
    if global { Ok(()) } else { Err("must be a globally routable address".into()) }
}

/// Reports whether an address is globally reachable: not multicast, and in none of the other ranges
/// of the IANA special-purpose registry.
fn is_global_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || address.is_multicast()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 198 && (18..20).contains(&b))
        || (a, b, c) == (192, 0, 0)
        || (a, b, c) == (192, 88, 99);
    !special
}

fn is_global_v6(address: Ipv6Addr) -> bool {
    let [a, b, c, d, ..] = address.segments();
    let special = address.is_unspecified()
        || address.is_loopback()
        || address.is_multicast()
        || address.is_unique_local()
        || address.is_unicast_link_local()
        || address.to_ipv4_mapped().is_some()
        || (a, b) == (0x2001, 0x0db8)
        || (a == 0x3fff && b < 0x1000)
        || (a & 0xffc0) == 0xfec0
        || (a, b, c, d) == (0x0100, 0, 0, 0);
    !special
}
