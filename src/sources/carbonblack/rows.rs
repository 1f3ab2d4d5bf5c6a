//! A round of rows: what can be asked for from one start, up to the last row the service gives, in pages
//! that may come in any order.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

/// RowPage a page.
const PAGE_ROWS: u32 = 1000;
/// The last row the service gives; past it, it answers 500.
pub(super) const LAST_ROW: u32 = 10_000;

/// RowPage to be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RowPage {
    /// The first, counted from 1.
    pub start: u32,
    /// How many.
    pub count: u32,
}

/// The rows from one instant on, as far as they have been read.
#[derive(Debug)]
pub(super) struct RowRange {
    /// The first instant of the round, inclusive.
    pub start: DateTime<Utc>,
    /// The rows that were asked for or will be: up to this one.
    requested_to: u32,
    /// How many rows the service says there are.
    found: u64,
    /// Pages read: by their first row, the row after their last and the latest instant in them.
    read: BTreeMap<u32, (u32, Option<DateTime<Utc>>)>,
}

impl RowRange {
    /// A round of which nothing is known, and its first page.
    pub fn new(start: DateTime<Utc>) -> (Self, RowPage) {
        let round = Self { start, requested_to: PAGE_ROWS, found: 0, read: BTreeMap::new() };
        (round, RowPage { start: 1, count: PAGE_ROWS })
    }

    /// A page came with so many rows; gives what is to be asked for because of it.
    pub fn take(
        &mut self,
        asked: RowPage,
        got: u32,
        latest: Option<DateTime<Utc>>,
        found: Option<u64>,
    ) -> Vec<RowPage> {
        let next = asked.start.saturating_add(got);
        self.read.insert(asked.start, (next, latest));
        // A number smaller than the rows that came is no number.
        let found = found.filter(|found| *found >= u64::from(next - 1));
        self.found = self.found.max(found.unwrap_or(0));
        let last = u32::try_from(self.found).unwrap_or(u32::MAX).min(LAST_ROW);
        let mut more = Vec::new();
        // A page may be shorter than asked for without being the last; one without rows is the end.
        if got > 0 && got < asked.count && (next <= last || found.is_none()) {
            more.push(RowPage { start: next, count: asked.count - got });
        }
        // Without a number the next page is asked for as long as pages are full.
        let last = if found.is_none() && got == asked.count {
            LAST_ROW.min(self.requested_to + PAGE_ROWS)
        } else {
            last
        };
        while self.requested_to < last {
            let start = self.requested_to + 1;
            let count = PAGE_ROWS.min(LAST_ROW - self.requested_to);
            more.push(RowPage { start, count });
            self.requested_to += count;
        }
        more
    }

    /// Every alert of the round before this instant has been read: it stops at the first page missing.
    pub fn complete_until(&self) -> DateTime<Utc> {
        let mut row = 1;
        let mut known = self.start;
        while let Some((next, latest)) = self.read.get(&row).filter(|(next, _)| *next > row) {
            known = latest.map_or(known, |latest| latest.max(known));
            row = *next;
        }
        known
    }

    /// Whether there are rows that this round cannot give, or may be: where it was read to the last row and
    /// nothing tells that this was all.
    pub fn is_truncated(&self) -> bool {
        let to_the_last = || self.read.values().any(|(next, _)| *next > LAST_ROW);
        match self.found.cmp(&u64::from(LAST_ROW)) {
            Ordering::Greater => true,
            Ordering::Equal => false,
            Ordering::Less => to_the_last(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(second, 0).unwrap()
    }

    fn rows(start: u32, count: u32) -> RowPage {
        RowPage { start, count }
    }

    #[test]
    fn a_window_of_one_page_asks_for_no_more() {
        for found in [0, 1, 999, 1000] {
            let (mut round, first) = RowRange::new(at(0));
            assert_eq!(round.take(first, u32::try_from(found).unwrap(), None, Some(found)), []);
        }
    }

    #[test]
    fn the_number_found_tells_all_further_pages_at_once() {
        let (mut round, first) = RowRange::new(at(0));
        assert_eq!(
            round.take(first, 1000, Some(at(5)), Some(2001)),
            [rows(1001, 1000), rows(2001, 1000)]
        );
        assert_eq!(round.complete_until(), at(5));
        assert_eq!(round.take(rows(2001, 1000), 1, Some(at(9)), Some(2001)), []);
        assert_eq!(round.complete_until(), at(5));
        assert_eq!(round.take(rows(1001, 1000), 1000, Some(at(8)), Some(2001)), []);
        assert_eq!(round.complete_until(), at(9));
        assert!(!round.is_truncated());
    }

    #[test]
    fn rows_beyond_the_last_are_left_to_another_round() {
        let (mut round, first) = RowRange::new(at(0));
        let more = round.take(first, 1000, None, Some(10_001));
        assert_eq!(more.last(), Some(&rows(9001, 1000)));
        assert!(round.is_truncated());
    }

    #[test]
    fn a_short_page_is_read_on() {
        let (mut round, first) = RowRange::new(at(0));
        assert_eq!(round.take(first, 400, None, Some(1000)), [rows(401, 600)]);
        assert_eq!(round.take(rows(401, 600), 0, None, Some(1000)), []);
    }

    #[test]
    fn alerts_that_come_while_reading_are_read_too() {
        let (mut round, first) = RowRange::new(at(0));
        assert_eq!(round.take(first, 1000, None, Some(1500)), [rows(1001, 1000)]);
        assert_eq!(round.take(rows(1001, 1000), 1000, None, Some(2100)), [rows(2001, 1000)]);
    }

    #[test]
    fn without_a_number_a_round_full_to_its_last_row_may_leave_some() {
        for found in [None, Some(0), Some(20), Some(9999)] {
            let (mut round, first) = RowRange::new(at(0));
            let mut asked = vec![first];
            let mut read = 0;
            while let Some(rows) = asked.pop() {
                read += rows.count;
                asked.extend(round.take(rows, rows.count, Some(at(read.into())), found));
            }
            assert_eq!(read, LAST_ROW, "{found:?}");
            assert!(round.is_truncated(), "{found:?}");
        }
    }

    #[test]
    fn without_a_number_full_pages_are_followed_by_more() {
        let (mut round, first) = RowRange::new(at(0));
        assert_eq!(round.take(first, 1000, None, None), [rows(1001, 1000)]);
        assert_eq!(round.take(rows(1001, 1000), 1000, None, None), [rows(2001, 1000)]);
        assert_eq!(round.take(rows(2001, 1000), 3, None, None), [rows(2004, 997)]);
        assert_eq!(round.take(rows(2004, 997), 0, None, None), []);
    }
}
