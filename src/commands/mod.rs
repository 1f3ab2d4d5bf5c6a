//! The commands that look at the ledger and tend what has not been delivered. They ask no service.

pub mod check;
pub mod generate;
mod history;
mod outbox;
mod status;

use std::path::Path;
use std::process::ExitCode;

use chrono::{DateTime, SecondsFormat, Utc};

pub use self::history::history;
pub use self::outbox::outbox;
pub use self::status::status;
use crate::failure::Failure;
use crate::ledger::View;
use crate::report;

/// Prints what a command has to say, or why it cannot.
fn conclude(result: Result<String, Failure>) -> ExitCode {
    match result {
        Ok(text) => {
            report::out(&text);
            ExitCode::SUCCESS
        }
        Err(failure) => report::print_failure(&failure),
    }
}

/// The ledger to look at; `None` where there is none yet.
fn view(path: &Path) -> Result<Option<View>, Failure> {
    Ok(View::open(path)?)
}

fn no_ledger_message(path: &Path) -> String {
    format!("there is no ledger {} yet; the first run makes it\n", path.display())
}

fn instant(time: Option<DateTime<Utc>>) -> String {
    time.map_or_else(|| "never".into(), |time| time.to_rfc3339_opts(SecondsFormat::Secs, true))
}
