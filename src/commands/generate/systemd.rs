//! A service and a timer for each source.

use std::fmt::Write as _;

use super::DEFAULT_PATH;
use super::files::File;
use super::schedule_inputs::{self, GRACE_MINUTES, ScheduledSource};
use crate::cli::NAME;
use crate::failure::{Failure, FailureKind, Signal};

/// The delay before a run is restarted after a temporary failure.
const RESTART_MINUTES: u32 = 15;
/// The maximum number of starts per day, including restarts.
const MAX_STARTS: u32 = 4;
/// Directories that `ProtectHome` and `PrivateTmp` hide from the service.
const HIDDEN_DIRECTORIES: [&str; 5] = ["/home/", "/root/", "/run/user/", "/tmp/", "/var/tmp/"];

/// Returns the names and contents of the units.
pub(super) fn units(program: &str) -> Result<Vec<File>, Failure> {
    let mut units = Vec::new();
    for source in schedule_inputs::all()? {
        let unit = format!("{NAME}-{}", source.info.name);
        units.push((format!("{unit}.service"), service(&source, program)));
        units.push((format!("{unit}.timer"), timer(&source)));
    }
    Ok(units)
}

/// Returns all units one after the other, each under its name.
pub(super) fn as_text(program: &str) -> Result<String, Failure> {
    let texts: Vec<String> = units(program)?
        .iter()
        .map(|(name, content)| format!("# --- {name} ---\n{content}"))
        .collect();
    Ok(texts.join("\n"))
}

fn service(source: &ScheduledSource, program: &str) -> String {
    let timeout = source.wait + source.deadline + GRACE_MINUTES;
    // Long enough for one start more than allowed, so that the limit takes effect.
    let span = (MAX_STARTS + 1) * (timeout + RESTART_MINUTES);
    include_str!("service.txt")
        .replace("@SECRET_FILES@\n", &secret_files(source))
        .replace("@SETTINGS@\n", &settings(source))
        .replace("@CREDENTIALS@\n", &credentials(source))
        .replace("@HOME_WARNING@\n", &home_warning(program))
        .replace("@PROGRAM@", program)
        .replace("@NAME@", NAME)
        .replace("@SOURCE@", source.info.name)
        .replace("@OPTIONS@", source.options)
        .replace("@TITLE@", source.info.title)
        .replace("@WAIT@", &source.wait.to_string())
        .replace("@TIMEOUT@", &timeout.to_string())
        .replace("@SPAN@", &span.to_string())
        .replace("@STARTS@", &MAX_STARTS.to_string())
        .replace("@PAUSE@", &RESTART_MINUTES.to_string())
        .replace("@TEMPORARY@", &FailureKind::Temporary.exit_code().to_string())
        .replace("@LOCKED@", &FailureKind::Locked.exit_code().to_string())
        .replace("@NO_RETRY@", &non_retryable())
        .replace(
            "@TERMINATED@",
            &FailureKind::Interrupted(Signal::Terminate).exit_code().to_string(),
        )
}

fn timer(source: &ScheduledSource) -> String {
    include_str!("timer.txt")
        .replace("@NAME@", NAME)
        .replace("@TITLE@", source.info.title)
        .replace("@SOURCE@", source.info.name)
}

/// Returns the exit codes after which a restart on the same day would not help.
fn non_retryable() -> String {
    let kinds = FailureKind::ALL.into_iter().filter(|kind| !kind.is_retryable());
    kinds.map(|kind| kind.exit_code().to_string()).collect::<Vec<_>>().join(" ")
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

/// Returns a comment if the service cannot see the program where it is.
fn home_warning(program: &str) -> String {
    if HIDDEN_DIRECTORIES.iter().any(|folder| program.starts_with(folder)) {
        format!(
            "# ATTENTION: the service cannot see this directory. Install the program, for example as\n# {DEFAULT_PATH}, and change the line.\n"
        )
    } else {
        String::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_placeholder_is_replaced() {
        let text = as_text(DEFAULT_PATH).unwrap();
        // A placeholder has an @ on each side, a group of system calls (`@privileged`) one in
        // front.
        let left = text.split_whitespace().find(|word| {
            let mut parts = word.split('@').skip(1);
            parts.next().is_some() && parts.next().is_some()
        });
        assert_eq!(left, None);
        assert!(!text.contains("ATTENTION"), "{text}");
        assert!(as_text("/home/me/bin/it").unwrap().contains("ATTENTION"));
    }

    #[test]
    fn each_secret_is_a_credential_named_as_its_variable() {
        let units = units(DEFAULT_PATH).unwrap();
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
