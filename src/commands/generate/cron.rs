//! A crontab line for each source.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::schedule_inputs::{self, ScheduledSource};
use crate::cli::NAME;
use crate::failure::{Failure, FailureKind};

/// The first source starts at 00:15.
const FIRST_MINUTE: usize = 15;
/// The time between the starts of two sources: only one run at a time can use the ledger.
const START_INTERVAL_MINUTES: usize = 10;

/// Returns a crontab with the preparation as comments above the entries.
pub(super) fn crontab(program: &str) -> Result<String, Failure> {
    let sources = schedule_inputs::all()?;
    let entries: String =
        sources.iter().enumerate().map(|(index, source)| entry(index, source, program)).collect();
    let first = sources
        .first()
        .map_or_else(String::new, |source| format!("{} {}", source.info.name, source.options));
    Ok(include_str!("crontab.txt")
        .replace("@PROGRAM@", program)
        .replace("@NAME@", NAME)
        .replace("@SOURCE@", &first)
        .replace("@VARIABLES@\n", &variables(&sources))
        .replace("@MINUTES@", &START_INTERVAL_MINUTES.to_string())
        .replace("@LOCKED@", &FailureKind::Locked.exit_code().to_string())
        .replace("@ENTRIES@\n", &entries))
}

fn entry(index: usize, source: &ScheduledSource, program: &str) -> String {
    let start = FIRST_MINUTE + index * START_INTERVAL_MINUTES;
    let (hour, minute) = (start / 60, start % 60);
    format!(
        "{minute} {hour} * * * cd \"$HOME/{NAME}\" && set -a && . ./{NAME}.env && exec {program} {} {} --quiet\n",
        source.info.name, source.options
    )
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
