//! The requests to the Falcon API, and the parts of its responses that are used.
//!
//! Every field is optional, whatever the published schema says: saved responses of the service lack
//! most of them, and `errors` is a list, `null` or absent.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::sources::lenient::{self, Lenient, Text};

/// The body of a query for alerts.
#[derive(Debug, Serialize)]
pub(super) struct Query<'a> {
    /// The filter, in FQL.
    pub filter: &'a str,
    /// The maximum number of alerts per page, at most 1000.
    pub limit: u32,
    /// The field to sort by, which must be immutable, and the direction: `<field>|asc`.
    pub sort: &'a str,
    /// The token from the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<&'a str>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Page<'a> {
    #[serde(borrow, deserialize_with = "lenient::elements")]
    pub resources: Vec<Lenient<Alert<'a>>>,
    #[serde(deserialize_with = "lenient::list")]
    pub errors: Vec<Lenient<ApiError>>,
    #[serde(deserialize_with = "lenient::object")]
    pub meta: Meta,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Meta {
    #[serde(deserialize_with = "lenient::object")]
    pub pagination: Pagination,
    #[serde(deserialize_with = "lenient::text")]
    pub trace_id: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Pagination {
    /// The number of alerts that match the query, or fewer: the service does not always count all.
    #[serde(deserialize_with = "lenient::count")]
    pub total: Option<u64>,
    /// The token of the next page. Absent, `null` and `""` all mean that this is the last page.
    #[serde(deserialize_with = "lenient::text")]
    pub after: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ApiError {
    #[serde(deserialize_with = "lenient::count")]
    pub code: Option<u64>,
    #[serde(deserialize_with = "lenient::text")]
    pub message: Option<String>,
}

/// An alert; it borrows its texts from the page.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Alert<'a> {
    #[serde(borrow)]
    pub composite_id: Text<'a>,
    pub id: Text<'a>,
    #[serde(deserialize_with = "lenient::instant")]
    pub created_timestamp: Option<DateTime<Utc>>,
    #[serde(deserialize_with = "lenient::instant")]
    pub timestamp: Option<DateTime<Utc>>,
    #[serde(deserialize_with = "lenient::score")]
    pub severity: Option<u8>,
    #[serde(deserialize_with = "lenient::score")]
    pub confidence: Option<u8>,
    pub description: Text<'a>,
    pub display_name: Text<'a>,
    pub name: Text<'a>,
    pub ioc_type: Text<'a>,
    pub ioc_value: Text<'a>,
    #[serde(borrow, deserialize_with = "lenient::list")]
    pub ioc_context: Vec<Lenient<IocContext<'a>>>,
    pub tactic_id: Text<'a>,
    pub technique_id: Text<'a>,
    #[serde(borrow, deserialize_with = "lenient::list")]
    pub mitre_attack: Vec<Lenient<Mitre<'a>>>,
    pub r#type: Text<'a>,
    /// The hash of the triggering process's file; of the scanned file for on-demand scans (`ods`).
    pub sha256: Text<'a>,
    #[serde(deserialize_with = "lenient::object")]
    pub pattern_disposition_details: Disposition,
    #[serde(borrow, deserialize_with = "lenient::list")]
    pub quarantined_files: Vec<Lenient<QuarantinedFile<'a>>>,
    /// The verdicts of the customer's analysts, among others.
    #[serde(deserialize_with = "lenient::texts")]
    pub tags: Vec<String>,
    pub cid: Text<'a>,
    pub origin_cid: Text<'a>,
}

impl Alert<'_> {
    /// Returns the id of the customer whose alert it is.
    pub(super) fn customer(&self) -> Option<&str> {
        self.cid.as_deref().or(self.origin_cid.as_deref())
    }
}

/// Falcon's actions on the triggering process's file.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Disposition {
    #[serde(deserialize_with = "lenient::flag")]
    pub process_blocked: bool,
    #[serde(deserialize_with = "lenient::flag")]
    pub quarantine_file: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct QuarantinedFile<'a> {
    #[serde(borrow)]
    pub sha256: Text<'a>,
    pub state: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct IocContext<'a> {
    #[serde(borrow)]
    pub ioc_type: Text<'a>,
    pub ioc_value: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Mitre<'a> {
    #[serde(borrow)]
    pub tactic_id: Text<'a>,
    pub technique_id: Text<'a>,
}

/// The response to a sign-in.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct TokenResponse {
    #[serde(deserialize_with = "lenient::text")]
    pub access_token: Option<String>,
    /// The lifetime in seconds.
    #[serde(deserialize_with = "lenient::count")]
    pub expires_in: Option<u64>,
}
