use std::collections::BTreeMap;

use chrono::TimeDelta;
use proptest::prelude::*;

use super::*;
use crate::detection::BareAlert;
use crate::sources::parsed_alert::ParsedAlert;

const LIMITS: RowLimits = RowLimits { page: 1000, last: 10_000 };

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(second, 0).unwrap()
}

fn rows(start: u32, count: u32) -> RowRequest {
    RowRequest { start, count }
}

fn range() -> (RowRange, RowRequest) {
    let range = RowRange::new(at(0), LIMITS);
    let first = range.first_request();
    (range, first)
}

#[test]
fn a_window_of_one_page_needs_no_further_request() {
    for found in [0, 1, 999, 1000] {
        let (mut range, first) = range();
        let received = u32::try_from(found).unwrap();
        assert_eq!(range.next_requests(first, received, None, Some(found)), []);
    }
}

#[test]
fn the_number_of_rows_leads_to_all_further_requests() {
    let (mut range, first) = range();
    assert_eq!(
        range.next_requests(first, 1000, Some(at(5)), Some(2001)),
        [rows(1001, 1000), rows(2001, 1000)]
    );
    assert_eq!(range.complete_until(), at(5));
    assert_eq!(range.next_requests(rows(2001, 1000), 1, Some(at(9)), Some(2001)), []);
    assert_eq!(range.complete_until(), at(5));
    assert_eq!(range.next_requests(rows(1001, 1000), 1000, Some(at(8)), Some(2001)), []);
    assert_eq!(range.complete_until(), at(9));
    assert!(!range.is_truncated());
}

#[test]
fn rows_after_the_last_are_left_to_another_range() {
    let (mut range, first) = range();
    let requests = range.next_requests(first, 1000, None, Some(10_001));
    assert_eq!(requests.last(), Some(&rows(9001, 1000)));
    assert!(range.is_truncated());
}

#[test]
fn the_missing_rows_of_a_short_page_are_requested() {
    let (mut range, first) = range();
    assert_eq!(range.next_requests(first, 400, None, Some(1000)), [rows(401, 600)]);
    assert_eq!(range.next_requests(rows(401, 600), 0, None, Some(1000)), []);
}

#[test]
fn alerts_that_appear_while_reading_are_read_too() {
    let (mut range, first) = range();
    assert_eq!(range.next_requests(first, 1000, None, Some(1500)), [rows(1001, 1000)]);
    let requests = range.next_requests(rows(1001, 1000), 1000, None, Some(2100));
    assert_eq!(requests, [rows(2001, 1000)]);
}

#[test]
fn without_a_number_of_rows_a_full_range_may_be_truncated() {
    for found in [None, Some(0), Some(20), Some(9999)] {
        let (mut range, first) = range();
        let mut requests = vec![first];
        let mut read = 0;
        while let Some(rows) = requests.pop() {
            read += rows.count;
            requests.extend(range.next_requests(rows, rows.count, Some(at(read.into())), found));
        }
        assert_eq!(read, LIMITS.last, "{found:?}");
        assert!(range.is_truncated(), "{found:?}");
    }
}

#[test]
fn without_a_number_of_rows_full_pages_are_followed_by_one_more() {
    let (mut range, first) = range();
    assert_eq!(range.next_requests(first, 1000, None, None), [rows(1001, 1000)]);
    assert_eq!(range.next_requests(rows(1001, 1000), 1000, None, None), [rows(2001, 1000)]);
    assert_eq!(range.next_requests(rows(2001, 1000), 3, None, None), [rows(2004, 997)]);
    assert_eq!(range.next_requests(rows(2004, 997), 0, None, None), []);
}

/// A service with small limits, and the alerts that it has.
#[derive(Debug, Clone)]
struct Scene {
    /// The seconds at which alerts entered the store, in order.
    alerts: Vec<i64>,
    /// Alerts that appear while reading: after how many pages, and how many.
    appearing: Vec<(usize, usize)>,
    limits: RowLimits,
    /// The most rows that the service returns in a page.
    largest_page: u32,
    reports_number: bool,
    /// Which of the requests is answered next, modulo their number.
    order: Vec<usize>,
}

fn scene() -> impl Strategy<Value = Scene> {
    // Up to 8 alerts at one instant, fewer than the rows of a range.
    let steps = prop::collection::vec((1_i64..4, 1_usize..=8), 1..60);
    let parts = (
        steps,
        prop::collection::vec((0_usize..20, 1_usize..20), 0..4),
        2_u32..12,
        1_u32..12,
        any::<bool>(),
        prop::collection::vec(any::<usize>(), 1..20),
    );
    parts.prop_map(|(steps, appearing, page, largest_page, reports_number, order)| {
        let mut second = 0;
        let instants = steps.into_iter().flat_map(|(step, count)| {
            second += step;
            std::iter::repeat_n(second, count)
        });
        let limits = RowLimits { page, last: page * 4 + 8 };
        Scene { alerts: instants.collect(), appearing, limits, largest_page, reports_number, order }
    })
}

