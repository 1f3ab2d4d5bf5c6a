use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::indicator::ClaimedType;

const SHA256: &str = "275a021bbfb6489e54d471899f7db9d1663fc695ec2fe2a2c4538aabf651fd0f";
const SHA1: &str = "3395856ce81f2b7382dee72602f798b642f14140";
const MD5: &str = "44d88612fea8a8f36de82e1278abb02f";

fn parse(bytes: impl AsRef<[u8]>) -> Result<Exclusions, ExclusionError> {
    Exclusions::parse(Path::new("list.txt"), bytes.as_ref())
}

fn list(text: &str) -> Exclusions {
    parse(text).unwrap()
}

/// Whether a rule matches the text; `claim` is its type according to the vendor.
fn matches(list: &Exclusions, claim: ClaimedType, text: &str) -> bool {
    list.find(&Indicator::parse(claim, text).unwrap()).is_some()
}

fn message(bytes: impl AsRef<[u8]>) -> String {
    parse(bytes).unwrap_err().to_string()
}

#[test]
fn an_empty_list_matches_nothing() {
    for list in [
        Exclusions::default(),
        list(""),
        list("\u{feff}"),
        list("\n \t\r\n\r# only\n  # comments\n"),
    ] {
        assert!(list.is_empty());
        assert_eq!(list.len(), 0);
        assert!(!matches(&list, ClaimedType::Domain, "example.com"));
        assert!(!matches(&list, ClaimedType::Url, "http://8.8.8.8/"));
    }
}

#[test]
fn a_hash_matches_itself() {
    let list = list(&format!("{SHA256}\n{}\n", MD5.to_uppercase()));
    assert!(matches(&list, ClaimedType::Sha256, SHA256));
    assert!(matches(&list, ClaimedType::Md5, MD5));
    assert!(!matches(&list, ClaimedType::Sha1, SHA1));
}

#[test]
fn a_name_matches_itself_and_urls_on_it() {
    let list = list("Example.COM.\n");
    assert!(matches(&list, ClaimedType::Domain, "example.com"));
    assert!(matches(&list, ClaimedType::Url, "https://user@EXAMPLE.com:8443/x"));
    assert!(!matches(&list, ClaimedType::Domain, "www.example.com"));
    assert!(!matches(&list, ClaimedType::Url, "https://www.example.com/"));
    assert!(!matches(&list, ClaimedType::Domain, "notexample.com"));
}

#[test]
fn a_leading_dot_matches_subdomains_too() {
    let list = list(".example.com\n");
    for name in ["example.com", "www.example.com", "a.b.c.example.com"] {
        assert!(matches(&list, ClaimedType::Domain, name));
        assert!(matches(&list, ClaimedType::Url, &format!("http://{name}/")));
    }
    for name in ["notexample.com", "example.com.net", "xexample.com"] {
        assert!(!matches(&list, ClaimedType::Domain, name));
    }
}

#[test]
fn addresses_and_networks_match_urls_on_them() {
    let list = list("8.8.8.8\n9.9.9.77/24\n2606:4700::/32\n::ffff:1.1.1.0/120\n::ffff:1.0.0.1\n");
    for address in ["8.8.8.8", "::ffff:8.8.8.8", "9.9.9.0", "9.9.9.255", "1.1.1.1", "1.0.0.1"] {
        assert!(matches(&list, ClaimedType::Address, address), "{address}");
    }
    assert!(matches(&list, ClaimedType::Address, "2606:4700::1111"));
    assert!(matches(&list, ClaimedType::Url, "http://8.8.8.8/x"));
    assert!(matches(&list, ClaimedType::Url, "http://[2606:4700::1111]:81/x"));
    for address in ["8.8.8.9", "9.9.10.0", "1.1.2.0", "2606:4701::1"] {
        assert!(!matches(&list, ClaimedType::Address, address), "{address}");
    }
}

