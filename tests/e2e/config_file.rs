//! The settings file and the variables of all options: what they set, where a value comes from, and
//! the mistakes that are reported.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use collective_insights::cli::definition;
use sandbox::{CB_API_ID, CB_ORG, CB_SECRET, CLIENT_ID, CLIENT_SECRET, RF_TOKEN, World};
use serde_json::Value;

use crate::help::every_command;
use crate::markdown::code;
use crate::support::alerts::{falcon, sha256};
use crate::support::{RunOutput, TestEnv, bare_command};
use crate::topics::topic;

fn test_env() -> TestEnv {
    TestEnv::new(World::default().falcon_alerts(&[falcon("cid:ind:1", "sha256", &sha256(1))]))
}

/// Writes a file that only its owner can read.
fn private(env: &TestEnv, name: &str, content: &str) -> PathBuf {
    let path = env.write(name, content);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}

/// Writes a settings file with a tenant of each source, and the files of their secrets.
fn settings_file(env: &TestEnv) -> PathBuf {
    private(env, "rf", RF_TOKEN);
    private(env, "id", CLIENT_ID);
    private(env, "secret", CLIENT_SECRET);
    private(env, "cb-id", CB_API_ID);
    private(env, "cb-secret", CB_SECRET);
    let url = env.sandbox.url();
    env.write(
        "settings.toml",
        format!(
            r#"[defaults]
rf-api-key-file = "rf"
rf-api-url = "{url}"
hours = 48
log-level = "WARNING"

[defaults.crowdstrike]
indicator = "both"
hours = 36

[[tenant]]
name = "acme-falcon"
source = "crowdstrike"
client-id-file = "id"
client-secret-file = "secret"
base-url = "{url}"
organization-id = ["uhash:T2j9L"]
min-severity = "medium"
skip-dismissed = true

[[tenant]]
name = "acme-cbc"
source = "carbonblack"
org-id = "{CB_ORG}"
hostname = "{url}"
api-id-file = "cb-id"
secret-file = "cb-secret"
"#
        ),
    )
}

/// Returns the result of a command without any of the services' variables.
fn bare(env: &TestEnv, arguments: &str, variables: &[(&str, &str)]) -> RunOutput {
    let mut command = bare_command(env.folder());
    command.args(arguments.split_whitespace()).envs(variables.iter().copied());
    command.env("COLLECTIVE_INSIGHTS_TEST_NOW", crate::support::NOW);
    if env.sandbox.ca_pem().is_some() {
        command.env("SSL_CERT_FILE", env.path("sandbox-ca.pem"));
    }
    RunOutput::capture(&mut command)
}

/// Returns `VALUE [ORIGIN]` of an option in the output of `check --show-config --json`.
fn shown(output: &RunOutput, flag: &str) -> String {
    let document = output.json();
    let settings = document["settings"].as_array().unwrap();
    let found = settings.iter().find(|setting| setting["setting"] == flag);
    let found = found.unwrap_or_else(|| panic!("no {flag} in {document}"));
    let text = |name: &str| found[name].as_str().unwrap().to_owned();
    format!("{} [{}]", text("value"), text("origin"))
}

/// Returns the result of `check crowdstrike --show-config` with the settings file.
fn show(env: &TestEnv, arguments: &str, variables: &[(&str, &str)]) -> RunOutput {
    let arguments =
        format!("check crowdstrike --show-config --json --config settings.toml {arguments}");
    bare(env, &arguments, variables).assert_code(0)
}

#[test]
fn a_tenant_runs_with_the_settings_of_the_file_only() {
    let env = test_env();
    settings_file(&env);
    for (source, tenant) in [("crowdstrike", "acme-falcon"), ("carbonblack", "acme-cbc")] {
        let arguments = format!("{source} --config settings.toml --tenant {tenant} --json");
        let output = bare(&env, &arguments, &[]).assert_code(0);
        assert_eq!(output.json()["tenant"], tenant);
        let check = format!("check {source} --config settings.toml --tenant {tenant}");
        bare(&env, &check, &[]).assert_code(0);
    }
    assert_eq!(env.submission_bodies()[0]["organization_ids"], serde_json::json!(["uhash:T2j9L"]));
    let status = bare(&env, "status --json", &[]).assert_code(0).json();
    assert_eq!(status["sources"].as_array().unwrap().len(), 2);
}

