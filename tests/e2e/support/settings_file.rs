//! A settings file with two tenants, and runs whose settings come from it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use sandbox::{CB_API_ID, CB_ORG, CB_SECRET, CLIENT_ID, CLIENT_SECRET, RF_TOKEN, World};

use super::alerts::{falcon, sha256};
use super::{NOW, RunOutput, TestEnv, bare_command};

/// Returns an environment with one Falcon alert.
pub fn env_with_one_alert() -> TestEnv {
    TestEnv::new(World::default().falcon_alerts(&[falcon("cid:ind:1", "sha256", &sha256(1))]))
}

/// Writes a file that only its owner can read.
pub fn write_private(env: &TestEnv, name: &str, content: &str) -> PathBuf {
    let path = env.write(name, content);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}

/// Writes a settings file with a tenant of each source, and the files of their secrets.
pub fn write_settings_file(env: &TestEnv) -> PathBuf {
    write_private(env, "rf", RF_TOKEN);
    write_private(env, "id", CLIENT_ID);
    write_private(env, "secret", CLIENT_SECRET);
    write_private(env, "cb-id", CB_API_ID);
    write_private(env, "cb-secret", CB_SECRET);
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

/// Runs the binary with these variables, and none for the services.
pub fn run_with_variables(env: &TestEnv, arguments: &str, variables: &[(&str, &str)]) -> RunOutput {
    let mut command = bare_command(env.folder());
    command.args(arguments.split_whitespace());
    command.env("COLLECTIVE_INSIGHTS_TEST_NOW", NOW);
    command.envs(variables.iter().copied());
    if env.sandbox.ca_pem().is_some() {
        command.env("SSL_CERT_FILE", env.path("sandbox-ca.pem"));
    }
    RunOutput::capture(&mut command)
}