#[test]
fn a_url_matches_only_itself() {
    let list = list("HTTPS://me:secret@Example.com:443/a#b # not this\n");
    assert!(matches(&list, ClaimedType::Url, "https://example.com/a#b"));
    assert!(!matches(&list, ClaimedType::Url, "https://example.com/a"));
    assert!(!matches(&list, ClaimedType::Url, "http://example.com/a#b"));
    assert!(!matches(&list, ClaimedType::Domain, "example.com"));
}

#[test]
fn internal_names_and_addresses_may_be_listed() {
    let list = list(
        ".corp.example\nhost.local\n.internal\nlocalhost\n10.0.0.0/8\nfd00::/8\n127.0.0.1\n\
         http://intranet/wiki\n",
    );
    assert_eq!(list.len(), 8);
}

#[test]
fn comments_line_ends_and_a_byte_order_mark_do_not_matter() {
    let list = list(&format!(
        "\u{feff}# header\r\n\r\n  {SHA256}  # remark\r{MD5}#remark\n\r\texample.com\t\n8.8.8.8"
    ));
    assert_eq!(list.len(), 4);
    assert!(matches(&list, ClaimedType::Sha256, SHA256));
    assert!(matches(&list, ClaimedType::Md5, MD5));
    assert!(matches(&list, ClaimedType::Domain, "example.com"));
    assert!(matches(&list, ClaimedType::Address, "8.8.8.8"));
}

#[test]
fn the_same_rule_counts_once() {
    assert_eq!(list("example.com\nEXAMPLE.com.\n10.0.0.1/8\n10.0.0.0/8\n").len(), 2);
}

fn found(list: &Exclusions, claim: ClaimedType, text: &str) -> Option<(u32, String)> {
    let rule = list.find(&Indicator::parse(claim, text).unwrap())?;
    Some((rule.line, rule.text.to_owned()))
}

#[test]
fn the_most_specific_rule_is_found_with_the_first_line_that_has_it() {
    let list = list(&format!(
        "# header\n8.0.0.0/8\n.example.com\r.WWW.example.com\r\nwww.Example.com\n8.8.8.0/24\n\
         8.8.8.8\n{MD5}\nhttp://8.8.8.8/a\nwww.example.com\n2606:4700::1/32\n"
    ));
    for (claim, text, line, rule) in [
        (ClaimedType::Domain, "www.example.com", 5, "www.example.com"),
        (ClaimedType::Domain, "a.www.example.com", 4, ".www.example.com"),
        (ClaimedType::Domain, "example.com", 3, ".example.com"),
        (ClaimedType::Url, "http://example.com/", 3, ".example.com"),
        (ClaimedType::Address, "8.8.8.8", 7, "8.8.8.8"),
        (ClaimedType::Address, "8.8.8.9", 6, "8.8.8.0/24"),
        (ClaimedType::Address, "8.8.9.9", 2, "8.0.0.0/8"),
        (ClaimedType::Url, "http://8.8.8.8/a", 9, "http://8.8.8.8/a"),
        (ClaimedType::Url, "http://8.8.8.8/b", 7, "8.8.8.8"),
        (ClaimedType::Address, "2606:4700::2", 11, "2606:4700::/32"),
        (ClaimedType::Md5, MD5, 8, MD5),
    ] {
        assert_eq!(found(&list, claim, text), Some((line, rule.to_owned())), "{text}");
    }
    assert_eq!(found(&list, ClaimedType::Address, "9.9.9.9"), None);
    let mut rules: Vec<_> = list.rules().map(|rule| (rule.line, rule.text)).collect();
    rules.sort_unstable();
    let lines: Vec<u32> = rules.iter().map(|rule| rule.0).collect();
    assert_eq!(lines, [2, 3, 4, 5, 6, 7, 8, 9, 11]);
    assert_eq!((rules.len(), rules[2].1), (list.len(), ".www.example.com"));
}

