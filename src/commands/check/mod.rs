//! `check`: verifies that a run can work. Prints one line per check: a pass, or how to fix it.

mod exclusions;
mod local;
mod print;
mod services;

use std::process::ExitCode;

use crate::cli::{self, CheckArgs, Parsed, ResolvedRun, SourceCommand};
use crate::clock::Clock;
use crate::failure::{Failure, FailureKind};
use crate::logging;
use crate::report;
use crate::settings::Origin;
use crate::settings::lookup::{Lookup, SettingsError};

/// What is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Check {
    Settings,
    TlsAndProxy,
    Exclusions,
    Ledger,
    Log,
    Dns,
    Proxy,
    Tls,
    Network,
    Clock,
    Permission,
    Customers,
    NotConfigured,
}

impl Check {
    const fn name(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::TlsAndProxy => "TLS and proxy",
            Self::Exclusions => "exclusions",
            Self::Ledger => "ledger",
            Self::Log => "log",
            Self::Dns => "DNS",
            Self::Proxy => "proxy",
            Self::Tls => "TLS",
            Self::Network => "network",
            Self::Clock => "clock",
            Self::Permission => "permission",
            Self::Customers => "customers",
            Self::NotConfigured => "not configured",
        }
    }
}

/// The result of one check.
#[derive(Debug)]
struct Finding {
    check: Check,
    /// What was found, or what is wrong and how to fix it.
    result: Result<String, Failure>,
}

impl Finding {
    fn new(check: Check, result: Result<String, Failure>) -> Self {
        Self { check, result }
    }
}

/// The findings about one service.
#[derive(Debug)]
struct Section {
    title: &'static str,
    findings: Vec<Finding>,
    /// The run that the service would be part of, if its settings are valid.
    run: Option<ResolvedRun>,
}

/// A source to check, and the command line that names it.
struct Target<'a> {
    source: &'a SourceCommand,
    parsed: &'a Parsed,
}

impl<'a> Target<'a> {
    fn new(parsed: &'a Parsed) -> Option<Self> {
        Some(Self { source: parsed.source()?, parsed })
    }

    /// Whether any setting of the source's own is set.
    ///
    /// # Errors
    /// When a value could not be read.
    fn is_begun(&self) -> Result<bool, Failure> {
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
}

/// Checks one source, or every configured one.
#[must_use]
pub(crate) fn check(args: &CheckArgs, parsed: &Parsed, clock: Clock) -> ExitCode {
    // Warnings, for example about a secret that others can read, are part of the result.
    logging::print_warnings();
    for warning in cli::unknown_variables() {
        tracing::warn!("{}", report::line(&warning));
    }
    let result = match Target::new(parsed) {
        Some(named) => check_targets(args, &[named], &[], clock),
        None => check_configured(args, parsed, clock),
    };
    result.unwrap_or_else(|failure| report::print_failure(&failure))
}

/// Checks every source that has all its settings without any argument.
fn check_configured(args: &CheckArgs, parsed: &Parsed, clock: Clock) -> Result<ExitCode, Failure> {
    let parsed = parsed.each_source()?;
    let (mut configured, mut unconfigured) = (Vec::new(), Vec::new());
    let mut missing = Vec::new();
    for target in parsed.iter().filter_map(Target::new) {
        match target.resolve() {
            Err(SettingsError::Missing(failure)) if !args.show_config && !target.is_begun()? => {
                let name = |setting: &String| format!("{}: {setting}", target.title());
                missing.extend(failure.list.iter().map(name));
                unconfigured.push(target);
            }
            _ => configured.push(target),
        }
    }
    if configured.is_empty() && args.json() {
        // A program that reads the output gets a document in this case too.
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
            let mut lookup = Lookup::new(&target.parsed.layers);
            target.source.look_up(&mut lookup);
            let options = target.parsed.effective(&lookup.into_options()?);
            print::config(target.title(), &options, args.json())?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let mut sections: Vec<Section> =
        targets.iter().map(|target| local::check(target, clock)).collect();
    if !args.offline {
        services::check(&mut sections, args.json(), clock)?;
    }
    sections.extend(unconfigured.iter().map(|title| {
        let finding = Finding::new(Check::NotConfigured, Ok("none of its settings is set".into()));
        Section { title, findings: vec![finding], run: None }
    }));
    print::findings(&sections, args.json())
}
