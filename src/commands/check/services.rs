//! The checks that send requests to the services: as few and as small as possible.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Url;
use serde_json::value::RawValue;
use tokio::task::JoinSet;

use super::section::{Check, Finding, Section};
use crate::cli::ResolvedRun;
use crate::clock::{Clock, describe_difference};
use crate::detection::{Assessment, Detection, SourceInfo};
use crate::failure::{Failure, FailureKind, REPORT_BUG};
use crate::http::{Http, HttpError, NetworkOptions};
use crate::indicator::{ClaimedType, Indicator};
use crate::ledger::LedgerReader;
use crate::mitre::MitreCodes;
use crate::recorded_future::{Client, Outcome};
use crate::report::{self, Layout};
use crate::run;
use crate::settings::TenantName;
use crate::shutdown::{self, Shutdown};
use crate::sources::{BoxFuture, Customers};
use crate::submission::Submission;
use crate::window::Window;

/// The maximum time of all requests, and what each checked source or tenant adds to it.
const DEADLINE: Duration = Duration::from_mins(5);
const DEADLINE_PER_RUN: Duration = Duration::from_secs(5);
/// How many checks send requests at a time.
const MAX_IN_FLIGHT: usize = 8;
/// The title of the section about Recorded Future.
const RECORDED_FUTURE: &str = "Recorded Future";
/// With a larger difference between the clocks, the check fails: windows depend on the clock.
const MAX_CLOCK_DIFFERENCE: TimeDelta = TimeDelta::minutes(1);
/// The EICAR test file: harmless, and known to every security product.
const EICAR_SHA256: &str = "275a021bbfb6489e54d471899f7db9d1663fc695ec2fe2a2c4538aabf651fd0f";

/// Checks the vendor of each section that has a run, and adds the findings to it. Returns sections
/// with the findings about Recorded Future and, if tenants are checked, about the addresses of
/// their vendors.
pub(super) fn check(
    sections: &mut [Section],
    json: bool,
    clock: Clock,
) -> Result<Vec<Section>, Failure> {
    let runs: Vec<Option<Arc<ResolvedRun>>> =
        sections.iter_mut().map(|section| section.run.take().map(Arc::new)).collect();
    let submissions = test_submissions(sections, &runs);
    if submissions.is_empty() {
        return Ok(Vec::new());
    }
    if !json {
        report::write_stdout(&announcement(submissions.len()))?;
    }
    let count = u32::try_from(runs.len()).unwrap_or(u32::MAX);
    let deadline = DEADLINE.saturating_add(DEADLINE_PER_RUN.saturating_mul(count));
    shutdown::block_on(async |stop| {
        let mut services = Services { addresses: Vec::new(), clock, deadline, stop };
        let probes = services.probes(sections, &runs).await?;
        let tests = services.tests(&submissions).await?;
        let mut found = services.into_sections(sections);
        for (at, findings) in perform(probes).await? {
            for finding in findings {
                if let Some(section) = sections.get_mut(at) {
                    section.add(finding.check, finding.result);
                }
            }
        }
        for (at, findings) in perform(tests).await? {
            let tenants = submissions.get(at).map_or(&[][..], |test| &test.tenants);
            for finding in findings {
                let tenants = tenants.to_vec();
                add(&mut found, RECORDED_FUTURE, Finding { tenants, ..finding });
            }
        }
        Ok(found)
    })?
}

fn announcement(count: usize) -> String {
    let text = if count == 1 {
        "Sends one test submission to Recorded Future: the hash of the EICAR test file, with debug: true. It is validated and not stored.".to_owned()
    } else {
        format!(
            "Sends {count} test submissions to Recorded Future, one for each combination of API key, organizations, address and network settings: the hash of the EICAR test file, with debug: true. They are validated and not stored."
        )
    };
    Layout::stdout().paragraph("", &text)
}

/// A test submission with settings that several runs have in common.
struct TestSubmission {
    /// The first of these runs.
    run: Arc<ResolvedRun>,
    tenants: Vec<TenantName>,
}

