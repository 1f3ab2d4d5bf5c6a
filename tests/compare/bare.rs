//! The floor that the tool stands next to: it signs in to CrowdStrike, fetches all alerts in eight slices
//! of time side by side, decodes the fields that are needed, and counts. No selection, no ledger, no
//! sending, no retries.
//!
//! `compare.py` runs it. It reads the variables that the sandbox prints, and talks to this machine only.

use std::borrow::Cow;
use std::error::Error;
use std::io::Write as _;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const SLICES: i32 = 8;
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

/// What a selection needs; here it is only decoded.
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

/// The service, signed in to.
#[derive(Clone)]
struct Service {
    client: reqwest::Client,
    base: String,
    token: String,
}

impl Service {
    async fn sign_in() -> Outcome<Self> {
        let base = std::env::var("CS_BASE_URL")?;
        if !base.starts_with("http://127.0.0.1:") {
            return Err(format!("{base}: this talks to a sandbox on 127.0.0.1 only").into());
        }
        let (id, secret) = (std::env::var("CS_CLIENT_ID")?, std::env::var("CS_CLIENT_SECRET")?);
        let client = reqwest::Client::new();
        let answer = client
            .post(format!("{base}/oauth2/token"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("client_id={id}&client_secret={secret}"))
            .send()
            .await?
            .error_for_status()?
            .bytes()
            .await?;
        let token = serde_json::from_slice::<Token>(&answer)?.access_token;
        Ok(Self { client, base, token })
    }

    /// How many alerts were created in a span of time, and how many of them name an indicator.
    async fn read(self, from: DateTime<Utc>, until: DateTime<Utc>) -> Outcome<(usize, usize)> {
        let [from, until] =
            [from, until].map(|time| time.to_rfc3339_opts(SecondsFormat::Millis, true));
        let filter =
            format!("product:'epp'+created_timestamp:>='{from}'+created_timestamp:<'{until}'");
        let (mut alerts, mut with_indicator) = (0, 0);
        let mut after: Option<String> = None;
        loop {
            let query = Query {
                filter: &filter,
                limit: 1000,
                sort: "created_timestamp|asc",
                after: after.as_deref(),
            };
            let answer = self
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
            let page: Page = serde_json::from_str(str::from_utf8(&answer)?)?;
            alerts += page.resources.len();
            let named = page.resources.iter().filter(|alert| alert.ioc_value.is_some());
            with_indicator += named.count();
            after = page.meta.pagination.after.filter(|token| !token.is_empty());
            if after.is_none() {
                return Ok((alerts, with_indicator));
            }
        }
    }
}

async fn read_all() -> Outcome<(usize, usize)> {
    let service = Service::sign_in().await?;
    let until = Utc::now();
    let slice = TimeDelta::hours(HOURS) / SLICES;
    let mut slices = JoinSet::new();
    for number in 0..SLICES {
        let end = until - slice * number;
        slices.spawn(service.clone().read(end - slice, end));
    }
    let (mut alerts, mut with_indicator) = (0, 0);
    while let Some(read) = slices.join_next().await {
        let read = read??;
        alerts += read.0;
        with_indicator += read.1;
    }
    Ok((alerts, with_indicator))
}

fn main() -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (alerts, with_indicator) = runtime.block_on(read_all())?;
    writeln!(std::io::stdout(), "{alerts} alerts, {with_indicator} of them with an indicator")?;
    Ok(())
}
