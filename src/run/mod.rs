//! One run: fetch the vendor's alerts, store what is selected, deliver what is queued, report.

mod crash_point;
mod deliver;
mod doubt;
mod fetch;
mod gap;
mod notes;
mod quota;
mod tenant;
mod tenants;
mod time;
mod wait;
mod window;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use self::crash_point::crash_point;
use self::deliver::DeliveryState;
use self::quota::KeyQuota;
use self::tenant::CustomerState;
pub(crate) use self::tenant::{check_customers, tenant, token_digest};
pub(crate) use self::tenants::{TenantJob, TenantsOptions, run_tenants};
use self::time::RunTime;
use self::window::WindowPlan;
use crate::clock::Clock;
use crate::failure::{Failure, FailureKind, REPORT_BUG, Signal};
use crate::http::{AddressLimits, Http};
use crate::ledger::{
    BusyRetry, LedgerOptions, Lock, SharedLedger, TenantLedger, TenantOptions, lock_path,
};
use crate::local_file;
use crate::logging;
use crate::platform::{files, ownership};
use crate::recorded_future::Client;
use crate::redact;
use crate::report::Report;
use crate::report::progress::Progress;
use crate::selection::exclusions::Exclusions;
use crate::settings::{LedgerChoice, Mode, Settings};
use crate::shutdown::Shutdown;
use crate::sources::{CustomerSource, Source};
use crate::window::Window;

/// The parts that all runs of a process share.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    pub run_id: String,
    pub clock: Clock,
    pub shutdown: Shutdown,
    /// The rate limits that the runs share.
    pub address_limits: AddressLimits,
    /// The ledger and the deadline, if the runs of several tenants share them.
    pub shared: Option<(SharedLedger, Instant)>,
}

/// Performs one run. Failures are in the report.
pub(crate) async fn run(
    settings: &Settings,
    source: &dyn Source,
    process: &Process,
    progress: &Progress,
) -> Report {
    match begin(settings, source, process, KeyQuota::alone(), progress).await {
        RunState::Ended(report) => *report,
        RunState::WaitsForQuota(run) => run.resume(process.clock).await,
    }
}

/// The state of a run after its first part.
enum RunState<'a> {
    Ended(Box<Report>),
    /// It has sent its share of the quota and waits for more.
    WaitsForQuota(Box<Run<'a>>),
}

/// Begins a run, and ends it unless it has to wait for more quota than its share.
async fn begin<'a>(
    settings: &'a Settings,
    source: &'a dyn Source,
    process: &Process,
    quota: Arc<KeyQuota>,
    progress: &Progress,
) -> RunState<'a> {
    let heartbeat = tokio::spawn(progress.clone().log_heartbeat(process.clock));
    let state = match Run::prepare(settings, source, process, quota, progress).await {
        Ok(run) => run.perform().await,
        Err(failure) => {
            let run_id = &process.run_id;
            let mut report = Report::new(run_id, &settings.tenant, source.info(), settings.mode);
            report.fail(failure);
            RunState::Ended(Box::new(report))
        }
    };
    heartbeat.abort();
    state
}

/// A run in progress.
struct Run<'a> {
    settings: &'a Settings,
    source: &'a dyn Source,
    /// The client for the vendor.
    vendor: Http,
    /// The client for Recorded Future.
    client: Client,
    exclusions: Arc<Exclusions>,
    /// Shared with the thread that stores pages while the next ones are fetched.
    ledger: Arc<TenantLedger>,
    /// The file of the ledger, if this run created it.
    created_ledger: Option<PathBuf>,
    time: RunTime,
    /// The span that earlier runs fetched.
    fetched: Option<Window>,
    plan: WindowPlan,
    customer: CustomerState,
    delivery: DeliveryState,
    report: Report,
}

