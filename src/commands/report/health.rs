//! The section on health: a bar with one cell per day for each tenant, and current problems.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use maud::{Markup, html};

use super::data::Data;
use super::html::{instant, number, optional_instant, table, text};
use crate::commands::days::{Day, has_failed, midnight};
use crate::commands::tenants::{KnownTenant, SettingsEntry};
use crate::failure::FailureKind;
use crate::ledger::{RunRecord, TenantStatus};
use crate::report::duration;

/// How many tenants have a bar; the table has all of them.
const MAX_BARS: usize = 30;
/// How many failed runs are listed with their errors.
const MAX_FAILED: usize = 30;

/// The size of the cell of a day, in units of the SVG.
const HEIGHT: u32 = 20;
const WIDTH: u32 = 10;

/// The result of the runs of a tenant on one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DayState {
    Succeeded,
    Failed,
    WithoutRun,
    /// No run was due (before the first run, today, or a tenant that the settings file leaves out),
    /// or it is still running.
    NotExpected,
}

/// The results of the runs of one tenant.
pub(super) struct TenantHealth<'a> {
    tenant: &'a KnownTenant,
    /// One state per day of the period, the oldest first.
    days: Vec<DayState>,
    /// The numbers of days that succeeded, failed, and had no run although one was expected.
    succeeded: u64,
    pub failed: u64,
    pub without_run: u64,
    longest_without_success: TimeDelta,
    status: Option<&'a TenantStatus>,
}

impl<'a> TenantHealth<'a> {
    fn new(data: &'a Data, tenant: &'a KnownTenant, rows: &[&Day], runs: &[&RunRecord]) -> Self {
        let rows: BTreeMap<NaiveDate, &Day> = rows.iter().map(|row| (row.date, *row)).collect();
        let first = data.first_runs.get(&tenant.name);
        let today = data.now.date_naive();
        let is_expected = |day: NaiveDate| {
            day < today && !is_left_out(tenant) && first.is_some_and(|run| run.date_naive() < day)
        };
        let state = |day| match rows.get(&day) {
            Some(row) if row.all_succeeded => DayState::Succeeded,
            Some(row) if row.has_failed => DayState::Failed,
            // A run of that day is still running.
            Some(row) if row.runs > 0 => DayState::NotExpected,
            _ if is_expected(day) => DayState::WithoutRun,
            _ => DayState::NotExpected,
        };
        let days: Vec<_> = data.dates().into_iter().map(state).collect();
        let count = |state| {
            let matching = days.iter().filter(|other| **other == state);
            u64::try_from(matching.count()).unwrap_or(u64::MAX)
        };
        let start = first.map_or(data.now, |first| (*first).max(midnight(data.since)));
        Self {
            tenant,
            succeeded: count(DayState::Succeeded),
            failed: count(DayState::Failed),
            without_run: count(DayState::WithoutRun),
            longest_without_success: longest_without_success(runs, start, data.now),
            days,
            status: data.statuses.iter().find(|status| status.tenant == tenant.name),
        }
    }

    /// Whether each expected run took place and succeeded.
    fn is_well(&self) -> bool {
        self.failed == 0 && self.without_run == 0
    }

    /// Returns the name, with a note if it is not enabled in the settings file.
    fn name(&self) -> String {
        let note = self.tenant.settings_entry.and_then(SettingsEntry::note);
        let name = text(&self.tenant.name);
        note.map_or(name.clone(), |note| format!("{name} ({note})"))
    }
}

/// Whether no run of the tenant is expected, because the settings file does not enable it.
fn is_left_out(tenant: &KnownTenant) -> bool {
    matches!(tenant.settings_entry, Some(SettingsEntry::Disabled | SettingsEntry::Absent))
}

/// Returns the longest time between `start` and `now` in which no run ended successfully.
fn longest_without_success(
    runs: &[&RunRecord],
    start: DateTime<Utc>,
    now: DateTime<Utc>,
) -> TimeDelta {
    let successes = runs.iter().filter(|run| run.exit_code == Some(0));
    let times = successes.filter_map(|run| run.finished_at).filter(|time| *time <= now);
    let (mut last, mut longest) = (start, TimeDelta::zero());
    for time in times.chain([now]) {
        longest = longest.max(time - last);
        last = last.max(time);
    }
    longest
}

