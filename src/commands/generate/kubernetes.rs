//! A `CronJob` that runs all tenants of a settings file, with its Secret and its volume.

mod files;
mod quote;

use std::fmt::Write as _;

use self::files::{Files, PLACEHOLDER, SETTINGS_FOLDER};
use self::quote::quoted;
use super::DEFAULT_PATH;
use super::schedule_inputs::{GRACE_MINUTES, MAX_STARTS, non_retryable};
use crate::cli::{Meaning, NAME, ScheduledEntry, ScheduledFile, ScheduledTable};
use crate::failure::{Failure, FailureKind};
use crate::redact;
use crate::redact::sanitize;
use crate::settings::config_file::Value;

/// The resources that a pod requests, and its limits.
const CPU_REQUEST: &str = "100m";
const CPU_LIMIT: &str = "1";
const MEMORY_REQUEST: &str = "64Mi";
const MEMORY_LIMIT: &str = "128Mi";
/// The size of the volume with the ledger.
const LEDGER_SIZE: &str = "1Gi";
/// The maximum size of temporary files.
const TEMPORARY_SIZE: &str = "1Gi";
/// The id of the user and the group: one that no user of a node has.
const USER: &str = "65532";
/// The folder of the ledger, unless the settings file names another.
const LEDGER_FOLDER: &str = "/var/lib/collective-insights";

/// Returns the documents for a settings file, in YAML.
///
/// # Errors
/// When the settings file names a path that cannot be mounted in a container.
pub(super) fn manifest(name: &str, file: &ScheduledFile) -> Result<String, Failure> {
    let mut files = Files::default();
    let ledger_folder = add_paths(file, &mut files)?;
    let mut warnings = String::new();
    for sentence in &file.missing {
        // Writing to a String cannot fail.
        let _ = writeln!(
            warnings,
            "#\n# ATTENTION: {sentence}. Add it to the settings file, and generate this again."
        );
    }
    let settings = settings_text(file, &mut files, &mut warnings);
    let mounted = files.mounted_files();
    let timeout = file.deadline.saturating_add(file.wait).saturating_add(GRACE_MINUTES);
    let pod_deadline = u64::from(timeout) * 60;
    let ends_after = match file.wait {
        0 => format!("{} minutes (--deadline)", file.deadline),
        wait => format!("{wait} and {} minutes (--wait, --deadline)", file.deadline),
    };
    let (settings, folder) = (files::settings_block(&settings), quoted(&ledger_folder));
    let values: [(&str, String); 26] = [
        ("NAME", name.to_owned()),
        ("PROGRAM_NAME", NAME.to_owned()),
        ("PROGRAM", quoted(DEFAULT_PATH)),
        ("VERSION", env!("CARGO_PKG_VERSION").to_owned()),
        ("PLACEHOLDER", PLACEHOLDER.to_owned()),
        ("WARNINGS", warnings),
        ("SECRET_DATA", settings + &files::secret_data(&mounted)),
        ("CONFIG", quoted(&format!("{SETTINGS_FOLDER}/{}", files::SETTINGS))),
        ("MOUNTS", files::mounts(&mounted)),
        ("VOLUMES", files::volumes(name, &mounted)),
        ("LEDGER_FOLDER", folder),
        ("LEDGER_SIZE", LEDGER_SIZE.to_owned()),
        ("TEMPORARY_SIZE", TEMPORARY_SIZE.to_owned()),
        ("CPU_REQUEST", CPU_REQUEST.to_owned()),
        ("CPU_LIMIT", quoted(CPU_LIMIT)),
        ("MEMORY_REQUEST", MEMORY_REQUEST.to_owned()),
        ("MEMORY_LIMIT", MEMORY_LIMIT.to_owned()),
        ("USER", USER.to_owned()),
        ("STARTS", MAX_STARTS.to_string()),
        ("RESTARTS", (MAX_STARTS - 1).to_string()),
        ("NO_RETRY", non_retryable().join(", ")),
        ("TEMPORARY", FailureKind::Temporary.exit_code().to_string()),
        ("LOCKED", FailureKind::Locked.exit_code().to_string()),
        ("DEADLINE", ends_after),
        ("POD_DEADLINE", pod_deadline.to_string()),
        ("JOB_DEADLINE", (pod_deadline * u64::from(MAX_STARTS)).to_string()),
    ];
    Ok(fill(include_str!("kubernetes.txt"), &values))
}

