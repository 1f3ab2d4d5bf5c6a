//! Whether runs succeed: a strip of days for each tenant, and what is wrong now.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use maud::{Markup, html};

use super::data::Data;
use super::html::{instant, length, number, optional_instant, table, text};
use crate::commands::days::{Day, midnight};
use crate::commands::tenants::InFile;
use crate::failure::FailureKind;
use crate::ledger::{Run, TenantStatus};

/// The tenants that have a strip; the table has all of them.
const MAX_STRIPS: usize = 30;
/// The failed runs whose errors are listed.
const MAX_FAILED: usize = 30;

/// The height of a day in a strip, and its width.
const HEIGHT: u32 = 20;
const WIDTH: u32 = 10;

/// What became of a tenant's runs on a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DayState {
    Succeeded,
    Failed,
    WithoutRun,
    /// It had not run before, or it is today, and its run may be yet to come.
    NotExpected,
}

/// How the runs of one tenant went.
pub(super) struct TenantHealth<'a> {
    tenant: &'a str,
    source: &'a str,
    strip: Vec<DayState>,
    succeeded: u64,
    pub failed: u64,
    pub without_run: u64,
    longest_gap: TimeDelta,
    status: Option<&'a TenantStatus>,
}

impl<'a> TenantHealth<'a> {
    fn new(data: &'a Data, tenant: &'a str, source: &'a str) -> Self {
        let rows: BTreeMap<NaiveDate, &Day> = data
            .rows
            .iter()
            .filter(|row| row.tenant == tenant)
            .map(|row| (row.date, row))
            .collect();
        let strip: Vec<_> = data.dates().iter().map(|day| state(rows.get(day).copied())).collect();
        let count = |state| {
            let days = strip.iter().filter(|other| **other == state);
            u64::try_from(days.count()).unwrap_or(u64::MAX)
        };
        Self {
            tenant,
            source,
            succeeded: count(DayState::Succeeded),
            failed: count(DayState::Failed),
            without_run: count(DayState::WithoutRun),
            longest_gap: longest_gap(&data.runs, tenant, midnight(data.since), data.now),
            strip,
            status: data.statuses.iter().find(|status| status.tenant == tenant),
        }
    }

    /// Whether the strip shows that all is well.
    fn is_well(&self) -> bool {
        self.failed == 0 && self.without_run == 0
    }
}

fn state(row: Option<&Day>) -> DayState {
    match row {
        None => DayState::NotExpected,
        Some(row) if row.all_succeeded => DayState::Succeeded,
        Some(row) if row.runs > 0 => DayState::Failed,
        Some(_) => DayState::WithoutRun,
    }
}

/// Returns the longest time between two successful runs, from the first run or the start of the
/// period to now.
fn longest_gap(runs: &[Run], tenant: &str, start: DateTime<Utc>, now: DateTime<Utc>) -> TimeDelta {
    let of_tenant = || runs.iter().filter(|run| run.tenant == tenant);
    let first = of_tenant().map(|run| run.started_at).min().unwrap_or(now);
    let mut last = first.max(start);
    let mut longest = TimeDelta::zero();
    let successes = of_tenant().filter(|run| run.exit_code == Some(0));
    for time in successes.filter_map(|run| run.finished_at).filter(|time| *time <= now).chain([now])
    {
        longest = longest.max(time - last);
        last = last.max(time);
    }
    longest
}

/// Returns how the runs of each tenant went, those with failures first.
pub(super) fn tenants(data: &Data) -> Vec<TenantHealth<'_>> {
    let mut tenants: Vec<_> = data
        .tenants
        .iter()
        .filter(|tenant| !tenant.never_ran)
        .map(|tenant| TenantHealth::new(data, &tenant.name, &tenant.source))
        .collect();
    tenants.sort_by_key(|tenant| std::cmp::Reverse(tenant.failed + tenant.without_run));
    tenants
}

pub(super) fn section(data: &Data, with_details: bool) -> Markup {
    let tenants = tenants(data);
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
                div.strips { @for tenant in tenants.iter().take(MAX_STRIPS) { (strip(data, tenant)) } }
                @if tenants.len() > MAX_STRIPS {
                    p.note { "The other " (tenants.len() - MAX_STRIPS) " tenants are in the table." }
                }
                @if tenants.is_empty() { p { "No tenant has run." } }
            }
            (status_table(&tenants))
            (notes(data, &tenants))
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

fn strip(data: &Data, tenant: &TenantHealth<'_>) -> Markup {
    let label = format!(
        "{}: {} days succeeded, {} failed, {} without a run",
        text(tenant.tenant),
        tenant.succeeded,
        tenant.failed,
        tenant.without_run
    );
    let width = data.days * WIDTH;
    html! {
        span.name { (text(tenant.tenant)) }
        svg.strip role="img" aria-label=(label) viewBox={ "0 0 " (width) " " (HEIGHT) } preserveAspectRatio="none" {
            title { (label) }
            @for ((day, state), x) in data.dates().iter().zip(&tenant.strip).zip((0..).step_by(10)) {
                @let (class, word) = words(*state);
                g {
                    title { (day) ": " (word) }
                    (cell(*state, x, WIDTH - 2, class))
                }
            }
        }
    }
}

const fn words(state: DayState) -> (&'static str, &'static str) {
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
        th.number scope="col" { "waiting" } th.number scope="col" { "in quarantine" }
        th.number scope="col" { "sent today with its key" }
    };
    let rows = html! {
        @for tenant in tenants {
            tr class=[(!tenant.is_well()).then_some("problem")] {
                th scope="row" { (text(tenant.tenant)) } td { (text(tenant.source)) }
                td.number { (number(tenant.succeeded)) } td.number { (number(tenant.failed)) }
                td.number { (number(tenant.without_run)) }
                td.number { (length(tenant.longest_gap)) }
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

/// What somebody has to look at.
fn notes(data: &Data, tenants: &[TenantHealth<'_>]) -> Markup {
    let never_ran = data
        .tenants
        .iter()
        .filter(|tenant| tenant.never_ran && tenant.in_file == Some(InFile::Enabled));
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
                        " were never read. " code { "collective-insights status" } " says how to read them."
                    }
                }
                @if let Some(warning) = status.quiet_warning() {
                    li { strong { (text(&status.tenant)) } ": " (text(&warning)) "." }
                }
                @if let Some(oldest) = status.oldest_queued {
                    li {
                        strong { (text(&status.tenant)) } ": " (number(status.queued))
                        " indicators wait for the next run, the oldest since " (instant(oldest)) "."
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
    let is_failed = |run: &&Run| run.started_at >= since && run.exit_code != Some(0);
    let failed: Vec<&Run> = data.runs.iter().rev().filter(is_failed).collect();
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

/// The failed runs by their result. They are in the order of time, the last first.
fn results(failed: &[&Run]) -> Markup {
    let mut results: Vec<(String, u64, &Run)> = Vec::new();
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

fn errors(failed: &[&Run]) -> Markup {
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

fn result(run: &Run) -> String {
    let Some(code) = run.exit_code else {
        return "did not end: it was killed, or is still running".to_owned();
    };
    let kind = FailureKind::ALL.into_iter().find(|kind| i32::from(kind.exit_code()) == code);
    let description = kind.map_or("unknown", FailureKind::description);
    format!("exit code {code}: {description}")
}