impl<'a> Run<'a> {
    /// Checks everything that can be wrong on this machine, and opens the ledger, before any
    /// request is made.
    async fn prepare(
        settings: &'a Settings,
        source: &'a dyn Source,
        process: &Process,
        quota: Arc<KeyQuota>,
        progress: &Progress,
    ) -> Result<Self, Failure> {
        let Process { run_id, clock, shutdown, shared, .. } = process;
        let clock = *clock;
        let exclusions = Arc::new(read_exclusions(settings)?);
        // Reject an impossible window before opening the ledger.
        window::check(settings.span, clock.now_to_the_millisecond())?;
        let (lock, deadline) = match shared {
            // The run's time begins after the wait.
            None => (lock(settings, clock, shutdown).await?, settings.deadline),
            Some((_, end)) => {
                (None, settings.deadline.min(end.saturating_duration_since(Instant::now())))
            }
        };
        let busy_retry = BusyRetry::until(deadline, shutdown.clone());
        let http = Http::new(&settings.network, clock, deadline, shutdown.clone())?;
        progress.watch(http.waits());
        let debug = settings.mode == Mode::Debug;
        let client = Client::new(&http.with_turns(&quota.turns), &settings.recorded_future, debug)?;
        let now = clock.now_to_the_millisecond();
        let shared = match shared {
            Some((ledger, _)) => ledger.clone(),
            None => open_ledger(&settings.ledger, settings.mode, busy_retry.clone(), lock, clock)?,
        };
        let tenant = TenantOptions {
            tenant: tenant(settings, source),
            source: source.info(),
            run_id,
            resend: settings.resend,
            busy_retry,
        };
        let ledger = TenantLedger::open(&shared, tenant, clock)?;
        logging::enable_rotation();
        crash_point();
        let fetched = ledger.fetched()?;
        let plan = window::choose(settings.span, fetched, settings.max_catch_up, now)?;
        let mut report = Report::new(run_id, &settings.tenant, source.info(), settings.mode);
        if let Some(note) = header_note(&exclusions) {
            report.note(note);
        }
        report.progress = progress.clone();
        report.window = Some(plan.window);
        report.is_queue_kept = settings.mode == Mode::Live && settings.ledger != LedgerChoice::None;
        Ok(Self {
            settings,
            source,
            customer: CustomerState::new(source, &ledger, settings.adopt),
            vendor: http.with_own_service_clock().with_address_limits(&process.address_limits),
            client,
            exclusions,
            ledger: Arc::new(ledger),
            created_ledger: shared
                .created_at()
                .filter(|_| process.shared.is_none())
                .map(Path::to_owned),
            time: RunTime::new(clock),
            fetched,
            plan,
            delivery: DeliveryState::new(settings, quota),
            report,
        })
    }

