//! The command line: other people's crontabs depend on it.

use std::process::Command;

use sandbox::{CB_API_ID, CB_ORG, CB_SECRET, CLIENT_ID, CLIENT_SECRET, RF_TOKEN, Service, World};

use crate::support::alerts::{carbonblack, falcon, sha256};
use crate::support::{Ran, Stage, bare_command, text};

fn stage() -> Stage {
    let world = World::default().falcon_alerts(&[falcon("1", "domain", "a.example.com")]);
    Stage::new(world.carbon_black_alerts(&[carbonblack("a1", &sha256(1))]))
}

/// The staged command without these variables.
fn without(stage: &Stage, arguments: &str, variables: &[&str]) -> Command {
    let mut command = stage.command(arguments);
    for variable in variables {
        command.env_remove(variable);
    }
    command
}

/// The binary in an empty environment.
fn bare(arguments: &[&str]) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    Ran::of(bare_command(folder.path()).args(arguments))
}

#[test]
fn the_crowdstrike_scripts_flags_work_unchanged() {
    let stage = stage();
    let variables = ["CS_CLIENT_ID", "CS_CLIENT_SECRET", "RF_API_KEY"];
    let mut command = without(&stage, "crowdstrike", &variables);
    Ran::of(command.args(["-k", RF_TOKEN, "-ccid", CLIENT_ID, "-ccs", CLIENT_SECRET])).ended(0);
    assert_eq!(stage.stored_values(), ["a.example.com"]);
}

#[test]
fn the_carbon_black_scripts_flags_work_unchanged() {
    let stage = stage();
    stage.write("list.txt", sha256(9));
    let variables = ["CB_ORG_ID", "CB_HOSTNAME", "CB_API_ID", "CB_SECRET", "RF_API_KEY"];
    let mut command = without(&stage, "carbonblack", &variables);
    let url = stage.sandbox.url();
    let script = ["-k", RF_TOKEN, "-co", CB_ORG, "-ch", &url, "-cs", CB_SECRET, "-cid", CB_API_ID];
    Ran::of(command.args(script).args(["-l", "WARNING", "-ef", "list.txt"])).ended(0);
    assert_eq!(stage.stored_values(), [sha256(1)]);
    let ran = Ran::of(command.arg("--debug")).ended(0);
    assert!(ran.stdout.contains("NOTHING WAS STORED"), "{}", ran.stdout);
}

#[test]
fn the_long_flags_are_the_same_settings() {
    let stage = stage();
    let url = stage.sandbox.url();
    let none = ["CS_BASE_URL", "CS_CLIENT_ID", "CS_CLIENT_SECRET", "RF_API_URL", "RF_API_KEY"];
    let mut command = without(&stage, "crowdstrike", &none);
    command.args(["--client-id", CLIENT_ID, "--client-secret", CLIENT_SECRET, "--base-url", &url]);
    Ran::of(command.args(["--rf-api-key", RF_TOKEN, "--rf-api-url", &url])).ended(0);
    let none = ["CB_ORG_ID", "CB_HOSTNAME", "CB_API_ID", "CB_SECRET"];
    let mut command = without(&stage, "carbonblack", &none);
    command.args(["--org-id", CB_ORG, "--hostname", &url]);
    Ran::of(command.args(["--secret", CB_SECRET, "--api-id", CB_API_ID])).ended(0);
    assert_eq!(stage.items().len(), 2);
}

#[test]
fn a_flag_comes_before_its_variable() {
    let stage = stage();
    let wrong = ["CS_CLIENT_ID", "CS_CLIENT_SECRET", "RF_API_KEY", "CS_BASE_URL", "RF_API_URL"];
    let url = stage.sandbox.url();
    let mut command = stage.command("crowdstrike");
    command.envs(wrong.map(|name| (name, "https://wrong.invalid")));
    command.args(["-ccid", CLIENT_ID, "-ccs", CLIENT_SECRET, "-k", RF_TOKEN]);
    Ran::of(command.args(["--base-url", &url, "--rf-api-url", &url])).ended(0);
    assert_eq!(stage.stored_values(), ["a.example.com"]);
}

#[test]
fn an_empty_flag_leaves_the_word_to_the_variable() {
    let stage = stage();
    Ran::of(stage.command("crowdstrike").args(["-ccid", "", "-ccs", "  ", "-k", ""])).ended(0);
}

