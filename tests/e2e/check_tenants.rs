//! Tests `check` of all tenants of a settings file.

use sandbox::{RF_TOKEN, Service};
use serde_json::{Value, json};

use crate::support::settings_file::{
    env_with_one_alert, run_with_variables, write_private, write_settings_file,
};
use crate::support::{RunOutput, TestEnv};

/// Returns an environment with the settings file of [`write_settings_file`], to which this text is
/// appended.
fn env(more: &str) -> TestEnv {
    let env = env_with_one_alert();
    let path = write_settings_file(&env);
    env.write("settings.toml", std::fs::read_to_string(path).unwrap() + more);
    env
}

/// Returns the table of a Carbon Black tenant with these settings. It has the credentials of
/// `acme-cbc`, unless the settings have others.
fn carbonblack(env: &TestEnv, name: &str, settings: &str) -> String {
    let url = env.sandbox.url();
    let credentials = ["api-id-file = \"cb-id\"", "secret-file = \"cb-secret\""];
    let key = |line: &str| line.split(' ').next().unwrap().to_owned();
    let credentials = credentials.into_iter().filter(|line| !settings.contains(&key(line)));
    let credentials: Vec<&str> = credentials.collect();
    format!(
        "\n[[tenant]]\nname = \"{name}\"\nsource = \"carbonblack\"\norg-id = \"{}\"\nhostname = \"{url}\"\n{}\n{settings}\n",
        sandbox::CB_ORG,
        credentials.join("\n"),
    )
}

/// Appends tables of tenants to the settings file.
fn add(env: &TestEnv, tenants: &str) {
    let text = std::fs::read_to_string(env.path("settings.toml")).unwrap();
    env.write("settings.toml", text + tenants);
}

/// Runs `check` with the settings file and these variables.
fn check(env: &TestEnv, arguments: &str, variables: &[(&str, &str)]) -> RunOutput {
    run_with_variables(env, &format!("check --config settings.toml {arguments}"), variables)
}

/// Returns the checks of a JSON document that are about a tenant, as `CHECK OK`: `ledger true`.
fn checks_of(document: &Value, tenant: &str) -> Vec<String> {
    let checks = document["checks"].as_array().unwrap().iter();
    let of_tenant =
        checks.filter(|check| check["tenants"].as_array().unwrap().contains(&Value::from(tenant)));
    of_tenant.map(|check| format!("{} {}", check["check"].as_str().unwrap(), check["ok"])).collect()
}

/// Returns the number of test submissions.
fn submissions(env: &TestEnv) -> usize {
    let requests = env.sandbox.requests_to(Service::RecordedFuture);
    requests.iter().filter(|request| request.method == "POST").count()
}

#[test]
fn each_enabled_tenant_is_checked_and_has_one_line() {
    let env = env("\n[[tenant]]\nname = \"old\"\nsource = \"carbonblack\"\nenabled = false\n");
    let output = check(&env, "", &[]).assert_code(0);
    let end = "\
Tenants: 2 passed, 0 failed, 1 left out
  ✓ acme-falcon: permission: authorized to read alerts; 1 in the last 24 hours
  ✓ acme-cbc: permission: authorized to read alerts; 0 in the last 24 hours
  - old: left out: `enabled = false` in the settings file
All checks passed.
";
    assert!(output.stdout.ends_with(end), "{}", output.stdout);
    for text in [
        "Sends 2 test submissions to Recorded Future, one for each combination of API",
        "All tenants\n  ✓ TLS and proxy: ",
        "CrowdStrike Falcon\n  ✓ network: ",
    ] {
        assert!(output.stdout.contains(text), "no {text:?} in {}", output.stdout);
    }
    for check in ["TLS and proxy", "exclusions", "ledger", "log"] {
        assert_eq!(output.stdout.matches(&format!("✓ {check}: ")).count(), 1, "{}", output.stdout);
    }
    assert!(env.sandbox.stored().is_empty());
    let document = check(&env, "--json", &[]).assert_code(0).json();
    let checks = [
        "TLS and proxy true", "exclusions true", "ledger true", "log true", "network true",
        "clock true", "network true", "clock true", "permission true", "settings true",
        "permission true",
    ];
    assert_eq!(checks_of(&document, "acme-cbc"), checks);
    assert_eq!(checks_of(&document, "old"), ["left out true"]);
}

#[test]
fn what_tenants_share_is_requested_once() {
    let env = env("");
    for number in 0..20 {
        add(&env, &carbonblack(&env, &format!("c{number}"), ""));
    }
    let offline = check(&env, "--offline", &[]).assert_code(0).stdout;
    assert!(offline.contains("  ✓ c19: settings are valid\n"), "{offline}");
    assert!(env.sandbox.requests().is_empty());
    let output = check(&env, "", &[]).assert_code(0);
    assert!(output.stdout.contains("Tenants: 22 passed, 0 failed, 0 left out\n"));
    // One with the organization of acme-falcon, and one without an organization for all others.
    assert_eq!(submissions(&env), 2);
    // One request per tenant of Carbon Black.
    assert_eq!(env.request_count(Service::CarbonBlack), 21, "{}", output.stdout);
}

