//! A service and a timer for each source, or for all tenants.

use std::fmt::Write as _;
use std::path::Path;

use super::files::File;
use super::schedule_inputs::{
    self, GRACE_MINUTES, MAX_STARTS, Run, ScheduledSource, non_retryable,
};
use super::{DEFAULT_PATH, is_plain, unusable_path};
use crate::cli::NAME;
use crate::failure::{Failure, FailureKind, Signal};

/// The delay before a run is restarted after a failure that may pass: a temporary one, or a locked
/// ledger.
const RESTART_MINUTES: u32 = 15;
/// Directories that `ProtectHome` and `PrivateTmp` hide from the service.
const HIDDEN_DIRECTORIES: [&str; 5] = ["/home/", "/root/", "/run/user/", "/tmp/", "/var/tmp/"];

/// The folder from which Debian's package of `node_exporter` reads metrics files.
const METRICS_FOLDER: &str = "/var/lib/prometheus/node-exporter";

/// The lines of a unit that allow the network that a run needs.
const NETWORK: &str = "# AF_UNIX is for the system's resolver and the journal.
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
";

/// What is specific to the units of one schedule.
struct Schedule {
    /// The command, which is also part of the units' names.
    command: &'static str,
    /// The source, or `all tenants`, for the comment above the service.
    title: String,
    description: String,
    /// The preparations, as comments.
    setup: String,
    /// `ExecStart=`, below its comments.
    start: String,
    /// `LoadCredential=` of each secret.
    credentials: String,
    /// `ReadWritePaths=` of the metrics file, below its comments.
    metrics: String,
    /// The maximum run time and the maximum wait of a run, in minutes.
    deadline: u32,
    wait: u32,
}

/// Returns the names and contents of the units: for each source, or for the `run` of all tenants of
/// the settings file, and for the weekly report if there is a file `report` for it.
///
/// # Errors
/// When the path of the metrics file cannot be written into a unit, or the service cannot see the
/// file of the report. A program or settings file that it cannot see gets a comment instead.
pub(super) fn units(
    program: &str,
    run: Option<&Run>,
    report: Option<&str>,
) -> Result<Vec<File>, Failure> {
    let schedules: Vec<Schedule> = match run {
        Some(run) => vec![schedule_of_run(run)?],
        None => schedule_inputs::all()?.iter().map(schedule_of_source).collect(),
    };
    let units = schedules.iter().flat_map(|schedule| {
        let unit = format!("{NAME}-{}", schedule.command);
        [
            (format!("{unit}.service"), service(schedule, program)),
            (format!("{unit}.timer"), timer(schedule)),
        ]
    });
    if let Some(file) = report.filter(|file| is_hidden(file)) {
        return Err(unusable_path(
            file,
            "The service cannot see home folders and /tmp: name a file in another folder (--weekly-report, COLLECTIVE_INSIGHTS_WEEKLY_REPORT).",
        ));
    }
    let services: Vec<String> =
        schedules.iter().map(|schedule| format!("{NAME}-{}.service", schedule.command)).collect();
    let config = run.map(|run| run.config.as_str());
    let report = report.into_iter().flat_map(|file| {
        [
            (format!("{NAME}-report.service"), report_service(file, program, config, &services)),
            (
                format!("{NAME}-report.timer"),
                include_str!("report_timer.txt").replace("@NAME@", NAME),
            ),
        ]
    });
    Ok(units.chain(report).collect())
}

/// Returns all units one after the other, each under its name.
pub(super) fn as_text(units: &[File]) -> String {
    let texts: Vec<String> =
        units.iter().map(|(name, content)| format!("# --- {name} ---\n{content}")).collect();
    texts.join("\n")
}

/// Returns the service that writes the weekly report to a file. If the services in `after` are due
/// at the same time, it waits for them.
fn report_service(file: &str, program: &str, config: Option<&str>, after: &[String]) -> String {
    let folder = Path::new(file).parent().and_then(Path::to_str).unwrap_or("/");
    let environment = config
        .map(|config| format!("Environment=COLLECTIVE_INSIGHTS_CONFIG={config}\n"))
        .unwrap_or_default();
    let writable = format!("ReadWritePaths={folder}\n");
    let network = "PrivateNetwork=true\nRestrictAddressFamilies=AF_UNIX\n";
    include_str!("report_service.txt")
        .replace("@HARDENING@\n", include_str!("hardening.txt"))
        .replace("@WRITABLE@\n", &writable)
        .replace("@NETWORK@\n", network)
        .replace("@ENVIRONMENT@\n", &environment)
        .replace("@PROGRAM_WARNING@\n", &program_warning(program))
        .replace("@CONFIG_WARNING@\n", &config.map(config_warning).unwrap_or_default())
        .replace("@AFTER@", &after.join(" "))
        .replace("@PROGRAM@", program)
        .replace("@FOLDER@", folder)
        .replace("@FILE@", file)
        .replace("@NAME@", NAME)
}

