//! Tests which values are indicators, how they are normalized, and which are never sent.

use serde_json::Value;

use crate::support::TestEnv;
use crate::support::alerts::{falcon, sha256};

const MD5: &str = "0123456789ABCDEF0123456789abcdef";
const SHA1: &str = "0123456789ABCDEF0123456789abcdef01234567";

/// Runs with one alert. Returns the stored indicators and the counts of those that were not sent.
fn run_with(ioc_type: &str, ioc_value: &str) -> (Vec<String>, Vec<(String, u64)>) {
    let env = TestEnv::falcon(&[falcon("id", ioc_type, ioc_value)]);
    let output = env.run("crowdstrike --json").assert_code(0);
    output.assert_counts_add_up();
    let document = output.json();
    let counts = document["counts"].as_object().unwrap().iter();
    let not_sent = counts
        .filter(|(name, _)| name.starts_with("indicators_") && *name != "indicators_found")
        .filter_map(|(name, count)| {
            Some((name.clone(), count.as_u64().filter(|count| *count > 0)?))
        })
        .collect();
    (env.stored_indicators(), not_sent)
}

/// Runs with one alert, and asserts that exactly these indicators are sent.
#[track_caller]
fn assert_sent(ioc_type: &str, ioc_value: &str, expected: &[&str]) {
    let (stored, not_sent) = run_with(ioc_type, ioc_value);
    assert_eq!(stored, expected, "{ioc_type} {ioc_value}");
    assert_eq!(not_sent, [], "{ioc_type} {ioc_value}");
}

/// Does the same as [`assert_all_not_sent`] with a single value.
#[track_caller]
fn assert_not_sent(ioc_type: &str, ioc_value: &str, reason: &str) {
    assert_all_not_sent(ioc_type, &[ioc_value], reason);
}

/// Runs with one alert per value, and asserts that none is sent, that the log has the reason of
/// each, and that all are counted as `indicators_{reason}`.
#[track_caller]
fn assert_all_not_sent(ioc_type: &str, values: &[&str], reason: &str) {
    let numbered = values.iter().enumerate();
    let alerts: Vec<Value> =
        numbered.map(|(number, value)| falcon(&format!("id-{number}."), ioc_type, value)).collect();
    let env = TestEnv::falcon(&alerts);
    let output = env.run("crowdstrike --json -l DEBUG").assert_code(0);
    let (logged_reason, detail) = match reason {
        "unsupported" => (reason, "not a hash, domain, address or URL"),
        "invalid" => (reason, "not a valid indicator of the claimed type"),
        _ => ("internal", "a name or address of a private network"),
    };
    let log = env.log();
    let ending = format!(" reason={logged_reason} detail=\"{detail}\"");
    for (number, value) in values.iter().enumerate() {
        let beginning = format!(" not sent alert=id-{number}. field=ioc_value value=");
        let short: String = value.chars().take(100).collect();
        let logged = log.lines().any(|line| line.contains(&beginning) && line.ends_with(&ending));
        assert!(logged, "{ioc_type} {short} is not {reason}: {log}");
    }
    assert_eq!(env.stored_indicators(), [""; 0]);
    let count = u64::try_from(values.len()).unwrap();
    assert_eq!(output.assert_counts_add_up().count(&format!("indicators_{reason}")), count);
}

#[test]
fn valid_hashes_are_sent() {
    let sha256 = sha256(0xabc).to_uppercase();
    for (kinds, value) in [
        (["hash_sha256", "sha256"], sha256.as_str()),
        (["hash_sha1", "sha1"], SHA1),
        (["hash_md5", "md5"], MD5),
    ] {
        for kind in kinds {
            let expected = format!("hash {}", value.to_lowercase());
            assert_sent(kind, value, &[&expected]);
            assert_sent(&kind.to_uppercase(), &format!(" {value}\t"), &[&expected]);
        }
    }
}

#[test]
fn invalid_hashes_are_not_sent() {
    for kind in ["hash_sha256", "hash_sha1", "hash_md5"] {
        assert_not_sent(kind, "not a hash", "invalid");
        assert_not_sent(kind, &"g".repeat(64), "invalid");
        assert_not_sent(kind, &"a".repeat(63), "invalid");
    }
    assert_not_sent("hash_sha256", MD5, "invalid");
    assert_not_sent("hash_md5", &sha256(1), "invalid");
}

#[test]
fn domains_are_normalized_or_not_sent() {
    assert_sent("domain", "WWW.Example.COM.", &["domain www.example.com"]);
    assert_sent("domain", "bücher.example.com", &["domain xn--bcher-kva.example.com"]);
    assert_sent("domain", "under_score.example.com", &["domain under_score.example.com"]);
    assert_all_not_sent(
        "domain",
        &[
            "example", "exa mple.com", "a..example.com", "-a.example.com", "https://example.com/",
            "8.8.8.8",
        ],
        "invalid",
    );
    assert_all_not_sent(
        "domain",
        &["printer.local", "dc01.corp", "nas.home.arpa", "host.internal", "a.localhost"],
        "private",
    );
}

