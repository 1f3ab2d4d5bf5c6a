//! Gaps: spans that no run reads, because they are older than the limit for catching up.

use super::{Run, window};
use crate::failure::{Failure, FailureKind};
use crate::ledger::Advance;
use crate::settings::Mode;
use crate::window::Window;

impl Run<'_> {
    /// Records a span that was fetched completely: moves the checkpoint, over `gap` too, which is
    /// recorded; closes earlier gaps in the span; and gives up all gaps with `--accept-gap`. The
    /// run that leaves a gap fails because of it, later runs do not.
    ///
    /// # Errors
    /// Ledger errors.
    pub(super) fn record_fetched(
        &mut self,
        fetched: Window,
        gap: Option<Window>,
    ) -> Result<Advance, Failure> {
        let ledger = &self.ledger;
        let advance = ledger.advance_checkpoint(fetched, gap)?;
        ledger.close_gaps(fetched)?;
        let accepted = if self.settings.accept_gap { ledger.accept_gaps()? } else { Vec::new() };
        for gap in accepted {
            self.report.note(format!(
                "{} the alerts from {} to {}, which no run has read",
                if self.settings.mode == Mode::Live { "gave up" } else { "would give up" },
                window::format_seconds(gap.start),
                window::format_seconds(gap.end)
            ));
        }
        let is_left = advance == Advance::Moved && !self.settings.accept_gap;
        if let Some(gap) = gap.filter(|_| is_left) {
            let max_days = self.settings.max_catch_up.num_days();
            self.report.fail(left_unread(gap, max_days, self.settings.mode));
        }
        Ok(advance)
    }
}

fn left_unread(gap: Window, max_days: i64, mode: Mode) -> Failure {
    let until_then = match mode {
        Mode::Live => " `collective-insights status` shows them until then.",
        Mode::DryRun | Mode::Debug => "",
    };
    Failure::new(
        FailureKind::Partial,
        format!(
            "alerts from {} to {} were not read: they are older than --max-catch-up {max_days} days",
            window::format_seconds(gap.start),
            window::format_seconds(gap.end),
        ),
        format!(
            "Read them with {}, or give them up with --accept-gap.{until_then}",
            gap.as_options()
        ),
    )
}