/// Returns one submission for each combination of network settings, and address, API key and
/// organizations of Recorded Future.
fn test_submissions(
    sections: &[Section],
    runs: &[Option<Arc<ResolvedRun>>],
) -> Vec<TestSubmission> {
    let mut submissions: Vec<TestSubmission> = Vec::new();
    for (section, run) in sections.iter().zip(runs) {
        let Some(run) = run else { continue };
        let same = submissions.iter_mut().find(|other| {
            let (one, other) = (&run.settings, &other.run.settings);
            one.network == other.network && one.recorded_future.is_same(&other.recorded_future)
        });
        match same {
            Some(same) => same.tenants.extend(section.tenant.clone()),
            None => submissions.push(TestSubmission {
                run: Arc::clone(run),
                tenants: section.tenant.iter().cloned().collect(),
            }),
        }
    }
    submissions
}

/// A check that sends requests. Returns the position of its section or test submission, and its
/// findings.
type Task = BoxFuture<'static, (usize, Vec<Finding>)>;

/// Performs checks concurrently, and returns their results in the order of the checks.
async fn perform(tasks: Vec<Task>) -> Result<Vec<(usize, Vec<Finding>)>, Failure> {
    let mut queue = tasks.into_iter();
    let (mut in_flight, mut done) = (JoinSet::new(), Vec::new());
    loop {
        while in_flight.len() < MAX_IN_FLIGHT
            && let Some(task) = queue.next()
        {
            in_flight.spawn(task);
        }
        let Some(result) = in_flight.join_next().await else { break };
        done.push(result.map_err(|error| {
            let message = "internal error: a check ended with a panic";
            Failure::new(FailureKind::Unexpected, message, REPORT_BUG).with_cause(error)
        })?);
    }
    done.sort_by_key(|(at, _)| *at);
    Ok(done)
}

/// The services that are checked.
struct Services {
    /// Each address is checked once.
    addresses: Vec<Address>,
    clock: Clock,
    deadline: Duration,
    stop: Shutdown,
}

/// An address of a service, reached with these network settings.
struct Address {
    title: &'static str,
    url: Url,
    network: NetworkOptions,
    http: Http,
    tenants: Vec<TenantName>,
    findings: Vec<Finding>,
}

impl Services {
    /// Returns a check for each run whose vendor can be reached.
    async fn probes(
        &mut self,
        sections: &mut [Section],
        runs: &[Option<Arc<ResolvedRun>>],
    ) -> Result<Vec<Task>, Failure> {
        let (mut tasks, clock) = (Vec::<Task>::new(), self.clock);
        for (at, (section, run)) in sections.iter_mut().zip(runs).enumerate() {
            let Some(run) = run.clone() else { continue };
            let (url, network) = (run.source.base_url(), &run.settings.network);
            let tenants = section.tenant.as_slice();
            if let Some(http) = self.reach(section.title, url, network, tenants).await? {
                tasks.push(Box::pin(async move { (at, probe(&run, &http, clock).await) }));
            } else if section.tenant.is_some() {
                section.add(Check::NotChecked, Ok(format!("{} cannot be reached", section.title)));
            }
        }
        Ok(tasks)
    }

    /// Returns a check for each test submission, if Recorded Future can be reached.
    async fn tests(&mut self, submissions: &[TestSubmission]) -> Result<Vec<Task>, Failure> {
        let (mut tasks, clock) = (Vec::<Task>::new(), self.clock);
        for (at, TestSubmission { run, tenants }) in submissions.iter().enumerate() {
            let (url, network) = (&run.settings.recorded_future.base, &run.settings.network);
            if let Some(http) = self.reach(RECORDED_FUTURE, url, network, tenants).await? {
                let run = Arc::clone(run);
                tasks.push(Box::pin(async move {
                    let result = submit_test(&run, &http, clock).await;
                    (at, vec![Finding::new(Check::Permission, result)])
                }));
            }
        }
        Ok(tasks)
    }

