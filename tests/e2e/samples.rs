//! Tests with recorded alerts, which have unknown types, nulls and missing fields. The alerts are
//! not part of the repository; without them, these tests print so and are skipped.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use sandbox::{Sandbox, World};
use serde_json::Value;

use crate::support::TestEnv;
use crate::support::vendor::{DAY_WINDOW, Vendor, millis_into_day};

/// Loads the recorded alerts of both vendors, spread over the test day.
fn samples() -> Option<[Vec<Value>; 2]> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/samples");
    let folder = std::env::var_os("COLLECTIVE_INSIGHTS_SAMPLES")
        .map_or_else(|| default.into(), PathBuf::from);
    let end: DateTime<Utc> = "2026-11-22T00:15:00Z".parse().unwrap();
    let samples = sandbox::seed::samples(&folder, millis_into_day(0), end);
    if samples.is_none() {
        println!("skipped: there are no samples in {}", folder.display());
    }
    samples.map(|(falcon, carbon_black)| [falcon, carbon_black])
}

/// Returns an environment that serves these alerts.
fn test_env(falcon: &[Value], carbon_black: &[Value]) -> TestEnv {
    TestEnv::new(World::default().falcon_alerts(falcon).carbon_black_alerts(carbon_black))
}

#[test]
fn recorded_alerts_are_read_without_an_error() {
    let Some([falcon, carbon_black]) = samples() else {
        return;
    };
    assert!(!falcon.is_empty() && !carbon_black.is_empty());
    let env = test_env(&falcon, &carbon_black);
    for vendor in Vendor::ALL {
        let (command, flags) = (vendor.command(), flags(vendor));
        let output = env.run(&format!("{command} --json {flags} {DAY_WINDOW}")).assert_code(0);
        assert_eq!(
            output.assert_counts_add_up().count("alerts_unreadable"),
            0,
            "{}",
            output.stdout
        );
        assert!(output.count("alerts_fetched") > 0, "{}", output.stdout);
        assert_eq!(
            output.count("alerts_fetched"),
            served(vendor, &env.sandbox),
            "{}",
            output.stdout
        );
    }
    assert!(!env.items().is_empty(), "some of them have an indicator");
}

/// Returns the flags that a run needs to read the samples, which are of several customers.
fn flags(vendor: Vendor) -> &'static str {
    if vendor == Vendor::CrowdStrike { "--all-cids" } else { "" }
}

fn served(vendor: Vendor, sandbox: &Sandbox) -> u64 {
    vendor.served_alerts(sandbox).len().try_into().unwrap()
}

#[test]
fn recorded_alerts_of_every_product_are_read_without_an_error() {
    let Some([mut falcon, mut carbon_black]) = samples() else {
        return;
    };
    // Make the service return all alerts, also those that the program does not request.
    for alert in &mut falcon {
        alert["product"] = "epp".into();
    }
    for alert in &mut carbon_black {
        alert["type"] = format!("OTHER_{}", alert["type"].as_str().unwrap_or_default()).into();
        alert["ioc_hit"] = "made".into();
        alert["blocked_sha256"] = alert["process_sha256"].clone();
    }
    let env = test_env(&falcon, &carbon_black);
    for (vendor, alerts) in [(Vendor::CrowdStrike, &falcon), (Vendor::CarbonBlack, &carbon_black)] {
        let choice = if vendor == Vendor::CarbonBlack { "--indicator both" } else { flags(vendor) };
        let output =
            env.run(&format!("{} --json {choice} {DAY_WINDOW}", vendor.command())).assert_code(0);
        assert_eq!(
            output.assert_counts_add_up().count("alerts_fetched"),
            u64::try_from(alerts.len()).unwrap()
        );
        assert_eq!(output.count("alerts_unreadable"), 0, "{}", env.log());
        assert!(output.count("processed") > 0, "{}", output.stdout);
    }
}

/// The options of a run, and what it must do with the recorded alerts. The numbers were counted in
/// the alerts by hand.
struct Choice {
    options: &'static str,
    submitted: u64,
    /// How many of these Carbon Black trusts.
    trusted: usize,
    /// How many alerts are left out because an analyst dismissed them.
    dismissed: u64,
}

