//! The counts of a selection. Each mention that is found also counts as selected, or under the one
//! reason why it is not.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::skip::SkipReason;
use crate::detection::BareAlert;
use crate::indicator::RejectReason;

/// Counts of alerts and mentions by outcome.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Tally {
    /// Alerts of the window, each counted once: those that the vendor returned, and those that it
    /// left out because of the thresholds.
    pub alerts_fetched: u64,
    /// Alerts whose severity or confidence is below the thresholds, or missing where one is set.
    pub alerts_below_threshold: u64,
    /// Alerts that an analyst dismissed, where these are left out.
    pub alerts_dismissed: u64,
    /// Alerts that cannot be made a detection.
    pub alerts_unreadable: u64,
    /// Alerts that name no indicator.
    pub alerts_without_indicator: u64,
    /// Mentions of indicators in all other alerts.
    pub indicators_found: u64,
    /// Mentions of a type that Recorded Future does not take.
    pub indicators_unsupported: u64,
    /// Mentions that are not of the type that the alert claims, and hashes that say nothing.
    pub indicators_invalid: u64,
    /// Mentions of internal addresses and host names.
    pub indicators_private: u64,
    /// Mentions of files that the vendor trusts, where these are left out.
    pub indicators_trusted: u64,
    /// Mentions that the exclusion file matches.
    pub indicators_excluded: u64,
    /// Mentions of an indicator that an earlier mention of this run has, and mentions that an
    /// earlier run stored and that are in the outbox or were dropped from there.
    pub indicators_repeated: u64,
    /// Mentions that an earlier run delivered, and entries in doubt that Recorded Future has.
    pub already_delivered: u64,
    /// How many mentions each exclusion rule matched.
    #[serde(skip)]
    pub exclusion_hits: BTreeMap<String, u64>,
    /// Alerts that name no indicator, by the vendor's name for their kind; only some kinds.
    #[serde(skip)]
    pub kinds_without_indicator: BTreeMap<Box<str>, u64>,
    /// Alerts without an indicator in which another `--indicator` would find one.
    #[serde(skip)]
    pub alerts_for_other_choice: u64,
    /// Unique new indicators: each becomes one submission. Not in JSON, which has what became of
    /// them.
    #[serde(skip)]
    pub selected: u64,
    /// The number of these that are hashes.
    #[serde(skip)]
    pub hashes_selected: u64,
    /// The number of these hashes whose files the vendor trusts.
    #[serde(skip)]
    pub trusted_selected: u64,
}

/// The maximum number of kinds that are counted on their own.
const MAX_KINDS: usize = 10;

impl Tally {
    /// Counts an alert that names no indicator.
    pub(super) fn count_without_indicator(&mut self, alert: BareAlert) {
        self.alerts_without_indicator += 1;
        self.alerts_for_other_choice += u64::from(alert.other_choice);
        let kinds = &mut self.kinds_without_indicator;
        let kind = alert.kind.unwrap_or_else(|| "of no type".into());
        let is_known = kinds.len() < MAX_KINDS || kinds.contains_key(&kind);
        *kinds.entry(if is_known { kind } else { "others".into() }).or_default() += 1;
    }

    /// Adds the counts of another selection, except those that are not recorded with a run.
    pub(crate) const fn add(&mut self, other: &Self) {
        self.alerts_fetched += other.alerts_fetched;
        self.alerts_below_threshold += other.alerts_below_threshold;
        self.alerts_dismissed += other.alerts_dismissed;
        self.alerts_unreadable += other.alerts_unreadable;
        self.alerts_without_indicator += other.alerts_without_indicator;
        self.indicators_found += other.indicators_found;
        self.indicators_unsupported += other.indicators_unsupported;
        self.indicators_invalid += other.indicators_invalid;
        self.indicators_private += other.indicators_private;
        self.indicators_trusted += other.indicators_trusted;
        self.indicators_excluded += other.indicators_excluded;
        self.indicators_repeated += other.indicators_repeated;
        self.already_delivered += other.already_delivered;
    }

    /// Adds the alerts that the vendor left out because of the thresholds. `total` is the number of
    /// alerts in the window whatever their scores.
    pub(crate) const fn add_left_out(&mut self, total: u64) {
        let left_out = total.saturating_sub(self.alerts_fetched);
        self.alerts_fetched += left_out;
        self.alerts_below_threshold += left_out;
    }

    /// Returns the count for a reason: of alerts if these are left out as a whole (below the
    /// thresholds, dismissed), of mentions for all other reasons.
    pub(super) const fn skipped(&mut self, reason: SkipReason) -> &mut u64 {
        match reason {
            SkipReason::BelowThreshold => &mut self.alerts_below_threshold,
            SkipReason::Dismissed => &mut self.alerts_dismissed,
            SkipReason::Rejected(RejectReason::Unsupported) => &mut self.indicators_unsupported,
            SkipReason::Rejected(RejectReason::Invalid | RejectReason::Meaningless) => {
                &mut self.indicators_invalid
            }
            SkipReason::Rejected(RejectReason::Private) => &mut self.indicators_private,
            SkipReason::Trusted => &mut self.indicators_trusted,
            SkipReason::Excluded { .. } => &mut self.indicators_excluded,
            SkipReason::Repeated => &mut self.indicators_repeated,
            SkipReason::AlreadyDelivered => &mut self.already_delivered,
        }
    }

    /// Returns the number of alerts that name an indicator and were not left out.
    pub(crate) const fn alerts_with_indicator(&self) -> u64 {
        self.alerts_fetched
            .saturating_sub(self.alerts_below_threshold)
            .saturating_sub(self.alerts_dismissed)
            .saturating_sub(self.alerts_unreadable)
            .saturating_sub(self.alerts_without_indicator)
    }

    /// Returns the number of mentions that did not become a submission, and of the entries in doubt
    /// that count as already delivered.
    pub(crate) const fn not_selected(&self) -> u64 {
        self.indicators_unsupported
            + self.indicators_invalid
            + self.indicators_private
            + self.indicators_trusted
            + self.indicators_excluded
            + self.indicators_repeated
            + self.already_delivered
    }
}
