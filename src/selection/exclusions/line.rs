//! One line of the exclusion list.

use std::borrow::Cow;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

use crate::indicator::{MAX_BYTES, address, domain, hash, url};

/// The rule of one line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// A hash, name, address or URL in the normal form of [`crate::indicator`], or a name and all
    /// its subdomains, which begins with a dot.
    Text(String),
    /// A network without bits after the prefix.
    Network(IpNet),
}

/// A line that is neither a rule nor a comment nor blank.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct InvalidLine;

/// Parses a line; `None` for a blank line or a comment.
pub(super) fn read(line: &str) -> Result<Option<Rule>, InvalidLine> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let column = first_column(line).ok_or(InvalidLine)?;
    let column = column.trim();
    // A spreadsheet puts a comment into quotes when it contains a comma.
    if column.starts_with('#') {
        return Ok(None);
    }
    if column.len() > MAX_BYTES {
        return Err(InvalidLine);
    }
    rule(column).map(Some).ok_or(InvalidLine)
}

/// Names of the first column in files that other programs export, without spaces, hyphens and
/// underscores. None of them is a rule: a name without a dot is not a domain.
const HEADERS: [&str; 36] = [
    "address", "cidr", "domain", "domainname", "domains", "filehash", "filemd5", "filesha256",
    "fqdn", "hash", "hashes", "hashvalue", "host", "hostname", "indicator", "indicators",
    "indicatorvalue", "ioc", "iocs", "iocvalue", "ip", "ipaddress", "ips", "ipv4", "ipv6", "md5",
    "network", "observable", "processhash", "processmd5", "processsha256", "sha1", "sha256", "url",
    "urls", "value",
];

/// Whether the first column of a line is the name of a column with indicators.
pub(super) fn is_header(line: &str) -> bool {
    first_column(line.trim()).is_some_and(|column| {
        let name = column.to_ascii_lowercase().replace([' ', '-', '_'], "");
        HEADERS.contains(&name.as_str())
    })
}

fn rule(text: &str) -> Option<Rule> {
    if is_url(text) {
        return url::normalize(text).map(|location| Rule::Text(location.text));
    }
    if let Some(name) = text.strip_prefix('.') {
        return domain::normalize(name).map(|name| Rule::Text(format!(".{name}")));
    }
    if let Some((address, prefix)) = text.split_once('/') {
        return network(address, prefix).map(Rule::Network);
    }
    hash::normalize_any(text)
        .or_else(|| address::normalize(text).map(|address| address.to_string()))
        .or_else(|| domain::normalize(text))
        .map(Rule::Text)
}

/// Parses a network. Bits after the prefix are ignored: `10.1.2.3/8` is the network of `10.1.2.3`.
fn network(address: &str, prefix: &str) -> Option<IpNet> {
    const MAPPED_PREFIX: u8 = 96;
    // `parse` alone would accept a plus sign.
    if !prefix.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let prefix = prefix.parse().ok()?;
    let network = match (address.parse().ok()?, address::normalize(address)?) {
        // IPv4-mapped IPv6 indicators are normalized to IPv4, so the network has to be too.
        (IpAddr::V6(_), IpAddr::V4(address)) if prefix >= MAPPED_PREFIX => {
            Ipv4Net::new(address, prefix - MAPPED_PREFIX).ok()?.into()
        }
        (address, _) => IpNet::new(address, prefix).ok()?,
    };
    Some(network.trunc())
}

fn first_column(line: &str) -> Option<Cow<'_, str>> {
    if let Some(rest) = line.strip_prefix('"') {
        return quoted(rest).map(Cow::Owned);
    }
    let column = if is_url(line) {
        line.split(|char: char| is_separator(char) || char.is_whitespace()).next()
    } else {
        line.split(|char| is_separator(char) || char == '#').next()
    };
    column.map(Cow::Borrowed)
}

/// Returns the content of a quoted column, up to its closing quote; `""` is a quote in it.
fn quoted(mut rest: &str) -> Option<String> {
    let mut content = String::new();
    loop {
        let (part, after) = rest.split_once('"')?;
        content.push_str(part);
        let Some(escaped) = after.strip_prefix('"') else {
            return ends_column(after).then_some(content);
        };
        content.push('"');
        rest = escaped;
    }
}

fn ends_column(after: &str) -> bool {
    let after = after.trim_start_matches(|char: char| char.is_whitespace() && char != '\t');
    after.is_empty() || after.starts_with(|char| is_separator(char) || char == '#')
}

fn is_separator(char: char) -> bool {
    matches!(char, ',' | ';' | '\t')
}

