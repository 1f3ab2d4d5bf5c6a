//! `check`: verifies that a run can work. Prints each check that passed, or how to fix its failure.

mod exclusions;
mod local;
mod print;
mod section;
mod services;
mod tenants;

use std::process::ExitCode;

use self::section::{Check, Section, SharedChecks};
use crate::cli::{self, CheckArgs, Parsed, ResolvedRun, SourceCommand};
use crate::clock::Clock;
use crate::failure::{Failure, FailureKind};
use crate::logging;
use crate::settings::lookup::{Lookup, SettingsError};
use crate::settings::{EffectiveOption, Origin, TenantName};

/// A source to check, and the command line that names it.
struct Target<'a> {
    source: &'a SourceCommand,
    parsed: &'a Parsed,
    /// The tenant, if all tenants of the settings file are checked.
    tenant: Option<TenantName>,
}

impl<'a> Target<'a> {
    fn new(parsed: &'a Parsed) -> Option<Self> {
        Some(Self { source: parsed.source()?, parsed, tenant: None })
    }

    /// Whether a setting is set that is specific to the source, such as its credentials.
    ///
    /// # Errors
    /// When a value could not be read.
    fn has_own_setting(&self) -> Result<bool, Failure> {
        let mut lookup = Lookup::new(&self.parsed.layers);
        let _incomplete = self.source.args().0.resolve(&mut lookup);
        let options = lookup.into_options()?;
        Ok(options.iter().any(|option| !matches!(option.origin, Origin::Unset | Origin::Default)))
    }

    fn resolve(&self) -> Result<ResolvedRun, SettingsError> {
        self.source.resolve(&self.parsed.layers)
    }

    fn title(&self) -> &'static str {
        self.source.args().0.info().title
    }

    /// Returns every option with its value, also if some are missing or not valid.
    ///
    /// # Errors
    /// When a value could not be read.
    fn options(&self) -> Result<Vec<EffectiveOption>, Failure> {
        let mut lookup = Lookup::new(&self.parsed.layers);
        self.source.look_up(&mut lookup);
        Ok(self.parsed.effective(&lookup.into_options()?))
    }
}

/// Checks one source; without a name every tenant of the settings file, or else every configured
/// source.
pub(crate) fn check(args: &CheckArgs, parsed: &Parsed, clock: Clock) -> Result<ExitCode, Failure> {
    // Warnings, for example about a secret that others can read, are part of the result.
    logging::warn_on_stderr();
    cli::warn_about_unknown_variables();
    match Target::new(parsed) {
        Some(named) => check_targets(args, &[named], &[], clock),
        None if !parsed.file_tenants().is_empty() => tenants::check(args, parsed, clock),
        None => check_configured(args, parsed, clock),
    }
}

/// Checks every source that has a setting of its own by variables or the settings file; with
/// `--show-config` every source.
///
/// # Errors
/// When there is none, unless `--json` is given: then every source is checked. When a value cannot
/// be read.
fn check_configured(args: &CheckArgs, parsed: &Parsed, clock: Clock) -> Result<ExitCode, Failure> {
    let parsed = parsed.each_source()?;
    let (mut configured, mut unconfigured) = (Vec::new(), Vec::new());
    let mut missing = Vec::new();
    for target in parsed.iter().filter_map(Target::new) {
        match target.resolve() {
            Err(SettingsError::Missing(failure))
                if !args.show_config && !target.has_own_setting()? =>
            {
                let name = |setting: &String| format!("{}: {setting}", target.title());
                missing.extend(failure.list.iter().map(name));
                unconfigured.push(target);
            }
            _ => configured.push(target),
        }
    }
    if configured.is_empty() && args.json() {
        // A program that reads the output gets a document in this case too, with what is missing.
        configured.append(&mut unconfigured);
    }
    if configured.is_empty() {
        const HELP: &str = "Set the variables of one source, or name the source: `collective-insights check crowdstrike --help` lists its options.";
        let hints = unconfigured.iter().map(|target| target.parsed.layers.tenant_hint());
        let hints: Vec<String> = hints.filter(|hint| !hint.is_empty()).collect();
        let failure = Failure::new(
            FailureKind::Configuration,
            "no source is configured; these settings are missing",
            format!("{HELP}{}", hints.join("")),
        );
        return Err(failure.with_list(missing));
    }
    let unconfigured: Vec<&str> = unconfigured.iter().map(Target::title).collect();
    check_targets(args, &configured, &unconfigured, clock)
}

fn check_targets(
    args: &CheckArgs,
    targets: &[Target<'_>],
    unconfigured: &[&'static str],
    clock: Clock,
) -> Result<ExitCode, Failure> {
    if args.show_config {
        for target in targets {
            print::config(target.title(), None, &target.options()?, args.json())?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let check = |target: &Target<'_>| {
        // What tenants have in common is checked once per value.
        let mut shared = SharedChecks::default();
        let mut section = local::check(target, &mut shared, clock);
        section.findings.extend(shared.into_findings());
        section
    };
    let mut sections: Vec<Section> = targets.iter().map(check).collect();
    if !args.offline {
        let services = services::check(&mut sections, args.json(), clock)?;
        sections.extend(services);
    }
    sections.extend(unconfigured.iter().map(|title| {
        let mut section = Section::new(title, None);
        section.add(Check::NotConfigured, Ok("none of its settings is set".into()));
        section
    }));
    print::findings(&sections, args.json())
}
