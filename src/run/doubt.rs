//! Looks up the batches in doubt of earlier runs, before anything is sent again.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use chrono::TimeDelta;

use super::Run;
use crate::failure::{Failure, FailureKind};
use crate::ledger::{BatchInDoubt, EntryId};
use crate::recorded_future::{DetectionTimes, FoundRow, Query};
use crate::settings::Mode;

/// The share of a run's deadline that all lookups may take each time before the run sends.
const BUDGET: f64 = 0.25;
/// A batch in doubt that is this old, by a service's clock, is not kept for a later search: what a
/// failed search did not find is sent again.
const MAX_WAIT: TimeDelta = TimeDelta::days(2);

/// The result of looking up a batch.
enum LookUp {
    /// The entries that Recorded Future has. If the search does not work, perhaps not all.
    Found(BTreeSet<EntryId>),
    /// A later run may find out.
    NotNow(Failure),
    /// The run has to end.
    Stop(Failure),
}

impl Run<'_> {
    /// Ends the doubt about the batches of earlier runs. What Recorded Future has counts as
    /// delivered; the rest is queued again. If the search fails, but may work later, the batch
    /// stays in doubt for up to [`MAX_WAIT`], and is looked up again before the run sends the next
    /// time: by then, a service may have confirmed the clock. If it cannot work, or takes too long,
    /// everything that it did not find is queued again: it may be sent twice, but is never lost. If
    /// the run is interrupted or out of time, sending stops, and the batch stays in doubt.
    ///
    /// # Errors
    /// Ledger errors.
    pub(super) async fn resolve_doubt(&mut self) -> Result<(), Failure> {
        if self.settings.mode != Mode::Live {
            return Ok(());
        }
        // Those of earlier runs only: what this run leaves in doubt is for the next one.
        let batches = match self.delivery.in_doubt.take() {
            Some(failed) => failed.into_iter().map(|(batch, _)| batch).collect(),
            None => self.ledger.batches_in_doubt()?,
        };
        let mut in_doubt = Vec::new();
        let end = tokio::time::Instant::now() + self.settings.deadline.mul_f64(BUDGET);
        for batch in batches {
            let left = end.saturating_duration_since(tokio::time::Instant::now());
            let found = match self.look_up(&batch, left).await? {
                LookUp::Found(found) => found,
                LookUp::NotNow(failure) => {
                    in_doubt.push((batch, failure));
                    continue;
                }
                LookUp::Stop(failure) => {
                    self.stop_delivery(failure);
                    break;
                }
            };
            let delivered = self.ledger.resolve_batch(&batch, &found)?;
            let counts = &mut self.report.counts;
            counts.tally.already_delivered += delivered;
            counts.confirmed_by_search += delivered;
            tracing::info!(
                found = delivered,
                entries = batch.entries.len(),
                "looked up a batch in doubt"
            );
        }
        self.delivery.in_doubt = Some(in_doubt);
        Ok(())
    }

    /// Looks up the entries of a batch within this time.
    async fn look_up(&self, batch: &BatchInDoubt, left: Duration) -> Result<LookUp, Failure> {
        let mut found = BTreeSet::new();
        let organizations = &self.settings.recorded_future.organization_ids;
        let times = DetectionTimes::of(batch.entries.iter().map(|entry| entry.detected_at));
        let Some(times) = times else {
            return Ok(LookUp::Found(found));
        };
        // Without organizations, a row does not tell which tenant sent it.
        if organizations.is_empty() && self.ledger.may_match_other_tenants()? {
            return Ok(LookUp::Found(found));
        }
        let types = batch.entries.iter().map(|entry| entry.indicator_type.clone()).collect();
        let query = Query { times, types, organizations: organizations.clone() };
        let entries: HashMap<_, _> = batch
            .entries
            .iter()
            .map(|entry| {
                let names = (entry.indicator_type.as_str(), &*entry.value, &*entry.alert);
                (names, entry.id)
            })
            .collect();
        let searched = self.client.search(&query, |row| {
            let FoundRow { indicator_type, value, incident, .. } = &row;
            let Some(incident) = incident else { return };
            if let Some(id) = entries.get(&(indicator_type.as_str(), &**value, &**incident))
                && row.is_for(organizations)
            {
                found.insert(*id);
            }
        });
        let Ok(searched) = tokio::time::timeout(left, searched).await else {
            tracing::warn!("the search for a batch in doubt takes too long: it is sent again");
            return Ok(LookUp::Found(found));
        };
        let Err(error) = searched else {
            return Ok(LookUp::Found(found));
        };
        let failure = error.failure;
        let is_over =
            matches!(failure.kind, FailureKind::Interrupted(_)) || self.client.is_out_of_time();
        if is_over {
            return Ok(LookUp::Stop(failure));
        }
        let has_waited =
            self.is_clock_confirmed() && batch.age(self.clock().now()).abs() >= MAX_WAIT;
        if !error.is_lasting && !has_waited {
            return Ok(LookUp::NotNow(failure));
        }
        tracing::info!(reason = %failure, "cannot look up a batch in doubt: it is sent again");
        Ok(LookUp::Found(found))
    }
}
