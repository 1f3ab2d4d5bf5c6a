//! The commands, except for the run of a source.

pub(crate) mod check;
mod checkpoint;
mod confirm;
mod days;
mod explain;
pub(crate) mod generate;
mod history;
mod outbox;
mod output_file;
mod report;
mod status;
mod tenants;
mod verify;

use std::path::Path;

use chrono::{DateTime, SecondsFormat, Utc};

use crate::clock::Clock;
use crate::failure::{Failure, FailureKind};
use crate::ledger::{Ledger, LedgerReader};

pub(crate) use self::checkpoint::checkpoint;
pub(crate) use self::explain::explain;
pub(crate) use self::history::history;
pub(crate) use self::outbox::outbox;
pub(crate) use self::report::report;
pub(crate) use self::status::status;
pub(crate) use self::tenants::SettingsFileTenants;
pub(crate) use self::verify::verify;

/// Opens the ledger for a command that reads it.
///
/// # Errors
/// When there is none, or when it cannot be read.
fn open_reader(path: &Path) -> Result<LedgerReader, Failure> {
    LedgerReader::open(path)?.ok_or_else(|| no_ledger(path))
}

/// Opens the ledger for a command that changes it.
///
/// # Errors
/// When there is none, or when it cannot be changed.
fn open_ledger(path: &Path, clock: Clock) -> Result<Ledger, Failure> {
    Ledger::open_existing(path, clock.now())?.ok_or_else(|| no_ledger(path))
}

fn no_ledger(path: &Path) -> Failure {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    Failure::new(
        FailureKind::Ledger,
        format!("there is no ledger at {}", path.display()),
        "The first run creates it. If runs use another one, name it with --ledger. If they run as another user, run this command as that user.",
    )
}

fn time_or_never(time: Option<DateTime<Utc>>) -> String {
    time.map_or_else(|| "never".into(), |time| time.to_rfc3339_opts(SecondsFormat::Secs, true))
}
