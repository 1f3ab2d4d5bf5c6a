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
    /// What was fetched and selected.
    #[serde(flatten)]
    pub tally: Tally,
    /// Queued in the outbox when the run started.
    pub carried_in: u64,
    /// Sent and accepted.
    pub submitted: u64,
    /// Submitted, and processed according to Recorded Future.
    pub processed: u64,
    /// Submitted, and not processed.
    pub unprocessed: u64,
    /// What a dry run would send.
    pub would_submit: u64,
    /// Queued in the outbox at the end of the run.
    pub waiting: u64,
    /// Neither sent nor known to be in the ledger: it failed, or there is none.
    pub not_stored: u64,
    /// Rejected by Recorded Future in this run, or damaged in the ledger.
    pub quarantined: u64,
}

impl Counts {
    /// Returns whether the sums hold.
    pub(crate) const fn add_up(&self) -> bool {
        self.carried_in + self.tally.indicators_found == self.settled() + self.remaining()
            && self.submitted == self.processed + self.unprocessed
    }

    const fn remaining(&self) -> u64 {
        self.would_submit + self.waiting + self.not_stored
    }

    /// Returns how many indicators are not settled by the run's own counts.
    pub(crate) const fn unsettled(&self) -> u64 {
        (self.carried_in + self.tally.indicators_found).saturating_sub(self.settled())
    }

    const fn settled(&self) -> u64 {
        self.tally.not_selected() + self.processed + self.unprocessed + self.quarantined
    }
}
