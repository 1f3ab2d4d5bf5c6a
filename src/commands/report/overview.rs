//! The numbers at the top of the page.

use maud::{Markup, html};

use super::data::Data;
use super::health::TenantHealth;
use super::html::{change, number};
use crate::report::Counts;

pub(super) fn section(data: &Data, health: &[TenantHealth<'_>]) -> Markup {
    let (total, earlier) = (data.total(), data.earlier_total());
    let earlier = |of: fn(&Counts) -> u64| data.has_earlier().then(|| of(&earlier));
    let sum = |of: fn(&TenantHealth<'_>) -> u64| health.iter().map(of).sum::<u64>();
    let days_without_success = sum(|tenant| tenant.failed) + sum(|tenant| tenant.without_run);
    let queued = data.statuses.iter().map(|status| status.queued).sum();
    let quarantined = data.statuses.iter().map(|status| status.quarantined).sum();
    html! {
        section aria-label="Overview" {
            ul.tiles {
                (tile("indicators shared", total.submitted, earlier(|counts| counts.submitted), &html! {}))
                (tile("unique indicators", data.summary.indicators, None, &html! {
                    @if data.days_with_history() > 0 { (number(data.summary.new)) " new" }
                    @if data.days_with_history() > 0 && !data.is_filtered() { ", " }
                    @if !data.is_filtered() {
                        (number(data.summary.in_several_sources)) " seen by several sources"
                    }
                }))
                (tile(
                    "alerts read",
                    total.tally.alerts_fetched,
                    earlier(|counts| counts.tally.alerts_fetched),
                    &html! {},
                ))
                (tile("days without success", days_without_success, None, &html! {
                    (number(sum(|tenant| tenant.failed))) " failed, "
                    (number(sum(|tenant| tenant.without_run))) " without a run; summed over the tenants"
                }))
                (tile("queued now", queued, None, &html! { "the next run sends them" }))
                (tile("in quarantine now", quarantined, None, &html! { "rejected, or damaged in the ledger" }))
            }
            @if data.has_later_rows() {
                p.note {
                    "Runs dated in the future, by a clock that was wrong, are in the totals but not in the charts."
                }
            }
            @if !data.has_earlier() {
                p.note {
                    "Not compared with the period before: the ledger does not go back that far."
                }
            }
        }
    }
}

fn tile(name: &str, value: u64, before: Option<u64>, note: &Markup) -> Markup {
    html! {
        li {
            span.name { (name) } span.value { (number(value)) }
            span.note { (note) @if let Some(before) = before { (change(value, before)) ", compared with the period before" } }
        }
    }
}
