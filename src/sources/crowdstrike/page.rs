//! One page of alerts, decoded and mapped.

use super::wire::{ApiError, Page};
use super::{IndicatorChoice, mapping};
use crate::detection::AlertOutcome;
use crate::http::{MalformedBody, Response};
use crate::sources::Customers;
use crate::sources::lenient::{self, Lenient};
use crate::sources::parsed_alert::ParsedAlert;

#[derive(Debug, Default)]
pub(super) struct AlertPage {
    pub alerts: Vec<ParsedAlert>,
    /// The errors that the service reports although it answers with 200; `None` in place of those
    /// that are not objects.
    pub errors: Vec<Lenient<ApiError>>,
    /// The number of alerts that match the query, or fewer: the service does not always count all.
    pub total: Option<u64>,
    /// The token of the next page; `None` on the last one.
    pub next_token: Option<String>,
    pub trace_id: Option<String>,
    /// The customers (CIDs) that the alerts name.
    pub customers: Customers,
}

impl AlertPage {
    /// Returns the codes of its errors.
    pub(super) fn error_codes(&self) -> impl Iterator<Item = u64> {
        self.errors.iter().filter_map(|error| error.0.as_ref()?.code)
    }
}

/// Decodes a page without checking what it contains.
///
/// # Errors
/// When the bytes are not a JSON object.
fn decode(bytes: &[u8], choice: IndicatorChoice) -> Result<AlertPage, MalformedBody> {
    lenient::decode_page(bytes, "resources", |text| {
        let page: Page<'_> = serde_json::from_str(text)?;
        let mut customers = Customers::default();
        for alert in page.resources.iter().filter_map(|alert| alert.0.as_ref()) {
            customers.insert(alert.customer().unwrap_or_default());
        }
        Ok(AlertPage {
            alerts: ParsedAlert::map_all(page.resources, |alert| {
                mapping::parse_alert(alert, choice)
            }),
            errors: page.errors,
            total: page.meta.pagination.total,
            next_token: page.meta.pagination.after,
            trace_id: page.meta.trace_id,
            customers,
        })
    })
}

/// Decodes and checks a page. `is_first` is whether it is the first page of its query.
///
/// # Errors
/// When the body is not a JSON object. Also when the page has no alerts and no errors in two cases:
/// it has no total and no trace id; or it is the first page, and its total is not 0. Treated as the
/// end, such a page would lose alerts.
pub(super) fn alert_page(
    response: &Response,
    is_first: bool,
    choice: IndicatorChoice,
) -> Result<AlertPage, MalformedBody> {
    let page = decode(&response.body, choice)?;
    if !page.alerts.is_empty() || !page.errors.is_empty() {
        return Ok(page);
    }
    match page.total {
        None if page.trace_id.is_none() => {
            Err(MalformedBody("it has neither alerts nor errors nor a total".into()))
        }
        Some(total @ 1..) if is_first => {
            Err(MalformedBody(format!("it has no alerts although its total is {total}")))
        }
        _ => Ok(page),
    }
}

/// Maps the alerts of one page without the checks of a run (window, duplicates).
///
/// # Errors
/// When the bytes are not a page.
pub fn read_page(
    bytes: &[u8],
    choice: IndicatorChoice,
) -> Result<Vec<AlertOutcome>, MalformedBody> {
    Ok(decode(bytes, choice)?.alerts.into_iter().map(|alert| alert.outcome).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sources::tests::{any_alert, check_outcomes, page_of};

    const FIELDS: &[&str] = &[
        "composite_id",
        "id",
        "created_timestamp",
        "timestamp",
        "severity",
        "confidence",
        "description",
        "display_name",
        "name",
        "ioc_type",
        "ioc_value",
        "ioc_context",
        "tactic_id",
        "technique_id",
        "mitre_attack",
        "sha256",
        "type",
        "quarantined_files",
        "tags",
        "pattern_disposition_details",
        "cid",
        "origin_cid",
    ];

    fn page(body: &str, is_first: bool) -> Result<AlertPage, MalformedBody> {
        alert_page(&Response::new(200, body), is_first, IndicatorChoice::Ioc)
    }

    #[test]
    fn a_page_without_alerts_needs_a_reason_to_be_empty() {
        for body in ["{}", r#"{"resources": []}"#, r#"{"resources": null, "errors": []}"#] {
            assert!(page(body, true).is_err(), "{body}");
            assert!(page(body, false).is_err(), "{body}");
        }
        for body in [
            r#"{"errors": [{"code": 500}]}"#,
            r#"{"meta": {"trace_id": "t"}}"#,
            r#"{"resources": [], "meta": {"pagination": {"total": 0}}}"#,
        ] {
            assert!(page(body, true).is_ok(), "{body}");
        }
        let promised = r#"{"resources": [], "meta": {"pagination": {"total": 1}}}"#;
        assert!(page(promised, true).is_err());
        assert!(page(promised, false).is_ok());
    }

    proptest! {
        #[test]
        fn any_json_value_is_read_as_an_alert(
            alerts in prop::collection::vec(any_alert(FIELDS), 1..8),
        ) {
            let page = alert_page(&page_of("resources", &alerts), true, IndicatorChoice::Both).unwrap();
            check_outcomes(page.alerts, &alerts);
        }
    }
}
