//! From arguments to an exit code: reads the command line, starts the log, and runs the command.

use std::ffi::OsString;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;

use crate::cli::{self, Command, Parsed, SourceArgs};
use crate::clock::Clock;
use crate::commands::{self, check, generate};
use crate::detection::SourceInfo;
use crate::failure::{Failure, FailureKind};
use crate::report::progress::Progress;
use crate::report::{self, Report};
use crate::settings::{EffectiveOption, Origin, Settings};
use crate::sources::{carbonblack, crowdstrike};
use crate::{http, logging, run, shutdown};

/// Runs the program with these arguments, the program's name first.
#[must_use]
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    http::remember_passwords();
    let parsed = match cli::parse(arguments) {
        Ok(parsed) => parsed,
        Err(message) => {
            // Help goes to stdout, a refusal to stderr; nothing can be said where neither takes it.
            let _ = message.print();
            return ExitCode::from(
                u8::try_from(message.exit_code()).unwrap_or(FailureKind::Configuration.exit_code()),
            );
        }
    };
    // A panic's message may quote anything: it is shown only as safe text, and never as a backtrace.
    let progress = Progress::default();
    let shown = progress.clone();
    std::panic::set_hook(Box::new(move |panic| {
        shown.clear();
        let _ = report::print_failure(&Failure::new(
            FailureKind::Unexpected,
            format!("the program met a fault of its own: {panic}"),
            "Nothing that was stored is lost. Run again, and report this with the log.",
        ));
    }));
    std::panic::catch_unwind(AssertUnwindSafe(|| dispatch(&parsed, &progress)))
        .unwrap_or(ExitCode::from(FailureKind::Unexpected.exit_code()))
}

fn dispatch(parsed: &Parsed, progress: &Progress) -> ExitCode {
    let clock = Clock::from_environment();
    match &parsed.cli.command {
        Command::Crowdstrike(args) => {
            let settings = || Settings::crowdstrike(args);
            source(crowdstrike::INFO, parsed, &args.common, clock, progress, settings)
        }
        Command::Carbonblack(args) => {
            let settings = || Settings::carbonblack(args);
            source(carbonblack::INFO, parsed, &args.common, clock, progress, settings)
        }
        Command::Check(args) => check::check(args, parsed, clock),
        Command::Status(args) => commands::status(args, clock),
        Command::History(args) => commands::history(args, clock),
        Command::Outbox(args) => commands::outbox(args, clock),
        Command::Generate(args) => generate::generate(args),
    }
}

/// One run of one source.
fn source(
    labels: SourceInfo,
    parsed: &Parsed,
    args: &SourceArgs,
    clock: Clock,
    progress: &Progress,
    settings: impl FnOnce() -> Result<Settings, Failure>,
) -> ExitCode {
    let run_id = format!("{:012x}", fastrand::u64(..) >> 16);
    let report = init_logging(args, &run_id, clock)
        .and_then(|()| settings())
        .and_then(|settings| {
            log_settings(&parsed.effective(&settings.resolved));
            progress.show(args.output, args.debug);
            perform(&settings, &run_id, clock, progress)
        })
        .unwrap_or_else(|failure| {
            let mut report = Report::new(&run_id, labels, args.mode());
            report.fail(failure);
            report
        });
    progress.clear();
    report::print(&report, args.output)
}

fn init_logging(args: &SourceArgs, run_id: &str, clock: Clock) -> Result<(), Failure> {
    logging::start(&args.log.settings(args.debug), run_id, clock)?;
    tracing::info!("collective-insights {} begins", env!("CARGO_PKG_VERSION"));
    Ok(())
}

/// The settings in force, secrets masked: what is not set is left out.
fn log_settings(effective: &[EffectiveOption]) {
    let set = effective.iter().filter(|setting| setting.origin != Origin::Unset);
    let told: Vec<String> = set
        .map(|setting| format!("{} {} ({})", setting.flag, setting.value, setting.origin))
        .collect();
    tracing::info!("settings: {}", told.join(", "));
}

fn perform(
    settings: &Settings,
    run_id: &str,
    clock: Clock,
    progress: &Progress,
) -> Result<Report, Failure> {
    shutdown::block_on(async |stop| run::run(settings, run_id, clock, stop, progress).await)
}
