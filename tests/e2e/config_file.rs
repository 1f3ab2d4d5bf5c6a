//! Tests the settings file and the variables of all options: what they set, and what is shown as
//! the origin of a value.

use std::path::Path;

use collective_insights::cli::definition;
use sandbox::{CB_API_ID, CB_ORG, CB_SECRET, RF_TOKEN};
use serde_json::Value;

use crate::support::commands::every_command;
use crate::support::markdown::code;
use crate::support::markdown::topic;
use crate::support::settings_file::{env_with_one_alert, run_with_variables, write_settings_file};
use crate::support::{RunOutput, TestEnv, bare_command};

/// Returns `VALUE [ORIGIN]` of an option in the output of `check --show-config --json`.
fn value_and_origin(output: &RunOutput, flag: &str) -> String {
    let document = output.json();
    let settings = document["settings"].as_array().unwrap();
    let found = settings.iter().find(|setting| setting["setting"] == flag);
    let found = found.unwrap_or_else(|| panic!("no {flag} in {document}"));
    let text = |name: &str| found[name].as_str().unwrap().to_owned();
    format!("{} [{}]", text("value"), text("origin"))
}

/// Runs `check crowdstrike --show-config --json` with the settings file and these variables.
fn show_config(env: &TestEnv, arguments: &str, variables: &[(&str, &str)]) -> RunOutput {
    let arguments =
        format!("check crowdstrike --show-config --json --config settings.toml {arguments}");
    run_with_variables(env, &arguments, variables).assert_code(0)
}

#[test]
fn a_tenant_runs_with_the_settings_of_the_file_only() {
    let env = env_with_one_alert();
    write_settings_file(&env);
    for (source, tenant) in [("crowdstrike", "acme-falcon"), ("carbonblack", "acme-cbc")] {
        let arguments = format!("{source} --config settings.toml --tenant {tenant} --json");
        let output = run_with_variables(&env, &arguments, &[]).assert_code(0);
        assert_eq!(output.json()["tenant"], tenant);
        let check = format!("check {source} --config settings.toml --tenant {tenant}");
        run_with_variables(&env, &check, &[]).assert_code(0);
    }
    assert_eq!(env.submission_bodies()[0]["organization_ids"], serde_json::json!(["uhash:T2j9L"]));
    let status = run_with_variables(&env, "status --json", &[]).assert_code(0).json();
    assert_eq!(status["sources"].as_array().unwrap().len(), 2);
}

#[test]
fn the_example_in_the_help_topic_is_valid() {
    let env = env_with_one_alert();
    let example = code(topic("options"), "toml").remove(0);
    assert_eq!(run_with_variables(&env, "generate config", &[]).assert_code(0).stdout, example);
    env.write("settings.toml", example.replace("/etc/", "/nowhere/"));
    for (source, tenant) in [("crowdstrike", "acme-falcon"), ("carbonblack", "acme-cbc")] {
        let arguments = format!("{source} --tenant {tenant} --config settings.toml");
        // The example is valid, but the files that it names do not exist.
        let output = run_with_variables(&env, &arguments, &[]).assert_code(2);
        output.assert_stderr(&["the file /nowhere/collective-insights/", "cannot be read"]);
    }
}

#[test]
fn each_value_is_shown_with_the_line_that_sets_it() {
    let env = env_with_one_alert();
    write_settings_file(&env);
    let output = show_config(&env, "--tenant acme-falcon", &[]);
    for (flag, expected) in [
        ("--rf-api-key", "(secret) [file rf (settings.toml:2)]"),
        ("--hours", "36 [settings.toml:9]"),
        ("--log-level", "WARNING [settings.toml:5]"),
        ("--indicator", "both [settings.toml:8]"),
        ("--client-secret", "(secret) [file secret (settings.toml:15)]"),
        ("--organization-id", "uhash:T2j9L [settings.toml:17]"),
        ("--min-severity", "medium [settings.toml:18]"),
        ("--skip-dismissed", "true [settings.toml:19]"),
        ("--config", "settings.toml [argument]"),
        ("--batch-size", "1000 [default]"),
        ("--tenant", "acme-falcon [argument]"),
    ] {
        assert_eq!(value_and_origin(&output, flag), expected);
    }
}

