//! Live, debug and dry run, and what each of them prints.

use sandbox::{Fault, Service, World};
use serde_json::{Value, json};

use crate::support::alerts::{carbonblack, falcon, sha256, with};
use crate::support::output::keys;
use crate::support::vendor::Vendor;
use crate::support::{Stage, text};

const COUNTS: [&str; 17] = [
    "alerts_below_threshold",
    "alerts_fetched",
    "alerts_unreadable",
    "alerts_without_indicator",
    "already_delivered",
    "carried_in",
    "indicators_excluded",
    "indicators_found",
    "indicators_invalid",
    "indicators_private",
    "indicators_repeated",
    "indicators_unsupported",
    "processed",
    "quarantined",
    "submitted",
    "unprocessed",
    "waiting",
];

fn two() -> World {
    World::default()
        .falcon_alerts(&[falcon("1", "domain", "a.example.com"), falcon("2", "ip", "8.8.4.4")])
        .carbon_black_alerts(&[carbonblack("a1", &sha256(1)), carbonblack("a2", &sha256(2))])
}

/// An alert of each fate.
fn of_each_fate() -> Vec<Value> {
    let low = with(falcon("low", "domain", "low.example.com"), "severity", json!(5));
    vec![
        low,
        with(falcon("none", "", ""), "ioc_value", json!(null)),
        falcon("good", "domain", "good.example.com"),
        falcon("again", "domain", "good.example.com"),
        falcon("inner", "ip", "10.0.0.1"),
        falcon("wrong", "sha256", "no hash"),
        falcon("other", "registry_key", "HKLM"),
        falcon("ours", "domain", "ours.example.com"),
    ]
}

#[test]
fn the_document_has_exactly_its_keys() {
    for vendor in Vendor::BOTH {
        for (flag, mode) in [
            ("", "live"),
            ("--debug", "debug"),
            ("--dry-run", "dry-run"),
            ("-n --debug", "dry-run"),
        ] {
            let stage = Stage::new(two());
            let ran = stage.run(&format!("{} --json {flag}", vendor.command())).ended(0);
            let document = ran.json();
            let mut wanted = vec![
                "counts",
                "exit_code",
                "mode",
                "run_id",
                "schema_version",
                "source",
                "tool_version",
                "window",
            ];
            if mode == "dry-run" {
                wanted.insert(2, "items");
            }
            assert_eq!(keys(&document), wanted);
            assert_eq!(keys(&document["counts"]), COUNTS);
            assert_eq!(keys(&document["window"]), ["end", "start"]);
            assert_eq!(document["schema_version"], 1);
            assert_eq!(document["tool_version"], env!("CARGO_PKG_VERSION"));
            assert_eq!(document["source"], vendor.command());
            assert_eq!(document["mode"], mode);
            assert_eq!(document["exit_code"], 0);
            assert!(stage.log().contains(&format!("run={} ", text(&document, "/run_id"))));
            assert_eq!(ran.stdout.lines().count(), 1, "one document on one line");
        }
    }
}

#[test]
fn the_window_of_the_document_is_the_one_that_was_read() {
    let stage = Stage::new(World::default());
    let ran = stage
        .run("carbonblack --json --since 2026-11-20T01:02:03Z --until 2026-11-21T04:05:06.789Z");
    let window = json!({"start": "2026-11-20T01:02:03.000Z", "end": "2026-11-21T04:05:06.789Z"});
    assert_eq!(ran.ended(0).json()["window"], window);
    let asked = stage.sandbox.requests_to(Service::CarbonBlack);
    assert_eq!(asked[0].json().unwrap()["time_range"], window);
}

