//! What is an indicator, in which spelling, and what is never sent.

use serde_json::Value;

use crate::support::Stage;
use crate::support::alerts::{falcon, sha256};

const MD5: &str = "0123456789ABCDEF0123456789abcdef";
const SHA1: &str = "0123456789ABCDEF0123456789abcdef01234567";

/// Runs an alert with one IOC; gives what was stored, and in which counts the mentions ended.
fn sent(ioc_type: &str, ioc_value: &str) -> (Vec<String>, Vec<(String, u64)>) {
    let stage = Stage::falcon(&[falcon("id", ioc_type, ioc_value)]);
    let ran = stage.run("crowdstrike --json").ended(0);
    ran.adds_up();
    let document = ran.json();
    let counts = document["counts"].as_object().unwrap().iter();
    let refused = counts
        .filter(|(name, _)| name.starts_with("indicators_") && *name != "indicators_found")
        .filter_map(|(name, count)| {
            Some((name.clone(), count.as_u64().filter(|count| *count > 0)?))
        })
        .collect();
    (stage.stored_indicators(), refused)
}

#[track_caller]
fn accepted(ioc_type: &str, ioc_value: &str, wanted: &[&str]) {
    let (stored, refused) = sent(ioc_type, ioc_value);
    assert_eq!(stored, wanted, "{ioc_type} {ioc_value}");
    assert_eq!(refused, [], "{ioc_type} {ioc_value}");
}

#[track_caller]
fn refused(ioc_type: &str, ioc_value: &str, place: &str) {
    all_refused(ioc_type, &[ioc_value], place);
}

/// Each of the values in an alert of its own, all of them in one run; the log tells each one's fate.
#[track_caller]
fn all_refused(ioc_type: &str, values: &[&str], place: &str) {
    let numbered = values.iter().enumerate();
    let alerts: Vec<Value> =
        numbered.map(|(number, value)| falcon(&format!("id-{number}."), ioc_type, value)).collect();
    let stage = Stage::falcon(&alerts);
    let ran = stage.run("crowdstrike --json -l DEBUG").ended(0);
    let fate = match place {
        "unsupported" => "not a hash, domain, address or URL",
        "invalid" => "not a valid indicator of the claimed type",
        _ => "a name or address of a private network",
    };
    let log = stage.log();
    for (number, value) in values.iter().enumerate() {
        let words = format!("not sent, {fate}: ioc_value of id-{number}.");
        let short: String = value.chars().take(100).collect();
        assert!(log.contains(&words), "{ioc_type} {short} is not {place}: {log}");
    }
    assert_eq!(stage.stored_indicators(), [""; 0]);
    let count = u64::try_from(values.len()).unwrap();
    assert_eq!(ran.adds_up().count(&format!("indicators_{place}")), count);
}

#[test]
fn hashes_of_each_kind() {
    let sha256 = sha256(0xabc).to_uppercase();
    for (kinds, value) in [
        (["hash_sha256", "sha256"], sha256.as_str()),
        (["hash_sha1", "sha1"], SHA1),
        (["hash_md5", "md5"], MD5),
    ] {
        for kind in kinds {
            let wanted = format!("hash {}", value.to_lowercase());
            accepted(kind, value, &[&wanted]);
            accepted(&kind.to_uppercase(), &format!(" {value}\t"), &[&wanted]);
        }
    }
}

#[test]
fn hashes_that_are_none() {
    for kind in ["hash_sha256", "hash_sha1", "hash_md5"] {
        refused(kind, "not a hash", "invalid");
        refused(kind, &"g".repeat(64), "invalid");
        refused(kind, &"a".repeat(63), "invalid");
    }
    refused("hash_sha256", MD5, "invalid");
    refused("hash_md5", &sha256(1), "invalid");
}

#[test]
fn domains() {
    accepted("domain", "WWW.Example.COM.", &["domain www.example.com"]);
    accepted("domain", "bücher.example.com", &["domain xn--bcher-kva.example.com"]);
    accepted("domain", "under_score.example.com", &["domain under_score.example.com"]);
    all_refused(
        "domain",
        &[
            "example",
            "exa mple.com",
            "a..example.com",
            "-a.example.com",
            "https://example.com/",
            "8.8.8.8",
        ],
        "invalid",
    );
    all_refused(
        "domain",
        &["printer.local", "dc01.corp", "nas.home.arpa", "host.internal", "a.localhost"],
        "private",
    );
}

