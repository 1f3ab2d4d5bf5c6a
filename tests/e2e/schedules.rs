//! Tests that the generated schedules work unchanged: lines for cron and units for systemd.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use collective_insights::cli::TOPICS;
use sandbox::{CB_API_ID, CB_ORG, CB_SECRET, CLIENT_ID, CLIENT_SECRET, RF_TOKEN, World};
use serde_json::json;
use tempfile::TempDir;

use crate::support::alerts::{carbonblack, falcon, sha256, with};
use crate::support::commands::sources;
use crate::support::generate::{generate, generate_in};
use crate::support::markdown::topic;
use crate::support::tool::{run_tool, tool};
use crate::support::vendor::Vendor;
use crate::support::{NO_CONFIG, NOW, RunOutput, TestEnv, bare_command};

/// Returns the lines of the crontab without the comments.
fn crontab() -> Vec<String> {
    let text = generate("cron").assert_code(0).stdout;
    text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

#[test]
fn cron_lines_wait_for_each_other_and_have_no_secrets() {
    let lines = crontab();
    assert_eq!(lines.len(), sources().len());
    // Up to 65 minutes for each other run: its deadline of 60 minutes, and a margin.
    let wait = format!(" --wait {}m --quiet", 65 * (lines.len() - 1));
    for line in lines {
        assert!(line.starts_with("15 0 * * * cd ") && line.ends_with(&wait), "{line}");
        assert!(!line.contains('%') && !line.contains("KEY"), "{line}");
    }
}

#[test]
fn cron_lines_run_unchanged() {
    let env = TestEnv::new(
        World::default()
            .falcon_alerts(&[falcon("cid:ind:1", "hash_sha256", &sha256(1))])
            .carbon_black_alerts(&[with(
                carbonblack("a1", &sha256(2)),
                "process_effective_reputation",
                json!("KNOWN_MALWARE"),
            )]),
    );
    let home = env.path("home of a user");
    let folder = home.join("collective-insights");
    std::fs::create_dir_all(&folder).unwrap();
    let settings = folder.join("collective-insights.env");
    let url = env.sandbox.url();
    let text = format!(
        "RF_API_KEY='{RF_TOKEN}'\nRF_API_URL='{url}'\nCS_CLIENT_ID='{CLIENT_ID}'\nCS_CLIENT_SECRET='{CLIENT_SECRET}'\nCS_BASE_URL='{url}'\n\
         CB_ORG_ID='{CB_ORG}'\nCB_HOSTNAME='{url}'\nCB_SECRET='{CB_SECRET}'\nCB_API_ID='{CB_API_ID}'\n"
    );
    std::fs::write(&settings, text).unwrap();
    std::fs::set_permissions(&settings, std::fs::Permissions::from_mode(0o600)).unwrap();
    let lines = crontab();
    for source in Vendor::ALL.map(Vendor::command) {
        let line = lines.iter().find(|line| line.contains(&format!(" {source} "))).unwrap();
        let (_, command) = line.split_once("* * * ").unwrap();
        // cron sets only these two variables.
        let output = RunOutput::capture(
            Command::new("sh")
                .args(["-c", command])
                .env_clear()
                .env("HOME", &home)
                // For root, who has another default.
                .env("XDG_STATE_HOME", home.join(".local/state"))
                .env("PATH", "/usr/bin:/bin")
                .envs([NO_CONFIG, ("COLLECTIVE_INSIGHTS_TEST_NOW", NOW)]),
        )
        .assert_code(0);
        assert_eq!((output.stdout, output.stderr), (String::new(), String::new()));
    }
    assert_eq!(env.stored_values(), [sha256(1), sha256(2)]);
    assert!(home.join(".local/state/collective-insights/collective-insights.db").exists());
}

#[test]
fn scheduled_runs_have_the_recommended_options() {
    let topic = TOPICS.into_iter().find(|topic| topic.name == "sharing").unwrap().text;
    let units = generate("systemd").assert_code(0).stdout;
    let lines = crontab();
    for source in sources() {
        let line = lines.iter().find(|line| line.contains(&format!(" {source} "))).unwrap();
        let (_, line) = line.rsplit_once(" exec ").unwrap();
        let (line, wait) = line.strip_suffix(" --quiet").unwrap().rsplit_once(" --wait ").unwrap();
        let (_, command) = line.split_once(' ').unwrap();
        assert!(command.contains(" --indicator ") && command.contains(" --skip-dismissed"));
        assert!(topic.contains(&format!("`{command}`")), "{command}");
        let end = format!("{command} --wait {wait}");
        let starts = |line: &&str| line.starts_with("ExecStart=") && line.ends_with(&end);
        assert_eq!(units.lines().filter(starts).count(), 1, "{command}");
    }
}

#[test]
fn the_crontab_lists_the_required_variables() {
    let text = generate("cron").assert_code(0).stdout;
    let folder = TempDir::new().unwrap();
    let mut required: Vec<String> = sources()
        .into_iter()
        .flat_map(|source| {
            let output = RunOutput::capture(bare_command(folder.path()).arg(source)).assert_code(2);
            let (missing, _) = output.stderr.split_once("  help:").unwrap();
            let names =
                missing.split('(').skip(1).map(|rest| rest.split_once(')').unwrap().0.to_owned());
            names.collect::<Vec<_>>()
        })
        .collect();
    required.sort();
    required.dedup();
    let mut listed: Vec<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("#        ")?.split_once("='...'"))
        .map(|(name, _)| name.to_owned())
        .collect();
    listed.sort();
    assert_eq!(listed, required);
}

