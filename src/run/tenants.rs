//! The runs of several tenants in one process, each on a thread of its own: whatever happens in
//! one, the others go on.

mod queue;

use std::time::{Duration, Instant};

use self::queue::Queue;
use super::{Process, create_state_folder, open_ledger, wait};
use crate::detection::SourceInfo;
use crate::failure::Failure;
use crate::ledger::{BusyRetry, SharedLedger};
use crate::logging;
use crate::report::TenantsReport;
use crate::report::progress::Progress;
use crate::settings::{LedgerChoice, LockWait, Mode, Settings, TenantName};
use crate::shutdown;
use crate::sources::Source;

/// The run of one tenant.
#[derive(Debug)]
pub(crate) struct TenantJob {
    pub tenant: TenantName,
    pub source: SourceInfo,
    /// The source and settings, or the reason why the tenant cannot run.
    pub run: Result<(Box<dyn Source>, Settings), Failure>,
}

/// The options of a run of several tenants.
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
    jobs: &[TenantJob],
    options: &TenantsOptions,
    process: Process,
    progress: &Progress,
) -> Result<TenantsReport, Failure> {
    let (process, ledger) = share_ledger(options, process)?;
    let mut report = TenantsReport {
        mode: options.mode,
        reports: Queue::new(jobs, options, &process).run(progress),
        notes: Vec::new(),
        warnings: Vec::new(),
    };
    if let Some(path) = ledger.created_at() {
        report.note(format!("created the ledger {}", path.display()));
    }
    Ok(report)
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
    let busy_retry = BusyRetry::until(options.deadline, shutdown);
    let ledger = open_ledger(&options.ledger, options.mode, busy_retry, lock, clock)?;
    logging::enable_rotation();
    let shared = Some((ledger.clone(), Instant::now() + options.deadline));
    Ok((Process { shared, ..process }, ledger))
}
