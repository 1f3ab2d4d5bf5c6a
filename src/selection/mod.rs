//! Selects the mentions that become submissions, and counts by reason the alerts and mentions that
//! do not.
//!
//! The order of the rules: thresholds, dismissed alerts, unsupported, malformed and private
//! mentions, trusted files, exclusions, and mentions that repeat another or are in the ledger.

pub(crate) mod exclusions;
mod left_out;
mod skip;
mod tally;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::detection::{AlertOutcome, Assessment, Detection, Mention};
use crate::indicator::{Indicator, IndicatorType};
use crate::submission::StoreOutcome;

use self::exclusions::Exclusions;
pub(crate) use self::left_out::{LeftOut, MAX_SAMPLES, excerpt};
use self::skip::SkipReason;
pub(crate) use self::tally::Tally;

/// The minimum scores of an alert; 0 accepts every alert, even one without a score.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Thresholds {
    /// 0 to 100.
    pub severity: u8,
    /// 0 to 100.
    pub confidence: u8,
}

impl Thresholds {
    /// Whether the scores reach the thresholds. A missing score fails a threshold above 0.
    pub(crate) fn pass(self, assessment: Assessment) -> bool {
        let reaches = |score: Option<u8>, minimum: u8| {
            minimum == 0 || score.is_some_and(|score| score >= minimum)
        };
        reaches(assessment.severity, self.severity)
            && reaches(assessment.confidence, self.confidence)
    }
}

/// The rules by which alerts and mentions are left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Rules {
    pub thresholds: Thresholds,
    /// Whether alerts that an analyst dismissed are left out.
    pub skip_dismissed: bool,
    /// Whether files that the vendor trusts are left out.
    pub skip_trusted: bool,
}

/// Decides which mentions are stored. Counts the alerts that are left out as a whole, and the
/// mentions of all others.
#[derive(Debug)]
pub(crate) struct Selection {
    rules: Rules,
    exclusions: Arc<Exclusions>,
    tally: Tally,
    left_out: LeftOut,
}

impl Selection {
    /// Returns an empty selection with its rules.
    pub(crate) fn new(rules: Rules, exclusions: Arc<Exclusions>) -> Self {
        Self { rules, exclusions, tally: Tally::default(), left_out: LeftOut::default() }
    }

    /// Adds one alert. `store` gets the detection, the indicator, and the name of the field that
    /// has it, and returns whether it is new.
    ///
    /// # Errors
    /// The errors of `store`.
    pub(crate) fn add<E>(
        &mut self,
        outcome: AlertOutcome,
        mut store: impl FnMut(&Detection, &Indicator, &'static str) -> Result<StoreOutcome, E>,
    ) -> Result<(), E> {
        self.tally.alerts_fetched += 1;
        match outcome {
            AlertOutcome::Unreadable { id, reason } => {
                self.tally.alerts_unreadable += 1;
                let alert = id.as_deref().map(skip::excerpt_of_id);
                tracing::warn!(alert, reason, "an alert cannot be read and is left out");
            }
            AlertOutcome::WithoutIndicator(alert) => {
                if self.skip_alert(alert.assessment).is_none() {
                    self.tally.count_without_indicator(alert);
                }
            }
            AlertOutcome::Detection(mut detection) => {
                if let Some(reason) = self.skip_alert(detection.assessment) {
                    for mention in &detection.mentions {
                        self.record_skipped(reason, &detection, mention);
                    }
                    return Ok(());
                }
                // So that each run sends the same field if several of them name one indicator.
                detection.mentions.sort_by_key(|mention| mention.field);
                let mut outcomes = BTreeMap::new();
                for mention in &detection.mentions {
                    self.add_mention(&detection, mention, &mut outcomes, &mut store)?;
                }
            }
        }
        Ok(())
    }

    /// Returns why an alert is left out as a whole, and counts it.
    fn skip_alert(&mut self, assessment: Assessment) -> Option<SkipReason> {
        let reason = if !self.rules.thresholds.pass(assessment) {
            SkipReason::BelowThreshold
        } else if self.rules.skip_dismissed && assessment.dismissed {
            SkipReason::Dismissed
        } else {
            return None;
        };
        *self.tally.skipped(reason) += 1;
        Some(reason)
    }

    pub(crate) const fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Returns the counts, and samples of what was left out.
    pub(crate) fn into_parts(self) -> (Tally, LeftOut) {
        (self.tally, self.left_out)
    }

    /// Adds one mention. `outcomes` has what `store` returned for each indicator of this alert: an
    /// alert often names one in several fields, and the ledger is asked only once.
    fn add_mention<'a, E>(
        &mut self,
        detection: &'a Detection,
        mention: &'a Mention,
        outcomes: &mut BTreeMap<&'a Indicator, StoreOutcome>,
        store: &mut impl FnMut(&Detection, &Indicator, &'static str) -> Result<StoreOutcome, E>,
    ) -> Result<(), E> {
        self.tally.indicators_found += 1;
        let skipped = match &mention.indicator {
            Err(rejected) => Some(SkipReason::Rejected(rejected.reason)),
            Ok(_) if self.rules.skip_trusted && mention.trusted => Some(SkipReason::Trusted),
            Ok(indicator) => self.add_indicator(detection, mention, indicator, outcomes, store)?,
        };
        if let Some(reason) = skipped {
            *self.tally.skipped(reason) += 1;
            self.record_skipped(reason, detection, mention);
        }
        Ok(())
    }

    fn record_skipped(&mut self, reason: SkipReason, detection: &Detection, mention: &Mention) {
        reason.log(detection, mention);
        self.left_out.add(reason, detection, mention);
    }

    /// Stores an indicator and counts it if it is new, or returns why it is not sent.
    fn add_indicator<'a, E>(
        &mut self,
        detection: &'a Detection,
        mention: &'a Mention,
        indicator: &'a Indicator,
        outcomes: &mut BTreeMap<&'a Indicator, StoreOutcome>,
        store: &mut impl FnMut(&Detection, &Indicator, &'static str) -> Result<StoreOutcome, E>,
    ) -> Result<Option<SkipReason>, E> {
        if let Some(rule) = self.exclusions.find(indicator) {
            *self.tally.exclusion_hits.entry(rule.text.to_owned()).or_default() += 1;
            return Ok(Some(SkipReason::Excluded { line: rule.line }));
        }
        let outcome = match outcomes.get(indicator) {
            Some(StoreOutcome::New) => Ok(StoreOutcome::Duplicate),
            Some(known) => Ok(*known),
            None => store(detection, indicator, mention.field),
        };
        let outcome = outcome.inspect_err(|_| {
            // Counted, so that the numbers add up: the report shows it as neither sent nor stored.
            self.tally.selected += 1;
        })?;
        outcomes.entry(indicator).or_insert(outcome);
        Ok(match outcome {
            StoreOutcome::Duplicate => Some(SkipReason::Repeated),
            StoreOutcome::AlreadyDelivered => Some(SkipReason::AlreadyDelivered),
            StoreOutcome::New => {
                self.tally.selected += 1;
                if indicator.kind() == IndicatorType::Hash {
                    self.tally.hashes_selected += 1;
                    self.tally.trusted_selected += u64::from(mention.trusted);
                }
                None
            }
        })
    }
}