#[test]
fn a_schedule_can_be_for_the_program_of_another_machine() {
    let path = "/opt/insights/bin/collective-insights";
    for (schedule, start) in [("cron", format!("exec {path} ")), ("systemd", format!("={path} "))] {
        let text = generate(&format!("{schedule} --program {path}")).assert_code(0).stdout;
        assert_eq!(text.matches(&start).count(), sources().len(), "{text}");
        let own = assert_cmd::cargo::cargo_bin!("collective-insights");
        assert!(!text.contains(own.to_str().unwrap()), "{text}");
        for path in
            ["bin/collective-insights", "/opt/%h/collective-insights", "/opt/$HOME/insights"]
        {
            let output = generate(&format!("{schedule} --program {path}")).assert_code(2);
            assert!(output.stderr.contains("(--program, COLLECTIVE_INSIGHTS_PROGRAM)"));
        }
    }
}

#[test]
fn systemd_accepts_the_units() {
    assert_accepted("", 2 * sources().len());
}

#[test]
fn systemd_accepts_the_unit_of_all_tenants() {
    assert_accepted("--config config.toml", 2);
}

/// Returns an empty folder with the example of a settings file, named `config.toml`.
fn folder_with_example() -> TempDir {
    let folder = TempDir::new().unwrap();
    let example = generate("config").assert_code(0).stdout;
    std::fs::write(folder.path().join("config.toml"), example).unwrap();
    folder
}