#[test]
fn the_example_of_the_topic_is_valid() {
    let env = test_env();
    let example = code(topic("options"), "toml").remove(0);
    assert_eq!(bare(&env, "generate config", &[]).assert_code(0).stdout, example);
    env.write("settings.toml", example.replace("/etc/", "/nowhere/"));
    for (source, tenant) in [("crowdstrike", "acme-falcon"), ("carbonblack", "acme-cbc")] {
        let arguments = format!("{source} --tenant {tenant} --config settings.toml");
        // Valid, but the files that it names do not exist.
        let output = bare(&env, &arguments, &[]).assert_code(2);
        output.assert_stderr(&["the file /nowhere/collective-insights/", "cannot be read"]);
    }
}

#[test]
fn each_value_is_shown_with_the_line_that_sets_it() {
    let env = test_env();
    settings_file(&env);
    let output = show(&env, "--tenant acme-falcon", &[]);
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
        assert_eq!(shown(&output, flag), expected);
    }
}

#[test]
fn an_argument_precedes_a_variable_and_that_the_file() {
    let env = test_env();
    settings_file(&env);
    let tenant = [("COLLECTIVE_INSIGHTS_TENANT", "acme-falcon")];
    let output = show(&env, "", &tenant);
    assert_eq!(shown(&output, "--tenant"), "acme-falcon [variable COLLECTIVE_INSIGHTS_TENANT]");
    assert_eq!(shown(&output, "--min-severity"), "medium [settings.toml:18]");
    let variables = [
        ("COLLECTIVE_INSIGHTS_CROWDSTRIKE_MIN_SEVERITY", "70"),
        ("COLLECTIVE_INSIGHTS_SKIP_DISMISSED", "0"),
        ("COLLECTIVE_INSIGHTS_ORGANIZATION_ID", "A, B"),
        ("COLLECTIVE_INSIGHTS_HOURS", ""),
        ("CS_CLIENT_SECRET", "from-a-variable-0001"),
    ];
    let output = show(&env, "--tenant acme-falcon", &variables);
    for (flag, expected) in [
        ("--min-severity", "70 [variable COLLECTIVE_INSIGHTS_CROWDSTRIKE_MIN_SEVERITY]"),
        ("--skip-dismissed", "false [variable COLLECTIVE_INSIGHTS_SKIP_DISMISSED]"),
        ("--organization-id", "A B [variable COLLECTIVE_INSIGHTS_ORGANIZATION_ID]"),
        ("--hours", "36 [settings.toml:9]"),
        ("--client-secret", "(secret) [variable CS_CLIENT_SECRET]"),
    ] {
        assert_eq!(shown(&output, flag), expected);
    }
    let output = show(&env, "--tenant acme-falcon --min-severity 5", &variables);
    assert_eq!(shown(&output, "--min-severity"), "5 [argument]");
}

#[test]
fn without_a_tenant_only_the_defaults_apply() {
    let env = test_env();
    settings_file(&env);
    let output = show(&env, "", &[]);
    assert_eq!(shown(&output, "--hours"), "36 [settings.toml:9]");
    assert_eq!(shown(&output, "--min-severity"), "0 [default]");
    let output = bare(&env, "crowdstrike --config settings.toml", &[]).assert_code(2);
    output.assert_stderr(&[
        "required settings are missing:\n    --client-id (CS_CLIENT_ID)\n",
        "The settings file has tenants, which `crowdstrike --tenant NAME` chooses: acme-falcon.",
    ]);
    env.write("settings.toml", "[[tenant]]\nname = \"a\"\nsource = \"carbonblack\"\n");
    let output = bare(&env, "check --config settings.toml", &[]).assert_code(2);
    output.assert_stderr(&["no source is configured", "`carbonblack --tenant NAME` chooses: a."]);
}

