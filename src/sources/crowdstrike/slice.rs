//! A slice of the window: what one query with its page tokens reads, and how it is cut into more.

use chrono::{DateTime, DurationRound as _, TimeDelta, Utc};

use crate::sources::seen_ids::SeenIds;

/// The alerts created in `[start, end)`, as far as they have been read.
#[derive(Debug)]
pub(super) struct TimeSlice {
    pub start: DateTime<Utc>,
    pub end: DateTime<Utc>,
    /// The token of the page before; none for the first page.
    pub after: Option<String>,
    /// The tokens met so far.
    pub tokens: SeenIds,
    /// The latest creation seen.
    latest: DateTime<Utc>,
    /// Whether the alerts came in the order that was asked for. Only then are those before the latest
    /// one all known.
    in_order: bool,
    received: u64,
    total: u64,
}

impl TimeSlice {
    /// A slice of which nothing has been asked.
    pub fn new(start: DateTime<Utc>, end: DateTime<Utc>) -> Self {
        let tokens = SeenIds::default();
        Self {
            start,
            end,
            after: None,
            tokens,
            latest: start,
            in_order: true,
            received: 0,
            total: 0,
        }
    }

    /// A page of so many alerts came; the service says how many the slice has.
    pub fn count(&mut self, received: usize, total: Option<u64>) {
        self.received += u64::try_from(received).unwrap_or(u64::MAX);
        self.total = total.unwrap_or(0);
    }

    /// Whether the service promised more alerts than have come.
    pub fn is_short(&self) -> bool {
        self.received < self.total
    }

    /// The service gives no further page: a person should know where it had promised more alerts.
    pub fn warn_if_short(&self) {
        if self.is_short() {
            tracing::warn!(
                "CrowdStrike counts {} alerts from {} to {} and handed out {}",
                self.total,
                self.start,
                self.end,
                self.received
            );
        }
    }

    /// An alert of this creation came.
    pub fn observe(&mut self, created: DateTime<Utc>) {
        self.in_order &= created >= self.latest;
        self.latest = self.latest.max(created);
    }

    /// Every alert of the slice created before this instant came.
    pub fn complete_until(&self) -> DateTime<Utc> {
        if self.in_order { self.latest } else { self.start }
    }

    /// The part not read yet as a slice of its own, to be asked anew: it begins with the last instant
    /// seen. `None` where that would begin at the same place again.
    pub fn remainder(&self) -> Option<Self> {
        (self.complete_until() > self.start).then(|| Self::new(self.complete_until(), self.end))
    }

    /// What is to be asked next: the slice itself with its token, or its rest cut into slices of about
    /// equal numbers, no more than `queue` and no more than there are pages left.
    pub fn split(self, queue: usize, page_size: u64) -> Vec<Self> {
        let left = self.total.saturating_sub(self.received);
        let parts = u64::try_from(queue).unwrap_or(u64::MAX).min(left.div_ceil(page_size));
        match self.remainder() {
            Some(rest) if parts > 1 => rest.split_evenly(parts, self.estimate_span(left)),
            _ => vec![self],
        }
    }

    /// The span that so many more alerts take, if they come as densely as those received.
    fn estimate_span(&self, left: u64) -> TimeDelta {
        fraction(self.complete_until() - self.start, left, self.received)
    }

    /// Equal spans of time over what the alerts are guessed to take; where that is far less than the
    /// whole, the last part is the remainder, in which hardly any are expected.
    fn split_evenly(&self, parts: u64, estimate_span: TimeDelta) -> Vec<Self> {
        let whole = self.end - self.start;
        let (span, shares) =
            if estimate_span < whole / 2 { (estimate_span, parts - 1) } else { (whole, parts) };
        let mut starts = vec![self.start];
        for part in 1..parts {
            let start = self.start + fraction(span, part, shares);
            let start = start.duration_trunc(TimeDelta::milliseconds(1)).unwrap_or(self.start);
            if start < self.end && starts.last().is_some_and(|last| start > *last) {
                starts.push(start);
            }
        }
        let ends = starts.iter().skip(1).copied().chain([self.end]);
        starts.iter().zip(ends).map(|(start, end)| Self::new(*start, end)).collect()
    }
}

/// So many of so many parts of a span; no more than a span can be.
fn fraction(span: TimeDelta, part: u64, parts: u64) -> TimeDelta {
    let milliseconds =
        i128::from(span.num_milliseconds()) * i128::from(part) / i128::from(parts.max(1));
    i64::try_from(milliseconds).ok().and_then(TimeDelta::try_milliseconds).unwrap_or(TimeDelta::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(nanosecond: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_nanos(nanosecond)
    }

    fn slice(start: i64, end: i64, latest: i64, total: u64) -> TimeSlice {
        let mut slice = TimeSlice::new(at(start), at(end));
        slice.count(1000, Some(total));
        slice.observe(at(latest));
        slice.after = Some("token".into());
        slice
    }

    #[test]
    fn a_clump_at_its_start_is_read_on_with_the_token() {
        let slices = slice(5, 1_000_000_000, 5, 9000).split(8, 1000);
        assert_eq!(slices.len(), 1);
        assert_eq!(slices[0].after.as_deref(), Some("token"));
    }

    #[test]
    fn alerts_out_of_order_make_nothing_certain() {
        let mut slice = slice(0, 1_000_000_000, 500_000_000, 9000);
        slice.observe(at(1));
        assert_eq!(slice.complete_until(), at(0));
        assert_eq!(slice.split(8, 1000).len(), 1);
    }

    #[test]
    fn one_page_more_is_not_worth_a_cut() {
        assert_eq!(slice(0, 1_000_000_000, 500_000_000, 2000).split(8, 1000).len(), 1);
        assert_eq!(slice(0, 1_000_000_000, 500_000_000, 2001).split(8, 1000).len(), 2);
    }

    #[test]
    fn a_dense_beginning_is_cut_where_the_alerts_are() {
        let day = 86_400_000_000_000;
        let parts = slice(0, day, 1_000_000_000, 8000).split(8, 1000);
        assert_eq!(parts.len(), 7);
        assert_eq!(parts[0].end, at(1_000_000_000 + 7_000_000_000 / 6 / 1_000_000 * 1_000_000));
        assert_eq!(parts[6].start, at(8_000_000_000));
    }

    proptest! {
        #[test]
        fn parts_leave_no_instant_out_and_none_twice(
            start in 0_i64..4_000_000_000_000_000_000,
            read in 1_i64..90_000_000_000_000,
            left in 1_i64..31_000_000_000_000_000,
            queue in 1_usize..33,
            total in 0_u64..300_000,
        ) {
            let whole = slice(start, start + read + left, start + read, total);
            let parts = whole.split(queue, 1000);
            prop_assert!(parts.len() <= queue);
            prop_assert_eq!(parts.last().unwrap().end, at(start + read + left));
            if parts.len() > 1 {
                prop_assert_eq!(parts[0].start, at(start + read));
                for pair in parts.windows(2) {
                    prop_assert_eq!(pair[0].end, pair[1].start);
                    prop_assert!(pair[0].start < pair[0].end);
                }
            }
        }
    }
}
