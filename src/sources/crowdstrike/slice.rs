//! Time slices: the parts of a window that are read concurrently, each with a query of its own.

use chrono::{DateTime, DurationRound as _, TimeDelta, Utc};

use crate::detection::AlertOutcome;
use crate::sources::completeness::Completeness;
use crate::sources::incomplete::IncompleteParts;
use crate::sources::parsed_alert::ParsedAlert;
use crate::sources::seen_ids::SeenIds;
use crate::window::Window;

/// How many slices one split creates at most, whatever total the service reports. A slice that is
/// still too large is split again when it is read.
const MAX_PARTS: u64 = 256;

/// How many alerts are read together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    /// Alerts per page.
    pub page: u64,
    /// Alerts per slice, approximately. A slice keeps their ids.
    pub slice: usize,
}

/// The alerts created in `[start, end)`, as far as they were read.
#[derive(Debug)]
pub(super) struct TimeSlice {
    pub start: DateTime<Utc>,
    pub end: DateTime<Utc>,
    /// The token of the next page; `None` for the first page.
    pub token: Option<String>,
    seen_tokens: SeenIds,
    completeness: Completeness,
    /// Whether the last page reported a usable total.
    reports_total: bool,
    /// The latest creation time seen.
    latest: DateTime<Utc>,
    /// Whether the alerts came in the requested order. Only then were all before `latest` read.
    in_order: bool,
}

impl TimeSlice {
    /// Creates a slice of which nothing was read and nothing is known.
    pub(super) fn new(start: DateTime<Utc>, end: DateTime<Utc>) -> Self {
        Self::with_completeness(start, end, Completeness::default())
    }

    fn with_completeness(
        start: DateTime<Utc>,
        end: DateTime<Utc>,
        completeness: Completeness,
    ) -> Self {
        Self {
            start,
            end,
            token: None,
            seen_tokens: SeenIds::default(),
            completeness,
            reports_total: false,
            latest: start,
            in_order: true,
        }
    }

    /// Returns the span of its query.
    pub(super) fn span(&self) -> Window {
        Window { start: self.start, end: self.end }
    }

    /// Returns the key by which slices are queued: those being read first, because their tokens
    /// expire and their ids take memory, then the earliest.
    pub(super) fn priority(&self) -> (bool, DateTime<Utc>) {
        (self.token.is_none(), self.start)
    }

    /// Records a page and returns its alerts that this slice sees for the first time and no other
    /// slice of the window returns.
    pub(super) fn record_page(
        &mut self,
        alerts: Vec<ParsedAlert>,
        total: Option<u64>,
        window: Window,
    ) -> Vec<AlertOutcome> {
        let count = u64::try_from(alerts.len()).unwrap_or(u64::MAX);
        // A total smaller than the page itself is wrong.
        let total = total.filter(|total| *total >= count);
        self.reports_total = total.is_some();
        if let Some(total) = total {
            self.completeness.promise(total);
        }
        for created in alerts.iter().filter_map(|alert| alert.created_at) {
            if self.may_return(created, window) {
                self.observe(created);
            }
        }
        let mut alerts = self.completeness.record_page(alerts, self.span(), window);
        // After a repeated page, the one that it replaced is missing.
        self.in_order &= self.completeness.had_news();
        alerts.retain(|alert| {
            alert.created_at.is_none_or(|created| self.may_return(created, window))
        });
        alerts.into_iter().map(|alert| alert.outcome).collect()
    }

    /// Whether an alert created at this instant belongs to no other slice and to no later window.
    /// The service may treat `<` as `<=` and round the instants of the filter.
    fn may_return(&self, created: DateTime<Utc>, window: Window) -> bool {
        created < self.end && (created >= self.start || created < window.start)
    }

    fn observe(&mut self, created: DateTime<Utc>) {
        self.in_order &= created >= self.latest;
        self.latest = self.latest.max(created);
    }

    /// Continues with this token; `false` if it was already used.
    pub(super) fn advance(&mut self, token: &str) -> bool {
        self.token = Some(token.to_owned());
        self.seen_tokens.insert(token, None)
    }

    /// Whether the last page reported a total, and all alerts that the service promised in this
    /// query were received. Nothing is missing then, if there is no further page.
    pub(super) fn is_complete(&self) -> bool {
        self.reports_total && self.completeness.is_met() && !self.is_stalled()
    }

    /// Whether further pages only repeat what was received.
    pub(super) fn is_stalled(&self) -> bool {
        self.completeness.is_stalled()
    }

