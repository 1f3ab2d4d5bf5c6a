//! ATT&CK techniques of the delivered indicators, by tactic.

use std::collections::HashSet;

use maud::{Markup, html};

use super::data::Data;
use super::html::{change, number, numbers, text};
use crate::ledger::Technique;
use crate::mitre::{ATTACK_NOTICE, ATTACK_VERSION, TACTICS, TechniqueName};
use crate::report::thousands;

/// A technique, its known name, and its number of submissions in the period before.
struct Cell<'a> {
    technique: &'a Technique,
    name: Option<TechniqueName>,
    before: Option<u64>,
}

pub(super) fn section(data: &Data) -> Markup {
    let cells: Vec<Cell<'_>> = data
        .techniques
        .iter()
        .map(|technique| Cell {
            technique,
            name: TechniqueName::find(&technique.code),
            before: data
                .has_earlier()
                .then(|| data.earlier_techniques.get(&technique.code).copied().unwrap_or_default()),
        })
        .collect();
    let largest = cells.iter().map(|cell| cell.technique.submissions).max().unwrap_or_default();
    let unknown: Vec<_> = cells.iter().filter(|cell| cell.name.is_none()).collect();
    html! {
        section #attack {
            h2 { "ATT&CK techniques" }
            figure.chart {
                figcaption {
                    h3 { "Techniques by tactic" }
                    p.note {
                        "Unit: submissions that name the technique, with the change since the period before; the stronger the color, the more. A technique is shown under each tactic that it belongs to. Names of ATT&CK " (ATTACK_VERSION) "."
                    }
                }
                @if cells.is_empty() { p { "No indicator of the period came with a technique." } }
                dl.matrix {
                    @for (code, tactic) in TACTICS {
                        @let of_tactic: Vec<_> = cells.iter().filter(|cell| cell.name.is_some_and(|name| name.is_of(code))).collect();
                        (row(tactic, &of_tactic, largest))
                    }
                    (row("Not in this version of ATT&CK", &unknown, largest))
                }
                (trend(data, &cells))
            }
            p.note { (ATTACK_NOTICE) }
        }
    }
}

fn row(tactic: &str, cells: &[&Cell<'_>], largest: u64) -> Markup {
    html! {
        @if !cells.is_empty() {
            dt { (tactic) }
            dd { ul { @for cell in cells { (heat(cell, largest)) } } }
        }
    }
}

/// Returns a cell whose color says how many there are. It is SVG: a browser does not print
/// backgrounds.
fn heat(cell: &Cell<'_>, largest: u64) -> Markup {
    let count = cell.technique.submissions;
    // By the root: one frequent technique does not make all others look alike.
    let strength = (count.saturating_mul(10_000) / largest.max(1)).isqrt().min(100);
    html! {
        li {
            svg.heat aria-hidden="true" {
                rect.rail width="100%" height="100%" {}
                rect.c1 width="100%" height="100%" fill-opacity={ "0." (format!("{:02}", strength * 3 / 5)) } {}
            }
            span.code { (text(&cell.technique.code)) }
            @if let Some(name) = cell.name { span.name { (name.name) } }
            span.count { (thousands(count)) }
            @if let Some(before) = cell.before { (change(count, before)) }
        }
    }
}

/// Returns the numbers, also of techniques that only the period before had.
fn trend(data: &Data, cells: &[Cell<'_>]) -> Markup {
    let has_earlier = data.has_earlier();
    let known: HashSet<&String> = cells.iter().map(|cell| &cell.technique.code).collect();
    let is_gone = |code: &&String| has_earlier && !known.contains(code);
    let mut gone: Vec<&String> = data.earlier_techniques.keys().filter(is_gone).collect();
    gone.sort_unstable();
    let now =
        cells.iter().map(|cell| (&cell.technique.code, cell.technique.submissions, cell.name));
    let gone = gone.into_iter().map(|code| (code, 0, TechniqueName::find(code)));
    let head = html! {
        th scope="col" { "technique" } th.number scope="col" { "submissions" }
        @if has_earlier { th.number scope="col" { "period before" } th scope="col" { "change" } }
    };
    let rows = html! {
        @for (code, submissions, name) in now.chain(gone) {
            tr {
                th scope="row" {
                    (text(code))
                    @if let Some(name) = name { " " (name.name) }
                }
                td.number { (number(submissions)) }
                @if has_earlier {
                    @let before = data.earlier_techniques.get(code).copied().unwrap_or_default();
                    td.number { (number(before)) } td { (change(submissions, before)) }
                }
            }
        }
    };
    numbers("techniques, and the period before", &head, &rows)
}
