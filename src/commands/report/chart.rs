//! The charts: inline SVG that stretches to the width of the page. The labels are HTML, so that
//! they have the same size on a phone and on paper.

use chrono::{Days, NaiveDate};
use maud::{Markup, html};

use super::html::{date, number, numbers, tenths};
use crate::report::{counted, thousands};

/// The height of a chart in its own units.
const HEIGHT: u64 = 1000;
/// The width of a day in these units, and of its bar.
const DAY: u64 = 100;
const BAR: u64 = 84;

/// A number for each day.
pub(super) struct Series {
    pub name: String,
    /// The class that gives it its color.
    pub class: &'static str,
    pub values: Vec<u64>,
    /// Whether the days can be summed. Not for a queue, where an indicator can be for days.
    pub can_be_summed: bool,
}

impl Series {
    fn sum(&self) -> Option<u64> {
        self.can_be_summed.then(|| self.values.iter().sum())
    }
}

/// A bar for each day, with the series on top of each other.
pub(super) struct DayChart<'a> {
    /// Unique in the page.
    pub id: &'a str,
    pub title: &'a str,
    /// The unit, in the plural.
    pub unit: &'a str,
    /// A note for the reader.
    pub note: &'a str,
    pub days: &'a [NaiveDate],
    pub series: Vec<Series>,
    /// The days before, for the mean of seven days; `None` draws none.
    pub mean: Option<Mean>,
}

/// The numbers before the first day that the mean of seven days needs.
pub(super) struct Mean {
    /// The sums of the six days before.
    pub before: [u64; 6],
    /// The first day that is known; the mean starts six days later.
    pub known_since: NaiveDate,
}