/// Asserts that `generate systemd` with these arguments writes this many units, and that systemd
/// accepts them.
fn assert_accepted(arguments: &str, count: usize) {
    let folder = folder_with_example();
    generate_in(folder.path(), &format!("systemd --dir units {arguments}")).assert_code(0);
    let units: Vec<_> = std::fs::read_dir(folder.path().join("units"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(units.len(), count);
    let Some(mut analyze) = tool("systemd-analyze") else {
        return;
    };
    assert_eq!(run_tool(analyze.arg("verify").args(&units)), "");
    for service in units.iter().filter(|unit| unit.extension() == Some(OsStr::new("service"))) {
        let mut analyze = tool("systemd-analyze").unwrap();
        analyze.args(["security", "--offline=true", "--threshold=15", "--no-pager"]);
        let output = RunOutput::capture(analyze.arg(service));
        if output.stderr.contains("unrecognized option") {
            eprintln!("skipped: this systemd-analyze does not support --offline");
            return;
        }
        output.assert_code(0);
    }
}

/// Returns the lines of the service that are not comments, from `[Service]` on.
fn service(text: &str) -> Vec<&str> {
    let lines = text.lines().skip_while(|line| *line != "[Service]");
    let lines = lines.take_while(|line| !line.starts_with("# --- "));
    lines.filter(|line| !line.starts_with('#') && !line.is_empty()).collect()
}

#[test]
fn the_service_of_all_tenants_is_as_hardened_as_the_others() {
    let folder = folder_with_example();
    let run = generate_in(folder.path(), "systemd --config config.toml").assert_code(0).stdout;
    let source = generate("systemd").assert_code(0).stdout;
    let differs = |line: &&&str| {
        ["ExecStart=", "LoadCredential=", "TimeoutStartSec="]
            .iter()
            .any(|key| line.starts_with(key))
    };
    let shared = |lines: &[&str]| -> Vec<String> {
        lines.iter().filter(|line| !differs(line)).map(ToString::to_string).collect()
    };
    let (run, source) = (service(&run), service(&source));
    assert!(shared(&run).len() > 30, "{run:?}");
    assert_eq!(shared(&run), shared(&source));
    let different: Vec<&&str> = run.iter().filter(differs).collect();
    let config = folder.path().canonicalize().unwrap().join("config.toml");
    let start = format!(" run --config {}", config.display());
    assert!(different[0].starts_with("ExecStart=/") && different[0].ends_with(&start), "{run:?}");
    assert_eq!(different[1..], [&"TimeoutStartSec=65min"]);
}

#[test]
fn one_cron_line_runs_all_tenants_unchanged() {
    let env = TestEnv::new(
        World::default()
            .falcon_alerts(&[falcon("cid:ind:1", "hash_sha256", &sha256(1))])
            .carbon_black_alerts(&[carbonblack("a1", &sha256(2))]),
    );
    let url = env.sandbox.url();
    let settings = format!(
        "[defaults]\nrf-api-key = \"{RF_TOKEN}\"\nrf-api-url = \"{url}\"\n\
         [[tenant]]\nname = \"a\"\nsource = \"crowdstrike\"\nbase-url = \"{url}\"\n\
         client-id = \"{CLIENT_ID}\"\nclient-secret = \"{CLIENT_SECRET}\"\n\
         [[tenant]]\nname = \"b\"\nsource = \"carbonblack\"\nhostname = \"{url}\"\n\
         org-id = \"{CB_ORG}\"\nsecret = \"{CB_SECRET}\"\napi-id = \"{CB_API_ID}\"\n"
    );
    let config = env.write("config.toml", settings);
    std::fs::set_permissions(&config, std::fs::Permissions::from_mode(0o600)).unwrap();
    let text = generate_in(env.folder(), "cron --config config.toml").assert_code(0).stdout;
    for secret in [RF_TOKEN, CLIENT_SECRET, CB_SECRET] {
        assert!(!text.contains(secret), "{text}");
    }
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(lines.len(), 1, "{text}");
    let command = lines[0].strip_prefix("15 0 * * * ").unwrap();
    let home = env.path("home of a user");
    std::fs::create_dir_all(home.join("collective-insights")).unwrap();
    let mut run = Command::new("sh");
    run.args(["-c", command]).env_clear().envs([
        ("HOME", home.to_str().unwrap()),
        ("STATE_DIRECTORY", home.to_str().unwrap()),
        ("PATH", "/usr/bin:/bin"),
        ("COLLECTIVE_INSIGHTS_TEST_NOW", NOW),
    ]);
    let output = RunOutput::capture(&mut run).assert_code(0);
    assert_eq!((output.stdout, output.stderr), (String::new(), String::new()));
    assert_eq!(env.stored_values(), [sha256(1), sha256(2)]);
}

#[test]
fn a_settings_file_without_tenants_changes_no_schedule() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("config.toml"), "[defaults]\nhours = 3\n").unwrap();
    for schedule in ["cron", "systemd"] {
        let output = generate_in(folder.path(), &format!("{schedule} --config config.toml"));
        assert_eq!(output.assert_code(0).stdout, generate(schedule).assert_code(0).stdout);
    }
}

#[test]
fn a_path_that_cron_or_systemd_would_misread_is_an_error() {
    let folder = folder_with_example();
    for name in ["100%.toml", "a b.toml", "$HOME.toml", "it's.toml"] {
        std::fs::copy(folder.path().join("config.toml"), folder.path().join(name)).unwrap();
        for schedule in ["cron", "systemd"] {
            let mut command = bare_command(folder.path());
            command.args(["generate", schedule, "--config", name]);
            let output = RunOutput::capture(&mut command).assert_code(2);
            output.assert_stderr(&["cannot be written into a schedule", "--config"]);
        }
    }
}

