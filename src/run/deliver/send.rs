//! Sending one batch, in parts where some of its items are rejected.

use serde_json::value::RawValue;

use super::MAX_REJECTIONS_IN_A_ROW;
use super::failures::{everything_rejected, rejected_in_a_row};
use crate::failure::Failure;
use crate::indicator::IndicatorType;
use crate::ledger::{Batch, QueuedItem};
use crate::recorded_future::{
    Bisection, Outcome, Part, ProcessedCounts, Receipt, Rejection, Submitted,
};
use crate::run::Run;
use crate::run::crash_point::crash_point;
use crate::run::quota::Reservation;
use crate::settings::{LedgerChoice, Mode};

impl Run<'_> {
    /// Sends items, bisecting where some of them are rejected.
    pub(super) async fn send(
        &mut self,
        items: Vec<QueuedItem>,
        reserved: &mut Reservation,
    ) -> Result<(), Failure> {
        let mut bisection = Bisection::new(items);
        while !self.delivery.stopped
            && let Some(part) = bisection.next_part()
        {
            self.send_part(part, &mut bisection, reserved).await?;
            crash_point();
        }
        // Parts that were not sent again are queued, or in doubt if they may have been stored.
        while let Some(part) = bisection.next_part() {
            if part.may_be_stored {
                let batch = self.ledger.begin_batch(&part.items)?;
                self.ledger.leave_in_doubt(&batch)?;
            }
        }
        Ok(())
    }

    async fn send_part(
        &mut self,
        mut part: Part<QueuedItem>,
        bisection: &mut Bisection<QueuedItem>,
        reserved: &mut Reservation,
    ) -> Result<(), Failure> {
        let payload: Vec<&RawValue> = part.items.iter().map(|item| &*item.json).collect();
        let batch = self.ledger.begin_batch(&part.items)?;
        let size = payload.len();
        crash_point();
        let Submitted { outcome, may_be_stored } = self.client.submit(&payload).await;
        self.follow_service_clock();
        crash_point();
        part.may_be_stored |= may_be_stored;
        match outcome {
            Outcome::Delivered(receipt) => {
                let count = u64::try_from(size).unwrap_or(u64::MAX);
                reserved.commit(count, || self.ledger.deliver_batch(batch))?;
                self.record_delivered(&part.items, &receipt);
                self.grow_batches(size);
            }
            Outcome::Rejected(rejection) => self.reject(part, &batch, &rejection, bisection)?,
            Outcome::QuotaExhausted(failure) => {
                self.pause_delivery(failure);
                self.return_to_queue(&batch, part.may_be_stored)?;
            }
            Outcome::Temporary(failure) | Outcome::Fatal(failure) => {
                self.stop_delivery(failure);
                self.return_to_queue(&batch, part.may_be_stored)?;
            }
        }
        Ok(())
    }

    /// Splits a rejected part, or puts its only item into quarantine. An item that an earlier
    /// attempt may have stored stays in doubt instead, so that the next run looks for it.
    fn reject(
        &mut self,
        part: Part<QueuedItem>,
        batch: &Batch,
        rejection: &Rejection,
        bisection: &mut Bisection<QueuedItem>,
    ) -> Result<(), Failure> {
        let size = part.items.len();
        // There is no doubt in a test run, which stores nothing, and without a ledger no later run
        // looks for the item. If an earlier run sent it too, it does not stay in doubt: if each run
        // loses a response, it would never get into quarantine.
        let is_first = !part.items.iter().any(|item| item.was_sent);
        let is_in_doubt = part.may_be_stored
            && is_first
            && self.settings.mode == Mode::Live
            && self.settings.ledger != LedgerChoice::None;
        match bisection.split(part) {
            None => {
                self.ledger.requeue_batch(batch)?;
                self.shrink_batches(size, rejection);
            }
            Some(rejected) if is_in_doubt => {
                self.ledger.leave_in_doubt(batch)?;
                self.record_doubt(&rejected, rejection);
            }
            Some(rejected) => {
                self.ledger.quarantine_batch(batch, rejection.status, &rejection.message)?;
                self.record_quarantined(&rejected, rejection);
            }
        }
        Ok(())
    }

    /// Counts one more attempt for each entry of a batch without a receipt, and leaves it to the
    /// next run, which looks first for those that may have been stored. A batch that is split
    /// counts none.
    fn return_to_queue(&self, batch: &Batch, may_be_stored: bool) -> Result<(), Failure> {
        if may_be_stored {
            self.ledger.leave_in_doubt(batch)?;
        } else {
            self.ledger.requeue_failed_batch(batch)?;
        }
        Ok(())
    }

    fn record_doubt(&mut self, rejected: &QueuedItem, rejection: &Rejection) {
        self.delivery.rejected_in_doubt += 1;
        self.delivery.last_in_doubt = Some(rejection.message.clone());
        tracing::warn!(
            item = %rejected.json,
            reason = rejection.message,
            "Recorded Future rejected an indicator that an attempt without a response may have stored"
        );
        self.record_rejection(rejection);
    }

    fn record_delivered(&mut self, items: &[QueuedItem], receipt: &Receipt) {
        let processed = self.reconcile(items, receipt);
        let sent = u64::try_from(items.len()).unwrap_or(u64::MAX);
        let counts = &mut self.report.counts;
        counts.submitted += sent;
        counts.processed += processed;
        counts.unprocessed += sent - processed;
        tracing::debug!(sent, processed, "sent a batch");
        self.delivery.batches += 1;
        self.delivery.rejections_in_a_row = 0;
        self.update_progress();
    }

    fn record_quarantined(&mut self, rejected: &QueuedItem, rejection: &Rejection) {
        self.report.counts.quarantined += 1;
        self.update_progress();
        tracing::warn!(
            item = %rejected.json,
            reason = rejection.message,
            "Recorded Future rejected an indicator, which is now in quarantine"
        );
        self.record_rejection(rejection);
    }

    /// Counts a rejection, and stops sending after too many in a row.
    fn record_rejection(&mut self, rejection: &Rejection) {
        self.delivery.rejections_in_a_row += 1;
        if self.delivery.rejections_in_a_row >= MAX_REJECTIONS_IN_A_ROW {
            self.stop_delivery(if self.report.counts.submitted == 0 {
                everything_rejected(rejection)
            } else {
                rejected_in_a_row(rejection)
            });
        }
    }

    /// Doubles the size of batches, up to the setting, where a batch of this size was accepted. One
    /// item that is too large lowers the size to 1, because each batch that contains it is split.
    fn grow_batches(&mut self, size: usize) {
        let current = self.delivery.batch_size;
        if size >= current {
            self.delivery.batch_size = current.saturating_mul(2).min(self.settings.batch_size);
        }
    }

    /// Sends smaller batches, where a batch of this size was too large.
    fn shrink_batches(&mut self, size: usize, rejection: &Rejection) {
        if rejection.too_large() {
            self.delivery.batch_size = self.delivery.batch_size.min(size.div_ceil(2));
            let new_size = self.delivery.batch_size;
            tracing::info!(size, new_size, "a batch was too large: sending smaller ones");
        }
    }

    /// Compares what was processed with what was sent, type by type, and returns the number
    /// processed; all, if the receipt has no counts. A difference is a warning, not a failure: the
    /// service may know an indicator already.
    fn reconcile(&mut self, items: &[QueuedItem], receipt: &Receipt) -> u64 {
        let Some(processed) = receipt.processed else {
            if !std::mem::replace(&mut self.delivery.uncounted_reported, true) {
                self.report.note("Recorded Future accepted indicators without reporting how many it processed; they count as processed".to_owned());
            }
            return u64::try_from(items.len()).unwrap_or(u64::MAX);
        };
        let mut sent = ProcessedCounts::default();
        for item in items {
            sent.add(item.indicator_type);
        }
        let mut sum = 0;
        for indicator_type in IndicatorType::ALL {
            let (sent, processed) = (sent.of(indicator_type), processed.of(indicator_type));
            if sent != processed {
                tracing::warn!(
                    indicator_type = indicator_type.as_str(),
                    sent,
                    processed,
                    "Recorded Future did not process as many indicators as were sent"
                );
            }
            sum += processed.min(sent);
        }
        sum
    }
}
