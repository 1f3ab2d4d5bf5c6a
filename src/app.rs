//! From arguments to an exit code: parses the command line, opens the log and runs the command.

mod tenants;

use std::ffi::OsString;
use std::io::ErrorKind;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;

use crate::cli::{self, Command, Parsed, ProcessArgs, ResolvedRun, SourceCommand};
use crate::clock::Clock;
use crate::commands::{self, SettingsFileTenants, check, generate};
use crate::failure::{Failure, FailureKind, REPORT_BUG};
use crate::http::AddressLimits;
use crate::metrics::{EndedRun, Inputs};
use crate::platform::{ownership, process};
use crate::report::progress::{self, Progress};
use crate::report::{self, Report};
use crate::run::{self, Process};
use crate::settings::{EffectiveOption, LedgerChoice, Mode, Origin, TenantName};
use crate::{http, logging, metrics, shutdown, version};

/// Runs the program with these arguments, the first of which is the program's name.
#[must_use]
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    process::set_up();
    http::register_proxy_passwords();
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let is_json = arguments.iter().skip(1).any(|argument| argument == "--json");
    let parsed = match cli::parse(arguments.iter().cloned()) {
        Ok(parsed) => parsed,
        Err(message) => {
            report::set_color(cli::color_of_messages(&arguments));
            return print_message(&message, is_json);
        }
    };
    report::set_color(parsed.color);
    // Panic messages can quote any text: they are sanitized and printed without a backtrace.
    std::panic::set_hook(Box::new(|panic| {
        progress::clear();
        let _ = report::print_failure(&Failure::new(
            FailureKind::Unexpected,
            format!("internal error: {panic}"),
            format!("Nothing that was stored is lost. {REPORT_BUG}"),
        ));
    }));
    let progress = Progress::default();
    std::panic::catch_unwind(AssertUnwindSafe(|| run_command(parsed, &progress)))
        .unwrap_or(ExitCode::from(FailureKind::Unexpected.exit_code()))
}

/// Runs the command with the values that variables and the settings file have for its options, and
/// prints the failure if it cannot do its work.
fn run_command(parsed: Parsed, progress: &Progress) -> ExitCode {
    let mut is_json = parsed.prints_json();
    let result = parsed.with_layers().and_then(|parsed| {
        is_json = parsed.prints_json();
        dispatch(&parsed, progress)
    });
    result.unwrap_or_else(|failure| report::print_error(&failure, is_json))
}

fn dispatch(parsed: &Parsed, progress: &Progress) -> Result<ExitCode, Failure> {
    let clock = Clock::from_environment();
    let file_tenants = SettingsFileTenants(parsed.file_tenants());
    let output = match &parsed.command {
        Command::Source(source) => return Ok(run_source(source, parsed, clock, progress)),
        Command::Run(args) => return tenants::run(args, parsed, clock, progress),
        Command::Check(args) => return check::check(args, parsed, clock),
        Command::Status(args) => commands::status(args, file_tenants, clock),
        Command::History(args) => commands::history(args, file_tenants, clock),
        Command::Report(args) => commands::report(args, file_tenants, clock),
        Command::Explain(args) => commands::explain(args, parsed),
        Command::Verify(args) => return commands::verify(args, parsed, clock),
        Command::Outbox(action) => commands::outbox(action, clock),
        Command::Checkpoint(action) => commands::checkpoint(action, clock),
        Command::Generate(artifact) => generate::generate(artifact, parsed),
        // The help of a command comes from clap.
        Command::Help(args) => Ok(args.topic().map_or("", |topic| topic.text).to_owned()),
    };
    if let Some(warning) = ownership::created_warning() {
        report::warn(&warning);
    }
    report::write_stdout(&output?)?;
    Ok(ExitCode::SUCCESS)
}

