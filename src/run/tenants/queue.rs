//! Runs tenants on threads: which one is next, and the reports of those that have ended.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use secrecy::ExposeSecret;

use super::{TenantJob, TenantsOptions};
use crate::failure::{Failure, FailureKind, REPORT_BUG, Signal};
use crate::logging;
use crate::report::progress::{HEARTBEAT, Progress, Work};
use crate::report::{self, Report};
use crate::run::quota::KeyQuota;
use crate::run::{Process, Run, RunState, begin};
use crate::settings::{Mode, Settings};
use crate::shutdown;

/// The time between two checks for a run that can continue.
const INTERVAL: Duration = Duration::from_millis(100);
/// A run without progress for this long does not count for the number of concurrent runs.
const STALLED_AFTER: Duration = Duration::from_secs(30);
/// How many such runs do not count: each needs memory.
const MAX_STALLED: usize = 64;
/// The part of the time after which what is left of a quota is divided at the latest: the rest is
/// for sending it.
const DIVIDED_AFTER: f64 = 0.9;

/// The runs of all tenants.
pub(super) struct Queue<'a> {
    jobs: &'a [TenantJob],
    /// How many run at a time.
    max_running: usize,
    mode: Mode,
    /// The quota of the key of each job.
    quotas: Vec<Arc<KeyQuota>>,
    process: &'a Process,
    state: Mutex<QueueState<'a>>,
    changed: Condvar,
}

struct QueueState<'a> {
    /// The first job that has not begun.
    next: usize,
    /// The progress of the jobs that run.
    running: BTreeMap<usize, Progress>,
    /// The runs that wait for more quota than their share, with their jobs.
    waiting: Vec<(usize, Box<Run<'a>>)>,
    /// The report of each job that has ended.
    reports: Vec<Option<Report>>,
}

/// The work of one thread: a run, or its last part.
enum Task<'a> {
    Begin(Progress),
    Resume(Box<Run<'a>>),
    /// Ends a run that waits.
    Interrupt(Box<Run<'a>>, Signal),
}

impl<'a> Queue<'a> {
    pub(super) fn new(
        jobs: &'a [TenantJob],
        options: &TenantsOptions,
        process: &'a Process,
    ) -> Self {
        let divided_at = Instant::now() + options.deadline.mul_f64(DIVIDED_AFTER);
        Self {
            jobs,
            max_running: options.jobs,
            mode: options.mode,
            quotas: quotas(jobs, divided_at, process),
            process,
            state: Mutex::new(QueueState {
                next: 0,
                running: BTreeMap::new(),
                waiting: Vec::new(),
                reports: jobs.iter().map(|_| None).collect(),
            }),
            changed: Condvar::new(),
        }
    }

    /// Runs all jobs, each on a thread of its own, and returns their reports in the same order.
    pub(super) fn run(self, progress: &Progress) -> Vec<Report> {
        let heartbeat = self.process.clock.scaled(HEARTBEAT);
        let mut logged = Instant::now();
        thread::scope(|scope| {
            let mut state = self.lock();
            while !state.has_ended() {
                while let Some((job, task)) = self.next(&mut state) {
                    let task = Arc::new(Mutex::new(Some(task)));
                    let perform = {
                        let (queue, task) = (&self, Arc::clone(&task));
                        move || queue.perform_once(job, &task)
                    };
                    if let Err(error) = thread::Builder::new().spawn_scoped(scope, perform) {
                        tracing::warn!("no further thread can be started: {error}");
                        drop(state);
                        self.perform_once(job, &task);
                        state = self.lock();
                    }
                }
                let total = as_count(self.jobs.len());
                progress.set(Work::Tenants { done: state.done(), total });
                if logged.elapsed() >= heartbeat {
                    state.log(total);
                    logged = Instant::now();
                }
                let waited = self.changed.wait_timeout(state, INTERVAL);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
        });
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        state.reports.into_iter().flatten().collect()
    }

    /// Returns the next task and its job, if one can begin or go on now.
    fn next(&self, state: &mut QueueState<'a>) -> Option<(usize, Task<'a>)> {
        let stalled_after = self.process.clock.scaled(STALLED_AFTER);
        let stalled = state.running.values().filter(|run| run.is_older_than(stalled_after)).count();
        if state.running.len() >= self.max_running + stalled.min(MAX_STALLED) {
            return None;
        }
        let signal = self.process.shutdown.signal();
        let is_ready = |run: &Run<'_>| signal.is_some() || run.delivery.is_quota_divisible();
        let task = if let Some(ready) = state.waiting.iter().position(|(_, run)| is_ready(run)) {
            let (job, run) = state.waiting.swap_remove(ready);
            let progress = run.report.progress.clone();
            // While it waited it was not stalled.
            progress.set(Work::Idle);
            state.running.insert(job, progress);
            let task = match signal {
                Some(signal) => Task::Interrupt(run, signal),
                None => Task::Resume(run),
            };
            (job, task)
        } else if state.next < self.jobs.len() {
            let (job, progress) = (state.next, Progress::default());
            state.next += 1;
            state.running.insert(job, progress.clone());
            (job, Task::Begin(progress))
        } else {
            return None;
        };
        Some(task)
    }

    /// Performs a task unless another thread has taken it. Whatever goes wrong is in the report of
    /// its tenant.
    fn perform_once(&self, job: usize, task: &Mutex<Option<Task<'a>>>) {
        let task = task.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (Some(task), Some(tenant), Some(quota)) =
            (task, self.jobs.get(job), self.quotas.get(job))
        else {
            return;
        };
        let _span = logging::enter(&tenant.tenant);
        let perform = AssertUnwindSafe(|| self.perform(tenant, quota, task));
        let result = std::panic::catch_unwind(perform)
            .unwrap_or_else(|_| RunState::Ended(Box::new(self.failed(tenant, panicked()))));
        let mut state = self.lock();
        state.running.remove(&job);
        match result {
            RunState::Ended(report) => {
                if let Some(slot) = state.reports.get_mut(job) {
                    *slot = Some(*report);
                }
            }
            RunState::WaitsForQuota(run) => state.waiting.push((job, run)),
        }
        self.changed.notify_all();
    }

    fn perform(&self, job: &'a TenantJob, quota: &Arc<KeyQuota>, task: Task<'a>) -> RunState<'a> {
        let state = match task {
            Task::Begin(progress) => {
                let _first_part = quota.first_part();
                let state = self.begin(job, quota, &progress);
                // Before `_first_part` is dropped and the quota can be divided.
                if let RunState::WaitsForQuota(run) = &state {
                    run.wait_for_quota();
                }
                state
            }
            Task::Resume(run) => {
                let report = block_on(self.process, async || run.resume(self.process.clock).await);
                let report = report.unwrap_or_else(|failure| self.failed(job, failure));
                RunState::Ended(Box::new(report))
            }
            Task::Interrupt(run, signal) => RunState::Ended(Box::new(run.interrupt(signal))),
        };
        if let RunState::Ended(report) = &state {
            report::log_summary(report);
        }
        state
    }

    fn begin(
        &self,
        job: &'a TenantJob,
        quota: &Arc<KeyQuota>,
        progress: &Progress,
    ) -> RunState<'a> {
        let done = match (&job.run, self.process.shutdown.signal()) {
            (Err(failure), _) => Err(failure.clone()),
            (Ok(_), Some(signal)) => Err(Failure::new(
                FailureKind::Interrupted(signal),
                format!("interrupted by {} before the run of this tenant started", signal.name()),
                "The next run reads what this one did not.",
            )),
            (Ok((source, settings)), None) => block_on(self.process, async || {
                begin(settings, source.as_ref(), self.process, Arc::clone(quota), progress).await
            }),
        };
        done.unwrap_or_else(|failure| RunState::Ended(Box::new(self.failed(job, failure))))
    }

    fn failed(&self, job: &TenantJob, failure: Failure) -> Report {
        let mut report = Report::new(&self.process.run_id, &job.tenant, job.source, self.mode);
        report.fail(failure);
        report
    }

    fn lock(&self) -> MutexGuard<'_, QueueState<'a>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl QueueState<'_> {
    fn done(&self) -> u64 {
        as_count(self.reports.iter().flatten().count())
    }

    fn has_ended(&self) -> bool {
        self.reports.iter().all(Option::is_some)
    }

    fn log(&self, total: u64) {
        let (running, waiting) = (self.running.len(), self.waiting.len());
        tracing::info!(
            done = self.done(),
            running,
            waiting_for_quota = waiting,
            total,
            "running tenants"
        );
    }
}

