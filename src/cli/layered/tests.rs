//! The precedence of a tenant's settings, for a command about one tenant and one about many.

use secrecy::ExposeSecret as _;

use super::*;
use crate::cli::NAME;
use crate::settings::{RequestedSpan, Settings};

const FILE: &str = r#"
[defaults]
rf-api-key = "key-of-the-defaults"
batch-size = 10
hours = 1
deadline = 11

[[tenant]]
name = "acme"
source = "crowdstrike"
client-id = "id-of-acme"
client-secret = "secret-of-acme"
cloud = "eu-1"
since = "2d"
organization-id = ["acme"]
skip-dismissed = false
min-severity = 30
"#;

/// Variables that compete with what the tenant sets, and some that replace a value of `[defaults]`.
fn environment(name: &str) -> Option<OsString> {
    let value = match name {
        "CS_CLIENT_ID" | "COLLECTIVE_INSIGHTS_CROWDSTRIKE_CLIENT_ID" => "id-of-another",
        "CS_CLIENT_SECRET" => "secret-of-another",
        "CS_CLIENT_SECRET_FILE" => "/dev/null",
        "CS_BASE_URL" => "https://another.example",
        "RF_API_KEY" => "key-of-the-variable",
        "COLLECTIVE_INSIGHTS_HOURS" => "5",
        "COLLECTIVE_INSIGHTS_ORGANIZATION_ID" => "another",
        "COLLECTIVE_INSIGHTS_SKIP_DISMISSED" => "true",
        "COLLECTIVE_INSIGHTS_CROWDSTRIKE_MIN_SEVERITY" => "70",
        "COLLECTIVE_INSIGHTS_BATCH_SIZE" => "50",
        _ => return None,
    };
    Some(value.into())
}

/// Returns the settings of a run of the tenant, and the origins of its options.
fn resolved(arguments: &[&str], precedence: Precedence) -> (Settings, Vec<String>) {
    let words = [NAME, "crowdstrike", "--tenant", "acme"];
    let words = words.into_iter().chain(arguments.iter().copied()).map(OsString::from);
    let parsed = crate::cli::parse(words).unwrap();
    let file = ConfigFile::with_text(FILE, &SourceCommand::names());
    file_keys::validate(&file, definition()).unwrap();
    let file = FoundFile { file: Rc::new(file), origin: Origin::Argument };
    let parsed = parsed.with_file(Some(file), precedence, environment).unwrap();
    let mut lookup = Lookup::new(&parsed.layers);
    let (_, settings) = parsed.source().unwrap().look_up(&mut lookup).unwrap();
    let options = parsed.effective(&lookup.into_options().unwrap());
    let options = options.into_iter().map(|option| format!("{} {}", option.flag, option.origin));
    (settings, options.collect())
}

#[track_caller]
fn assert_origins(options: &[String], expected: &[&str]) {
    for expected in expected {
        assert!(options.iter().any(|option| option == expected), "no {expected} in {options:?}");
    }
}

#[test]
fn nothing_that_a_tenant_sets_is_replaced_by_a_variable_in_a_run_of_many() {
    let (settings, options) = resolved(&[], Precedence::Tenant);
    assert_origins(
        &options,
        &[
            "--client-id config.toml:11",
            "--client-secret config.toml:12",
            "--cloud config.toml:13",
            "--base-url not set",
            "--since config.toml:14",
            "--hours default",
            "--organization-id config.toml:15",
            "--skip-dismissed config.toml:16",
            "--min-severity config.toml:17",
            "--rf-api-key variable RF_API_KEY",
            "--batch-size variable COLLECTIVE_INSIGHTS_BATCH_SIZE",
            "--deadline config.toml:6",
        ],
    );
    assert_eq!(settings.tenant.as_str(), "acme");
    assert_eq!(settings.recorded_future.organization_ids, ["uhash:acme"]);
    assert_eq!(settings.recorded_future.token.expose_secret(), "key-of-the-variable");
    assert!(!settings.skip_dismissed);
    assert_eq!(settings.batch_size, 50);
    assert!(matches!(settings.span, RequestedSpan::Exact { .. }));
}

#[test]
fn a_variable_precedes_the_tenant_in_a_command_about_one() {
    let (settings, options) = resolved(&["--batch-size", "7"], Precedence::Variables);
    assert_origins(
        &options,
        &[
            "--client-id variable CS_CLIENT_ID",
            "--base-url variable CS_BASE_URL",
            "--hours variable COLLECTIVE_INSIGHTS_HOURS",
            "--since not set",
            "--skip-dismissed variable COLLECTIVE_INSIGHTS_SKIP_DISMISSED",
            "--min-severity variable COLLECTIVE_INSIGHTS_CROWDSTRIKE_MIN_SEVERITY",
            "--batch-size argument",
            "--deadline config.toml:6",
        ],
    );
    assert_eq!((settings.batch_size, settings.skip_dismissed), (7, true));
    assert!(matches!(settings.span, RequestedSpan::Hours(5)));
}
