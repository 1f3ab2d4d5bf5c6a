//! Row ranges: what one search can return, read in pages that arrive in any order.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::page::AlertPage;
use crate::detection::AlertOutcome;
use crate::sources::completeness::Completeness;
use crate::sources::incomplete::IncompleteParts;
use crate::window::Window;

/// The limits of the service.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowLimits {
    /// Rows per page.
    pub page: u32,
    /// The last row of a search; a request for a later one is answered with 500.
    pub last: u32,
}

/// A request for one page of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RowRequest {
    /// The first row, counted from 1.
    pub start: u32,
    /// The number of rows.
    pub count: u32,
}

/// The rows of one search, from one instant on, as far as they were read.
///
/// A window with more rows is read in several ranges. Each begins at the last instant of the one
/// before, inclusive, and recognizes the alerts of that instant.
#[derive(Debug)]
pub(super) struct RowRange {
    /// The first instant (UTC) of the search, inclusive.
    pub start: DateTime<Utc>,
    limits: RowLimits,
    /// The last row that was or will be requested.
    requested_to: u32,
    /// The number of rows that the service reports.
    found: u64,
    /// The pages read, by their first row: the row after their last, and their latest instant.
    pages: BTreeMap<u32, (u32, Option<DateTime<Utc>>)>,
    /// Whether the last row that the service returns is after the window.
    is_past_window: bool,
    completeness: Completeness,
    /// Whether the first page reported a number of rows that is not smaller than those received.
    /// That of a later page proves nothing: if an alert was deleted after the first page, another
    /// one moved into its rows, and as many were received as the later page reports.
    reports_number: bool,
}

impl RowRange {
    /// Creates a range of which nothing was read.
    pub(super) fn new(start: DateTime<Utc>, limits: RowLimits) -> Self {
        Self::with_completeness(start, limits, Completeness::default())
    }

    fn with_completeness(
        start: DateTime<Utc>,
        limits: RowLimits,
        completeness: Completeness,
    ) -> Self {
        Self {
            start,
            limits,
            requested_to: limits.page,
            found: 0,
            pages: BTreeMap::new(),
            is_past_window: false,
            completeness,
            reports_number: false,
        }
    }

    /// Returns the request that every range begins with.
    pub(super) fn first_request(&self) -> RowRequest {
        RowRequest { start: 1, count: self.limits.page }
    }

    /// Records a page. Returns its alerts that belong to the window and were not seen before, and
    /// the requests that follow from it.
    pub(super) fn record_page(
        &mut self,
        request: RowRequest,
        page: AlertPage,
        window: Window,
    ) -> (Vec<AlertOutcome>, Vec<RowRequest>) {
        let received = u32::try_from(page.alerts.len()).unwrap_or(u32::MAX);
        let last_created = page.alerts.last().and_then(|alert| alert.created_at);
        self.is_past_window |= request.start.saturating_add(received) > self.limits.last
            && last_created.is_some_and(|created| created >= window.end);
        // The end is assumed to be inclusive, and an earlier range has what is before the start.
        let start = self.start;
        let is_wanted =
            |created| created < window.end && (created >= start || created < window.start);
        let instants = page.alerts.iter().filter_map(|alert| alert.created_at);
        let latest = instants.filter(|created| is_wanted(*created)).max();
        self.promise(request, received, page.found);
        let mut alerts = self.completeness.record_page(page.alerts, self.span(window), window);
        alerts.retain(|alert| alert.created_at.is_none_or(is_wanted));
        let mut requests = self.next_requests(request, received, latest, page.found);
        if !self.completeness.had_news() {
            // A repeated page: its own rows are a gap.
            self.pages.remove(&request.start);
        }
        if self.is_stalled() {
            requests.clear();
        }
        (alerts.into_iter().map(|alert| alert.outcome).collect(), requests)
    }

    /// Returns the span of its search.
    pub(super) fn span(&self, window: Window) -> Window {
        Window { start: self.start, end: window.end }
    }

    /// Records the number of rows that a page reports, at most the number that one search returns.
    fn promise(&mut self, request: RowRequest, received: u32, found: Option<u64>) {
        if let Some(found) = usable_number(found, request.start.saturating_add(received)) {
            self.reports_number |= request.start == 1;
            self.completeness.promise(found.min(self.limits.last.into()));
        }
    }

