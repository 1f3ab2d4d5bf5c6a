//! The commands, except for the run of a source.

pub(crate) mod check;
mod checkpoint;
mod confirm;
pub(crate) mod generate;
mod history;
mod outbox;
mod output_file;
mod status;

use std::path::Path;

use chrono::{DateTime, SecondsFormat, Utc};

pub(crate) use self::checkpoint::checkpoint;
pub(crate) use self::history::history;
pub(crate) use self::outbox::outbox;
pub(crate) use self::status::status;

fn no_ledger_message(path: &Path) -> String {
    format!("the ledger {} does not exist yet; the first run creates it\n", path.display())
}

fn instant(time: Option<DateTime<Utc>>) -> String {
    time.map_or_else(|| "never".into(), |time| time.to_rfc3339_opts(SecondsFormat::Secs, true))
}
