//! The section on shared indicators: per day by source and by type.

use std::collections::BTreeMap;

use chrono::{Days, NaiveDate};
use maud::{Markup, html};

use super::chart::{DayChart, Mean, Series};
use super::data::Data;
use crate::indicator::IndicatorType;

/// The colors of the series.
const CLASSES: [&str; 4] = ["c1", "c2", "c3", "c4"];

pub(super) fn section(data: &Data) -> Markup {
    html! {
        section #shared {
            h2 { "Indicators shared" }
            (by_source(data))
            (by_type(data))
        }
    }
}

/// Returns a chart by source, with the numbers that the command `history` shows: by the day on
/// which the run started.
fn by_source(data: &Data) -> Markup {
    let mut sources: BTreeMap<&str, BTreeMap<NaiveDate, u64>> = BTreeMap::new();
    let mut all: BTreeMap<NaiveDate, u64> = BTreeMap::new();
    for day in data.earlier_rows.iter().chain(&data.rows) {
        let sent = day.count(|counts| counts.submitted);
        *sources.entry(&day.source).or_default().entry(day.date).or_default() += sent;
        *all.entry(day.date).or_default() += sent;
    }
    let days = data.dates();
    let series =
        sources.iter().zip(CLASSES.iter().cycle()).map(|((source, by_day), class)| Series {
            name: super::html::text(source),
            class,
            values: days.iter().map(|day| by_day.get(day).copied().unwrap_or_default()).collect(),
            can_be_summed: true,
        });
    DayChart {
        id: "by-source",
        title: "Indicators shared per day, by source",
        unit: "indicators",
        note: "By the day on which the run started.",
        days: &days,
        series: series.collect(),
        mean: mean(data, data.first_run_day(), |day| all.get(&day).copied().unwrap_or_default()),
    }
    .render()
}

/// Returns a chart by type, by the day of the delivery.
fn by_type(data: &Data) -> Markup {
    let days = data.dates();
    let value = |day, indicator_type| {
        data.deliveries.get(&(day, indicator_type)).copied().unwrap_or_default()
    };
    let series =
        IndicatorType::ALL.into_iter().zip(CLASSES).map(|(indicator_type, class)| Series {
            name: indicator_type.as_str().to_owned(),
            class,
            values: days.iter().map(|day| value(*day, indicator_type)).collect(),
            can_be_summed: true,
        });
    let all = |day| IndicatorType::ALL.into_iter().map(|one| value(day, one)).sum();
    DayChart {
        id: "by-type",
        title: "Indicators shared per day, by type",
        unit: "indicators",
        note: "By the day on which Recorded Future confirmed them: also those of a run that was killed, and those that were found in Recorded Future later.",
        days: &days,
        series: series.collect(),
        mean: mean(data, data.deliveries_known_since(), all),
    }
    .render()
}

/// Returns what the mean of seven days needs: the numbers of the six days before the period, and
/// the first day whose numbers are known.
fn mean(
    data: &Data,
    known_since: Option<NaiveDate>,
    value: impl Fn(NaiveDate) -> u64,
) -> Option<Mean> {
    let known_since = known_since?;
    let before = [6, 5, 4, 3, 2, 1].map(|days| value(data.since - Days::new(days)));
    Some(Mean { before, known_since })
}
