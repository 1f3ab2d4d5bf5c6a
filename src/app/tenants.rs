//! `run`: the runs of several tenants in this process.

use std::process::ExitCode;
use std::time::Duration;

use super::{init_logging, log_settings, new_run_id, write_metrics};
use crate::cli::{self, Parsed, ProcessArgs, RunTenantsArgs, SourceCommand, TenantCommand};
use crate::clock::Clock;
use crate::failure::Failure;
use crate::http::AddressLimits;
use crate::metrics::EndedRun;
use crate::report::progress::{self, Progress};
use crate::report::{self, TenantsReport};
use crate::run::{self, Process, TenantJob, TenantsOptions};
use crate::settings::Origin;
use crate::{logging, shutdown};

/// Runs the tenants and prints their report.
pub(super) fn run(
    args: &RunTenantsArgs,
    parsed: &Parsed,
    clock: Clock,
    progress: &Progress,
) -> Result<ExitCode, Failure> {
    let run_id = new_run_id();
    init_logging(&args.process, &run_id, None, clock);
    log_settings(&parsed.effective(&[]));
    let output = args.process.output.settings();
    let report = run_all(args, parsed, &run_id, clock, progress);
    progress::clear();
    Ok(report::print_tenants(&report?, output))
}

fn run_all(
    args: &RunTenantsArgs,
    parsed: &Parsed,
    run_id: &str,
    clock: Clock,
    progress: &Progress,
) -> Result<TenantsReport, Failure> {
    let process_args = &args.process;
    let jobs =
        parsed.each_tenant(&args.tenant)?.map(job).collect::<Result<Vec<TenantJob>, Failure>>()?;
    cli::warn_about_unknown_variables();
    let options = options(args)?;
    progress.show(process_args.output.settings(), process_args.logs_to_stderr());
    let process = Process {
        run_id: run_id.to_owned(),
        clock,
        shutdown: shutdown::watch()?,
        shared: None,
        address_limits: AddressLimits::default(),
    };
    let report = run::run_tenants(&jobs, &options, process, progress);
    let runs = ended_runs(&jobs, &report, run_id);
    let metrics = write_metrics(process_args, &options.ledger, runs, parsed, clock);
    match report {
        Ok(mut report) => {
            let files = run::file_warnings(process_args.log.path(), &options.ledger);
            for warning in files.into_iter().chain(metrics) {
                report.warn(warning);
            }
            Ok(report)
        }
        Err(failure) => {
            for warning in metrics {
                tracing::warn!("{warning}");
                report::warn(&warning);
            }
            Err(failure)
        }
    }
}

/// Returns how the run of each tenant ended. If there is a failure instead of a report, no run has
/// started: all have its exit code.
fn ended_runs<'a>(
    jobs: &'a [TenantJob],
    report: &'a Result<TenantsReport, Failure>,
    run_id: &'a str,
) -> Vec<EndedRun<'a>> {
    match report {
        Ok(report) => report.reports.iter().map(EndedRun::from).collect(),
        Err(failure) => jobs
            .iter()
            .map(|job| EndedRun {
                tenant: job.tenant.as_str(),
                source: job.source.name,
                id: run_id,
                exit_code: failure.kind.exit_code(),
                duration: Duration::ZERO,
                counts: None,
            })
            .collect(),
    }
}

fn options(args: &RunTenantsArgs) -> Result<TenantsOptions, Failure> {
    let process: &ProcessArgs = &args.process;
    Ok(TenantsOptions {
        jobs: args.jobs.into(),
        ledger: process.ledger()?,
        wait: process.wait(),
        mode: process.mode(),
        deadline: Duration::from_mins(process.deadline.into()),
    })
}

/// Returns the run of a tenant. If its settings are not valid, the job has the failure, so that the
/// other tenants can run.
///
/// # Errors
/// When the program does not have the source, although the settings file was checked: a defect.
fn job(command: TenantCommand) -> Result<TenantJob, Failure> {
    let TenantCommand { name, source, parsed } = command;
    let _span = logging::enter(&name);
    let info = SourceCommand::named(&source)?.args().0.info();
    let run = parsed.and_then(|parsed| {
        let run = parsed.required_source(&source)?.resolve(&parsed.layers)?;
        let mut effective = parsed.effective(&run.resolved);
        // Arguments are the same for every tenant, and in the log already.
        effective.retain(|option| option.origin != Origin::Argument);
        log_settings(&effective);
        Ok((run.source, run.settings))
    });
    Ok(TenantJob { tenant: name, source: info, run })
}