/// Returns the health of each tenant that has run, those with the most days without success first.
pub(super) fn tenants<'a>(data: &'a Data) -> Vec<TenantHealth<'a>> {
    let (mut rows, mut runs) = (HashMap::<_, Vec<_>>::new(), HashMap::<_, Vec<_>>::new());
    for row in &data.rows {
        rows.entry(row.tenant.as_str()).or_default().push(row);
    }
    for run in &data.runs {
        runs.entry(run.tenant.as_str()).or_default().push(run);
    }
    let health = |tenant: &'a KnownTenant| {
        let (rows, runs) = (rows.get(tenant.name.as_str()), runs.get(tenant.name.as_str()));
        let (rows, runs) = (rows.map(Vec::as_slice), runs.map(Vec::as_slice));
        TenantHealth::new(data, tenant, rows.unwrap_or_default(), runs.unwrap_or_default())
    };
    let mut tenants: Vec<_> =
        data.tenants.iter().filter(|tenant| !tenant.never_ran).map(health).collect();
    tenants.sort_by_key(|tenant| Reverse(tenant.failed + tenant.without_run));
    tenants
}

pub(super) fn section(data: &Data, tenants: &[TenantHealth<'_>], with_details: bool) -> Markup {
    html! {
        section #health {
            h2 { "Health" }
            figure.chart {
                figcaption {
                    h3 { "Days by the result of their runs" }
                    p.note {
                        "Unit: UTC days, a row for each tenant. A day succeeded if all its runs did."
                    }
                }
                ul.legend {
                    (legend("ok", DayState::Succeeded, "succeeded"))
                    (legend("bad", DayState::Failed, "failed"))
                    (legend("none", DayState::WithoutRun, "without a run"))
                }
                div.daybars { @for tenant in tenants.iter().take(MAX_BARS) { (bar(data, tenant)) } }
                @if tenants.len() > MAX_BARS {
                    p.note { "The other " (tenants.len() - MAX_BARS) " tenants are in the table." }
                }
                @if tenants.is_empty() { p { "No tenant has run." } }
            }
            (status_table(tenants))
            (notes(data, tenants))
            (failed_runs(data, with_details))
        }
    }
}

fn legend(class: &str, state: DayState, name: &str) -> Markup {
    html! {
        li {
            svg.swatch viewBox={ "0 0 " (HEIGHT) " " (HEIGHT) } aria-hidden="true" {
                (cell(state, 0, HEIGHT, class))
            }
            (name)
        }
    }
}

fn cell(state: DayState, x: u32, width: u32, class: &str) -> Markup {
    // Different shapes: colors alone do not tell them apart for everybody, and not on paper.
    let (y, height) = match state {
        DayState::Succeeded => (0, HEIGHT),
        DayState::Failed => (0, HEIGHT / 2),
        DayState::WithoutRun => (HEIGHT - 3, 3),
        DayState::NotExpected => return html! {},
    };
    html! { rect class=(class) x=(x) y=(y) width=(width) height=(height) {} }
}

fn bar(data: &Data, tenant: &TenantHealth<'_>) -> Markup {
    let label = format!(
        "{}: {} days succeeded, {} failed, {} without a run",
        tenant.name(),
        tenant.succeeded,
        tenant.failed,
        tenant.without_run
    );
    let width = data.days * WIDTH;
    html! {
        span.name { (tenant.name()) }
        svg.daybar role="img" aria-label=(label) viewBox={ "0 0 " (width) " " (HEIGHT) } preserveAspectRatio="none" {
            title { (label) }
            @for ((day, state), x) in data.dates().iter().zip(&tenant.days).zip(positions()) {
                @let (class, label) = class_and_label(*state);
                @if *state != DayState::NotExpected {
                    g {
                        title { (day) ": " (label) }
                        (cell(*state, x, WIDTH - 2, class))
                    }
                }
            }
        }
    }
}

/// Returns the horizontal position of each day.
fn positions() -> impl Iterator<Item = u32> {
    std::iter::successors(Some(0), |x| Some(x + WIDTH))
}

const fn class_and_label(state: DayState) -> (&'static str, &'static str) {
    match state {
        DayState::Succeeded => ("ok", "succeeded"),
        DayState::Failed => ("bad", "failed"),
        DayState::WithoutRun => ("none", "without a run"),
        DayState::NotExpected => ("", ""),
    }
}

