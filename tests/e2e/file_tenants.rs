//! Tests `status` and `history` with the tenants of a settings file.

use serde_json::Value;

use crate::support::settings_file::{env_with_one_alert, run_with_variables, write_settings_file};
use crate::support::{RunOutput, TestEnv};

/// The variable for a command that is run two days after the runs.
const LATER: [(&str, &str); 1] = [("COLLECTIVE_INSIGHTS_TEST_NOW", "2026-11-24T00:15:00Z")];

/// Returns an environment in which `acme-falcon` of the settings file has run, and `acme-cbc` has
/// not.
fn env() -> TestEnv {
    let env = env_with_one_alert();
    write_settings_file(&env);
    run_with_variables(&env, "crowdstrike --tenant acme-falcon --config settings.toml", &[])
        .assert_code(0);
    env
}

/// Runs a command with the settings file and these variables.
fn with_file(env: &TestEnv, arguments: &str, variables: &[(&str, &str)]) -> RunOutput {
    run_with_variables(env, &format!("{arguments} --config settings.toml"), variables)
}

/// Replaces a text in the settings file.
fn edit(env: &TestEnv, from: &str, to: &str) {
    let text = std::fs::read_to_string(env.path("settings.toml")).unwrap();
    assert!(text.contains(from), "{from} in {text}");
    env.write("settings.toml", text.replace(from, to));
}

/// Disables a tenant in the settings file.
fn disable(env: &TestEnv, tenant: &str) {
    let name = format!("name = \"{tenant}\"\n");
    edit(env, &name, &format!("{name}enabled = false\n"));
}

/// Returns each tenant of a list and its state in the settings file, such as `acme-cbc enabled`.
fn states(tenants: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or("null").to_owned();
    let tenants = tenants.as_array().unwrap().iter();
    let state = |tenant: &Value| text(&tenant["tenant"]) + " " + &text(&tenant["settings_file"]);
    tenants.map(state).collect()
}

#[test]
fn a_tenant_of_the_file_that_never_ran_is_shown_and_fails_with_max_age() {
    let env = env();
    let status = with_file(&env, "status --json", &[]).assert_code(0).json();
    assert_eq!(states(&status["sources"]), ["acme-falcon enabled", "acme-cbc enabled"]);
    let new = &status["sources"][1];
    assert_eq!((&new["source"], &new["last_run"]), (&"carbonblack".into(), &Value::Null));
    assert_eq!((&new["account"], &new["waiting"]), (&"".into(), &0.into()));
    let text = with_file(&env, "status", &[]).assert_code(0).stdout;
    assert!(text.ends_with("acme-cbc (carbonblack)\n  last run       never\n"), "{text}");
    let output = with_file(&env, "status --max-age 26h", &[]).assert_code(3);
    output.assert_stderr(&["older than --max-age: acme-cbc (never)", "`enabled = false`"]);
    with_file(&env, "status --max-age 26h --source crowdstrike", &[]).assert_code(0);
}

#[test]
fn a_tenant_of_the_file_that_never_ran_can_be_named() {
    let env = env();
    let status = with_file(&env, "status --json --tenant acme-cbc", &[]).assert_code(0).json();
    assert_eq!(states(&status["sources"]), ["acme-cbc enabled"]);
    let output = with_file(&env, "status --tenant acme-cbc --max-age 26h", &[]).assert_code(3);
    output.assert_stderr(&["acme-cbc (never)"]);
    let history = with_file(&env, "history --tenant acme-cbc", &[]).assert_code(0).stdout;
    assert!(history.contains("! never ran: acme-cbc\n"), "{history}");
    let output = with_file(&env, "history --tenant other", &[]).assert_code(2);
    output.assert_stderr(&[
        "neither the ledger nor the settings file has a tenant other",
        "acme-falcon, acme-cbc",
    ]);
    run_with_variables(&env, "status --tenant acme-cbc", &[]).assert_code(2);
}

