//! Domain names: lower case, punycode, no trailing dot.

use ::url::Host;

/// Of a whole name in text form (RFC 1035, section 2.3.4, less the root's length bytes).
const MAX_NAME: usize = 253;
/// Of one label (RFC 1035, section 2.3.4).
const MAX_LABEL: usize = 63;

/// Names of inner networks, each with everything below it.
///
/// `.test`, `.example`, `.invalid` and `.onion` are reserved too (RFC 2606, RFC 7686), but
/// they reveal nothing of anybody's network, and malware does use them.
const INNER_NAMES: [&str; 10] = [
    "localhost", // RFC 6761, section 6.3
    "local",     // RFC 6762: multicast DNS
    "internal",  // reserved for private use by ICANN's board, 2024
    "arpa",      // home.arpa (RFC 8375), and reverse names, which spell somebody's address
    "intranet",  // RFC 6762, appendix G, and the next four
    "private",
    "corp",
    "home",
    "lan",
    "localdomain", // what many systems call themselves when nobody named them
];

/// The normal spelling of a domain name, inner ones included.
///
/// At least two labels, because one alone is a word: only the names of inner networks stand
/// by themselves.
pub(crate) fn normalise(text: &str) -> Option<String> {
    // In a URL a host may be percent-encoded, and the parser would decode it. Here it is no name.
    if text.contains('%') {
        return None;
    }
    let Ok(Host::Domain(ascii)) = Host::parse(text) else {
        return None;
    };
    let name = host_name(&ascii)?;
    (name.contains('.') || is_reserved(name)).then(|| name.to_owned())
}

/// The normal spelling of a host as the `url` crate gives it: lower case and ASCII already,
/// and never with a number for its last label, since the crate takes that for an address.
/// One label is enough here, since inner hosts are often called so.
pub(super) fn host_name(ascii: &str) -> Option<&str> {
    let name = ascii.strip_suffix('.').unwrap_or(ascii);
    let last_fits = name.rsplit_once('.').is_none_or(|(_, last)| !last.contains('_'));
    (name.len() <= MAX_NAME && last_fits && name.split('.').all(is_label)).then_some(name)
}

/// Whether a normal name means something on an inner network only. One label alone does:
/// it is looked up among the neighbours.
pub(crate) fn is_inner(name: &str) -> bool {
    !name.contains('.') || is_reserved(name)
}

fn is_reserved(name: &str) -> bool {
    INNER_NAMES.into_iter().any(|inner| {
        name.strip_suffix(inner).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    })
}

/// Underscores are no part of a host name by RFC 952, but real malicious hosts have them.
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
    fn spelling_is_made_normal() {
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
    fn what_is_no_name_is_refused() {
        let texts = [
            "com",
            "www",
            ".",
            "..",
            ".com",
            "example.com..",
            "a..b",
            ".example.com",
            "*.example.com",
            "example.com:80",
            "http://example.com",
            "example.com/path",
            "user@example.com",
            "exa mple.com",
            "exam\tple.com",
            "example\0.com",
            "ex%61mple.com",
            "example[.]com",
            "a,b.com",
            "-a.com",
            "a-.com",
            "a.-com",
            "xn--.com",
            "xn--a.com",
            "a.xn--0",
        ];
        check(Domain, &texts.map(|text| (text, Err(Invalid))));
    }

    #[test]
    fn an_address_is_no_name() {
        let texts = [
            "8.8.8.8",
            "127.1",
            "0x7f.1",
            "1.2.3",
            "[::1]",
            "::1",
            "example.1",
            "example.0x1",
            "1.2.3.4.",
            "example.123.",
        ];
        check(Domain, &texts.map(|text| (text, Err(Invalid))));
    }

    #[test]
    fn underscores_may_stand_anywhere_but_in_the_last_label() {
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
    fn lengths_have_bounds() {
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
    fn inner_names_are_private_with_all_below_them() {
        for name in INNER_NAMES {
            let (below, shouted) = (format!("a.b.{name}"), format!("DC01.{name}.").to_uppercase());
            check(
                Domain,
                &[(name, Err(Private)), (&below, Err(Private)), (&shouted, Err(Private))],
            );
        }
    }

    #[test]
    fn names_that_only_look_inner_are_not() {
        let names = [
            "notlocal.com",
            "corp.com",
            "my-home.org",
            "arpa.net",
            "home.example",
            "local.net",
            "example.xcorp",
            "x.test",
            "x.example",
            "x.invalid",
            "abcdefghij234567.onion",
        ];
        check(Domain, &names.map(|name| (name, Ok(name))));
    }
}
