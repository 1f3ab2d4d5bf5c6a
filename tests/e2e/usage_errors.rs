//! Tests of mistakes on the command line: the message names the flag and repeats no secret.

use sandbox::{CB_API_ID, CB_SECRET, CLIENT_ID, CLIENT_SECRET, RF_TOKEN};

use crate::support::failures::one_alert_per_vendor;
use crate::support::json::text;
use crate::support::vendor::Vendor;
use crate::support::{RunOutput, TestEnv, run_bare};

#[test]
fn an_option_before_the_source_gets_a_tip() {
    for arguments in [
        vec!["-k", RF_TOKEN, "crowdstrike"],
        vec!["-k", RF_TOKEN],
        vec!["-ccid", CLIENT_ID, "-ccs", CLIENT_SECRET, "-k", RF_TOKEN],
        vec!["--rf-api-key", RF_TOKEN, "crowdstrike"],
    ] {
        let output = run_bare(&arguments).assert_code(2);
        output.assert_stderr(&[
            "tip: name the source first",
            "collective-insights crowdstrike -k <KEY>",
        ]);
        for secret in [RF_TOKEN, CLIENT_ID, CLIENT_SECRET] {
            assert!(!output.stderr.contains(secret), "{}", output.stderr);
        }
    }
    assert!(!run_bare(&["crowdstrike", "--no"]).stderr.contains("name the source"));
}

#[test]
fn a_mistyped_command_is_shown_with_the_nearest_one() {
    for (arguments, nearest) in [
        ("crowdstrke", "'crowdstrike'"),
        ("Carbonblack", "'carbonblack'"),
        ("carbon_black", "'carbonblack'"),
        ("outbox lst", "'list'"),
        ("check crowdstrik", "'crowdstrike'"),
        ("statsu", "'status'"),
    ] {
        let words: Vec<&str> = arguments.split(' ').collect();
        let output = run_bare(&words).assert_code(2);
        let mistyped = format!("unrecognized subcommand '{}'", words[words.len() - 1]);
        output.assert_stderr(&[&mistyped, "a similar subcommand exists: ", nearest]);
    }
    for secret in [RF_TOKEN, CLIENT_SECRET, CB_SECRET, CB_API_ID, "ABCDEFGHIJ", "\u{1b}[31mred"] {
        let output = run_bare(&[secret]).assert_code(2);
        assert!(!output.stderr.contains(secret), "{}", output.stderr);
    }
}

#[test]
fn a_usage_error_with_json_is_a_document_too() {
    for arguments in [
        "crowdstrike --json --hours 0",
        "carbonblack --hour 5 --json",
        "--json crowdstrike",
        "crowdstrke --json",
        "status --json --max-age soon",
        "outbox --json",
    ] {
        let output = run_bare(&arguments.split(' ').collect::<Vec<_>>()).assert_code(2);
        let document = output.json();
        assert_eq!((&document["schema_version"], &document["exit_code"]), (&1.into(), &2.into()));
        assert_eq!(document["error"]["kind"], "configuration");
        let message = text(&document, "/error/message");
        assert!(output.stderr.contains(&message), "{arguments}: {message}");
        assert!(!text(&document, "/error/hint").is_empty());
        assert_eq!(output.stdout.lines().count(), 1, "{}", output.stdout);
    }
    let secret = run_bare(&["crowdstrike", "--json", "--hours", RF_TOKEN]).assert_code(2);
    assert!(!secret.stdout.contains(RF_TOKEN), "{}", secret.stdout);
    assert_eq!(run_bare(&["crowdstrike", "--hours", "0"]).assert_code(2).stdout, "");
    assert!(run_bare(&["crowdstrike", "--json", "--help"]).assert_code(0).stdout.contains("Usage"));
}

#[test]
fn all_missing_settings_are_reported_in_one_error() {
    let crowdstrike = [
        ("--client-id", "CS_CLIENT_ID"),
        ("--client-secret", "CS_CLIENT_SECRET"),
        ("--rf-api-key", "RF_API_KEY"),
    ];
    let carbonblack = [
        ("--org-id", "CB_ORG_ID"),
        ("--hostname", "CB_HOSTNAME"),
        ("--secret", "CB_SECRET"),
        ("--api-id", "CB_API_ID"),
        ("--rf-api-key", "RF_API_KEY"),
    ];
    let all: [(&str, &[(&str, &str)]); 2] =
        [("crowdstrike", &crowdstrike), ("carbonblack", &carbonblack)];
    for (vendor, settings) in all {
        let variables: Vec<&str> = settings.iter().map(|(_, variable)| *variable).collect();
        // Not set, empty, and whitespace only.
        for value in [None, Some(""), Some(" \t")] {
            let env = TestEnv::new(one_alert_per_vendor());
            let mut command = env.command_without(&variables, vendor);
            command.envs(variables.iter().filter_map(|name| Some((*name, value?))));
            let output = RunOutput::capture(&mut command).assert_code(2);
            for (flag, variable) in settings {
                output.assert_stderr(&[&format!("{flag} ({variable})")]);
            }
            assert_eq!(output.stderr.matches("error:").count(), 1, "{}", output.stderr);
            assert_eq!(env.sandbox.requests().len(), 0);
        }
        // Only one setting is missing.
        for (flag, variable) in settings {
            let env = TestEnv::new(one_alert_per_vendor());
            let output =
                RunOutput::capture(&mut env.command_without(&[variable], vendor)).assert_code(2);
            output.assert_stderr(&[&format!("settings are missing: {flag} ({variable})\n")]);
        }
    }
}

