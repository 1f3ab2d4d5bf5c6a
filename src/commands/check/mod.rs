//! `check`: is everything in place for a run? One line a check, a tick or a cross with the remedy.

mod local;
mod print;
mod services;

use std::process::ExitCode;

use crate::cli::{
    self, CarbonblackArgs, CheckArgs, CheckSource, Command, CrowdstrikeArgs, Parsed, SourceArgs,
};
use crate::clock::Clock;
use crate::failure::{Failure, FailureKind};
use crate::logging::{self, Format, LogSettings};
use crate::report::{self, Styler};
use crate::settings::{EffectiveOption, Settings};

/// What came of one check.
#[derive(Debug)]
struct Finding {
    /// What was checked, in a word or two.
    check: &'static str,
    /// What was found, or what is wrong and how it is mended.
    result: Result<String, Failure>,
}

impl Finding {
    fn new(check: &'static str, result: Result<String, Failure>) -> Self {
        Self { check, result }
    }
}

/// The findings about one source, or about what both share.
#[derive(Debug)]
struct Section {
    title: &'static str,
    findings: Vec<Finding>,
}

/// One source to be checked: the command line that would run it.
enum Subject<'a> {
    CrowdStrike(&'a CrowdstrikeArgs),
    CarbonBlack(&'a CarbonblackArgs),
}

impl Subject<'_> {
    fn title(&self) -> &'static str {
        match self {
            Self::CrowdStrike(_) => crate::sources::crowdstrike::INFO.title,
            Self::CarbonBlack(_) => crate::sources::carbonblack::INFO.title,
        }
    }

    fn common(&self) -> &SourceArgs {
        match self {
            Self::CrowdStrike(args) => &args.common,
            Self::CarbonBlack(args) => &args.common,
        }
    }

    fn settings(&self) -> Result<Settings, Failure> {
        match self {
            Self::CrowdStrike(args) => Settings::crowdstrike(args),
            Self::CarbonBlack(args) => Settings::carbonblack(args),
        }
    }

    fn survey(&self) -> Result<Vec<EffectiveOption>, Failure> {
        match self {
            Self::CrowdStrike(args) => Settings::resolve_crowdstrike(args),
            Self::CarbonBlack(args) => Settings::resolve_carbonblack(args),
        }
    }
}

/// Checks one source, or every one that is configured.
#[must_use]
pub fn check(args: &CheckArgs, parsed: &Parsed, clock: Clock) -> ExitCode {
    // Warnings (a secret that others can read, say) belong to what a check shows.
    let warnings = LogSettings {
        file: None,
        max_size: u64::MAX,
        keep: 1,
        format: Format::Text,
        level: tracing::Level::WARN,
        to_stderr: true,
    };
    let result = logging::start(&warnings, "check", clock)
        .and_then(|()| subject_by_subject(args, parsed, clock));
    result.unwrap_or_else(|failure| report::print_failure(&failure))
}

fn subject_by_subject(
    args: &CheckArgs,
    parsed: &Parsed,
    clock: Clock,
) -> Result<ExitCode, Failure> {
    match &args.source {
        Some(CheckSource::Crowdstrike(source)) => {
            let json = args.json || source.common.output.json;
            examine(args, json, &[(Subject::CrowdStrike(source), parsed)], clock)
        }
        Some(CheckSource::Carbonblack(source)) => {
            let json = args.json || source.common.output.json;
            examine(args, json, &[(Subject::CarbonBlack(source), parsed)], clock)
        }
        None => examine_configured(args, clock),
    }
}

/// Both sources as they would run without any argument; those that are not configured are left out.
fn examine_configured(args: &CheckArgs, clock: Clock) -> Result<ExitCode, Failure> {
    let parsed = [parse("crowdstrike")?, parse("carbonblack")?];
    let (mut subjects, mut unconfigured) = (Vec::new(), Vec::new());
    let mut missing = Vec::new();
    for parsed in &parsed {
        let subject = match &parsed.cli.command {
            Command::Crowdstrike(args) => Subject::CrowdStrike(args),
            Command::Carbonblack(args) => Subject::CarbonBlack(args),
            _ => continue,
        };
        match subject.settings() {
            Err(failure) if failure.message.starts_with("missing: ") && !args.show_config => {
                missing.push(format!("{}: {}", subject.title(), failure.message));
                unconfigured.push((subject, parsed));
            }
            _ => subjects.push((subject, parsed)),
        }
    }
    if subjects.is_empty() && args.json {
        // A program that reads the answer gets one in this case too.
        subjects = unconfigured;
    }
    if subjects.is_empty() {
        return Err(Failure::new(
            FailureKind::Configuration,
            format!("no source is configured; {}", missing.join("; ")),
            "Set the variables of one source, or name it: `collective-insights check crowdstrike --help` lists what it takes.",
        ));
    }
    examine(args, args.json, &subjects, clock)
}

fn parse(source: &str) -> Result<Parsed, Failure> {
    cli::parse(["collective-insights", source].map(Into::into))
        .map_err(|error| Failure::new(FailureKind::Unexpected, error.to_string(), "Report this."))
}

fn examine(
    args: &CheckArgs,
    json: bool,
    subjects: &[(Subject<'_>, &Parsed)],
    clock: Clock,
) -> Result<ExitCode, Failure> {
    if args.show_config {
        for (subject, parsed) in subjects {
            print::config(subject.title(), &parsed.effective(&subject.survey()?), json);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let mut sections = Vec::new();
    let mut ready = Vec::new();
    for (subject, _) in subjects {
        let (findings, settings) = local::check(subject, clock);
        sections.push(Section { title: subject.title(), findings });
        ready.extend(settings);
    }
    if !args.offline && !ready.is_empty() {
        for asked in services::check(&ready, json, clock)? {
            match sections.iter_mut().find(|section| section.title == asked.title) {
                Some(section) => section.findings.extend(asked.findings),
                None => sections.push(asked),
            }
        }
    }
    let paint = Styler::new(args.color(), &std::io::stdout());
    Ok(print::findings(&sections, json, paint))
}