    /// Performs the run to its end, which is recorded in the ledger, or until it has to wait for
    /// more quota than its share.
    async fn perform(mut self) -> RunState<'a> {
        if let Err(failure) = self.start() {
            self.report.fail(failure);
            return RunState::Ended(Box::new(self.report));
        }
        let done = self.deliver_and_fetch().await;
        if done.is_ok() && self.delivery.waits_for_quota() {
            // The exclusions are no longer needed, and many runs may wait.
            self.exclusions = Arc::default();
            return RunState::WaitsForQuota(Box::new(self));
        }
        RunState::Ended(Box::new(self.end(done)))
    }

    /// Registers the run for a part of what will be left of the quota.
    fn wait_for_quota(&self) {
        self.delivery.wait(&self.ledger);
    }

    /// Sends as much as the run gets of the quota that was left, and ends the run.
    async fn resume(mut self, clock: Clock) -> Report {
        let heartbeat = tokio::spawn(self.report.progress.clone().log_heartbeat(clock));
        let done = match self.delivery.take_allowance(&self.ledger) {
            Ok(()) => self.deliver().await,
            Err(failure) => Err(failure),
        };
        heartbeat.abort();
        self.end(done)
    }

    /// Ends a run that waits for quota, because of a signal.
    fn interrupt(mut self, signal: Signal) -> Report {
        self.report.fail(Failure::new(
            FailureKind::Interrupted(signal),
            format!("interrupted by {} before everything was sent", signal.name()),
            "Run again; the next run continues where this one ended.",
        ));
        // Nothing is cleaned up, which the next run does: this has to be fast.
        for step in [self.count_remaining(true), self.finish()] {
            if let Err(failure) = step {
                self.report.fail(failure);
            }
        }
        self.report.duration = self.time.elapsed();
        self.report
    }

    /// Cleans up, counts what is left, and records how the run ended.
    fn end(mut self, done: Result<(), Failure>) -> Report {
        // First, because counting would look at each row that is about to be deleted.
        let cleaned_up = self.clean_up();
        crash_point();
        let counted = self.count_remaining(done.is_ok());
        for failure in [done, counted, cleaned_up].into_iter().filter_map(Result::err) {
            self.report.fail(failure);
        }
        if let Err(failure) = self.finish() {
            self.report.fail(failure);
        }
        crash_point();
        self.report.duration = self.time.elapsed();
        self.report
    }

    async fn deliver_and_fetch(&mut self) -> Result<(), Failure> {
        // Some runs must fetch first. With a daily limit, the most severe indicators are sent,
        // which are known only then. With --resend, what is queued would be delivered, fetched
        // again and sent once more. And alerts may show that the credentials belong to another
        // customer than what is queued.
        let depends_on_alerts = self.settings.daily_limit.is_some()
            || self.settings.resend
            || self.source.customer() == CustomerSource::Alerts
            || !self.customer.may_deliver();
        if !depends_on_alerts {
            self.deliver().await?;
        }
        self.fetch().await?;
        self.advance_checkpoint()?;
        self.deliver().await
    }

    /// Records that the run started, and what earlier runs left.
    fn start(&mut self) -> Result<(), Failure> {
        self.record_first_window()?;
        crash_point();
        self.ledger.begin_run(self.settings.mode.name(), self.plan.window)?;
        crash_point();
        self.report.counts.carried_in = self.ledger.queued()?;
        if let Some(path) = self.created_ledger.take() {
            self.report.note(format!("created the ledger {}", path.display()));
        }
        Ok(())
    }

    /// Moves the checkpoint over what was fetched and stored.
    fn advance_checkpoint(&mut self) -> Result<(), Failure> {
        self.follow_service_clock();
        let checkpoint = self.ledger.checkpoint()?;
        self.check_checkpoint(checkpoint);
        let start = self.plan.window.start;
        let until = self.plan.complete_until;
        // If nothing was fetched, the checkpoint does not move over a gap either: a later run with
        // a higher --max-catch-up can still fetch it.
        if until <= start || !self.require_confirmed_clock() {
            return Ok(());
        }
        if checkpoint.is_none() && !self.plan.may_init_checkpoint {
            return Ok(());
        }
        let fetched = Window { start, end: until };
        let gap = self.plan.gap.filter(|_| self.is_window_current());
        let advance = self.record_fetched(fetched, gap)?;
        tracing::debug!(?advance, %until, "the checkpoint");
        crash_point();
        Ok(())
    }

    /// Deletes delivered entries from the outbox, and everything that has expired. Called before
    /// the run is recorded, so that a failure counts as one of the run.
    fn clean_up(&self) -> Result<(), Failure> {
        self.ledger.delete_delivered()?;
        if let Some(now) = self.purge_time() {
            self.ledger.purge_expired_once(now)?;
        }
        Ok(())
    }

    /// Records how the run ended.
    fn finish(&self) -> Result<(), Failure> {
        let counts = serde_json::to_string(&self.report.counts).map_err(|error| {
            Failure::new(
                FailureKind::Unexpected,
                format!("the numbers of this run cannot be written as JSON: {error}"),
                REPORT_BUG,
            )
        })?;
        let failure = self.report.failures().first();
        let error = failure.map(|failure| redact::sanitize(&failure.to_string()));
        Ok(self.ledger.finish_run(self.report.exit_code(), &counts, error.as_deref())?)
    }
}