/// Generates the units for settings with this metrics file.
fn generate_with_metrics_file(folder: &Path, metrics_file: &str) -> RunOutput {
    let config = std::fs::read_to_string(folder.join("config.toml")).unwrap();
    let key = format!("[defaults]\nmetrics-file = \"{metrics_file}\"\n");
    std::fs::write(folder.join("metrics.toml"), config.replace("[defaults]\n", &key)).unwrap();
    generate_in(folder, "systemd --config metrics.toml")
}

#[test]
fn the_service_may_write_to_the_folder_of_the_metrics_file() {
    let folder = folder_with_example();
    let debian = "/var/lib/prometheus/node-exporter";
    let lines = |output: RunOutput| -> Vec<String> {
        let text = output.assert_code(0).stdout;
        let lines = text.lines().filter(|line| line.contains("ReadWritePaths"));
        lines.map(str::to_owned).collect()
    };
    let comment = format!("# ReadWritePaths=-{debian}");
    let described = format!("[Service]\nReadWritePaths=-{debian}\n");
    assert!(topic("operations").contains(&described), "{described}");
    assert_eq!(
        lines(generate_with_metrics_file(folder.path(), "/srv/metrics/x.prom")),
        ["ReadWritePaths=-/srv/metrics"]
    );
    // The service's own folder is writable.
    assert_eq!(
        lines(generate_with_metrics_file(folder.path(), "x.prom")),
        std::slice::from_ref(&comment)
    );
    assert_eq!(lines(generate("systemd")), vec![comment; sources().len()]);
    for wrong in ["/srv/a b/x.prom", "/x.prom", "//x.prom"] {
        let output = generate_with_metrics_file(folder.path(), wrong).assert_code(2);
        output.assert_stderr(&["cannot be written into a schedule", "`metrics-file`"]);
    }
    generate_in(folder.path(), "cron --config metrics.toml").assert_code(0);
}

#[test]
fn the_systemd_units_have_the_expected_settings() {
    let text = generate("systemd").assert_code(0).stdout;
    for line in [
        "# --- collective-insights-crowdstrike.service ---",
        "# --- collective-insights-carbonblack.timer ---",
        "OnCalendar=*-*-* 00:15:00",
        "Persistent=true",
        "RestartPreventExitStatus=1 2 3 4 6",
        "SuccessExitStatus=143",
        "TimeoutStartSec=130min",
        "LoadCredential=cs_client_secret:/etc/collective-insights/cs_client_secret",
        "LoadCredential=cb_api_id:/etc/collective-insights/cb_api_id",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}");
    }
}

#[test]
fn a_run_reads_the_credentials_that_its_unit_loads() {
    let env = TestEnv::new(
        World::default()
            .falcon_alerts(&[falcon("cid:ind:1", "hash_sha256", &sha256(1))])
            .carbon_black_alerts(&[carbonblack("a1", &sha256(2))]),
    );
    let url = env.sandbox.url();
    generate_in(env.folder(), "systemd --dir units").assert_code(0);
    for source in Vendor::ALL.map(Vendor::command) {
        let unit = env.path(&format!("units/collective-insights-{source}.service"));
        let credentials = env.path(source);
        std::fs::create_dir(&credentials).unwrap();
        for line in std::fs::read_to_string(unit).unwrap().lines() {
            let Some(loaded) = line.strip_prefix("LoadCredential=") else {
                continue;
            };
            let (name, _) = loaded.split_once(':').unwrap();
            let secret = match name {
                "rf_api_key" => RF_TOKEN,
                "cs_client_id" => CLIENT_ID,
                "cs_client_secret" => CLIENT_SECRET,
                "cb_secret" => CB_SECRET,
                "cb_api_id" => CB_API_ID,
                other => panic!("{other}"),
            };
            std::fs::write(credentials.join(name), format!("{secret}\n")).unwrap();
        }
        let mut run = bare_command(env.folder());
        run.arg(source).envs([
            ("CREDENTIALS_DIRECTORY", credentials.to_str().unwrap()),
            ("COLLECTIVE_INSIGHTS_TEST_NOW", NOW),
            ("RF_API_URL", &url),
            ("CS_BASE_URL", &url),
            ("CB_HOSTNAME", &url),
            ("CB_ORG_ID", CB_ORG),
        ]);
        RunOutput::capture(&mut run).assert_code(0);
    }
    assert_eq!(env.stored_values(), [sha256(1), sha256(2)]);
}
