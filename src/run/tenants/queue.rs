//! Which tenant runs next, and what has become of the others.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use secrecy::ExposeSecret;

use super::{TenantJob, TenantsOptions};
use crate::failure::{Failure, FailureKind, REPORT_BUG};
use crate::logging;
use crate::report::progress::{Progress, Work};
use crate::report::{self, Report};
use crate::run::quota::KeyQuota;
use crate::run::{Part, Process, Run, begin};
use crate::settings::{Mode, Settings};
use crate::shutdown;

/// How often a thread without work looks whether a run can go on.
const INTERVAL: Duration = Duration::from_millis(100);
/// The part of the time after which what is left of a quota is divided at the latest: the rest is
/// for sending it.
const DIVIDED_AFTER: f64 = 0.9;

/// The runs of all tenants.
pub(super) struct Queue<'a> {
    jobs: &'a [TenantJob],
    mode: Mode,
    /// That of each job.
    quotas: Vec<Arc<KeyQuota>>,
    progress: &'a Progress,
    state: Mutex<QueueState<'a>>,
    changed: Condvar,
}

struct QueueState<'a> {
    /// The first job that has not begun.
    next: usize,
    /// The tasks that are being performed.
    performed: usize,
    /// The runs that wait for more quota than their share, with their jobs.
    waiting: Vec<(usize, Box<Run<'a>>)>,
    /// The report of each job that has ended.
    reports: Vec<Option<Report>>,
}

/// What a thread does next.
pub(super) enum Task<'a> {
    Begin(usize),
    Resume(usize, Box<Run<'a>>),
}

impl<'a> Queue<'a> {
    pub(super) fn new(
        jobs: &'a [TenantJob],
        options: &TenantsOptions,
        progress: &'a Progress,
    ) -> Self {
        let queue = Self {
            jobs,
            mode: options.mode,
            quotas: quotas(jobs, Instant::now() + options.deadline.mul_f64(DIVIDED_AFTER)),
            progress,
            state: Mutex::new(QueueState {
                next: 0,
                performed: 0,
                waiting: Vec::new(),
                reports: jobs.iter().map(|_| None).collect(),
            }),
            changed: Condvar::new(),
        };
        queue.show_progress(&queue.lock());
        queue
    }