#[test]
fn a_rule_in_normal_form_is_the_same_rule() {
    let first = list(
        "EXAMPLE.com\n.Example.COM.\n8.8.8.8\n8.8.8.8/32\n9.9.9.9/8\n2606:4700:0::1/64\nhttp://a.COM\n",
    );
    for rule in first.rules() {
        let again = list(rule.text);
        assert_eq!(again.rules().next().unwrap().text, rule.text);
    }
    assert_eq!(first.len(), 7);
}

#[test]
fn an_invalid_line_is_reported_with_its_number() {
    assert_eq!(
        message("example.com\r\n\r\nindicator,owner\n"),
        "list.txt:3: \"indicator,owner\" is not a hash, domain, address, network or http(s) URL; \
         put # in front of a header or a comment"
    );
    assert!(message("a.com\rb.com\r\rnonsense\n").starts_with("list.txt:4: \"nonsense\""));
}

#[test]
fn a_line_is_quoted_safely_and_in_part() {
    let Err(ExclusionError::Lines { lines, .. }) = parse("\n\x1b[31mred\u{202e}\0") else {
        panic!("a line of control characters passed");
    };
    assert_eq!((lines[0].number, lines[0].text.as_str()), (2, r"\u{1b}[31mred\u{202e}\0"));
    let Err(ExclusionError::Lines { lines, .. }) = parse("ü".repeat(100_000)) else {
        panic!("a line of one long word passed");
    };
    assert_eq!(lines[0].text.chars().count(), 80);
}

#[test]
fn invalid_lines_are_counted_and_the_first_20_are_shown() {
    assert_eq!(
        message("a.com\nx y\n\nb.com\nz\n"),
        "2 lines are not a hash, domain, address, network or http(s) URL: list.txt:2: \"x y\", \
         list.txt:5: \"z\"; put # in front of a header or a comment"
    );
    let many = message("x y\n".repeat(23));
    assert!(many.starts_with("23 lines are not"), "{many}");
    assert_eq!(many.matches("list.txt:").count(), 20, "{many}");
    assert!(many.contains("list.txt:20: \"x y\" and 3 more; put #"), "{many}");
}

#[test]
fn a_header_before_the_first_rule_is_skipped() {
    let list = parse("\u{feff}# ours\n\nProcess_SHA256,owner\na.com\n").unwrap();
    let header = list.header().unwrap();
    assert_eq!((header.number, header.text.as_str()), (3, "Process_SHA256,owner"));
    assert_eq!(list.len(), 1);
    assert_eq!(parse("a.com\n").unwrap().header(), None);
    // A second one, and one below a rule, may be a rule that was mistyped.
    assert!(message("sha256\nmd5\na.com\n").starts_with("list.txt:2: \"md5\""));
    assert!(message("a.com\nsha256\n").starts_with("list.txt:2: \"sha256\""));
}

#[test]
fn other_encodings_are_reported_with_their_line() {
    assert_eq!(
        message(b"example.com\nb\xfccher.example\n"),
        "list.txt:2: not UTF-8 text; save the file as UTF-8"
    );
    assert!(message(b"a.com\r\n\xff").starts_with("list.txt:2:"));
    assert!(message(b"a.com\r\xff").starts_with("list.txt:2:"));
    assert!(message(b"\xff\xfea\0.\0").starts_with("list.txt:1:"));
}

#[test]
fn a_missing_file_and_a_directory_are_unreadable() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for path in [root.to_owned(), root.join("no-such-list.txt")] {
        let error = Exclusions::read(&path).unwrap_err();
        assert!(error.to_string().contains(&*path.to_string_lossy()));
        assert!(std::error::Error::source(&error).is_some());
        assert!(matches!(error, ExclusionError::Unreadable { .. }));
    }
}

