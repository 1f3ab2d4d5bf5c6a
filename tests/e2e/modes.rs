//! Tests live mode, debug mode and dry run, and what each of them prints.

use sandbox::seed::Recipe;
use sandbox::{Fault, Service, World};
use serde_json::{Value, json};

use crate::support::alerts::{carbonblack, falcon, sha256, with};
use crate::support::json::keys;
use crate::support::json::text;
use crate::support::vendor::Vendor;
use crate::support::{NOW, TestEnv};

/// The keys of the counts in the JSON document, sorted.
const COUNTS: [&str; 21] = [
    "alerts_below_threshold",
    "alerts_dismissed",
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
    "indicators_trusted",
    "indicators_unsupported",
    "not_stored",
    "processed",
    "quarantined",
    "submitted",
    "unprocessed",
    "waiting",
    "would_submit",
];

/// The headings of the table of a dry run.
const HEADINGS: &str = "type severity indicator";

/// Returns a world in which each vendor has two alerts with one indicator each.
fn two_alerts_per_vendor() -> World {
    World::default()
        .falcon_alerts(&[falcon("1", "domain", "a.example.com"), falcon("2", "ip", "8.8.4.4")])
        .carbon_black_alerts(&[carbonblack("a1", &sha256(1)), carbonblack("a2", &sha256(2))])
}

/// Returns an alert for each row of the summary.
fn alerts_for_all_counts() -> Vec<Value> {
    let low = with(falcon("low", "domain", "low.example.com"), "severity", json!(5));
    vec![
        low,
        with(falcon("no-indicator", "", ""), "ioc_value", json!(null)),
        falcon("valid", "domain", "valid.example.com"),
        falcon("repeated", "domain", "valid.example.com"),
        falcon("private", "ip", "10.0.0.1"),
        falcon("invalid", "sha256", "not a hash"),
        falcon("unsupported", "registry_key", "HKLM"),
        falcon("excluded", "domain", "excluded.example.com"),
    ]
}

#[test]
fn the_document_has_exactly_the_documented_keys() {
    for vendor in Vendor::ALL {
        for (flag, mode) in [
            ("", "live"),
            ("--debug", "debug"),
            ("--dry-run", "dry-run"),
            ("-n --debug", "dry-run"),
        ] {
            let env = TestEnv::new(two_alerts_per_vendor());
            // The first live run adds a note that it has created the ledger.
            env.run(&format!(
                "{} --until 2026-11-02T00:00:00Z --since 2026-11-01T00:00:00Z",
                vendor.command()
            ))
            .assert_code(0);
            let output = env.run(&format!("{} --json {flag}", vendor.command())).assert_code(0);
            let document = output.json();
            let mut expected = vec![
                "counts", "exit_code", "mode", "run_id", "schema_version", "source", "tenant",
                "tool_version", "window",
            ];
            if mode == "dry-run" {
                expected.insert(2, "items");
            }
            assert_eq!(keys(&document), expected);
            assert_eq!(keys(&document["counts"]), COUNTS);
            assert_eq!(keys(&document["window"]), ["end", "start"]);
            assert_eq!(document["schema_version"], 1);
            assert_eq!(document["tool_version"], env!("CARGO_PKG_VERSION"));
            assert_eq!(document["source"], vendor.command());
            assert_eq!(document["mode"], mode);
            assert_eq!(document["exit_code"], 0);
            assert!(env.log().contains(&format!("run={} ", text(&document, "/run_id"))));
            assert_eq!(output.stdout.lines().count(), 1, "one document on one line");
        }
    }
}

#[test]
fn the_document_has_the_window_that_was_requested() {
    let env = TestEnv::new(World::default());
    let output =
        env.run("carbonblack --json --since 2026-11-20T01:02:03Z --until 2026-11-21T04:05:06.789Z");
    let window = json!({"start": "2026-11-20T01:02:03.000Z", "end": "2026-11-21T04:05:06.789Z"});
    assert_eq!(output.assert_code(0).json()["window"], window);
    let requests = env.sandbox.requests_to(Service::CarbonBlack);
    assert_eq!(requests[0].json().unwrap()["time_range"], window);
}

