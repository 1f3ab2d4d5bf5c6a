//! Delivers the outbox, one batch after the other. Only a verified receipt confirms a batch.

mod failures;
mod send;

use std::sync::Arc;

use self::failures::{damaged_items, in_quarantine, rejected_in_doubt};
use super::Run;
use super::quota::{KeyQuota, Reservation};
use crate::failure::{Failure, FailureKind};
use crate::ledger::{BatchInDoubt, EntryId, TenantLedger};
use crate::report::DryRunItem;
use crate::report::progress::Work;
use crate::settings::{LedgerChoice, Mode, Settings};
use crate::submission::DamagedItem;

/// After this many rejected items in a row, the cause is not the items: sending stops.
const MAX_REJECTIONS_IN_A_ROW: u64 = 20;

/// The state of a run's delivery.
#[derive(Debug)]
pub(super) struct DeliveryState {
    /// Submissions per request; smaller than the setting after a request was too large.
    batch_size: usize,
    /// Batches that were accepted.
    batches: u64,
    /// Submissions that were sent or put into quarantine in this run, or are queued.
    total: u64,
    /// Entries in quarantine that were not sent, because their items are damaged.
    damaged: u64,
    /// Items rejected since the last batch that was accepted.
    rejections_in_a_row: u64,
    /// Items that were rejected, but which an earlier attempt may have stored.
    rejected_in_doubt: u64,
    /// The message of the last of these rejections.
    last_in_doubt: Option<String>,
    /// Whether the run has reported a receipt without counts.
    uncounted_reported: bool,
    /// Whether no further request is sent in this run.
    stopped: bool,
    /// The batches that earlier runs left in doubt and that could not be looked up yet, and why;
    /// `None` before the run has tried to.
    pub(super) in_doubt: Option<Vec<(BatchInDoubt, Failure)>>,
    quota: Arc<KeyQuota>,
    /// How many more submissions the tenant may send of a quota that it shares, once that is
    /// known.
    share: Option<u64>,
    quota_wait: QuotaWait,
}

/// Whether a run waits for more quota than its share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum QuotaWait {
    NotYet,
    Now,
    Done,
}

impl DeliveryState {
    pub(super) const fn new(settings: &Settings, quota: Arc<KeyQuota>) -> Self {
        Self {
            quota,
            share: None,
            quota_wait: QuotaWait::NotYet,
            batch_size: settings.batch_size,
            batches: 0,
            total: 0,
            damaged: 0,
            rejections_in_a_row: 0,
            rejected_in_doubt: 0,
            last_in_doubt: None,
            uncounted_reported: false,
            stopped: false,
            in_doubt: None,
        }
    }

    /// Whether the run has sent its share of a quota, and would send more.
    pub(super) fn waits_for_quota(&self) -> bool {
        self.quota_wait == QuotaWait::Now
    }

    /// Registers the run for a part of what will be left of the quota.
    pub(super) fn wait(&self, ledger: &TenantLedger) {
        self.quota.wait(ledger.tenant());
    }

    /// Takes the run's part of what was left of the quota: it may send as many more.
    ///
    /// # Errors
    /// Ledger errors.
    pub(super) fn take_allowance(&mut self, ledger: &TenantLedger) -> Result<(), Failure> {
        self.quota_wait = QuotaWait::Done;
        self.share = Some(self.quota.allowance(ledger)?);
        Ok(())
    }

    /// Whether what is left of the quota can be divided, so that the run need not wait any longer.
    pub(super) fn is_quota_divisible(&self) -> bool {
        self.quota.is_divisible()
    }
}