fn schedule_of_source(source: &ScheduledSource) -> Schedule {
    let ScheduledSource { info, options, deadline, wait, .. } = source;
    Schedule {
        command: info.name,
        title: info.title.to_owned(),
        description: format!("{} detections for Recorded Future", info.title),
        setup: include_str!("service_source.txt")
            .replace("@SECRET_FILES@\n", &secret_files(source))
            .replace("@SETTINGS@\n", &settings(source)),
        start: format!(
            "# The options are recommended: without them, what the Python script sent is sent (`{NAME} help sharing`).
# Only one run at a time can use the ledger, so it waits for those of the other sources.
ExecStart=@PROGRAM@ {} {options} --wait {wait}m
",
            info.name
        ),
        credentials: credentials(source),
        metrics: metrics(None),
        deadline: *deadline,
        wait: *wait,
    }
}

fn schedule_of_run(run: &Run) -> Result<Schedule, Failure> {
    let config = &run.config;
    let warning = config_warning(config);
    Ok(Schedule {
        command: "run",
        title: "all tenants".to_owned(),
        description: "Detections of all tenants for Recorded Future".to_owned(),
        setup: include_str!("service_run.txt").replace("@CONFIG@", config),
        start: format!("{warning}ExecStart=@PROGRAM@ run --config {config}\n"),
        credentials: String::new(),
        metrics: metrics(metrics_folder(run)?),
        deadline: run.deadline,
        wait: run.wait,
    })
}

/// Returns the folder of the metrics file; `None` if there is no such file, or if its path is
/// relative: then it is in the service's own folder, which the service may write to anyway.
///
/// # Errors
/// When the path cannot be written into a unit.
fn metrics_folder(run: &Run) -> Result<Option<&str>, Failure> {
    let Some(path) = run.metrics_file.as_deref().filter(|path| path.starts_with('/')) else {
        return Ok(None);
    };
    let folder = Path::new(path).parent().and_then(Path::to_str);
    match folder {
        // The root would make every folder writable.
        Some(folder) if is_plain(path) && folder != "/" => Ok(Some(folder)),
        _ => Err(unusable_path(
            path,
            "Give `metrics-file` in the settings file a path of letters, digits and . _ + - /, in a folder of its own.",
        )),
    }
}

/// Returns the setting that lets the service write a metrics file to this folder; if there is none,
/// an example as a comment.
fn metrics(folder: Option<&str>) -> String {
    let (mark, folder) = match folder {
        Some(folder) => ("", folder),
        None => ("# ", METRICS_FOLDER),
    };
    // With the dash, the service also starts if the folder is missing.
    format!(
        "# For --metrics-file, after `setfacl -m u:{NAME}:rwx {folder}`:\n{mark}ReadWritePaths=-{folder}\n"
    )
}

fn service(schedule: &Schedule, program: &str) -> String {
    let timeout = schedule.wait + schedule.deadline + GRACE_MINUTES;
    // Long enough for one start more than allowed, so that the limit takes effect.
    let span = (MAX_STARTS + 1) * (timeout + RESTART_MINUTES);
    include_str!("service.txt")
        .replace("@SETUP@\n", &schedule.setup)
        .replace("@START@\n", &schedule.start)
        .replace("@CREDENTIALS@\n", &schedule.credentials)
        .replace("@HARDENING@\n", include_str!("hardening.txt"))
        .replace("@WRITABLE@\n", &schedule.metrics)
        .replace("@NETWORK@\n", NETWORK)
        .replace("@PROGRAM_WARNING@\n", &program_warning(program))
        .replace("@PROGRAM@", program)
        .replace("@NAME@", NAME)
        .replace("@COMMAND@", schedule.command)
        .replace("@TITLE@", &schedule.title)
        .replace("@DESCRIPTION@", &schedule.description)
        .replace("@TIMEOUT@", &timeout.to_string())
        .replace("@SPAN@", &span.to_string())
        .replace("@STARTS@", &MAX_STARTS.to_string())
        .replace("@PAUSE@", &RESTART_MINUTES.to_string())
        .replace("@TEMPORARY@", &FailureKind::Temporary.exit_code().to_string())
        .replace("@LOCKED@", &FailureKind::Locked.exit_code().to_string())
        .replace("@NO_RETRY@", &non_retryable().join(" "))
        .replace(
            "@TERMINATED@",
            &FailureKind::Interrupted(Signal::Terminate).exit_code().to_string(),
        )
}

