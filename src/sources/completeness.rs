//! Whether a part of a window was read completely: the unique alerts received, compared with the
//! number that the service promised.
//!
//! A part (Falcon's time slice, Carbon Black's row range) is read by one query, page by page. If
//! the query ends short of its largest total, the part is queried again, at most twice in a run.
//! Each query is compared with its own totals, because alerts can be deleted in between.
//!
//! An alert that one page lists twice counts twice, as in the total: otherwise the part would never
//! be complete if the service stores the alert twice. An alert on two pages counts once, because a
//! page may be returned twice.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};

use super::parsed_alert::ParsedAlert;
use super::seen_ids::SeenIds;
use crate::window::Window;

/// The maximum number of times that a run queries the same part of its window.
pub(super) const MAX_QUERIES: u32 = 3;
/// How many pages in a row without a new alert end a query.
pub(super) const MAX_PAGES_WITHOUT_NEWS: u32 = 3;
/// The precision to which services round the instants of a query.
const ROUNDING: TimeDelta = TimeDelta::seconds(1);

/// The alerts of a part, as far as they were received, and how many were promised.
#[derive(Debug, Default)]
pub(super) struct Completeness {
    /// Counts the ids of this query, and recognizes those of earlier queries.
    seen: SeenIds,
    /// The number of alerts that had the id of another one on their page: the service counts both.
    duplicates: u64,
    /// The number of alerts without an id in this query.
    anonymous: u64,
    /// The largest number of alerts without an id in an earlier query.
    anonymous_before: u64,
    /// The largest total of this query; `None` if none was reported.
    promised: Option<u64>,
    pages_without_news: u32,
    /// The number of queries of this part before this one.
    earlier_queries: u32,
}

impl Completeness {
    /// Records the total that a page reports.
    pub(super) fn promise(&mut self, total: u64) {
        self.promised = self.promised.max(Some(total));
    }

    /// Records the alerts of a page, and returns those that no page of this part had before, in
    /// this query or an earlier one. `part` is the span of the query, in `window`.
    pub(super) fn record_page(
        &mut self,
        mut alerts: Vec<ParsedAlert>,
        part: Window,
        window: Window,
    ) -> Vec<ParsedAlert> {
        let is_empty = alerts.is_empty();
        alerts.retain(|alert| !is_of_another_part(alert, part, window));
        if alerts.is_empty() && !is_empty {
            // It is the response to another request, and so would be the pages after it.
            self.pages_without_news = MAX_PAGES_WITHOUT_NEWS;
            return Vec::new();
        }
        let (count, known) = (alerts.len(), self.seen.len());
        let anonymous = alerts.iter().filter(|alert| alert.id.is_none()).count();
        let insert = |alert: &ParsedAlert| {
            let id = alert.id.as_ref();
            id.is_none_or(|id| self.seen.insert(id, alert.created_at))
        };
        let is_new: Vec<bool> = alerts.iter().map(insert).collect();
        let new_ids = self.seen.len() - known;
        let has_new_id = new_ids > 0;
        if !has_new_id && anonymous < count {
            // A repeated page, and so are its alerts without an id.
            self.pages_without_news += 1;
            return Vec::new();
        }
        if anonymous + new_ids < count {
            self.duplicates += duplicates(&alerts);
        }
        let mut is_new = is_new.into_iter();
        alerts.retain(|_| is_new.next().unwrap_or(true));
        self.count_anonymous(&mut alerts, anonymous);
        // Nothing shows whether alerts without an id are new. They count as new until more were
        // received than the service promised.
        let has_promised =
            anonymous > 0 && self.promised.is_some_and(|promised| self.received() <= promised);
        self.pages_without_news =
            if has_new_id || has_promised { 0 } else { self.pages_without_news + 1 };
        alerts
    }

    /// Counts the alerts without an id, and removes as many of them as earlier queries had.
    fn count_anonymous(&mut self, alerts: &mut Vec<ParsedAlert>, count: usize) {
        let mut known = self.anonymous_before.saturating_sub(self.anonymous);
        self.anonymous += u64::try_from(count).unwrap_or(u64::MAX);
        alerts.retain(|alert| {
            let is_known = alert.id.is_none() && known > 0;
            known -= u64::from(is_known);
            !is_known
        });
    }

    /// Returns the number of alerts that this query returned. Alerts of repeated pages, and alerts
    /// that an earlier page of the query had, do not count again.
    pub(super) fn received(&self) -> u64 {
        let unique = u64::try_from(self.seen.len()).unwrap_or(u64::MAX);
        unique.saturating_add(self.duplicates).saturating_add(self.anonymous)
    }

    /// Returns the largest number of alerts that the service promised in this query.
    pub(super) fn promised(&self) -> Option<u64> {
        self.promised
    }

    /// Whether the service promised a number of alerts, and at least as many were received.
    pub(super) fn is_met(&self) -> bool {
        self.promised.is_some_and(|promised| self.received() >= promised)
    }

    /// Whether the last page had an alert that this query had not returned before.
    pub(super) fn had_news(&self) -> bool {
        self.pages_without_news == 0
    }

    /// Whether the query has to end: its pages repeat, or are of another part of the window.
    pub(super) fn is_stalled(&self) -> bool {
        self.pages_without_news >= MAX_PAGES_WITHOUT_NEWS
    }

    /// Returns the number of ids that this query returned.
    pub(super) fn remembered(&self) -> usize {
        self.seen.len()
    }

    /// Returns the same part before another query, which recognizes all alerts received; `None`
    /// after [`MAX_QUERIES`].
    pub(super) fn query_again(&self) -> Option<Self> {
        let earlier_queries = self.earlier_queries + 1;
        (earlier_queries < MAX_QUERIES).then(|| Self {
            seen: self.seen.recount(),
            anonymous_before: self.anonymous_before.max(self.anonymous),
            earlier_queries,
            ..Self::default()
        })
    }

    /// Returns a part of this one, of which nothing was read in this query. It is promised one
    /// alert, so that it is queried again if it seems to be empty.
    pub(super) fn part(&self, start: DateTime<Utc>, end: DateTime<Utc>) -> Self {
        Self { seen: self.seen.between(start, end), promised: Some(1), ..Self::default() }
    }

    /// Returns the part that begins at `start`, up to which this one was read, and has at least
    /// `promised` alerts. It recognizes the alerts of that instant.
    pub(super) fn remainder(&self, start: DateTime<Utc>, promised: u64) -> Self {
        Self { seen: self.seen.carry_over(start), promised: Some(promised), ..Self::default() }
    }
}

/// Returns how many alerts have the id of an earlier one on the same page.
fn duplicates(page: &[ParsedAlert]) -> u64 {
    let mut ids = HashSet::new();
    let repeated = page.iter().filter_map(|alert| alert.id.as_ref()).filter(|id| !ids.insert(*id));
    u64::try_from(repeated.count()).unwrap_or(u64::MAX)
}

/// Whether an alert was created in another part of the window: it does not count for this one.
fn is_of_another_part(alert: &ParsedAlert, part: Window, window: Window) -> bool {
    alert.created_at.is_some_and(|created| {
        let is_near = created >= part.start - ROUNDING && created <= part.end + ROUNDING;
        created >= window.start && created < window.end && !is_near
    })
}

#[cfg(test)]
mod tests;