const fn choice(options: &'static str, submitted: u64, trusted: usize, dismissed: u64) -> Choice {
    Choice { options, submitted, trusted, dismissed }
}

/// 14 of 16 are of types that are read: 9 hit an IOC (7 trusted programs, 1 not listed, 1 with a
/// malformed hash), 1 is malware that hit nothing. None blocked a file or is a false positive.
const CARBON_BLACK_CHOICES: [Choice; 9] = [
    choice("", 8, 7, 0),
    choice("--skip-dismissed", 8, 7, 0),
    choice("--skip-trusted", 1, 0, 0),
    choice("--indicator blocked", 0, 0, 0),
    choice("--indicator blocked --skip-trusted", 0, 0, 0),
    choice("--indicator both", 8, 7, 0),
    choice("--indicator both --skip-trusted", 1, 0, 0),
    choice("--indicator malicious", 1, 0, 0),
    choice("--indicator malicious --skip-dismissed", 1, 0, 0),
];

/// 8 of 11 are endpoint alerts: 1 names an IOC, 1 is a scan that found a file, 5 are ignored.
const FALCON_CHOICES: [Choice; 6] = [
    choice("", 1, 0, 0),
    choice("--skip-dismissed", 1, 0, 5),
    choice("--indicator files", 1, 0, 0),
    choice("--indicator files --skip-dismissed", 1, 0, 5),
    choice("--indicator both", 2, 0, 0),
    choice("--indicator both --skip-dismissed", 2, 0, 5),
];

#[test]
fn each_choice_sends_what_the_recorded_alerts_say() {
    let Some([falcon, carbon_black]) = samples() else {
        return;
    };
    assert_eq!((falcon.len(), carbon_black.len()), (11, 16), "the expected numbers are for these");
    for (vendor, fetched, choices) in [
        (Vendor::CarbonBlack, 14, &CARBON_BLACK_CHOICES[..]),
        (Vendor::CrowdStrike, 8, &FALCON_CHOICES),
    ] {
        for choice in choices {
            let env = test_env(&falcon, &carbon_black);
            let flags = format!("{} {}", choice.options, flags(vendor));
            let command = format!("{} --json {flags} {DAY_WINDOW}", vendor.command());
            let output = env.run(&command).assert_code(0);
            output.assert_counts_add_up();
            for (count, expected) in [
                ("alerts_fetched", fetched),
                ("alerts_dismissed", choice.dismissed),
                ("submitted", choice.submitted),
            ] {
                assert_eq!(output.count(count), expected, "{count}: {command}");
            }
            let sent = env.stored_values();
            assert_eq!(u64::try_from(sent.len()).unwrap(), choice.submitted, "{command}");
            let trusted = sent.iter().filter(|hash| is_trusted(&carbon_black, hash));
            assert_eq!(trusted.count(), choice.trusted, "{command}");
        }
    }
}

/// Whether Carbon Black trusts the process with this hash: such reputations contain `WHITE`.
fn is_trusted(alerts: &[Value], sha256: &str) -> bool {
    let mut of_process = alerts.iter().filter(|alert| alert["process_sha256"] == sha256);
    of_process.any(|alert| {
        let reputation = alert["process_effective_reputation"].as_str();
        reputation.is_some_and(|name| name.contains("WHITE"))
    })
}

#[test]
fn the_recorded_malware_is_sent_only_with_the_recommended_options() {
    let Some([falcon, carbon_black]) = samples() else {
        return;
    };
    let malware = carbon_black.iter().find_map(|alert| {
        (alert["process_effective_reputation"] == "KNOWN_MALWARE")
            .then(|| alert["process_sha256"].as_str().unwrap().to_owned())
    });
    let malware = malware.unwrap();
    for (options, is_sent) in [("", false), ("--indicator malicious --skip-dismissed", true)] {
        let env = test_env(&falcon, &carbon_black);
        env.run(&format!("carbonblack {options} {DAY_WINDOW}")).assert_code(0);
        assert_eq!(env.stored_values().contains(&malware), is_sent, "{options}");
    }
}
