//! What happened to each alert and to each mention of an indicator: why 800 alerts become 200
//! indicators.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use maud::{Markup, html};

use super::chart::{DayChart, Series, bar};
use super::data::Data;
use super::html::{number, percent, table};
use crate::report::Counts;

/// The outcome of a mention.
struct Outcome {
    name: &'static str,
    class: &'static str,
    meaning: &'static str,
    count: fn(&Counts) -> u64,
}

const QUEUED: &str = "queued";

/// All outcomes, in the order of the chart; each mention has exactly one.
const OUTCOMES: [Outcome; 10] = [
    Outcome {
        name: "sent",
        class: "c1",
        meaning: "accepted by Recorded Future",
        count: |counts| counts.submitted,
    },
    Outcome {
        name: "repeated",
        class: "c2",
        meaning: "the same indicator, or the same alert, as one that is sent, queued, quarantined or dropped; or found in Recorded Future after no response had come",
        count: |counts| counts.tally.indicators_repeated + counts.tally.already_delivered,
    },
    Outcome {
        name: "trusted",
        class: "c3",
        meaning: "files that the vendor trusts (--skip-trusted, --indicator malicious)",
        count: |counts| counts.tally.indicators_trusted,
    },
    Outcome {
        name: "excluded",
        class: "c4",
        meaning: "matched by the exclusion file",
        count: |counts| counts.tally.indicators_excluded,
    },
    Outcome {
        name: "unsupported",
        class: "c5",
        meaning: "of a type that Recorded Future does not take, such as file names",
        count: |counts| counts.tally.indicators_unsupported,
    },
    Outcome {
        name: "invalid",
        class: "c6",
        meaning: "not what the alert says they are, or a hash of nothing",
        count: |counts| counts.tally.indicators_invalid,
    },
    Outcome {
        name: "internal",
        class: "c7",
        meaning: "internal IP addresses and host names",
        count: |counts| counts.tally.indicators_private,
    },
    Outcome {
        name: QUEUED,
        class: "c8",
        meaning: "waiting when the last run ended",
        count: |counts| counts.waiting,
    },
    Outcome {
        name: "quarantined",
        class: "c9",
        meaning: "rejected by Recorded Future, or damaged in the ledger",
        count: |counts| counts.quarantined,
    },
    Outcome {
        name: "not stored",
        class: "c10",
        meaning: "neither sent nor stored, because the ledger failed",
        count: |counts| counts.not_stored,
    },
];

pub(super) fn section(data: &Data) -> Markup {
    let total = data.total();
    html! {
        section #outcomes {
            h2 { "From alerts to indicators" }
            (alerts(&total))
            (mentions(&total))
            (per_day(data))
        }
    }
}

fn alerts(total: &Counts) -> Markup {
    let tally = &total.tally;
    let rows = [
        ("below threshold", "c5", tally.alerts_below_threshold),
        ("dismissed by an analyst", "c4", tally.alerts_dismissed),
        ("unreadable", "c9", tally.alerts_unreadable),
        ("without an indicator", "c2", tally.alerts_without_indicator),
        ("with indicators", "c1", tally.alerts_with_indicator()),
    ];
    figure(
        "Alerts of the period",
        "alerts",
        tally.alerts_fetched,
        &rows.map(|(name, class, count)| (name, class, "", count)),
        &html! {},
    )
}

fn mentions(total: &Counts) -> Markup {
    let all = total.carried_in + total.tally.indicators_found;
    let rows: Vec<_> = OUTCOMES
        .iter()
        .map(|outcome| (outcome.name, outcome.class, outcome.meaning, (outcome.count)(total)))
        .collect();
    let accounted: u64 = rows.iter().map(|row| row.3).sum();
    let note = html! {
        "An alert can mention several indicators, and many alerts mention the same one."
        @if total.carried_in > 0 {
            " " (number(total.carried_in)) " of the mentions were queued before the period."
        }
        @if accounted != all {
            " The rows add up to " (number(accounted.abs_diff(all)))
            @if accounted < all { " fewer" } @else { " more" }
            " mentions than the total: between runs, some were dropped, queued again or found to be delivered, or a run was killed before it could count."
        }
    };
    figure("Mentions of indicators in these alerts", "mentions", all, &rows, &note)
}

/// The name, the class of the color, the meaning and the count of an outcome.
type Row = (&'static str, &'static str, &'static str, u64);

fn figure(title: &str, unit: &str, all: u64, rows: &[Row], note: &Markup) -> Markup {
    let head = html! {
        th scope="col" { "what became of them" } th.wide scope="col" { span.hidden { "share" } }
        th.number scope="col" { (unit) } th.number scope="col" { "percent" }
    };
    let body = html! {
        tr.total { th scope="row" { "all" } td.wide { (bar("all", all, all)) } td.number { (number(all)) } td {} }
        @for (name, class, meaning, count) in rows {
            tr {
                th scope="row" { (name) @if !meaning.is_empty() { small { (meaning) } } }
                td.wide { (bar(class, *count, all)) }
                td.number { (number(*count)) } td.number { (percent(*count, all)) }
            }
        }
    };
    html! {
        figure.chart.bars {
            figcaption { h3 { (title) } p.note { "Unit: " (unit) " in the period. " (note) } }
            (table(title, &head, &body))
        }
    }
}

fn per_day(data: &Data) -> Markup {
    let mut days: BTreeMap<NaiveDate, Counts> = BTreeMap::new();
    for row in &data.rows {
        if let Some(counts) = &row.counts {
            days.entry(row.date).or_default().add(counts);
        }
    }
    let dates = data.dates();
    let series = OUTCOMES.iter().map(|outcome| Series {
        name: outcome.name.to_owned(),
        class: outcome.class,
        values: dates
            .iter()
            .map(|date| days.get(date).map(outcome.count).unwrap_or_default())
            .collect(),
        can_be_summed: outcome.name != QUEUED,
    });
    // An outcome that never occurs needs no color.
    let series = series.filter(|series| series.values.iter().any(|value| *value > 0));
    DayChart {
        id: "outcomes-per-day",
        title: "Mentions per day, by what became of them",
        unit: "mentions",
        note: "A queued mention is counted on every day whose last run left it in the queue.",
        days: &dates,
        series: series.collect(),
        mean: None,
    }
    .render()
}