impl DayChart<'_> {
    pub(super) fn render(&self) -> Markup {
        let totals = self.totals();
        let means = self.means(&totals);
        let scale = round_up(totals.iter().copied().max().unwrap_or_default());
        let (title, description) = (format!("{}-title", self.id), format!("{}-desc", self.id));
        html! {
            figure.chart id=(self.id) {
                figcaption {
                    h3 { (self.title) }
                    p.note { "Unit: " (self.unit) " per day (UTC). " (self.note) }
                }
                (legend(&self.series, self.mean.is_some()))
                div.plot {
                    div.y aria-hidden="true" {
                        span { (thousands(scale)) } span { (thousands(scale / 2)) } span { "0" }
                    }
                    svg role="img" aria-labelledby={ (title) " " (description) }
                        viewBox={ "0 0 " (width(self.days)) " " (HEIGHT) } preserveAspectRatio="none" {
                        title id=(title) { (self.title) }
                        desc id=(description) { (self.description(&totals)) }
                        @for line in [0, HEIGHT / 2, HEIGHT] {
                            line.grid x1="0" x2=(width(self.days)) y1=(line) y2=(line) {}
                        }
                        @for (index, x) in (0..self.days.len()).zip(positions(0)) {
                            (self.bar(index, x, scale, totals.get(index).copied().unwrap_or_default()))
                        }
                        @if let Some(means) = &means {
                            polyline.halo points=(points(means, scale)) {}
                            polyline.mean points=(points(means, scale)) {}
                        }
                    }
                    div.x aria-hidden="true" { @for day in marks(self.days) { span { (day) } } }
                }
                (self.table(&totals, means.as_deref()))
            }
        }
    }

    fn totals(&self) -> Vec<u64> {
        let of_day = |index| self.series.iter().filter_map(|series| series.values.get(index)).sum();
        (0..self.days.len()).map(of_day).collect()
    }

    /// Returns the mean of the seven days up to each day, in tenths; `None` for a day before which
    /// not all are known.
    fn means(&self, totals: &[u64]) -> Option<Vec<Option<u64>>> {
        let Mean { before, known_since } = self.mean.as_ref()?;
        let all: Vec<u64> = before.iter().chain(totals).copied().collect();
        let mean = |(week, day): (&[u64], &NaiveDate)| {
            (*day - Days::new(6) >= *known_since).then(|| (week.iter().sum::<u64>() * 10 + 3) / 7)
        };
        Some(all.windows(7).zip(self.days).map(mean).collect())
    }

    fn description(&self, totals: &[u64]) -> String {
        let highest = self.days.iter().zip(totals).max_by_key(|(_, total)| **total);
        let highest = highest
            // The total of a day includes the queue, which the sum does not.
            .filter(|(_, total)| {
                **total > 0 && self.series.iter().all(|series| series.can_be_summed)
            })
            .map(|(day, total)| format!(" The highest day is {day} with {}.", thousands(*total)));
        let sums = self.series.iter().filter_map(|series| Some((series, series.sum()?)));
        let series =
            sums.clone().map(|(series, sum)| format!(", {} {}", series.name, thousands(sum)));
        format!(
            "{} {} in {}{}.{}",
            thousands(sums.map(|(_, sum)| sum).sum()),
            self.unit,
            counted(u64::try_from(self.days.len()).unwrap_or(u64::MAX), "day", "days"),
            series.collect::<String>(),
            highest.unwrap_or_default(),
        )
    }

    fn bar(&self, index: usize, x: u64, scale: u64, total: u64) -> Markup {
        let mut top = HEIGHT;
        let parts = self.series.iter().filter_map(|series| {
            let value = series.values.get(index).copied().filter(|value| *value > 0)?;
            Some((series, value))
        });
        let parts: Vec<_> = parts
            .map(|(series, value)| {
                // At least a line is visible.
                let height = (value * HEIGHT / scale).max(4).min(top);
                top -= height;
                (series, value, top, height)
            })
            .collect();
        let day = self.days.get(index);
        html! {
            g {
                title {
                    @if let Some(day) = day { (day) ": " } (thousands(total)) " " (self.unit)
                    @for (series, value, ..) in &parts { ", " (series.name) " " (thousands(*value)) }
                }
                rect.hover x=(x) y="0" width=(DAY) height=(HEIGHT) {}
                @for (series, _, y, height) in &parts {
                    rect class=(series.class) x=(x + (DAY - BAR) / 2) y=(y) width=(BAR) height=(height) {}
                }
            }
        }
    }

    fn table(&self, totals: &[u64], means: Option<&[Option<u64>]>) -> Markup {
        let head = html! {
            th scope="col" { "day (UTC)" }
            @for series in &self.series { th.number scope="col" { (series.name) } }
            th.number scope="col" { "all" }
            @if means.is_some() { th.number scope="col" { "mean of 7 days" } }
        };
        let rows = html! {
            @for (index, day) in self.days.iter().enumerate() {
                tr {
                    th scope="row" { (date(*day)) }
                    @for series in &self.series {
                        td.number { (number(series.values.get(index).copied().unwrap_or_default())) }
                    }
                    td.number { (number(totals.get(index).copied().unwrap_or_default())) }
                    @if let Some(mean) = means.and_then(|means| means.get(index)) {
                        td.number { (mean.map_or_else(|| "-".to_owned(), tenths)) }
                    }
                }
            }
        };
        numbers(self.title, &head, &rows)
    }
}

fn width(days: &[NaiveDate]) -> u64 {
    u64::try_from(days.len()).unwrap_or(u64::MAX).saturating_mul(DAY)
}

/// Returns the horizontal position of each day; `first` is that of the first one.
fn positions(first: u64) -> impl Iterator<Item = u64> {
    std::iter::successors(Some(first), |x| Some(x + DAY))
}

/// Returns the first, the middle and the last day.
fn marks(days: &[NaiveDate]) -> Vec<NaiveDate> {
    let mut marks: Vec<_> = [days.first(), days.get(days.len() / 2), days.last()]
        .into_iter()
        .flatten()
        .copied()
        .collect();
    marks.dedup();
    marks
}

/// Returns the points of a line through the middle of each day. The values are in tenths.
fn points(tenths: &[Option<u64>], scale: u64) -> String {
    let point = |(x, value): (u64, &Option<u64>)| {
        Some(format!("{x},{}", HEIGHT.saturating_sub((*value)? * HEIGHT / (scale * 10))))
    };
    positions(DAY / 2).zip(tenths).filter_map(point).collect::<Vec<_>>().join(" ")
}

/// Returns the end of an axis: even, and at least this number.
fn round_up(largest: u64) -> u64 {
    let mut unit = 1;
    loop {
        for step in [2, 3, 4, 5, 6, 8, 10, 12, 15] {
            let end = step * unit;
            if largest <= end && end % 2 == 0 {
                return end;
            }
        }
        unit *= 10;
    }
}

