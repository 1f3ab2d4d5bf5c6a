//! Up to when a window is complete while its parts are read concurrently.

use std::collections::BTreeMap;
use std::ops::Bound;

use chrono::{DateTime, Utc};

use crate::window::Window;

/// The parts of a window, without gaps or overlaps, and up to when each is complete. A part that
/// reaches the next one is merged with it.
#[derive(Debug)]
pub(super) struct Watermark {
    /// For each part, by its start, the instant before which it is complete.
    parts: BTreeMap<DateTime<Utc>, DateTime<Utc>>,
    start: DateTime<Utc>,
}

impl Watermark {
    /// Creates the watermark of a window that is one part, of which nothing was read.
    pub(super) fn new(window: Window) -> Self {
        Self { parts: BTreeMap::from([(window.start, window.start)]), start: window.start }
    }

    /// Records that the part that begins at `start` is complete before `until`. It never goes back.
    pub(super) fn advance(&mut self, start: DateTime<Utc>, until: DateTime<Utc>) {
        let Some((&part, &reached)) = self.parts.range(..=start).next_back() else {
            return;
        };
        let mut reached = reached.max(until);
        while let Some((&next, &next_reached)) =
            self.parts.range((Bound::Excluded(part), Bound::Included(reached))).next()
        {
            self.parts.remove(&next);
            reached = reached.max(next_reached);
        }
        self.parts.insert(part, reached);
    }

    /// Records that a part of its own begins at `start`.
    pub(super) fn split_at(&mut self, start: DateTime<Utc>) {
        let part = self.parts.range(..=start).next_back();
        // Where the part before is complete up to here, the two stay one.
        if part.is_none_or(|(_, reached)| *reached < start) {
            self.parts.insert(start, start);
        }
    }

    /// Returns the instant before which every alert was read.
    pub(super) fn complete_until(&self) -> DateTime<Utc> {
        self.parts.first_key_value().map_or(self.start, |(_, reached)| *reached)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(second, 0).unwrap()
    }

    fn watermark() -> Watermark {
        Watermark::new(Window { start: at(0), end: at(30) })
    }

    #[test]
    fn the_window_is_complete_up_to_the_first_gap() {
        let mut watermark = watermark();
        watermark.split_at(at(10));
        watermark.split_at(at(20));
        assert_eq!(watermark.complete_until(), at(0));
        watermark.advance(at(20), at(30));
        watermark.advance(at(0), at(7));
        assert_eq!(watermark.complete_until(), at(7));
        watermark.advance(at(0), at(10));
        assert_eq!(watermark.complete_until(), at(10));
        watermark.advance(at(10), at(15));
        assert_eq!(watermark.complete_until(), at(15));
        watermark.advance(at(10), at(20));
        assert_eq!(watermark.complete_until(), at(30));
    }

    #[test]
    fn a_part_never_goes_back() {
        let mut watermark = watermark();
        watermark.advance(at(0), at(12));
        watermark.advance(at(0), at(3));
        assert_eq!(watermark.complete_until(), at(12));
    }

    #[test]
    fn completed_neighbors_are_merged() {
        let mut watermark = watermark();
        for second in 1..30 {
            watermark.split_at(at(second));
        }
        // Every other part first, so that the gaps between them are filled one by one.
        for second in (0..30).step_by(2).chain((1..30).step_by(2)) {
            watermark.advance(at(second), at(second + 1));
        }
        assert_eq!(watermark.parts.len(), 1);
        assert_eq!(watermark.complete_until(), at(30));
    }

    #[test]
    fn a_part_that_begins_where_the_one_before_ends_needs_no_entry() {
        let mut watermark = watermark();
        for second in 1..30 {
            watermark.advance(at(second - 1), at(second));
            watermark.split_at(at(second));
        }
        assert_eq!(watermark.parts.len(), 1);
        assert_eq!(watermark.complete_until(), at(29));
    }
}
