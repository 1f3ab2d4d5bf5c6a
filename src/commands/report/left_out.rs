//! The section on indicators that were not sent on purpose, and on those that were rejected.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use maud::{Markup, html};

use super::chart::bar;
use super::data::Data;
use super::html::{instant, number, table, text};
use crate::indicator::IndicatorType;
use crate::ledger::Rejections;

/// The reasons that are listed.
const MAX_REASONS: usize = 20;

pub(super) fn section(data: &Data, with_details: bool) -> Markup {
    html! {
        section #left-out {
            h2 { "Left out and rejected" }
            (rules(data))
            @if with_details { (samples(data)) }
            (rejections(&data.rejections, with_details))
        }
    }
}

fn rules(data: &Data) -> Markup {
    let largest = data.rules.iter().map(|rule| rule.hits).max().unwrap_or_default();
    let head = html! {
        th scope="col" { "rule" } th.wide scope="col" { span.hidden { "share" } }
        th.number scope="col" { "mentions" } th scope="col" { "last match (UTC)" }
    };
    let rows = html! {
        @for rule in &data.rules {
            tr {
                th.indicator scope="row" { (text(&rule.rule)) }
                td.wide { (bar("c4", rule.hits, largest)) }
                td.number { (number(rule.hits)) } td { (instant(rule.last_hit_at)) }
            }
        }
    };
    html! {
        figure.chart.bars {
            figcaption {
                h3 { "Exclusion rules that matched in the period" }
                p.note { "Unit: mentions that the rule matched since it is known to the ledger." }
            }
            @if data.rules.is_empty() { p { "None." } } @else {
                (table("Exclusion rules", &head, &rows))
                p.note { "Shown: " (data.rules.len()) " of " (number(data.rule_count)) "." }
            }
        }
    }
}

/// Samples of what was left out. They have internal names, which not everybody may see.
fn samples(data: &Data) -> Markup {
    let head = html! {
        th scope="col" { "value" } th scope="col" { "type" } th scope="col" { "reason" }
        th.number scope="col" { "mentions" } th scope="col" { "last left out (UTC)" }
    };
    let rows = html! {
        @for sample in &data.left_out {
            tr {
                th.indicator scope="row" { (text(&sample.value)) }
                td { (sample.indicator_type.map_or("-", IndicatorType::as_str)) }
                td { (text(&sample.reason)) }
                td.number { (number(sample.mentions)) } td { (instant(sample.last_at)) }
            }
        }
    };
    html! {
        h3 { "Samples of what was left out" }
        p.note {
            "Of the latest that each tenant left out: those with the most mentions since they are known to the ledger. "
            code { "collective-insights explain" } " says more about one of them."
        }
        @if data.left_out.is_empty() { p { "None." } } @else {
            (table("Samples of what was left out", &head, &rows))
        }
    }
}

/// Removes the trace id at the end, which differs for each request.
fn without_trace(message: &str) -> &str {
    message.rsplit_once(" (trace ").map_or(message, |(reason, _)| reason)
}

/// Returns what is in quarantine, by status or, with details, by message.
fn rejections(rejections: &[Rejections], with_details: bool) -> Markup {
    let mut reasons: BTreeMap<String, (u64, DateTime<Utc>)> = BTreeMap::new();
    for Rejections { status, message, entries, last } in rejections {
        let reason = match status {
            _ if with_details => text(without_trace(message)),
            Some(status) => format!("rejected with HTTP status {status}"),
            None => "not sent: damaged in the ledger".to_owned(),
        };
        let reason = reasons.entry(reason).or_insert((0, *last));
        *reason = (reason.0 + entries, reason.1.max(*last));
    }
    let all: u64 = reasons.values().map(|reason| reason.0).sum();
    let mut reasons: Vec<_> = reasons.into_iter().collect();
    reasons.sort_by_key(|(_, (entries, _))| std::cmp::Reverse(*entries));
    let head = html! {
        th scope="col" { "reason" } th.wide scope="col" { span.hidden { "share" } }
        th.number scope="col" { "indicators" } th scope="col" { "last (UTC)" }
    };
    let rows = html! {
        @for (reason, (entries, last)) in reasons.iter().take(MAX_REASONS) {
            tr {
                th.free scope="row" { (reason) } td.wide { (bar("c9", *entries, all)) }
                td.number { (number(*entries)) } td { (instant(*last)) }
            }
        }
    };
    html! {
        figure.chart.bars {
            figcaption {
                h3 { "In quarantine, by reason" }
                p.note {
                    "Unit: indicators that are in quarantine now. " code { "collective-insights outbox list --quarantined" } " shows each."
                }
            }
            @if reasons.is_empty() { p { "None." } } @else {
                (table("In quarantine, by reason", &head, &rows))
                @if reasons.len() > MAX_REASONS {
                    p.note { "And " (reasons.len() - MAX_REASONS) " other reasons." }
                }
            }
        }
    }
}