fn status_table(tenants: &[TenantHealth<'_>]) -> Markup {
    let head = html! {
        th scope="col" { "tenant" } th scope="col" { "source" }
        th.number scope="col" { "days succeeded" } th.number scope="col" { "failed" }
        th.number scope="col" { "without a run" }
        th.number scope="col" { "longest time without success" }
        th scope="col" { "last success (UTC)" } th scope="col" { "alerts read up to (UTC)" }
        th.number scope="col" { "queued" } th.number scope="col" { "in quarantine" }
        th.number scope="col" { "sent today with its API key" }
    };
    let rows = html! {
        @for tenant in tenants {
            tr class=[(!tenant.is_well()).then_some("problem")] {
                th scope="row" { (tenant.name()) } td { (text(&tenant.tenant.source)) }
                td.number { (number(tenant.succeeded)) } td.number { (number(tenant.failed)) }
                td.number { (number(tenant.without_run)) }
                td.number { (duration(tenant.longest_without_success.to_std().unwrap_or_default())) }
                @if let Some(status) = tenant.status {
                    td { (optional_instant(status.last_success)) }
                    td { (optional_instant(status.read_until)) }
                    td.number { (number(status.queued)) } td.number { (number(status.quarantined)) }
                    td.number { (number(status.used_today)) }
                }
            }
        }
    };
    table("Health of each tenant", &head, &rows)
}

/// Returns what is notable now: problems that a person has to solve, and what is queued.
fn notes(data: &Data, tenants: &[TenantHealth<'_>]) -> Markup {
    let never_ran = data
        .tenants
        .iter()
        .filter(|tenant| tenant.never_ran && tenant.settings_entry == Some(SettingsEntry::Enabled));
    let never_ran: Vec<String> = never_ran.map(|tenant| text(&tenant.name)).collect();
    let statuses = || tenants.iter().filter_map(|tenant| tenant.status);
    html! {
        ul.notes {
            @if !never_ran.is_empty() { li { "Enabled in the settings file, but never ran: " (never_ran.join(", ")) "." } }
            @for status in statuses() {
                @for gap in &status.gaps {
                    li {
                        strong { (text(&status.tenant)) }
                        ": alerts from " (instant(gap.start)) " to " (instant(gap.end))
                        " were never read. " code { "collective-insights status" } " shows how to read them."
                    }
                }
                @if let Some(warning) = status.no_alerts_warning() {
                    li { strong { (text(&status.tenant)) } ": " (text(&warning)) "." }
                }
                @if let Some(oldest) = status.oldest_queued {
                    li {
                        strong { (text(&status.tenant)) } ": " (number(status.queued))
                        " indicators are queued, the oldest since " (instant(oldest)) "."
                    }
                }
                @if status.is_checkpoint_in_future {
                    li {
                        strong { (text(&status.tenant)) }
                        ": its checkpoint is in the future. " code { "collective-insights checkpoint reset" } " sets it back."
                    }
                }
            }
        }
    }
}

fn failed_runs(data: &Data, with_details: bool) -> Markup {
    let since = midnight(data.since);
    let is_failed = |run: &&RunRecord| run.started_at >= since && has_failed(run, data.now);
    let failed: Vec<&RunRecord> = data.runs.iter().rev().filter(is_failed).collect();
    if failed.is_empty() {
        return html! {};
    }
    html! {
        h3 { "Runs that failed" }
        (results(&failed))
        @if with_details {
            (errors(&failed))
        } @else {
            p.note { code { "collective-insights history --runs" } " lists each with its error." }
        }
    }
}

/// Counts failed runs by their result. `failed` has the latest first.
fn results(failed: &[&RunRecord]) -> Markup {
    let mut results: Vec<(String, u64, &RunRecord)> = Vec::new();
    for run in failed {
        let result = result(run);
        match results.iter_mut().find(|(known, ..)| *known == result) {
            Some((_, runs, _)) => *runs += 1,
            None => results.push((result, 1, run)),
        }
    }
    let head = html! {
        th scope="col" { "result" } th.number scope="col" { "runs" }
        th scope="col" { "last (UTC)" }
    };
    let rows = html! {
        @for (result, runs, last) in &results {
            tr {
                th scope="row" { (result) } td.number { (number(*runs)) }
                td { (instant(last.started_at)) " " (text(&last.tenant)) }
            }
        }
    };
    table("Runs that failed, by result", &head, &rows)
}

fn errors(failed: &[&RunRecord]) -> Markup {
    let head = html! {
        th scope="col" { "started (UTC)" } th scope="col" { "tenant" } th scope="col" { "error" }
    };
    let rows = html! {
        @for run in failed.iter().take(MAX_FAILED) {
            tr {
                td { (instant(run.started_at)) } td { (text(&run.tenant)) }
                td.free { (run.error.as_deref().map(text).unwrap_or_default()) }
            }
        }
    };
    html! {
        (table("Errors of the runs that failed", &head, &rows))
        @if failed.len() > MAX_FAILED {
            p.note {
                "And " (failed.len() - MAX_FAILED) " earlier ones: " code { "collective-insights history --runs" } " lists all."
            }
        }
    }
}

fn result(run: &RunRecord) -> String {
    let Some(code) = run.exit_code else {
        return "did not end: it was killed".to_owned();
    };
    let kind = FailureKind::ALL.into_iter().find(|kind| i32::from(kind.exit_code()) == code);
    let description = kind.map_or("unknown", FailureKind::description);
    format!("exit code {code}: {description}")
}
