//! Web URLs, without user names and passwords.

use std::net::IpAddr;

use ::url::Url;

use super::{MAX_BYTES, address, domain};

/// A URL in normal form, and the host that decides whether it may be sent.
pub(crate) struct NormalizedUrl {
    pub(crate) text: String,
    pub(crate) host: Host,
}

/// The host of a URL, in normal form.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Host {
    Name(String),
    Address(IpAddr),
}

impl Host {
    pub(crate) fn is_internal(&self) -> bool {
        match self {
            Self::Name(name) => domain::is_internal(name),
            Self::Address(address) => !address::is_global(*address),
        }
    }

    fn from_url(url: &Url) -> Option<Self> {
        match url.host()? {
            ::url::Host::Domain(name) => {
                domain::host_name(name).map(|name| Self::Name(name.to_owned()))
            }
            ::url::Host::Ipv4(address) => Some(Self::Address(address.into())),
            ::url::Host::Ipv6(address) => Some(Self::Address(IpAddr::V6(address).to_canonical())),
        }
    }

    /// Replaces the host of a URL, so that equal URLs have one form.
    fn write_into(&self, url: &mut Url) -> Option<()> {
        match self {
            Self::Name(name) => url.set_host(Some(name)).ok(),
            Self::Address(address) => url.set_ip_host(*address).ok(),
        }
    }
}

/// Returns the normal form of an `http` or `https` URL, internal hosts included.
pub(crate) fn normalize(text: &str) -> Option<NormalizedUrl> {
    // The parser silently drops some control characters, which would change the URL.
    if text.chars().any(char::is_control) {
        return None;
    }
    let mut url = Url::parse(text).ok()?;
    if !matches!(url.scheme(), "http" | "https") {
        return None;
    }
    let host = Host::from_url(&url)?;
    host.write_into(&mut url)?;
    url.set_username("").ok()?;
    url.set_password(None).ok()?;
    let text = String::from(url);
    // Percent-encoding can triple the length.
    (text.len() <= MAX_BYTES).then_some(NormalizedUrl { text, host })
}

#[cfg(test)]
mod tests {
    use super::super::ClaimedType::Url;
    use super::super::RejectReason::{Invalid, Private};
    use super::super::tests::check;
    use super::MAX_BYTES;

    #[test]
    fn urls_are_normalized() {
        check(
            Url,
            &[
                ("http://example.com", Ok("http://example.com/")),
                (" HTTPS://Example.COM:443/Path?Q#F\n", Ok("https://example.com/Path?Q#F")),
                ("http://example.com:8080/", Ok("http://example.com:8080/")),
                ("http://example.com:/", Ok("http://example.com/")),
                ("http://example.com/a/../b c", Ok("http://example.com/b%20c")),
                ("http://example.com./", Ok("http://example.com/")),
                ("http://bücher.example/ü", Ok("http://xn--bcher-kva.example/%C3%BC")),
                ("http://ex%61mple.com/%61", Ok("http://example.com/%61")),
                ("http://ev_il.example.com/", Ok("http://ev_il.example.com/")),
                ("http://8.8.8.8/", Ok("http://8.8.8.8/")),
                ("http://134744072/", Ok("http://8.8.8.8/")),
                ("http://0x8.010.8.8/", Ok("http://8.8.8.8/")),
                ("http://[::ffff:8.8.8.8]:81/", Ok("http://8.8.8.8:81/")),
                ("http://[2606:4700:0::1111]/", Ok("http://[2606:4700::1111]/")),
            ],
        );
    }

    #[test]
    fn credentials_are_removed() {
        check(
            Url,
            &[
                ("http://user:secret@example.com/x", Ok("http://example.com/x")),
                ("http://user@example.com/", Ok("http://example.com/")),
                ("http://:secret@example.com/", Ok("http://example.com/")),
                ("http://a@b:c@example.com/", Ok("http://example.com/")),
                ("http://example.com%40user:p@evil.com/", Ok("http://evil.com/")),
                ("https://u:p@8.8.8.8:8443/", Ok("https://8.8.8.8:8443/")),
                ("http://example.com/a@b", Ok("http://example.com/a@b")),
            ],
        );
    }

    #[test]
    fn other_texts_than_web_urls_are_rejected() {
        let texts = [
            "example.com",
            "example.com/path",
            "//example.com/",
            "/path",
            "http://",
            "http:///",
            "http://?q",
            "http://:80/",
            "http://@/",
            "http://./",
            "ftp://example.com/",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "data:text/html,x",
            "hxxp://example.com/",
            "mailto:a@example.com",
            "http://example.com:99999/",
            "http://exa mple.com/",
            "http://example..com/",
            "http://-a.com/",
            "http://a.b_c/",
            "http://*.example.com/",
            "http://example.com../",
            "http://1.2.3.4.5/",
            "http://example.0x1/",
            "http://[::1/",
            "http://[fe80::1%25eth0]/",
        ];
        check(Url, &texts.map(|text| (text, Err(Invalid))));
    }

    #[test]
    fn control_characters_are_rejected_even_if_the_parser_drops_them() {
        let texts = [
            "http://exam\nple.com/",
            "ht\ttp://example.com/",
            "http://example.com/a\r\nb",
            "http://example.com/\0",
            "\x01http://example.com/",
            "http://example.com/\u{85}a",
            "http://example.com/\x7f",
        ];
        check(Url, &texts.map(|text| (text, Err(Invalid))));
    }

    #[test]
    fn internal_hosts_are_private() {
        let texts = [
            "http://localhost/",
            "http://localhost:8080/",
            "http://intranet/",
            "http://server/x",
            "http://MY_SERVER/",
            "http://wiki.corp/",
            "http://printer.local./",
            "http://router.home.arpa/",
            "http://user:secret@db.internal/",
            "http://127.0.0.1/",
            "http://127.1/",
            "http://2130706433/",
            "http://0x7f000001/",
            "http://0/",
            "http://10.1.2.3:8000/",
            "http://[::1]/",
            "http://[fe80::1]/",
            "http://[::ffff:192.168.0.1]/",
            "http://[2002:a00:1::1]/",
            "http://192.0.2.1/",
        ];
        check(Url, &texts.map(|text| (text, Err(Private))));
    }

    #[test]
    fn the_length_is_limited_before_and_after_normalization() {
        let base = "http://example.com/";
        let longest = format!("{base}{}", "a".repeat(MAX_BYTES - base.len()));
        let too_long = format!("{longest}a");
        let expanded = format!("{base}{}", "é".repeat(MAX_BYTES / 4));
        assert!(expanded.len() < MAX_BYTES);
        check(
            Url,
            &[(&longest, Ok(&longest)), (&too_long, Err(Invalid)), (&expanded, Err(Invalid))],
        );
    }
}