#[test]
fn a_value_out_of_range_is_rejected_and_the_range_is_named() {
    for (arguments, text) in [
        ("--hours 0", "1..=8760"),
        ("--hours 8761", "1..=8760"),
        ("--hours=-1", "1..=8760"),
        ("--hours day", "--hours"),
        ("--batch-size 0", "1..=15000"),
        ("--min-severity 101", "0 to 100"),
        ("--min-severity severe", "critical"),
        ("--min-confidence 101", "0..=100"),
        ("--cloud mars-1", "us-gov-2"),
        ("--log-level LOUD", "WARNING"),
        ("--hours 90m", "1..=8760"),
        ("--since tomorrow", "2026-11-21T00:15:00Z"),
        ("--cloud us-2 --base-url https://api.example.com", "cannot be used with"),
    ] {
        let env = TestEnv::new(one_alert_per_vendor());
        let output = env.run(&format!("crowdstrike {arguments}")).assert_code(2);
        output.assert_stderr(&[text]);
        assert_eq!(env.sandbox.requests().len(), 0, "{arguments}");
    }
    let env = TestEnv::new(one_alert_per_vendor());
    for arguments in [
        "--hours 1", "--hours 8760", "-l debug", "-l Critical", "--min-confidence 100",
        "--min-severity 100",
    ] {
        env.run(&format!("crowdstrike -n {arguments}")).assert_code(0);
    }
    let output = env.run("carbonblack --indicator parent").assert_code(2);
    output.assert_stderr(&["process", "blocked", "both"]);
}

#[test]
fn an_unexpected_argument_is_not_repeated() {
    const WORD: &str = "s3cr3twithoutitsflag";
    for arguments in [
        vec!["crowdstrike", WORD],
        vec!["carbonblack", "-k", "x", WORD],
        vec![WORD],
        vec![WORD, "crowdstrike"],
        vec!["crowdstrike", "--json", WORD, "--debug"],
        vec!["outbox", WORD],
        vec!["status", WORD],
    ] {
        let output = run_bare(&arguments).assert_code(2);
        assert!(
            !output.stderr.contains(WORD) && !output.stdout.contains(WORD),
            "{arguments:?}: {}",
            output.stderr
        );
        assert!(output.stderr.contains("Usage"), "{}", output.stderr);
    }
}

#[test]
fn a_secret_after_a_wrong_flag_is_not_repeated() {
    for secret in [RF_TOKEN, CLIENT_SECRET, CB_SECRET, CLIENT_ID, CB_API_ID] {
        for arguments in [
            vec!["crowdstrike", "--hours", secret],
            vec!["carbonblack", "--since", secret],
            vec!["crowdstrike", "--color", secret],
            vec!["history", "--days", secret],
            vec!["generate", "completions", secret],
        ] {
            let output = run_bare(&arguments).assert_code(2);
            output.assert_stderr(&["invalid value", "not shown"]);
            assert!(!output.stderr.contains(secret), "{}", output.stderr);
        }
        for argument in [
            format!("--quiet={secret}"),
            format!("--hours={secret}/{CB_API_ID}"),
            format!("--since=Token:{secret}"),
            format!("--client-secret{secret}"),
        ] {
            let output = run_bare(&["crowdstrike", &argument]).assert_code(2);
            assert!(!output.stderr.contains(secret), "{}", output.stderr);
        }
    }
}

#[test]
fn an_invalid_value_that_is_not_a_secret_is_repeated() {
    for (flag, value) in [
        ("--hours", "25x"),
        ("--hours", "1000000000"),
        ("--since", "2026-13-01"),
        ("--until", "2026-13-01T00:00:00Z"),
        ("--log-max-size", "1.5 gigabytes"),
        ("--log-level", "INFORMATION"),
        ("--cloud", "us-gov-west-1"),
        ("--min-severity", "informatoinal"),
    ] {
        run_bare(&["crowdstrike", flag, value]).assert_code(2).assert_stderr(&[value, flag]);
    }
}

#[test]
fn an_unknown_flag_is_named_with_a_suggestion() {
    let output = run_bare(&["crowdstrike", "--min-severty", "60"]).assert_code(2);
    output.assert_stderr(&["--min-severty", "--min-severity"]);
}

#[test]
fn an_impossible_window_is_rejected_before_anything_is_changed() {
    let env = TestEnv::new(sandbox::World::default());
    for (span, message) in [
        (
            "--since 2026-11-21T00:00:00Z --until 2026-11-20T00:00:00Z",
            "--since is not before --until",
        ),
        ("--since 2026-11-21T00:00:00Z --until 2026-12-01T00:00:00Z", "--until is in the future"),
        ("--since 2026-12-01T00:00:00Z", "--since is in the future"),
    ] {
        for source in Vendor::ALL.map(Vendor::command) {
            let output = env.run(&format!("{source} {span}")).assert_code(2);
            assert!(output.stderr.contains(message), "{}", output.stderr);
        }
    }
    assert!(env.sandbox.requests().is_empty());
    assert!(!env.path("collective-insights.db").exists());
}
