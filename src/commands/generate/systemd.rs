//! A service and a timer for each source.

use std::fmt::Write as _;

use super::files::File;
use super::schedule_inputs::{self, Source};
use super::{DEFAULT_PATH, NAME};
use crate::failure::{FailureKind, Signal};

/// What systemd adds to a run's own deadline before it ends the run.
const GRACE_MINUTES: u32 = 5;
/// How long to wait before a run that needs only time is tried again, and how often it is started in all.
const PAUSE_MINUTES: u32 = 15;
const STARTS: u32 = 4;
/// Folders that `ProtectHome` and `PrivateTmp` hide from the service.
const HIDDEN: [&str; 5] = ["/home/", "/root/", "/run/user/", "/tmp/", "/var/tmp/"];

/// The units' names and contents.
pub(super) fn units(program: &str) -> Vec<File> {
    let mut units = Vec::new();
    let mut earlier: Option<String> = None;
    for source in schedule_inputs::all() {
        let unit = format!("{NAME}-{}", source.labels.name);
        units.push((format!("{unit}.service"), service(&source, program, earlier.as_deref())));
        units.push((format!("{unit}.timer"), timer(&source)));
        earlier = Some(format!("{unit}.service"));
    }
    units
}

/// All units after one another, each under its name.
pub(super) fn as_text(program: &str) -> String {
    let units = units(program);
    let texts: Vec<String> =
        units.iter().map(|(name, content)| format!("# --- {name} ---\n{content}")).collect();
    texts.join("\n")
}

fn service(source: &Source, program: &str, earlier: Option<&str>) -> String {
    let timeout = source.deadline + GRACE_MINUTES;
    // One start more than are allowed would not fit in.
    let span = (STARTS + 1) * (timeout + PAUSE_MINUTES);
    include_str!("service.txt")
        .replace("@SECRET_FILES@\n", &secret_files(source))
        .replace("@SETTINGS@\n", &settings(source))
        .replace("@ORDER@\n", &order(earlier))
        .replace("@CREDENTIALS@\n", &credentials(source))
        .replace("@HIDDEN@\n", &hidden(program))
        .replace("@PROGRAM@", program)
        .replace("@NAME@", NAME)
        .replace("@SOURCE@", source.labels.name)
        .replace("@TITLE@", source.labels.title)
        .replace("@TIMEOUT@", &timeout.to_string())
        .replace("@SPAN@", &span.to_string())
        .replace("@STARTS@", &STARTS.to_string())
        .replace("@PAUSE@", &PAUSE_MINUTES.to_string())
        .replace("@TEMPORARY@", &FailureKind::Temporary.exit_code().to_string())
        .replace("@LOCKED@", &FailureKind::Locked.exit_code().to_string())
        .replace("@NO_RETRY@", &non_retryable_codes())
        .replace(
            "@TERMINATED@",
            &FailureKind::Interrupted(Signal::Terminate).exit_code().to_string(),
        )
}

fn timer(source: &Source) -> String {
    include_str!("timer.txt")
        .replace("@NAME@", NAME)
        .replace("@TITLE@", source.labels.title)
        .replace("@SOURCE@", source.labels.name)
}

/// The exit codes after which trying again within the night would change nothing.
fn non_retryable_codes() -> String {
    [
        FailureKind::Unexpected,
        FailureKind::Configuration,
        FailureKind::Partial,
        FailureKind::Credentials,
        FailureKind::Ledger,
    ]
    .map(|kind| kind.exit_code().to_string())
    .join(" ")
}

/// How the secrets get to their files, as comments.
fn secret_files(source: &Source) -> String {
    let mut text = String::new();
    for variable in source.variables.iter().filter(|variable| variable.secret) {
        // Writing to a String cannot fail.
        let _ =
            writeln!(text, "#        {:<17} # {}", variable.name.to_lowercase(), variable.about);
    }
    text
}

fn credentials(source: &Source) -> String {
    let mut text = String::new();
    for variable in source.variables.iter().filter(|variable| variable.secret) {
        let name = variable.name.to_lowercase();
        let _ = writeln!(text, "LoadCredential={name}:/etc/{NAME}/{name}");
    }
    text
}

/// The settings that are no secrets, as comments.
fn settings(source: &Source) -> String {
    let mut text = String::new();
    for variable in source.variables.iter().filter(|variable| !variable.secret) {
        let _ = writeln!(
            text,
            "#        {:<17} # {}{}",
            format!("{}=...", variable.name),
            variable.about,
            if variable.optional { ", only if it is not the usual one" } else { "" }
        );
    }
    text
}

fn order(earlier: Option<&str>) -> String {
    earlier.map_or_else(String::new, |earlier| {
        format!("# One run at a time has the ledger: where both are due, this one waits.\nAfter={earlier}\n")
    })
}

fn hidden(program: &str) -> String {
    if HIDDEN.iter().any(|folder| program.starts_with(folder)) {
        format!(
            "# ATTENTION: the service cannot see this folder. Install the program, for example as\n# {DEFAULT_PATH}, and change the line.\n"
        )
    } else {
        String::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_of_the_template() {
        let text = as_text(DEFAULT_PATH);
        // A group of system calls (`@privileged`) has one in front, a place in the template one on each side.
        let left = text.split_whitespace().find(|word| {
            let mut parts = word.split('@').skip(1);
            parts.next().is_some() && parts.next().is_some()
        });
        assert_eq!(left, None);
        assert!(!text.contains("ATTENTION"), "{text}");
        assert!(as_text("/home/me/bin/it").contains("ATTENTION"));
    }

    #[test]
    fn each_secret_is_a_credential_named_as_its_variable() {
        let units = units(DEFAULT_PATH);
        let names: Vec<&str> = units.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            [
                "collective-insights-crowdstrike.service",
                "collective-insights-crowdstrike.timer",
                "collective-insights-carbonblack.service",
                "collective-insights-carbonblack.timer",
            ]
        );
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