#[test]
fn a_disabled_tenant_does_not_fail_max_age() {
    let env = env();
    for tenant in ["acme-falcon", "acme-cbc"] {
        disable(&env, tenant);
    }
    let output = with_file(&env, "status --json --max-age 26h", &LATER).assert_code(0);
    assert_eq!(states(&output.json()["sources"]), ["acme-falcon disabled", "acme-cbc disabled"]);
    with_file(&env, "status --max-age 26h --tenant acme-falcon", &LATER).assert_code(0);
    let text = with_file(&env, "status", &LATER).assert_code(0).stdout;
    assert_eq!(
        text.matches("  settings       disabled in the settings file\n").count(),
        2,
        "{text}"
    );
    assert!(text.contains("  last success   2026-11-22T00:15:0"), "{text}");
}

#[test]
fn a_tenant_that_was_removed_from_the_file_does_not_fail_max_age() {
    let env = env();
    with_file(&env, "carbonblack --tenant acme-cbc", &[]).assert_code(0);
    edit(&env, "acme-falcon", "renamed");
    disable(&env, "renamed");
    let output = with_file(&env, "status --json --max-age 26h", &[]).assert_code(0);
    let listed = ["acme-cbc enabled", "acme-falcon absent", "renamed disabled"];
    assert_eq!(states(&output.json()["sources"]), listed);
    let output = with_file(&env, "status --max-age 26h", &LATER).assert_code(3);
    output.assert_stderr(&["older than --max-age: acme-cbc (2026-11-22T00:15:0"]);
    assert!(!output.stderr.contains("acme-falcon"), "{}", output.stderr);
    assert!(output.stdout.contains("  settings       not in the settings file\n"));
    // If the tenant is named, it counts.
    with_file(&env, "status --max-age 26h --tenant acme-falcon", &LATER).assert_code(3);
}

#[test]
fn history_lists_the_tenants_that_do_not_run() {
    let env = env();
    edit(&env, "acme-falcon", "renamed");
    for arguments in ["history", "history --runs"] {
        let text = with_file(&env, arguments, &[]).assert_code(0).stdout;
        let notes = "! never ran: renamed, acme-cbc\n- not in the settings file: acme-falcon\n";
        assert!(text.contains(notes), "{text}");
        let json = with_file(&env, &format!("{arguments} --json"), &[]).assert_code(0).json();
        let listed = ["acme-falcon absent", "renamed enabled", "acme-cbc enabled"];
        assert_eq!(states(&json["tenants"]), listed);
        let never_ran: Vec<_> =
            json["tenants"].as_array().unwrap().iter().map(|one| &one["never_ran"]).collect();
        assert_eq!(never_ran, [false, true, true]);
    }
    disable(&env, "renamed");
    edit(&env, "renamed", "acme-falcon");
    let text = with_file(&env, "history", &[]).assert_code(0).stdout;
    assert!(text.contains("- disabled in the settings file: acme-falcon\n"), "{text}");
}

#[test]
fn without_tenants_in_a_file_the_ledger_alone_counts() {
    let env = env();
    env.write("settings.toml", "[defaults]\nhours = 3\n");
    for config in ["settings.toml", "/dev/null"] {
        let config = format!("--config {config}");
        let status =
            run_with_variables(&env, &format!("status --json {config}"), &[]).assert_code(0).json();
        assert_eq!(states(&status["sources"]), ["acme-falcon null"]);
        let output = run_with_variables(&env, &format!("status --max-age 26h {config}"), &LATER)
            .assert_code(3);
        output.assert_stderr(&["acme-falcon (2026-11-22T00:15:0", "name others with --tenant"]);
        let history =
            run_with_variables(&env, &format!("history {config}"), &[]).assert_code(0).stdout;
        assert!(!history.contains("settings file") && !history.contains("never ran"), "{history}");
    }
}

#[test]
fn a_missing_ledger_and_an_unreadable_file_are_errors() {
    let env = env_with_one_alert();
    write_settings_file(&env);
    for command in ["status", "status --max-age 26h", "history", "status --tenant acme-cbc"] {
        with_file(&env, command, &[]).assert_code(6).assert_stderr(&["there is no ledger at"]);
        let output = run_with_variables(&env, &format!("{command} --config nowhere.toml"), &[])
            .assert_code(2);
        output.assert_stderr(&["the settings file nowhere.toml cannot be read"]);
    }
}