    /// Checks the connection to an address, unless that was done before. Returns a client if the
    /// address can be reached.
    async fn reach(
        &mut self,
        title: &'static str,
        url: &Url,
        network: &NetworkOptions,
        tenants: &[TenantName],
    ) -> Result<Option<Http>, Failure> {
        let is_same =
            |other: &Address| (other.title, &other.url, &other.network) == (title, url, network);
        let known = self.addresses.iter().position(is_same);
        let at = known.unwrap_or(self.addresses.len());
        if known.is_none() {
            let http = self.client(network)?;
            let findings = check_connection(url, &http, self.clock).await;
            let (url, network, tenants) = (url.clone(), network.clone(), Vec::new());
            self.addresses.push(Address { title, url, network, http, tenants, findings });
        }
        Ok(self.addresses.get_mut(at).and_then(|address| {
            address.tenants.extend_from_slice(tenants);
            // Each check has its own limit for requests: if the service makes one wait, the others
            // do not.
            is_reachable(&address.findings).then(|| address.http.with_concurrency(1))
        }))
    }

    /// Returns a client with these network settings, without retries and for one request at a time.
    fn client(&self, network: &NetworkOptions) -> Result<Http, Failure> {
        let same = self.addresses.iter().find(|address| address.network == *network);
        let http = match same {
            Some(address) => address.http.clone(),
            None => Http::new(network, self.clock, self.deadline, self.stop.clone())?,
        };
        Ok(http.without_retries().with_concurrency(1))
    }

    /// Adds the findings about the vendor of a section without a tenant to that section. Returns a
    /// section for each other service.
    fn into_sections(self, sections: &mut [Section]) -> Vec<Section> {
        let mut found = Vec::new();
        for Address { title, tenants, findings, .. } in self.addresses {
            let is_own =
                |section: &&mut Section| section.tenant.is_none() && section.title == title;
            let mut own = sections.iter_mut().find(is_own);
            for finding in findings {
                let finding = Finding { tenants: tenants.clone(), ..finding };
                match &mut own {
                    Some(own) => own.merge(finding),
                    None => add(&mut found, title, finding),
                }
            }
        }
        found
    }
}

/// Adds a finding to the section with this title, which is a new one if there is none.
fn add(sections: &mut Vec<Section>, title: &'static str, finding: Finding) {
    if let Some(section) = sections.iter_mut().find(|section| section.title == title) {
        section.merge(finding);
    } else {
        let mut section = Section::new(title, None);
        section.merge(finding);
        sections.push(section);
    }
}

/// Checks whether alerts can be read, and whose they are.
async fn probe(run: &ResolvedRun, http: &Http, clock: Clock) -> Vec<Finding> {
    let end = clock.now_to_the_millisecond();
    let window = Window { start: end - TimeDelta::hours(24), end };
    let probe = run.source.probe(http, window).await;
    let customers = probe.as_ref().map(|probe| check_customers(run, &probe.customers));
    let rejected = customers.ok().and_then(Result::err);
    let result = probe.map(|probe| {
        let total = probe.total.map_or_else(|| "an unknown number".into(), report::thousands);
        format!("authorized to read alerts; {total} in the last 24 hours")
    });
    let mut findings = vec![Finding::new(Check::Permission, result)];
    findings.extend(rejected.map(|failure| Finding::new(Check::Customers, Err(failure))));
    findings
}

/// Checks, as a run does, that the alerts belong to the customer of this tenant.
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

/// Whether requests can be sent to the service: a wrong clock does not prevent them.
fn is_reachable(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.check == Check::Clock || finding.result.is_ok())
}

/// Checks the connection to a service and compares its clock with this machine's.
async fn check_connection(url: &Url, http: &Http, clock: Clock) -> Vec<Finding> {
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
    let debug = true;
    match Client::new(http, &run.settings.recorded_future, debug)?.submit(&[&item]).await.outcome {
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

/// Returns the JSON of the test submission.
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
