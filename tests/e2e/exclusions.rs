//! Tests the exclusion file: its formats, what it excludes, and that it is read before any request.

use sandbox::World;
use serde_json::Value;

use crate::support::alerts::{carbonblack, falcon, sha256};
use crate::support::vendor::Vendor;
use crate::support::{RunOutput, TestEnv};

const MD5: &str = "0123456789abcdef0123456789abcdef";
const SHA1: &str = "0123456789abcdef0123456789abcdef01234567";

/// Returns alerts with indicators of all types.
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

/// Runs with an exclusion file, and returns the indicators that were excluded.
#[track_caller]
fn excluded_by(list: impl AsRef<[u8]>) -> Vec<String> {
    let without_list = TestEnv::falcon(&alerts());
    without_list.run("crowdstrike").assert_code(0);
    let env = TestEnv::falcon(&alerts());
    env.write("list.txt", list);
    let output = env.run("crowdstrike --json --exclusion-file list.txt").assert_code(0);
    let sent = env.stored_values();
    let mut excluded = without_list.stored_values();
    excluded.retain(|value| !sent.contains(value));
    let count = u64::try_from(excluded.len()).unwrap();
    assert_eq!(output.assert_counts_add_up().count("indicators_excluded"), count);
    excluded
}

/// Runs with an invalid exclusion file, and asserts these texts in the error and that no request
/// was made.
#[track_caller]
fn assert_rejected(list: impl AsRef<[u8]>, texts: &[&str]) -> RunOutput {
    let env = TestEnv::falcon(&alerts());
    env.write("list.txt", list);
    let output = env.run("crowdstrike --json --exclusion-file list.txt").assert_code(2);
    output.assert_stderr(texts);
    assert_eq!(output.json()["error"]["kind"], "configuration");
    assert_eq!(env.sandbox.requests().len(), 0, "no request is made");
    output
}

#[test]
fn hashes_match_in_each_length_and_any_case() {
    assert_eq!(excluded_by(sha256(1)), [sha256(1)]);
    assert_eq!(excluded_by(SHA1.to_uppercase()), [SHA1]);
    assert_eq!(excluded_by(MD5), [MD5]);
}

#[test]
fn a_domain_matches_exactly() {
    assert_eq!(excluded_by("EXAMPLE.com"), ["example.com"]);
}

#[test]
fn a_leading_dot_matches_all_subdomains() {
    let expected = ["example.com", "https://www.example.com/tool.exe", "www.example.com"];
    assert_eq!(excluded_by(".example.com"), expected);
}

#[test]
fn ip_addresses_and_networks_match() {
    assert_eq!(excluded_by("8.8.4.4"), ["8.8.4.4", "http://8.8.4.4/x"]);
    assert_eq!(excluded_by("8.8.0.0/16"), ["8.8.4.4", "http://8.8.4.4/x"]);
    assert_eq!(excluded_by("2606:4700:0::1"), ["2606:4700::1"]);
    assert_eq!(excluded_by("2606:4700::/32"), ["2606:4700::1"]);
}

#[test]
fn a_url_matches_exactly() {
    let url = "https://www.example.com/tool.exe";
    assert_eq!(excluded_by("HTTPS://WWW.example.com:443/tool.exe"), [url]);
    assert_eq!(excluded_by("https://www.example.com/"), [""; 0]);
}

#[test]
fn comments_blank_lines_a_byte_order_mark_and_line_endings_are_ignored() {
    let list = "\u{feff}# ours\r\n\r\n   \r\nexample.com   # the front page\r\n\t8.8.4.0/24#DNS\r\n#2606:4700::1\r\n";
    assert_eq!(excluded_by(list), ["8.8.4.4", "example.com", "http://8.8.4.4/x"]);
    assert_eq!(
        excluded_by(list.replace("\r\n", "\n")),
        ["8.8.4.4", "example.com", "http://8.8.4.4/x"]
    );
    assert_eq!(excluded_by(""), [""; 0]);
}

#[test]
fn the_first_column_of_a_csv_file_is_used() {
    let list = format!(
        "# indicator,owner\nexample.com,IT,\"our, own\"\n\"{MD5}\";tools\n2606:4700::1\tDNS\n"
    );
    assert_eq!(excluded_by(list), [MD5, "2606:4700::1", "example.com"]);
}