    /// Waits for the next task; `None` once all runs have ended.
    pub(super) fn next(&self, process: &Process) -> Option<Task<'a>> {
        let mut state = self.lock();
        loop {
            let is_interrupted = process.shutdown.signal().is_some();
            let ready = state
                .waiting
                .iter()
                .position(|(_, run)| is_interrupted || run.delivery.is_quota_divisible());
            if let Some(ready) = ready {
                let (job, run) = state.waiting.swap_remove(ready);
                state.performed += 1;
                return Some(Task::Resume(job, run));
            }
            if state.next < self.jobs.len() {
                state.next += 1;
                state.performed += 1;
                return Some(Task::Begin(state.next - 1));
            }
            if state.waiting.is_empty() && state.performed == 0 {
                self.changed.notify_all();
                return None;
            }
            let waited = self.changed.wait_timeout(state, INTERVAL);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Performs a task. Whatever goes wrong is in the report of its tenant.
    pub(super) fn perform(&self, task: Task<'a>, process: &Process) {
        let (Task::Begin(job) | Task::Resume(job, _)) = task;
        let (Some(tenant), Some(quota)) = (self.jobs.get(job), self.quotas.get(job)) else {
            return;
        };
        let _span = logging::enter(&tenant.tenant);
        let part = match task {
            Task::Begin(_) => {
                let _first_part = quota.first_part();
                let part = self.begin(tenant, quota, process);
                // Before the quota can be divided.
                if let Part::First(run) = &part {
                    run.wait_for_quota();
                }
                part
            }
            Task::Resume(_, run) => {
                let report = block_on(process, async || run.resume(process.clock).await);
                Part::Whole(Box::new(report.unwrap_or_else(|f| self.failed(tenant, f, process))))
            }
        };
        if let Part::Whole(report) = &part {
            report::log_summary(report);
        }
        let mut state = self.lock();
        state.performed -= 1;
        match part {
            Part::Whole(report) => {
                if let Some(slot) = state.reports.get_mut(job) {
                    *slot = Some(*report);
                }
            }
            Part::First(run) => state.waiting.push((job, run)),
        }
        self.show_progress(&state);
        self.changed.notify_all();
    }

    fn begin(&self, job: &'a TenantJob, quota: &Arc<KeyQuota>, process: &Process) -> Part<'a> {
        let done = match (&job.run, process.shutdown.signal()) {
            (Err(failure), _) => Err(failure.clone()),
            (Ok(_), Some(signal)) => Err(Failure::new(
                FailureKind::Interrupted(signal),
                format!("interrupted by {} before the run of this tenant started", signal.name()),
                "The next run reads what this one did not.",
            )),
            (Ok((source, settings)), None) => block_on(process, async || {
                let (quota, progress) = (Arc::clone(quota), Progress::default());
                begin(settings, source.as_ref(), process, quota, &progress).await
            }),
        };
        done.unwrap_or_else(|failure| Part::Whole(Box::new(self.failed(job, failure, process))))
    }

    fn failed(&self, job: &TenantJob, failure: Failure, process: &Process) -> Report {
        let mut report = Report::new(&process.run_id, &job.tenant, job.source, self.mode);
        report.fail(failure);
        report
    }

    fn show_progress(&self, state: &QueueState<'_>) {
        let done = state.reports.iter().flatten().count();
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        self.progress.set(Work::Tenants { done: count(done), total: count(self.jobs.len()) });
    }

    /// Returns the reports in the order of the jobs.
    pub(super) fn into_reports(self) -> Vec<Report> {
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        state.reports.into_iter().flatten().collect()
    }

    fn lock(&self) -> MutexGuard<'_, QueueState<'a>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the quota of each job: the same one for those with the same key.
fn quotas(jobs: &[TenantJob], divided_at: Instant) -> Vec<Arc<KeyQuota>> {
    let key = |settings: &Settings| {
        let recorded_future = &settings.recorded_future;
        (recorded_future.base.to_string(), recorded_future.token.expose_secret().to_owned())
    };
    let settings = || jobs.iter().map(|job| job.run.as_ref().ok().map(|(_, settings)| settings));
    // The number of tenants of each key, and their highest limit.
    let mut keys: BTreeMap<_, (u64, u64)> = BTreeMap::new();
    for settings in settings().flatten() {
        let (tenants, limit) = keys.entry(key(settings)).or_default();
        *tenants += 1;
        *limit = (*limit).max(settings.daily_limit.unwrap_or_default());
    }
    let quotas: BTreeMap<_, Arc<KeyQuota>> = keys
        .into_iter()
        .map(|(key, (tenants, limit))| (key, KeyQuota::shared(tenants, limit, Some(divided_at))))
        .collect();
    let quota = |settings: &Settings| quotas.get(&key(settings)).cloned();
    settings().map(|settings| settings.and_then(quota).unwrap_or_else(KeyQuota::alone)).collect()
}

/// Performs asynchronous work of a tenant on this thread, with a runtime of its own.
///
/// # Errors
/// When the work panics, and when there can be no runtime.
fn block_on<T>(process: &Process, work: impl AsyncFnOnce() -> T) -> Result<T, Failure> {
    let work = AssertUnwindSafe(|| {
        shutdown::block_on_with(process.shutdown.clone(), async |_| work().await)
    });
    std::panic::catch_unwind(work).unwrap_or_else(|_| {
        Err(Failure::new(
            FailureKind::Unexpected,
            "internal error: the run of this tenant ended with a panic",
            format!("Nothing that was stored is lost. {REPORT_BUG}"),
        ))
    })
}
