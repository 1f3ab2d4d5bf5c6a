//! The numbers of a run, and the sums that hold on every path.

use serde::{Deserialize, Serialize};

use crate::selection::Tally;

/// The numbers of a run. On every path, faults included:
///
/// - `alerts_fetched` = below threshold + unreadable + without indicator + those that name indicators;
/// - `carried_in + indicators_found` = unsupported + invalid + private + excluded + repeated +
///   `already_delivered` + `processed` + `unprocessed` + `quarantined` + `waiting`;
/// - `submitted` = `processed` + `unprocessed`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// What was read and selected.
    #[serde(flatten)]
    pub tally: Tally,
    /// In the outbox from earlier runs when this one began.
    pub carried_in: u64,
    /// Sent and accepted; in a dry run: what would be sent.
    pub submitted: u64,
    /// Of these, what Recorded Future says it processed.
    pub processed: u64,
    /// Of these, the rest.
    pub unprocessed: u64,
    /// Still in the outbox.
    pub waiting: u64,
    /// Refused by Recorded Future in this run.
    pub quarantined: u64,
}

impl Counts {
    /// Whether every mention found or carried in is in exactly one place.
    #[must_use]
    pub const fn add_up(&self) -> bool {
        self.carried_in + self.tally.indicators_found == self.settled() + self.waiting
            && self.submitted == self.processed + self.unprocessed
    }

    /// What was found or carried in and has no other place, by the run's own count: it still waits.
    #[must_use]
    pub const fn unsettled(&self) -> u64 {
        (self.carried_in + self.tally.indicators_found).saturating_sub(self.settled())
    }

    const fn settled(&self) -> u64 {
        self.tally.not_selected() + self.processed + self.unprocessed + self.quarantined
    }
}
