//! Notes for the summary.

use chrono::TimeDelta;

use super::Run;
use crate::failure::Failure;
use crate::report::{counted, thousands};
use crate::selection::Tally;
use crate::sources::Source;

/// Indicators that are queued for longer are reported.
const MAX_QUEUED_AGE: TimeDelta = TimeDelta::days(3);

impl Run<'_> {
    /// Warns where indicators have been queued for days.
    pub(super) fn warn_of_old_queue(&mut self) -> Result<(), Failure> {
        let oldest = self.ledger.oldest_queued()?;
        let age = oldest.map(|stored_at| self.clock().now() - stored_at);
        if let Some(age) = age.filter(|age| *age > MAX_QUEUED_AGE) {
            let queued = self.ledger.queued()?;
            self.report.warn(format!(
                "{} queued, the oldest for {} days: the log has the reason of each run",
                counted(queued, "indicator is", "indicators are"),
                age.num_days()
            ));
        }
        Ok(())
    }
}

/// Returns why a run found no indicator in the alerts of its window; `None` if it found one, and if
/// there were no alerts.
pub(super) fn without_indicators(tally: &Tally, source: &dyn Source) -> Option<String> {
    if tally.indicators_found > 0 || tally.alerts_fetched == 0 {
        return None;
    }
    let kinds: Vec<String> = tally
        .kinds_without_indicator
        .iter()
        .map(|(kind, count)| format!("{} {kind}", thousands(*count)))
        .collect();
    let kinds = if kinds.is_empty() { String::new() } else { format!(" ({})", kinds.join(", ")) };
    let reasons = [
        (tally.alerts_below_threshold, "below the thresholds".to_owned()),
        (tally.alerts_dismissed, "dismissed by an analyst".to_owned()),
        (tally.alerts_unreadable, "cannot be read".to_owned()),
        (tally.alerts_without_indicator, format!("without one in the chosen fields{kinds}")),
    ];
    let reasons: Vec<String> = reasons
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, reason)| format!("{} {reason}", thousands(count)))
        .collect();
    // Another `--indicator` may find some.
    let hint = (tally.alerts_without_indicator > 0)
        .then(|| source.other_choice_note(tally.alerts_for_other_choice))
        .flatten();
    Some(format!(
        "no indicator in {}: {}{}",
        counted(tally.alerts_fetched, "alert", "alerts"),
        reasons.join(", "),
        hint.map(|hint| format!("; {hint}")).unwrap_or_default()
    ))
}
