//! One page of alerts, decoded and mapped.

use super::wire::Page;
use super::{IndicatorChoice, mapping};
use crate::detection::AlertOutcome;
use crate::http::{MalformedBody, Response};
use crate::sources::lenient;
use crate::sources::parsed_alert::ParsedAlert;

#[derive(Debug, Default)]
pub(super) struct AlertPage {
    pub alerts: Vec<ParsedAlert>,
    /// The number of rows that the service reports for the search.
    pub found: Option<u64>,
}

/// Decodes a page without checking what it contains.
///
/// # Errors
/// When the bytes are not a JSON object, or its `results` are neither a list nor `null`.
fn decode(bytes: &[u8], choice: IndicatorChoice) -> Result<AlertPage, MalformedBody> {
    lenient::decode_page(bytes, "results", |text| {
        let page: Page<'_> = serde_json::from_str(text)?;
        let parse = |alert| mapping::parse_alert(alert, choice);
        let alerts = ParsedAlert::map_all(page.results, parse);
        Ok(AlertPage { alerts, found: page.num_found })
    })
}

/// Decodes and checks a page that begins with the row `first_row`, counted from 1.
///
/// # Errors
/// When the body cannot be decoded, or when it has no alerts although it reports no number of
/// rows, or at least `first_row` of them. Treated as the end, such a page would lose alerts.
pub(super) fn alert_page(
    response: &Response,
    first_row: u32,
    choice: IndicatorChoice,
) -> Result<AlertPage, MalformedBody> {
    let page = decode(&response.body, choice)?;
    match page.found {
        _ if !page.alerts.is_empty() => Ok(page),
        None => Err(MalformedBody("it has neither alerts nor their number".into())),
        Some(found) if found >= u64::from(first_row) => Err(MalformedBody(format!(
            "it has no alerts from row {first_row} on although it reports {found} rows"
        ))),
        Some(_) => Ok(page),
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
        "id",
        "backend_timestamp",
        "detection_timestamp",
        "severity",
        "reason",
        "blocked_sha256",
        "blocked_md5",
        "ioc_hit",
        "process_sha256",
        "attack_tactic",
        "attack_technique",
        "ttps",
        "ioc_field",
        "report_tags",
        "report_link",
        "determination",
        "process_effective_reputation",
        "blocked_effective_reputation",
    ];

    #[test]
    fn a_page_without_alerts_needs_a_number_that_allows_it() {
        for (body, first_row, is_page) in [
            ("{}", 1, false),
            (r#"{"results": []}"#, 1, false),
            (r#"{"results": [], "num_found": 0}"#, 1, true),
            (r#"{"results": null, "num_found": 0}"#, 1, true),
            (r#"{"results": [], "num_found": 1}"#, 1, false),
            (r#"{"results": [], "num_found": 1000}"#, 1001, true),
            (r#"{"results": [{}]}"#, 1, true),
        ] {
            let page = alert_page(&Response::new(200, body), first_row, IndicatorChoice::Both);
            assert_eq!(page.is_ok(), is_page, "{body} from row {first_row}");
        }
    }

    proptest! {
        #[test]
        fn any_json_value_is_read_as_an_alert(
            alerts in prop::collection::vec(any_alert(FIELDS), 1..8),
            choice in prop::sample::select(vec![IndicatorChoice::Both, IndicatorChoice::Malicious]),
        ) {
            let page = alert_page(&page_of("results", &alerts), 1, choice).unwrap();
            check_outcomes(page.alerts, &alerts);
        }
    }
}