    /// Adds the slice to the incomplete parts.
    pub(super) fn give_up(&self, incomplete: &mut IncompleteParts) {
        incomplete.add(self.span(), &self.completeness, self.reports_total);
    }

    /// Returns this slice with nothing read, for another query of all its alerts; `None` after too
    /// many queries.
    pub(super) fn query_again(&self) -> Option<Self> {
        let completeness = self.completeness.query_again()?;
        tracing::warn!(
            start = %self.start,
            end = %self.end,
            promised = self.completeness.promised(),
            received = self.completeness.received(),
            "CrowdStrike did not return all alerts: querying again"
        );
        Some(Self::with_completeness(self.start, self.end, completeness))
    }

    /// Returns the instant before which every alert of the slice was read.
    pub(super) fn complete_until(&self) -> DateTime<Utc> {
        if self.in_order { self.latest } else { self.start }
    }

    /// Returns the part that was not read, as a slice that begins at the last instant seen and
    /// recognizes the alerts of that instant; `None` if it would begin where this slice begins.
    pub(super) fn remainder(&self) -> Option<Self> {
        // At least the last alert is read again.
        self.remainder_with_promise(self.left().max(1))
    }

    fn remainder_with_promise(&self, promised: u64) -> Option<Self> {
        let start = self.complete_until();
        (start > self.start).then(|| {
            let completeness = self.completeness.remainder(start, promised);
            Self::with_completeness(start, self.end, completeness)
        })
    }

    /// Returns the number of alerts that were promised and not received yet.
    fn left(&self) -> u64 {
        self.completeness.promised().unwrap_or(0).saturating_sub(self.completeness.received())
    }

    /// Returns the number of ids that this query returned; those kept from before it do not count.
    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.completeness.remembered()
    }

    /// Returns what to read next: this slice's next page, or its remainder in one or more slices.
    ///
    /// The remainder is split if requests can be added (`spare`) or if it is too large for one
    /// slice. A slice that became too large begins again as its remainder, so that it forgets
    /// the ids before that.
    pub(super) fn next_slices(self, spare: usize, sizes: Sizes) -> Vec<Self> {
        let slice_size = u64::try_from(sizes.slice).unwrap_or(u64::MAX);
        let left = self.left();
        let parts = u64::try_from(spare)
            .unwrap_or(u64::MAX)
            .max(left.div_ceil(slice_size))
            .min(left.div_ceil(sizes.page))
            .min(MAX_PARTS);
        if parts <= 1 && self.completeness.remembered() < sizes.slice {
            return vec![self];
        }
        // How many alerts each part has is not known. One without any is queried again.
        match self.remainder_with_promise(if parts > 1 { 1 } else { left.max(1) }) {
            Some(remainder) if parts > 1 => remainder.split_evenly(parts, self.estimate_span(left)),
            Some(remainder) => vec![remainder],
            None => vec![self],
        }
    }

    /// Returns the span of `alerts` more alerts, if they are as dense as those received.
    fn estimate_span(&self, alerts: u64) -> TimeDelta {
        fraction(self.complete_until() - self.start, alerts, self.completeness.received())
    }

    /// Splits the slice into at most `parts` parts of equal duration. If the alerts are expected in
    /// less than half of it, only that span is split equally, and the rest is one part.
    fn split_evenly(self, parts: u64, estimated_span: TimeDelta) -> Vec<Self> {
        let whole = self.end - self.start;
        let (span, shares) =
            if estimated_span < whole / 2 { (estimated_span, parts - 1) } else { (whole, parts) };
        let mut starts = vec![self.start];
        for part in 1..parts {
            let start = self.start + fraction(span, part, shares);
            let start = start.duration_trunc(TimeDelta::milliseconds(1)).unwrap_or(self.start);
            if start < self.end && starts.last().is_some_and(|last| start > *last) {
                starts.push(start);
            }
        }
        let ends = starts.iter().skip(1).copied().chain([self.end]);
        let spans = starts.iter().zip(ends);
        let mut slices: Vec<_> = spans
            .map(|(start, end)| {
                Self::with_completeness(*start, end, self.completeness.part(*start, end))
            })
            .collect();
        if let Some(first) = slices.first_mut() {
            first.completeness = self.completeness;
        }
        slices
    }
}

