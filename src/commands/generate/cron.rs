//! A crontab line for each source, or one for all tenants.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::schedule_inputs::{self, ScheduledSource};
use crate::cli::NAME;
use crate::failure::{Failure, FailureKind};

/// Returns a crontab with an entry for each source, and the preparation as comments above them.
/// `report` is the file of the weekly report.
pub(super) fn crontab(program: &str, report: Option<&str>) -> Result<String, Failure> {
    let sources = schedule_inputs::all()?;
    let mut entries: String = sources.iter().map(|source| entry(source, program)).collect();
    entries += &report_entry(report, &format!("set -a && . ./{NAME}.env && exec {program}"));
    let first = sources
        .first()
        .map_or_else(String::new, |source| format!("{} {}", source.info.name, source.options));
    Ok(include_str!("crontab.txt")
        .replace("@PROGRAM@", program)
        .replace("@NAME@", NAME)
        .replace("@SOURCE@", &first)
        .replace("@VARIABLES@\n", &variables(&sources))
        .replace("@LOCKED@", &FailureKind::Locked.exit_code().to_string())
        .replace("@ENTRIES@\n", &entries))
}

/// Returns a crontab with one entry, which runs all tenants of this settings file. `report` is the
/// file of the weekly report.
pub(super) fn crontab_of_run(program: &str, config: &str, report: Option<&str>) -> String {
    let mut entry =
        format!("15 0 * * * cd \"$HOME/{NAME}\" && exec {program} run --config {config} --quiet\n");
    let start = format!("exec env COLLECTIVE_INSIGHTS_CONFIG={config} {program}");
    entry += &report_entry(report, &start);
    include_str!("crontab_run.txt")
        .replace("@PROGRAM@", program)
        .replace("@NAME@", NAME)
        .replace("@CONFIG@", config)
        .replace("@ENTRIES@\n", &entry)
}

fn entry(source: &ScheduledSource, program: &str) -> String {
    format!(
        "15 0 * * * cd \"$HOME/{NAME}\" && set -a && . ./{NAME}.env && exec {program} {} {} --wait {}m --quiet\n",
        source.info.name, source.options, source.wait
    )
}

/// Returns the entry of the weekly report, if there is to be one; `start` starts the program. Like
/// those of runs, the entry prints nothing on success.
fn report_entry(file: Option<&str>, start: &str) -> String {
    let entry = |file| {
        format!("# Every Monday, a report of the last 30 days. Its folder must exist, and this user be able to write to it. It names
# indicators: a new file can be read by its owner only, and each later one keeps the mode of the one before.
30 6 * * 1 cd \"$HOME/{NAME}\" && {start} report --html {file} > /dev/null\n")
    };
    file.map(entry).unwrap_or_default()
}

/// Returns the required variables of all sources, as comments.
fn variables(sources: &[ScheduledSource]) -> String {
    let mut text = String::new();
    let mut listed = BTreeSet::new();
    for variable in sources.iter().flat_map(|source| &source.variables) {
        if variable.is_required && listed.insert(variable.name) {
            let assignment = format!("{}='...'", variable.name);
            // Writing to a String cannot fail.
            let _ = writeln!(text, "#        {assignment:<22}  # {}", variable.about);
        }
    }
    text
}
