//! Domain names: lower case, punycode, no trailing dot.

use ::url::Host;

/// The maximum length of a name, in bytes (RFC 1035, section 2.3.4, without the root's length
/// bytes).
const MAX_NAME: usize = 253;
/// The maximum length of a label, in bytes (RFC 1035, section 2.3.4).
const MAX_LABEL: usize = 63;

/// Names that are used on internal networks only; each includes its subdomains.
///
/// `.test`, `.example`, `.invalid` and `.onion` are reserved too (RFC 2606, RFC 7686), but they
/// reveal nothing about a network, and malware uses them.
const SPECIAL_NAMES: [&str; 10] = [
    "localhost", // RFC 6761, section 6.3
    "local",     // RFC 6762: multicast DNS
    "internal",  // reserved for private use by ICANN's board, 2024
    "arpa",      // home.arpa (RFC 8375), and reverse names, which contain addresses
    "intranet",  // RFC 6762, appendix G, as are the next four
    "private", "corp", "home", "lan", "localdomain", // the default domain of many systems
];

/// Returns the normal form of a domain name, internal names included.
///
/// A name needs two labels, because one alone may be any word; the names of internal networks are
/// exempt.
pub(crate) fn normalize(text: &str) -> Option<String> {
    // The parser decodes percent-encoding, which is valid in a URL but not in a name.
    if text.contains('%') {
        return None;
    }
    let Ok(Host::Domain(ascii)) = Host::parse(text) else {
        return None;
    };
    let name = host_name(&ascii)?;
    (name.contains('.') || is_reserved(name)).then(|| name.to_owned())
}

/// Returns the normal form of a host name; `None` if it is not valid. The `url` crate has parsed
/// `ascii`: it is in lower case, and its last label is not a number, which would be an address. One
/// label is enough for a host.
pub(super) fn host_name(ascii: &str) -> Option<&str> {
    let name = ascii.strip_suffix('.').unwrap_or(ascii);
    let last_fits = name.rsplit_once('.').is_none_or(|(_, last)| !last.contains('_'));
    (name.len() <= MAX_NAME && last_fits && name.split('.').all(is_label)).then_some(name)
}

/// Returns whether a name in normal form is internal. A single label is internal, because it is
/// looked up in the local domain.
pub(crate) fn is_internal(name: &str) -> bool {
    !name.contains('.') || is_reserved(name)
}

fn is_reserved(name: &str) -> bool {
    SPECIAL_NAMES.into_iter().any(|special| {
        name.strip_suffix(special).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    })
}

/// Accepts underscores: RFC 952 does not, but real malicious hosts have them.
fn is_label(label: &str) -> bool {
    (1..=MAX_LABEL).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::super::ClaimedType::Domain;
    use super::super::RejectReason::{Invalid, Private};
    use super::super::tests::check;
    use super::*;

    #[test]
    fn names_are_normalized() {
        check(
            Domain,
            &[
                ("example.com", Ok("example.com")),
                (" WWW.Example.COM.\n", Ok("www.example.com")),
                ("bücher.example", Ok("xn--bcher-kva.example")),
                ("BÜCHER.example", Ok("xn--bcher-kva.example")),
                ("xn--bcher-kva.example", Ok("xn--bcher-kva.example")),
                ("почта.рф", Ok("xn--80a1acny.xn--p1ai")),
                ("例え。テスト", Ok("xn--r8jz45g.xn--zckzah")),
                ("r3---sn-abc.example.com", Ok("r3---sn-abc.example.com")),
                ("1.2.3.4.com", Ok("1.2.3.4.com")),
                ("a.b", Ok("a.b")),
            ],
        );
    }

    #[test]
    fn invalid_names_are_rejected() {
        let texts = [
            "com", "www", ".", "..", ".com", "example.com..", "a..b", ".example.com",
            "*.example.com", "example.com:80", "http://example.com", "example.com/path",
            "user@example.com", "exa mple.com", "exam\tple.com", "example\0.com", "ex%61mple.com",
            "example[.]com", "a,b.com", "-a.com", "a-.com", "a.-com", "xn--.com", "xn--a.com",
            "a.xn--0",
        ];
        check(Domain, &texts.map(|text| (text, Err(Invalid))));
    }

    #[test]
    fn addresses_are_rejected() {
        let texts = [
            "8.8.8.8", "127.1", "0x7f.1", "1.2.3", "[::1]", "::1", "example.1", "example.0x1",
            "1.2.3.4.", "example.123.",
        ];
        check(Domain, &texts.map(|text| (text, Err(Invalid))));
    }

    #[test]
    fn underscores_are_accepted_except_in_the_last_label() {
        check(
            Domain,
            &[
                ("_dmarc.example.com", Ok("_dmarc.example.com")),
                ("my_host_.ev_il.com", Ok("my_host_.ev_il.com")),
                ("example.c_m", Err(Invalid)),
            ],
        );
    }

    #[test]
    fn lengths_are_limited() {
        let label = "a".repeat(63);
        let fits = format!("{label}.com");
        let long_label = format!("a{label}.com");
        let longest = format!("{label}.{label}.{label}.{}", &label[..61]);
        let dotted = format!("{longest}.");
        let too_long = format!("{label}.{label}.{label}.{}", &label[..62]);
        assert_eq!(longest.len(), 253);
        check(
            Domain,
            &[
                (&fits, Ok(&fits)),
                (&long_label, Err(Invalid)),
                (&longest, Ok(&longest)),
                (&dotted, Ok(&longest)),
                (&too_long, Err(Invalid)),
            ],
        );
    }

    #[test]
    fn special_names_and_their_subdomains_are_private() {
        for name in SPECIAL_NAMES {
            let (below, upper) = (format!("a.b.{name}"), format!("DC01.{name}.").to_uppercase());
            check(Domain, &[(name, Err(Private)), (&below, Err(Private)), (&upper, Err(Private))]);
        }
    }

    #[test]
    fn names_that_resemble_special_names_are_accepted() {
        let names = [
            "notlocal.com", "corp.com", "my-home.org", "arpa.net", "home.example", "local.net",
            "example.xcorp", "x.test", "x.example", "x.invalid", "abcdefghij234567.onion",
        ];
        check(Domain, &names.map(|name| (name, Ok(name))));
    }
}
