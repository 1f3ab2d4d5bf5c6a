//! The exclusion file: read before any request, in each of its forms, for both vendors.

use sandbox::World;
use serde_json::Value;

use crate::support::alerts::{carbonblack, falcon, sha256};
use crate::support::{Ran, Stage};

const MD5: &str = "0123456789abcdef0123456789abcdef";
const SHA1: &str = "0123456789abcdef0123456789abcdef01234567";

/// Two of each kind of indicator, by what they are called and their values.
fn alerts() -> Vec<Value> {
    let one = sha256(1);
    [
        ("sha256", one.as_str()),
        ("sha1", SHA1),
        ("md5", MD5),
        ("domain", "example.com"),
        ("domain", "www.example.com"),
        ("ip", "8.8.4.4"),
        ("ip", "2606:4700::1"),
        ("url", "https://www.example.com/tool.exe"),
        ("url", "http://8.8.4.4/x"),
    ]
    .iter()
    .enumerate()
    .map(|(number, (kind, value))| falcon(&number.to_string(), kind, value))
    .collect()
}

/// Runs with a list, and gives what was left out.
#[track_caller]
fn excluded_by(list: impl AsRef<[u8]>) -> Vec<String> {
    let everything = Stage::falcon(&alerts());
    everything.run("crowdstrike").ended(0);
    let stage = Stage::falcon(&alerts());
    stage.write("list.txt", list);
    let ran = stage.run("crowdstrike --json --exclusion-file list.txt").ended(0);
    let sent = stage.stored_values();
    let mut left_out = everything.stored_values();
    left_out.retain(|value| !sent.contains(value));
    let count = u64::try_from(left_out.len()).unwrap();
    assert_eq!(ran.adds_up().count("indicators_excluded"), count);
    left_out
}

/// Runs with a file that is wrong; nothing may have been asked.
#[track_caller]
fn wrong(list: impl AsRef<[u8]>, words: &[&str]) -> Ran {
    let stage = Stage::falcon(&alerts());
    stage.write("list.txt", list);
    let ran = stage.run("crowdstrike --json --exclusion-file list.txt").ended(2);
    ran.says(words);
    assert_eq!(ran.json()["error"]["kind"], "configuration");
    assert_eq!(stage.sandbox.requests().len(), 0, "nothing is asked");
    ran
}

#[test]
fn hashes_of_each_length_in_any_case() {
    assert_eq!(excluded_by(sha256(1)), [sha256(1)]);
    assert_eq!(excluded_by(SHA1.to_uppercase()), [SHA1]);
    assert_eq!(excluded_by(MD5), [MD5]);
}

#[test]
fn a_domain_is_that_name_alone() {
    assert_eq!(excluded_by("EXAMPLE.com"), ["example.com"]);
}

#[test]
fn a_dot_in_front_takes_all_below_with_it() {
    let wanted = ["example.com", "https://www.example.com/tool.exe", "www.example.com"];
    assert_eq!(excluded_by(".example.com"), wanted);
}

#[test]
fn addresses_and_networks() {
    assert_eq!(excluded_by("8.8.4.4"), ["8.8.4.4", "http://8.8.4.4/x"]);
    assert_eq!(excluded_by("8.8.0.0/16"), ["8.8.4.4", "http://8.8.4.4/x"]);
    assert_eq!(excluded_by("2606:4700:0::1"), ["2606:4700::1"]);
    assert_eq!(excluded_by("2606:4700::/32"), ["2606:4700::1"]);
}

#[test]
fn a_url_is_exactly_that() {
    let url = "https://www.example.com/tool.exe";
    assert_eq!(excluded_by("HTTPS://WWW.example.com:443/tool.exe"), [url]);
    assert_eq!(excluded_by("https://www.example.com/"), [""; 0]);
}

#[test]
fn comments_blank_lines_byte_order_mark_and_line_ends() {
    let list = "\u{feff}# ours\r\n\r\n   \r\nexample.com   # the front page\r\n\t8.8.4.0/24#DNS\r\n#2606:4700::1\r\n";
    assert_eq!(excluded_by(list), ["8.8.4.4", "example.com", "http://8.8.4.4/x"]);
    assert_eq!(
        excluded_by(list.replace("\r\n", "\n")),
        ["8.8.4.4", "example.com", "http://8.8.4.4/x"]
    );
    assert_eq!(excluded_by(""), [""; 0]);
}

#[test]
fn the_first_column_of_a_csv_file() {
    let list = format!(
        "# indicator,owner\nexample.com,IT,\"our, own\"\n\"{MD5}\";tools\n2606:4700::1\tDNS\n"
    );
    assert_eq!(excluded_by(list), [MD5, "2606:4700::1", "example.com"]);
}

#[test]
fn the_example_is_read_as_it_stands() {
    let stage = Stage::falcon(&[
        falcon("1", "domain", "example.com"),
        falcon("2", "domain", "deep.below.example.org"),
        falcon("3", "domain", "www.example.com"),
    ]);
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/exclusions.example.txt");
    let ran = stage.run(&format!("crowdstrike --json --exclusion-file {example}")).ended(0);
    assert_eq!(ran.adds_up().count("indicators_excluded"), 2);
    assert_eq!(stage.stored_values(), ["www.example.com"]);
}

#[test]
fn it_works_for_carbon_black_too_by_the_scripts_flag() {
    let stage = Stage::carbonblack(&[carbonblack("a1", &sha256(1)), carbonblack("a2", &sha256(2))]);
    stage.write("list.txt", sha256(1));
    let ran = stage.run("carbonblack --json -ef list.txt").ended(0);
    assert_eq!(ran.adds_up().count("indicators_excluded"), 1);
    assert_eq!(stage.stored_values(), [sha256(2)]);
}

#[test]
fn a_line_that_is_no_indicator_is_named_before_any_request() {
    for line in [
        "not an indicator",
        "*.example.com",
        "8.8.0.0/33",
        "abcdef",
        "ftp://example.com/",
        "com",
        "\"example.com",
    ] {
        wrong(format!("example.com\n# fine\n\n{line}\n8.8.4.4\n"), &["list.txt:4", "help: "]);
    }
    wrong("x y\r\nexample.com\r\n", &["list.txt:1"]);
}

#[test]
fn a_line_is_quoted_without_acting_on_the_terminal() {
    let ran = wrong("\u{1b}[31mred\u{1b}[0m \u{202e}\n", &["list.txt:1"]);
    assert!(!ran.stderr.contains(['\u{1b}', '\u{202e}']), "{}", ran.stderr.escape_debug());
}

#[test]
fn text_that_is_no_utf_8_is_named_by_its_line() {
    wrong(b"example.com\n8.8.4.4\nb\xfccher.example\n", &["list.txt:3", "UTF-8"]);
    wrong(b"\xff\xfee\0x\0", &["list.txt:1", "UTF-8"]);
}

#[test]
fn a_file_that_cannot_be_read_ends_the_run_before_any_request() {
    let stage = Stage::new(World::default());
    std::fs::create_dir(stage.path("folder")).unwrap();
    for vendor in ["crowdstrike", "carbonblack"] {
        for name in ["missing.txt", "folder", "no/such/folder.txt"] {
            let ran = stage.run(&format!("{vendor} --exclusion-file {name}")).ended(2);
            ran.says(&[name, "cannot be read", "help: "]);
        }
    }
    assert_eq!(stage.sandbox.requests().len(), 0);
}
