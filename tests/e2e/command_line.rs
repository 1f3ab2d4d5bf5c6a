//! Tests the command line: its flags and their forms. Existing crontabs depend on it, also those of
//! the scripts for CrowdStrike and Carbon Black that this program replaces.

use sandbox::{CB_API_ID, CB_ORG, CB_SECRET, CLIENT_ID, CLIENT_SECRET, RF_TOKEN, Service};

use crate::support::alerts::sha256;
use crate::support::failures::one_alert_per_vendor;
use crate::support::json::text;
use crate::support::vendor::Vendor;
use crate::support::{RunOutput, TestEnv, run_bare};

#[test]
fn the_flags_of_the_crowdstrike_script_work_unchanged() {
    let env = TestEnv::new(one_alert_per_vendor());
    let variables = ["CS_CLIENT_ID", "CS_CLIENT_SECRET", "RF_API_KEY"];
    let mut command = env.command_without(&variables, "crowdstrike");
    RunOutput::capture(command.args(["-k", RF_TOKEN, "-ccid", CLIENT_ID, "-ccs", CLIENT_SECRET]))
        .assert_code(0);
    assert_eq!(env.stored_values(), ["a.example.com"]);
}

#[test]
fn the_flags_of_the_carbon_black_script_work_unchanged() {
    let env = TestEnv::new(one_alert_per_vendor());
    env.write("list.txt", sha256(9));
    let variables = ["CB_ORG_ID", "CB_HOSTNAME", "CB_API_ID", "CB_SECRET", "RF_API_KEY"];
    let mut command = env.command_without(&variables, "carbonblack");
    let url = env.sandbox.url();
    let script = ["-k", RF_TOKEN, "-co", CB_ORG, "-ch", &url, "-cs", CB_SECRET, "-cid", CB_API_ID];
    RunOutput::capture(command.args(script).args(["-l", "WARNING", "-ef", "list.txt"]))
        .assert_code(0);
    assert_eq!(env.stored_values(), [sha256(1)]);
    let output = RunOutput::capture(command.arg("--debug")).assert_code(0);
    assert!(output.stdout.contains("NOTHING WAS STORED"), "{}", output.stdout);
}

#[test]
fn the_flags_of_the_scripts_take_the_forms_that_argparse_took() {
    let env = TestEnv::new(one_alert_per_vendor());
    let variables = ["CS_CLIENT_ID", "CS_CLIENT_SECRET", "RF_API_KEY"];
    let mut command = env.command_without(&variables, "crowdstrike --debug --debug --json");
    command.args([format!("-ccid={CLIENT_ID}"), format!("-ccs={CLIENT_SECRET}")]);
    let output = RunOutput::capture(command.arg(format!("-k={RF_TOKEN}"))).assert_code(0);
    assert_eq!((output.count("processed"), &output.json()["mode"]), (1, &"debug".into()));
    assert!(!env.log().contains(CLIENT_SECRET));
    let variables = ["CB_ORG_ID", "CB_HOSTNAME", "CB_API_ID", "CB_SECRET"];
    let mut command = env.command_without(&variables, "carbonblack");
    let url = env.sandbox.url();
    command.args([format!("-co={CB_ORG}"), format!("-ch={url}"), format!("-cs={CB_SECRET}")]);
    RunOutput::capture(command.arg(format!("-cid={CB_API_ID}"))).assert_code(0);
    assert_eq!(env.stored_values(), [sha256(1)]);
}

#[test]
fn sources_have_aliases() {
    let env = TestEnv::new(one_alert_per_vendor());
    for (alias, source) in [
        ("cs", "crowdstrike"),
        ("falcon", "crowdstrike"),
        ("cb", "carbonblack"),
        ("carbon-black", "carbonblack"),
    ] {
        let output = env.run(&format!("{alias} -n --json --hours 12")).assert_code(0);
        assert_eq!(output.json()["source"], source);
        assert!(env.log().contains("option=--hours value=12 origin=argument"), "{alias}");
        env.run(&format!("check {alias} --offline")).assert_code(0);
        let help = env.run(&format!("help {alias}")).assert_code(0).stdout;
        assert_eq!(help, env.run(&format!("{source} --help")).stdout);
    }
    let mut script = env.command_without(&["CS_CLIENT_ID"], "falcon");
    RunOutput::capture(script.args(["-ccid", CLIENT_ID])).assert_code(0);
}

