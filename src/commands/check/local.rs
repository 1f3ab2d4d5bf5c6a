//! The half of a check that asks no service: settings, exclusions, ledger, log.

use std::fs::{File, OpenOptions};
use std::path::Path;

use super::{Finding, Subject};
use crate::clock::Clock;
use crate::failure::{Failure, FailureKind};
use crate::ledger::Ledger;
use crate::logging;
use crate::run;
use crate::settings::{EffectiveOption, LedgerChoice, Origin, Settings};

/// Checks what is on this machine; gives the settings where services can be asked with them.
pub(super) fn check(subject: &Subject<'_>, clock: Clock) -> (Vec<Finding>, Option<Settings>) {
    let log = &subject.common().log.log_file;
    match subject.settings() {
        Err(failure) => {
            (vec![Finding::new("settings", Err(failure)), Finding::new("log", log_file(log))], None)
        }
        Ok(settings) => {
            let network = settings.network.examine();
            let can_ask = network.is_ok();
            let findings = vec![
                Finding::new("settings", Ok(origins(&settings.resolved))),
                Finding::new("TLS and proxy", network),
                Finding::new("exclusions", exclusions(&settings)),
                Finding::new("ledger", ledger(&settings, clock)),
                Finding::new("log", log_file(log)),
            ];
            (findings, can_ask.then_some(settings))
        }
    }
}

fn origins(found: &[EffectiveOption]) -> String {
    let told = found.iter().filter(|found| found.origin != Origin::Unset);
    let told: Vec<String> =
        told.map(|found| format!("{} from {}", found.flag, found.origin)).collect();
    told.join(", ")
}

fn exclusions(settings: &Settings) -> Result<String, Failure> {
    let exclusions = run::read_exclusions(settings)?;
    Ok(match &settings.exclusion_file {
        Some(path) => format!("{} in {}", exclusions.len(), path.display()),
        None => "none (--exclusion-file names a list)".into(),
    })
}

fn ledger(settings: &Settings, clock: Clock) -> Result<String, Failure> {
    let LedgerChoice::File(path) = &settings.ledger else {
        return Ok("none (--no-ledger): nothing is remembered between runs".into());
    };
    if !path.exists() {
        try_folder(path)?;
        return Ok(format!("{} is not there yet; the first run makes it", path.display()));
    }
    // A rehearsal opens, locks and examines it as a run would, and changes nothing.
    Ledger::verify(path, clock.now())?;
    try_folder(path)?;
    Ok(format!("{} is sound and can be written", path.display()))
}

/// Whether a file can be made beside this one.
fn try_folder(path: &Path) -> Result<(), Failure> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".check-{}", std::process::id()));
    let trial = path.with_file_name(name);
    let made =
        OpenOptions::new().write(true).create_new(true).open(&trial).and_then(|file: File| {
            drop(file);
            std::fs::remove_file(&trial)
        });
    made.map_err(|error| {
        Failure::new(
            FailureKind::Ledger,
            format!("no file can be made in the folder of {}: {error}", path.display()),
            "Let this user write the folder, or name another place with --ledger <FILE>.",
        )
    })
}

fn log_file(path: &Path) -> Result<String, Failure> {
    let there = path.exists();
    logging::open(path).map_err(|error| logging::unwritable(path, &error))?;
    if !there {
        // It was made by this check alone; a run makes it again.
        let _ = std::fs::remove_file(path);
    }
    Ok(format!("{} can be written", path.display()))
}
