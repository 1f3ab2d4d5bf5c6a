//! The checks that send no request: settings, exclusions, ledger, log and metrics file.

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
use crate::settings::{EffectiveOption, Origin, Settings, TenantName};

/// Checks what is on this machine: what tenants share in `shared`, and all else in the section. It
/// has a run if requests can be sent.
pub(super) fn check(target: &Target<'_>, shared: &mut SharedChecks, clock: Clock) -> Section {
    let tenant = target.tenant.as_ref();
    let _span = tenant.map(logging::enter);
    let (_, args) = target.source.args();
    let mut section = Section::new(target.title(), tenant.cloned());
    match target.resolve() {
        Err(error) => section.add(Check::Settings, Err(error.into())),
        Ok(run) => {
            section.add(Check::Settings, Ok(origins(&run.resolved)));
            let is_usable = check_run(&run, args, &mut section, shared, clock);
            section.run = is_usable.then_some(run);
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
    let network = format!("{:?}", settings.network);
    let is_usable =
        shared.check(Check::TlsAndProxy, network, tenant, || settings.network.describe());
    let exclusions = format!("{:?}", settings.exclusion_file);
    shared
        .check(Check::Exclusions, exclusions, tenant, || exclusions::check(settings, clock.now()));
    let is_valid = shared.check(Check::Ledger, format!("{:?}", settings.ledger), tenant, || {
        for warning in run::file_warnings(args.process.log.path(), &settings.ledger) {
            tracing::warn!("{warning}");
        }
        ledger(settings, clock)
    });
    if is_valid && let Err(failure) = tenant_in_ledger(run, clock) {
        section.add(Check::Ledger, Err(failure));
    }
    is_usable
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
    let Some(path) = settings.ledger.path() else {
        return Ok("none (--no-ledger): runs do not know what earlier ones sent".into());
    };
    if std::fs::symlink_metadata(path).is_err() {
        check_directory_is_writable(path)?;
        return Ok(format!("{} does not exist yet; the first run creates it", path.display()));
    }
    // Opens, locks and checks the whole file, and changes nothing.
    Ledger::check_integrity(path, clock.now())?;
    check_directory_is_writable(path)?;
    Ok(format!("{} is valid and writable", path.display()))
}

/// Compares the run's tenant with what the ledger knows under its name.
fn tenant_in_ledger(run: &ResolvedRun, clock: Clock) -> Result<(), Failure> {
    let Some(path) = run.settings.ledger.path() else { return Ok(()) };
    let Some(ledger) = LedgerReader::open(path)? else { return Ok(()) };
    ledger.check_tenant(&run::tenant(&run.settings, run.source.as_ref()))?;
    warn_if_quiet(&ledger, &run.settings.tenant, clock)
}

/// Warns about a tenant whose source has brought no alerts for a long time.
fn warn_if_quiet(ledger: &LedgerReader, tenant: &TenantName, clock: Clock) -> Result<(), Failure> {
    let tenant = TenantFilter { name: Some(tenant.to_string()), source: None };
    for status in ledger.status(clock.now(), &tenant)? {
        if let Some(warning) = status.quiet_warning() {
            tracing::warn!("{warning}");
        }
    }
    Ok(())
}

/// Creates and removes a file next to `path`, or in the folder in which a run would create the
/// ledger's.
fn check_directory_is_writable(path: &Path) -> Result<(), Failure> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let existing = folder.ancestors().find(|folder| folder.exists()).unwrap_or(folder);
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
                format!("cannot create a file in the directory of {}", path.display()),
                "Give this user write access to the directory, or set another file with --ledger.",
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
