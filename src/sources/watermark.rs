//! How far a window is known when its parts are read side by side.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::window::Window;

/// The parts of a window, without gap or overlap, and how far each has been read.
///
/// Everything before [`complete_until`](Self::complete_until) has been read, whatever order the parts are
/// read in: it stops at the first part that is not read to its end.
#[derive(Debug)]
pub(super) struct Watermark {
    end: DateTime<Utc>,
    /// By the part's start: up to when it was read.
    parts: BTreeMap<DateTime<Utc>, DateTime<Utc>>,
}

impl Watermark {
    /// A window as one part, of which nothing has been read.
    pub fn new(window: Window) -> Self {
        Self { end: window.end, parts: BTreeMap::from([(window.start, window.start)]) }
    }

    /// The part that begins here was read up to this instant; it never goes back.
    pub fn advance(&mut self, start: DateTime<Utc>, until: DateTime<Utc>) {
        if let Some(reached) = self.parts.get_mut(&start) {
            *reached = until.max(*reached);
        }
    }

    /// From here on it is a part of its own, of which nothing has been read.
    pub fn split_at(&mut self, start: DateTime<Utc>) {
        self.parts.entry(start).or_insert(start);
    }

    /// Everything before this instant has been read.
    pub fn complete_until(&self) -> DateTime<Utc> {
        let mut parts = self.parts.iter().peekable();
        while let Some((_, reached)) = parts.next() {
            match parts.peek() {
                Some((next, _)) if reached >= *next => {}
                _ => return *reached,
            }
        }
        self.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(second, 0).unwrap()
    }

    #[test]
    fn it_stops_at_the_first_part_that_is_not_read_to_its_end() {
        let mut progress = Watermark::new(Window { start: at(0), end: at(30) });
        progress.split_at(at(10));
        progress.split_at(at(20));
        assert_eq!(progress.complete_until(), at(0));
        progress.advance(at(20), at(30));
        progress.advance(at(0), at(7));
        assert_eq!(progress.complete_until(), at(7));
        progress.advance(at(0), at(10));
        assert_eq!(progress.complete_until(), at(10));
        progress.advance(at(10), at(15));
        assert_eq!(progress.complete_until(), at(15));
        progress.advance(at(10), at(20));
        assert_eq!(progress.complete_until(), at(30));
    }

    #[test]
    fn a_part_never_goes_back() {
        let mut progress = Watermark::new(Window { start: at(0), end: at(30) });
        progress.advance(at(0), at(12));
        progress.advance(at(0), at(3));
        assert_eq!(progress.complete_until(), at(12));
    }
}
