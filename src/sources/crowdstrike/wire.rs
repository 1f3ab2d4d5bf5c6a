//! What Falcon answers, as far as it is needed. Every field is optional whatever the published schema
//! says: recorded alerts lack most of them, and `resources` and `errors` come as list, `null` or not
//! at all.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize};

use super::mapping::{self, ParsedAlert};
use crate::http::{MalformedBody, Response};
use crate::sources::lenient::{self, Lenient, WithElements};

/// The body of a query for alerts.
#[derive(Debug, Serialize)]
pub(super) struct Query<'a> {
    /// FQL.
    pub filter: &'a str,
    /// Alerts a page, at most 1000.
    pub limit: u32,
    /// The immutable field to sort by.
    pub sort: &'a str,
    /// The token of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<&'a str>,
}

/// A page of alerts.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct AlertPage {
    #[serde(deserialize_with = "lenient::elements")]
    pub resources: Vec<Lenient<ParsedAlert>>,
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
    #[serde(deserialize_with = "lenient::count")]
    pub total: Option<u64>,
    /// Absent, `null` and `""` all mean the last page.
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

/// An alert, as long as its page is in memory.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Alert<'a> {
    #[serde(borrow, deserialize_with = "lenient::borrowed")]
    pub composite_id: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "lenient::borrowed")]
    pub id: Option<Cow<'a, str>>,
    #[serde(deserialize_with = "lenient::instant")]
    pub created_timestamp: Option<DateTime<Utc>>,
    #[serde(deserialize_with = "lenient::instant")]
    pub timestamp: Option<DateTime<Utc>>,
    #[serde(deserialize_with = "lenient::score")]
    pub severity: Option<u8>,
    #[serde(deserialize_with = "lenient::score")]
    pub confidence: Option<u8>,
    #[serde(borrow, deserialize_with = "lenient::borrowed")]
    pub description: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "lenient::borrowed")]
    pub display_name: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "lenient::borrowed")]
    pub name: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "lenient::borrowed")]
    pub ioc_type: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "lenient::borrowed")]
    pub ioc_value: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "lenient::list")]
    pub ioc_context: Vec<Lenient<IocContext<'a>>>,
    #[serde(borrow, deserialize_with = "lenient::borrowed")]
    pub tactic_id: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "lenient::borrowed")]
    pub technique_id: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "lenient::list")]
    pub mitre_attack: Vec<Lenient<Mitre<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct IocContext<'a> {
    #[serde(borrow, deserialize_with = "lenient::borrowed")]
    pub ioc_type: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "lenient::borrowed")]
    pub ioc_value: Option<Cow<'a, str>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Mitre<'a> {
    #[serde(borrow, deserialize_with = "lenient::borrowed")]
    pub tactic_id: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "lenient::borrowed")]
    pub technique_id: Option<Cow<'a, str>>,
}

/// The answer to a sign-in.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Token {
    #[serde(deserialize_with = "lenient::text")]
    pub access_token: Option<String>,
    /// Seconds.
    #[serde(deserialize_with = "lenient::count")]
    pub expires_in: Option<u64>,
}

/// An element is made of an alert at once: most name no indicator, and nothing of those is kept.
impl<'de> Deserialize<'de> for ParsedAlert {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Alert::deserialize(deserializer).map(mapping::parse_alert)
    }
}

impl WithElements<ParsedAlert> for AlertPage {
    fn set_elements(&mut self, elements: Vec<Lenient<ParsedAlert>>) {
        self.resources = elements;
    }
}

/// Decodes a page of alerts, whatever it says.
///
/// # Errors
/// When it is no JSON object.
pub(super) fn decode(bytes: &[u8]) -> Result<AlertPage, MalformedBody> {
    lenient::page(bytes, "resources")
}

/// Reads a page of alerts, the `first` of its query or a later one.
///
/// # Errors
/// When it is no JSON, says neither that there are alerts nor that there are none, or says that there
/// are and begins with none: taken for empty, it would lose them.
pub(super) fn alert_page(response: &Response, first: bool) -> Result<AlertPage, MalformedBody> {
    let page = decode(&response.body)?;
    let says_nothing = page.resources.is_empty()
        && page.errors.is_empty()
        && page.meta.pagination.total.is_none()
        && page.meta.trace_id.is_none();
    if says_nothing {
        return Err(MalformedBody("it holds neither alerts, nor errors, nor a total".into()));
    }
    let none = first && page.resources.is_empty() && page.errors.is_empty();
    match page.meta.pagination.total {
        Some(total @ 1..) if none => {
            Err(MalformedBody(format!("it holds no alerts and says that there are {total}")))
        }
        _ => Ok(page),
    }
}
