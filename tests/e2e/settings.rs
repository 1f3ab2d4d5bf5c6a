//! Tests of the origin of settings (argument, variable, file, credentials folder, default), and
//! that they are shown without secrets.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use sandbox::{CB_SECRET, CLIENT_ID, CLIENT_SECRET, RF_TOKEN, World};
use serde_json::Value;

use crate::support::alerts::{falcon, sha256};
use crate::support::vendor::Vendor;
use crate::support::{RunOutput, TestEnv};

fn test_env() -> TestEnv {
    TestEnv::new(World::default().falcon_alerts(&[falcon("cid:ind:1", "sha256", &sha256(1))]))
}

/// Writes a secret to a file with this mode.
fn secret_file(env: &TestEnv, name: &str, secret: &str, mode: u32) -> std::path::PathBuf {
    let path = env.write(name, format!("{secret}\n"));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    path
}

/// Returns the origin of a setting in the output of `check --show-config --json`.
fn origin(output: &RunOutput, flag: &str) -> String {
    let document = output.json();
    let settings = document["settings"].as_array().unwrap();
    let found = settings.iter().find(|setting| setting["setting"] == flag);
    found.unwrap_or_else(|| panic!("no {flag} in {document}"))["origin"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn the_precedence_is_argument_variable_file_credentials_folder() {
    let env = test_env();
    let file = secret_file(&env, "a-file", "from-the-file-0001", 0o600);
    std::fs::create_dir(env.path("credentials")).unwrap();
    secret_file(&env, "credentials/cs_client_secret", "from-credentials-1", 0o400);
    let show = |argument: &str, variables: &[(&str, &Path)], removed: &[&str]| {
        let mut command =
            env.command(&format!("check crowdstrike --show-config --json {argument}"));
        for name in removed {
            command.env_remove(name);
        }
        command.envs(variables.iter().copied());
        origin(&RunOutput::capture(&mut command).assert_code(0), "--client-secret")
    };
    let (credentials, fallback) = (env.path("credentials"), Path::new("from-fallback-0001"));
    let all: [(&str, &Path); 3] = [
        ("CS_CLIENT_SECRET_FILE", &file),
        ("CREDENTIALS_DIRECTORY", &credentials),
        ("FALCON_CLIENT_SECRET", fallback),
    ];
    assert_eq!(show("--client-secret from-the-argument-1", &all, &[]), "argument");
    assert_eq!(show("", &all, &[]), "variable CS_CLIENT_SECRET");
    assert_eq!(show("", &all, &["CS_CLIENT_SECRET"]), "variable FALCON_CLIENT_SECRET");
    let from_file = format!("file {} (CS_CLIENT_SECRET_FILE)", file.display());
    assert_eq!(show("", &all[..2], &["CS_CLIENT_SECRET"]), from_file);
    let from_folder =
        format!("credentials directory, {}", credentials.join("cs_client_secret").display());
    assert_eq!(show("", &all[1..2], &["CS_CLIENT_SECRET"]), from_folder);
    assert_eq!(show("", &[], &["CS_CLIENT_SECRET"]), "not set");
}

#[test]
fn a_run_can_read_all_secrets_from_files() {
    let env = test_env();
    let mut command = env.command("crowdstrike --json");
    for (name, secret) in
        [("CS_CLIENT_ID", CLIENT_ID), ("CS_CLIENT_SECRET", CLIENT_SECRET), ("RF_API_KEY", RF_TOKEN)]
    {
        command.env_remove(name);
        command.env(format!("{name}_FILE"), secret_file(&env, name, secret, 0o600));
    }
    assert_eq!(RunOutput::capture(&mut command).assert_code(0).count("processed"), 1);
    assert!(!env.log().contains("WARNING"), "{}", env.log());
}

#[test]
fn the_variable_names_of_the_vendors_are_supported() {
    let env = test_env();
    let mut command = env.command("crowdstrike --json");
    for (name, vendor_name, value) in [
        ("CS_CLIENT_ID", "FALCON_CLIENT_ID", CLIENT_ID),
        ("CS_CLIENT_SECRET", "FALCON_CLIENT_SECRET", CLIENT_SECRET),
        ("RF_API_KEY", "RF_TOKEN", RF_TOKEN),
    ] {
        command.env_remove(name).env(vendor_name, value);
    }
    assert_eq!(RunOutput::capture(&mut command).assert_code(0).count("processed"), 1);
    for (name, cloud) in [("us-2", "us-2"), ("EU1", "eu-1"), ("us_gov_1", "us-gov-1")] {
        let mut command = env.command("check crowdstrike --show-config --json");
        command.env_remove("CS_BASE_URL").env("FALCON_CLOUD", name);
        assert_eq!(
            origin(&RunOutput::capture(&mut command).assert_code(0), "--cloud"),
            "variable FALCON_CLOUD",
            "{cloud}"
        );
    }
    let mut command = env.command("crowdstrike");
    command.env_remove("CS_BASE_URL").env("FALCON_CLOUD", "mars-1");
    assert!(
        RunOutput::capture(&mut command)
            .assert_code(2)
            .stderr
            .contains("--cloud (FALCON_CLOUD) is not valid")
    );
}

#[test]
fn a_warning_is_logged_if_others_can_read_a_secret_file() {
    let env = test_env();
    let file = secret_file(&env, "open", CLIENT_SECRET, 0o644);
    let mut command = env.command("crowdstrike");
    command.env_remove("CS_CLIENT_SECRET").env("CS_CLIENT_SECRET_FILE", &file);
    RunOutput::capture(&mut command).assert_code(0);
    let file_name = file.display();
    let warning = format!(
        "the permissions of {file_name} let other users read it, and it contains --client-secret (CS_CLIENT_SECRET); run `chmod 600 {file_name}`"
    );
    assert_eq!(env.log().matches(&warning).count(), 1, "{}", env.log());
    let mut command = env.command("check crowdstrike --offline");
    command.env_remove("CS_CLIENT_SECRET").env("CS_CLIENT_SECRET_FILE", &file);
    assert!(RunOutput::capture(&mut command).assert_code(0).stderr.contains(&warning));
}

#[test]
fn an_unreadable_secret_file_ends_the_run_before_any_request() {
    let env = test_env();
    env.write("latin1", b"caf\xe9-and-a-secret");
    for (name, reason) in
        [("missing", "No such file"), ("latin1", "valid UTF-8"), (".", "directory")]
    {
        let mut command = env.command("crowdstrike");
        command.env_remove("CS_CLIENT_SECRET").env("CS_CLIENT_SECRET_FILE", env.path(name));
        let output = RunOutput::capture(&mut command).assert_code(2);
        assert!(
            output.stderr.contains(reason) && output.stderr.contains("CS_CLIENT_SECRET_FILE"),
            "{}",
            output.stderr
        );
    }
    assert!(env.sandbox.requests().is_empty());
}

#[test]
fn an_unreadable_credential_is_an_error_that_names_the_unit() {
    let env = test_env();
    std::fs::create_dir(env.path("credentials")).unwrap();
    env.write("credentials/cs_client_secret", b"caf\xe9-and-a-secret");
    let mut command = env.command("crowdstrike");
    command.env_remove("CS_CLIENT_SECRET").env("CREDENTIALS_DIRECTORY", env.path("credentials"));
    let output = RunOutput::capture(&mut command).assert_code(2);
    output
        .assert_stderr(&["valid UTF-8", "LoadCredential= or SetCredential= for cs_client_secret"]);
    assert!(!output.stderr.contains("_FILE"), "{}", output.stderr);
}

#[test]
fn an_empty_secret_file_is_named_among_the_missing_settings() {
    let env = test_env();
    let empty = env.write("empty", " \n");
    std::fs::create_dir(env.path("credentials")).unwrap();
    let credential = env.write("credentials/rf_api_key", "");
    let mut command = env.command("crowdstrike");
    for name in ["CS_CLIENT_ID", "CS_CLIENT_SECRET", "RF_API_KEY"] {
        command.env_remove(name);
    }
    command.env("CS_CLIENT_SECRET_FILE", &empty);
    command.env("CREDENTIALS_DIRECTORY", env.path("credentials"));
    let message = format!(
        "required settings are missing:\n    --client-id (CS_CLIENT_ID)\n    --client-secret (CS_CLIENT_SECRET_FILE={} is empty)\n    --rf-api-key (credential {} is empty)\n",
        empty.display(),
        credential.display()
    );
    RunOutput::capture(&mut command).assert_code(2).assert_stderr(&[&message]);
    assert!(env.sandbox.requests().is_empty());
}

#[test]
fn show_config_lists_every_setting_without_secrets() {
    let env = test_env();
    for source in Vendor::ALL.map(Vendor::command) {
        let output =
            env.run(&format!("check {source} --show-config --json --hours 7")).assert_code(0);
        let document = output.json();
        let settings = document["settings"].as_array().unwrap();
        let help = env.run(&format!("{source} --help")).assert_code(0).stdout;
        let options = help.lines().filter_map(|line| {
            let word = line.split_whitespace().find(|word| word.starts_with("--"))?;
            let start = line.trim_start();
            (start.starts_with("--") || start.starts_with('-'))
                .then(|| word.trim_end_matches(',').to_owned())
        });
        let shown: Vec<&str> =
            settings.iter().filter_map(|setting| setting["setting"].as_str()).collect();
        for option in options.filter(|option| option != "--help") {
            assert!(shown.contains(&option.as_str()), "{option} is missing in {shown:?}");
        }
        let hours = settings.iter().find(|setting| setting["setting"] == "--hours").unwrap();
        assert_eq!(
            (&hours["value"], &hours["origin"]),
            (&Value::from("7"), &Value::from("argument"))
        );
        let text = env.run(&format!("check {source} --show-config")).assert_code(0).stdout;
        for secret in [CLIENT_ID, CLIENT_SECRET, CB_SECRET, RF_TOKEN] {
            assert!(!output.stdout.contains(secret) && !text.contains(secret));
        }
    }
    assert!(env.sandbox.requests().is_empty());
}

#[test]
fn the_log_starts_with_the_version_and_the_settings() {
    let env = test_env();
    env.run("crowdstrike --hours 5 -l debug").assert_code(0);
    let log = env.log();
    let mut lines = log.lines();
    let version = concat!("started version=", env!("CARGO_PKG_VERSION"));
    let first = lines.next().unwrap();
    assert!(first.contains(version) && first.contains(" commit=unknown target="), "{log}");
    let settings: Vec<&str> =
        lines.map_while(|line| Some(line.split_once(" setting option=")?.1)).collect();
    for setting in [
        "--hours value=5 origin=argument",
        "--batch-size value=1000 origin=default",
        "--client-secret value=(secret) origin=\"variable CS_CLIENT_SECRET\"",
    ] {
        assert!(settings.contains(&setting), "{setting}: {log}");
    }
}