#[test]
fn addresses() {
    accepted("ipv4", "8.8.4.4", &["ip 8.8.4.4"]);
    accepted("ip", "8.8.4.4", &["ip 8.8.4.4"]);
    accepted("ip", "2606:4700::1111", &["ip 2606:4700::1111"]);
    accepted("ipv6", "2606:4700:0000:0:0:0:0:1111", &["ip 2606:4700::1111"]);
    accepted("ipv6", "2606:4700::ABCD", &["ip 2606:4700::abcd"]);
    accepted("ipv6", "::ffff:8.8.4.4", &["ip 8.8.4.4"]);
    all_refused(
        "ip",
        &[
            "8.8.4",
            "8.8.4.256",
            "8.8.4.4/32",
            "8.8.4.4:80",
            "08.8.4.4",
            "example.com",
            "2606::4700::1",
        ],
        "invalid",
    );
}

/// One of each range that means something on an inner network only.
const INNER: [&str; 27] = [
    // Private, loopback, link-local, this network.
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "127.0.0.1",
    "169.254.1.1",
    "0.0.0.0",
    // Between a provider and its customers; documentation.
    "100.64.0.1",
    "100.127.255.255",
    "192.0.2.1",
    "198.51.100.7",
    "203.0.113.9",
    // Benchmarks, multicast, reserved, broadcast.
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    // The same in IPv6, and IPv4 dressed up as it.
    "::1",
    "::",
    "fe80::1",
    "fc00::1",
    "fd12:3456::1",
    "ff02::1",
    "2001:db8::1",
    "3fff::1",
    "::ffff:10.0.0.1",
    "64:ff9b::a00:1",
    "2002:a00:1::",
];

#[test]
fn addresses_of_inner_networks_are_never_sent() {
    all_refused("ip", &INNER, "private");
    let urls = INNER.map(|inner| {
        if inner.contains(':') {
            format!("http://[{inner}]/x")
        } else {
            format!("http://{inner}:8080/x")
        }
    });
    all_refused("url", &urls.each_ref().map(String::as_str), "private");
}

#[test]
fn addresses_just_outside_of_inner_networks_are_sent() {
    let outer = [
        "100.128.0.0",
        "100.63.255.255",
        "11.0.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "9.255.255.255",
    ];
    accepted(
        "ip",
        &outer.join(","),
        &outer.map(|outer| format!("ip {outer}")).each_ref().map(String::as_str),
    );
}

#[test]
fn urls() {
    accepted(
        "url",
        "HTTPS://Example.COM:443/Path?q=1#top",
        &["url https://example.com/Path?q=1#top"],
    );
    accepted("url", "http://me:secret@example.com/", &["url http://example.com/"]);
    accepted("url", "http://8.8.4.4/x", &["url http://8.8.4.4/x"]);
    all_refused(
        "url",
        &[
            "example.com/path",
            "ftp://example.com/",
            "javascript:alert(1)",
            "http://",
            "file:///etc/hosts",
        ],
        "invalid",
    );
    all_refused(
        "url",
        &[
            "http://intranet/",
            "https://wiki.corp/x",
            "http://localhost:8080/",
            "http://printer.local/",
        ],
        "private",
    );
}

#[test]
fn what_recorded_future_does_not_take_is_counted() {
    for kind in [
        "registry_key",
        "filename",
        "command_line",
        "behavior",
        "of_tomorrow",
        "vulnerability",
        "hash",
    ] {
        all_refused(kind, &["anything, at all", &sha256(1)], "unsupported");
    }
}

#[test]
fn lists_are_split_at_commas() {
    let list = format!("{},{} , {}", sha256(1), sha256(2), sha256(3));
    let wanted = [1, 2, 3].map(|number| format!("hash {}", sha256(number)));
    accepted("hash_sha256", &list, &wanted.each_ref().map(String::as_str));
    accepted(
        "domain",
        "a.example.com,B.example.com,",
        &["domain a.example.com", "domain b.example.com"],
    );
    accepted("ip", "8.8.4.4,,2606:4700::1", &["ip 2606:4700::1", "ip 8.8.4.4"]);
    // A comma is a part of a URL.
    accepted("url", "http://example.com/a,http://b", &["url http://example.com/a,http://b"]);
}

#[test]
fn each_of_a_list_has_its_own_fate() {
    let (stored, refused) = sent("ip", "8.8.4.4,10.0.0.1,8.8.4.4,nonsense,1.1.1.1");
    assert_eq!(stored, ["ip 1.1.1.1", "ip 8.8.4.4"]);
    let wanted = ["indicators_invalid", "indicators_private", "indicators_repeated"];
    assert_eq!(refused, wanted.map(|place| (place.to_owned(), 1)));
}

#[test]
fn a_monstrous_value_is_refused_unread() {
    refused("url", &format!("http://example.com/{}", "x".repeat(100_000)), "invalid");
    refused("domain", &"a.".repeat(50_000), "invalid");
}
