//! The checks that send requests to the services: as few and as small as possible.

use std::error::Error;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Url;
use serde_json::value::RawValue;

use super::{Check, Finding, Section};
use crate::cli::ResolvedRun;
use crate::clock::{Clock, describe_difference};
use crate::detection::{Assessment, Detection, SourceInfo};
use crate::failure::{Failure, FailureKind, REPORT_BUG};
use crate::http::{Http, HttpError};
use crate::indicator::{ClaimedType, Indicator};
use crate::ledger::LedgerReader;
use crate::mitre::MitreCodes;
use crate::recorded_future::{Client, Outcome};
use crate::report::{self, Layout};
use crate::run;
use crate::shutdown;
use crate::sources::Customers;
use crate::submission::Submission;
use crate::window::Window;

/// The maximum time for all services together.
const DEADLINE: Duration = Duration::from_mins(5);
/// A larger difference between the clocks is reported: windows depend on the clock.
const MAX_CLOCK_DIFFERENCE: TimeDelta = TimeDelta::minutes(1);
/// The EICAR test file: harmless, and known to every security product.
const EICAR_SHA256: &str = "275a021bbfb6489e54d471899f7db9d1663fc695ec2fe2a2c4538aabf651fd0f";

/// Checks the vendor of each section that has a run, and Recorded Future once.
pub(super) fn check(sections: &mut Vec<Section>, json: bool, clock: Clock) -> Result<(), Failure> {
    let runs: Vec<_> = sections.iter_mut().map(|section| section.run.take()).collect();
    // Sources have options of their own only if one is named, and then it is the only one.
    let Some(first) = runs.iter().flatten().next() else {
        return Ok(());
    };
    if !json {
        report::out(&Layout::stdout().paragraph("", "Sends one test submission to Recorded Future: the hash of the EICAR test file, with debug: true. It is validated and not stored."))?;
    }
    shutdown::block_on(async |stop| {
        let http = Http::new(&first.settings.network, clock, DEADLINE, stop)?.without_retries();
        for (section, run) in sections.iter_mut().zip(&runs) {
            if let Some(run) = run {
                section.findings.extend(check_source(run, &http, clock).await);
            }
        }
        let findings = check_recorded_future(first, &http, clock).await;
        sections.push(Section { title: "Recorded Future", findings, run: None });
        Ok(())
    })?
}

async fn check_source(run: &ResolvedRun, http: &Http, clock: Clock) -> Vec<Finding> {
    let source = run.source.as_ref();
    // A limit of its own: the pause of one service must not delay the check of the next.
    let http = &http.with_concurrency(1);
    let mut findings = reach(source.base_url(), http, clock).await;
    if is_reachable(&findings) {
        let end = clock.now_to_the_millisecond();
        let window = Window { start: end - TimeDelta::hours(24), end };
        let probe = source.probe(http, window).await;
        let customers = probe.as_ref().map(|probe| check_customers(run, &probe.customers));
        let rejected = customers.ok().and_then(Result::err);
        let result = probe.map(|probe| {
            let total = probe.total.map_or_else(|| "an unknown number".into(), report::thousands);
            format!("authorized to read alerts; {total} in the last 24 hours")
        });
        findings.push(Finding::new(Check::Permission, result));
        findings.extend(rejected.map(|failure| Finding::new(Check::Customers, Err(failure))));
    }
    findings
}

/// Checks whose alerts they are, as a run does.
fn check_customers(run: &ResolvedRun, customers: &Customers) -> Result<(), Failure> {
    let settings = &run.settings;
    let known = match settings.ledger.path().filter(|_| !settings.adopt) {
        Some(path) => LedgerReader::open(path)?
            .map(|ledger| ledger.customer_of(settings.tenant.as_str()))
            .transpose()?
            .flatten(),
        None => None,
    };
    run::check_customers(run.source.as_ref(), &settings.tenant, customers, known.as_deref())
}