/// Reads the exclusion file that the settings name.
///
/// # Errors
/// As for [`read_exclusion_file`].
pub(crate) fn read_exclusions(settings: &Settings) -> Result<Exclusions, Failure> {
    match &settings.exclusion_file {
        Some(path) => read_exclusion_file(path),
        None => Ok(Exclusions::default()),
    }
}

/// Reads an exclusion file.
///
/// # Errors
/// When the file cannot be read, or when lines are not valid: names them.
pub(crate) fn read_exclusion_file(path: &Path) -> Result<Exclusions, Failure> {
    let exclusions = Exclusions::read(path).map_err(|error| {
        let failure = Failure::new(
            FailureKind::Configuration,
            error.to_string(),
            "Correct the lines or the file's name; `collective-insights generate exclusions` shows every form.",
        );
        match std::error::Error::source(&error) {
            Some(source) => failure.with_cause(source.to_string()),
            None => failure,
        }
    })?;
    tracing::info!(file = %path.display(), exclusions = exclusions.len(), "read the exclusion file");
    Ok(exclusions)
}

/// Returns the note about a header in the exclusion file; `None` if it has no header.
pub(crate) fn header_note(exclusions: &Exclusions) -> Option<String> {
    let header = exclusions.header()?;
    Some(format!(
        "line {} of the exclusion file is a header and was skipped: {}",
        header.number, header.text
    ))
}

/// Returns a warning for each of the log file, the ledger and the lock file that others can change;
/// on Windows at most one, that others may be able to read a new file.
pub(crate) fn file_warnings(log: Option<&Path>, ledger: &LedgerChoice) -> Vec<String> {
    let mut warnings = vec![log.and_then(|log| local_file::warning("log file", log))];
    if let Some(path) = ledger.path() {
        warnings.push(local_file::warning("ledger", path));
        warnings.push(local_file::warning("lock file", &lock_path(path)));
    }
    warnings.push(ownership::created_warning());
    warnings.into_iter().flatten().collect()
}

/// Creates the state folder, with mode 0700, if this is a live run with its ledger there.
fn create_state_folder(ledger: &LedgerChoice, mode: Mode) -> Result<(), Failure> {
    let LedgerChoice::File { path, in_state_folder: true } = ledger else {
        return Ok(());
    };
    let Some(folder) = path.parent().filter(|_| mode == Mode::Live) else {
        return Ok(());
    };
    files::create_folder(folder).map_err(|error| {
        let owner = ownership::describe_owner(folder);
        let owner = owner.map_or_else(String::new, |owner| format!("; {owner}"));
        Failure::new(
            FailureKind::Ledger,
            format!("cannot create the state folder {}", folder.display()),
            "Create it and give this user write access to it, or name another file with --ledger.",
        )
        .with_cause(format!("{error}{owner}"))
    })
}

/// Whether the folder of the ledger exists. Without it there is no ledger.
fn has_folder(path: &Path) -> bool {
    path.parent().is_some_and(|folder| folder.as_os_str().is_empty() || folder.exists())
}

/// Prepares to open the ledger for a run that has it alone: creates the state folder, and takes the
/// lock if the run may wait for it; otherwise opening the ledger takes it.
async fn lock(
    settings: &Settings,
    clock: Clock,
    shutdown: &Shutdown,
) -> Result<Option<Lock>, Failure> {
    let Settings { ledger, mode, wait, .. } = settings;
    create_state_folder(ledger, *mode)?;
    if wait.is_some() {
        // A mistake in these settings ends the run before the wait, not after it.
        settings.network.check()?;
    }
    wait::take_lock(ledger, *wait, *mode, clock, shutdown).await
}

/// Opens the ledger for a run.
fn open_ledger(
    ledger: &LedgerChoice,
    mode: Mode,
    busy_retry: BusyRetry,
    lock: Option<Lock>,
    clock: Clock,
) -> Result<SharedLedger, Failure> {
    let dry_run = mode != Mode::Live;
    let path = ledger.path().filter(|path| !dry_run || has_folder(path));
    Ok(SharedLedger::open(LedgerOptions { path, dry_run, busy_retry, lock }, clock)?)
}
