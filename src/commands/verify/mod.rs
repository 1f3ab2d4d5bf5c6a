//! `verify`: compares what was delivered with what Recorded Future has.

mod compare;
mod print;

use std::borrow::Cow;
use std::process::ExitCode;
use std::time::Duration;

use chrono::{DateTime, Days, NaiveTime, Utc};

use self::compare::Comparison;
use super::tenants::{FileTenants, known_tenants};
use super::{open_ledger, open_reader};
use crate::cli::{Parsed, SourceCommand, TenantCommand, VerifyArgs};
use crate::clock::Clock;
use crate::failure::{Failure, FailureKind, REPORT_BUG};
use crate::http::{Http, NetworkOptions};
use crate::ledger::{EntryId, LedgerReader, SentEntry, TenantFilter};
use crate::recorded_future::{self, Client};
use crate::report::{self, line};
use crate::settings::TenantName;
use crate::submission::{Submission, SubmissionParts};
use crate::{logging, shutdown};

/// The maximum time for the searches of one key.
const DEADLINE: Duration = Duration::from_mins(30);

/// The tenants whose deliveries one search finds: those with the same key and address.
struct Group {
    recorded_future: recorded_future::Config,
    network: NetworkOptions,
    tenants: Vec<String>,
}

/// The result of the command.
struct Verified {
    /// The first instant, UTC.
    since: DateTime<Utc>,
    /// The tenants that were compared.
    tenants: Vec<String>,
    comparison: Comparison,
    /// How many were queued again, if that was asked for.
    requeued: Option<u64>,
    /// What could not be compared, and why.
    failures: Vec<(Vec<String>, Failure)>,
}

/// Compares the deliveries of the last days.
#[must_use]
pub(crate) fn verify(args: &VerifyArgs, parsed: &Parsed, clock: Clock) -> ExitCode {
    logging::print_warnings();
    match compare(args, parsed, clock) {
        Ok(verified) => print::print(&verified, args.json),
        Err(failure) => {
            if args.json
                && let Err(failure) = report::out(&report::error_document(&failure))
            {
                let _ = report::print_failure(&failure);
            }
            report::print_failure(&failure)
        }
    }
}

fn compare(args: &VerifyArgs, parsed: &Parsed, clock: Clock) -> Result<Verified, Failure> {
    let path = args.ledger.path()?;
    let ledger = open_reader(&path)?;
    let commands = commands(&ledger, parsed, &args.tenant)?;
    let now = clock.now();
    let since = first_instant(now, args.days);
    let mut failures = Vec::new();
    let groups = groups(commands, &mut failures);
    let mut comparison = Comparison::default();
    let mut tenants = Vec::new();
    shutdown::block_on(async |shutdown| {
        for group in groups {
            let http = Http::new(&group.network, clock, DEADLINE, shutdown.clone());
            let client = http.and_then(|http| Client::new(&http, &group.recorded_future, false));
            let compared = match client {
                Ok(client) => comparison.add(&ledger, &client, &group.tenants, since, now).await,
                Err(failure) => Err(failure),
            };
            match compared {
                Ok(()) => tenants.extend(group.tenants),
                Err(failure) => failures.push((group.tenants, failure)),
            }
        }
    })?;
    let requeued = if args.requeue_missing {
        let missing: Vec<EntryId> = comparison.missing.values().copied().collect();
        Some(requeue(&ledger, &path, &missing, clock)?)
    } else {
        None
    };
    Ok(Verified { since, tenants, comparison, requeued, failures })
}

/// Returns the first instant of the last `days` UTC days, of which today is one.
fn first_instant(now: DateTime<Utc>, days: u32) -> DateTime<Utc> {
    let day = now.date_naive() - Days::new(u64::from(days.saturating_sub(1)));
    day.and_time(NaiveTime::MIN).and_utc()
}

/// Returns the command line of each tenant: of those of the settings file, or else of the ledger.
fn commands(
    ledger: &LedgerReader,
    parsed: &Parsed,
    named: &[TenantName],
) -> Result<Vec<TenantCommand>, Failure> {
    if !parsed.file_tenants().is_empty() {
        let tenants = parsed.chosen_tenants(named)?.into_iter();
        return Ok(tenants
            .map(|tenant| parsed.bare_tenant(&tenant.name, &tenant.source))
            .collect());
    }
    let known = known_tenants(ledger, FileTenants::default(), &TenantFilter::default())?;
    if let Some(unknown) =
        named.iter().find(|name| known.iter().all(|one| one.name != name.as_str()))
    {
        let names: Vec<&str> = known.iter().map(|tenant| tenant.name.as_str()).collect();
        return Err(Failure::new(
            FailureKind::Configuration,
            format!("the ledger has no tenant {unknown}"),
            format!("Correct --tenant. The known ones are: {}.", line(&names.join(", "))),
        ));
    }
    let is_chosen = |name: &TenantName| named.is_empty() || named.contains(name);
    let names = known.into_iter().filter_map(|one| Some((one.name.parse().ok()?, one.source)));
    let chosen = names.filter(|(name, _)| is_chosen(name));
    Ok(chosen.map(|(name, source)| parsed.bare_tenant(&name, &source)).collect())
}

/// Returns the tenants by what they send to. Those without valid settings are among the failures.
fn groups(commands: Vec<TenantCommand>, failures: &mut Vec<(Vec<String>, Failure)>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for command in commands {
        let tenant = command.name.to_string();
        let settings = command.parsed.and_then(|parsed| {
            let source = parsed.source().ok_or_else(|| unknown_source(&command.source))?;
            Ok(source.resolve_common(&parsed.layers)?)
        });
        let settings = match settings {
            Ok(settings) => settings,
            Err(failure) => {
                let same = failures.iter_mut().find(|(_, other)| *other == failure);
                match same {
                    Some((tenants, _)) => tenants.push(tenant),
                    None => failures.push((vec![tenant], failure)),
                }
                continue;
            }
        };
        let same = groups.iter_mut().find(|group| {
            group.network == settings.network
                && group.recorded_future.has_same_key(&settings.recorded_future)
        });
        match same {
            Some(group) => group.tenants.push(tenant),
            None => groups.push(Group {
                recorded_future: settings.recorded_future,
                network: settings.network,
                tenants: vec![tenant],
            }),
        }
    }
    groups
}

/// Queues missing entries again, and returns their number.
fn requeue(
    ledger: &LedgerReader,
    path: &std::path::Path,
    missing: &[EntryId],
    clock: Clock,
) -> Result<u64, Failure> {
    if missing.is_empty() {
        return Ok(0);
    }
    let items = ledger.sent_entries(missing)?.iter().map(item).collect::<Result<Vec<_>, _>>()?;
    Ok(open_ledger(path, clock)?.requeue_delivered(&items, clock.now())?)
}

/// Returns the JSON of an entry, as it was sent but for the names.
fn item(entry: &SentEntry) -> Result<(EntryId, String), Failure> {
    let source =
        SourceCommand::from_name(&entry.source).ok_or_else(|| unknown_source(&entry.source))?;
    let codes = entry.mitre_codes.split(' ').filter(|code| !code.is_empty());
    let parts = SubmissionParts {
        detected_at: entry.detected_at,
        indicator_type: &entry.indicator_type,
        value: &entry.value,
        field: &entry.field,
        detection: &entry.detection,
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

fn unknown_source(name: &str) -> Failure {
    let message = format!("this program has no source {}", line(name));
    Failure::new(FailureKind::Unexpected, message, REPORT_BUG)
}
