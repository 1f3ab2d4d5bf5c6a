//! Looks up what earlier runs sent without getting a response, before anything is sent again.

use std::collections::{BTreeSet, HashMap};

use super::Run;
use crate::failure::{Failure, FailureKind};
use crate::ledger::{BatchInDoubt, EntryId};
use crate::recorded_future::{DetectionTimes, FoundRow};
use crate::settings::Mode;

impl Run<'_> {
    /// Ends the doubt about the batches of earlier runs. What Recorded Future has counts as
    /// delivered; the rest is queued again, as all of it is where the search fails: then it may be
    /// sent twice, but is never lost.
    ///
    /// # Errors
    /// Those of the ledger.
    pub(super) async fn resolve_doubt(&mut self) -> Result<(), Failure> {
        if self.settings.mode != Mode::Live {
            return Ok(());
        }
        for batch in self.ledger.batches_in_doubt()? {
            let Some(found) = self.find(&batch).await? else { return Ok(()) };
            let delivered = self.ledger.resolve_batch(&batch, &found)?;
            self.report.counts.tally.already_delivered += delivered;
            tracing::info!(
                found = delivered,
                entries = batch.entries.len(),
                "looked up a batch whose response never came"
            );
        }
        Ok(())
    }

    /// Returns the entries of a batch that Recorded Future has. `None` where the run has to end:
    /// then the doubt stays.
    async fn find(&mut self, batch: &BatchInDoubt) -> Result<Option<BTreeSet<EntryId>>, Failure> {
        let mut found = BTreeSet::new();
        let times = batch.entries.iter().map(|entry| entry.detected_at);
        let Some(times) = DetectionTimes::of(times) else {
            return Ok(Some(found));
        };
        let organizations = &self.settings.recorded_future.organization_ids;
        // Without organizations, a row does not tell for whom it was sent.
        if organizations.is_empty() && self.ledger.shares_token_and_source()? {
            return Ok(Some(found));
        }
        let entries: HashMap<_, _> = batch
            .entries
            .iter()
            .map(|entry| {
                let names = (entry.indicator_type.as_str(), &*entry.value, &*entry.detection);
                (names, entry.id)
            })
            .collect();
        let searched = self.client.search(times, |row| {
            let FoundRow { indicator_type, value, incident, .. } = &row;
            let names =
                (indicator_type.as_str(), value.as_str(), incident.as_deref().unwrap_or_default());
            if let Some(id) = entries.get(&names)
                && row.is_for(organizations)
            {
                found.insert(*id);
            }
        });
        match searched.await {
            Ok(()) => Ok(Some(found)),
            Err(failure)
                if matches!(failure.kind, FailureKind::Interrupted(_))
                    || self.client.is_out_of_time() =>
            {
                self.stop_delivery(failure);
                Ok(None)
            }
            Err(failure) => {
                tracing::info!(reason = %failure, "cannot look up a batch whose response never came: it is sent again");
                Ok(Some(BTreeSet::new()))
            }
        }
    }
}
