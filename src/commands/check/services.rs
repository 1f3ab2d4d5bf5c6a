//! The half of a check that asks each service for real, as gently as possible.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Url;
use serde_json::value::RawValue;

use super::{Finding, Section};
use crate::clock::Clock;
use crate::detection::{Detection, Scores};
use crate::failure::{Failure, FailureKind};
use crate::http::{Http, HttpError};
use crate::indicator::{ClaimedType, Indicator};
use crate::mitre::MitreCodes;
use crate::recorded_future::{Client, Outcome};
use crate::report;
use crate::settings::Settings;
use crate::shutdown::Shutdown;
use crate::submission::Submission;
use crate::window::Window;

/// How long all services together may take.
const PATIENCE: Duration = Duration::from_mins(5);
/// A clock this far off is worth a word: windows are cut by it.
const LARGEST_DIFFERENCE: TimeDelta = TimeDelta::minutes(1);
/// The EICAR test file: known everywhere, harmless, made for such trials.
const EICAR_SHA256: &str = "275a021bbfb6489e54d471899f7db9d1663fc695ec2fe2a2c4538aabf651fd0f";

/// Checks the vendors of these settings, and Recorded Future once.
pub(super) fn check(ready: &[Settings], json: bool, clock: Clock) -> Result<Vec<Section>, Failure> {
    let Some(first) = ready.first() else {
        return Ok(Vec::new());
    };
    if !json {
        report::out(
            "One submission goes to Recorded Future: the EICAR test file's hash, with debug: true. It is checked there and not saved.\n",
        );
    }
    crate::shutdown::block_on(async |stop: Shutdown| {
        // Only a source that is named can have options of its own, and then it is the only one.
        let http = Http::new(&first.network, clock, PATIENCE, stop)?.without_retries();
        let mut sections = Vec::new();
        for settings in ready {
            let title = settings.source.info().title;
            sections.push(Section { title, findings: vendor(settings, &http, clock).await });
        }
        sections.push(Section {
            title: "Recorded Future",
            findings: receiver(first, &http, clock).await,
        });
        Ok(sections)
    })?
}

async fn vendor(settings: &Settings, http: &Http, clock: Clock) -> Vec<Finding> {
    let mut findings = reach(settings.source.base(), http, clock).await;
    if findings.iter().all(|finding| finding.check == "clock" || finding.result.is_ok()) {
        let end = clock.now_to_the_millisecond();
        let window = Window { start: end - TimeDelta::hours(24), end };
        let probed = settings.source.probe(http, window).await;
        let found = probed.map(|total| {
            let total =
                total.map_or_else(|| "an unknown number of".into(), |total| total.to_string());
            format!("signed in and allowed to read alerts; {total} in the last 24 hours")
        });
        findings.push(Finding::new("permission", found));
    }
    findings
}

async fn receiver(settings: &Settings, http: &Http, clock: Clock) -> Vec<Finding> {
    let mut findings = reach(&settings.recorded_future.base, http, clock).await;
    if findings.iter().all(|finding| finding.check == "clock" || finding.result.is_ok()) {
        findings.push(Finding::new("permission", submit_trial(settings, http, clock).await));
    }
    findings
}

/// Name, connection and TLS, and how far the clocks are apart.
async fn reach(url: &Url, http: &Http, clock: Clock) -> Vec<Finding> {
    let host = url.host_str().unwrap_or("the service").to_owned();
    match http.reach(url).await {
        Err(trouble) => vec![Finding::new(stage(&trouble), Err(trouble.into_failure()))],
        Ok(time) => {
            let tls = if url.scheme() == "https" {
                "its certificate is trusted"
            } else {
                "without TLS (loopback)"
            };
            let way = http
                .proxy(url)
                .map(|proxy| format!(" through the proxy {proxy}"))
                .unwrap_or_default();
            let mut findings =
                vec![Finding::new("network", Ok(format!("{host} answers{way}, {tls}")))];
            findings.extend(time.map(|time| Finding::new("clock", difference(time, clock.now()))));
            findings
        }
    }
}

/// Where on the way to a service it ended.
fn stage(trouble: &HttpError) -> &'static str {
    match trouble {
        HttpError::Certificate(_) => "TLS",
        HttpError::ProxyCredentials { .. } => "proxy",
        HttpError::Connect { detail, .. }
            if detail.contains("dns") || detail.contains("lookup") =>
        {
            "DNS"
        }
        _ => "network",
    }
}

fn difference(theirs: DateTime<Utc>, ours: DateTime<Utc>) -> Result<String, Failure> {
    let difference = ours - theirs;
    let seconds = difference.num_seconds();
    if difference.abs() <= LARGEST_DIFFERENCE {
        return Ok(format!("{seconds} s from the service's"));
    }
    let direction = if seconds > 0 { "ahead of" } else { "behind" };
    Err(Failure::new(
        FailureKind::Configuration,
        format!("this machine's clock is {} s {direction} the service's", seconds.abs()),
        "Set the clock by NTP (timedatectl set-ntp true): the window of each run is cut by it.",
    ))
}

async fn submit_trial(settings: &Settings, http: &Http, clock: Clock) -> Result<String, Failure> {
    let item = trial(settings, clock)?;
    match Client::new(http, &settings.recorded_future, true)?.submit(&[&item]).await {
        Outcome::Delivered(_) => Ok("the trial submission was accepted (and not saved)".into()),
        Outcome::Rejected(refused) => Err(Failure::new(
            FailureKind::Unexpected,
            format!("Recorded Future refused the trial submission: {}", refused.words),
            "Check --organization-id; show the words to Recorded Future's support.",
        )),
        Outcome::Transient(failure)
        | Outcome::QuotaExhausted(failure)
        | Outcome::Fatal(failure) => Err(failure),
    }
}

fn trial(settings: &Settings, clock: Clock) -> Result<Box<RawValue>, Failure> {
    let wrong = |what: String| Failure::new(FailureKind::Unexpected, what, "Report this.");
    let indicator = Indicator::parse(ClaimedType::Sha256, EICAR_SHA256)
        .map_err(|reason| wrong(reason.to_string()))?;
    let detection = Detection {
        id: "collective-insights-check".into(),
        observed_at: clock.now(),
        created_at: clock.now(),
        name: Some("collective-insights check: EICAR test file, not a detection".into()),
        incident_name: None,
        scores: Scores::default(),
        mitre_codes: MitreCodes::default(),
        mentions: Vec::new(),
    };
    let submission = Submission::new(&detection, &indicator, "check", settings.source.info());
    serde_json::value::to_raw_value(&submission).map_err(|error| wrong(error.to_string()))
}
