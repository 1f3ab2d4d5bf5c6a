//! The runs of several tenants in one process, each on a thread of its own: whatever happens in one,
//! the others go on.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::{Process, create_state_folder, open_ledger, run, wait};
use crate::detection::SourceInfo;
use crate::failure::{Failure, FailureKind, REPORT_BUG};
use crate::ledger::{Patience, SharedLedger};
use crate::logging;
use crate::report::progress::{Progress, Work};
use crate::report::{self, Report, TenantsReport};
use crate::settings::{LedgerChoice, LockWait, Mode, Settings, TenantName};
use crate::shutdown;
use crate::sources::Source;

/// The run of one tenant.
#[derive(Debug)]
pub(crate) struct TenantJob {
    pub tenant: TenantName,
    pub source: SourceInfo,
    /// What runs, or why it cannot.
    pub run: Result<(Box<dyn Source>, Settings), Failure>,
}

/// How tenants run together.
#[derive(Debug)]
pub(crate) struct TenantsOptions {
    /// How many run at a time.
    pub jobs: usize,
    pub ledger: LedgerChoice,
    pub wait: Option<LockWait>,
    pub mode: Mode,
    /// The maximum run time of all together.
    pub deadline: Duration,
}

/// Runs all tenants, and returns a report of each, in the same order.
///
/// # Errors
/// When the ledger cannot be used: then no tenant has run.
pub(crate) fn run_tenants(
    jobs: Vec<TenantJob>,
    options: &TenantsOptions,
    process: Process,
    progress: &Progress,
) -> Result<TenantsReport, Failure> {
    let (process, ledger) = share_ledger(options, process)?;
    let (threads, total) = (options.jobs.min(jobs.len()), as_count(jobs.len()));
    let (next, done) = (AtomicUsize::new(0), AtomicU64::new(0));
    let reports: Vec<Mutex<Option<Report>>> = jobs.iter().map(|_| Mutex::new(None)).collect();
    let jobs: Vec<Mutex<Option<TenantJob>>> =
        jobs.into_iter().map(|job| Mutex::new(Some(job))).collect();
    let work = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some((job, report)) = jobs.get(at).zip(reports.get(at)) else { return };
            let job = job.lock().unwrap_or_else(PoisonError::into_inner).take();
            let finished = job.map(|job| run_job(job, options.mode, &process));
            *report.lock().unwrap_or_else(PoisonError::into_inner) = finished;
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            progress.set(Work::Tenants { done, total });
        }
    };
    progress.set(Work::Tenants { done: 0, total });
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let reports = reports.into_iter();
    let mut report = TenantsReport {
        mode: options.mode,
        reports: reports
            .filter_map(|report| report.into_inner().unwrap_or_else(PoisonError::into_inner))
            .collect(),
        notes: Vec::new(),
        warnings: Vec::new(),
    };
    if let Some(path) = ledger.created_at() {
        report.note(format!("created the ledger {}", path.display()));
    }
    Ok(report)
}

fn as_count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// Opens the ledger for all tenants.
fn share_ledger(
    options: &TenantsOptions,
    process: Process,
) -> Result<(Process, SharedLedger), Failure> {
    let (clock, shutdown) = (process.clock, process.shutdown.clone());
    create_state_folder(&options.ledger, options.mode)?;
    let lock = shutdown::block_on_with(shutdown.clone(), async |shutdown| {
        wait::take_lock(&options.ledger, options.wait, options.mode, clock, &shutdown).await
    })??;
    let patience = Patience::until(options.deadline, shutdown);
    let ledger = open_ledger(&options.ledger, options.mode, patience, lock, clock)?;
    logging::enable_rotation();
    let shared = Some((ledger.clone(), Instant::now() + options.deadline));
    Ok((Process { shared, ..process }, ledger))
}

/// Runs one tenant. Whatever goes wrong is in its report.
fn run_job(job: TenantJob, mode: Mode, process: &Process) -> Report {
    let _span = logging::enter(&job.tenant);
    let TenantJob { tenant, source: info, run: resolved } = job;
    let done = match (resolved, process.shutdown.signal()) {
        (Err(failure), _) => Err(failure),
        (Ok(_), Some(signal)) => Err(Failure::new(
            FailureKind::Interrupted(signal),
            format!("interrupted by {} before the run of this tenant started", signal.name()),
            "The next run reads what this one did not.",
        )),
        (Ok((source, settings)), None) => std::panic::catch_unwind(AssertUnwindSafe(|| {
            shutdown::block_on_with(process.shutdown.clone(), async |_| {
                run(&settings, source.as_ref(), process, &Progress::default()).await
            })
        }))
        .unwrap_or_else(|_| Err(panicked())),
    };
    let report = done.unwrap_or_else(|failure| {
        let mut report = Report::new(&process.run_id, &tenant, info, mode);
        report.fail(failure);
        report
    });
    report::log_summary(&report);
    report
}

fn panicked() -> Failure {
    Failure::new(
        FailureKind::Unexpected,
        "internal error: the run of this tenant ended with a panic",
        format!("Nothing that was stored is lost. {REPORT_BUG}"),
    )
}