#[test]
fn an_error_is_in_the_document_and_on_stderr() {
    let env = TestEnv::new(two_alerts_per_vendor());
    env.sandbox.always(Service::RecordedFuture, Some(Fault::status(403, r#"{"message": "no"}"#)));
    let output = env.run("crowdstrike --json").assert_code(4);
    let document = output.json();
    assert_eq!(keys(&document["error"]), ["hint", "kind", "message"]);
    assert_eq!(document["error"]["kind"], "credentials");
    assert_eq!(document["exit_code"], 4);
    assert_eq!(keys(&document["counts"]), COUNTS);
    output.assert_stderr(&["error: ", "help: ", &text(&document, "/error/hint")]);
}

#[test]
fn an_error_before_the_run_has_the_same_document() {
    let env = TestEnv::new(two_alerts_per_vendor());
    let output = env.run("crowdstrike --json --rf-api-url http://example.com").assert_code(2);
    let document = output.json();
    assert_eq!(document["error"]["kind"], "configuration");
    assert_eq!(document["window"], Value::Null);
    output.assert_counts(&[]);
}

#[test]
fn the_counts_in_the_summary_are_right() {
    let env = TestEnv::falcon(&alerts_for_all_counts());
    env.write("list", "excluded.example.com");
    // Here the service does not filter by severity: it also returns alerts below the threshold.
    env.sandbox.change(|world| {
        world.falcon.alerts.clear();
        for alert in alerts_for_all_counts() {
            let search_as = with(alert.clone(), "severity", json!(99));
            world.falcon.alerts.push_raw(alert.to_string(), &search_as);
        }
        world.falcon.alerts.push_raw("17", &Value::Null);
    });
    let arguments = "crowdstrike --exclusion-file list --min-severity 10";
    let output = env.run(arguments).assert_code(3);
    let rows = "  alerts       9  fetched
              -1  below the threshold
              -1  unreadable
              -1  without an indicator
  mentions     6  found in the other 6
              -1  repeated (each is sent once)
              -1  of an unsupported type
              -1  invalid
              -1  internal address or host name
              -1  excluded
  indicators   1  sent, 1 processed by Recorded Future
";
    let (title, summary) = output.stdout.split_once('\n').unwrap();
    assert_eq!(title, "CrowdStrike Falcon · tenant crowdstrike · 24 h to 2026-11-22 00:15 UTC");
    assert!(summary.starts_with(rows), "{summary}");
    output.assert_summary(&env);
    for line in output.stdout.lines() {
        assert!(env.log().contains(&format!(" {line}\n")), "{line:?} in the log");
    }
    assert_eq!(output.stderr.matches("error:").count(), 1, "{}", output.stderr);
    assert_eq!(output.stdout.matches("fetched").count(), 1, "{}", output.stdout);
}

#[test]
fn the_summary_has_the_numbers_of_the_document_after_faults_and_earlier_runs() {
    let env = TestEnv::new(World::default().seed_falcon(&Recipe::new(400, NOW.parse().unwrap())));
    env.write("list", ".example.net");
    let run = "crowdstrike --exclusion-file list --min-severity 30 --batch-size 1";
    // Some are sent, one is rejected, and the others are left for the next run.
    let rejected = Fault::status(400, r#"{"message": "no"}"#);
    let faults = vec![Fault::None, rejected, Fault::None, Fault::status(401, "")];
    env.sandbox.queue_faults(Service::RecordedFuture, faults);
    let first = env.run(run).assert_code(4);
    let summary = first.assert_summary(&env).summary();
    for name in ["waiting", "quarantined", "submitted", "indicators_excluded", "new"] {
        assert!(summary.count(name) > 0, "{name} in {}", first.stdout);
    }
    // The next run has what the first one queued.
    let second = env.run(&format!("{run} --daily-limit 9")).assert_code(0);
    let summary = second.assert_summary(&env).summary();
    for name in ["carried_in", "waiting", "already_delivered"] {
        assert!(summary.count(name) > 0, "{name} in {}", second.stdout);
    }
    for mode in ["--dry-run", "--debug", "--no-ledger"] {
        env.run(&format!("{run} {mode}")).assert_code(0).assert_summary(&env);
    }
}

#[test]
fn a_stage_that_was_not_reached_prints_no_zeros() {
    let env = TestEnv::new(two_alerts_per_vendor());
    let rejected = Fault::status(401, "");
    env.sandbox.always(Service::FalconToken, Some(rejected.clone()));
    let output = env.run("crowdstrike").assert_code(4);
    let lines: Vec<&str> = output.stdout.lines().collect();
    assert_eq!(lines.len(), 2, "the title and a note: {lines:?}");
    output.assert_summary(&env);
    env.sandbox.always(Service::FalconToken, None);
    env.sandbox.always(Service::RecordedFuture, Some(rejected));
    let output = env.run("crowdstrike").assert_code(4);
    output.assert_summary(&env);
    assert!(!output.stdout.contains(" 0 "), "{}", output.stdout);
    assert!(!output.stdout.contains("sent,"), "{}", output.stdout);
}

#[test]
fn debug_mode_stores_nothing_and_says_so() {
    for vendor in Vendor::ALL {
        let env = TestEnv::new(two_alerts_per_vendor());
        let output = env.run(&format!("{} --debug", vendor.command())).assert_code(0);
        assert!(env.items().is_empty());
        assert_eq!(env.request_count(Service::RecordedFuture), 1);
        assert!(output.stdout.contains("2 validated by Recorded Future"), "{}", output.stdout);
        assert!(output.stdout.contains("NOTHING WAS STORED"), "{}", output.stdout);
        let warning = "warning: test mode: Recorded Future stored nothing\n";
        assert_eq!(output.stderr, env.log() + warning, "the log is also on stderr");
        let quiet = env.run(&format!("{} --debug -q", vendor.command())).assert_code(0);
        assert!(quiet.stdout.is_empty() && quiet.stderr.ends_with(warning), "{quiet:?}");
        assert!(output.stderr.contains(" DEBUG "), "{}", output.stderr);
        // Debug mode records nothing: the live run sends everything.
        env.run(vendor.command()).assert_code(0);
        assert_eq!(env.items().len(), 2);
    }
}

#[test]
fn debug_mode_overrides_the_log_level() {
    let env = TestEnv::new(two_alerts_per_vendor());
    let output = env.run("crowdstrike --debug -l ERROR").assert_code(0);
    assert!(output.stderr.contains(" DEBUG "), "{}", output.stderr);
}

#[test]
fn a_response_for_the_other_mode_is_an_error() {
    for (flag, text) in
        [("", "Nothing of this batch was stored"), ("--debug", "may have been stored")]
    {
        let env = TestEnv::new(two_alerts_per_vendor());
        env.sandbox.always(Service::RecordedFuture, Some(Fault::WrongDebugEcho));
        let output = env.run(&format!("crowdstrike --json {flag}")).assert_code(1);
        output.assert_stderr(&["responded with debug: ", text]);
        output.assert_counts_add_up();
        assert_eq!((output.count("processed"), output.count("waiting")), (0, 2));
        assert_eq!(output.json()["error"]["kind"], "unexpected");
    }
}

#[test]
fn a_dry_run_prints_what_would_be_sent_and_sends_nothing() {
    for vendor in Vendor::ALL {
        let env = TestEnv::new(two_alerts_per_vendor());
        let document = env.run(&format!("{} -n --json", vendor.command())).assert_code(0);
        let counts =
            (document.assert_counts_add_up().count("would_submit"), document.count("submitted"));
        assert_eq!(counts, (2, 0));
        let printed = env.run(&format!("{} --dry-run", vendor.command())).assert_code(0);
        assert_eq!(env.request_count(Service::RecordedFuture), 0);
        assert!(printed.stdout.contains("nothing was sent"), "{}", printed.stdout);
        assert!(printed.stdout.contains("2  to be sent"), "{}", printed.stdout);
        // The next live run sends exactly these items.
        env.run(vendor.command()).assert_code(0);
        assert_eq!(document.json()["items"], json!(env.items()));
        let rows: Vec<&str> = printed.stdout.lines().collect();
        assert_eq!(rows[0].split_whitespace().collect::<Vec<_>>().join(" "), HEADINGS);
        for (row, item) in rows[1..].iter().step_by(2).zip(env.items()) {
            let cells: Vec<&str> = row.split_whitespace().collect();
            assert_eq!([cells[0], cells[2]], [text(&item, "/ioc/type"), text(&item, "/ioc/value")]);
        }
        assert_eq!(rows[5], "", "the summary is last: {rows:?}");
    }
}

#[test]
fn a_dry_run_shows_the_twenty_most_severe_indicators() {
    let alert = |number: u64| {
        let alert = falcon(&format!("{number:02}"), "domain", &format!("{number:02}.example.com"));
        let alert = with(alert, "severity", json!(number + 10));
        with(alert, "description", json!(format!("rule {number} \u{1b}[2J")))
    };
    let mut alerts: Vec<Value> = (0..=24).map(alert).collect();
    alerts.push(with(alert(25), "severity", json!(null)));
    let env = TestEnv::falcon(&alerts);
    let output = env.run("crowdstrike -n").assert_code(0);
    let (table, summary) = output.stdout.split_once("\n\n").unwrap();
    let rows: Vec<&str> = table.lines().collect();
    // The headings, two lines for each of twenty indicators, and the number of the others.
    assert_eq!((rows.len(), rows[41]), (42, "6 more: --json"), "{table}");
    assert_eq!(rows[1..3], ["domain 34       24.example.com", "    rule 24  [2J"]);
    assert_eq!(rows[39], "domain 15       05.example.com");
    assert!(summary.starts_with("CrowdStrike Falcon · "), "{summary}");
    output.assert_summary(&env);
    // An indicator without a severity is last. If all are shown, no number of others follows.
    let env = TestEnv::falcon(&alerts[24..]);
    let table = env.run("crowdstrike -n").assert_code(0).stdout;
    assert!(table.contains("\ndomain -        25.example.com\n    rule 25"), "{table}");
    assert!(!table.contains("more: --json"), "{table}");
}

#[test]
fn quiet_hides_the_summary_and_never_an_error() {
    // `-k x` is a wrong API key.
    for flag in ["-q", "--quiet", "-q --dry-run", "-q -k x"] {
        let env = TestEnv::new(two_alerts_per_vendor());
        let output = env.run(&format!("crowdstrike {flag}"));
        let (code, has_error) = if flag.contains("-k") { (4, true) } else { (0, false) };
        assert_eq!(output.code, code, "{}", output.stderr);
        assert_eq!(output.stdout, "", "{flag}");
        assert_eq!(output.stderr.starts_with("error: "), has_error, "{flag}");
        assert!(env.log().contains("  indicators  "), "the log still has the summary");
    }
}

#[test]
fn a_run_with_nothing_to_send_succeeds() {
    for vendor in Vendor::ALL {
        for flag in ["", "--debug", "--dry-run"] {
            let env = TestEnv::new(World::default());
            let output = env.run(&format!("{} {flag}", vendor.command())).assert_code(0);
            assert!(output.stdout.contains("  alerts      0  fetched\n"), "{}", output.stdout);
            output.assert_summary(&env);
            assert_eq!(env.request_count(Service::RecordedFuture), 0);
            assert_eq!(env.request_count(vendor.service()), 1);
        }
    }
}
