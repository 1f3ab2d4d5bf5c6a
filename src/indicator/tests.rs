use std::net::IpAddr;

use proptest::prelude::*;

use super::ClaimedType::{Address, Domain, Md5, Sha1, Sha256, Url};
use super::RejectReason::{Invalid, Private};
use super::*;

const CLAIMS: [ClaimedType; 6] = [Sha256, Sha1, Md5, Domain, Address, Url];

/// Checks each text against its normal form or the reason of its rejection.
pub(super) fn check(claim: ClaimedType, table: &[(&str, Result<&str, RejectReason>)]) {
    for (text, expected) in table {
        let indicator = Indicator::parse(claim, text);
        let value = indicator.as_ref().map(Indicator::value).map_err(|r| *r);
        assert_eq!(value, *expected, "{claim:?} {text:?}");
    }
}

fn claim_of(indicator: &Indicator) -> ClaimedType {
    match indicator.kind() {
        IndicatorType::Domain => Domain,
        IndicatorType::Ip => Address,
        IndicatorType::Url => Url,
        IndicatorType::Hash => match indicator.value().len() {
            64 => Sha256,
            40 => Sha1,
            _ => Md5,
        },
    }
}

#[test]
fn types_have_the_names_of_recorded_futures_api() {
    assert_eq!(IndicatorType::ALL.map(IndicatorType::as_str), ["hash", "domain", "ip", "url"]);
    for kind in IndicatorType::ALL {
        assert_eq!(IndicatorType::from_name(kind.as_str()), Some(kind));
        assert_eq!(kind.to_string(), kind.as_str());
    }
    assert_eq!(IndicatorType::from_name("HASH"), None);
    assert_eq!(IndicatorType::from_name("vulnerability"), None);
}

#[test]
fn claimed_types_become_indicator_types() {
    let kind = |claim, text: &str| Indicator::parse(claim, text).unwrap().kind();
    assert_eq!(kind(Sha256, &"a".repeat(64)), IndicatorType::Hash);
    assert_eq!(kind(Sha1, &"a".repeat(40)), IndicatorType::Hash);
    assert_eq!(kind(Md5, &"a".repeat(32)), IndicatorType::Hash);
    assert_eq!(kind(Domain, "example.com"), IndicatorType::Domain);
    assert_eq!(kind(Address, "8.8.8.8"), IndicatorType::Ip);
    assert_eq!(kind(Url, "http://example.com"), IndicatorType::Url);
}

#[test]
fn reject_reasons_have_texts() {
    let texts = [RejectReason::Unsupported, Invalid, Private].map(|reason| reason.to_string());
    assert_eq!(
        texts,
        [
            "not a hash, domain, address or URL",
            "not a valid indicator of the claimed type",
            "a name or address of a private network",
        ]
    );
}

#[test]
fn empty_texts_are_rejected() {
    for claim in CLAIMS {
        check(claim, &[("", Err(Invalid)), (" \t\r\n", Err(Invalid))]);
    }
}

#[test]
fn a_text_that_is_too_long_only_because_of_white_space_is_rejected() {
    let padded = |length: usize| format!("{:length$}", "8.8.8.8");
    assert!(Indicator::parse(Address, &padded(MAX_BYTES)).is_ok());
    assert_eq!(Indicator::parse(Address, &padded(MAX_BYTES + 1)), Err(Invalid));
}