#[test]
fn times_have_the_forms_that_people_type_and_a_note_repeats_them() {
    // The run starts at 2026-11-22T00:15:00Z.
    for (arguments, start, end, note) in [
        (
            "--since 2026-11-20 --until yesterday",
            "2026-11-20T00:00:00.000Z",
            "2026-11-21T00:00:00.000Z",
            Some("--since is 2026-11-20T00:00:00Z, --until is 2026-11-21T00:00:00Z"),
        ),
        (
            "--since 7d --until 2026-11-21T12:00:00Z",
            "2026-11-15T00:15:00",
            "2026-11-21T12:00:00.000Z",
            Some("--since is 2026-11-15T00:15:00Z"),
        ),
        (
            "--since yesterday --until today",
            "2026-11-21T00:00:00.000Z",
            "2026-11-22T00:00:00.000Z",
            Some("--since is 2026-11-21T00:00:00Z, --until is 2026-11-22T00:00:00Z"),
        ),
        ("--hours 24h", "2026-11-21T00:15:00", "2026-11-22T00:15:00", None),
        ("--hours 2d", "2026-11-20T00:15:00", "2026-11-22T00:15:00", None),
    ] {
        for source in Vendor::ALL.map(Vendor::command) {
            let env = TestEnv::new(one_alert_per_vendor());
            let output = env.run(&format!("{source} --json -n {arguments}")).assert_code(0);
            let window = &output.json()["window"];
            let begins_with =
                |key: &str, time: &str| window[key].as_str().unwrap().starts_with(time);
            assert!(
                begins_with("start", start) && begins_with("end", end),
                "{arguments}: {window}"
            );
            let notes = output.notes();
            let repeated = notes.iter().find(|note| note.starts_with("--since"));
            assert_eq!(repeated.map(String::as_str), note, "{arguments}");
            assert!(note.is_none_or(|note| env.log().contains(note)), "{}", env.log());
        }
    }
    let env = TestEnv::new(one_alert_per_vendor());
    let text = env.run("crowdstrike -n --since yesterday").assert_code(0).stdout;
    assert!(text.contains("--since is 2026-11-21T00:00:00Z"), "{text}");
    let output = env.run("crowdstrike --since today --until yesterday").assert_code(2);
    output.assert_stderr(&["--since is not before --until"]);
    env.run("crowdstrike --since 2026-11-23").assert_code(2).assert_stderr(&["in the future"]);
}

#[test]
fn json_may_be_quiet() {
    let env = TestEnv::new(one_alert_per_vendor());
    let output = env.run("crowdstrike --json -q").assert_code(0);
    assert_eq!((output.count("processed"), output.stderr.as_str()), (1, ""));
}

#[test]
fn the_settings_of_a_source_have_long_flags() {
    let env = TestEnv::new(one_alert_per_vendor());
    let url = env.sandbox.url();
    let variables = ["CS_BASE_URL", "CS_CLIENT_ID", "CS_CLIENT_SECRET", "RF_API_URL", "RF_API_KEY"];
    let mut command = env.command_without(&variables, "crowdstrike");
    command.args(["--client-id", CLIENT_ID, "--client-secret", CLIENT_SECRET, "--base-url", &url]);
    RunOutput::capture(command.args(["--rf-api-key", RF_TOKEN, "--rf-api-url", &url]))
        .assert_code(0);
    let variables = ["CB_ORG_ID", "CB_HOSTNAME", "CB_API_ID", "CB_SECRET"];
    let mut command = env.command_without(&variables, "carbonblack");
    command.args(["--org-id", CB_ORG, "--hostname", &url]);
    RunOutput::capture(command.args(["--secret", CB_SECRET, "--api-id", CB_API_ID])).assert_code(0);
    assert_eq!(env.items().len(), 2);
}

#[test]
fn a_flag_overrides_its_variable() {
    let env = TestEnv::new(one_alert_per_vendor());
    let wrong = ["CS_CLIENT_ID", "CS_CLIENT_SECRET", "RF_API_KEY", "CS_BASE_URL", "RF_API_URL"];
    let url = env.sandbox.url();
    let mut command = env.command("crowdstrike");
    command.envs(wrong.map(|name| (name, "https://wrong.invalid")));
    command.args(["-ccid", CLIENT_ID, "-ccs", CLIENT_SECRET, "-k", RF_TOKEN]);
    RunOutput::capture(command.args(["--base-url", &url, "--rf-api-url", &url])).assert_code(0);
    assert_eq!(env.stored_values(), ["a.example.com"]);
}

#[test]
fn an_empty_flag_does_not_override_the_variable() {
    let env = TestEnv::new(one_alert_per_vendor());
    RunOutput::capture(env.command("crowdstrike").args(["-ccid", "", "-ccs", "  ", "-k", ""]))
        .assert_code(0);
}