async fn check_recorded_future(run: &ResolvedRun, http: &Http, clock: Clock) -> Vec<Finding> {
    let http = &http.with_concurrency(1);
    let mut findings = reach(&run.settings.recorded_future.base, http, clock).await;
    if is_reachable(&findings) {
        findings.push(Finding::new(Check::Permission, submit_test(run, http, clock).await));
    }
    findings
}

/// A wrong clock does not prevent further requests.
fn is_reachable(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.check == Check::Clock || finding.result.is_ok())
}

/// Checks the connection to a service and compares its clock with this machine's.
async fn reach(url: &Url, http: &Http, clock: Clock) -> Vec<Finding> {
    let time = match http.reach(url).await {
        Ok(time) => time,
        Err(error) => return vec![Finding::new(failed_step(&error), Err(error.into()))],
    };
    let host = url.host_str().unwrap_or("the service");
    let proxy = http.proxy(url).map(|proxy| format!(" through the proxy {proxy}"));
    let tls = if url.scheme() == "https" {
        "its certificate is trusted"
    } else {
        "without TLS (loopback)"
    };
    let network = format!("{host} responds{}, {tls}", proxy.unwrap_or_default());
    let mut findings = vec![Finding::new(Check::Network, Ok(network))];
    findings.extend(time.map(|time| Finding::new(Check::Clock, compare(time, clock.now()))));
    findings
}

/// Returns the step at which a connection failed.
fn failed_step(error: &HttpError) -> Check {
    match error {
        HttpError::Certificate(_) => Check::Tls,
        HttpError::ProxyCredentials { .. } => Check::Proxy,
        HttpError::Dns { .. } => Check::Dns,
        _ => Check::Network,
    }
}

fn compare(service: DateTime<Utc>, system: DateTime<Utc>) -> Result<String, Failure> {
    let difference = system - service;
    let seconds = difference.num_seconds();
    if difference.abs() <= MAX_CLOCK_DIFFERENCE {
        return Ok(format!("{seconds} s from the service's clock"));
    }
    Err(Failure::new(
        FailureKind::Configuration,
        format!("the system clock is {} the service's", describe_difference(difference)),
        "Synchronize the clock with NTP (timedatectl set-ntp true): the window of each run depends on it.",
    ))
}

async fn submit_test(run: &ResolvedRun, http: &Http, clock: Clock) -> Result<String, Failure> {
    let item = test_submission(run.source.info(), clock)?;
    match Client::new(http, &run.settings.recorded_future, true)?.submit(&[&item]).await {
        Outcome::Delivered(_) => Ok("the test submission was accepted (and not stored)".into()),
        Outcome::Rejected(rejection) => Err(Failure::new(
            FailureKind::Unexpected,
            format!("Recorded Future rejected the test submission: {}", rejection.message),
            "Check --organization-id; send the message to Recorded Future's support.",
        )),
        Outcome::Temporary(failure)
        | Outcome::QuotaExhausted(failure)
        | Outcome::Fatal(failure) => Err(failure),
    }
}

fn test_submission(source: SourceInfo, clock: Clock) -> Result<Box<RawValue>, Failure> {
    let internal = |error: Box<dyn Error + Send + Sync>| {
        let message = "internal error: the test submission cannot be created";
        Failure::new(FailureKind::Unexpected, message, REPORT_BUG).with_cause(error)
    };
    let indicator = Indicator::parse(ClaimedType::Sha256, EICAR_SHA256)
        .map_err(|reason| internal(reason.into()))?;
    let detection = Detection {
        id: "collective-insights-check".into(),
        observed_at: clock.now(),
        created_at: clock.now(),
        name: Some("collective-insights check: EICAR test file, not a detection".into()),
        incident_name: None,
        assessment: Assessment::default(),
        mitre_codes: MitreCodes::default(),
        mentions: Vec::new(),
    };
    let submission = Submission::new(&detection, &indicator, "check", source);
    serde_json::value::to_raw_value(&submission).map_err(|error| internal(error.into()))
}
