//! Tests the documents of `generate kubernetes`. Most are also validated against the published
//! schemas with `tests/kubernetes.py`; without its Python package, that part is skipped.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sandbox::{CLIENT_ID, CLIENT_SECRET, RF_TOKEN, World};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::alerts::{falcon, sha256};
use crate::support::generate::generate;
use crate::support::tool::tool;
use crate::support::{NOW, RunOutput, TestEnv, bare_command};

/// The Kubernetes versions whose schemas are used: the oldest that has all fields, and a newer one.
const VERSIONS: [&str; 2] = ["1.31", "1.37"];

/// A settings file with secrets, and with strings that are special to YAML, TOML and the template.
const HOSTILE: &str = r#"# rf-api-key = "secret-in-a-comment"
[defaults]
rf-api-key = "secret-of-all-tenants"
ledger = "/data/the ledger/x.db"
ca-cert = "/etc/ssl/certs/corp.pem"
exclusion-file = "/etc/collective-insights/lists/good.txt"
deadline = 120
wait = "90s"

[[tenant]]
name = "a"
source = "crowdstrike"
client-id-file = "/run/a/id"
client-secret-file = "/opt/a\n---\nkind Pod\n# \"' \u2028 @NAME@ {{x}}"
member-cid = "@SECRET_DATA@ y: #\"'\t\u0085\U0001F600"

[[tenant]]
name = "b"
source = "crowdstrike"
client-id-file = "/run/b/id"
client-secret = """secret
on-two-lines"""

[[tenant]]
name = "off"
source = "crowdstrike"
enabled = false
client-id-file = "/run/off/id"
"#;

/// The exit code of the script if its package is not installed.
const NOT_INSTALLED: i32 = 77;

/// The path of the settings file in the container.
const SETTINGS: &str = "/etc/collective-insights/config.toml";

/// Validates documents. Returns them, or why they are not valid; `None` if the package is not
/// installed.
fn validate(text: &str) -> Option<Result<Vec<Value>, String>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kubernetes.py");
    let mut python = tool("python3")?;
    python.arg(script).args(VERSIONS).stdin(Stdio::piped());
    let mut child = python.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.code() == Some(NOT_INSTALLED) {
        eprintln!("skipped: {message}");
        return None;
    }
    let documents = || serde_json::from_slice(&output.stdout).unwrap();
    Some(if output.status.success() { Ok(documents()) } else { Err(message) })
}

/// Runs `generate kubernetes` with this settings file.
fn generate_kubernetes(settings: &str, arguments: &str) -> RunOutput {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("config.toml");
    std::fs::write(&path, settings).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let mut command = bare_command(folder.path());
    command.args(["generate", "kubernetes", "--config", "config.toml"]);
    RunOutput::capture(command.args(arguments.split_whitespace()))
}

/// The documents of a manifest.
struct Manifest {
    secret: Value,
    claim: Value,
    cron_job: Value,
}

impl Manifest {
    /// Validates and reads a manifest; `None` if the package is not installed.
    fn read(text: &str) -> Option<Self> {
        let mut documents = validate(text)?.unwrap().into_iter();
        let mut next = |kind: &str| {
            let document = documents.next().unwrap();
            assert_eq!(document["kind"], kind);
            document
        };
        let (secret, claim) = (next("Secret"), next("PersistentVolumeClaim"));
        let manifest = Self { secret, claim, cron_job: next("CronJob") };
        assert!(documents.next().is_none());
        Some(manifest)
    }

    /// Returns the specification of the pod.
    fn pod(&self) -> &Value {
        &self.cron_job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    }

    /// Returns the only container.
    fn container(&self) -> &Value {
        &self.pod()["containers"][0]
    }

    /// Returns the values of the Secret by their paths in the container.
    fn files(&self) -> BTreeMap<PathBuf, String> {
        let mut files = BTreeMap::new();
        for mount in self.container()["volumeMounts"].as_array().unwrap() {
            let volumes = self.pod()["volumes"].as_array().unwrap();
            let volume = volumes.iter().find(|volume| volume["name"] == mount["name"]).unwrap();
            let Some(items) = volume["secret"]["items"].as_array() else { continue };
            assert_eq!(
                (&mount["readOnly"], &volume["secret"]["defaultMode"]),
                (&json!(true), &json!(0o400))
            );
            assert_eq!(volume["secret"]["secretName"], self.secret["metadata"]["name"]);
            for item in items {
                let value = self.secret["stringData"][item["key"].as_str().unwrap()].as_str();
                let mount_path = Path::new(mount["mountPath"].as_str().unwrap());
                let path = match mount["subPath"].as_str() {
                    Some(sub_path) if item["path"] == sub_path => mount_path.to_owned(),
                    Some(_) => continue,
                    None => mount_path.join(item["path"].as_str().unwrap()),
                };
                assert_eq!(files.insert(path, value.unwrap().to_owned()), None);
            }
        }
        assert_eq!(files.len(), self.secret["stringData"].as_object().unwrap().len());
        files
    }
}

