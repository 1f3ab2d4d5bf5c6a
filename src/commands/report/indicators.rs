//! The section on indicators: those that most alerts named, those seen by several sources, and new
//! ones.

use maud::{Markup, html};

use super::data::Data;
use super::html::{instant, number, table, text};
use crate::ledger::{Delivered, IndicatorOrigin};
use crate::report::timestamp;

pub(super) fn section(data: &Data, with_details: bool) -> Markup {
    let summary = &data.summary;
    html! {
        section #indicators {
            h2 { "Indicators" }
            p.note {
                "An alert counts once for each indicator that it names. First and last seen are the creation times of alerts, as far back as the ledger goes (90 days). Severity is the highest that the source gave: 1 to 100 for CrowdStrike, 1 to 10 for Carbon Black."
            }
            (list(data, "Named by most alerts", &summary.top, summary.indicators, with_details))
            @if !data.is_filtered() {
                (list(
                    data,
                    "Seen by more than one source",
                    &summary.top_in_several,
                    summary.in_several_sources,
                    with_details,
                ))
            }
            (new_indicators(data, with_details))
        }
    }
}

/// Returns the indicators that were not delivered before the period, as far as the ledger knows.
fn new_indicators(data: &Data, with_details: bool) -> Markup {
    let summary = &data.summary;
    html! {
        @if data.days_with_history() == 0 {
            h3 { "New in this period" }
            p { "Not known: the ledger has no delivery before the period." }
        } @else {
            (list(data, "New in this period", &summary.top_new, summary.new, with_details))
            p.note {
                "New means not delivered in the " (number(data.days_with_history()))
                " days before the period; older deliveries are not in the ledger."
            }
        }
    }
}

fn list(
    data: &Data,
    title: &str,
    indicators: &[Delivered],
    all: u64,
    with_details: bool,
) -> Markup {
    let head = html! {
        th scope="col" { "indicator" } th scope="col" { "type" } th.number scope="col" { "alerts" }
        th.number scope="col" { "severity" } th scope="col" { "sources" }
        th scope="col" { "first seen (UTC)" } th scope="col" { "last seen (UTC)" }
        @if with_details { th scope="col" { "last alerts" } }
    };
    let unknown = IndicatorOrigin::default();
    let rows = html! {
        @for indicator in indicators {
            @let key = (indicator.indicator_type, indicator.value.clone());
            @let origin = data.origins.get(&key).unwrap_or(&unknown);
            tr {
                th.indicator scope="row" { (text(&indicator.value)) }
                td { (indicator.indicator_type.as_str()) }
                td.number { (number(indicator.detections)) }
                td.number { @match indicator.severity { Some(severity) => (severity), None => "-" } }
                td { (origin.sources.iter().map(|source| text(source)).collect::<Vec<_>>().join(", ")) }
                @match origin.seen {
                    Some((first, last)) => { td { (instant(first)) } td { (instant(last)) } }
                    None => { td { "-" } td { "-" } }
                }
                @if with_details { td.free { (alerts(origin)) } }
            }
        }
    };
    html! {
        h3 { (title) }
        @if indicators.is_empty() { p { "None." } } @else {
            (table(title, &head, &rows))
            p.note { "Shown: " (indicators.len()) " of " (number(all)) "." }
        }
    }
}

fn alerts(origin: &IndicatorOrigin) -> Markup {
    html! {
        @for (created_at, id) in origin.alerts.iter().rev() {
            span.alert { (timestamp(*created_at)) " " (text(id)) }
        }
    }
}