fn as_count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn panicked() -> Failure {
    Failure::new(
        FailureKind::Unexpected,
        "internal error: the run of this tenant ended with a panic",
        format!("Nothing that was stored is lost. {REPORT_BUG}"),
    )
}

/// Performs asynchronous work of a tenant on this thread, with a runtime of its own.
///
/// # Errors
/// When there can be no runtime.
fn block_on<T>(process: &Process, work: impl AsyncFnOnce() -> T) -> Result<T, Failure> {
    shutdown::block_on_with(process.shutdown.clone(), async |_| work().await)
}

/// Returns the quota of each job: the same one for all jobs with the same key, whatever their
/// organizations or base URL.
fn quotas(jobs: &[TenantJob], divided_at: Instant, process: &Process) -> Vec<Arc<KeyQuota>> {
    let key = |settings: &Settings| settings.recorded_future.token.expose_secret().to_owned();
    let settings = || jobs.iter().map(|job| job.run.as_ref().ok().map(|(_, settings)| settings));
    // The number of tenants of each key, and their highest limit.
    let mut keys: BTreeMap<_, (u64, u64)> = BTreeMap::new();
    for settings in settings().flatten() {
        let (tenants, limit) = keys.entry(key(settings)).or_default();
        *tenants += 1;
        *limit = (*limit).max(settings.daily_limit.unwrap_or_default());
    }
    let shared = |(tenants, limit)| KeyQuota::shared(tenants, limit, divided_at, process.clock);
    let quotas: BTreeMap<_, Arc<KeyQuota>> =
        keys.into_iter().map(|(key, numbers)| (key, shared(numbers))).collect();
    let quota = |settings: &Settings| quotas.get(&key(settings)).cloned();
    settings().map(|settings| settings.and_then(quota).unwrap_or_else(KeyQuota::alone)).collect()
}
