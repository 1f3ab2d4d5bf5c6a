//! Tests that mistakes in the settings file, in the files that it names, in the generated variables
//! (`COLLECTIVE_INSIGHTS_*`) and in `--tenant` are reported.

use std::os::unix::fs::PermissionsExt as _;

use sandbox::CLIENT_SECRET;

use crate::support::RunOutput;
use crate::support::settings_file::{
    env_with_one_alert, run_with_variables, write_private, write_settings_file,
};

#[test]
fn a_tenant_that_the_file_does_not_have_is_a_warning() {
    let env = env_with_one_alert();
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
    let env = env_with_one_alert();
    write_settings_file(&env);
    let output =
        run_with_variables(&env, "carbonblack --config settings.toml --tenant acme-falcon", &[]);
    output.assert_code(2).assert_stderr(&[
        "the tenant acme-falcon in settings.toml is one of crowdstrike, not of carbonblack",
        "`collective-insights crowdstrike --tenant acme-falcon`",
    ]);
    assert!(env.sandbox.requests().is_empty());
}

#[test]
fn a_variable_that_sets_nothing_is_a_warning() {
    let env = env_with_one_alert();
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
fn a_settings_file_that_is_named_must_be_readable() {
    let env = env_with_one_alert();
    env.write("latin1.toml", b"# caf\xe9\n");
    for (name, cause) in
        [("missing.toml", "No such file"), (".", "directory"), ("latin1.toml", "UTF-8")]
    {
        for arguments in ["crowdstrike", "check", "check crowdstrike", "status", "outbox list"] {
            let argument = run_with_variables(&env, &format!("{arguments} --config {name}"), &[]);
            let variable =
                run_with_variables(&env, arguments, &[("COLLECTIVE_INSIGHTS_CONFIG", name)]);
            for output in [argument, variable] {
                let message = format!("the settings file {name} cannot be read");
                output.assert_code(2).assert_stderr(&[&message, cause, "--config"]);
            }
        }
    }
    let output =
        run_with_variables(&env, "crowdstrike --json --config missing.toml", &[]).assert_code(2);
    assert_eq!(output.json()["exit_code"], 2);
}

#[test]
fn each_mistake_is_reported_with_its_line() {
    let env = env_with_one_alert();
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
            "4: all-cids confirms a risk, and can only be given on the command line",
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
            "2: min-severity belongs to a source; set it in [defaults.carbonblack], [defaults.crowdstrike] or in a [[tenant]]",
        ),
        (defaults, "tenant = \"a\"", "2: tenant cannot be set here"),
        (defaults, "config = \"a\"", "2: config cannot be set here"),
        (defaults, "help = true", "2: unknown key help"),
        (defaults, "\"\" = 1", "2: unknown key"),
        (defaults, "hours = ", "2: this is not valid TOML"),
    ] {
        env.write("settings.toml", format!("{table}{setting}\n"));
        for command in ["crowdstrike", "status", "check"] {
            let output =
                run_with_variables(&env, &format!("{command} --config settings.toml"), &[]);
            let output = output.assert_code(2);
            let message = "error: the settings file is not valid: settings.toml:";
            output.assert_stderr(&[&format!("{message}{expected}")]);
        }
    }
    assert!(env.sandbox.requests().is_empty());
}

#[test]
fn a_value_that_is_judged_after_the_file_was_read_is_reported_with_its_line() {
    let env = env_with_one_alert();
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
    let env = env_with_one_alert();
    for (name, value, reason) in [
        ("COLLECTIVE_INSIGHTS_HOURS", "x", "invalid value 'x' for '--hours <N>'"),
        ("COLLECTIVE_INSIGHTS_DRY_RUN", "ja", "its value must be true, false, 1 or 0"),
        ("COLLECTIVE_INSIGHTS_CROWDSTRIKE_INDICATOR", "all", "possible values: ioc, files, both"),
        ("COLLECTIVE_INSIGHTS_TENANT", "a b", "a name has up to 64 letters"),
    ] {
        let output = run_with_variables(&env, "crowdstrike", &[(name, value)]).assert_code(2);
        output.assert_stderr(&[&format!("error: variable {name}: "), reason]);
    }
    let output = run_with_variables(&env, "crowdstrike", &[("COLLECTIVE_INSIGHTS_UNTIL", "2d")])
        .assert_code(2);
    output.assert_stderr(&["--since <TIME>", "--until from variable COLLECTIVE_INSIGHTS_UNTIL"]);
}

#[test]
fn a_secret_in_the_file_is_accepted_only_where_others_cannot_read_it() {
    let env = env_with_one_alert();
    let content = format!("[defaults.crowdstrike]\nclient-secret = \"{CLIENT_SECRET}\"\n");
    write_private(&env, "settings.toml", &content);
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
    let env = env_with_one_alert();
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

#[test]
fn a_file_without_end_is_not_read() {
    let env = env_with_one_alert();
    for (arguments, variables, message) in [
        ("run --config /dev/zero", &[][..], "the settings file /dev/zero cannot be read"),
        (
            "crowdstrike",
            &[("RF_API_KEY_FILE", "/dev/zero")][..],
            "the file /dev/zero for --rf-api-key",
        ),
    ] {
        let output = run_with_variables(&env, arguments, variables).assert_code(2);
        output.assert_stderr(&[message, "it is larger than "]);
    }
}
