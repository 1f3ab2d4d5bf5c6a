//! Tests of `run`, which runs the tenants of the settings file in one process, each as if it ran
//! alone.

use sandbox::{Fault, Sandbox, Service, World};
use serde_json::Value;

use crate::support::alerts::{falcon, sha256};
use crate::support::json::text;
use crate::support::tenants_env::{SETTINGS, TenantServices, TenantsEnv, acme, beta, by_tenant};
use crate::support::vendor::Vendor;

/// Returns the values of the stored indicators, sorted.
fn values(sandbox: &Sandbox) -> Vec<String> {
    sorted(sandbox.stored().iter().map(|stored| text(&stored.item, "/ioc/value")))
}

fn sorted(values: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut values: Vec<String> = values.into_iter().collect();
    values.sort();
    values
}

#[test]
fn each_tenant_has_a_line_in_the_summary_and_its_name_in_the_log() {
    let env = TenantsEnv::new(vec![acme(), beta()]);
    let output = env.run("run").assert_code(0);
    assert_eq!(output.stderr, "");
    let (summary, notes) = output.stdout.split_once("  note: ").unwrap();
    assert_eq!(
        summary,
        "2 tenants, 2 with exit code 0\n  \
         tenant  fetched  new  sent  queued  quarantined  exit code\n  \
         acme          2    2     2       0            0          0\n  \
         beta          3    3     3       0            0          0\n  \
         total         5    5     5       0            0          0\n"
    );
    assert!(notes.starts_with("created the ledger "), "{notes}");
    assert_eq!(values(&env.services("acme").sandbox), ["8.8.4.4", "a.example.com"]);
    assert_eq!(values(&env.services("beta").sandbox), sorted((1..=3).map(sha256)));

    let log = env.home.log();
    for (tenant, title) in [("acme", "CrowdStrike Falcon"), ("beta", "Carbon Black Cloud")] {
        let of_tenant = |line: &&str| line.contains(&format!(" tenant={tenant} "));
        let lines: Vec<&str> = log.lines().filter(of_tenant).collect();
        assert!(lines.iter().any(|line| line.contains(title)), "{log}");
        assert!(lines.iter().any(|line| line.contains("run finished")), "{log}");
    }
    let without_tenant: Vec<&str> = log.lines().filter(|line| !line.contains("tenant=")).collect();
    assert!(without_tenant.iter().any(|line| line.contains("started")), "{log}");
    assert!(without_tenant.iter().all(|line| !line.contains("finished")), "{log}");
}

#[test]
fn a_second_run_sends_nothing_again_and_a_run_of_one_tenant_leaves_the_others() {
    let env = TenantsEnv::new(vec![acme(), beta()]);
    env.run("run --tenant beta").assert_code(0);
    assert_eq!(values(&env.services("acme").sandbox), <[&str; 0]>::default());
    let outputs = by_tenant(&env.run("run --json").assert_code(0));
    assert_eq!((outputs["acme"].count("submitted"), outputs["beta"].count("submitted")), (2, 0));
    assert_eq!(outputs["beta"].count("already_delivered"), 3);
    let status = env.home.run("status --json").assert_code(0).json();
    assert_eq!(status["sources"].as_array().unwrap().len(), 2, "{status}");
}

#[test]
fn the_json_document_contains_the_document_of_each_tenant() {
    let env = TenantsEnv::new(vec![acme(), beta()]);
    env.services("beta").sandbox.always(Service::CarbonBlack, Some(Fault::status(401, "")));
    let output = env.run("run --json").assert_code(4);
    let document = output.json();
    assert_eq!((&document["schema_version"], &document["exit_code"]), (&1.into(), &4.into()));
    let names: Vec<&Value> =
        document["tenants"].as_array().unwrap().iter().map(|tenant| &tenant["tenant"]).collect();
    assert_eq!(names, ["acme", "beta"]);
    let outputs = by_tenant(&output);
    outputs["acme"].assert_counts(&[
        ("alerts_fetched", 2),
        ("indicators_found", 2),
        ("submitted", 2),
        ("processed", 2),
    ]);
    assert_eq!((outputs["acme"].code, outputs["beta"].code), (0, 4));
    assert_eq!(outputs["beta"].json()["error"]["kind"], "credentials");
    output.assert_stderr(&["error: beta: Carbon Black Cloud"]);
}

#[test]
fn the_exit_code_is_that_of_the_most_urgent_failure() {
    let env = TenantsEnv::new(vec![acme(), beta(), third()]);
    let fault = |name, service, code| {
        env.services(name).sandbox.always(service, Some(Fault::status(code, "")));
    };
    fault("acme", Service::FalconAlerts, 503);
    let output = env.run("run --json").assert_code(5);
    let codes = |output| by_tenant(output).values().map(|one| one.code).collect::<Vec<_>>();
    assert_eq!(codes(&output), [5, 0, 0]);
    fault("third", Service::FalconAlerts, 403);
    let output = env.run("run --json").assert_code(4);
    assert_eq!(codes(&output), [5, 0, 4]);
}

fn third() -> TenantServices {
    let alerts = [falcon("3", "domain", "third.example.com")];
    TenantServices::new("third", Vendor::CrowdStrike, World::default().falcon_alerts(&alerts))
}

