//! A window that is read in slices: what each page adds and what to read next.

use super::errors;
use super::page::AlertPage;
use super::slice::{Sizes, TimeSlice};
use crate::failure::Failure;
use crate::sources::Page;
use crate::sources::watermark::Watermark;
use crate::window::Window;

/// The progress of a window that is read in slices. Together they return each alert once.
#[derive(Debug)]
pub(super) struct SlicedWindow {
    window: Window,
    sizes: Sizes,
    watermark: Watermark,
    total: Option<u64>,
}

impl SlicedWindow {
    /// Returns a window of which nothing was read, and its first slice.
    pub(super) fn new(window: Window, sizes: Sizes) -> (Self, TimeSlice) {
        let sliced = Self { window, sizes, watermark: Watermark::new(window), total: None };
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
        let next_token = page.next_token.filter(|_| !page.alerts.is_empty());
        // The total of the first page is that of the window; later ones are those of slices.
        self.total = self.total.or(page.total);
        let outcomes = slice.record_page(page.alerts, page.total, self.window);
        // Alerts that are reported but not returned may be later than all that were.
        let is_complete = next_token.is_none() && !slice.is_short();
        self.watermark
            .advance(slice.start, if is_complete { slice.end } else { slice.complete_until() });
        let next = match next_token {
            None => {
                slice.warn_if_short();
                Vec::new()
            }
            Some(token) if slice.advance(&token) => slice.next_slices(spare, self.sizes),
            // The page is valid; only the ones after it cannot be requested.
            Some(_) => {
                partial_error = Some(errors::repeated_token());
                Vec::new()
            }
        };
        for slice in &next {
            self.watermark.split_at(slice.start);
        }
        let complete_until = self.watermark.complete_until();
        Ok((Page { outcomes, complete_until, partial_error, total: self.total }, next))
    }

    /// Returns the slice to read instead of one whose page token was rejected; `None` if it would
    /// begin where that one begins.
    pub(super) fn restart(&mut self, slice: &TimeSlice) -> Option<TimeSlice> {
        let remainder = slice.remainder()?;
        self.watermark.split_at(remainder.start);
        Some(remainder)
    }
}

#[cfg(test)]
mod tests;