/// Returns `part / parts` of a span, in whole milliseconds.
fn fraction(span: TimeDelta, part: u64, parts: u64) -> TimeDelta {
    let milliseconds =
        i128::from(span.num_milliseconds()) * i128::from(part) / i128::from(parts.max(1));
    i64::try_from(milliseconds).ok().and_then(TimeDelta::try_milliseconds).unwrap_or(TimeDelta::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SIZES: Sizes = Sizes { page: 1000, slice: 10_000 };

    fn at(nanosecond: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_nanos(nanosecond)
    }

    fn alert(id: &str, nanosecond: i64) -> ParsedAlert {
        let id = Some(id.to_owned());
        ParsedAlert { id, created_at: Some(at(nanosecond)), outcome: AlertOutcome::MALFORMED }
    }

    /// A slice of which one page was read, up to `latest`.
    fn slice(start: i64, end: i64, latest: i64, total: u64) -> TimeSlice {
        let mut slice = TimeSlice::new(at(start), at(end));
        let alerts = (0..1000).map(|number| alert(&format!("page {number}"), start));
        slice.record_page(alerts.collect(), Some(total), slice.span());
        slice.observe(at(latest));
        assert!(slice.advance("token"));
        slice
    }

    fn has_token(slices: &[TimeSlice]) -> bool {
        slices.iter().any(|slice| slice.token.is_some())
    }

    #[test]
    fn a_clump_at_the_start_is_read_with_the_token() {
        let slices = slice(5, 1_000_000_000, 5, 9000).next_slices(8, SIZES);
        assert_eq!(slices.len(), 1);
        assert!(has_token(&slices));
    }

    #[test]
    fn a_slice_with_alerts_out_of_order_is_not_split() {
        let mut slice = slice(0, 1_000_000_000, 500_000_000, 9000);
        slice.observe(at(1));
        assert_eq!(slice.complete_until(), at(0));
        assert!(has_token(&slice.next_slices(8, SIZES)));
    }

    #[test]
    fn one_more_page_is_not_worth_a_split() {
        let parts = |total| slice(0, 1_000_000_000, 500_000_000, total).next_slices(8, SIZES).len();
        assert_eq!(parts(2000), 1);
        assert_eq!(parts(2001), 2);
    }

    #[test]
    fn a_large_remainder_is_split_even_without_spare_requests() {
        let day = 86_400_000_000_000;
        let parts = |total| slice(0, day, day / 100, total).next_slices(0, SIZES).len();
        assert_eq!(parts(11_000), 1);
        assert_eq!(parts(11_001), 2);
        assert_eq!(parts(101_000), 10);
        assert_eq!(parts(u64::MAX), 256);
    }

    #[test]
    fn a_slice_that_became_too_large_begins_again_as_its_remainder() {
        let mut slice = slice(0, 1_000_000_000, 500_000_000, 9_000);
        let alerts = (0..8_999).map(|number| alert(&number.to_string(), 500_000_000));
        slice.record_page(alerts.collect(), None, slice.span());
        assert_eq!(slice.completeness.remembered(), 9_999);
        let last = alert("last", 500_000_000);
        slice.record_page(vec![last], None, slice.span());
        let mut slices = slice.next_slices(0, SIZES);
        assert_eq!(slices.len(), 1);
        let remainder = &mut slices[0];
        assert_eq!((remainder.start, remainder.end), (at(500_000_000), at(1_000_000_000)));
        assert_eq!((remainder.token.as_ref(), remainder.remembered()), (None, 0));
        let last = vec![alert("last", 500_000_000)];
        assert_eq!(remainder.record_page(last, None, remainder.span()), []);
    }

    #[test]
    fn a_dense_beginning_is_split_where_the_alerts_are() {
        let day = 86_400_000_000_000;
        let parts = slice(0, day, 1_000_000_000, 8000).next_slices(8, SIZES);
        assert_eq!(parts.len(), 7);
        assert_eq!(parts[0].end, at(1_000_000_000 + 7_000_000_000 / 6 / 1_000_000 * 1_000_000));
        assert_eq!(parts[6].start, at(8_000_000_000));
    }

    proptest! {
        #[test]
        fn parts_cover_every_instant_exactly_once(
            start in 0_i64..4_000_000_000_000_000_000,
            read in 1_i64..90_000_000_000_000,
            left in 1_i64..31_000_000_000_000_000,
            spare in 0_usize..33,
            total in 0_u64..300_000,
        ) {
            let whole = slice(start, start + read + left, start + read, total);
            let parts = whole.next_slices(spare, SIZES);
            prop_assert!(parts.len() <= spare.max(30));
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
