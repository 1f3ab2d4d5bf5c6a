//! The numbers of a selection. Every mention of an indicator is counted once, in one place.

use serde::{Deserialize, Serialize};

/// How many alerts and mentions of indicators went where.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tally {
    /// Alerts handed out by the vendor, each counted once.
    pub alerts_fetched: u64,
    /// Alerts whose severity or confidence is below the thresholds, or missing where one is set.
    pub alerts_below_threshold: u64,
    /// Alerts that cannot be made a detection.
    pub alerts_unreadable: u64,
    /// Alerts that name no indicator.
    pub alerts_without_indicator: u64,
    /// Mentions of indicators in all other alerts.
    pub indicators_found: u64,
    /// Mentions of a type that Recorded Future does not take.
    pub indicators_unsupported: u64,
    /// Mentions that are not what they are said to be.
    pub indicators_invalid: u64,
    /// Mentions of inner addresses and names.
    pub indicators_private: u64,
    /// Mentions that the exclusion file covers.
    pub indicators_excluded: u64,
    /// Mentions of an indicator that stands already: in this run, in the outbox or in quarantine.
    pub indicators_repeated: u64,
    /// Mentions that an earlier run delivered.
    pub already_delivered: u64,
    /// Unique indicators: each becomes one submission. (Told as what becomes of them.)
    #[serde(skip)]
    pub selected: u64,
}

impl Tally {
    /// Counts one mention as found and in one place, so that the two cannot drift apart.
    pub(super) fn found(&mut self, place: impl FnOnce(&mut Self) -> &mut u64) {
        self.indicators_found += 1;
        *place(self) += 1;
    }

    /// Mentions that do not become a submission.
    #[must_use]
    pub const fn not_selected(&self) -> u64 {
        self.indicators_unsupported
            + self.indicators_invalid
            + self.indicators_private
            + self.indicators_excluded
            + self.indicators_repeated
            + self.already_delivered
    }
}