    /// Records the rows of a page and returns the requests that follow from it.
    fn next_requests(
        &mut self,
        request: RowRequest,
        received: u32,
        latest: Option<DateTime<Utc>>,
        found: Option<u64>,
    ) -> Vec<RowRequest> {
        let next = request.start.saturating_add(received);
        self.pages.insert(request.start, (next, latest));
        let found = usable_number(found, next);
        self.found = self.found.max(found.unwrap_or(0));
        let last = u32::try_from(self.found).unwrap_or(u32::MAX).min(self.limits.last);
        let mut requests = Vec::new();
        // A page may be shorter than requested without being the last; one without rows is the end.
        if received > 0 && received < request.count && (next <= last || found.is_none()) {
            requests.push(RowRequest { start: next, count: request.count - received });
        }
        // Without a number of rows, full pages are followed by one more.
        let last = if found.is_none() && received == request.count {
            self.limits.last.min(self.requested_to + self.limits.page)
        } else {
            last
        };
        while self.requested_to < last {
            let start = self.requested_to + 1;
            let count = self.limits.page.min(self.limits.last - self.requested_to);
            requests.push(RowRequest { start, count });
            self.requested_to += count;
        }
        requests
    }

    /// Returns the instant before which every alert of the range was read: the latest one of the
    /// pages before the first gap.
    pub(super) fn complete_until(&self) -> DateTime<Utc> {
        let mut row = 1;
        let mut complete_until = self.start;
        while let Some((next, latest)) = self.pages.get(&row).filter(|(next, _)| *next > row) {
            complete_until = latest.map_or(complete_until, |latest| latest.max(complete_until));
            row = *next;
        }
        complete_until
    }

    /// Whether the window has, or may have, rows that this range cannot return: the service reports
    /// more rows than it returns, or it returned the last one without having reported as many.
    pub(super) fn is_truncated(&self) -> bool {
        if self.is_past_window {
            return false;
        }
        let has_last_row = || self.pages.values().any(|(next, _)| *next > self.limits.last);
        match self.found.cmp(&u64::from(self.limits.last)) {
            Ordering::Greater => true,
            Ordering::Equal => false,
            Ordering::Less => has_last_row(),
        }
    }

    /// Whether all rows that the service promised in this search, and can return, were received.
    pub(super) fn is_complete(&self) -> bool {
        self.reports_number && self.completeness.is_met() && !self.is_stalled()
    }

    /// Whether further pages only repeat what was received.
    pub(super) fn is_stalled(&self) -> bool {
        self.completeness.is_stalled()
    }

    /// Adds the range to the incomplete parts.
    pub(super) fn give_up(&self, window: Window, incomplete: &mut IncompleteParts) {
        incomplete.add(self.span(window), &self.completeness, self.reports_number);
    }

    /// Returns this range with nothing read, for another search for all its rows; `None` after too
    /// many searches.
    pub(super) fn query_again(&self) -> Option<Self> {
        let completeness = self.completeness.query_again()?;
        tracing::warn!(
            start = %self.start,
            promised = self.completeness.promised(),
            received = self.completeness.received(),
            "Carbon Black Cloud did not return all alerts: searching again"
        );
        Some(Self::with_completeness(self.start, self.limits, completeness))
    }

    /// Returns the range that continues this one; `None` if it would begin at the same instant.
    pub(super) fn next_range(&self) -> Option<Self> {
        let start = self.complete_until();
        let left = self.found.saturating_sub(self.completeness.received());
        // At least the last row is read again.
        let promised = left.clamp(1, self.limits.last.into());
        (start > self.start).then(|| {
            let completeness = self.completeness.remainder(start, promised);
            Self::with_completeness(start, self.limits, completeness)
        })
    }
}

/// Returns the number of rows that a page reports; `None` if it is wrong, because the service
/// returned a later row: the one before `next`.
fn usable_number(found: Option<u64>, next: u32) -> Option<u64> {
    found.filter(|found| *found >= u64::from(next - 1))
}

#[cfg(test)]
mod tests;
