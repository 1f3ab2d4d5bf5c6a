//! The counts of a run, and the sums that hold on every path.

use serde::{Deserialize, Serialize};

use crate::selection::Tally;

/// The counts of a run. These sums hold on every path, failures included:
///
/// - `alerts_fetched` = below threshold + dismissed + unreadable + without indicator + those with
///   indicators;
/// - `carried_in + indicators_found` = unsupported + invalid + private + trusted + excluded +
///   repeated + `already_delivered` + `processed` + `unprocessed` + `would_submit` +
///   `quarantined` + `waiting` + `not_stored`;
/// - `submitted` = `processed` + `unprocessed`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Counts {
    /// The numbers of reading and selection.
    #[serde(flatten)]
    pub tally: Tally,
    /// Queued in the outbox when the run started.
    pub carried_in: u64,
    /// The number of these that were in doubt and that Recorded Future has, according to its
    /// search. Not in JSON, where they are a part of `already_delivered`.
    #[serde(skip)]
    pub confirmed_by_search: u64,
    /// Sent and accepted.
    pub submitted: u64,
    /// Submitted, and processed according to Recorded Future.
    pub processed: u64,
    /// Submitted, and not processed.
    pub unprocessed: u64,
    /// The indicators that a dry run would send.
    pub would_submit: u64,
    /// Queued in the outbox at the end of the run.
    pub waiting: u64,
    /// Neither sent nor known to be in the ledger: it failed, or there is none.
    pub not_stored: u64,
    /// Rejected by Recorded Future in this run, or damaged in the ledger.
    pub quarantined: u64,
}

impl Counts {
    /// Adds the counts of another tenant.
    pub(crate) const fn add(&mut self, other: &Self) {
        self.tally.add(&other.tally);
        self.carried_in += other.carried_in;
        self.confirmed_by_search += other.confirmed_by_search;
        self.submitted += other.submitted;
        self.processed += other.processed;
        self.unprocessed += other.unprocessed;
        self.would_submit += other.would_submit;
        self.waiting += other.waiting;
        self.not_stored += other.not_stored;
        self.quarantined += other.quarantined;
    }

    /// Adds the counts of the tenant's next run, which began with the queue that this one left.
    pub(crate) const fn add_next_run(&mut self, next: &Self) {
        let carried_in = self.carried_in;
        self.add(next);
        self.carried_in = carried_in;
        self.waiting = next.waiting;
    }

    /// Returns whether the sums of indicators and of submissions hold.
    pub(crate) const fn add_up(&self) -> bool {
        self.carried_in + self.tally.indicators_found == self.with_result() + self.remaining()
            && self.submitted == self.processed + self.unprocessed
    }

    /// Returns the number of mentions that an earlier run delivered.
    pub(crate) const fn delivered_before(&self) -> u64 {
        self.tally.already_delivered.saturating_sub(self.confirmed_by_search)
    }

    /// Returns the number of indicators that became new submissions.
    pub(crate) const fn new_indicators(&self) -> u64 {
        (self.tally.indicators_found + self.confirmed_by_search)
            .saturating_sub(self.tally.not_selected())
    }

    const fn remaining(&self) -> u64 {
        self.would_submit + self.waiting + self.not_stored
    }

    /// Returns how many of the queued and found indicators have no result yet: not selected, sent
    /// or quarantined.
    pub(crate) const fn without_result(&self) -> u64 {
        (self.carried_in + self.tally.indicators_found).saturating_sub(self.with_result())
    }

    const fn with_result(&self) -> u64 {
        self.tally.not_selected() + self.processed + self.unprocessed + self.quarantined
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value};

    use super::*;

    #[test]
    fn every_recorded_count_is_added() {
        let names = serde_json::to_value(Counts::default()).unwrap();
        let numbered = |factor: u64| -> Counts {
            let numbers = names.as_object().unwrap().keys().zip(1..);
            let counts: Map<String, Value> =
                numbers.map(|(name, number)| (name.clone(), (factor * number).into())).collect();
            let counts: Counts = serde_json::from_value(counts.into()).unwrap();
            Counts { confirmed_by_search: 100 * factor, ..counts }
        };
        let mut sum = numbered(1);
        sum.add(&numbered(10));
        assert_eq!(sum, numbered(11));
        let mut runs = numbered(1);
        runs.add_next_run(&numbered(10));
        let expected = Counts {
            carried_in: numbered(1).carried_in,
            waiting: numbered(10).waiting,
            ..numbered(11)
        };
        assert_eq!(runs, expected);
    }
}