#[test]
fn a_failure_of_several_tenants_is_printed_once() {
    let env = TenantsEnv::with_shared_recorded_future(vec![acme(), beta(), third()]);
    env.home.sandbox.always(Service::RecordedFuture, Some(Fault::status(503, "")));
    let output = env.run("run").assert_code(5);
    assert_eq!(output.stderr.matches("error: ").count(), 1, "{}", output.stderr);
    output.assert_stderr(&["error: acme, beta, third: Recorded Future"]);
    assert!(output.stdout.contains("\n  beta          3    3     0       3"), "{}", output.stdout);
}

#[test]
fn invalid_settings_of_one_tenant_do_not_stop_the_others() {
    let env = TenantsEnv::new(vec![acme(), beta().setting("exclusion-file = \"missing.txt\"")]);
    std::fs::remove_file(env.secret_file("acme", "secret")).unwrap();
    let output = env.run("run").assert_code(2);
    output.assert_stderr(&["error: acme: the file ", "error: beta: ", "missing.txt"]);
    let env = TenantsEnv::new(vec![acme(), beta().setting("exclusion-file = \"missing.txt\"")]);
    let output = env.run("run").assert_code(2);
    assert!(output.stdout.contains("2 tenants, 1 with exit code 0"), "{}", output.stdout);
    assert!(output.stdout.contains("\n  beta          -    -     -       -"), "{}", output.stdout);
    assert_eq!(values(&env.services("acme").sandbox).len(), 2);
}

#[test]
fn only_enabled_tenants_run_and_a_name_must_be_one_of_them() {
    let env = TenantsEnv::new(vec![acme(), beta().setting("enabled = false")]);
    let outputs = by_tenant(&env.run("run --json").assert_code(0));
    assert_eq!(outputs.keys().collect::<Vec<_>>(), ["acme"]);
    for (arguments, message) in [
        ("run --tenant beta", "tenant beta of settings.toml is left out with `enabled = false`"),
        ("run --tenant acmee", "the settings file settings.toml has no tenant acmee"),
        ("run --tenant acme --tenant nobody", "has no tenant nobody"),
    ] {
        env.run(arguments).assert_code(2).assert_stderr(&[message, "No request was made."]);
    }
    env.run("run --tenant acmee").assert_stderr(&["The nearest is acme."]);
    let output = env.run("run --json --tenant beta").assert_code(2);
    assert_eq!(output.json()["error"]["kind"], "configuration");
    assert_eq!(env.services("beta").sandbox.requests().len(), 0);

    env.home.write(SETTINGS, "[defaults]\nhours = 24\n");
    env.run("run").assert_code(2).assert_stderr(&["settings.toml has no enabled tenant"]);
}

#[test]
fn a_dry_run_shows_what_each_tenant_would_send() {
    let env = TenantsEnv::new(vec![acme(), beta()]);
    let output = env.run("run --dry-run").assert_code(0);
    let (acme, beta) = output.stdout.split_once("tenant beta\n").unwrap();
    assert!(acme.starts_with("tenant acme\n") && acme.contains("a.example.com"), "{acme}");
    assert!(beta.contains(&sha256(1)) && !beta.contains("a.example.com"), "{beta}");
    assert!(beta.contains("2 tenants, 2 with exit code 0; nothing was sent or stored"), "{beta}");
    assert!(beta.contains("to send"), "{beta}");
    let outputs = by_tenant(&env.run("run --dry-run --json").assert_code(0));
    assert_eq!(outputs["beta"].json()["items"].as_array().unwrap().len(), 3);
    for name in ["acme", "beta"] {
        let services = env.services(name);
        assert_eq!(services.sandbox.requests_to(Service::RecordedFuture).len(), 0);
    }
    assert!(!env.home.path("collective-insights.db").exists());
}

#[test]
fn a_test_run_says_that_nothing_was_stored() {
    let env = TenantsEnv::new(vec![acme(), beta()]);
    let output = env.run("run --debug").assert_code(0);
    assert!(output.stdout.contains("2 with exit code 0; NOTHING WAS STORED"), "{}", output.stdout);
    assert!(output.stderr.ends_with("warning: test mode: Recorded Future stored nothing\n"));
    assert_eq!(values(&env.services("acme").sandbox), <[&str; 0]>::default());
}

#[test]
fn a_ledger_that_is_locked_stops_all_tenants_before_any_request() {
    let env = TenantsEnv::new(vec![acme(), beta()]);
    env.run("run").assert_code(0);
    let lock = std::fs::File::open(env.home.path("collective-insights.db.lock")).unwrap();
    lock.lock().unwrap();
    let requests = env.services("acme").sandbox.requests().len();
    let output = env.run("run --json").assert_code(7);
    assert_eq!(output.json()["error"]["kind"], "locked");
    assert_eq!(env.services("acme").sandbox.requests().len(), requests);
}

#[test]
fn quiet_prints_nothing_on_success_and_names_the_tenant_of_a_failure() {
    let env = TenantsEnv::new(vec![acme(), beta()]);
    let output = env.run("run --quiet").assert_code(0);
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("", ""));
    env.services("acme").sandbox.always(Service::FalconToken, Some(Fault::status(401, "")));
    let output = env.run("run --quiet").assert_code(4);
    assert_eq!(output.stdout, "");
    output.assert_stderr(&["error: acme: "]);
}
