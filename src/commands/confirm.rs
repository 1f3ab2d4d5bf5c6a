//! The confirmation of a command that changes the ledger.

use std::io::{BufRead as _, IsTerminal as _};

use crate::failure::{Failure, FailureKind};
use crate::report;

/// Asks a question on the terminal and returns whether the answer is yes. `action` is what `--yes`
/// allows, for example `drop 2 indicators`; `help` is what to do without a terminal.
///
/// # Errors
/// When stdin is not a terminal, the question cannot be written, or the answer cannot be read.
pub(super) fn confirm(question: &str, action: &str, help: &str) -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::new(
            FailureKind::Configuration,
            format!("refusing to {action} without --yes: stdin is not a terminal"),
            help,
        ));
    }
    report::write_stdout(&format!("{question} [y/N] "))?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).map_err(|error| {
        Failure::new(
            FailureKind::Unexpected,
            "the confirmation cannot be read from stdin",
            format!("Add --yes to {action} without confirmation."),
        )
        .with_cause(error)
    })?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}
