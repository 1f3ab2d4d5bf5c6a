//! Checks the exclusion file, and lists the rules that have not matched for a long time.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};

use crate::failure::Failure;
use crate::ledger::{self, LedgerReader};
use crate::redact;
use crate::run;
use crate::selection::exclusions::{Exclusions, ListedRule};
use crate::settings::Settings;

/// A rule is listed if it has not matched for this number of days.
const UNUSED_DAYS: i64 = 90;
/// How many of these rules are listed at most.
const SHOWN_RULES: usize = 20;
/// The maximum length of a rule that is shown, in characters.
const SHOWN_CHARS: usize = 80;

/// Reads the exclusion file. Returns how many rules it has and which of them have not matched.
pub(super) fn check(settings: &Settings, now: DateTime<Utc>) -> Result<String, Failure> {
    let exclusions = run::read_exclusions(settings)?;
    let Some(path) = &settings.exclusion_file else {
        return Ok("none (--exclusion-file is not set)".into());
    };
    let mut message = format!("{} in {}", exclusions.len(), path.display());
    if let Some(note) = run::header_note(&exclusions) {
        // Writing to a String cannot fail.
        let _ = write!(message, "; {note}");
    }
    if let Some(ledger) = settings.ledger.path()
        && !exclusions.is_empty()
    {
        match Hits::read(ledger, now) {
            Ok(Some(hits)) => message.push_str(&hits.describe_unused(&exclusions)),
            // No run has used the rules yet.
            Ok(None) => {}
            // The check of the ledger comes next, and fails if the ledger is damaged.
            Err(error) => {
                let _ = write!(message, "; their hits cannot be read: {error}");
            }
        }
    }
    Ok(message)
}

/// The rules that matched in the last [`UNUSED_DAYS`], in a run of any tenant.
struct Hits {
    rules: HashSet<String>,
    /// When the first run started, if that is less than [`UNUSED_DAYS`] ago.
    since: Option<DateTime<Utc>>,
}

impl Hits {
    /// Reads the hits from the ledger; `None` if no run is recorded.
    fn read(ledger: &Path, now: DateTime<Utc>) -> ledger::Result<Option<Self>> {
        let Some(reader) = LedgerReader::open(ledger)? else { return Ok(None) };
        let Some(first_run) = reader.first_run()? else { return Ok(None) };
        let start =
            now.checked_sub_signed(TimeDelta::days(UNUSED_DAYS)).unwrap_or(DateTime::UNIX_EPOCH);
        Ok(Some(Self {
            rules: reader.rules_hit_since(start)?,
            since: Some(first_run).filter(|first_run| *first_run > start),
        }))
    }

    /// Returns how many rules have not matched, and the first of them.
    fn describe_unused(&self, exclusions: &Exclusions) -> String {
        let mut unused: Vec<ListedRule<'_>> =
            exclusions.rules().filter(|rule| !self.rules.contains(rule.text)).collect();
        unused.sort_unstable_by_key(|rule| rule.line);
        let span = match self.since {
            Some(since) => format!("since {}", since.date_naive()),
            None => format!("in {UNUSED_DAYS} days"),
        };
        if unused.is_empty() {
            return format!("; each had a hit {span}");
        }
        let introduction = if unused.len() > SHOWN_RULES { ", for example" } else { "" };
        let shown = unused.iter().take(SHOWN_RULES).map(|rule| {
            format!("line {} ({})", rule.line, redact::excerpt(rule.text, SHOWN_CHARS))
        });
        let shown = shown.collect::<Vec<_>>().join(", ");
        format!("; {} had no hit {span}{introduction}: {shown}", unused.len())
    }
}