#[test]
fn a_tenant_that_the_file_does_not_have_is_a_warning() {
    let env = test_env();
    env.write("settings.toml", "[[tenant]]\nname = \"acme\"\nsource = \"crowdstrike\"\n");
    let warning = "the settings file settings.toml has no tenant acmee, so only its defaults apply";
    let run = |tenant: &str| {
        env.run(&format!("crowdstrike --config settings.toml --tenant {tenant}")).assert_code(0);
        env.log().contains(warning)
    };
    assert!(!run("acme"));
    assert!(run("acmee"));
    env.run("check crowdstrike --offline --config settings.toml --tenant acmee")
        .assert_code(0)
        .assert_stderr(&[warning]);
}

#[test]
fn a_tenant_of_another_source_is_an_error() {
    let env = test_env();
    settings_file(&env);
    let output = bare(&env, "carbonblack --config settings.toml --tenant acme-falcon", &[]);
    output.assert_code(2).assert_stderr(&[
        "the tenant acme-falcon in settings.toml is one of crowdstrike, not of carbonblack",
        "`collective-insights crowdstrike --tenant acme-falcon`",
    ]);
    assert!(env.sandbox.requests().is_empty());
}

#[test]
fn a_value_from_elsewhere_never_conflicts_with_an_argument() {
    let env = test_env();
    env.write("settings.toml", "[defaults]\nsince = \"3d\"\nuntil = \"2d\"\nno-ledger = true\n");
    let output = show(&env, "", &[]);
    assert_eq!(shown(&output, "--since"), "3d [settings.toml:2]");
    let output = show(&env, "--hours 5 --ledger l.db", &[]);
    for (flag, expected) in [
        ("--hours", "5 [argument]"),
        ("--since", " [not set]"),
        ("--until", " [not set]"),
        ("--no-ledger", "false [default]"),
    ] {
        assert_eq!(shown(&output, flag), expected);
    }
    let variable = [("COLLECTIVE_INSIGHTS_HOURS", "7")];
    let output = show(&env, "", &variable);
    assert_eq!(shown(&output, "--hours"), "7 [variable COLLECTIVE_INSIGHTS_HOURS]");
    assert_eq!(shown(&output, "--since"), " [not set]");
    let member = [("COLLECTIVE_INSIGHTS_CROWDSTRIKE_MEMBER_CID", "abc")];
    let output = show(&env, "--all-cids", &member);
    assert_eq!(shown(&output, "--member-cid"), " [not set]");
    let output = show(&env, "--since 1d", &variable);
    assert_eq!(shown(&output, "--hours"), "24 [default]");
}

#[test]
fn a_cloud_and_a_base_url_of_different_layers_do_not_mix() {
    let env = test_env();
    env.write(
        "settings.toml",
        "[defaults]\n[defaults.crowdstrike]\nbase-url = \"https://a.example\"\n\n[[tenant]]\nname = \"a\"\nsource = \"crowdstrike\"\ncloud = \"eu-1\"\n",
    );
    let output = show(&env, "--tenant a", &[]);
    assert_eq!(shown(&output, "--cloud"), "eu-1 [settings.toml:8]");
    assert_eq!(shown(&output, "--base-url"), " [not set]");
    let output = show(&env, "--tenant a", &[("CS_BASE_URL", "https://b.example")]);
    assert_eq!(shown(&output, "--base-url"), "https://b.example [variable CS_BASE_URL]");
    let output = show(&env, "", &[]);
    assert_eq!(shown(&output, "--base-url"), "https://a.example [settings.toml:3]");
}

#[test]
fn every_option_but_a_consent_has_a_variable() {
    let consents = ["accept-gap", "adopt", "all-cids", "all-tenants", "resend", "yes"];
    let env = test_env();
    for name in every_command() {
        let definition = definition();
        let command = name
            .split(' ')
            .filter(|word| !word.is_empty())
            .fold(&definition, |command, word| command.find_subcommand(word).unwrap());
        let short = bare(&env, &format!("{name} -h"), &[]).assert_code(0).stdout;
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
            assert_eq!(has_variable, !consents.contains(&long), "{name} --{long}: {help}");
        }
    }
}

