//! Reads a simulated service concurrently and in slices.

use std::collections::BTreeMap;

use chrono::{DateTime, DurationRound as _, TimeDelta, Utc};
use proptest::prelude::*;

use super::*;
use crate::detection::AlertOutcome;
use crate::sources::parsed_alert::ParsedAlert;

const SIZES: Sizes = Sizes { page: 10, slice: 60 };
const MAX_AT_ONE_INSTANT: usize = 40;
const WINDOW_MS: i64 = 100_000;

fn at(microsecond: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(microsecond).unwrap()
}

fn window() -> Window {
    Window { start: at(0), end: at(WINDOW_MS * 1000) }
}

/// A service and what happens while its alerts are read.
#[derive(Debug, Clone)]
struct Scene {
    /// The creation and the id of each alert, sorted.
    alerts: Vec<(DateTime<Utc>, usize)>,
    /// The alerts that appear while reading: after how many pages, and their creation.
    appearing: Vec<(usize, DateTime<Utc>)>,
    concurrency: usize,
    total: Total,
    /// Whether the service treats `<` as `<=`.
    inclusive_end: bool,
    /// Whether the service rounds the start of a filter down to the millisecond.
    rounded_start: bool,
    /// After which pages the page token is rejected.
    rejected: Vec<usize>,
    /// After which pages the next one begins with alerts of the page before.
    repeating: Vec<usize>,
    /// Which of the requests in flight is answered next, modulo their number.
    order: Vec<usize>,
}

/// What the service reports as the number of alerts.
#[derive(Debug, Clone, Copy)]
enum Total {
    Exact,
    /// The exact number up to this limit, which is not smaller than a page.
    AtMost(u64),
}

fn scene(faults: usize) -> impl Strategy<Value = Scene> {
    // Runs of alerts: the first instant, how many, and how far apart: at 0, all at one instant.
    let run = prop_oneof![
        (0..WINDOW_MS * 1000, 1..MAX_AT_ONE_INSTANT, Just(0_i64)),
        (0..WINDOW_MS * 1000, 1_usize..600, 1_i64..1000),
        (0..WINDOW_MS * 1000, 1_usize..600, 1000_i64..200_000),
        Just((0, 1000, WINDOW_MS)),
    ];
    let total = prop_oneof![
        3 => Just(Total::Exact),
        2 => (SIZES.page..100).prop_map(Total::AtMost),
    ];
    let parts = (
        prop::collection::vec(run, 1..6),
        prop::collection::vec((0_usize..60, 0..WINDOW_MS * 1000), 0..=faults * 3),
        1_usize..12,
        total,
        any::<[bool; 2]>(),
        prop::collection::vec(0_usize..60, 0..=faults),
        prop::collection::vec(0_usize..60, 0..=faults),
        prop::collection::vec(any::<usize>(), 1..20),
    );
    parts.prop_map(|(runs, appearing, concurrency, total, inexact, rejected, repeating, order)| {
        let instants = runs.into_iter().flat_map(|(start, count, apart)| {
            (0..count).map(move |number| start + i64::try_from(number).unwrap() * apart)
        });
        let mut counts: BTreeMap<i64, usize> = BTreeMap::new();
        let mut instants: Vec<i64> = instants
            // The end of the window is exclusive: these alerts belong to the next window.
            .map(|instant| instant.min(WINDOW_MS * 1000))
            .filter(|instant| {
                let count = counts.entry(*instant).or_default();
                *count += 1;
                *count <= MAX_AT_ONE_INSTANT
            })
            .collect();
        instants.sort_unstable();
        Scene {
            alerts: instants.into_iter().map(at).zip(0..).collect(),
            appearing: appearing.into_iter().map(|(after, instant)| (after, at(instant))).collect(),
            concurrency,
            total,
            inclusive_end: inexact[0],
            rounded_start: inexact[1],
            rejected,
            repeating,
            order,
        }
    })
}

impl Scene {
    /// Returns the largest number of alerts that the service cannot tell apart by their time.
    fn most_at_once(&self) -> usize {
        let mut counts: BTreeMap<i64, usize> = BTreeMap::new();
        for (created, _) in &self.alerts {
            let instant = if self.rounded_start {
                created.timestamp_millis()
            } else {
                created.timestamp_micros()
            };
            *counts.entry(instant).or_default() += 1;
        }
        counts.into_values().max().unwrap_or_default()
    }
}

/// What reading a window led to.
#[derive(Debug, Default)]
struct ReadResult {
    /// By id: how often each alert was returned.
    returned: Vec<usize>,
    complete_until: DateTime<Utc>,
    /// Whether a rejected token ended it.
    failed: bool,
    /// The largest number of ids that the queries of all slices returned, at the same time. Ids
    /// kept from before do not count.
    remembered: usize,
}

