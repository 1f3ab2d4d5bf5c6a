//! The bare loop, the lower bound of the comparison: it signs in to CrowdStrike, fetches all alerts
//! in eight concurrent time slices, decodes some of the fields that the program reads, and counts.
//! It selects, stores, sends and retries nothing.
//!
//! `compare.py` runs it. It reads the variables that the sandbox prints, and connects to 127.0.0.1
//! only.

use std::borrow::Cow;
use std::error::Error;
use std::io::Write as _;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// The number of time slices, which are read concurrently.
const SLICES: i32 = 8;
/// How far back alerts are read.
const HOURS: i64 = 48;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Page<'a> {
    #[serde(borrow)]
    resources: Vec<Alert<'a>>,
    meta: Meta,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Meta {
    pagination: Pagination,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Pagination {
    after: Option<String>,
}

/// Some of the fields that the program reads. Here they are only decoded, and `ioc_value` counted.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Alert<'a> {
    #[serde(borrow)]
    composite_id: Option<Cow<'a, str>>,
    created_timestamp: Option<DateTime<Utc>>,
    timestamp: Option<DateTime<Utc>>,
    severity: Option<u8>,
    confidence: Option<u8>,
    #[serde(borrow)]
    description: Option<Cow<'a, str>>,
    #[serde(borrow)]
    display_name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    ioc_type: Option<Cow<'a, str>>,
    #[serde(borrow)]
    ioc_value: Option<Cow<'a, str>>,
    #[serde(borrow)]
    tactic_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    technique_id: Option<Cow<'a, str>>,
}

#[derive(Serialize)]
struct Query<'a> {
    filter: &'a str,
    limit: u32,
    sort: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<&'a str>,
}

#[derive(Deserialize)]
struct Token {
    access_token: String,
}

/// The service, after a sign-in.
#[derive(Clone)]
struct Service {
    client: reqwest::Client,
    base: String,
    token: String,
}

impl Service {
    async fn sign_in() -> Result<Self> {
        let base = std::env::var("CS_BASE_URL")?;
        if !base.starts_with("http://127.0.0.1:") {
            return Err(format!("{base}: only a sandbox on 127.0.0.1 is allowed").into());
        }
        let (id, secret) = (std::env::var("CS_CLIENT_ID")?, std::env::var("CS_CLIENT_SECRET")?);
        let client = reqwest::Client::new();
        let response = client
            .post(format!("{base}/oauth2/token"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("client_id={id}&client_secret={secret}"))
            .send()
            .await?
            .error_for_status()?
            .bytes()
            .await?;
        let token = serde_json::from_slice::<Token>(&response)?.access_token;
        Ok(Self { client, base, token })
    }

    /// Counts the alerts that were created in a time slice, and those of them with an indicator.
    async fn read(self, start: DateTime<Utc>, end: DateTime<Utc>) -> Result<(usize, usize)> {
        let [start, end] =
            [start, end].map(|time| time.to_rfc3339_opts(SecondsFormat::Millis, true));
        let filter =
            format!("product:'epp'+created_timestamp:>='{start}'+created_timestamp:<'{end}'");
        let (mut alerts, mut with_indicator) = (0, 0);
        let mut after: Option<String> = None;
        loop {
            let query = Query {
                filter: &filter,
                limit: 1000,
                sort: "created_timestamp|asc",
                after: after.as_deref(),
            };
            let response = self
                .client
                .post(format!("{}/alerts/combined/alerts/v1", self.base))
                .bearer_auth(&self.token)
                .header("content-type", "application/json")
                .body(serde_json::to_vec(&query)?)
                .send()
                .await?
                .error_for_status()?
                .bytes()
                .await?;
            let page: Page = serde_json::from_str(str::from_utf8(&response)?)?;
            alerts += page.resources.len();
            let with_ioc = page.resources.iter().filter(|alert| alert.ioc_value.is_some());
            with_indicator += with_ioc.count();
            after = page.meta.pagination.after.filter(|token| !token.is_empty());
            if after.is_none() {
                return Ok((alerts, with_indicator));
            }
        }
    }
}

async fn read_all() -> Result<(usize, usize)> {
    let service = Service::sign_in().await?;
    let now = Utc::now();
    let slice = TimeDelta::hours(HOURS) / SLICES;
    let mut slices = JoinSet::new();
    for number in 0..SLICES {
        let end = now - slice * number;
        slices.spawn(service.clone().read(end - slice, end));
    }
    let (mut alerts, mut with_indicator) = (0, 0);
    while let Some(counts) = slices.join_next().await {
        let counts = counts??;
        alerts += counts.0;
        with_indicator += counts.1;
    }
    Ok((alerts, with_indicator))
}

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (alerts, with_indicator) = runtime.block_on(read_all())?;
    writeln!(std::io::stdout(), "{alerts} alerts, {with_indicator} of them with an indicator")?;
    Ok(())
}