#[test]
fn an_error_is_part_of_the_document_and_told_on_stderr() {
    let stage = Stage::new(two());
    stage.sandbox.always(Service::RecordedFuture, Some(Fault::status(403, r#"{"message": "no"}"#)));
    let ran = stage.run("crowdstrike --json").ended(4);
    let document = ran.json();
    assert_eq!(keys(&document["error"]), ["hint", "kind", "message"]);
    assert_eq!(document["error"]["kind"], "credentials");
    assert_eq!(document["exit_code"], 4);
    assert_eq!(keys(&document["counts"]), COUNTS);
    ran.says(&["error: ", "help: ", &text(&document, "/error/hint")]);
}

#[test]
fn a_failure_before_the_run_gives_the_same_document() {
    let stage = Stage::new(two());
    let ran = stage.run("crowdstrike --json --rf-api-url http://example.com").ended(2);
    let document = ran.json();
    assert_eq!(document["error"]["kind"], "configuration");
    assert_eq!(document["window"], Value::Null);
    ran.counts(&[]);
}

#[test]
fn every_number_of_the_summary_is_right() {
    let stage = Stage::falcon(&of_each_fate());
    stage.write("list", "ours.example.com");
    // The service knows nothing of scores here: a low one comes back all the same.
    stage.sandbox.change(|world| {
        world.falcon.alerts.clear();
        for alert in of_each_fate() {
            let fine = with(alert.clone(), "severity", json!(99));
            world.falcon.alerts.push_raw(alert.to_string(), &fine);
        }
        world.falcon.alerts.push_raw("17", &Value::Null);
    });
    let arguments = "crowdstrike --exclusion-file list --min-severity 10";
    let ran = stage.run(arguments).ended(0);
    for line in [
        "9 fetched; of these 1 below threshold, 1 unreadable, 1 without an indicator",
        "6 found; 1 unsupported, 1 invalid, 1 private, 1 excluded, 1 repeated, 1 submitted",
        "1; of these 1 processed, 0 not processed",
    ] {
        assert!(ran.stdout.contains(line), "{line:?} in {}", ran.stdout);
        assert!(stage.log().contains(line), "{line:?} in the log");
    }
    assert_eq!(ran.stderr, "");
    assert_eq!(ran.stdout.matches("fetched").count(), 1, "{}", ran.stdout);
}

#[test]
fn debug_saves_nothing_and_says_so() {
    for vendor in Vendor::BOTH {
        let stage = Stage::new(two());
        let ran = stage.run(&format!("{} --debug", vendor.command())).ended(0);
        assert!(stage.items().is_empty());
        assert_eq!(stage.asked(Service::RecordedFuture), 1);
        assert!(ran.stdout.contains("2 validated by Recorded Future"), "{}", ran.stdout);
        assert!(ran.stdout.contains("NOTHING WAS STORED"), "{}", ran.stdout);
        assert_eq!(ran.stderr, stage.log(), "the log is also on stderr");
        assert!(ran.stderr.contains(" DEBUG "), "{}", ran.stderr);
        // What was a rehearsal is not remembered: the live run sends it.
        stage.run(vendor.command()).ended(0);
        assert_eq!(stage.items().len(), 2);
    }
}

#[test]
fn debug_beats_a_coarser_log_level() {
    let stage = Stage::new(two());
    let ran = stage.run("crowdstrike --debug -l ERROR").ended(0);
    assert!(ran.stderr.contains(" DEBUG "), "{}", ran.stderr);
}

#[test]
fn an_echo_of_the_other_mode_is_an_error() {
    for (flag, words) in
        [("", "Nothing of this batch was stored"), ("--debug", "may have been stored")]
    {
        let stage = Stage::new(two());
        stage.sandbox.always(Service::RecordedFuture, Some(Fault::WrongDebugEcho));
        let ran = stage.run(&format!("crowdstrike --json {flag}")).ended(1);
        ran.says(&["responded with debug: ", words]);
        ran.adds_up();
        assert_eq!((ran.count("processed"), ran.count("waiting")), (0, 2));
        assert_eq!(ran.json()["error"]["kind"], "unexpected");
    }
}

#[test]
fn a_dry_run_prints_what_would_be_sent_and_sends_nothing() {
    for vendor in Vendor::BOTH {
        let stage = Stage::new(two());
        let document = stage.run(&format!("{} -n --json", vendor.command())).ended(0);
        assert_eq!(document.adds_up().count("submitted"), 2);
        let printed = stage.run(&format!("{} --dry-run", vendor.command())).ended(0);
        assert_eq!(stage.asked(Service::RecordedFuture), 0);
        assert!(printed.stdout.contains("nothing was sent"), "{}", printed.stdout);
        assert!(printed.stdout.contains("2 to be submitted"), "{}", printed.stdout);
        // And then the live run sends exactly that.
        stage.run(vendor.command()).ended(0);
        let lines: Vec<Value> = printed
            .stdout
            .lines()
            .filter(|line| line.starts_with('{'))
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(document.json()["items"], json!(stage.items()));
        assert_eq!(lines, stage.items());
    }
}

#[test]
fn quiet_keeps_stdout_empty_on_success_only() {
    for flag in ["-q", "--quiet", "-q --dry-run", "-q -k x"] {
        let stage = Stage::new(two());
        let ran = stage.run(&format!("crowdstrike {flag}"));
        let (code, quiet) = if flag.contains("-k") { (4, false) } else { (0, true) };
        assert_eq!(ran.code, code, "{}", ran.stderr);
        assert_eq!(ran.stdout.is_empty(), quiet, "{flag}");
        assert_eq!(ran.stderr.is_empty(), quiet, "{flag}");
        assert!(stage.log().contains("Indicators:"), "the log has the summary all the same");
    }
}

#[test]
fn nothing_to_send_is_a_success() {
    for vendor in Vendor::BOTH {
        for flag in ["", "--debug", "--dry-run"] {
            let stage = Stage::new(World::default());
            let ran = stage.run(&format!("{} {flag}", vendor.command())).ended(0);
            assert!(ran.stdout.contains("0 fetched"), "{}", ran.stdout);
            assert_eq!(stage.asked(Service::RecordedFuture), 0);
            assert_eq!(stage.asked(vendor.service()), 1);
        }
    }
}