impl Scene {
    /// The page that the service returns, with the end of the window treated as inclusive.
    fn page(&self, start: DateTime<Utc>, end: DateTime<Utc>, request: RowRequest) -> AlertPage {
        assert!(request.start + request.count - 1 <= self.limits.last, "past the last row");
        let in_span = |second: &i64| (start..=end).contains(&at(*second));
        let found = self.alerts.iter().filter(|second| in_span(second)).count();
        let alerts = self
            .alerts
            .iter()
            .enumerate()
            .filter(|(_, second)| in_span(second))
            .skip(usize::try_from(request.start - 1).unwrap())
            .take(usize::try_from(request.count.min(self.largest_page)).unwrap())
            .map(|(number, second)| ParsedAlert {
                id: Some(number.to_string()),
                created_at: Some(at(*second)),
                outcome: AlertOutcome::Unreadable { id: Some(number.to_string()), reason: "test" },
            });
        let found = u64::try_from(found).unwrap();
        AlertPage { alerts: alerts.collect(), found: self.reports_number.then_some(found) }
    }

    /// Reads the window; returns how often each alert was returned.
    fn read(mut self, window: Window) -> BTreeMap<usize, usize> {
        let mut returned = BTreeMap::new();
        let mut range = RowRange::new(window.start, self.limits);
        let mut requests = vec![range.first_request()];
        let mut order = self.order.clone().into_iter().cycle();
        for pages in 0.. {
            if requests.is_empty() {
                if !range.is_truncated() {
                    break;
                }
                range = range.next_range().unwrap();
                requests.push(range.first_request());
            }
            for (_, count) in self.appearing.iter().filter(|(after, _)| *after == pages) {
                let second = *self.alerts.last().unwrap() + 1;
                self.alerts.extend(std::iter::repeat_n(second, *count.min(&8)));
            }
            let request = requests.swap_remove(order.next().unwrap() % requests.len());
            let page = self.page(range.start, window.end, request);
            let (outcomes, next) = range.record_page(request, page, window);
            requests.extend(next);
            for outcome in outcomes {
                let AlertOutcome::Unreadable { id: Some(id), .. } = outcome else {
                    panic!("{outcome:?}");
                };
                *returned.entry(id.parse().unwrap()).or_default() += 1;
            }
            let remembered = range.completeness.remembered();
            assert!(remembered <= usize::try_from(self.limits.last).unwrap(), "{remembered}");
            for (number, second) in self.alerts.iter().enumerate() {
                let is_due = at(*second) >= window.start && at(*second) < range.complete_until();
                assert!(!is_due || returned.contains_key(&number), "{number} is missing");
            }
        }
        returned
    }
}

proptest! {
    #[test]
    fn each_alert_of_the_window_is_returned_exactly_once(
        scene in scene(),
        window in (0_i64..20, 20_i64..200),
    ) {
        let window = Window { start: at(window.0), end: at(window.1) };
        let alerts = scene.alerts.clone();
        let returned = scene.read(window);
        prop_assert!(returned.values().all(|count| *count == 1), "{:?}", returned);
        for (number, second) in alerts.iter().enumerate() {
            let is_in_window = at(*second) >= window.start && at(*second) < window.end;
            prop_assert_eq!(returned.contains_key(&number), is_in_window, "alert {}", number);
        }
    }
}

#[test]
fn alerts_of_an_earlier_range_are_skipped() {
    let window = Window { start: at(0), end: at(100) };
    let mut range = RowRange::new(at(10), LIMITS);
    let alert = |id: &str, created_at| ParsedAlert {
        id: Some(id.to_owned()),
        created_at,
        outcome: AlertOutcome::WithoutIndicator(BareAlert::default()),
    };
    let alerts = vec![
        alert("of an earlier range", Some(at(10) - TimeDelta::microseconds(1))),
        alert("before the window", Some(at(-1))),
        alert("unknown", None),
        alert("in the range", Some(at(10))),
        alert("of a later window", Some(at(100))),
    ];
    let page = AlertPage { alerts, found: Some(5) };
    let (outcomes, _) = range.record_page(range.first_request(), page, window);
    assert_eq!(outcomes.len(), 3, "before the window, unknown, and in the range");
    assert_eq!(range.complete_until(), at(10));
}

#[test]
fn rows_after_the_window_need_no_further_range() {
    for found in [None, Some(10_000), Some(12_000)] {
        let window = Window { start: at(0), end: at(100) };
        let mut range = RowRange::new(at(0), LIMITS);
        let alert = |created_at| ParsedAlert {
            id: None,
            created_at: Some(created_at),
            outcome: AlertOutcome::WithoutIndicator(BareAlert::default()),
        };
        let alerts = vec![alert(at(0)), alert(window.end)];
        range.record_page(rows(9_999, 2), AlertPage { alerts, found }, window);
        assert!(!range.is_truncated(), "{found:?}");
    }
}