#[test]
fn ip_addresses_are_normalized_or_not_sent() {
    assert_sent("ipv4", "8.8.4.4", &["ip 8.8.4.4"]);
    assert_sent("ip", "8.8.4.4", &["ip 8.8.4.4"]);
    assert_sent("ip", "2606:4700::1111", &["ip 2606:4700::1111"]);
    assert_sent("ipv6", "2606:4700:0000:0:0:0:0:1111", &["ip 2606:4700::1111"]);
    assert_sent("ipv6", "2606:4700::ABCD", &["ip 2606:4700::abcd"]);
    assert_sent("ipv6", "::ffff:8.8.4.4", &["ip 8.8.4.4"]);
    assert_all_not_sent(
        "ip",
        &[
            "8.8.4", "8.8.4.256", "8.8.4.4/32", "8.8.4.4:80", "08.8.4.4", "example.com",
            "2606::4700::1",
        ],
        "invalid",
    );
}

/// Addresses of each range that is not globally routable: private, this network, loopback,
/// link-local, carrier-grade NAT, documentation, benchmarking, multicast, reserved and broadcast;
/// the same in IPv6, and IPv4 embedded in IPv6.
const INTERNAL: [&str; 27] = [
    "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "0.0.0.0", "127.0.0.1",
    "169.254.1.1", "100.64.0.1", "100.127.255.255", "192.0.2.1", "198.51.100.7", "203.0.113.9",
    "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fc00::1",
    "fd12:3456::1", "ff02::1", "2001:db8::1", "3fff::1", "::ffff:10.0.0.1", "64:ff9b::a00:1",
    "2002:a00:1::",
];

#[test]
fn internal_addresses_are_not_sent() {
    assert_all_not_sent("ip", &INTERNAL, "private");
    let urls = INTERNAL.map(|address| {
        if address.contains(':') {
            format!("http://[{address}]/x")
        } else {
            format!("http://{address}:8080/x")
        }
    });
    assert_all_not_sent("url", &urls.each_ref().map(String::as_str), "private");
}

#[test]
fn addresses_just_outside_internal_ranges_are_sent() {
    let addresses = [
        "100.128.0.0", "100.63.255.255", "11.0.0.0", "172.15.255.255", "172.32.0.0",
        "9.255.255.255",
    ];
    assert_sent(
        "ip",
        &addresses.join(","),
        &addresses.map(|address| format!("ip {address}")).each_ref().map(String::as_str),
    );
}

#[test]
fn urls_are_normalized_or_not_sent() {
    assert_sent(
        "url",
        "HTTPS://Example.COM:443/Path?q=1#top",
        &["url https://example.com/Path?q=1#top"],
    );
    assert_sent("url", "http://me:secret@example.com/", &["url http://example.com/"]);
    assert_sent("url", "http://8.8.4.4/x", &["url http://8.8.4.4/x"]);
    assert_all_not_sent(
        "url",
        &[
            "example.com/path", "ftp://example.com/", "javascript:alert(1)", "http://",
            "file:///etc/hosts",
        ],
        "invalid",
    );
    assert_all_not_sent(
        "url",
        &[
            "http://intranet/", "https://wiki.corp/x", "http://localhost:8080/",
            "http://printer.local/",
        ],
        "private",
    );
}

#[test]
fn unsupported_types_are_counted() {
    for kind in [
        "registry_key", "filename", "command_line", "behavior", "future_type", "vulnerability",
        "hash",
    ] {
        assert_all_not_sent(kind, &["anything, at all", &sha256(1)], "unsupported");
    }
}

#[test]
fn values_are_split_at_commas() {
    let list = format!("{},{} , {}", sha256(1), sha256(2), sha256(3));
    let expected = [1, 2, 3].map(|number| format!("hash {}", sha256(number)));
    assert_sent("hash_sha256", &list, &expected.each_ref().map(String::as_str));
    assert_sent(
        "domain",
        "a.example.com,B.example.com,",
        &["domain a.example.com", "domain b.example.com"],
    );
    assert_sent("ip", "8.8.4.4,,2606:4700::1", &["ip 2606:4700::1", "ip 8.8.4.4"]);
    // A comma is part of a URL.
    assert_sent("url", "http://example.com/a,http://b", &["url http://example.com/a,http://b"]);
}

#[test]
fn each_value_of_a_list_is_counted_separately() {
    let (stored, not_sent) = run_with("ip", "8.8.4.4,10.0.0.1,8.8.4.4,nonsense,1.1.1.1");
    assert_eq!(stored, ["ip 1.1.1.1", "ip 8.8.4.4"]);
    let expected = ["indicators_invalid", "indicators_private", "indicators_repeated"];
    assert_eq!(not_sent, expected.map(|name| (name.to_owned(), 1)));
}

#[test]
fn huge_values_are_invalid() {
    assert_not_sent("url", &format!("http://example.com/{}", "x".repeat(100_000)), "invalid");
    assert_not_sent("domain", &"a.".repeat(50_000), "invalid");
}
