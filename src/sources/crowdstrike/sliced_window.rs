//! A window that is read in slices: what each page adds and what to read next.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::errors;
use super::page::AlertPage;
use super::slice::{Sizes, TimeSlice};
use crate::failure::Failure;
use crate::sources::Page;
use crate::sources::incomplete::IncompleteParts;
use crate::sources::watermark::Watermark;
use crate::window::Window;

/// The progress of a window that is read in slices. Together the slices return each alert once.
#[derive(Debug)]
pub(super) struct SlicedWindow {
    window: Window,
    sizes: Sizes,
    watermark: Watermark,
    /// The window can only be complete before this instant.
    limit: DateTime<Utc>,
    /// The starts of the slices that ended short and are queried again.
    queried_again: BTreeSet<DateTime<Utc>>,
    incomplete: IncompleteParts,
    total: Option<u64>,
}

impl SlicedWindow {
    /// Returns a window of which nothing was read, and its first slice.
    pub(super) fn new(window: Window, sizes: Sizes) -> (Self, TimeSlice) {
        let sliced = Self {
            window,
            sizes,
            watermark: Watermark::new(window),
            limit: window.end,
            queried_again: BTreeSet::new(),
            incomplete: IncompleteParts::default(),
            total: None,
        };
        (sliced, TimeSlice::new(window.start, window.end))
    }

    /// Records a page of a slice and returns the slices to read next. `spare` is the number of
    /// requests that could be added.
    ///
    /// # Errors
    /// When the page has errors instead of alerts.
    pub(super) fn record_page(
        &mut self,
        mut slice: TimeSlice,
        page: AlertPage,
        spare: usize,
    ) -> Result<(Page, Vec<TimeSlice>), Failure> {
        let mut partial_error = errors::in_page(&page);
        if let Some(error) = partial_error.take_if(|_| page.alerts.is_empty()) {
            return Err(error);
        }
        if partial_error.is_some() {
            self.limit = self.limit.min(slice.start);
        }
        let next_token = page.next_token.filter(|_| !page.alerts.is_empty());
        // The total of the first page is that of the window; later ones are those of slices.
        self.total = self.total.or(page.total);
        let outcomes = slice.record_page(page.alerts, page.total, self.window);
        self.watermark.advance(slice.start, slice.complete_until());
        let next = match next_token {
            None if slice.is_complete() => {
                self.watermark.advance(slice.start, slice.end);
                self.queried_again.remove(&slice.start);
                Vec::new()
            }
            None => self.query_again(&slice).into_iter().collect(),
            Some(_) if slice.is_stalled() => self.query_again(&slice).into_iter().collect(),
            Some(token) if slice.advance(&token) => {
                let start = slice.start;
                let next = slice.next_slices(spare, self.sizes);
                self.split(start, &next);
                next
            }
            // The page is valid; only the ones after it cannot be requested.
            Some(_) => {
                partial_error = Some(errors::repeated_token());
                self.limit = self.limit.min(slice.start);
                Vec::new()
            }
        };
        let complete_until = self.complete_until();
        let (total, customers) = (self.total, page.customers);
        Ok((Page { outcomes, complete_until, partial_error, total, customers }, next))
    }

    /// Returns the slice to read instead of one whose page token was rejected; `None` if it would
    /// begin where that one begins, and was queried too often.
    pub(super) fn restart(&mut self, slice: &TimeSlice) -> Option<TimeSlice> {
        if let Some(remainder) = slice.remainder() {
            self.split(slice.start, std::slice::from_ref(&remainder));
            return Some(remainder);
        }
        let again = slice.query_again()?;
        self.queried_again.insert(slice.start);
        Some(again)
    }

    pub(super) const fn window(&self) -> Window {
        self.window
    }

    /// Returns the failure that reports the slices that stayed incomplete, on the first call only.
    pub(super) fn take_failure(&mut self) -> Option<Failure> {
        self.incomplete.take_failure(errors::VENDOR)
    }

    /// Returns a slice that ended short, with nothing read, for another query. If it was queried
    /// too often, records that it stays incomplete.
    fn query_again(&mut self, slice: &TimeSlice) -> Option<TimeSlice> {
        let again = slice.query_again();
        if again.is_some() {
            // What is missing may be anywhere in the slice.
            self.queried_again.insert(slice.start);
        } else {
            slice.give_up(&mut self.incomplete);
            self.limit = self.limit.min(slice.start);
        }
        again
    }

    /// Records the slices that continue the slice at `start`: itself, or its remainder in one or
    /// more slices.
    fn split(&mut self, start: DateTime<Utc>, next: &[TimeSlice]) {
        if next.iter().all(|slice| slice.start != start) {
            // Its other alerts are now promised by other queries.
            self.queried_again.remove(&start);
        }
        for slice in next {
            self.watermark.split_at(slice.start);
        }
    }

    /// Returns the instant before which every alert was read.
    fn complete_until(&self) -> DateTime<Utc> {
        let queried_again = self.queried_again.first().copied().unwrap_or(self.limit);
        self.watermark.complete_until().min(self.limit).min(queried_again)
    }
}

#[cfg(test)]
mod tests;