#[test]
fn without_a_settings_file_the_example_is_used() {
    let text = generate("kubernetes").assert_code(0).stdout;
    let example = generate("config").assert_code(0).stdout;
    assert_eq!(generate_kubernetes(&example, "").assert_code(0).stdout, text);
    let Some(manifest) = Manifest::read(&text) else { return };
    let files = manifest.files();
    let paths: Vec<&str> = files.keys().map(|path| path.to_str().unwrap()).collect();
    let named = example.split('"').filter(|text| text.starts_with("/etc/"));
    let mut expected: Vec<&str> = named.chain([SETTINGS]).collect();
    expected.sort_unstable();
    assert_eq!(paths, expected);
    let is_placeholder =
        |path: &Path, value: &str| path == Path::new(SETTINGS) || value == "REPLACE-ME";
    assert!(files.iter().all(|(path, value)| is_placeholder(path, value)), "{files:?}");
    // The settings file in the container leads to the same documents.
    assert_eq!(generate_kubernetes(&files[Path::new(SETTINGS)], "").assert_code(0).stdout, text);
}

#[test]
fn what_the_settings_file_names_is_mounted_where_it_says() {
    let text = generate_kubernetes(HOSTILE, "").assert_code(0).stdout;
    for hidden in ["secret-in", "secret-of", "secret\non", "on-two-lines", "/run/off"] {
        assert!(!text.contains(hidden), "{text}");
    }
    assert!(text.is_ascii(), "{text}");
    // The lines of settings whose value is a secret instead of the path of a file.
    for line in [3, 21] {
        assert!(text.contains(&format!("# ATTENTION: line {line} of ")), "{text}");
    }
    let Some(manifest) = Manifest::read(&text) else { return };
    let files = manifest.files();
    let paths: Vec<&str> = files.keys().map(|path| path.to_str().unwrap()).collect();
    assert_eq!(
        paths,
        [
            SETTINGS,
            "/etc/collective-insights/defaults.rf-api-key",
            "/etc/collective-insights/lists/good.txt",
            "/etc/collective-insights/tenant-b.client-secret",
            "/etc/ssl/certs/corp.pem",
            "/opt/a\n---\nkind Pod\n# \"' \u{2028} @NAME@ {{x}}",
            "/run/a/id",
            "/run/b/id",
        ]
    );
    let ledger = json!({"name": "ledger", "mountPath": "/data/the ledger"});
    assert_eq!(manifest.container()["volumeMounts"][0], ledger);
    let settings = &files[Path::new(SETTINGS)];
    assert_eq!(
        settings.lines().find(|line| line.starts_with("member-cid")),
        Some(r#"member-cid = "@SECRET_DATA@ y: #\"'\u0009\u0085\U0001f600""#)
    );
    for key in manifest.secret["stringData"].as_object().unwrap().keys() {
        let is_allowed = |char: char| char.is_ascii_alphanumeric() || "-._".contains(char);
        assert!(key.chars().all(is_allowed) && !key.starts_with(".."), "{key}");
    }
    // 90 s of --wait, rounded up to 2 minutes, 120 of --deadline and 5 more, for each of at most 4
    // pods of a job.
    let job = &manifest.cron_job["spec"]["jobTemplate"]["spec"];
    assert_eq!(manifest.pod()["activeDeadlineSeconds"], 127 * 60);
    assert_eq!(job["activeDeadlineSeconds"], 4 * 127 * 60);
}

#[test]
fn the_metrics_file_is_left_out() {
    let key = "[defaults]\nmetrics-file = \"/srv/x.prom\"\n";
    let text = generate_kubernetes(&HOSTILE.replace("[defaults]\n", key), "").assert_code(0).stdout;
    assert!(text.contains("# ATTENTION: metrics-file is left out here: "), "{text}");
    assert!(!text.contains("/srv/x.prom"), "{text}");
}

#[test]
fn the_pod_is_restricted() {
    let text = generate_kubernetes(HOSTILE, "").assert_code(0).stdout;
    let Some(manifest) = Manifest::read(&text) else { return };
    let (pod, container) = (manifest.pod(), manifest.container());
    assert_eq!(
        pod["securityContext"],
        json!({
            "runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532,
            "fsGroupChangePolicy": "OnRootMismatch", "seccompProfile": {"type": "RuntimeDefault"},
        })
    );
    assert_eq!(
        container["securityContext"],
        json!({
            "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]},
        })
    );
    for (field, expected) in [
        ("automountServiceAccountToken", json!(false)),
        ("enableServiceLinks", json!(false)),
        ("restartPolicy", json!("Never")),
        ("terminationGracePeriodSeconds", json!(15)),
    ] {
        assert_eq!(pod[field], expected, "{field}");
    }
    let spec = &manifest.cron_job["spec"];
    for (field, expected) in [
        ("schedule", json!("15 0 * * *")),
        ("timeZone", json!("Etc/UTC")),
        ("concurrencyPolicy", json!("Forbid")),
        ("startingDeadlineSeconds", json!(43200)),
    ] {
        assert_eq!(spec[field], expected, "{field}");
    }
    let rules = &spec["jobTemplate"]["spec"]["podFailurePolicy"]["rules"];
    // The exit codes after which another pod would fail as well.
    let exit_codes = &rules[1]["onExitCodes"];
    assert_eq!(exit_codes["values"], json!([1, 2, 3, 4, 6]));
    assert_eq!(exit_codes["containerName"], container["name"]);
    for kind in ["requests", "limits"] {
        let resources = container["resources"][kind].as_object().unwrap();
        assert_eq!(resources.keys().collect::<Vec<_>>(), ["cpu", "memory"]);
    }
}

#[test]
fn the_schemas_find_mistakes() {
    let text = generate_kubernetes(HOSTILE, "").assert_code(0).stdout;
    if validate(&text).is_none() {
        return;
    }
    for (right, wrong) in [
        ("  schedule: \"15 0 * * *\"\n", ""),
        ("concurrencyPolicy", "concurencyPolicy"),
        ("runAsUser: 65532", "runAsUser: \"65532\""),
        ("readOnlyRootFilesystem", "readOnlyRootFileSystem"),
        (
            "          restartPolicy: Never\n",
            "          restartPolicy: Never\n          restartPolicy: Never\n",
        ),
        ("claimName", "claim"),
        ("stringData", "stringdata"),
        ("accessModes", "accessMode"),
        ("onExitCodes", "onExitCode"),
    ] {
        assert!(text.contains(right), "{right}");
        assert!(validate(&text.replace(right, wrong)).unwrap().is_err(), "{wrong}");
    }
}

#[test]
fn each_cron_job_has_its_own_tenants_secrets_and_volume() {
    let manifest = |arguments: &str| {
        let text = generate_kubernetes(HOSTILE, arguments).assert_code(0).stdout;
        Manifest::read(&text)
    };
    let Some(a) = manifest("--name ci-a --tenant a") else { return };
    let b = manifest("--name ci-b --tenant b").unwrap();
    let name = |document: &Value| document["metadata"]["name"].as_str().unwrap().to_owned();
    let claim = |manifest: &Manifest| {
        manifest.pod()["volumes"][0]["persistentVolumeClaim"]["claimName"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    for (manifest, tenant) in [(&a, "a"), (&b, "b")] {
        let expected = format!("ci-{tenant}");
        assert_eq!(name(&manifest.secret), expected);
        assert_eq!(name(&manifest.cron_job), expected);
        assert_eq!(name(&manifest.claim), format!("{expected}-ledger"));
        assert_eq!(claim(manifest), format!("{expected}-ledger"));
        let files = manifest.files();
        for other in ["a", "b"] {
            let is_mounted = files.contains_key(&PathBuf::from(format!("/run/{other}/id")));
            assert_eq!(is_mounted, other == tenant, "{files:?}");
        }
        let tenants = files[Path::new(SETTINGS)].matches("[[tenant]]").count();
        assert_eq!(tenants, 1);
    }
}

#[test]
fn a_path_that_no_container_can_have_is_an_error() {
    let settings = "[defaults]\nledger = \"/etc/x.db\"\nca-cert = \"ca.pem\"\nexclusion-file = \"/a:b\"\n[[tenant]]\nname = \"a\"\nsource = \"crowdstrike\"\nclient-id-file = \"/a/../b\"\n";
    let output = generate_kubernetes(settings, "").assert_code(2);
    assert_eq!(output.stdout, "");
    output.assert_stderr(&[
        "config.toml:2: ledger must be in a folder of its own",
        "config.toml:3: ca-cert must be an absolute path",
        "config.toml:4: exclusion-file has a colon",
        "config.toml:8: client-id-file has a folder or file name that begins with two dots",
    ]);
}

#[test]
fn what_is_not_in_the_file_or_not_a_name_is_an_error() {
    generate_kubernetes(HOSTILE, "--tenant nobody")
        .assert_code(2)
        .assert_stderr(&["has no tenant nobody"]);
    generate_kubernetes(HOSTILE, "--tenant off").assert_code(2).assert_stderr(&["enabled = false"]);
    generate_kubernetes("[defaults]\nhours = 3\n", "")
        .assert_code(2)
        .assert_stderr(&["no enabled tenant"]);
    generate_kubernetes(HOSTILE, "--name a_b")
        .assert_code(2)
        .assert_stderr(&["lower-case letters"]);
}

#[test]
fn a_password_in_a_url_is_not_printed() {
    let settings = "[[tenant]]\nname = \"a\"\nsource = \"crowdstrike\"\nrf-api-url = \"https://me:p4ssw0rd@api.example.com/x\"\nbase-url = \"me:p4ssw0rd@api.example.com\"\n";
    let output = generate_kubernetes(settings, "").assert_code(0);
    assert!(output.stdout.contains("https://api.example.com/x"), "{}", output.stdout);
    for text in [&output.stdout, &output.stderr] {
        assert!(!text.contains("p4ssw0rd"), "{text}");
    }
}

#[test]
fn a_required_setting_that_is_missing_is_named() {
    let text = generate_kubernetes("[[tenant]]\nname = \"a\"\nsource = \"carbonblack\"\n", "");
    let text = text.assert_code(0).stdout;
    for key in ["rf-api-key", "org-id", "hostname", "secret", "api-id"] {
        assert!(text.contains(&format!("# ATTENTION: tenant a has no {key}. ")), "{key}: {text}");
    }
}

/// The id of the user and of the group that the pod runs as.
const POD_USER: u32 = 65_532;

#[test]
fn the_command_of_the_container_can_read_the_files_of_a_mounted_secret() {
    let env = TestEnv::new(World::default().falcon_alerts(&[falcon(
        "cid:ind:1",
        "hash_sha256",
        &sha256(1),
    )]));
    let folder = env.folder().display().to_string();
    let url = env.sandbox.url();
    let settings = format!(
        "[defaults]\nrf-api-key-file = \"{folder}/rf\"\nrf-api-url = \"{url}\"\nledger = \"{folder}/state/x.db\"\n[[tenant]]\nname = \"a\"\nsource = \"crowdstrike\"\nbase-url = \"{url}\"\nclient-id-file = \"{folder}/id\"\nclient-secret-file = \"{folder}/secret\"\n"
    );
    let Some(manifest) = Manifest::read(&generate_kubernetes(&settings, "").assert_code(0).stdout)
    else {
        return;
    };
    let state = env.path("state");
    std::fs::create_dir(&state).unwrap();
    let program = env.path("program");
    std::fs::copy(env.command("").get_program(), &program).unwrap();
    // As in a mounted Secret, the files belong to root, and the group of the pod can read them.
    for (path, value) in manifest.files() {
        let path = if path == Path::new(SETTINGS) { env.path("config.toml") } else { path };
        let secret = match path.file_name().unwrap().to_str().unwrap() {
            "rf" => RF_TOKEN,
            "id" => CLIENT_ID,
            "secret" => CLIENT_SECRET,
            _ => &value,
        };
        std::fs::write(&path, secret).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o440)).unwrap();
        if chown(&path, Some(0), Some(POD_USER)).is_err() {
            eprintln!("skipped: this user cannot give a file to another one");
            return;
        }
    }
    for (path, mode) in [(env.folder(), 0o755), (&*state, 0o2775), (&*program, 0o755)] {
        chown(path, Some(0), Some(POD_USER)).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let mut run = Command::new(&program);
    run.uid(POD_USER).gid(POD_USER).env_clear().current_dir("/");
    for argument in manifest.container()["args"].as_array().unwrap() {
        let argument = argument.as_str().unwrap();
        run.arg(argument.replace(SETTINGS, &format!("{folder}/config.toml")));
    }
    for variable in manifest.container()["env"].as_array().unwrap() {
        run.env(variable["name"].as_str().unwrap(), variable["value"].as_str().unwrap());
    }
    run.env("COLLECTIVE_INSIGHTS_TEST_NOW", NOW);
    let output = RunOutput::capture(&mut run).assert_code(0);
    assert_eq!(env.stored_values(), [sha256(1)]);
    assert_eq!(output.stdout, "");
    for line in output.stderr.lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        assert_eq!(event["level"], "INFO", "{line}");
    }
    let ledger = std::fs::metadata(state.join("x.db")).unwrap();
    assert_eq!(ledger.permissions().mode() & 0o777, 0o600);
}
