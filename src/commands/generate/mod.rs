//! `generate`: what makes the tool at home on a machine. All of it comes from the definitions the program
//! itself uses: the command line's for names, options and variables, [`FailureKind`](crate::failure::FailureKind) for exit
//! codes, the exclusion file that the README points at.

mod completions;
mod cron;
mod files;
mod man;
mod schedule_inputs;
mod systemd;

use std::path::PathBuf;
use std::process::ExitCode;

use crate::cli::{Artifact, GenerateArgs};
use crate::failure::Failure;
use crate::report;

/// The program's name, as in file names and as a shell completes it.
const NAME: &str = "collective-insights";
/// Where the program is where its own path is not fit to stand in a schedule.
const DEFAULT_PATH: &str = "/usr/local/bin/collective-insights";
const EXCLUSIONS: &str = include_str!("../../../exclusions.example.txt");

/// Prints or writes what was asked for.
#[must_use]
pub fn generate(args: &GenerateArgs) -> ExitCode {
    match make(&args.what) {
        Ok(text) => {
            report::out(&text);
            ExitCode::SUCCESS
        }
        Err(failure) => report::print_failure(&failure),
    }
}

fn make(what: &Artifact) -> Result<String, Failure> {
    match what {
        Artifact::Completions { shell } => Ok(completions::script(*shell)),
        Artifact::Man { dir: None } => Ok(man::main_page()),
        Artifact::Man { dir: Some(dir) } => files::replace(dir, &man::pages()),
        Artifact::Cron => Ok(cron::lines(&program())),
        Artifact::Systemd { dir: None } => Ok(systemd::as_text(&program())),
        Artifact::Systemd { dir: Some(dir) } => files::add(dir, &systemd::units(&program())),
        Artifact::Exclusions => Ok(EXCLUSIONS.to_owned()),
    }
}

/// This program's path, for a schedule: neither cron nor systemd looks where a shell does. A path with blanks
/// or signs that either of them reads in its own way is left out.
fn program() -> String {
    std::env::current_exe()
        .ok()
        .and_then(|path: PathBuf| path.to_str().map(str::to_owned))
        .filter(|path| is_plain(path))
        .unwrap_or_else(|| DEFAULT_PATH.to_owned())
}

fn is_plain(path: &str) -> bool {
    path.starts_with('/')
        && path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._+-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_paths_stand_in_a_schedule() {
        assert!(is_plain("/opt/ci-1.0/bin/collective-insights"));
        for path in [
            "",
            "collective-insights",
            "/a b/c",
            "/a%h",
            "/a$b",
            "/a\"b",
            "/ü",
            "/a\nb",
            "/a (deleted)",
        ] {
            assert!(!is_plain(path), "{path}");
        }
    }
}