#[test]
fn a_variable_that_sets_nothing_is_a_warning() {
    let env = test_env();
    let mut command = env.command("crowdstrike");
    command.env("COLLECTIVE_INSIGHTS_CROWDSTRIKE_MIN_SEVERTY", "low");
    command.env("COLLECTIVE_INSIGHTS_RESEND", "true");
    command.env("COLLECTIVE_INSIGHTS_HOURS", "5");
    command.env("COLLECTIVE_INSIGHTS_CARBONBLACK_SECRET_FILE", "/dev/null");
    RunOutput::capture(&mut command).assert_code(0);
    for warning in [
        "the variable COLLECTIVE_INSIGHTS_CROWDSTRIKE_MIN_SEVERTY has no effect; the nearest is COLLECTIVE_INSIGHTS_CROWDSTRIKE_MIN_SEVERITY",
        "the variable COLLECTIVE_INSIGHTS_RESEND has no effect",
    ] {
        assert!(env.log().contains(warning), "{}", env.log());
    }
    assert_eq!(env.log().matches("has no effect").count(), 2, "{}", env.log());
    let mut command = env.command("check crowdstrike --offline");
    command.env("COLLECTIVE_INSIGHTS_HOUR", "5");
    RunOutput::capture(&mut command).assert_code(0).assert_stderr(&[
        "the variable COLLECTIVE_INSIGHTS_HOUR has no effect; the nearest is COLLECTIVE_INSIGHTS_HOURS",
    ]);
}