impl Run<'_> {
    /// Sends what is queued. A failure of Recorded Future goes to the report and stops sending in
    /// this run; what was not accepted stays queued.
    ///
    /// # Errors
    /// Ledger errors.
    pub(super) async fn deliver(&mut self) -> Result<(), Failure> {
        if self.settings.mode == Mode::DryRun {
            return Ok(());
        }
        if let Some(warning) = self.delivery_hold(self.ledger.queued()?) {
            self.report.warn(warning);
            return Ok(());
        }
        if !self.delivery.stopped {
            self.resolve_doubt().await?;
        }
        let counts = &self.report.counts;
        self.delivery.total = counts.submitted + counts.quarantined + self.ledger.queued()?;
        let mut cursor = None;
        while !self.delivery.stopped {
            let mut reserved = self.reserve_quota()?;
            let limit = usize::try_from(reserved.count).unwrap_or(usize::MAX);
            // At least one, to learn whether anything is queued that the quota holds back.
            let next = self.ledger.next_items(limit.max(1), cursor)?;
            if next.end.is_none() {
                self.report.progress.finish();
                return Ok(());
            }
            if limit == 0 {
                self.stop_at_quota();
                return Ok(());
            }
            cursor = next.end;
            self.update_progress();
            self.quarantine_damaged(next.damaged)?;
            let before = self.report.counts.submitted;
            self.send(next.items, &mut reserved).await?;
            let sent = self.report.counts.submitted - before;
            self.delivery.share = self.delivery.share.map(|share| share.saturating_sub(sent));
        }
        Ok(())
    }

    /// Reserves quota for the next batch.
    fn reserve_quota(&mut self) -> Result<Reservation, Failure> {
        let wanted = u64::try_from(self.delivery.batch_size).unwrap_or(u64::MAX);
        let (quota, ledger) = (&self.delivery.quota, &self.ledger);
        let Some(limit) = self.settings.daily_limit else {
            return Ok(quota.reserve(wanted, u64::MAX, ledger)?);
        };
        let share = match self.delivery.share {
            Some(share) => share,
            None => *self.delivery.share.insert(quota.share(limit, ledger)?),
        };
        Ok(quota.reserve(wanted.min(share), limit, ledger)?)
    }

    /// Stops sending: until it is known what other tenants leave of the quota, or for this day if
    /// no more can come.
    fn stop_at_quota(&mut self) {
        if self.delivery.quota.is_shared() && self.delivery.quota_wait == QuotaWait::NotYet {
            self.delivery.quota_wait = QuotaWait::Now;
        } else {
            self.pause_delivery(self.quota_exhausted(self.report.counts.submitted > 0));
        }
    }

    /// Returns how many more submissions may be sent on this UTC day.
    fn quota_left(&self) -> Result<usize, Failure> {
        let Some(limit) = self.settings.daily_limit else {
            return Ok(usize::MAX);
        };
        let left = limit.saturating_sub(self.ledger.quota_used()?);
        Ok(usize::try_from(left).unwrap_or(usize::MAX))
    }

    /// Puts damaged entries into quarantine.
    fn quarantine_damaged(&mut self, damaged: Vec<(EntryId, DamagedItem)>) -> Result<(), Failure> {
        for (id, error) in damaged {
            let message = error.to_string();
            tracing::warn!(entry = %id, "{message}");
            self.ledger.quarantine_damaged(id, &message)?;
            self.report.counts.quarantined += 1;
            self.delivery.damaged += 1;
        }
        Ok(())
    }

    /// Returns how many items are in quarantine because Recorded Future rejected them in this run.
    const fn rejected(&self) -> u64 {
        self.report.counts.quarantined - self.delivery.damaged
    }

    fn update_progress(&self) {
        self.report.progress.set(Work::Sending {
            batches: self.delivery.batches,
            sent: self.report.counts.submitted,
            rejected: self.rejected(),
            total: self.delivery.total,
        });
    }

    /// Returns why the remaining indicators are not sent today.
    fn quota_exhausted(&self, sent_any: bool) -> Failure {
        let limit = self.settings.daily_limit.unwrap_or_default();
        let is_dry_run = self.settings.mode == Mode::DryRun;
        let sent = match (sent_any, is_dry_run) {
            (true, true) => "the most severe would be sent, and ",
            (true, false) => "the most severe were sent, and ",
            (false, _) => "",
        };
        let others = if sent_any { "the others" } else { "what is queued" };
        let later = match self.settings.ledger {
            LedgerChoice::File { .. } => format!("the first run after midnight UTC sends {others}"),
            LedgerChoice::None => "without a ledger the others are lost".to_owned(),
        };
        let reached = match self.delivery.quota.tenants() {
            1 => format!("daily limit of {limit} indicators reached (--daily-limit)"),
            tenants => format!(
                "its part of the daily limit of {limit} indicators (--daily-limit), which {tenants} tenants share, is used up"
            ),
        };
        Failure::new(
            FailureKind::Temporary,
            format!("{reached}: {sent}{later}"),
            "Run with a ledger, or set a higher --daily-limit.",
        )
    }

    /// Stops sending for this day. The run fails only without a ledger, where no later run sends
    /// the rest.
    fn pause_delivery(&mut self, failure: Failure) {
        if self.settings.ledger == LedgerChoice::None {
            self.stop_delivery(failure);
            return;
        }
        self.delivery.stopped = true;
        self.report.note(failure.to_string());
    }

    pub(super) fn stop_delivery(&mut self, failure: Failure) {
        self.delivery.stopped = true;
        self.report.fail(failure);
    }

    /// Counts what is still queued at the end of the run, and reports what is in quarantine.
    ///
    /// # Errors
    /// Ledger errors.
    pub(super) fn count_remaining(&mut self, ledger_succeeded: bool) -> Result<(), Failure> {
        if self.settings.mode == Mode::DryRun {
            let collected = if ledger_succeeded { self.collect_items() } else { Ok(()) };
            self.report_damaged();
            if !ledger_succeeded || collected.is_err() {
                // Only what was there before is in the real ledger.
                self.count_waiting(self.report.counts.carried_in);
            }
            return collected;
        }
        if self.rejected() > 0 {
            let failure = in_quarantine(self.settings, self.rejected(), self.delivery.stopped);
            self.report.fail(failure);
        }
        self.report_damaged();
        if let Some((_, failure)) = self.delivery.in_doubt.iter().flatten().next() {
            self.report.note(format!(
                "indicators that an earlier run may have sent stay queued until Recorded Future can be searched for them: {failure}"
            ));
        }
        if let Some(message) = &self.delivery.last_in_doubt {
            self.report.fail(rejected_in_doubt(self.delivery.rejected_in_doubt, message));
        }
        let queued = self.ledger.queued();
        match &queued {
            _ if self.settings.ledger == LedgerChoice::None => self.count_waiting(0),
            Ok(queued) if ledger_succeeded => self.report.counts.waiting = *queued,
            // Where the ledger failed it may not have all that was selected.
            Ok(queued) => self.count_waiting(*queued),
            Err(_) => self.count_waiting(0),
        }
        queued?;
        self.warn_of_old_queue()
    }

    /// Counts the indicators without a result in this run: up to `queued` of them are in the
    /// ledger; the others are not stored.
    fn count_waiting(&mut self, queued: u64) {
        let counts = &mut self.report.counts;
        let without_result = counts.without_result();
        counts.waiting = queued.min(without_result);
        counts.not_stored = without_result - counts.waiting;
    }

    fn report_damaged(&mut self) {
        if self.delivery.damaged > 0 {
            self.report.fail(damaged_items(self.delivery.damaged));
        }
    }

    /// Collects the items that a dry run shows: those that a run would send now.
    fn collect_items(&mut self) -> Result<(), Failure> {
        let queued = self.ledger.queued()?;
        self.report.counts.waiting = queued;
        if let Some(warning) = self.delivery_hold(queued) {
            self.report.warn(warning);
            return Ok(());
        }
        let limit = self.quota_left()?;
        let next = self.ledger.next_items(limit, None)?;
        self.quarantine_damaged(next.damaged)?;
        self.report.items = next
            .items
            .into_iter()
            .map(|queued| DryRunItem { severity: queued.severity, json: queued.json })
            .collect();
        let count = u64::try_from(self.report.items.len()).unwrap_or(u64::MAX);
        let counts = &mut self.report.counts;
        counts.would_submit = count;
        // Damaged items are counted as quarantined already.
        counts.waiting = counts.without_result().saturating_sub(count);
        if counts.waiting > 0 {
            self.report.note(self.quota_exhausted(count > 0).to_string());
        }
        if let Some(limit) = self.settings.daily_limit
            && count > self.delivery.quota.share(limit, &self.ledger)?
        {
            self.report.note(format!(
                "{} tenants share the daily limit of {limit} indicators: a run may send fewer for this one",
                self.delivery.quota.tenants()
            ));
        }
        Ok(())
    }
}