#[test]
fn without_arguments_the_help_is_printed() {
    let output = run_bare(&[]);
    for word in ["Usage: collective-insights", "crowdstrike", "carbonblack", "--help", "--version"]
    {
        assert!(output.stderr.contains(word), "{}", output.stderr);
    }
    assert_eq!(output.stdout, "");
}

#[test]
fn help_and_version_go_to_stdout() {
    for flag in ["-h", "--help"] {
        let output = run_bare(&[flag]).assert_code(0);
        assert!(
            output.stdout.contains("crowdstrike") && output.stdout.contains("Exit codes:"),
            "{}",
            output.stdout
        );
        assert_eq!(output.stderr, "");
    }
    for flag in ["-V", "--version"] {
        let output = run_bare(&[flag]).assert_code(0);
        let version = concat!("collective-insights ", env!("CARGO_PKG_VERSION"), " (commit ");
        let rest = output.stdout.strip_prefix(version).unwrap();
        let (commit, target) = rest.strip_suffix(")\n").unwrap().split_once(", ").unwrap();
        assert_eq!(commit, option_env!("COLLECTIVE_INSIGHTS_COMMIT").unwrap_or("unknown"));
        assert!(target.starts_with(std::env::consts::ARCH), "{target}");
    }
}

#[test]
fn the_help_of_a_source_contains_its_main_flags_and_variables_and_every_exit_code() {
    let common = "--rf-api-key RF_API_KEY --rf-api-url RF_API_URL https://api.recordedfuture.com --organization-id \
        --hours --exclusion-file --batch-size --dry-run --debug --log-level --log-file --json --quiet -k -n -l -q";
    let crowdstrike = "--client-id CS_CLIENT_ID --client-secret CS_CLIENT_SECRET --cloud us-gov-2 --base-url \
        CS_BASE_URL --member-cid --min-severity --min-confidence";
    let carbonblack = "--org-id CB_ORG_ID --hostname CB_HOSTNAME --secret CB_SECRET --api-id CB_API_ID --indicator";
    for (vendor, own) in [("crowdstrike", crowdstrike), ("carbonblack", carbonblack)] {
        let help = run_bare(&[vendor, "--help"]).assert_code(0).stdout;
        for word in common.split_whitespace().chain(own.split_whitespace()) {
            assert!(help.contains(word), "no {word} in the help of {vendor}: {help}");
        }
        for code in ["0 ", "1 ", "2 ", "3 ", "4 ", "5 ", "6 ", "7 ", "129 ", "130 ", "143 "] {
            assert!(help.contains(&format!("\n  {code}")), "{code}: {help}");
        }
    }
}

#[test]
fn the_help_contains_no_values_of_variables() {
    let env = TestEnv::new(one_alert_per_vendor());
    for arguments in ["--help", "crowdstrike --help", "carbonblack -h"] {
        let output = env.run(arguments).assert_code(0);
        for secret in [RF_TOKEN, CLIENT_SECRET, CB_SECRET, CLIENT_ID, CB_API_ID] {
            assert!(!output.stdout.contains(secret));
        }
    }
}

#[test]
fn a_member_cid_is_sent_with_the_sign_in() {
    let env = TestEnv::new(one_alert_per_vendor());
    env.sandbox.change(|world| world.falcon.accounts[0].member_cids.push("ch1ld".into()));
    env.run("crowdstrike --member-cid ch1ld").assert_code(0);
    let requests = env.sandbox.requests_to(Service::FalconToken);
    let body = String::from_utf8(requests[0].body.to_vec()).unwrap();
    assert!(body.contains("member_cid=ch1ld"), "{}", body.len());
}

#[test]
fn log_file_sets_the_path_of_the_log() {
    let env = TestEnv::new(one_alert_per_vendor());
    env.run("crowdstrike --log-file other.log").assert_code(0);
    assert!(!env.path("collective-insights.log").exists());
    let log = std::fs::read_to_string(env.path("other.log")).unwrap();
    assert!(log.contains("  indicators  "), "{log}");
    let output = env.run_at("2026-11-22T01:15:00Z", "crowdstrike -q --log-file no/such/folder.log");
    output.assert_code(0).assert_stderr(&[
        "warning: the log file no/such/folder.log cannot be written",
        "the run continues without it",
        "--log-file",
    ]);
}

#[test]
fn a_request_has_the_expected_filter_and_sort() {
    let env = TestEnv::new(one_alert_per_vendor());
    env.run("crowdstrike --hours 1").assert_code(0);
    let requests = env.sandbox.requests_to(Service::FalconAlerts);
    let body = requests[0].json().unwrap();
    assert!(
        text(&body, "/filter")
            .starts_with("product:'epp'+created_timestamp:>='2026-11-21T23:15:00")
    );
    assert_eq!(text(&body, "/sort"), "created_timestamp|asc");
}