fn timer(schedule: &Schedule) -> String {
    include_str!("timer.txt")
        .replace("@NAME@", NAME)
        .replace("@DESCRIPTION@", &schedule.description)
        .replace("@COMMAND@", schedule.command)
}

/// Returns the names of the secret files, as comments.
fn secret_files(source: &ScheduledSource) -> String {
    let mut text = String::new();
    for variable in source.variables.iter().filter(|variable| variable.is_secret) {
        // Writing to a String cannot fail.
        let _ =
            writeln!(text, "#        {:<17} # {}", variable.name.to_lowercase(), variable.about);
    }
    text
}

fn credentials(source: &ScheduledSource) -> String {
    let mut text = String::new();
    for variable in source.variables.iter().filter(|variable| variable.is_secret) {
        let name = variable.name.to_lowercase();
        let _ = writeln!(text, "LoadCredential={name}:/etc/{NAME}/{name}");
    }
    text
}

/// Returns the settings that are not secrets, as comments.
fn settings(source: &ScheduledSource) -> String {
    let mut text = String::new();
    for variable in source.variables.iter().filter(|variable| !variable.is_secret) {
        let _ = writeln!(
            text,
            "#        {:<17} # {}{}",
            format!("{}=...", variable.name),
            variable.about,
            if variable.is_required { "" } else { ", optional" }
        );
    }
    text
}

/// Returns a comment if the service cannot see the settings file where it is.
fn config_warning(config: &str) -> String {
    if is_hidden(config) {
        format!(
            "# ATTENTION: the service cannot see the settings file there. Move it, for example to\n# /etc/{NAME}/config.toml, and change the line.\n"
        )
    } else {
        String::new()
    }
}

/// Returns a comment if the service cannot see the program where it is.
fn program_warning(program: &str) -> String {
    if is_hidden(program) {
        format!(
            "# ATTENTION: the service cannot see this directory. Install the program, for example as\n# {DEFAULT_PATH}, and change the line.\n"
        )
    } else {
        String::new()
    }
}

fn is_hidden(path: &str) -> bool {
    HIDDEN_DIRECTORIES.iter().any(|folder| path.starts_with(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_placeholder_is_replaced() {
        let run = Run {
            config: "/home/me/config.toml".to_owned(),
            deadline: 60,
            wait: 0,
            metrics_file: None,
        };
        let text = |program, run: Option<&Run>| {
            as_text(&units(program, run, Some("/srv/reports/insights.html")).unwrap())
        };
        let run = text(DEFAULT_PATH, Some(&run));
        assert!(run.contains("ATTENTION: the service cannot see the settings file"), "{run}");
        let sources = text(DEFAULT_PATH, None);
        // A placeholder has an @ on each side, a group of system calls (`@privileged`) one in
        // front.
        let both = format!("{sources} {run}");
        let left = both.split_whitespace().find(|word| {
            let mut parts = word.split('@').skip(1);
            parts.next().is_some() && parts.next().is_some()
        });
        assert_eq!(left, None);
        assert!(!sources.contains("ATTENTION"), "{sources}");
        assert!(text("/home/me/bin/it", None).contains("ATTENTION"));
    }

    #[test]
    fn each_secret_is_a_credential_named_as_its_variable() {
        let units = units(DEFAULT_PATH, None, None).unwrap();
        let credentials = |unit: &str| -> Vec<&str> {
            let (_, text) = units.iter().find(|(name, _)| name == unit).unwrap();
            text.lines()
                .filter_map(|line| line.strip_prefix("LoadCredential="))
                .filter_map(|line| line.split_once(':'))
                .map(|(name, _)| name)
                .collect()
        };
        assert_eq!(
            credentials("collective-insights-crowdstrike.service"),
            ["rf_api_key", "cs_client_id", "cs_client_secret"]
        );
        assert_eq!(
            credentials("collective-insights-carbonblack.service"),
            ["rf_api_key", "cb_secret", "cb_api_id"]
        );
    }
}
