//! The requests to the Alerts API v7, and the parts of its responses that are used.
//!
//! In saved responses of the service, every field except `id` and `type` was sometimes missing,
//! `null` or `""`.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::sources::lenient::{self, Lenient, Text};

/// The body of a search.
#[derive(Debug, Serialize)]
pub(super) struct Search {
    pub time_range: TimeRange,
    /// The first row, counted from 1.
    pub start: u32,
    /// The maximum number of rows in the response.
    pub rows: u32,
    pub sort: [Sort; 1],
    pub exclusions: Exclusions,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub criteria: Option<Criteria>,
}

/// A span of `backend_timestamp`. Both ends are assumed to be inclusive.
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

/// Types of alerts that never name an indicator; leaving them out saves traffic. A list of all
/// other types would lose future ones.
#[derive(Debug, Serialize)]
pub(super) struct Exclusions {
    pub r#type: [&'static str; 2],
}

/// The conditions that an alert has to meet.
#[derive(Debug, Serialize)]
pub(super) struct Criteria {
    /// 1 to 10.
    pub minimum_severity: u8,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Page<'a> {
    /// An alert that cannot be decoded does not fail the page.
    #[serde(borrow, deserialize_with = "lenient::elements")]
    pub results: Vec<Lenient<Alert<'a>>>,
    /// The number of alerts that match the search, on all pages.
    #[serde(deserialize_with = "lenient::count")]
    pub num_found: Option<u64>,
}

/// An alert; it borrows its texts from the page.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Alert<'a> {
    #[serde(borrow)]
    pub id: Text<'a>,
    pub r#type: Text<'a>,
    #[serde(deserialize_with = "lenient::instant")]
    pub backend_timestamp: Option<DateTime<Utc>>,
    #[serde(deserialize_with = "lenient::instant")]
    pub detection_timestamp: Option<DateTime<Utc>>,
    #[serde(deserialize_with = "lenient::score")]
    pub severity: Option<u8>,
    pub reason: Text<'a>,
    pub blocked_sha256: Text<'a>,
    pub blocked_md5: Text<'a>,
    pub blocked_effective_reputation: Text<'a>,
    pub ioc_hit: Text<'a>,
    /// The field in which the value of `ioc_hit` was looked for.
    pub ioc_field: Text<'a>,
    pub process_sha256: Text<'a>,
    pub process_md5: Text<'a>,
    pub parent_sha256: Text<'a>,
    pub parent_md5: Text<'a>,
    pub childproc_sha256: Text<'a>,
    pub childproc_md5: Text<'a>,
    pub process_effective_reputation: Text<'a>,
    pub parent_effective_reputation: Text<'a>,
    pub childproc_effective_reputation: Text<'a>,
    #[serde(borrow, deserialize_with = "lenient::object")]
    pub determination: Determination<'a>,
    pub attack_tactic: Text<'a>,
    pub attack_technique: Text<'a>,
    #[serde(deserialize_with = "lenient::texts")]
    pub ttps: Vec<String>,
    /// The tags of a watchlist hit, for example `t1053`.
    #[serde(deserialize_with = "lenient::texts")]
    pub report_tags: Vec<String>,
    /// The link of a watchlist hit, for example `https://attack.mitre.org/techniques/T1558/003/`.
    pub report_link: Text<'a>,
}

/// The verdict of the customer's analysts.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Determination<'a> {
    #[serde(borrow)]
    pub value: Text<'a>,
}
