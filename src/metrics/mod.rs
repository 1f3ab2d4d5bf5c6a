//! The metrics file: the numbers of all tenants as Prometheus text, for the textfile collector of
//! `node_exporter`. It is replaced when the runs of a process have ended. The new file has what the
//! ledger has, the runs of this process, and of the old file the last runs that the ledger lacks:
//! several schedules of one ledger write the same file.

mod previous;
mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::atomic_file::{AtomicFile, Readers};
use crate::clock::{Clock, MAX_DIFFERENCE};
use crate::failure::{Failure, FailureKind};
use crate::ledger::{LedgerError, LedgerReader, RunRecord, TenantFilter, TenantStatus};
use crate::local_file::{self, Accept};
use crate::platform::ownership;
use crate::redact::sanitize;
use crate::report::{Counts, Report};

/// The result of a tenant's run in this process.
#[derive(Debug)]
pub(crate) struct EndedRun<'a> {
    pub tenant: &'a str,
    /// The source's name.
    pub source: &'a str,
    pub id: &'a str,
    pub exit_code: u8,
    /// Its duration; zero if it did not start.
    pub duration: Duration,
    /// `None` if it did not start.
    pub counts: Option<&'a Counts>,
}

/// The names of a source and of a tenant, as they are written.
type Key = (String, String);

/// Returns the key of a tenant. Names that are written in the same way are the same key: Prometheus
/// rejects a file with two equal samples.
fn key(source: &str, tenant: &str) -> Key {
    (sanitize(source), sanitize(tenant))
}

impl EndedRun<'_> {
    fn key(&self) -> Key {
        key(self.source, self.tenant)
    }
}

impl<'a> From<&'a Report> for EndedRun<'a> {
    fn from(report: &'a Report) -> Self {
        Self {
            tenant: report.tenant.as_str(),
            source: report.labels.name,
            id: &report.run_id,
            exit_code: report.exit_code(),
            duration: report.duration,
            counts: report.window.is_some().then_some(&report.counts),
        }
    }
}

/// The sources of the numbers.
#[derive(Debug)]
pub(crate) struct Inputs<'a, F> {
    /// The path of the ledger, if there is one.
    pub ledger: Option<&'a Path>,
    /// The runs of this process.
    pub runs: Vec<EndedRun<'a>>,
    /// Whether a tenant of the ledger is left out because it is no longer used.
    pub is_left_out: F,
    pub clock: Clock,
}

/// The metrics of a tenant; by default of one of which nothing is known.
#[derive(Debug, Default)]
struct TenantMetrics {
    /// When the last run with exit code 0 ended, UTC; `None` where none is known.
    last_success: Option<DateTime<Utc>>,
    last_run: Option<LastRun>,
    /// The status in the ledger; `None` where it is not known.
    status: Option<TenantStatus>,
}

/// The last run that ended.
#[derive(Debug)]
struct LastRun {
    /// `None` where it is not known.
    id: Option<String>,
    ended_at: DateTime<Utc>,
    duration: Duration,
    exit_code: i32,
    counts: Option<Counts>,
}

/// Replaces the metrics file. Returns what a person must know about it: a file that cannot be
/// written is a warning, because what the run sent matters more.
pub(crate) fn write<F: Fn(&str) -> bool>(path: &Path, inputs: &Inputs<'_, F>) -> Vec<String> {
    let written = create(path).and_then(|(mut file, previous)| {
        file.write(&text::render(&collect(inputs, &previous)))?;
        file.finish()
    });
    let unwritten = written.err().map(|error| {
        let failure = unwritable(path, error);
        format!("{failure}; what was sent is not affected. {}", failure.help)
    });
    let unread = (!is_collected(path)).then(|| {
        format!("the textfile collector does not read {}: its name does not end in .prom. Name another file with --metrics-file (COLLECTIVE_INSIGHTS_METRICS_FILE).", shown(path))
    });
    unwritten.into_iter().chain(unread).collect()
}

/// Checks that a run can write the file, and describes it.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn check(path: &Path) -> Result<String, Failure> {
    // The new file is not finished: dropping it deletes it.
    create(path).map_err(|error| unwritable(path, error))?;
    let unread = if is_collected(path) {
        ""
    } else {
        ", but the textfile collector only reads names that end in .prom"
    };
    Ok(format!("{} is writable{unread}", shown(path)))
}

fn is_collected(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "prom")
}

fn shown(path: &Path) -> String {
    sanitize(&path.display().to_string())
}

fn unwritable(path: &Path, error: io::Error) -> Failure {
    let owner = Some(path)
        .filter(|_| error.kind() == ErrorKind::PermissionDenied)
        .and_then(|path| ownership::describe_owner(&obstacle(path)));
    let failure = Failure::new(
        FailureKind::Configuration,
        format!("the metrics file {} cannot be written", shown(path)),
        "Name a file in a folder that exists and that this user can write to with --metrics-file (COLLECTIVE_INSIGHTS_METRICS_FILE).",
    );
    match owner {
        Some(owner) => failure.with_cause(format!("{error}; {owner}")),
        None => failure.with_cause(error),
    }
}