#[test]
fn another_api_key_is_tested_too_and_named() {
    let env = env("");
    write_private(&env, "wrong", "0therrft0kenneverseen123456789ab");
    for name in ["a", "b"] {
        add(&env, &carbonblack(&env, name, "rf-api-key-file = \"wrong\""));
    }
    let output = check(&env, "", &[]).assert_code(4);
    assert!(output.stdout.contains("✗ a, b: permission: "), "{}", output.stdout);
    assert!(output.stdout.ends_with("1 check failed.\n"), "{}", output.stdout);
    assert_eq!(submissions(&env), 3);
    assert!(!output.stdout.contains(RF_TOKEN));
}

#[test]
fn a_tenant_that_fails_does_not_stop_the_others() {
    let env = env("");
    write_private(&env, "wrong", "wrong");
    for name in ["rejected", "rejected-too"] {
        add(&env, &carbonblack(&env, name, "secret-file = \"wrong\""));
    }
    add(&env, &carbonblack(&env, "no-secret", "secret-file = \"nowhere\""));
    add(&env, &carbonblack(&env, "last", ""));
    let output = check(&env, "--json", &[]).assert_code(4);
    let document = output.json();
    assert_eq!(document["exit_code"], 4, "the exit code of the most urgent failure");
    assert_eq!(checks_of(&document, "rejected").last().unwrap(), "permission false");
    assert_eq!(checks_of(&document, "no-secret"), ["log true", "settings false"]);
    assert_eq!(checks_of(&document, "last").last().unwrap(), "permission true");
    let text = check(&env, "", &[]).assert_code(4).stdout;
    assert!(text.contains("Tenants: 3 passed, 3 failed, 0 left out\n"), "{text}");
    assert!(text.contains("\n  ✗ rejected, rejected-too: permission: "), "{text}");
    assert!(text.contains("\n  ✗ no-secret: settings: the file nowhere "), "{text}");
    assert!(text.ends_with("3 checks failed.\n"), "{text}");
}

#[test]
fn a_service_that_is_not_reached_is_reported_once() {
    let env = env("");
    let unreachable = carbonblack(&env, "gone", "");
    let unreachable = unreachable.replace(&*env.sandbox.url(), "https://no-such-host.invalid");
    add(&env, &unreachable);
    add(&env, &unreachable.replace("gone", "gone-too"));
    let output = check(&env, "", &[]).assert_code(5);
    let text = &output.stdout;
    assert!(text.contains("\n  ✗ gone, gone-too: DNS: "), "{text}");
    assert!(text.contains("\nTenants: 2 passed, 2 failed, 0 left out\n"), "{text}");
    assert!(text.contains("✓ acme-cbc: permission: ") && text.ends_with("1 check failed.\n"));
}

#[test]
fn a_variable_does_not_replace_the_credentials_of_a_tenant() {
    let env = env("");
    let variables = [("CB_SECRET", "wrong"), ("CS_CLIENT_ID", "wrong"), ("CB_API_ID", "wrong")];
    check(&env, "", &variables).assert_code(0);
    // If one tenant is named, variables precede the settings file.
    check(&env, "carbonblack --tenant acme-cbc", &variables).assert_code(4);
    check(&env, "carbonblack --tenant acme-cbc", &[]).assert_code(0);
}

#[test]
fn the_settings_of_each_tenant_are_shown() {
    let env = env("\n[[tenant]]\nname = \"old\"\nsource = \"carbonblack\"\nenabled = false\n");
    let output = check(&env, "--show-config", &[("CB_SECRET", "other")]).assert_code(0);
    let stdout = &output.stdout;
    assert!(stdout.starts_with("acme-falcon (CrowdStrike Falcon)\n"), "{stdout}");
    assert!(stdout.contains("\nacme-cbc (Carbon Black Cloud)\n"), "{stdout}");
    assert!(stdout.contains("(secret)  [file cb-secret (settings.toml:27)]"), "{stdout}");
    let output = check(&env, "--show-config --json", &[]).assert_code(0);
    let documents: Vec<Value> =
        output.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let tenants: Vec<_> = documents.iter().map(|document| &document["tenant"]).collect();
    assert_eq!(tenants, [&json!("acme-falcon"), &json!("acme-cbc")]);
}

#[test]
fn a_warning_about_tenants_is_printed_once_with_their_names() {
    let env = env("");
    let text = std::fs::read_to_string(env.path("settings.toml")).unwrap();
    let text = text.replace("rf-api-key-file = \"rf\"", &format!("rf-api-key = \"{RF_TOKEN}\""));
    write_private(&env, "settings.toml", &text);
    let output = check(&env, "--offline", &[]).assert_code(0);
    let warning = "warning: acme-falcon, acme-cbc: the secret of --rf-api-key is in the settings";
    assert!(output.stderr.contains(warning), "{}", output.stderr);
    assert_eq!(output.stderr.lines().count(), 1, "{}", output.stderr);
}

#[test]
fn without_an_enabled_tenant_there_is_nothing_to_check() {
    let env = env_with_one_alert();
    let tenant = "[[tenant]]\nname = \"a\"\nsource = \"carbonblack\"\nenabled = false\n";
    env.write("settings.toml", tenant);
    let output = check(&env, "--json", &[]).assert_code(2);
    output.assert_stderr(&["the settings file settings.toml has no enabled tenant"]);
    assert_eq!(output.json()["error"]["kind"], "configuration");
}