#[test]
fn the_example_file_is_valid() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("exclusions.example.txt");
    let list = Exclusions::read(&path).unwrap();
    for (claim, text) in [
        (ClaimedType::Sha256, SHA256),
        (ClaimedType::Sha1, SHA1),
        (ClaimedType::Md5, MD5),
        (ClaimedType::Domain, "example.com"),
        (ClaimedType::Domain, "www.example.org"),
        (ClaimedType::Url, "https://www.example.org/any/page"),
        (ClaimedType::Url, "https://www.example.com/manual#chapter-2"),
        (ClaimedType::Url, "https://www.example.net/map?at=52.5,13.4"),
    ] {
        assert!(matches(&list, claim, text), "{text}");
    }
    assert!(!matches(&list, ClaimedType::Domain, "www.example.com"));
    assert_eq!(list.len(), 18);
}

#[test]
fn debug_prints_the_count_only() {
    assert_eq!(format!("{:?}", list("example.com\n8.8.8.8")), "Exclusions(2)");
}

fn claims() -> [ClaimedType; 6] {
    use ClaimedType::{Address, Domain, Md5, Sha1, Sha256, Url};
    [Sha256, Sha1, Md5, Domain, Address, Url]
}

/// IPv4 and IPv6 addresses, most of which differ from a fixed one in at most two bits.
fn near_address() -> impl Strategy<Value = IpAddr> {
    let near = |bits: u32| prop_oneof![Just(0), 0..4_u32, (0..bits).prop_map(|bit| 1 << bit)];
    prop_oneof![
        near(32).prop_map(|bits| IpAddr::from((0x0A00_0000 ^ bits).to_be_bytes())),
        (near(32), 0..4_u32).prop_map(|(bits, word)| {
            let bits = u128::from(bits) << (word * 32);
            IpAddr::from(((0x2606 << 112) ^ bits).to_be_bytes())
        }),
        any::<IpAddr>(),
    ]
}

fn near_network() -> impl Strategy<Value = IpNet> {
    (near_address(), 0..=128_u8).prop_map(|(address, length)| {
        let longest = if address.is_ipv4() { 32 } else { 128 };
        IpNet::new(address, length.min(longest)).unwrap().trunc()
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 512,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_bytes_are_a_list_or_an_error(bytes in any::<Vec<u8>>()) {
        let _ = parse(bytes);
    }

    #[test]
    fn any_line_is_parsed_without_a_panic(text in "[\"#,;\t\r\n]?\\PC{0,30}[\"#,;\t\r\n]\\PC{0,10}") {
        let _ = parse(text);
    }

    #[test]
    fn a_listed_indicator_matches(text in crate::indicator::tests::texts_like_indicators()) {
        for claim in claims() {
            let Ok(indicator) = Indicator::parse(claim, &text) else { continue };
            let value = indicator.value();
            prop_assert!(list(&format!("\"{value}\",remark")).find(&indicator).is_some(), "{value}");
            if !value.contains([',', ';']) {
                prop_assert!(list(&format!("{value} # remark")).find(&indicator).is_some(), "{value}");
            }
        }
    }

    #[test]
    fn an_address_is_found_as_by_comparing_it_with_each_network(
        networks in vec(near_network(), 0..20),
        addresses in vec(near_address(), 1..50),
    ) {
        let mut list = Exclusions::default();
        let mut first_lines: HashMap<IpNet, u32> = HashMap::new();
        for (network, line) in networks.into_iter().zip(1..) {
            list.insert(Rule::Network(network), line);
            first_lines.entry(network).or_insert(line);
        }
        prop_assert_eq!(list.len(), first_lines.len());
        for address in addresses {
            let containing = first_lines.iter().filter(|(network, _)| network.contains(&address));
            let smallest = containing.max_by_key(|(network, _)| network.prefix_len());
            let expected = smallest.map(|(network, line)| (network.to_string(), *line));
            let found = list.find_address(address);
            let found = found.map(|rule| (rule.text.to_owned(), rule.line));
            prop_assert_eq!(found, expected, "{}", address);
        }
    }
}
