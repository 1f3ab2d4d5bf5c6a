use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::detection::AlertOutcome;

const WINDOW: (i64, i64) = (0, 1000);

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(second, 0).unwrap()
}

fn span((start, end): (i64, i64)) -> Window {
    Window { start: at(start), end: at(end) }
}

/// An alert that was created this many seconds after 1970; `""` is one without an id.
fn alert(id: &str, second: i64) -> ParsedAlert {
    let id = (!id.is_empty()).then(|| id.to_owned());
    ParsedAlert { id, created_at: Some(at(second)), outcome: AlertOutcome::MALFORMED }
}

/// Records a page of the whole window. Returns the number of new alerts.
fn record(completeness: &mut Completeness, ids: &[&str]) -> usize {
    let alerts = ids.iter().map(|id| alert(id, 1)).collect();
    completeness.record_page(alerts, span(WINDOW), span(WINDOW)).len()
}

#[test]
fn a_part_is_complete_when_it_has_as_many_unique_alerts_as_promised() {
    let mut part = Completeness::default();
    assert!(!part.is_met(), "nothing was promised");
    part.promise(4);
    part.promise(3);
    assert_eq!(record(&mut part, &["a", "b"]), 2);
    assert_eq!(record(&mut part, &["a", "b"]), 0);
    assert_eq!((part.received(), part.is_met()), (2, false));
    assert_eq!(record(&mut part, &["b", "c", "d"]), 2);
    assert_eq!((part.received(), part.is_met()), (4, true));
}

#[test]
fn an_alert_that_a_page_lists_twice_is_returned_once_and_counts_twice() {
    let mut part = Completeness::default();
    part.promise(5);
    assert_eq!(record(&mut part, &["a", "a", "b", "a"]), 2);
    assert_eq!(part.received(), 4);
    assert_eq!(record(&mut part, &["a", "a", "b", "a"]), 0);
    assert_eq!(part.received(), 4, "a repeated page");
    assert_eq!(record(&mut part, &["b", "c"]), 1);
    assert!(part.is_met());
}

#[test]
fn three_pages_in_a_row_without_a_new_alert_end_a_query() {
    let mut part = Completeness::default();
    part.promise(1);
    for pages in [&["a"][..], &["a"], &["a"], &["a", "b"], &["b"], &[], &["a"]] {
        assert!(!part.is_stalled());
        record(&mut part, pages);
    }
    assert!(part.is_stalled());
}

#[test]
fn another_query_has_promises_of_its_own_and_returns_nothing_again() {
    let mut part = Completeness::default();
    part.promise(3);
    record(&mut part, &["a", "deleted", ""]);
    let mut again = part.query_again().unwrap();
    assert_eq!((again.received(), again.promised()), (0, None));
    again.promise(4);
    assert_eq!(record(&mut again, &["a", "b", "", ""]), 2, "b and the second without an id");
    assert!(again.is_met());
    let mut last = again.query_again().unwrap();
    assert_eq!(record(&mut last, &["a", "b", "deleted", "", ""]), 0);
    assert!(last.query_again().is_none());
}

#[test]
fn alerts_without_an_id_count_unless_their_page_is_repeated() {
    let mut part = Completeness::default();
    assert_eq!(record(&mut part, &["", ""]), 2);
    assert_eq!(record(&mut part, &["a", ""]), 2);
    assert_eq!(record(&mut part, &["a", ""]), 0);
    assert_eq!(part.received(), 4);
}

#[test]
fn pages_of_alerts_without_an_id_are_new_as_long_as_they_are_promised() {
    let mut part = Completeness::default();
    part.promise(5);
    for _ in 0..5 {
        record(&mut part, &[""]);
        assert!(part.had_news() && !part.is_stalled());
    }
    assert!(part.is_met());
    for _ in 0..3 {
        record(&mut part, &[""]);
    }
    assert!(part.is_stalled());
}

#[test]
fn a_page_of_another_part_does_not_count() {
    let part_span = span((100, 200));
    let page = |seconds: &[i64]| {
        let mut part = Completeness::default();
        let alerts = seconds.iter().map(|second| alert(&second.to_string(), *second)).collect();
        let new = part.record_page(alerts, part_span, span(WINDOW)).len();
        (new, part.received(), part.is_stalled())
    };
    assert_eq!(page(&[50, 60, 300]), (0, 0, true));
    assert_eq!(page(&[50, 150]), (1, 1, false), "one of this part");
    assert_eq!(page(&[99, 201]), (2, 2, false), "the service rounds");
    assert_eq!(page(&[-5, 1000]), (2, 2, false), "of no part of the window");
    let mut part = Completeness::default();
    let undated = ParsedAlert { created_at: None, ..alert("a", 0) };
    assert_eq!(part.record_page(vec![undated], part_span, span(WINDOW)).len(), 1);
}

#[test]
fn a_remainder_promises_at_least_what_is_left() {
    let mut part = Completeness::default();
    part.promise(5);
    record(&mut part, &["a", "b"]);
    let mut remainder = part.remainder(at(1), 3);
    assert_eq!(record(&mut remainder, &["b", "c"]), 1);
    assert!(!remainder.is_met());
    record(&mut remainder, &["d"]);
    assert!(remainder.is_met());
}

proptest! {
    /// Any pages of a few alerts, with and without an id, in up to three queries.
    #[test]
    fn no_alert_is_returned_twice_and_unique_ones_are_counted(
        queries in prop::collection::vec(
            prop::collection::vec(prop::collection::btree_set(0_u8..12, 0..6), 0..6), 1..=3),
    ) {
        let mut part = Completeness::default();
        let mut returned: Vec<String> = Vec::new();
        for (number, pages) in queries.iter().enumerate() {
            if number > 0 {
                part = part.query_again().unwrap();
            }
            let mut unique: BTreeSet<u8> = BTreeSet::new();
            for page in pages {
                unique.extend(page);
                let alerts = page.iter().map(|id| alert(&format!("{id}"), 1)).collect();
                let new = part.record_page(alerts, span(WINDOW), span(WINDOW));
                returned.extend(new.into_iter().filter_map(|alert| alert.id));
            }
            prop_assert_eq!(part.received(), u64::try_from(unique.len()).unwrap());
        }
        let all: BTreeSet<u8> = queries.into_iter().flatten().flatten().collect();
        prop_assert_eq!(returned.len(), all.len());
        returned.sort();
        returned.dedup();
        prop_assert_eq!(returned.len(), all.len());
    }
}