/// Prints help to stdout, or an error of the command line to stderr, and with `--json` also to
/// stdout as a document. Returns the exit code.
fn print_message(message: &clap::Error, is_json: bool) -> ExitCode {
    if is_json && message.use_stderr() {
        report::print_error_document(&cli::as_failure(message));
    }
    if message.use_stderr() {
        report::print_usage_error(&message.render());
    } else if let Err(error) = message.print()
        && error.kind() != ErrorKind::BrokenPipe
    {
        return report::print_failure(&report::unwritable_output(error));
    }
    u8::try_from(message.exit_code()).unwrap_or(FailureKind::Configuration.exit_code()).into()
}

/// Runs one source and prints its report.
fn run_source(
    source: &SourceCommand,
    parsed: &Parsed,
    clock: Clock,
    progress: &Progress,
) -> ExitCode {
    let (source_args, args) = source.args();
    let run_id = new_run_id();
    let tenant = args.tenant(source_args.info().name);
    init_logging(&args.process, &run_id, Some(&tenant), clock);
    let report = source
        .resolve(&parsed.layers)
        .map_err(Failure::from)
        .and_then(|run| {
            log_settings(&parsed.effective(&run.resolved));
            cli::warn_about_unknown_variables();
            progress.show(args.process.output.settings(), args.process.logs_to_stderr());
            let mut report = run_async(&run, &run_id, clock, progress)?;
            let ledger = &run.settings.ledger;
            let files = run::file_warnings(args.process.log.path(), ledger);
            let metrics =
                write_metrics(&args.process, ledger, vec![(&report).into()], parsed, clock);
            for warning in files.into_iter().chain(metrics) {
                report.warn(warning);
            }
            Ok(report)
        })
        .unwrap_or_else(|failure| {
            let mut report = Report::new(&run_id, &tenant, source_args.info(), args.process.mode());
            report.fail(failure);
            report
        });
    progress::clear();
    report::print(&report, args.process.output.settings())
}

fn new_run_id() -> String {
    format!("{:012x}", fastrand::u64(..) >> 16)
}

/// Starts the log. If its file cannot be opened, the run warns and continues without it.
fn init_logging(args: &ProcessArgs, run_id: &str, tenant: Option<&TenantName>, clock: Clock) {
    let settings = args.log.settings(args.debug);
    if let Some(failure) = logging::start(&settings, run_id, tenant, clock) {
        report::warn(&format!("{failure}; the run continues without it. {}", failure.help));
    }
    tracing::info!(
        version = version::VERSION,
        commit = version::COMMIT,
        target = version::target(),
        "started"
    );
}

/// Logs each option that has a value, secrets masked. Defaults are logged at debug level.
fn log_settings(effective: &[EffectiveOption]) {
    for EffectiveOption { flag, value, origin } in effective {
        let shown_origin = origin.to_string();
        match origin {
            Origin::Unset => {}
            Origin::Default => {
                tracing::debug!(option = flag, value, origin = shown_origin, "setting");
            }
            _ => tracing::info!(option = flag, value, origin = shown_origin, "setting"),
        }
    }
}

/// Writes the metrics file of a process whose runs have ended, unless it has none or ran with
/// `--dry-run` or `--debug`. Returns warnings.
fn write_metrics(
    args: &ProcessArgs,
    ledger: &LedgerChoice,
    runs: Vec<EndedRun<'_>>,
    parsed: &Parsed,
    clock: Clock,
) -> Vec<String> {
    let Some(path) = args.metrics_file.as_deref().filter(|_| args.mode() == Mode::Live) else {
        return Vec::new();
    };
    let file_tenants = SettingsFileTenants(parsed.file_tenants());
    let is_left_out = |tenant: &str| file_tenants.is_left_out(tenant);
    metrics::write(path, &Inputs { ledger: ledger.path(), runs, is_left_out, clock })
}

fn run_async(
    run: &ResolvedRun,
    run_id: &str,
    clock: Clock,
    progress: &Progress,
) -> Result<Report, Failure> {
    shutdown::block_on(async |shutdown| {
        let process = Process {
            run_id: run_id.to_owned(),
            clock,
            shutdown,
            shared: None,
            address_limits: AddressLimits::default(),
        };
        run::run(&run.settings, run.source.as_ref(), &process, progress).await
    })
}
