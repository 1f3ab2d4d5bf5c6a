//! Pure decisions: which mentions of an indicator become submissions, and a number for every one that
//! does not. Thresholds, then private and malformed ones, exclusions, what was handled before, and
//! uniqueness by (type, value) within the run.

pub mod exclusions;
mod tally;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::detection::{AlertOutcome, Detection, Mention, Scores};
use crate::indicator::{Indicator, RejectReason};
use crate::submission::{Repeats, Submission};

use self::exclusions::Exclusions;
pub use self::tally::Tally;

/// The least scores an alert must have; 0 lets everything pass, also what has no score.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Thresholds {
    /// 0 to 100.
    pub severity: u8,
    /// 0 to 100.
    pub confidence: u8,
}

impl Thresholds {
    /// Whether these scores reach the thresholds. A missing score fails any threshold above 0.
    #[must_use]
    pub fn pass(self, scores: Scores) -> bool {
        let reaches =
            |score: Option<u8>, least: u8| least == 0 || score.is_some_and(|score| score >= least);
        reaches(scores.severity, self.severity) && reaches(scores.confidence, self.confidence)
    }
}

/// What earlier runs did with a detection's indicator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Past {
    /// Nothing: it is new.
    New,
    /// It was delivered.
    Delivered,
    /// It stands in the outbox or in quarantine, or a person dropped it from there.
    Held,
}

/// Turns outcomes into unique submissions.
#[derive(Debug)]
pub struct Selection {
    thresholds: Thresholds,
    exclusions: Exclusions,
    unique: HashMap<Indicator, Submission>,
    repeats: Repeats,
    tally: Tally,
}

/// What a selection comes to.
#[derive(Debug)]
pub struct Selected {
    /// The unique submissions, the earliest first.
    pub submissions: Vec<Submission>,
    /// The detections they stand for beside the first.
    pub repeats: Repeats,
    /// The numbers of all the rest.
    pub tally: Tally,
}

impl Selection {
    /// An empty selection with its rules.
    #[must_use]
    pub fn new(thresholds: Thresholds, exclusions: Exclusions) -> Self {
        Self {
            thresholds,
            exclusions,
            unique: HashMap::new(),
            repeats: Repeats::default(),
            tally: Tally::default(),
        }
    }

    /// Takes one reading. `past` tells what earlier runs did with a detection id and an indicator.
    ///
    /// # Errors
    /// Those of `past`.
    pub fn take<E>(
        &mut self,
        reading: AlertOutcome,
        mut past: impl FnMut(&str, &Indicator) -> Result<Past, E>,
    ) -> Result<(), E> {
        self.tally.alerts_fetched += 1;
        match reading {
            AlertOutcome::Unreadable { id, why } => {
                self.tally.alerts_unreadable += 1;
                tracing::warn!(
                    "an alert cannot be read and is left out: {why} (id {})",
                    in_short(id.as_deref().unwrap_or("none"))
                );
            }
            AlertOutcome::WithoutIndicator(scores) if self.thresholds.pass(scores) => {
                self.tally.alerts_without_indicator += 1;
            }
            AlertOutcome::Detection(detection) if self.thresholds.pass(detection.scores) => {
                for mention in &detection.mentions {
                    self.find(&detection, mention, &mut past)?;
                }
            }
            AlertOutcome::WithoutIndicator(_) | AlertOutcome::Detection(_) => {
                self.tally.alerts_below_threshold += 1;
            }
        }
        Ok(())
    }

    /// The unique submissions in a stable order, and the numbers of all the rest.
    #[must_use]
    pub fn finish(self) -> Selected {
        let mut submissions: Vec<Submission> = self.unique.into_values().collect();
        submissions.sort_by(|a, b| {
            a.precedence().cmp(&b.precedence()).then_with(|| a.indicator.cmp(&b.indicator))
        });
        Selected { submissions, repeats: self.repeats, tally: self.tally }
    }

    /// The numbers so far.
    #[must_use]
    pub const fn tally(&self) -> &Tally {
        &self.tally
    }

    fn find<E>(
        &mut self,
        detection: &Detection,
        mention: &Mention,
        past: &mut impl FnMut(&str, &Indicator) -> Result<Past, E>,
    ) -> Result<(), E> {
        let indicator = match &mention.outcome {
            Ok(indicator) if self.exclusions.covers(indicator) => {
                self.tally.found(|tally| &mut tally.indicators_excluded);
                return Ok(());
            }
            Ok(indicator) => indicator,
            Err(refusal) => {
                self.refuse(detection, mention.field, *refusal);
                return Ok(());
            }
        };
        match past(&detection.id, indicator)? {
            Past::Delivered => self.tally.found(|tally| &mut tally.already_delivered),
            Past::Held => self.tally.found(|tally| &mut tally.indicators_repeated),
            Past::New => match self.unique.entry(indicator.clone()) {
                Entry::Vacant(place) => {
                    place.insert(Submission::new(detection, indicator, mention.field));
                    self.tally.found(|tally| &mut tally.selected);
                }
                Entry::Occupied(mut place) => {
                    place.get_mut().add(detection, mention.field, &mut self.repeats);
                    self.tally.found(|tally| &mut tally.indicators_repeated);
                }
            },
        }
        Ok(())
    }

    fn refuse(&mut self, detection: &Detection, field: &str, refusal: RejectReason) {
        match refusal {
            RejectReason::Unsupported => {
                self.tally.found(|tally| &mut tally.indicators_unsupported)
            }
            RejectReason::Invalid => self.tally.found(|tally| &mut tally.indicators_invalid),
            RejectReason::Private => self.tally.found(|tally| &mut tally.indicators_private),
        }
        tracing::debug!("not sent, {refusal}: {field} of {}", in_short(&detection.id));
    }
}

/// An identity for the log: those seen have about a hundred characters.
fn in_short(id: &str) -> String {
    id.chars().take(200).collect()
}
