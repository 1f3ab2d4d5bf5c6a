//! Where settings come from: argument, variable, file, credentials folder, default; and that they are
//! shown without their secrets.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use sandbox::{CB_SECRET, CLIENT_ID, CLIENT_SECRET, RF_TOKEN, World};
use serde_json::Value;

use crate::support::alerts::{falcon, sha256};
use crate::support::{Ran, Stage};

fn stage() -> Stage {
    Stage::new(World::default().falcon_alerts(&[falcon("cid:ind:1", "sha256", &sha256(1))]))
}

/// Writes a secret into a file of this mode.
fn secret_file(stage: &Stage, name: &str, secret: &str, mode: u32) -> std::path::PathBuf {
    let path = stage.write(name, format!("{secret}\n"));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    path
}

/// The origin of a setting as `check --show-config --json` tells it.
fn origin(ran: &Ran, flag: &str) -> String {
    let document = ran.json();
    let settings = document["settings"].as_array().unwrap();
    let found = settings.iter().find(|setting| setting["setting"] == flag);
    found.unwrap_or_else(|| panic!("no {flag} in {document}"))["origin"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn argument_variable_file_and_credential_in_this_order() {
    let stage = stage();
    let file = secret_file(&stage, "a-file", "from-the-file-0001", 0o600);
    std::fs::create_dir(stage.path("credentials")).unwrap();
    secret_file(&stage, "credentials/cs_client_secret", "from-credentials-1", 0o400);
    let show = |argument: &str, variables: &[(&str, &Path)], removed: &[&str]| {
        let mut command =
            stage.command(&format!("check crowdstrike --show-config --json {argument}"));
        for name in removed {
            command.env_remove(name);
        }
        command.envs(variables.iter().copied());
        origin(&Ran::of(&mut command).ended(0), "--client-secret")
    };
    let (credentials, fallback) = (stage.path("credentials"), Path::new("from-fallback-0001"));
    let all: [(&str, &Path); 3] = [
        ("CS_CLIENT_SECRET_FILE", &file),
        ("CREDENTIALS_DIRECTORY", &credentials),
        ("FALCON_CLIENT_SECRET", fallback),
    ];
    assert_eq!(show("--client-secret from-the-argument-1", &all, &[]), "argument");
    assert_eq!(show("", &all, &[]), "variable CS_CLIENT_SECRET");
    assert_eq!(show("", &all, &["CS_CLIENT_SECRET"]), "variable FALCON_CLIENT_SECRET");
    let file_first = format!("file {} (CS_CLIENT_SECRET_FILE)", file.display());
    assert_eq!(show("", &all[..2], &["CS_CLIENT_SECRET"]), file_first);
    let last = format!("credentials directory, {}", credentials.join("cs_client_secret").display());
    assert_eq!(show("", &all[1..2], &["CS_CLIENT_SECRET"]), last);
    assert_eq!(show("", &[], &["CS_CLIENT_SECRET"]), "not set");
}

#[test]
fn a_run_takes_all_its_secrets_from_files() {
    let stage = stage();
    let mut command = stage.command("crowdstrike --json");
    for (name, secret) in
        [("CS_CLIENT_ID", CLIENT_ID), ("CS_CLIENT_SECRET", CLIENT_SECRET), ("RF_API_KEY", RF_TOKEN)]
    {
        command.env_remove(name);
        command.env(format!("{name}_FILE"), secret_file(&stage, name, secret, 0o600));
    }
    assert_eq!(Ran::of(&mut command).ended(0).count("processed"), 1);
    assert!(!stage.log().contains("WARNING"), "{}", stage.log());
}

#[test]
fn the_vendors_own_names_are_understood() {
    let stage = stage();
    let mut command = stage.command("crowdstrike --json");
    for (ours, theirs, value) in [
        ("CS_CLIENT_ID", "FALCON_CLIENT_ID", CLIENT_ID),
        ("CS_CLIENT_SECRET", "FALCON_CLIENT_SECRET", CLIENT_SECRET),
        ("RF_API_KEY", "RF_TOKEN", RF_TOKEN),
    ] {
        command.env_remove(ours).env(theirs, value);
    }
    assert_eq!(Ran::of(&mut command).ended(0).count("processed"), 1);
    for (name, value) in [("us-2", "us-2"), ("EU1", "eu-1"), ("us_gov_1", "us-gov-1")] {
        let mut command = stage.command("check crowdstrike --show-config --json");
        command.env_remove("CS_BASE_URL").env("FALCON_CLOUD", name);
        assert_eq!(
            origin(&Ran::of(&mut command).ended(0), "--cloud"),
            "variable FALCON_CLOUD",
            "{value}"
        );
    }
    let mut command = stage.command("crowdstrike");
    command.env_remove("CS_BASE_URL").env("FALCON_CLOUD", "mars-1");
    assert!(Ran::of(&mut command).ended(2).stderr.contains("--cloud (FALCON_CLOUD) is not valid"));
}

#[test]
fn a_secret_file_that_others_can_read_is_warned_of() {
    let stage = stage();
    let file = secret_file(&stage, "open", CLIENT_SECRET, 0o644);
    let mut command = stage.command("crowdstrike");
    command.env_remove("CS_CLIENT_SECRET").env("CS_CLIENT_SECRET_FILE", &file);
    Ran::of(&mut command).ended(0);
    assert_eq!(stage.log().matches("chmod 600 it").count(), 1, "{}", stage.log());
    let mut command = stage.command("check crowdstrike --offline");
    command.env_remove("CS_CLIENT_SECRET").env("CS_CLIENT_SECRET_FILE", &file);
    assert!(Ran::of(&mut command).ended(0).stderr.contains("chmod 600 it"));
}

#[test]
fn a_secret_file_that_cannot_be_read_ends_the_run_before_any_request() {
    let stage = stage();
    stage.write("latin1", b"caf\xe9-and-a-secret");
    for (name, reason) in [("nowhere", "No such file"), ("latin1", "not UTF-8"), (".", "directory")]
    {
        let mut command = stage.command("crowdstrike");
        command.env_remove("CS_CLIENT_SECRET").env("CS_CLIENT_SECRET_FILE", stage.path(name));
        let ran = Ran::of(&mut command).ended(2);
        assert!(
            ran.stderr.contains(reason) && ran.stderr.contains("CS_CLIENT_SECRET_FILE"),
            "{}",
            ran.stderr
        );
    }
    let mut command = stage.command("crowdstrike");
    command
        .env_remove("CS_CLIENT_SECRET")
        .env("CS_CLIENT_SECRET_FILE", stage.write("empty", " \n"));
    assert!(
        Ran::of(&mut command)
            .ended(2)
            .stderr
            .contains("missing: --client-secret (CS_CLIENT_SECRET)")
    );
    assert!(stage.sandbox.requests().is_empty());
}

#[test]
fn every_setting_is_shown_and_no_secret() {
    let stage = stage();
    for source in ["crowdstrike", "carbonblack"] {
        let ran = stage.run(&format!("check {source} --show-config --json --hours 7")).ended(0);
        let document = ran.json();
        let settings = document["settings"].as_array().unwrap();
        let help = stage.run(&format!("{source} --help")).ended(0).stdout;
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
        let text = stage.run(&format!("check {source} --show-config")).ended(0).stdout;
        for secret in [CLIENT_ID, CLIENT_SECRET, CB_SECRET, RF_TOKEN] {
            assert!(!ran.stdout.contains(secret) && !text.contains(secret));
        }
    }
    assert!(stage.sandbox.requests().is_empty());
}

#[test]
fn the_log_begins_with_the_version_and_the_settings_in_force() {
    let stage = stage();
    stage.run("crowdstrike --hours 5").ended(0);
    let log = stage.log();
    let mut lines = log.lines();
    assert!(
        lines.next().unwrap().contains(concat!("collective-insights ", env!("CARGO_PKG_VERSION")))
    );
    let settings = lines.next().unwrap();
    for told in [
        "--hours 5 (argument)",
        "--batch-size 1000 (default)",
        "--client-secret (secret) (variable CS_CLIENT_SECRET)",
    ] {
        assert!(settings.contains(told), "{settings}");
    }
}
