//! What Carbon Black Cloud's Alerts v7 takes and answers, as far as it is needed. In recorded alerts
//! any field but `id` and `type` was missing, `null` or `""`.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::http::{MalformedBody, Response};
use crate::sources::lenient::{self, Lenient, WithElements};

/// The body of a search.
#[derive(Debug, Serialize)]
pub(super) struct Search {
    pub time_range: TimeRange,
    /// The first row, counted from 1.
    pub start: u32,
    /// RowPage a page.
    pub rows: u32,
    pub sort: [Sort; 1],
    pub exclusions: Exclusions,
}

/// A span of `backend_timestamp`; both ends are taken to be inclusive.
#[derive(Debug, Serialize)]
pub(super) struct TimeRange {
    pub start: String,
    pub end: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Sort {
    pub field: &'static str,
    pub order: &'static str,
}

/// Types of alerts that never have a wanted field: not asked for, to save traffic. A list of wanted
/// types would lose those yet to come.
#[derive(Debug, Serialize)]
pub(super) struct Exclusions {
    pub r#type: [&'static str; 2],
}

/// A page of alerts.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct AlertPage {
    #[serde(deserialize_with = "lenient::elements")]
    pub results: Vec<Lenient<Alert>>,
    #[serde(deserialize_with = "lenient::count")]
    pub num_found: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Alert {
    #[serde(deserialize_with = "lenient::text")]
    pub id: Option<String>,
    #[serde(deserialize_with = "lenient::instant")]
    pub backend_timestamp: Option<DateTime<Utc>>,
    #[serde(deserialize_with = "lenient::instant")]
    pub detection_timestamp: Option<DateTime<Utc>>,
    #[serde(deserialize_with = "lenient::score")]
    pub severity: Option<u8>,
    #[serde(deserialize_with = "lenient::text")]
    pub reason: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub blocked_sha256: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub blocked_md5: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub ioc_hit: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub process_sha256: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub attack_tactic: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub attack_technique: Option<String>,
    #[serde(deserialize_with = "lenient::texts")]
    pub ttps: Vec<String>,
}

impl WithElements<Alert> for AlertPage {
    fn set_elements(&mut self, elements: Vec<Lenient<Alert>>) {
        self.results = elements;
    }
}

/// Decodes a page of alerts, whatever it says.
///
/// # Errors
/// When it is no JSON object.
pub(super) fn decode(bytes: &[u8]) -> Result<AlertPage, MalformedBody> {
    lenient::page(bytes, "results")
}

/// Reads a page of alerts that begins with the row `first`, counted from 1.
///
/// # Errors
/// When it is no JSON, says neither that there are alerts nor that there are none, or says that there
/// are and holds none: taken for empty, it would lose them.
pub(super) fn alert_page(response: &Response, first: u32) -> Result<AlertPage, MalformedBody> {
    let page = decode(&response.body)?;
    match page.num_found {
        _ if !page.results.is_empty() => Ok(page),
        None => Err(MalformedBody("it holds neither alerts nor their number".into())),
        Some(found) if found >= u64::from(first) => Err(MalformedBody(format!(
            "it holds no alerts from row {first} on and says that there are {found}"
        ))),
        Some(_) => Ok(page),
    }
}