fn legend(series: &[Series], has_mean: bool) -> Markup {
    html! {
        ul.legend {
            @for series in series {
                li {
                    (swatch(series.class)) (series.name)
                    @if let Some(sum) = series.sum() { " " (number(sum)) }
                }
            }
            @if has_mean {
                li {
                    svg.swatch viewBox="0 0 10 10" aria-hidden="true" {
                        line.mean x1="0" x2="10" y1="5" y2="5" {}
                    }
                    "mean of seven days"
                }
            }
        }
    }
}

/// Returns a square in the color of a class.
pub(super) fn swatch(class: &str) -> Markup {
    html! {
        svg.swatch viewBox="0 0 10 10" aria-hidden="true" { rect class=(class) width="10" height="10" {} }
    }
}

/// Returns a bar whose share of the width is that of `part` in `whole`.
pub(super) fn bar(class: &str, part: u64, whole: u64) -> Markup {
    let permille = part.saturating_mul(1000).checked_div(whole).unwrap_or_default().min(1000);
    let permille = if part > 0 { permille.max(3) } else { 0 };
    html! {
        svg.bar aria-hidden="true" {
            rect.rail width="100%" height="100%" {}
            rect class=(class) width={ (tenths(permille)) "%" } height="100%" {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(count: usize) -> Vec<NaiveDate> {
        NaiveDate::from_ymd_opt(2026, 11, 1).unwrap().iter_days().take(count).collect()
    }

    fn chart(days: &[NaiveDate], values: &[&[u64]]) -> String {
        chart_known_since("2026-10-26", days, values)
    }

    fn chart_known_since(known_since: &str, days: &[NaiveDate], values: &[&[u64]]) -> String {
        let series = values.iter().enumerate().map(|(index, values)| Series {
            name: format!("<{index}>"),
            class: "c1",
            values: values.to_vec(),
            can_be_summed: true,
        });
        DayChart {
            id: "x",
            title: "A & B",
            unit: "indicators",
            note: "",
            days,
            series: series.collect(),
            mean: Some(Mean { before: [7; 6], known_since: known_since.parse().unwrap() }),
        }
        .render()
        .into_string()
    }

    #[test]
    fn the_axis_ends_at_an_even_number_that_no_bar_exceeds() {
        for (largest, end) in [(0, 2), (2, 2), (3, 4), (9, 10), (81, 100), (201, 300), (6001, 8000)]
        {
            assert_eq!(round_up(largest), end, "{largest}");
        }
    }

    #[test]
    fn a_chart_has_a_title_a_description_and_a_table() {
        let chart = chart(&days(2), &[&[1, 3], &[0, 1000]]);
        for expected in [
            "<title id=\"x-title\">A &amp; B</title>",
            "1,004 indicators in 2 days, &lt;0&gt; 4, &lt;1&gt; 1,000.",
            "The highest day is 2026-11-02 with 1,003.",
            "<td class=\"number\"><data value=\"1003\">1,003</data></td>",
            // (6 * 7 + 1) / 7, and (5 * 7 + 1 + 1003) / 7.
            "<td class=\"number\">6.1</td>",
            "<td class=\"number\">148.4</td>",
        ] {
            assert!(chart.contains(expected), "{expected}: {chart}");
        }
    }

    #[test]
    fn the_mean_starts_when_seven_days_are_known() {
        let chart = chart_known_since("2026-10-27", &days(2), &[&[1, 3]]);
        assert!(chart.contains("points=\"150,"), "{chart}");
        assert!(chart.contains("<td class=\"number\">-</td>"));
        assert!(chart.contains("<td class=\"number\">5.6</td>"));
    }

    #[test]
    fn charts_of_no_day_and_of_one_are_drawn() {
        assert!(chart(&[], &[]).contains("0 indicators in 0 days."));
        assert!(chart(&days(1), &[&[0]]).contains("0 indicators in 1 day, "));
    }

    #[test]
    fn a_bar_is_never_wider_than_its_place() {
        assert!(bar("a", 5, 3).into_string().contains("width=\"100.0%\""));
        assert!(bar("a", 1, 100_000).into_string().contains("width=\"0.3%\""));
        assert!(bar("a", 0, 0).into_string().contains("width=\"0.0%\""));
    }
}
