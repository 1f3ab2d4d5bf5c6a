//! `verify`: compares what was delivered with what Recorded Future has.

mod compare;
mod groups;
mod print;

use std::borrow::Cow;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use chrono::{DateTime, Utc};

use self::compare::Comparison;
use self::groups::Groups;
use super::days::{first_day, midnight};
use super::{open_ledger, open_reader};
use crate::cli::{Parsed, SourceCommand, VerifyArgs};
use crate::clock::Clock;
use crate::failure::{Failure, FailureKind, REPORT_BUG};
use crate::http::Http;
use crate::ledger::{EntryId, LedgerReader, SentEntry};
use crate::recorded_future::Client;
use crate::submission::{Submission, SubmissionParts};
use crate::{logging, shutdown};

/// The maximum time for the searches of one key.
const DEADLINE: Duration = Duration::from_mins(30);

/// If more indicators are missing and not one is found, nothing is queued again.
const MAX_REQUEUED_BLINDLY: usize = 100;

/// The result of the command.
struct Verified {
    /// The first instant, UTC.
    since: DateTime<Utc>,
    /// The tenants that were compared.
    tenants: Vec<String>,
    comparison: Comparison,
    /// How many were queued again, if that was asked for.
    requeued: Option<u64>,
    /// The tenants of the ledger that `run` leaves out.
    left_out: Vec<String>,
    /// The tenants that could not be compared, and the reasons.
    failures: Vec<(Vec<String>, Failure)>,
}

/// Compares the deliveries of the last days and prints the result.
pub(crate) fn verify(
    args: &VerifyArgs,
    parsed: &Parsed,
    clock: Clock,
) -> Result<ExitCode, Failure> {
    logging::warn_on_stderr();
    print::print(&compare(args, parsed, clock)?, args.json)
}

fn compare(args: &VerifyArgs, parsed: &Parsed, clock: Clock) -> Result<Verified, Failure> {
    let path = args.ledger.path()?;
    let ledger = open_reader(&path)?;
    let Groups { by_key, mut failures, left_out } = Groups::new(&ledger, parsed, &args.tenant)?;
    let now = clock.now();
    let since = midnight(first_day(now, args.days));
    let mut comparison = Comparison::default();
    let mut tenants = Vec::new();
    shutdown::block_on(async |shutdown| {
        for group in by_key {
            let http = Http::new(&group.network, clock, DEADLINE, shutdown.clone());
            let debug = false;
            let client = http.and_then(|http| Client::new(&http, &group.recorded_future, debug));
            let compared = match client {
                Ok(client) => comparison.add(&ledger, &client, &group, since, now).await,
                Err(failure) => Err(failure),
            };
            match compared {
                Ok(()) => tenants.extend(group.tenants),
                Err(failure) => {
                    let is_interrupt = is_interrupt(&failure);
                    failures.push((group.tenants, failure));
                    if is_interrupt {
                        break;
                    }
                }
            }
        }
    })?;
    comparison.count_unknown(&ledger)?;
    let mut requeued = None;
    if args.requeue_missing && !failures.iter().any(|(_, failure)| is_interrupt(failure)) {
        match requeue(&ledger, &path, &comparison, clock) {
            Ok(count) => requeued = Some(count),
            Err(failure) => failures.push((tenants.clone(), failure)),
        }
    }
    Ok(Verified { since, tenants, comparison, requeued, left_out, failures })
}

const fn is_interrupt(failure: &Failure) -> bool {
    matches!(failure.kind, FailureKind::Interrupted(_))
}

/// Queues missing entries again, and returns their number.
///
/// # Errors
/// When more than [`MAX_REQUEUED_BLINDLY`] are missing and none is found, because then the search
/// is probably wrong, and when the ledger cannot be used.
fn requeue(
    ledger: &LedgerReader,
    path: &Path,
    comparison: &Comparison,
    clock: Clock,
) -> Result<u64, Failure> {
    let missing: Vec<EntryId> = comparison.missing.values().copied().collect();
    if missing.is_empty() {
        return Ok(0);
    }
    if missing.len() > MAX_REQUEUED_BLINDLY && comparison.total().found == 0 {
        return Err(Failure::new(
            FailureKind::Partial,
            "nothing at all is found, so the search is probably wrong: nothing was queued again",
            "Look in Recorded Future's portal whether the detections of these tenants are there, and ask the support why the search does not show them.",
        ));
    }
    let items = ledger.sent_entries(&missing)?.iter().map(item).collect::<Result<Vec<_>, _>>()?;
    Ok(open_ledger(path, clock)?.requeue_delivered(&items, clock.now())?)
}

/// Returns the JSON with which an entry is sent again. Unlike what was sent, it has no names, which
/// the ledger does not keep, and the id of the alert that was created first, perhaps another one.
fn item(entry: &SentEntry) -> Result<(EntryId, String), Failure> {
    let source = SourceCommand::named(&entry.source)?;
    let codes = entry.mitre_codes.split(' ').filter(|code| !code.is_empty());
    let parts = SubmissionParts {
        detected_at: entry.detected_at,
        indicator_type: &entry.indicator_type,
        value: &entry.value,
        field: &entry.field,
        detection: &entry.alert,
        name: None,
        incident_name: None,
        mitre_codes: codes.map(Cow::from).collect(),
    };
    let submission = Submission::from_parts(parts, source.args().0.info());
    let item = serde_json::to_string(&submission).map_err(|error| {
        let message = "internal error: a submission cannot be written as JSON";
        Failure::new(FailureKind::Unexpected, message, REPORT_BUG).with_cause(error)
    })?;
    Ok((entry.id, item))
}