/// Replaces each `@NAME@` of the template, in one pass because a value may contain such a text. A
/// line end at the end of a value is left out, because the template has one.
fn fill(template: &str, values: &[(&str, String)]) -> String {
    let mut text = String::new();
    for (at, part) in template.split('@').enumerate() {
        let value = values.iter().find(|(name, _)| *name == part);
        match value.filter(|_| at % 2 == 1) {
            Some((_, value)) => text.push_str(value.strip_suffix('\n').unwrap_or(value)),
            None => text.push_str(part),
        }
    }
    text
}

/// Adds the files that the settings file names, and returns the folder of the ledger.
///
/// # Errors
/// When a path cannot be mounted in a container; the failure lists all such paths.
fn add_paths(file: &ScheduledFile, files: &mut Files) -> Result<String, Failure> {
    let mut ledger_folder = LEDGER_FOLDER.to_owned();
    let mut mistakes = Vec::new();
    for table in &file.tables {
        for entry in &table.entries {
            let Value::One(text) = &entry.value else { continue };
            let added = match entry.meaning {
                Meaning::File => files.add(text.trim(), usage(entry, table)),
                Meaning::Ledger => files::ledger_folder(text).map(|folder| ledger_folder = folder),
                Meaning::Plain | Meaning::Metrics | Meaning::Secret => Ok(()),
            };
            if let Err(reason) = added {
                let (path, line) = (file.path.display(), entry.line);
                mistakes.push(format!("{path}:{line}: {} {reason}", entry.key));
            }
        }
    }
    if mistakes.is_empty() {
        return Ok(ledger_folder);
    }
    Err(Failure::new(
        FailureKind::Configuration,
        "the settings file has paths that cannot be those of a container",
        "Correct them (--config, COLLECTIVE_INSIGHTS_CONFIG), for example to paths below /etc/collective-insights, and /var/lib/collective-insights for the ledger.",
    )
    .with_list(mistakes))
}

/// Returns the option of a setting and its table, for example `client-secret of tenant acme`.
fn usage(entry: &ScheduledEntry, table: &ScheduledTable) -> String {
    format!("{} of {}", entry.key, table.owner)
}

/// Returns the text of the settings file for the container. A secret in it is replaced by the path
/// of a file, which is added to `files`.
fn settings_text(file: &ScheduledFile, files: &mut Files, warnings: &mut String) -> String {
    let mut text = String::new();
    for table in &file.tables {
        if !text.is_empty() {
            text.push('\n');
        }
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}", table.heading);
        for entry in &table.entries {
            let ScheduledEntry { key, value, .. } = entry;
            let _ = match value {
                _ if entry.meaning == Meaning::Secret => {
                    let usage = usage(entry, table);
                    let path = files.add_secret(&format!("{}.{key}", table.file_prefix), &usage);
                    let place = sanitize(&file.path.display().to_string());
                    let _ = writeln!(
                        warnings,
                        "#\n# ATTENTION: line {} of {} contains the {usage} itself. It is left out here: put it into the Secret too.",
                        entry.line,
                        quoted(&place)
                    );
                    writeln!(text, "{key}-file = {}", quoted(&path))
                }
                _ if entry.meaning == Meaning::Metrics => writeln!(
                    warnings,
                    "#\n# ATTENTION: {key} is left out here: the collector on the node cannot see the files of a pod."
                ),
                Value::Flag(flag) => writeln!(text, "{key} = {flag}"),
                // A run refuses passwords in URLs; they must not be printed either.
                Value::One(one) => {
                    writeln!(text, "{key} = {}", quoted(&redact::without_credentials(one)))
                }
                Value::Many(many) => {
                    let shown = |one: &String| quoted(&redact::without_credentials(one));
                    let many: Vec<String> = many.iter().map(shown).collect();
                    writeln!(text, "{key} = [{}]", many.join(", "))
                }
                // The file was validated: no option has such a value.
                Value::Other(_) => Ok(()),
            };
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_not_searched_for_placeholders() {
        let values = [("A", "@B@".to_owned()), ("B", "b".to_owned()), ("C", "c\n".to_owned())];
        assert_eq!(fill("x @A@ @B@\n@C@\ny", &values), "x @B@ b\nc\ny");
    }
}
