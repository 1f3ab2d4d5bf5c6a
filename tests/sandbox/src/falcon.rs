//! CrowdStrike Falcon: sign-in, and pages of alerts.

mod page;
mod sign_in;

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::alert_store::SearchKeys;
use crate::fql::{Field, Fields, Literal};
use crate::handler::Response;
use crate::time::parse_rfc3339;
use crate::world::FalconWorld;

pub(crate) use page::alerts;
pub(crate) use sign_in::sign_in;

/// The search keys of a Falcon alert.
#[derive(Debug, Clone, Default)]
pub struct FalconKeys {
    product: Option<Box<str>>,
    kind: Option<Box<str>>,
    composite_id: Option<Box<str>>,
    /// The customer: `cid`, else `origin_cid`.
    customer: Option<Box<str>>,
    created: Option<DateTime<Utc>>,
    timestamp: Option<DateTime<Utc>>,
    updated: Option<DateTime<Utc>>,
    severity: Option<f64>,
    confidence: Option<f64>,
}

impl SearchKeys for FalconKeys {
    fn from_alert(alert: &Value) -> Option<Self> {
        let alert = alert.as_object()?;
        let text = |key: &str| alert.get(key)?.as_str().map(Box::from);
        let date = |key: &str| parse_rfc3339(alert.get(key)?.as_str()?);
        let number = |key: &str| alert.get(key)?.as_f64();
        Some(Self {
            product: text("product"),
            kind: text("type"),
            composite_id: text("composite_id"),
            customer: text("cid").or_else(|| text("origin_cid")),
            created: date("created_timestamp"),
            timestamp: date("timestamp"),
            updated: date("updated_timestamp"),
            severity: number("severity"),
            confidence: number("confidence"),
        })
    }

    fn id(&self) -> Option<&str> {
        self.composite_id.as_deref()
    }

    fn created(&self) -> Option<DateTime<Utc>> {
        self.created
    }
}

impl Fields for FalconKeys {
    fn field(&self, field: Field) -> Option<Literal<'_>> {
        fn text(value: &Option<Box<str>>) -> Option<Literal<'_>> {
            value.as_deref().map(|text| Literal::Text(Cow::Borrowed(text)))
        }
        match field {
            Field::Product => text(&self.product),
            Field::Type => text(&self.kind),
            Field::CompositeId => text(&self.composite_id),
            Field::Created => self.created.map(Literal::Date),
            Field::Timestamp => self.timestamp.map(Literal::Date),
            Field::Updated => self.updated.map(Literal::Date),
            Field::Severity => self.severity.map(Literal::Number),
            Field::Confidence => self.confidence.map(Literal::Number),
        }
    }
}

/// The tokens that were issued, and the latest searches.
#[derive(Debug, Default)]
pub(crate) struct FalconState {
    access_tokens: HashMap<String, sign_in::AccessToken>,
    page_tokens: HashMap<String, page::PageToken>,
    by_created: Option<page::CreatedIndex>,
    searches: VecDeque<page::CachedSearch>,
}

/// Indices into the alert store, in result order.
type SortedIndices = Arc<Vec<usize>>;

/// Returns 32 unpredictable hex digits. The standard library's hash keys are a source of randomness
/// that needs no crate.
fn random_hex() -> String {
    let half = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", half(), half())
}

fn trace_id() -> String {
    let hex = random_hex();
    let part = |from: usize, to: usize| &hex[from..to];
    [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-")
}

/// Returns an error in the format of the service. The real service does not explain the reason, so
/// the sandbox sends the reason in a header of its own.
fn error_response(
    world: &FalconWorld,
    code: u16,
    powered_by: &str,
    message: &str,
    reason: &str,
) -> Response {
    let trace = trace_id();
    let body = json!({
        "meta": {"query_time": 1.76e-7, "powered_by": powered_by, "trace_id": trace},
        "errors": [{"code": code, "message": message}],
    });
    let response = Response::json(code, body.to_string());
    let reason: String =
        reason.chars().map(|c| if c.is_ascii_graphic() { c } else { ' ' }).collect();
    with_headers(response, world, &trace).header("X-Sandbox-Reason", reason)
}

/// The `powered_by` of a response: the gateway, the alerts API, or the sign-in.
const POWERED_BY_GATEWAY: &str = "crowdstrike-api-gateway";
const POWERED_BY_ALERTS: &str = "detectsapi";
const POWERED_BY_SIGN_IN: &str = "csam";

fn with_headers(response: Response, world: &FalconWorld, trace: &str) -> Response {
    response
        .header("X-Cs-Traceid", trace)
        .header("X-Ratelimit-Limit", world.rate_limit.0.to_string())
        .header("X-Ratelimit-Remaining", world.rate_limit.1.to_string())
}

/// Returns the response of the gateway to an unknown path.
pub(crate) fn not_found() -> Response {
    let trace = trace_id();
    let body = json!({
        "meta": {"query_time": 1.64e-7, "powered_by": POWERED_BY_GATEWAY, "trace_id": trace},
        "errors": [{"code": 404, "message": "404: Page Not Found"}],
    });
    Response::json(404, body.to_string()).header("X-Cs-Traceid", trace)
}

/// Returns the response to a method other than POST.
fn wrong_method(world: &FalconWorld) -> Response {
    error_response(
        world,
        405,
        POWERED_BY_GATEWAY,
        "405: Method Not Allowed",
        "only POST is supported",
    )
}
