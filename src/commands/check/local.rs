//! The checks that send no request: settings, exclusions, ledger and log.

use std::fs::OpenOptions;
use std::path::Path;

use super::{Check, Finding, Section, Target, exclusions};
use crate::cli::CommonArgs;
use crate::cli::ResolvedRun;
use crate::clock::Clock;
use crate::failure::{Failure, FailureKind};
use crate::ledger::{Ledger, LedgerReader, TenantFilter};
use crate::logging;
use crate::run;
use crate::settings::{EffectiveOption, Origin, TenantName};

/// Checks what is on this machine. The section has a run if requests can be sent.
pub(super) fn check(target: &Target<'_>, clock: Clock) -> Section {
    let (_, args) = target.source.args();
    let log = Finding::new(Check::Log, log_file(args));
    let title = target.title();
    match target.resolve() {
        Err(error) => {
            let findings = vec![Finding::new(Check::Settings, Err(error.into())), log];
            Section { title, findings, run: None }
        }
        Ok(run) => {
            let settings = &run.settings;
            let network = settings.network.describe();
            let is_usable = network.is_ok();
            for warning in run::file_warnings(args.process.log.path(), &settings.ledger) {
                tracing::warn!("{warning}");
            }
            let findings = vec![
                Finding::new(Check::Settings, Ok(origins(&run.resolved))),
                Finding::new(Check::TlsAndProxy, network),
                Finding::new(Check::Exclusions, exclusions::check(settings, clock.now())),
                Finding::new(Check::Ledger, ledger(&run, clock)),
                log,
            ];
            Section { title, findings, run: is_usable.then_some(run) }
        }
    }
}

fn origins(options: &[EffectiveOption]) -> String {
    let origins: Vec<String> = options
        .iter()
        .filter(|option| option.origin != Origin::Unset)
        .map(|option| format!("{} from {}", option.flag, option.origin))
        .collect();
    origins.join(", ")
}

fn ledger(run: &ResolvedRun, clock: Clock) -> Result<String, Failure> {
    let settings = &run.settings;
    let Some(path) = settings.ledger.path() else {
        return Ok("none (--no-ledger): runs do not know what earlier ones sent".into());
    };
    if std::fs::symlink_metadata(path).is_err() {
        check_directory_is_writable(path)?;
        return Ok(format!("{} does not exist yet; the first run creates it", path.display()));
    }
    // Opens, locks and checks the whole file, and changes nothing.
    Ledger::verify(path, clock.now())?;
    check_tenant(path, run)?;
    warn_if_quiet(path, &settings.tenant, clock)?;
    check_directory_is_writable(path)?;
    Ok(format!("{} is valid and writable", path.display()))
}

/// Compares the run's tenant with what the ledger knows under its name.
fn check_tenant(path: &Path, run: &ResolvedRun) -> Result<(), Failure> {
    if let Some(ledger) = LedgerReader::open(path)? {
        ledger.check_tenant(&run::tenant(&run.settings, run.source.as_ref()))?;
    }
    Ok(())
}

/// Warns about a tenant whose source has brought no alerts for a long time.
fn warn_if_quiet(path: &Path, tenant: &TenantName, clock: Clock) -> Result<(), Failure> {
    let Some(ledger) = LedgerReader::open(path)? else {
        return Ok(());
    };
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
