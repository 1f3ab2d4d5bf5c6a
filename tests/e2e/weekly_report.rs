//! Tests of the report that a generated schedule writes every week.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use sandbox::{CLIENT_ID, CLIENT_SECRET, RF_TOKEN};
use tempfile::TempDir;

use crate::support::alerts::{falcon, sha256};
use crate::support::generate::{generate, generate_in};
use crate::support::report_page::ReportPage;
use crate::support::tool::{run_tool, tool};
use crate::support::{NOW, RunOutput, TestEnv, bare_command};

/// Returns the command of the only line of a crontab that writes a report.
fn report_command(crontab: &str) -> String {
    let lines = crontab.lines().filter(|line| !line.starts_with('#') && line.contains(" report "));
    let lines: Vec<&str> = lines.collect();
    let [line] = lines[..] else { panic!("{crontab}") };
    line.strip_prefix("30 6 * * 1 ").unwrap().to_owned()
}

/// Runs a command as cron does, and returns its output.
fn run_like_cron(line: &str, home: &Path) -> RunOutput {
    let mut command = Command::new("sh");
    command.args(["-c", line]).env_clear().envs([
        ("HOME", home.to_str().unwrap()),
        ("PATH", "/usr/bin:/bin"),
        ("STATE_DIRECTORY", home.to_str().unwrap()),
        ("COLLECTIVE_INSIGHTS_TEST_NOW", NOW),
    ]);
    RunOutput::capture(&mut command)
}

#[test]
fn the_cron_line_writes_the_page_and_prints_nothing() {
    let env = TestEnv::falcon(&[falcon("cid:ind:1", "hash_sha256", &sha256(1))]);
    env.run("crowdstrike").assert_code(0);
    // The cron line loads this file of variables.
    let home = env.path("home");
    let folder = home.join("collective-insights");
    std::fs::create_dir_all(&folder).unwrap();
    let ledger = env.path("collective-insights.db");
    let variables = format!("COLLECTIVE_INSIGHTS_LEDGER='{}'\n", ledger.display());
    std::fs::write(folder.join("collective-insights.env"), variables).unwrap();
    let page = env.path("report.html");
    let option = format!("cron --weekly-report {}", page.display());
    let line = report_command(&generate(&option).assert_code(0).stdout);
    let output = run_like_cron(&line, &home).assert_code(0);
    assert_eq!((output.stdout, output.stderr), (String::new(), String::new()));
    assert_eq!(ReportPage::read(&page).tile("indicators shared"), 1);
    // A failure prints to stderr, which cron mails.
    std::fs::remove_file(&ledger).unwrap();
    let output = run_like_cron(&line, &home).assert_code(6);
    output.assert_stderr(&["there is no ledger at"]);
}

#[test]
fn the_cron_line_of_all_tenants_reads_their_settings_file() {
    let env = TestEnv::falcon(&[falcon("cid:ind:1", "hash_sha256", &sha256(1))]);
    let url = env.sandbox.url();
    let ledger = env.path("of-tenants.db");
    let settings = format!(
        "[defaults]\nrf-api-key = \"{RF_TOKEN}\"\nrf-api-url = \"{url}\"\nledger = \"{}\"\n\
         [[tenant]]\nname = \"a\"\nsource = \"crowdstrike\"\nbase-url = \"{url}\"\n\
         client-id = \"{CLIENT_ID}\"\nclient-secret = \"{CLIENT_SECRET}\"\n",
        ledger.display()
    );
    let config = env.write("config.toml", settings);
    std::fs::set_permissions(&config, std::fs::Permissions::from_mode(0o600)).unwrap();
    let mut run = bare_command(env.folder());
    run.args(["run", "--config", "config.toml"]).env("COLLECTIVE_INSIGHTS_TEST_NOW", NOW);
    RunOutput::capture(&mut run).assert_code(0);
    let home = env.path("home");
    std::fs::create_dir_all(home.join("collective-insights")).unwrap();
    let page = env.path("report.html");
    let option = format!("cron --config config.toml --weekly-report {}", page.display());
    let crontab = generate_in(env.folder(), &option).assert_code(0).stdout;
    let output = run_like_cron(&report_command(&crontab), &home).assert_code(0);
    assert_eq!((output.stdout, output.stderr), (String::new(), String::new()));
    assert_eq!(ReportPage::read(&page).tile("indicators shared"), 1);
}

#[test]
fn systemd_accepts_the_units_of_the_report() {
    let folder = TempDir::new().unwrap();
    let option = "systemd --dir units --weekly-report /srv/reports/insights.html";
    generate_in(folder.path(), option).assert_code(0);
    let units = folder.path().join("units");
    let [service, timer] = ["service", "timer"].map(|kind| {
        let path = units.join(format!("collective-insights-report.{kind}"));
        std::fs::read_to_string(path).unwrap()
    });
    for line in [
        "ReadWritePaths=/srv/reports",
        "PrivateNetwork=true",
        "RestrictAddressFamilies=AF_UNIX",
        "ProtectSystem=strict",
        "User=collective-insights",
    ] {
        assert!(service.lines().any(|found| found == line), "{line}: {service}");
    }
    let start = service.lines().find(|line| line.starts_with("ExecStart=")).unwrap();
    assert!(start.ends_with(" report --html /srv/reports/insights.html"), "{start}");
    assert!(timer.contains("OnCalendar=Mon *-*-* 06:30:00"), "{timer}");
    let files: Vec<_> =
        std::fs::read_dir(&units).unwrap().map(|entry| entry.unwrap().path()).collect();
    let Some(mut analyze) = tool("systemd-analyze") else { return };
    assert_eq!(run_tool(analyze.arg("verify").args(&files)), "");
    let report = files
        .iter()
        .find(|file| file.file_name() == Some(OsStr::new("collective-insights-report.service")));
    let mut analyze = tool("systemd-analyze").unwrap();
    analyze.args(["security", "--offline=true", "--threshold=15", "--no-pager"]);
    let output = RunOutput::capture(analyze.arg(report.unwrap()));
    if output.stderr.contains("unrecognized option") {
        eprintln!("skipped: this systemd-analyze does not support --offline");
        return;
    }
    output.assert_code(0);
}

#[test]
fn a_schedule_without_the_option_writes_no_report() {
    for schedule in ["cron", "systemd"] {
        let text = generate(schedule).assert_code(0).stdout;
        assert!(!text.contains("report"), "{text}");
    }
}

#[test]
fn a_file_that_is_unsuitable_for_a_schedule_is_an_error() {
    // Relative; misread by cron and systemd; and in the root folder, which a service cannot write.
    for file in ["report.html", "/srv/100%.html", "/srv/a b/report.html", "/report.html"] {
        for schedule in ["cron", "systemd"] {
            let mut command = bare_command(Path::new("/"));
            command.args(["generate", schedule, "--weekly-report", file]);
            let output = RunOutput::capture(&mut command).assert_code(2);
            output.assert_stderr(&["cannot be written into a schedule", "--weekly-report"]);
        }
    }
    // The service has a /tmp of its own, and cannot see home folders.
    for file in ["/tmp/report.html", "/home/me/report.html"] {
        let output = generate(&format!("systemd --weekly-report {file}")).assert_code(2);
        output.assert_stderr(&["cannot be written into a schedule", "cannot see home folders"]);
        generate(&format!("cron --weekly-report {file}")).assert_code(0);
    }
}
