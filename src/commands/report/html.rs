//! Pieces of HTML that all sections use. What comes from others goes through [`text`]; `maud`
//! escapes what HTML gives a meaning.

use chrono::{DateTime, NaiveDate, Utc};
use maud::{Markup, html};

use crate::redact::sanitize;
use crate::report::thousands;

/// Returns a text of others without secrets, with control characters as visible escapes.
pub(super) fn text(text: &str) -> String {
    sanitize(text)
}

/// Returns a number for people and for programs.
pub(super) fn number(number: u64) -> Markup {
    html! { data value=(number) { (thousands(number)) } }
}

/// Returns a number of tenths as text.
pub(super) fn tenths(tenths: u64) -> String {
    format!("{}.{}", thousands(tenths / 10), tenths % 10)
}

/// Returns the percentage with one decimal; `-` if `whole` is 0.
pub(super) fn percent(part: u64, whole: u64) -> String {
    match part.saturating_mul(1000).saturating_add(whole / 2).checked_div(whole) {
        Some(permille) => format!("{} %", tenths(permille)),
        None => "-".to_owned(),
    }
}

pub(super) fn date(date: NaiveDate) -> Markup {
    html! { time datetime=(date) { (date) } }
}

/// Returns a time, UTC, to the minute.
pub(super) fn instant(time: DateTime<Utc>) -> Markup {
    html! {
        time datetime=(time.format("%Y-%m-%dT%H:%M:%SZ")) { (time.format("%Y-%m-%d %H:%M")) }
    }
}

pub(super) fn optional_instant(time: Option<DateTime<Utc>>) -> Markup {
    html! { @match time { Some(time) => (instant(time)), None => "never" } }
}

/// Returns the change of a number since the period before.
pub(super) fn change(now: u64, before: u64) -> Markup {
    let (sign, word, difference) = match now.cmp(&before) {
        std::cmp::Ordering::Less => ("\u{25bc}", "less", before - now),
        std::cmp::Ordering::Equal => return html! { span.change { "unchanged" } },
        std::cmp::Ordering::Greater => ("\u{25b2}", "more", now - before),
    };
    let share = if before == 0 { thousands(difference) } else { percent(difference, before) };
    html! { span.change { span aria-hidden="true" { (sign) " " } (share) " " (word) } }
}

/// Returns a table in a box of its own, which can be scrolled where the page is too narrow for it.
pub(super) fn table(label: &str, head: &Markup, rows: &Markup) -> Markup {
    html! {
        div.scroll role="region" aria-label=(label) tabindex="0" {
            table {
                thead { tr { (head) } }
                tbody { (rows) }
            }
        }
    }
}

/// Returns the numbers of a chart as a table that the reader can unfold.
pub(super) fn numbers(label: &str, head: &Markup, rows: &Markup) -> Markup {
    html! { details { summary { "Numbers: " (label) } (table(label, head, rows)) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_rounded() {
        for (part, whole, expected) in
            [(0, 0, "-"), (0, 3, "0.0 %"), (1, 3, "33.3 %"), (2, 3, "66.7 %"), (3, 3, "100.0 %")]
        {
            assert_eq!(percent(part, whole), expected);
        }
        // Too large a number does not panic.
        percent(u64::MAX, 1);
    }

    #[test]
    fn a_change_is_said_in_words_too() {
        let text = |now, before| change(now, before).into_string();
        assert!(text(3, 2).contains("50.0 % more"), "{}", text(3, 2));
        assert!(text(1, 2).contains("50.0 % less"));
        assert!(text(5, 0).contains("5 more"));
        assert!(text(2, 2).contains("unchanged"));
    }

    #[test]
    fn texts_of_others_are_escaped() {
        let hostile = text("<script>\u{1b}[2J\u{202e}&\"'");
        let markup = html! { p title=(hostile) { (hostile) } }.into_string();
        assert!(!markup.contains("<script>") && !markup.contains('\u{1b}'), "{markup}");
        assert!(!markup.contains('\u{202e}'), "{markup}");
    }
}