impl Scene {
    /// Returns the next page of a slice. A token is the position of the last alert of its page.
    fn page(&self, slice: &TimeSlice, pages: usize) -> AlertPage {
        let start = if self.rounded_start {
            slice.start.duration_trunc(TimeDelta::milliseconds(1)).unwrap()
        } else {
            slice.start
        };
        let is_before_end =
            |created| if self.inclusive_end { created <= slice.end } else { created < slice.end };
        let first = self.alerts.partition_point(|(created, _)| *created < start);
        let after = self.alerts.partition_point(|(created, _)| is_before_end(*created));
        let found = &self.alerts[first..after];
        let begin = slice.token.as_ref().map_or(0, |token| {
            let numbers: Vec<i64> =
                token.split(' ').map(|number| number.parse().unwrap()).collect();
            let last = (at(numbers[0]), usize::try_from(numbers[1]).unwrap());
            found.partition_point(|alert| *alert <= last)
        });
        let begin = if self.repeating.contains(&pages) { begin.saturating_sub(4) } else { begin };
        let end = found.len().min(begin + usize::try_from(SIZES.page).unwrap());
        let page = &found[begin..end];
        let token = |(created, id): &(DateTime<Utc>, usize)| {
            format!("{} {id} {pages}", created.timestamp_micros())
        };
        let total = u64::try_from(found.len()).unwrap();
        AlertPage {
            next_token: page.last().filter(|_| end < found.len()).map(token),
            total: match self.total {
                Total::Exact => Some(total),
                Total::AtMost(limit) => Some(total.min(limit)),
            },
            alerts: page.iter().map(|(created, id)| alert(*id, *created)).collect(),
            trace_id: Some("trace".into()),
            ..AlertPage::default()
        }
    }

    fn read(mut self) -> ReadResult {
        let (mut sliced, first) = SlicedWindow::new(window(), SIZES);
        let original = self.alerts.clone();
        let mut result = ReadResult {
            returned: vec![0; original.len() + self.appearing.len()],
            ..ReadResult::default()
        };
        let mut checked = 0;
        let mut queue = vec![first];
        let mut in_flight: Vec<TimeSlice> = Vec::new();
        let mut order = self.order.clone().into_iter().cycle();
        for pages in 0.. {
            queue.sort_by_key(TimeSlice::priority);
            let free = self.concurrency - in_flight.len();
            in_flight.extend(queue.drain(..free.min(queue.len())));
            if in_flight.is_empty() {
                return result;
            }
            let all = queue.iter().chain(&in_flight);
            let remembered = all.map(TimeSlice::remembered).sum();
            result.remembered = result.remembered.max(remembered);

            for (number, (after, created)) in self.appearing.iter().enumerate() {
                if *after == pages {
                    let alert = (*created, original.len() + number);
                    let place = self.alerts.partition_point(|other| *other < alert);
                    self.alerts.insert(place, alert);
                }
            }
            let slice = in_flight.swap_remove(order.next().unwrap() % in_flight.len());
            if slice.token.is_some() && self.rejected.contains(&pages) {
                let Some(remainder) = sliced.restart(&slice) else {
                    result.failed = true;
                    return result;
                };
                queue.push(remainder);
                continue;
            }
            let page = self.page(&slice, pages);
            let spare = self.concurrency.saturating_sub(queue.len() + in_flight.len());
            let (page, next) = sliced.record_page(slice, page, spare).unwrap();
            queue.extend(next);
            result.record(page);
            let due = original.iter().take_while(|(created, _)| *created < result.complete_until);
            for (created, id) in due.skip(checked) {
                assert_ne!(result.returned[*id], 0, "alert {id} of {created} is missing");
                checked += 1;
            }
        }
        result
    }
}

impl ReadResult {
    fn record(&mut self, page: Page) {
        for outcome in page.outcomes {
            let AlertOutcome::Unreadable { id: Some(id), .. } = outcome else {
                panic!("{outcome:?}");
            };
            self.returned[id.parse::<usize>().unwrap()] += 1;
        }
        self.complete_until = page.complete_until;
    }
}

fn alert(id: usize, created: DateTime<Utc>) -> ParsedAlert {
    let id = Some(id.to_string());
    let outcome = AlertOutcome::Unreadable { id: id.clone(), reason: "test" };
    ParsedAlert { id, created_at: Some(created), outcome }
}

proptest! {
    #[test]
    fn each_alert_is_returned_exactly_once(scene in scene(0)) {
        let alerts = scene.alerts.clone();
        let concurrency = scene.concurrency;
        let at_once = scene.most_at_once();
        let result = scene.read();
        for (created, id) in alerts {
            let expected = usize::from(created < window().end);
            prop_assert_eq!(result.returned[id], expected, "alert {} of {}", id, created);
        }
        prop_assert_eq!(result.complete_until, window().end);
        // A slice in flight remembers its ids until it is restarted after its last instant.
        // It also counts the alerts of its end, if the service returns them.
        let per_slice = SIZES.slice + usize::try_from(SIZES.page).unwrap() + 2 * at_once;
        prop_assert!(result.remembered <= concurrency * per_slice, "{}", result.remembered);
    }

    #[test]
    fn faults_and_new_alerts_lose_and_repeat_nothing(scene in scene(4)) {
        let alerts = scene.alerts.clone();
        let result = scene.read();
        prop_assert!(result.returned.iter().all(|count| *count <= 1), "repeated");
        for (created, id) in alerts {
            let is_due = created < window().end && !result.failed;
            prop_assert!(!is_due || result.returned[id] == 1, "alert {} of {}", id, created);
        }
    }
}

#[test]
fn a_large_window_needs_no_more_memory_than_a_small_one() {
    let remembered = |alerts: i64| {
        let scene = Scene {
            alerts: (0..alerts).map(|id| at(id * WINDOW_MS * 1000 / alerts)).zip(0..).collect(),
            appearing: Vec::new(),
            concurrency: 4,
            total: Total::Exact,
            inclusive_end: true,
            rounded_start: false,
            rejected: Vec::new(),
            repeating: Vec::new(),
            order: vec![0],
        };
        let result = scene.read();
        assert!(result.returned.iter().all(|count| *count == 1));
        result.remembered
    };
    let small = remembered(500);
    let large = remembered(5000);
    assert!(large <= small * 2, "{large} ids instead of {small}");
}
