//! The checks that send no request: settings, TLS and proxy, exclusions, ledger, log and metrics
//! file.

use std::fs::OpenOptions;
use std::path::Path;

use super::section::{Check, Section, SharedChecks};
use super::{Target, exclusions};
use crate::cli::CommonArgs;
use crate::cli::ResolvedRun;
use crate::clock::Clock;
use crate::failure::{Failure, FailureKind};
use crate::ledger::{Ledger, LedgerReader, TenantFilter};
use crate::logging;
use crate::metrics;
use crate::run;
use crate::settings::{EffectiveOption, LedgerChoice, Origin, Settings, TenantName};

/// Performs the checks of a source or of one tenant (the target) that send no request, and returns
/// the findings, with the resolved settings as `run` if requests can be sent. Checks of what
/// tenants can share are added to `shared`.
pub(super) fn check(target: &Target<'_>, shared: &mut SharedChecks, clock: Clock) -> Section {
    let tenant = target.tenant.as_ref();
    let _span = tenant.map(logging::enter);
    let (_, args) = target.source.args();
    let mut section = Section::new(target.title(), tenant.cloned());
    match target.resolve() {
        Err(error) => section.add(Check::Settings, Err(error.into())),
        Ok(run) => {
            section.add(Check::Settings, Ok(origins(&run.resolved)));
            let can_send = check_run(&run, args, &mut section, shared, clock);
            section.run = can_send.then_some(run);
        }
    }
    let log = args.process.log.path();
    shared.check(Check::Log, format!("{log:?}"), tenant, || log_file(args));
    if let Some(path) = &args.process.metrics_file {
        shared.check(Check::Metrics, path.display().to_string(), tenant, || metrics::check(path));
    }
    section
}

/// Checks what the run of a target uses. Returns whether requests can be sent.
fn check_run(
    run: &ResolvedRun,
    args: &CommonArgs,
    section: &mut Section,
    shared: &mut SharedChecks,
    clock: Clock,
) -> bool {
    let settings = &run.settings;
    let tenant = section.tenant.clone();
    let tenant = tenant.as_ref();
    // The second argument is the value by which `shared` knows whether the check was done before.
    let network = format!("{:?}", settings.network);
    let network_ok = shared.check(Check::TlsAndProxy, network, tenant, || settings.network.check());
    let exclusions = format!("{:?}", settings.exclusion_file);
    shared
        .check(Check::Exclusions, exclusions, tenant, || exclusions::check(settings, clock.now()));
    let ledger_ok = shared.check(Check::Ledger, format!("{:?}", settings.ledger), tenant, || {
        for warning in run::file_warnings(args.process.log.path(), &settings.ledger) {
            tracing::warn!("{warning}");
        }
        ledger(settings, clock)
    });
    if ledger_ok && let Err(failure) = tenant_in_ledger(run, clock) {
        section.add(Check::Ledger, Err(failure));
    }
    network_ok
}

fn origins(options: &[EffectiveOption]) -> String {
    let origins: Vec<String> = options
        .iter()
        .filter(|option| option.origin != Origin::Unset)
        .map(|option| format!("{} from {}", option.flag, option.origin))
        .collect();
    origins.join(", ")
}

fn ledger(settings: &Settings, clock: Clock) -> Result<String, Failure> {
    let LedgerChoice::File { path, in_state_folder } = &settings.ledger else {
        return Ok("none (--no-ledger): runs do not know what earlier ones sent".into());
    };
    if std::fs::symlink_metadata(path).is_err() {
        check_folder_is_writable(path, *in_state_folder)?;
        return Ok(format!("{} does not exist yet; the first run creates it", path.display()));
    }
    // Opens, locks and checks the whole file. Only the lock file changes, unless a killed run left
    // an unfinished change: that is undone.
    Ledger::check_integrity(path, clock.now())?;
    // The folder exists, because the ledger is in it.
    check_folder_is_writable(path, false)?;
    Ok(format!("{} is valid and writable", path.display()))
}

/// Compares the run's tenant with what the ledger knows under its name.
fn tenant_in_ledger(run: &ResolvedRun, clock: Clock) -> Result<(), Failure> {
    let Some(path) = run.settings.ledger.path() else { return Ok(()) };
    let Some(ledger) = LedgerReader::open(path)? else { return Ok(()) };
    ledger.check_tenant(&run::tenant(&run.settings, run.source.as_ref()))?;
    warn_if_no_alerts(&ledger, &run.settings.tenant, clock)
}

/// Warns about a tenant whose source has brought no alerts for a long time.
fn warn_if_no_alerts(
    ledger: &LedgerReader,
    tenant: &TenantName,
    clock: Clock,
) -> Result<(), Failure> {
    let tenant = TenantFilter { name: Some(tenant.to_string()), source: None };
    for status in ledger.status(clock.now(), &tenant)? {
        if let Some(warning) = status.no_alerts_warning() {
            tracing::warn!("{warning}");
        }
    }
    Ok(())
}

/// Creates and removes a file in the folder of `path`. If that is missing and a run would create
/// it, uses the nearest folder above it that exists.
fn check_folder_is_writable(path: &Path, run_creates_folder: bool) -> Result<(), Failure> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let above = if run_creates_folder { usize::MAX } else { 1 };
    let mut candidates = folder.ancestors().take(above);
    // A link to nowhere is found too: a folder cannot be created in its place.
    let is_there = |folder: &&Path| folder.symlink_metadata().is_ok();
    let existing = candidates.find(is_there).unwrap_or(folder);
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".check-{}", std::process::id()));
    let temporary = existing.join(name);
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&temporary)
        .and_then(|_| std::fs::remove_file(&temporary))
        .map_err(|error| {
            Failure::new(
                FailureKind::Ledger,
                format!("cannot create a file in {}", existing.display()),
                "Create the folder and give this user write access to it, or set another file with --ledger.",
            )
            .with_cause(error)
        })
}

fn log_file(args: &CommonArgs) -> Result<String, Failure> {
    let Some(path) = args.process.log.path() else {
        return Ok(if args.process.logs_to_stderr() { "stderr" } else { "none" }.to_owned());
    };
    let existed = std::fs::symlink_metadata(path).is_ok();
    logging::open(path).map_err(|error| logging::unwritable(path, error))?;
    if !existed {
        // This check created it; a run creates it again.
        let _ = std::fs::remove_file(path);
    }
    Ok(format!("{} is writable", path.display()))
}
