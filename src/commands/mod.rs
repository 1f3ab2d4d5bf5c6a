//! The commands, except for the run of a source.

pub(crate) mod check;
pub(crate) mod generate;
mod help;
mod history;
mod outbox;
mod status;

use std::path::Path;
use std::process::ExitCode;

use chrono::{DateTime, SecondsFormat, Utc};

pub(crate) use self::help::help;
pub(crate) use self::history::history;
pub(crate) use self::outbox::outbox;
pub(crate) use self::status::status;
use crate::failure::Failure;
use crate::report;

/// Prints the output of a command, or its failure.
fn print_result(result: Result<String, Failure>) -> ExitCode {
    match result {
        Ok(text) => {
            report::out(&text);
            ExitCode::SUCCESS
        }
        Err(failure) => report::print_failure(&failure),
    }
}

fn no_ledger_message(path: &Path) -> String {
    format!("the ledger {} does not exist yet; the first run creates it\n", path.display())
}

/// Formats a count with its noun: `1 indicator`, `2 indicators`.
fn counted(count: u64, one: &str, more: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { more })
}

fn instant(time: Option<DateTime<Utc>>) -> String {
    time.map_or_else(|| "never".into(), |time| time.to_rfc3339_opts(SecondsFormat::Secs, true))
}
