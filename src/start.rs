//! From arguments to an exit code: reads the command line, starts the log and the signals, and runs the
//! command.

use std::ffi::OsString;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::cli::{self, Command, LogArgs, Parsed, Settings, SourceArgs};
use crate::clock::Clock;
use crate::detection::Labels;
use crate::failure::{Failure, Kind, Signal};
use crate::http::{self, Stop};
use crate::logging::{self, LogSettings};
use crate::report::{self, Report};
use crate::sources::{carbonblack, crowdstrike};
use crate::{check, manage, run};

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
                u8::try_from(message.exit_code()).unwrap_or(Kind::Configuration.exit_code()),
            );
        }
    };
    // A panic's message may quote anything: it is shown only as safe text, and never as a backtrace.
    std::panic::set_hook(Box::new(|panic| {
        let _ = report::print_failure(&Failure::new(
            Kind::Unexpected,
            format!("the program met a fault of its own: {panic}"),
            "Nothing that was stored is lost. Run again, and report this with the log.",
        ));
    }));
    std::panic::catch_unwind(AssertUnwindSafe(|| dispatch(&parsed)))
        .unwrap_or(ExitCode::from(Kind::Unexpected.exit_code()))
}

fn dispatch(parsed: &Parsed) -> ExitCode {
    let clock = Clock::from_environment();
    match &parsed.cli.command {
        Command::Crowdstrike(args) => source(crowdstrike::LABELS, &args.common, clock, || {
            Settings::crowdstrike(args)
        }),
        Command::Carbonblack(args) => source(carbonblack::LABELS, &args.common, clock, || {
            Settings::carbonblack(args)
        }),
        Command::Check(args) => check::check(args, parsed, clock),
        Command::Status(args) => manage::status(args, clock),
        Command::Outbox(args) => manage::outbox(args, clock),
    }
}

/// One run of one source.
fn source(
    labels: Labels,
    args: &SourceArgs,
    clock: Clock,
    settings: impl FnOnce() -> Result<Settings, Failure>,
) -> ExitCode {
    let run_id = format!("{:012x}", fastrand::u64(..) >> 16);
    let report = start_log(&args.log, args.debug, &run_id, clock)
        .and_then(|()| settings())
        .and_then(|settings| perform(&settings, &run_id, clock))
        .unwrap_or_else(|failure| {
            let mut report = Report::new(&run_id, labels, args.mode());
            report.fail(failure);
            report
        });
    report::print(&report, args.output)
}

fn start_log(args: &LogArgs, debug: bool, run_id: &str, clock: Clock) -> Result<(), Failure> {
    let settings = LogSettings {
        file: &args.log_file,
        level: args.level(debug),
        to_stderr: debug,
    };
    logging::start(&settings, run_id, clock)?;
    tracing::info!("collective-insights {} begins", env!("CARGO_PKG_VERSION"));
    Ok(())
}

fn perform(settings: &Settings, run_id: &str, clock: Clock) -> Result<Report, Failure> {
    in_runtime(async |stop| run::run(settings, run_id, clock, stop).await)
}

/// Does asynchronous work that a signal can ask to end.
///
/// # Errors
/// When the system refuses what a runtime needs.
pub(crate) fn in_runtime<T>(work: impl AsyncFnOnce(Stop) -> T) -> Result<T, Failure> {
    let unavailable = |error: std::io::Error| {
        Failure::new(
            Kind::Unexpected,
            "the system refuses what a run needs",
            "Check the limits of this user (ulimit -a).",
        )
        .because(error.to_string())
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(unavailable)?;
    runtime.block_on(async {
        let (sender, stop) = Stop::new();
        watch_signals(sender).map_err(unavailable)?;
        Ok(work(stop).await)
    })
}

/// Passes the first signal on. The run ends by itself within seconds; a second one changes nothing.
fn watch_signals(sender: watch::Sender<Option<Signal>>) -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        let signal = tokio::select! {
            _ = interrupt.recv() => Signal::Interrupt,
            _ = terminate.recv() => Signal::Terminate,
        };
        tracing::warn!("a signal asks the run to end");
        // Nobody listens any more when the run is over.
        let _ = sender.send(Some(signal));
        std::future::pending::<()>().await;
    });
    Ok(())
}