#[test]
fn all_missing_settings_are_named_at_once() {
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
        // Not set at all, and empty, and white space.
        for value in [None, Some(""), Some(" \t")] {
            let stage = stage();
            let mut command = without(&stage, vendor, &variables);
            command.envs(variables.iter().filter_map(|name| Some((*name, value?))));
            let ran = Ran::of(&mut command).ended(2);
            for (flag, variable) in settings {
                ran.says(&[&format!("{flag} ({variable})")]);
            }
            assert_eq!(ran.stderr.matches("error:").count(), 1, "{}", ran.stderr);
            assert_eq!(stage.sandbox.requests().len(), 0);
        }
        // One alone.
        for (flag, variable) in settings {
            let stage = stage();
            let ran = Ran::of(&mut without(&stage, vendor, &[variable])).ended(2);
            ran.says(&[&format!("missing: {flag} ({variable})\n")]);
        }
    }
}

#[test]
fn a_value_out_of_its_range_is_refused_with_the_range() {
    for (arguments, words) in [
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
        ("--since yesterday", "2026-11-21T00:15:00Z"),
        ("--json --quiet", "cannot be used with"),
        ("--cloud us-2 --base-url https://api.example.com", "cannot be used with"),
    ] {
        let stage = stage();
        let ran = stage.run(&format!("crowdstrike {arguments}")).ended(2);
        ran.says(&[words]);
        assert_eq!(stage.sandbox.requests().len(), 0, "{arguments}");
    }
    let stage = stage();
    for arguments in [
        "--hours 1",
        "--hours 8760",
        "-l debug",
        "-l Critical",
        "--min-confidence 100",
        "--min-severity 100",
    ] {
        stage.run(&format!("crowdstrike -n {arguments}")).ended(0);
    }
    let ran = stage.run("carbonblack --indicator parent").ended(2);
    ran.says(&["process", "blocked", "both"]);
}

#[test]
fn a_bare_call_prints_help() {
    let ran = bare(&[]);
    for word in ["Usage: collective-insights", "crowdstrike", "carbonblack", "--help", "--version"]
    {
        assert!(ran.stderr.contains(word), "{}", ran.stderr);
    }
    assert_eq!(ran.stdout, "");
}

#[test]
fn help_and_version_go_to_stdout() {
    for flag in ["-h", "--help"] {
        let ran = bare(&[flag]).ended(0);
        assert!(
            ran.stdout.contains("crowdstrike") && ran.stdout.contains("Exit codes:"),
            "{}",
            ran.stdout
        );
        assert_eq!(ran.stderr, "");
    }
    for flag in ["-V", "--version"] {
        let ran = bare(&[flag]).ended(0);
        assert_eq!(ran.stdout, format!("collective-insights {}\n", env!("CARGO_PKG_VERSION")));
    }
}

#[test]
fn the_help_of_a_source_names_every_flag_variable_and_exit_code() {
    let both = "--rf-api-key RF_API_KEY --rf-api-url RF_API_URL https://api.recordedfuture.com --organization-id \
        --hours --exclusion-file --batch-size --dry-run --debug --log-level --log-file --json --quiet -k -n -l -q";
    let crowdstrike = "--client-id CS_CLIENT_ID --client-secret CS_CLIENT_SECRET --cloud us-gov-2 --base-url \
        CS_BASE_URL --member-cid --min-severity --min-confidence";
    let carbonblack = "--org-id CB_ORG_ID --hostname CB_HOSTNAME --secret CB_SECRET --api-id CB_API_ID --indicator";
    for (vendor, own) in [("crowdstrike", crowdstrike), ("carbonblack", carbonblack)] {
        let help = bare(&[vendor, "--help"]).ended(0).stdout;
        for word in both.split_whitespace().chain(own.split_whitespace()) {
            assert!(help.contains(word), "no {word} in the help of {vendor}: {help}");
        }
        for code in ["0 ", "1 ", "2 ", "3 ", "4 ", "5 ", "6 ", "7 ", "130 ", "143 "] {
            assert!(help.contains(&format!("\n  {code}")), "{code}: {help}");
        }
    }
}

#[test]
fn help_shows_no_value_of_the_environment() {
    let stage = stage();
    for arguments in ["--help", "crowdstrike --help", "carbonblack -h"] {
        let ran = stage.run(arguments).ended(0);
        for secret in [RF_TOKEN, CLIENT_SECRET, CB_SECRET, CLIENT_ID, CB_API_ID] {
            assert!(!ran.stdout.contains(secret));
        }
    }
}