fn is_url(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, _)| {
        scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Rule {
        Rule::Text(text.to_owned())
    }

    #[test]
    fn blank_lines_and_comments_are_not_rules() {
        for line in ["", "  \t", "#", "  # example.com", "\"# a comment, quoted\"", "\"#\";"] {
            assert_eq!(read(line), Ok(None), "{line:?}");
        }
    }

    #[test]
    fn the_first_column_counts() {
        for line in [
            "example.com,x", "example.com ; x", "example.com\tx", "example.com,,,",
            "example.com,\"x # y\"", "\"example.com\"", "\" example.com \",x",
            "\"example.com\" ;x", "\"example.com\"\tx", "\"example.com\" \t x",
            "\"example.com\" # x", "\"example.com\"#x", "example.com#x,y",
        ] {
            assert_eq!(read(line), Ok(Some(text("example.com"))), "{line:?}");
        }
    }

    #[test]
    fn an_unquoted_url_ends_at_a_separator_or_white_space() {
        for line in [
            "http://a.com/b", "http://a.com/b,c", "http://a.com/b;c", "http://a.com/b\tc",
            "http://a.com/b c", "http://a.com/b #c", "HTTP://a.com/b\u{a0}c",
        ] {
            assert_eq!(read(line), Ok(Some(text("http://a.com/b"))), "{line:?}");
        }
        assert_eq!(read("http://a.com/b#c"), Ok(Some(text("http://a.com/b#c"))));
        assert_eq!(
            read("\"http://a.com/b,c;d e#f\",x"),
            Ok(Some(text("http://a.com/b,c;d%20e#f")))
        );
        assert_eq!(read("\"http://a.com/\"\"b\"\"\""), Ok(Some(text("http://a.com/%22b%22"))));
    }

    #[test]
    fn networks_have_a_prefix_in_range() {
        for line in [
            "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/+8", "10.0.0.0/-1", "10.0.0.0/8/8", "10.0.0/8",
            "10.0.0.0/255.0.0.0", "2001:db8::/129", "/8", "example.com/8", "::ffff:10.0.0.0/129",
            "10.0.0.0 / 8", "10.0.0.0-10.0.0.9",
        ] {
            assert_eq!(read(line), Err(InvalidLine), "{line:?}");
        }
        for (line, network) in [
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("8.8.8.8/32", "8.8.8.8/32"),
            ("2001:DB8::1/32", "2001:db8::/32"),
            ("::ffff:10.1.2.3/104", "10.0.0.0/8"),
            ("::ffff:10.1.2.3/96", "0.0.0.0/0"),
            ("::ffff:10.1.2.3/80", "::/80"),
        ] {
            let network = network.parse().unwrap();
            assert_eq!(read(line), Ok(Some(Rule::Network(network))), "{line:?}");
        }
    }

    #[test]
    fn anything_else_is_an_error() {
        for line in [
            "indicator",
            "sha256;name",
            "com",
            ".com",
            ".",
            "..example.com",
            "*.example.com",
            ".10.0.0.1",
            "example.com www.example.com",
            "example.com:80",
            "example[.]com",
            "hxxp://example.com/",
            "ftp://example.com/",
            "http://",
            "http://exa_mple.c_m/",
            "44d88612fea8a8f36de82e1278abb02",
            "[2001:db8::1]",
            "fe80::1%eth0",
            ",example.com",
            "\"\"",
            "\"",
            "\"example.com",
            "\"example.com\"x",
            "\"example.com\" x",
            "'example.com'",
        ] {
            assert_eq!(read(line), Err(InvalidLine), "{line:?}");
        }
    }

    #[test]
    fn names_of_columns_are_headers_and_not_rules() {
        for header in HEADERS {
            assert_eq!(read(header), Err(InvalidLine), "{header}");
            assert!(is_header(header));
        }
        for line in [
            "process_sha256", "SHA-256", "\"IP Address\",owner", "Indicator;Type", "\tioc_value\t",
            "hash # of files",
        ] {
            assert!(is_header(line), "{line:?}");
        }
        for line in ["owner,sha256", "sha512", "the hash", "", "hash.example", "\"sha256"] {
            assert!(!is_header(line), "{line:?}");
        }
    }

    #[test]
    fn a_monstrous_first_column_is_refused_unread() {
        let line = format!("http://a.com/{}", "b/../".repeat(MAX_BYTES / 5));
        assert_eq!(read(&line), Err(InvalidLine));
        assert_eq!(read(&line.replace("b/../", "")), Ok(Some(text("http://a.com/"))));
    }
}