#[test]
fn a_consent_in_a_variable_has_no_effect() {
    let env = test_env();
    for consent in ["ADOPT", "ACCEPT_GAP", "RESEND", "ALL_CIDS", "CROWDSTRIKE_ALL_CIDS"] {
        let variable = format!("COLLECTIVE_INSIGHTS_{consent}");
        let output = bare(&env, "check crowdstrike --show-config --json", &[(&variable, "1")]);
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
    let env = test_env();
    let token = format!("{CB_SECRET}/{CB_API_ID}");
    let url = env.sandbox.url();
    let variables = [
        ("CBC_URL", &*url),
        ("CBC_ORG_KEY", CB_ORG),
        ("CBC_TOKEN", &token),
        ("RF_TOKEN", RF_TOKEN),
        ("RF_BASE_URL", &url),
    ];
    bare(&env, "carbonblack", &variables).assert_code(0);
    let variables = [("CBC_TOKEN", "0123456789ABCDEF")];
    let output = bare(&env, "carbonblack", &variables).assert_code(2);
    output.assert_stderr(&["the variable CBC_TOKEN is not valid: its form is <secret>/<id>"]);
    assert!(!output.stderr.contains("0123456789"), "{}", output.stderr);
}

#[test]
fn the_commands_of_the_ledger_use_that_of_the_runs() {
    let env = test_env();
    let ledger = env.path("other.db");
    let ledger = ledger.to_str().unwrap();
    env.write(
        "settings.toml",
        format!("[defaults]\nledger = \"{ledger}\"\njson = true\nhours = 3\n"),
    );
    RunOutput::capture(env.command("crowdstrike").env("COLLECTIVE_INSIGHTS_LEDGER", ledger))
        .assert_code(0);
    for arguments in ["status", "history", "outbox list", "outbox export"] {
        bare(&env, arguments, &[("COLLECTIVE_INSIGHTS_LEDGER", ledger)]).assert_code(0);
        let with_file = format!("{arguments} --config settings.toml");
        let output = bare(&env, &with_file, &[]).assert_code(0);
        let is_json = serde_json::from_str::<Value>(&output.stdout).is_ok();
        assert!(!is_json || arguments == "outbox export", "{output:?}");
        let variable = [("COLLECTIVE_INSIGHTS_CONFIG", "settings.toml")];
        bare(&env, arguments, &variable).assert_code(0);
        bare(&env, arguments, &[]).assert_code(6);
    }
    let variables = [("COLLECTIVE_INSIGHTS_LEDGER", ledger), ("COLLECTIVE_INSIGHTS_JSON", "true")];
    assert!(bare(&env, "status", &variables).assert_code(0).json()["sources"].is_array());
}

#[test]
fn the_file_of_the_user_is_found() {
    let env = test_env();
    let file = settings_file(&env);
    let folder = env.path("home/.config/collective-insights");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::rename(file, folder.join("config.toml")).unwrap();
    let run = |variables: &[(&str, &Path)]| {
        let mut command = bare_command(env.folder());
        command.args(["check", "crowdstrike", "--show-config", "--json"]);
        command.env_remove("COLLECTIVE_INSIGHTS_CONFIG").envs(variables.iter().copied());
        shown(&RunOutput::capture(&mut command).assert_code(0), "--hours")
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

#[test]
fn a_file_that_is_named_must_be_readable() {
    let env = test_env();
    env.write("latin1.toml", b"# caf\xe9\n");
    for (name, cause) in
        [("missing.toml", "No such file"), (".", "directory"), ("latin1.toml", "UTF-8")]
    {
        for arguments in ["crowdstrike", "check", "check crowdstrike", "status", "outbox list"] {
            let argument = bare(&env, &format!("{arguments} --config {name}"), &[]);
            let variable = bare(&env, arguments, &[("COLLECTIVE_INSIGHTS_CONFIG", name)]);
            for output in [argument, variable] {
                let message = format!("the settings file {name} cannot be read");
                output.assert_code(2).assert_stderr(&[&message, cause, "--config"]);
            }
        }
    }
    let output = bare(&env, "crowdstrike --json --config missing.toml", &[]).assert_code(2);
    assert_eq!(output.json()["exit_code"], 2);
}

#[test]
fn each_mistake_is_reported_with_its_line() {
    let env = test_env();
    let tenant = "[[tenant]]\nname = \"a\"\nsource = \"crowdstrike\"\n";
    let defaults = "[defaults]\n";
    for (table, setting, expected) in [
        (
            tenant,
            "min-severty = \"low\"",
            "4: unknown key min-severty; the nearest is min-severity",
        ),
        (
            tenant,
            "client-secret-flie = \"f\"",
            "4: unknown key client-secret-flie; the nearest is client-secret-file",
        ),
        (tenant, "org-id = \"x\"", "4: unknown key org-id"),
        (
            tenant,
            "min-severity = \"severe\"",
            "4: invalid value 'severe' for '--min-severity <N>': a severity is",
        ),
        (
            tenant,
            "indicator = \"all\"",
            "4: invalid value 'all' for '--indicator <WHICH>' [possible values: ioc, files, both]",
        ),
        (tenant, "skip-dismissed = \"yes\"", "4: skip-dismissed must be true or false"),
        (
            tenant,
            "organization-id = \"a\"",
            "4: organization-id must be an array of strings: organization-id = [\"...\"]",
        ),
        (
            tenant,
            "all-cids = true",
            "4: all-cids is a consent, and can only be given on the command line",
        ),
        (tenant, "client-id = 5.5", "4: client-id must be a string"),
        (
            tenant,
            "client-id-file = \"f\"\nclient-id = \"s\"",
            "5: client-id is set here, and client-id-file too",
        ),
        (tenant, "hours = 5\nsince = \"2d\"", "4: in the table of this line, the argument '--"),
        (
            defaults,
            "hours = \"24x\"",
            "2: invalid value '24x' for '--hours <N>': a number of hours",
        ),
        (
            defaults,
            "deadline = 60.5",
            "2: deadline must be a string or an integer, not a number with a decimal point",
        ),
        (
            defaults,
            "until = 2026-11-20",
            "2: until must be a string or an integer, not a date or time",
        ),
        (defaults, "hours = [5]", "2: hours must be a string or an integer"),
        (
            defaults,
            "min-severity = 5",
            "2: min-severity is an option of single sources; set it in [defaults.carbonblack], [defaults.crowdstrike] or in a [[tenant]]",
        ),
        (defaults, "tenant = \"a\"", "2: tenant cannot be set here"),
        (defaults, "config = \"a\"", "2: config cannot be set here"),
        (defaults, "help = true", "2: unknown key help"),
        (defaults, "\"\" = 1", "2: unknown key"),
        (defaults, "hours = ", "2: this is not valid TOML"),
    ] {
        env.write("settings.toml", format!("{table}{setting}\n"));
        for command in ["crowdstrike", "status", "check"] {
            let output = bare(&env, &format!("{command} --config settings.toml"), &[]);
            let output = output.assert_code(2);
            let message = "error: the settings file is not valid: settings.toml:";
            output.assert_stderr(&[&format!("{message}{expected}")]);
        }
    }
    assert!(env.sandbox.requests().is_empty());
}

#[test]
fn a_value_that_only_a_run_can_judge_is_reported_with_its_line() {
    let env = test_env();
    env.write("settings.toml", "[defaults]\nrf-api-url = \"http://a.example\"\n");
    let mut command = env.command("crowdstrike --config settings.toml");
    let output = RunOutput::capture(command.env_remove("RF_API_URL")).assert_code(2);
    output.assert_stderr(&[
        "--rf-api-url (RF_API_URL) is not valid",
        "cause: the value is from settings.toml:2",
    ]);
}

#[test]
fn a_variable_with_a_wrong_value_is_named() {
    let env = test_env();
    for (name, value, reason) in [
        ("COLLECTIVE_INSIGHTS_HOURS", "x", "invalid value 'x' for '--hours <N>'"),
        ("COLLECTIVE_INSIGHTS_DRY_RUN", "ja", "its value must be true, false, 1 or 0"),
        ("COLLECTIVE_INSIGHTS_CROWDSTRIKE_INDICATOR", "all", "possible values: ioc, files, both"),
        ("COLLECTIVE_INSIGHTS_TENANT", "a b", "a name has up to 64 letters"),
    ] {
        let output = bare(&env, "crowdstrike", &[(name, value)]).assert_code(2);
        output.assert_stderr(&[&format!("error: variable {name}: "), reason]);
    }
    let output = bare(&env, "crowdstrike", &[("COLLECTIVE_INSIGHTS_UNTIL", "2d")]).assert_code(2);
    output.assert_stderr(&["--since <TIME>", "--until from variable COLLECTIVE_INSIGHTS_UNTIL"]);
}

#[test]
fn a_secret_in_the_file_is_accepted_only_where_others_cannot_read_it() {
    let env = test_env();
    let content = format!("[defaults.crowdstrike]\nclient-secret = \"{CLIENT_SECRET}\"\n");
    private(&env, "settings.toml", &content);
    let run = || {
        let mut command = env.command("crowdstrike --config settings.toml");
        RunOutput::capture(command.env_remove("CS_CLIENT_SECRET"))
    };
    run().assert_code(0);
    let warning = "the secret of --client-secret is in the settings file itself (settings.toml:2); name a file that contains it with client-secret-file";
    assert!(env.log().contains(warning), "{}", env.log());
    assert!(!env.log().contains(CLIENT_SECRET));
    for mode in [0o640, 0o604] {
        let path = env.path("settings.toml");
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        let output = run().assert_code(2);
        output.assert_stderr(&[
            "settings.toml:2: client-secret is a secret, and other users can read this file",
            "client-secret-file",
        ]);
        assert!(!output.stderr.contains(CLIENT_SECRET));
    }
}

#[test]
fn a_secret_file_that_cannot_be_read_is_named_with_its_line() {
    let env = test_env();
    env.write("settings.toml", "[defaults.crowdstrike]\nclient-secret-file = \"nowhere\"\n");
    let mut command = env.command("crowdstrike --config settings.toml");
    let output = RunOutput::capture(command.env_remove("CS_CLIENT_SECRET")).assert_code(2);
    output.assert_stderr(&[
        "the file nowhere for --client-secret (settings.toml:2) cannot be read",
        "Name a readable file with client-secret-file",
    ]);
    env.write("empty", "\n");
    env.write("settings.toml", "[defaults.crowdstrike]\nclient-secret-file = \"empty\"\n");
    let mut command = env.command("crowdstrike --config settings.toml");
    let output = RunOutput::capture(command.env_remove("CS_CLIENT_SECRET")).assert_code(2);
    output.assert_stderr(&["--client-secret (settings.toml:2=empty is empty)"]);
}