/// Texts that resemble indicators, which arbitrary strings rarely do.
pub(crate) fn texts_like_indicators() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "\\PC{0,40}",
        "[ \t]?([0-9a-fA-F]{32}|[0-9A-F]{40}|[0-9a-f]{64})[g ]?",
        "([a-z0-9]([A-Za-z0-9_-]{0,8}[a-z0-9])?\\.){1,3}[a-zA-Zß-ö]{2,6}\\.?",
        "[a-zA-Z0-9_-]{1,12}(\\.[a-zA-Z0-9_-]{0,12}){0,4}\\.?",
        "\\PC{1,10}\\.(com|local|Corp|xn--p1ai|рф|home\\.arpa)\\.?",
        "[0-9]{1,3}(\\.[0-9]{1,3}){3}",
        any::<IpAddr>().prop_map(|address| address.to_string()),
        any::<u32>().prop_map(|v4| format!("2002:{:x}:{:x}::1", v4 >> 16, v4 & 0xffff)),
        "(::ffff:|64:ff9b::|2001:[0-3]?::|\\[::)[0-9a-f:.]{0,12}\\]?",
        "[hH]ttps?:[/\\\\]{0,3}([a-z:%2]{0,8}@)?[a-zA-Z0-9.%_\\[\\]:-]{0,20}(:[0-9]{0,5})?[/?#]\\PC{0,30}",
        "https?://[a-z]{1,8}\\.(com|net)\\.?(:(80|443|8080))?/[ -~]{0,40}",
        any::<IpAddr>().prop_map(|address| match address {
            IpAddr::V4(address) => format!("http://user:pass@{address}/"),
            IpAddr::V6(address) => format!("https://[{address}]:8443/?q#f"),
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1024,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn accepted_texts_are_in_normal_form(text in texts_like_indicators()) {
        for claim in CLAIMS {
            let Ok(indicator) = Indicator::parse(claim, &text) else { continue };
            let value = indicator.value();
            let again = Indicator::parse(claim_of(&indicator), value);
            prop_assert_eq!(again.as_ref(), Ok(&indicator));
            prop_assert!(!value.is_empty() && value.len() <= MAX_BYTES);
            prop_assert!(value.is_ascii() && !value.contains(|c: char| c.is_control() || c == ' '));
            if indicator.kind() != IndicatorType::Url {
                prop_assert!(!value.contains(|c: char| c.is_ascii_uppercase()));
            }
        }
    }

    #[test]
    fn the_host_of_an_accepted_url_is_accepted_on_its_own(text in texts_like_indicators()) {
        let Ok(indicator) = Indicator::parse(Url, &text) else { return Ok(()) };
        let url = ::url::Url::parse(indicator.value()).unwrap();
        prop_assert_eq!((url.username(), url.password()), ("", None));
        let host = url.host_str().unwrap();
        let alone = match url.host().unwrap() {
            ::url::Host::Domain(name) => Indicator::parse(Domain, name),
            ::url::Host::Ipv4(address) => Indicator::parse(Address, &address.to_string()),
            ::url::Host::Ipv6(address) => Indicator::parse(Address, &address.to_string()),
        }
        .unwrap();
        prop_assert_eq!(alone.value(), host.trim_matches(['[', ']']));
    }

    #[test]
    fn no_internal_address_is_accepted(address in any::<IpAddr>()) {
        let accepted = Indicator::parse(Address, &address.to_string()).is_ok();
        let internal = match address.to_canonical() {
            IpAddr::V4(address) => address.is_private()
                || address.is_loopback()
                || address.is_link_local()
                || address.is_documentation()
                || address.is_multicast()
                || address.is_unspecified()
                || address.is_broadcast(),
            IpAddr::V6(address) => address.is_loopback()
                || address.is_unique_local()
                || address.is_unicast_link_local()
                || address.is_multicast()
                || address.is_unspecified(),
        };
        prop_assert!(!(accepted && internal));
    }

    #[test]
    fn no_address_of_an_internal_v4_network_is_accepted_in_any_notation(
        (first, rest) in prop_oneof![
            Just((0x0a00_0000_u32, 24)), Just((0xac10_0000, 20)), Just((0xc0a8_0000, 16)),
            Just((0x7f00_0000, 24)), Just((0xa9fe_0000, 16)), Just((0x6440_0000, 22)),
            Just((0xc612_0000, 17)), Just((0xe000_0000, 28)), Just((0xf000_0000, 28)),
        ].prop_flat_map(|(net, bits)| (Just(net), 0_u32..1 << bits)),
    ) {
        let bits = first | rest;
        let v4 = std::net::Ipv4Addr::from(bits);
        let (high, low) = (bits >> 16, bits & 0xffff);
        for text in [
            v4.to_string(),
            format!("::ffff:{v4}"),
            format!("64:ff9b::{v4}"),
            format!("2002:{high:x}:{low:x}::1"),
        ] {
            prop_assert_eq!(Indicator::parse(Address, &text), Err(Private));
        }
        for text in [
            format!("http://{v4}/"),
            format!("http://{bits}/"),
            format!("http://{bits:#x}/"),
            format!("https://[::ffff:{v4}]/"),
        ] {
            prop_assert_eq!(Indicator::parse(Url, &text), Err(Private));
        }
    }
}