/// Returns what this user has no rights on: the file if it cannot be read, or cannot be replaced in
/// a folder that can be written to, such as `/tmp`; else the folder.
fn obstacle(path: &Path) -> PathBuf {
    let is_unreadable =
        File::open(path).is_err_and(|error| error.kind() == ErrorKind::PermissionDenied);
    // The new file is not finished: dropping it deletes it.
    if is_unreadable || AtomicFile::create(path, Readers::Everyone).is_ok() {
        return path.to_owned();
    }
    let resolved = local_file::resolve(path).unwrap_or_else(|_| path.to_owned());
    resolved.parent().map_or_else(|| path.to_owned(), Path::to_owned)
}

/// Begins the new file, and returns the content of the one that it replaces. Only a metrics file is
/// replaced: the path may be that of the ledger by mistake.
fn create(path: &Path) -> io::Result<(AtomicFile, String)> {
    local_file::verify(path, Accept::File)?;
    let previous = previous::read(path)?;
    if !previous.is_empty() && !previous.starts_with(text::START) {
        return Err(io::Error::other("it is not a metrics file of this program"));
    }
    Ok((AtomicFile::create(path, Readers::Everyone)?, previous))
}

/// Returns the tenants of the ledger, of the previous file, and of this process.
fn collect<F: Fn(&str) -> bool>(
    inputs: &Inputs<'_, F>,
    previous: &str,
) -> BTreeMap<Key, TenantMetrics> {
    let now = inputs.clock.now();
    let (statuses, recorded) = read_ledger(inputs.ledger, now).unwrap_or_else(|error| {
        tracing::warn!("the metrics file has last runs and successes only: {error}");
        Default::default()
    });
    let own: BTreeSet<Key> = inputs.runs.iter().map(EndedRun::key).collect();
    let is_used = |key: &Key| own.contains(key) || !(inputs.is_left_out)(&key.1);
    let mut all: BTreeMap<Key, TenantMetrics> = statuses
        .into_iter()
        .map(|status| (key(&status.source, &status.tenant), status))
        .filter(|(key, _)| is_used(key))
        .map(|(key, status)| (key, status.into()))
        .collect();
    for run in recorded {
        if let Some(known) = all.get_mut(&key(&run.source, &run.tenant)) {
            known.last_run = LastRun::of_ledger(run);
        }
    }
    // A time further ahead was written when the clock was wrong.
    let kept = previous::parse(previous, now + MAX_DIFFERENCE);
    for (key, kept) in kept.into_iter().filter(|(key, _)| is_used(key)) {
        let is_own = own.contains(&key);
        let known = all.entry(key).or_default();
        // The ledger may be a new one, or one that cannot be read.
        known.last_success = known.last_success.max(kept.last_success);
        if !is_own {
            known.keep(kept.last_run);
        }
    }
    for run in &inputs.runs {
        let own = all.entry(run.key()).or_default();
        // A run that the ledger has was read from there, like those of other tenants.
        if own.last_run.as_ref().is_none_or(|last| last.id.as_deref() != Some(run.id)) {
            own.last_run = Some(LastRun::of_process(run, now));
            own.last_success = if run.exit_code == 0 { Some(now) } else { own.last_success };
        }
    }
    all
}

/// Returns the status of all tenants, and the last run of each that has ended.
fn read_ledger(
    path: Option<&Path>,
    now: DateTime<Utc>,
) -> Result<(Vec<TenantStatus>, Vec<RunRecord>), LedgerError> {
    let Some(ledger) = path.map(LedgerReader::open).transpose()?.flatten() else {
        return Ok(Default::default());
    };
    Ok((ledger.status(now, &TenantFilter::default())?, ledger.last_ended_runs(now)?))
}

impl From<TenantStatus> for TenantMetrics {
    fn from(status: TenantStatus) -> Self {
        Self { last_success: status.last_success, last_run: None, status: Some(status) }
    }
}

impl TenantMetrics {
    /// Keeps this last run if it ended later than the known one.
    fn keep(&mut self, last_run: Option<LastRun>) {
        let ended_at = |run: &Option<LastRun>| run.as_ref().map(|run| run.ended_at);
        if ended_at(&last_run) > ended_at(&self.last_run) {
            self.last_run = last_run;
        }
    }
}

impl LastRun {
    fn of_ledger(run: RunRecord) -> Option<Self> {
        Some(Self {
            duration: run.duration()?.to_std().unwrap_or_default(),
            id: Some(run.id),
            ended_at: run.finished_at?,
            exit_code: run.exit_code?,
            counts: run.counts.as_deref().and_then(|counts| serde_json::from_str(counts).ok()),
        })
    }

    fn of_process(run: &EndedRun<'_>, now: DateTime<Utc>) -> Self {
        Self {
            id: Some(run.id.to_owned()),
            ended_at: now,
            duration: run.duration,
            exit_code: run.exit_code.into(),
            counts: run.counts.cloned(),
        }
    }
}