#[test]
fn a_stray_word_is_not_repeated() {
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
        let ran = bare(&arguments).ended(2);
        assert!(
            !ran.stderr.contains(WORD) && !ran.stdout.contains(WORD),
            "{arguments:?}: {}",
            ran.stderr
        );
        assert!(ran.stderr.contains("Usage"), "{}", ran.stderr);
    }
}

#[test]
fn a_secret_behind_a_wrong_flag_is_not_repeated() {
    for secret in [RF_TOKEN, CLIENT_SECRET, CB_SECRET, CLIENT_ID, CB_API_ID] {
        for arguments in [
            vec!["crowdstrike", "--hours", secret],
            vec!["carbonblack", "--since", secret],
            vec!["crowdstrike", "--color", secret],
            vec!["history", "--days", secret],
            vec!["generate", "completions", secret],
        ] {
            let ran = bare(&arguments).ended(2);
            ran.says(&["invalid value", "not shown"]);
            assert!(!ran.stderr.contains(secret), "{}", ran.stderr);
        }
        for glued in [
            format!("--quiet={secret}"),
            format!("--hours={secret}/{CB_API_ID}"),
            format!("--since=Token:{secret}"),
            format!("--client-secret{secret}"),
        ] {
            let ran = bare(&["crowdstrike", &glued]).ended(2);
            assert!(!ran.stderr.contains(secret), "{}", ran.stderr);
        }
    }
}

#[test]
fn a_refused_value_that_is_no_secret_is_repeated() {
    for (flag, value) in [
        ("--hours", "25h"),
        ("--hours", "1000000000"),
        ("--since", "2026-13-01"),
        ("--until", "2026-13-01T00:00:00Z"),
        ("--log-max-size", "1.5 gigabytes"),
        ("--log-level", "INFORMATION"),
        ("--cloud", "us-gov-west-1"),
        ("--min-severity", "informatoinal"),
    ] {
        bare(&["crowdstrike", flag, value]).ended(2).says(&[value, flag]);
    }
}

#[test]
fn an_unknown_flag_is_named() {
    let ran = bare(&["crowdstrike", "--min-severty", "60"]).ended(2);
    ran.says(&["--min-severty", "--min-severity"]);
}

#[test]
fn a_member_cid_goes_with_the_sign_in() {
    let stage = stage();
    stage.sandbox.change(|world| world.falcon.accounts[0].member_cids.push("ch1ld".into()));
    stage.run("crowdstrike --member-cid ch1ld").ended(0);
    let asked = stage.sandbox.requests_to(Service::FalconToken);
    let body = String::from_utf8(asked[0].body.to_vec()).unwrap();
    assert!(body.contains("member_cid=ch1ld"), "{}", body.len());
}

#[test]
fn the_log_file_is_where_it_is_wanted() {
    let stage = stage();
    stage.run("crowdstrike --log-file other.log").ended(0);
    assert!(!stage.path("collective-insights.log").exists());
    let log = std::fs::read_to_string(stage.path("other.log")).unwrap();
    assert!(log.contains("Indicators:"), "{log}");
    stage.run("crowdstrike --log-file no/such/folder.log").ended(2).says(&["--log-file"]);
}

#[test]
fn a_request_names_only_what_it_must() {
    let stage = stage();
    stage.run("crowdstrike --hours 1").ended(0);
    let asked = stage.sandbox.requests_to(Service::FalconAlerts);
    let body = asked[0].json().unwrap();
    assert!(
        text(&body, "/filter")
            .starts_with("product:'epp'+created_timestamp:>='2026-11-21T23:15:00")
    );
    assert_eq!(text(&body, "/sort"), "created_timestamp|asc");
}

#[test]
fn a_span_that_cannot_be_leaves_everything_untouched() {
    let stage = Stage::new(sandbox::World::default());
    for (span, told) in [
        (
            "--since 2026-11-21T00:00:00Z --until 2026-11-20T00:00:00Z",
            "--since is not before --until",
        ),
        ("--since 2026-11-21T00:00:00Z --until 2026-12-01T00:00:00Z", "--until is in the future"),
        ("--since 2026-12-01T00:00:00Z", "--since is in the future"),
    ] {
        for source in ["crowdstrike", "carbonblack"] {
            let ran = stage.run(&format!("{source} {span}")).ended(2);
            assert!(ran.stderr.contains(told), "{}", ran.stderr);
        }
    }
    assert!(stage.sandbox.requests().is_empty());
    assert!(!stage.path("collective-insights.db").exists());
}
