//! `generate`: completions, man pages, schedules, an exclusion file and a settings file. The first
//! three come from the definitions that the program itself uses: the command line for names,
//! options and variables, [`FailureKind`](crate::failure::FailureKind) for exit codes. The last two
//! are fixed examples.

mod completions;
mod cron;
mod files;
mod kubernetes;
mod man;
mod schedule_inputs;
mod systemd;
mod topic_page;

use std::path::Path;

use self::schedule_inputs::Run;
use crate::cli::{Artifact, Parsed, ProgramArgs, TOPICS, WeeklyReportArgs};
use crate::failure::{Failure, FailureKind};
use crate::redact::sanitize;

/// The path of the program in schedules if its real path cannot be used there.
const DEFAULT_PATH: &str = "/usr/local/bin/collective-insights";
const EXCLUSIONS: &str = include_str!("../../../exclusions.example.txt");

/// Returns the artifact, or writes its files and returns their names.
pub(crate) fn generate(artifact: &Artifact, parsed: &Parsed) -> Result<String, Failure> {
    match artifact {
        Artifact::Completions { shell } => Ok(completions::script(*shell)),
        Artifact::Man { dir: None } => man::main_page(),
        Artifact::Man { dir: Some(dir) } => files::replace(dir, &man::pages()?),
        Artifact::Cron { program, report, .. } => {
            let (program, report) = (scheduled_program(program)?, weekly_report(report)?);
            match scheduled_run(parsed)? {
                Some(run) => Ok(cron::crontab_of_run(&program, &run.config, report)),
                None => cron::crontab(&program, report),
            }
        }
        Artifact::Systemd { dir, program, report, .. } => {
            let (program, report) = (scheduled_program(program)?, weekly_report(report)?);
            let units = systemd::units(&program, scheduled_run(parsed)?.as_ref(), report)?;
            match dir {
                None => Ok(systemd::as_text(&units)),
                Some(dir) => files::add(dir, &units),
            }
        }
        Artifact::Kubernetes { name, tenant, .. } => {
            // The user's settings file if it has tenants, or else the example.
            kubernetes::manifest(name, &parsed.scheduled_file_or(settings_file(), tenant)?)
        }
        Artifact::Exclusions => Ok(EXCLUSIONS.to_owned()),
        Artifact::Config => Ok(settings_file().to_owned()),
    }
}

/// Returns the run of all tenants, if the settings file has tenants.
fn scheduled_run(parsed: &Parsed) -> Result<Option<Run>, Failure> {
    let Some(file) = parsed.scheduled_file()? else { return Ok(None) };
    let path = &file.path;
    let config = path.to_str().filter(|path| is_plain(path)).ok_or_else(|| {
        unusable_path(
            &path.display().to_string(),
            "Move the settings file to a path of letters, digits and . _ + - /, and name it with --config (COLLECTIVE_INSIGHTS_CONFIG).",
        )
    })?;
    Ok(Some(Run {
        config: config.to_owned(),
        deadline: file.deadline,
        wait: file.wait,
        metrics_file: file.metrics_file().map(str::to_owned),
    }))
}

fn unusable_path(path: &str, help: &str) -> Failure {
    let message = format!("the path {} cannot be written into a schedule", sanitize(path));
    Failure::new(FailureKind::Configuration, message, help)
}

/// Returns an example of a settings file: the one in the help topics, so that there is only one.
fn settings_file() -> &'static str {
    let texts = TOPICS.iter().map(|topic| topic.text);
    let mut examples = texts.filter_map(|text| Some(text.split_once("```toml\n")?.1));
    let example = examples.next().and_then(|rest| rest.split_once("```"));
    example.map_or("", |(example, _)| example)
}

/// Returns the path of the program for a schedule: that of `--program`, or that of this program.
fn scheduled_program(args: &ProgramArgs) -> Result<String, Failure> {
    let Some(path) = &args.program else { return Ok(program()) };
    path.to_str().filter(|path| is_plain(path)).map(str::to_owned).ok_or_else(|| {
        unusable_path(
            &path.display().to_string(),
            "Name the program with an absolute path of letters, digits and . _ + - / (--program, COLLECTIVE_INSIGHTS_PROGRAM).",
        )
    })
}

/// Returns the file of the weekly report, if there is to be one.
fn weekly_report(args: &WeeklyReportArgs) -> Result<Option<&str>, Failure> {
    let Some(path) = &args.weekly_report else { return Ok(None) };
    let plain = path.to_str().filter(|path| is_plain(path));
    let plain = plain.filter(|_| path.parent().is_some_and(|folder| folder != Path::new("/")));
    plain.map(Some).ok_or_else(|| {
        unusable_path(
            &path.display().to_string(),
            "Name the report with an absolute path of letters, digits and . _ + - /, in a folder of its own (--weekly-report, COLLECTIVE_INSIGHTS_WEEKLY_REPORT).",
        )
    })
}

/// Returns the path of this program for a schedule, because cron and systemd do not use the shell's
/// `PATH`. A path with characters that are special to either of them is replaced by the default.
fn program() -> String {
    std::env::current_exe()
        .ok()
        .and_then(|path| path.into_os_string().into_string().ok())
        .filter(|path| is_plain(path))
        .unwrap_or_else(|| DEFAULT_PATH.to_owned())
}

/// Whether a path is absolute and has no character that is special to cron or systemd.
fn is_plain(path: &str) -> bool {
    path.starts_with('/')
        && path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._+-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_paths_are_used_in_a_schedule() {
        assert!(is_plain("/opt/ci-1.0/bin/collective-insights"));
        for path in [
            "", "collective-insights", "/a b/c", "/a%h", "/a$b", "/a\"b", "/ü", "/a\nb",
            "/a (deleted)",
        ] {
            assert!(!is_plain(path), "{path}");
        }
    }
}
