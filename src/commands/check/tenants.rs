//! The check of all tenants of the settings file.

use std::process::ExitCode;

use super::section::{Check, Section, SharedChecks};
use super::{Target, local, print, services};
use crate::cli::{CheckArgs, Parsed, SourceCommand, TenantCommand};
use crate::clock::Clock;
use crate::failure::{Failure, most_urgent_exit_code};
use crate::{logging, report};

/// The title of what tenants share: files and network settings.
const SHARED: &str = "All tenants";

/// Checks each enabled tenant, also if the check of another one fails.
///
/// # Errors
/// When none is enabled, and when the findings cannot be printed.
pub(super) fn check(args: &CheckArgs, parsed: &Parsed, clock: Clock) -> Result<ExitCode, Failure> {
    let commands = parsed.each_tenant(&[])?;
    if args.show_config {
        return show_config(commands, args.json());
    }
    let mut shared = SharedChecks::default();
    let mut tenants: Vec<Section> = commands
        .map(|command| match target(&command) {
            Ok(target) => local::check(&target, &mut shared, clock),
            Err(failure) => invalid(&command, failure),
        })
        .collect();
    logging::print_tenant_warnings();
    let mut all = Section::new(SHARED, None);
    for finding in shared.into_findings() {
        all.merge(finding);
    }
    let mut sections = vec![all];
    if !args.offline {
        sections.extend(services::check(&mut tenants, args.json(), clock)?);
        logging::print_tenant_warnings();
    }
    sections.append(&mut tenants);
    let disabled = parsed.file_tenants().iter().filter(|tenant| !tenant.is_enabled);
    sections.extend(disabled.map(|tenant| {
        let mut section = Section::new(title(&tenant.source), Some(tenant.name.clone()));
        section.add(Check::NotChecked, Ok("`enabled = false` in the settings file".into()));
        section
    }));
    print::findings(&sections, args.json())
}

/// Returns what is checked for a tenant.
///
/// # Errors
/// When a value in its command line is not valid.
fn target(command: &TenantCommand) -> Result<Target<'_>, Failure> {
    let parsed = command.parsed.as_ref().map_err(Clone::clone)?;
    let source = parsed.required_source(&command.source)?;
    Ok(Target { source, parsed, tenant: Some(command.name.clone()) })
}

/// Returns the section of a tenant with a value that is not valid.
fn invalid(command: &TenantCommand, failure: Failure) -> Section {
    let mut section = Section::new(title(&command.source), Some(command.name.clone()));
    section.add(Check::Settings, Err(failure));
    section
}

/// Returns the title of a source.
fn title(source: &str) -> &'static str {
    SourceCommand::from_name(source).map_or("", |source| source.args().0.info().title)
}

/// Shows each tenant's options and where they come from. Returns the exit code of the most urgent
/// failure.
fn show_config(
    commands: impl Iterator<Item = TenantCommand>,
    json: bool,
) -> Result<ExitCode, Failure> {
    let mut failures = Vec::new();
    for command in commands {
        let _span = logging::enter(&command.name);
        match target(&command).and_then(|target| target.options()) {
            Ok(options) => {
                print::config(title(&command.source), Some(&command.name), &options, json)?;
            }
            Err(failure) => {
                report::print_failure_about(&[command.name.as_str()], &failure);
                failures.push(failure);
            }
        }
    }
    logging::print_tenant_warnings();
    Ok(most_urgent_exit_code(&failures).into())
}