#[test]
fn an_argument_precedes_a_variable_which_precedes_the_file() {
    let env = env_with_one_alert();
    write_settings_file(&env);
    let tenant = [("COLLECTIVE_INSIGHTS_TENANT", "acme-falcon")];
    let output = show_config(&env, "", &tenant);
    assert_eq!(
        value_and_origin(&output, "--tenant"),
        "acme-falcon [variable COLLECTIVE_INSIGHTS_TENANT]"
    );
    assert_eq!(value_and_origin(&output, "--min-severity"), "medium [settings.toml:18]");
    let variables = [
        ("COLLECTIVE_INSIGHTS_CROWDSTRIKE_MIN_SEVERITY", "70"),
        ("COLLECTIVE_INSIGHTS_SKIP_DISMISSED", "0"),
        ("COLLECTIVE_INSIGHTS_ORGANIZATION_ID", "A, B"),
        ("COLLECTIVE_INSIGHTS_HOURS", ""),
        ("CS_CLIENT_SECRET", "from-a-variable-0001"),
    ];
    let output = show_config(&env, "--tenant acme-falcon", &variables);
    for (flag, expected) in [
        ("--min-severity", "70 [variable COLLECTIVE_INSIGHTS_CROWDSTRIKE_MIN_SEVERITY]"),
        ("--skip-dismissed", "false [variable COLLECTIVE_INSIGHTS_SKIP_DISMISSED]"),
        ("--organization-id", "A B [variable COLLECTIVE_INSIGHTS_ORGANIZATION_ID]"),
        ("--hours", "36 [settings.toml:9]"),
        ("--client-secret", "(secret) [variable CS_CLIENT_SECRET]"),
    ] {
        assert_eq!(value_and_origin(&output, flag), expected);
    }
    let output = show_config(&env, "--tenant acme-falcon --min-severity 5", &variables);
    assert_eq!(value_and_origin(&output, "--min-severity"), "5 [argument]");
}

#[test]
fn without_a_tenant_only_the_defaults_apply() {
    let env = env_with_one_alert();
    write_settings_file(&env);
    let output = show_config(&env, "", &[]);
    assert_eq!(value_and_origin(&output, "--hours"), "36 [settings.toml:9]");
    assert_eq!(value_and_origin(&output, "--min-severity"), "0 [default]");
    let output = run_with_variables(&env, "crowdstrike --config settings.toml", &[]).assert_code(2);
    output.assert_stderr(&[
        "required settings are missing:\n    --client-id (CS_CLIENT_ID)\n",
        "The settings file has tenants, which `crowdstrike --tenant NAME` chooses: acme-falcon.",
    ]);
}

#[test]
fn a_value_from_elsewhere_never_conflicts_with_an_argument() {
    let env = env_with_one_alert();
    env.write("settings.toml", "[defaults]\nsince = \"3d\"\nuntil = \"2d\"\nno-ledger = true\n");
    let output = show_config(&env, "", &[]);
    assert_eq!(value_and_origin(&output, "--since"), "3d [settings.toml:2]");
    let output = show_config(&env, "--hours 5 --ledger l.db", &[]);
    for (flag, expected) in [
        ("--hours", "5 [argument]"),
        ("--since", " [not set]"),
        ("--until", " [not set]"),
        ("--no-ledger", "false [default]"),
    ] {
        assert_eq!(value_and_origin(&output, flag), expected);
    }
    let variable = [("COLLECTIVE_INSIGHTS_HOURS", "7")];
    let output = show_config(&env, "", &variable);
    assert_eq!(value_and_origin(&output, "--hours"), "7 [variable COLLECTIVE_INSIGHTS_HOURS]");
    assert_eq!(value_and_origin(&output, "--since"), " [not set]");
    let member = [("COLLECTIVE_INSIGHTS_CROWDSTRIKE_MEMBER_CID", "abc")];
    let output = show_config(&env, "--all-cids", &member);
    assert_eq!(value_and_origin(&output, "--member-cid"), " [not set]");
    let output = show_config(&env, "--since 1d", &variable);
    assert_eq!(value_and_origin(&output, "--hours"), "24 [default]");
}

#[test]
fn a_cloud_and_a_base_url_of_different_layers_do_not_mix() {
    let env = env_with_one_alert();
    env.write(
        "settings.toml",
        "[defaults]\n[defaults.crowdstrike]\nbase-url = \"https://a.example\"\n\n[[tenant]]\nname = \"a\"\nsource = \"crowdstrike\"\ncloud = \"eu-1\"\n",
    );
    let output = show_config(&env, "--tenant a", &[]);
    assert_eq!(value_and_origin(&output, "--cloud"), "eu-1 [settings.toml:8]");
    assert_eq!(value_and_origin(&output, "--base-url"), " [not set]");
    let output = show_config(&env, "--tenant a", &[("CS_BASE_URL", "https://b.example")]);
    assert_eq!(value_and_origin(&output, "--base-url"), "https://b.example [variable CS_BASE_URL]");
    let output = show_config(&env, "", &[]);
    assert_eq!(value_and_origin(&output, "--base-url"), "https://a.example [settings.toml:3]");
}

#[test]
fn every_option_that_confirms_no_risk_has_a_variable() {
    // Options that permit something risky, which has to be decided for each run.
    let confirmations = ["accept-gap", "adopt", "all-cids", "all-tenants", "resend", "yes"];
    let env = env_with_one_alert();
    for name in every_command() {
        let definition = definition();
        let command = name
            .split(' ')
            .filter(|word| !word.is_empty())
            .fold(definition, |command, word| command.find_subcommand(word).unwrap());
        let short = run_with_variables(&env, &format!("{name} -h"), &[]).assert_code(0).stdout;
        let generated = short.replace("COLLECTIVE_INSIGHTS_CONFIG", "");
        assert!(!generated.contains("COLLECTIVE_INSIGHTS_"), "{name}: {short}");
        for option in command.get_arguments() {
            let Some(long) = option.get_long().filter(|long| !["help", "version"].contains(long))
            else {
                continue;
            };
            let help = option.get_long_help().or(option.get_help()).unwrap().to_string();
            let word = format!("_{}]", long.replace('-', "_").to_uppercase());
            let has_variable = help.contains("[env: COLLECTIVE_INSIGHTS_") && help.contains(&word);
            assert_eq!(has_variable, !confirmations.contains(&long), "{name} --{long}: {help}");
        }
    }
}

