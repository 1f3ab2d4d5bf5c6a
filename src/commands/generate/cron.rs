//! A crontab line for each source.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::NAME;
use super::schedule_inputs::{self, Source};
use crate::failure::FailureKind;

/// The first source starts at 00:15; each further one so many minutes later, because one run at a time has the
/// ledger.
const FIRST_MINUTE: usize = 15;
const MINUTES_BETWEEN: usize = 10;

/// The lines, with what has to be done first as comments.
pub(super) fn lines(program: &str) -> String {
    let sources = schedule_inputs::all();
    let lines: String =
        sources.iter().enumerate().map(|(number, source)| line(number, source, program)).collect();
    include_str!("crontab.txt")
        .replace("@PROGRAM@", program)
        .replace("@NAME@", NAME)
        .replace("@VARIABLES@\n", &variables(&sources))
        .replace("@MINUTES@", &MINUTES_BETWEEN.to_string())
        .replace("@LOCKED@", &FailureKind::Locked.exit_code().to_string())
        .replace("@LINES@\n", &lines)
}

fn line(number: usize, source: &Source, program: &str) -> String {
    let minute = FIRST_MINUTE + number * MINUTES_BETWEEN;
    format!(
        "{minute} 0 * * * cd \"$HOME/{NAME}\" && set -a && . ./{NAME}.env && exec {program} {} --quiet\n",
        source.labels.name
    )
}

/// What the environment file holds, as comments.
fn variables(sources: &[Source]) -> String {
    let mut text = String::new();
    let mut told = BTreeSet::new();
    for source in sources {
        for variable in &source.variables {
            if variable.optional || !told.insert(&variable.name) {
                continue;
            }
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "#        {:<22}  # {}",
                format!("{}='...'", variable.name),
                variable.about
            );
        }
    }
    text
}
