//! Tests the options that choose what of an alert is sent: `--indicator`, `--skip-trusted` and
//! `--skip-dismissed`.

use serde_json::{Value, json};

use crate::support::TestEnv;
use crate::support::alerts::{carbonblack, falcon, hashes, sha256, with, without};
use crate::support::vendor::Vendor;

// Reputations of a file, as Carbon Black names them.
const MALWARE: &str = "KNOWN_MALWARE";
const TRUSTED: &str = "TRUSTED_WHITE_LIST";

/// Returns Carbon Black alerts. Hash 1 is a trusted process that hit an IOC. Hash 2 is a trusted
/// process that started the blocked malware with hash 22. Hash 3 is malware that hit no IOC. Hash 4
/// is a trusted process whose child hit an IOC, the hash 24. Hash 5 is a process of unknown
/// reputation that hit an IOC.
fn carbonblack_alerts() -> Vec<Value> {
    let alert = |number: u64, reputation: &str| {
        let alert = carbonblack(&format!("a{number}"), &sha256(number));
        with(alert, "process_effective_reputation", json!(reputation))
    };
    let blocked = with(alert(2, TRUSTED), "blocked_sha256", json!(sha256(22)));
    let blocked = with(blocked, "blocked_effective_reputation", json!(MALWARE));
    let hash_ioc = with(alert(4, TRUSTED), "ioc_field", json!("childproc_sha256"));
    vec![
        alert(1, TRUSTED),
        without(blocked, "ioc_hit"),
        without(alert(3, MALWARE), "ioc_hit"),
        with(hash_ioc, "ioc_hit", json!(sha256(24))),
        alert(5, "NOT_LISTED"),
    ]
}

#[test]
fn carbon_black_sends_what_the_options_choose() {
    for (choice, sent, trusted) in [
        ("", &[1, 2, 4, 5][..], 0),
        ("--indicator process --skip-trusted", &[5], 3),
        ("--indicator blocked", &[22], 0),
        ("--indicator both", &[1, 2, 4, 5, 22], 0),
        ("--indicator both --skip-trusted", &[5, 22], 3),
        ("--indicator malicious", &[3, 22, 24], 0),
    ] {
        let env = TestEnv::carbonblack(&carbonblack_alerts());
        let output = env.run(&format!("carbonblack --json {choice}")).assert_code(0);
        assert_eq!(env.stored_values(), hashes(sent.iter().copied()), "{choice}");
        assert_eq!(output.assert_counts_add_up().count("indicators_trusted"), trusted, "{choice}");
    }
}

#[test]
fn trusted_hashes_are_sent_with_a_note_that_says_so() {
    let env = TestEnv::carbonblack(&carbonblack_alerts());
    let output = env.run("carbonblack").assert_code(0);
    let note = "3 of 4 hashes belong to programs that Carbon Black trusts; --skip-trusted leaves them out, --indicator malicious shares what it judges malicious";
    assert_eq!(output.stdout.matches(note).count(), 1, "{}", output.stdout);
    for choice in ["--skip-trusted", "--indicator malicious"] {
        let env = TestEnv::carbonblack(&carbonblack_alerts());
        let output = env.run(&format!("carbonblack {choice}")).assert_code(0);
        assert!(!output.stdout.contains("trusts"), "{choice}: {}", output.stdout);
    }
}

#[test]
fn a_trusted_file_is_never_malicious() {
    let alert = with(carbonblack("a1", &sha256(1)), "process_effective_reputation", json!(TRUSTED));
    let hit = with(with(alert, "ioc_field", json!("process_sha256")), "ioc_hit", json!(sha256(1)));
    let child = with(carbonblack("a2", &sha256(2)), "ioc_field", json!("childproc_sha256"));
    let child = with(child, "childproc_effective_reputation", json!(TRUSTED));
    let env = TestEnv::carbonblack(&[hit, with(child, "ioc_hit", json!(sha256(3)))]);
    let output = env.run("carbonblack --json --indicator malicious").assert_code(0);
    output.assert_counts(&[
        ("alerts_fetched", 2),
        ("indicators_found", 2),
        ("indicators_trusted", 2),
    ]);
    assert!(env.items().is_empty());
}

#[test]
fn crowdstrike_sends_what_the_options_choose() {
    let scan = with(without(falcon("3", "", ""), "ioc_value"), "type", json!("ods"));
    let blocked = with(falcon("2", "domain", "evil.example.com"), "sha256", json!(sha256(2)));
    let alerts = [
        with(falcon("1", "hash_sha256", &sha256(1)), "sha256", json!(sha256(11))),
        with(blocked, "pattern_disposition_details", json!({"process_blocked": true})),
        with(
            with(scan, "sha256", json!(sha256(3))),
            "quarantined_files",
            json!([{"sha256": sha256(33), "state": "quarantined"}]),
        ),
    ];
    let domain = "evil.example.com".to_owned();
    for (choice, sent) in [
        ("", [hashes([1]), vec![domain.clone()]].concat()),
        ("--indicator ioc", [hashes([1]), vec![domain.clone()]].concat()),
        ("--indicator files", hashes([2, 3, 33])),
        ("--indicator both", [hashes([1, 2, 3, 33]), vec![domain]].concat()),
    ] {
        let env = TestEnv::falcon(&alerts);
        env.run(&format!("crowdstrike {choice}")).assert_code(0);
        assert_eq!(env.stored_values(), sent, "{choice}");
        for item in env.items() {
            let expected = match item["ioc"]["value"].as_str().unwrap() {
                value if value == sha256(33) => "quarantined_files.sha256",
                value if value == sha256(2) || value == sha256(3) => "sha256",
                _ => "ioc_value",
            };
            assert_eq!(item["ioc"]["field"], expected, "{choice}");
        }
    }
}

#[test]
fn dismissed_alerts_are_left_out_on_request() {
    let falcon_alert =
        with(falcon("1", "domain", "a.example.com"), "tags", json!(["false_positive"]));
    let carbonblack_alert =
        with(carbonblack("1", &sha256(1)), "determination", json!({"value": "FALSE_POSITIVE"}));
    for (vendor, alert) in
        [(Vendor::CrowdStrike, falcon_alert), (Vendor::CarbonBlack, carbonblack_alert)]
    {
        let env = TestEnv::new(vendor.world(&[alert]));
        let command = vendor.command();
        let output = env.run(&format!("{command} --json --skip-dismissed")).assert_code(0);
        output.assert_counts(&[("alerts_fetched", 1), ("alerts_dismissed", 1)]);
        assert!(env.items().is_empty());
        let output = env.run(&format!("{command} --skip-dismissed --dry-run")).assert_code(0);
        assert!(output.stdout.contains("  -1  dismissed by an analyst\n"), "{}", output.stdout);
        output.assert_summary(&env);
        env.run(command).assert_code(0);
        assert_eq!(env.items().len(), 1, "{vendor:?}");
    }
}

#[test]
fn hashes_of_an_empty_file_and_placeholders_are_not_sent() {
    let empty_file = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let env = TestEnv::falcon(&[
        falcon("1", "hash_sha256", empty_file),
        falcon("2", "hash_sha256", &"0".repeat(64)),
        falcon("3", "hash_md5", &"F".repeat(32)),
    ]);
    let output = env.run("crowdstrike --json -l DEBUG").assert_code(0);
    assert_eq!(output.assert_counts_add_up().count("indicators_invalid"), 3);
    assert!(env.items().is_empty());
    assert_eq!(env.log().matches("the hash of an empty file").count(), 3, "{}", env.log());
}