#[test]
fn the_example_file_works_unchanged() {
    let env = TestEnv::falcon(&[
        falcon("1", "domain", "example.com"),
        falcon("2", "domain", "deep.below.example.org"),
        falcon("3", "domain", "www.example.com"),
    ]);
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/exclusions.example.txt");
    let output = env.run(&format!("crowdstrike --json --exclusion-file {example}")).assert_code(0);
    assert_eq!(output.assert_counts_add_up().count("indicators_excluded"), 2);
    assert_eq!(env.stored_values(), ["www.example.com"]);
}

#[test]
fn carbon_black_supports_the_flag_that_its_script_had() {
    let env = TestEnv::carbonblack(&[carbonblack("a1", &sha256(1)), carbonblack("a2", &sha256(2))]);
    env.write("list.txt", sha256(1));
    let output = env.run("carbonblack --json -ef list.txt").assert_code(0);
    assert_eq!(output.assert_counts_add_up().count("indicators_excluded"), 1);
    assert_eq!(env.stored_values(), [sha256(2)]);
}

#[test]
fn an_invalid_line_is_reported_before_any_request() {
    for line in [
        "not an indicator", "*.example.com", "8.8.0.0/33", "abcdef", "ftp://example.com/", "com",
        "\"example.com",
    ] {
        assert_rejected(
            format!("example.com\n# fine\n\n{line}\n8.8.4.4\n"),
            &["list.txt:4", "help: "],
        );
    }
    assert_rejected("x y\r\nexample.com\r\n", &["list.txt:1"]);
}

#[test]
fn every_invalid_line_is_reported_in_one_error() {
    let list = "bad line\nexample.com\n".repeat(25);
    let output = assert_rejected(list, &["25 lines", "list.txt:1:", "list.txt:39:", "5 more"]);
    assert_eq!(output.stderr.matches("list.txt:").count(), 20, "{}", output.stderr);
}

#[test]
fn a_first_line_that_names_a_column_is_skipped_with_a_note() {
    for header in ["process_sha256", "SHA256,comment", "\"indicator\"; \"owner\"", "hash"] {
        let env = TestEnv::falcon(&alerts());
        env.write("list.txt", format!("{header}\nexample.com\n"));
        let output = env.run("crowdstrike --json --exclusion-file list.txt").assert_code(0);
        assert_eq!(output.count("indicators_excluded"), 1, "{header}");
        let notes = output.notes().join("\n");
        assert!(notes.contains("line 1 of the exclusion file is a header"), "{notes}");
        assert!(env.log().contains("line 1 of the exclusion file is a header"));
        let check = env.run("check crowdstrike --offline --exclusion-file list.txt");
        assert!(check.assert_code(0).stdout.contains("1 in list.txt; line 1"), "{header}");
    }
    assert_rejected("sha512\nexample.com\n", &["list.txt:1"]);
}

#[test]
fn a_quoted_line_is_sanitized() {
    let output = assert_rejected("\u{1b}[31mred\u{1b}[0m \u{202e}\n", &["list.txt:1"]);
    assert!(!output.stderr.contains(['\u{1b}', '\u{202e}']), "{}", output.stderr.escape_debug());
}

#[test]
fn a_line_that_is_not_utf_8_is_reported() {
    assert_rejected(b"example.com\n8.8.4.4\nb\xfccher.example\n", &["list.txt:3", "UTF-8"]);
    assert_rejected(b"\xff\xfee\0x\0", &["list.txt:1", "UTF-8"]);
}

#[test]
fn an_unreadable_file_ends_the_run_before_any_request() {
    let env = TestEnv::new(World::default());
    std::fs::create_dir(env.path("folder")).unwrap();
    for vendor in Vendor::ALL.map(Vendor::command) {
        for name in ["missing.txt", "folder", "no/such/folder.txt"] {
            let output = env.run(&format!("{vendor} --exclusion-file {name}")).assert_code(2);
            output.assert_stderr(&[name, "cannot be read", "help: "]);
        }
    }
    assert_eq!(env.sandbox.requests().len(), 0);
}