#[test]
fn a_confirmation_in_a_variable_has_no_effect() {
    let env = env_with_one_alert();
    for confirmation in ["ADOPT", "ACCEPT_GAP", "RESEND", "ALL_CIDS", "CROWDSTRIKE_ALL_CIDS"] {
        let variable = format!("COLLECTIVE_INSIGHTS_{confirmation}");
        let output =
            run_with_variables(&env, "check crowdstrike --show-config --json", &[(&variable, "1")]);
        let document = output.assert_code(0).json();
        let settings = document["settings"].as_array().unwrap();
        let set = settings.iter().filter(|setting| {
            !["default", "not set"].contains(&setting["origin"].as_str().unwrap())
        });
        let set: Vec<&Value> = set.map(|setting| &setting["setting"]).collect();
        assert_eq!(set, ["--config", "--json"]);
    }
}

#[test]
fn the_vendors_variables_of_carbon_black_are_supported() {
    let env = env_with_one_alert();
    let token = format!("{CB_SECRET}/{CB_API_ID}");
    let url = env.sandbox.url();
    let variables = [
        ("CBC_URL", &*url),
        ("CBC_ORG_KEY", CB_ORG),
        ("CBC_TOKEN", &token),
        ("RF_TOKEN", RF_TOKEN),
        ("RF_BASE_URL", &url),
    ];
    run_with_variables(&env, "carbonblack", &variables).assert_code(0);
    let variables = [("CBC_TOKEN", "0123456789ABCDEF")];
    let output = run_with_variables(&env, "carbonblack", &variables).assert_code(2);
    output.assert_stderr(&["the variable CBC_TOKEN is not valid: its form is <secret>/<id>"]);
    assert!(!output.stderr.contains("0123456789"), "{}", output.stderr);
}

#[test]
fn commands_that_show_the_ledger_use_the_ledger_of_the_runs() {
    let env = env_with_one_alert();
    let ledger = env.path("other.db");
    let ledger = ledger.to_str().unwrap();
    env.write(
        "settings.toml",
        format!("[defaults]\nledger = \"{ledger}\"\njson = true\nhours = 3\n"),
    );
    RunOutput::capture(env.command("crowdstrike").env("COLLECTIVE_INSIGHTS_LEDGER", ledger))
        .assert_code(0);
    for arguments in ["status", "history", "outbox list", "outbox export"] {
        run_with_variables(&env, arguments, &[("COLLECTIVE_INSIGHTS_LEDGER", ledger)])
            .assert_code(0);
        let with_file = format!("{arguments} --config settings.toml");
        let output = run_with_variables(&env, &with_file, &[]).assert_code(0);
        let is_json = serde_json::from_str::<Value>(&output.stdout).is_ok();
        assert!(!is_json || arguments == "outbox export", "{output:?}");
        let variable = [("COLLECTIVE_INSIGHTS_CONFIG", "settings.toml")];
        run_with_variables(&env, arguments, &variable).assert_code(0);
        run_with_variables(&env, arguments, &[]).assert_code(6);
    }
    let variables = [("COLLECTIVE_INSIGHTS_LEDGER", ledger), ("COLLECTIVE_INSIGHTS_JSON", "true")];
    assert!(
        run_with_variables(&env, "status", &variables).assert_code(0).json()["sources"].is_array()
    );
}

#[test]
fn the_file_of_the_user_is_found() {
    let env = env_with_one_alert();
    let file = write_settings_file(&env);
    let folder = env.path("home/.config/collective-insights");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::rename(file, folder.join("config.toml")).unwrap();
    let run = |variables: &[(&str, &Path)]| {
        let mut command = bare_command(env.folder());
        command.args(["check", "crowdstrike", "--show-config", "--json"]);
        command.env_remove("COLLECTIVE_INSIGHTS_CONFIG").envs(variables.iter().copied());
        value_and_origin(&RunOutput::capture(&mut command).assert_code(0), "--hours")
    };
    let line = format!("36 [{}:9]", folder.join("config.toml").display());
    assert_eq!(run(&[("HOME", &env.path("home"))]), line);
    let xdg = env.path("home/.config");
    assert_eq!(run(&[("HOME", Path::new("/nowhere")), ("XDG_CONFIG_HOME", &xdg)]), line);
    let none = [("HOME", &*env.path("home")), ("COLLECTIVE_INSIGHTS_CONFIG", Path::new(""))];
    assert_eq!(run(&none), line);
    let empty = Path::new("/dev/null");
    assert_eq!(
        run(&[("HOME", &env.path("home")), ("COLLECTIVE_INSIGHTS_CONFIG", empty)]),
        "24 [default]"
    );
}
