//! The time of a run: this machine's clock, unless a service has another.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

use super::{Run, window};
use crate::clock::{Clock, MAX_DIFFERENCE, describe_difference};
use crate::failure::{Failure, FailureKind};
use crate::settings::Mode;

/// The clock of a run, and its corrections.
#[derive(Debug)]
pub(super) struct RunTime {
    /// When the run started.
    started: Instant,
    /// This machine's clock.
    local: Clock,
    /// The offset from this machine's clock with which the window was chosen.
    window_offset: TimeDelta,
    /// Whether the run has reported that this machine's clock is wrong.
    is_reported: bool,
}

impl RunTime {
    pub(super) fn new(local: Clock) -> Self {
        let started = Instant::now();
        Self { started, local, window_offset: TimeDelta::zero(), is_reported: false }
    }

    /// Returns how long the run has taken.
    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}

impl Run<'_> {
    /// Returns how far the clock of the services is ahead of this machine's: the vendor's, or else
    /// Recorded Future's. Zero where it confirmed this machine's, `None` where neither did.
    fn service_offset(&self) -> Option<TimeDelta> {
        let vendor = self.vendor.service_clock().offset();
        vendor.or_else(|| self.client.service_clock().offset())
    }

    /// Returns the clock of the services as far as it is known.
    pub(super) fn clock(&self) -> Clock {
        self.time.local.shifted(self.service_offset().unwrap_or_default())
    }

    /// Uses the services' clock for what is stored from now on, and warns once where this machine's
    /// is wrong.
    pub(super) fn follow_service_clock(&mut self) {
        let clock = self.clock();
        self.ledger.set_clock(clock);
        let offset = self.service_offset().unwrap_or_default();
        if !offset.is_zero() && !std::mem::replace(&mut self.time.is_reported, true) {
            self.report.warn(format!(
                "this machine's clock is {} the service's, and the service's was used: synchronize this machine's with NTP (timedatectl set-ntp true)",
                describe_difference(-offset)
            ));
        }
    }

    /// Returns whether the window was chosen by the clock that is used now, or one close to it.
    pub(super) fn is_window_current(&self) -> bool {
        let offset = self.service_offset().unwrap_or_default();
        (offset - self.time.window_offset).abs() <= MAX_DIFFERENCE
    }

    /// Chooses the window again if the clock by which it was chosen is wrong, and returns whether
    /// the window changed.
    ///
    /// # Errors
    /// When the requested span is not possible at the right time, and those of the ledger.
    pub(super) fn correct_window(&mut self) -> Result<bool, Failure> {
        self.follow_service_clock();
        if self.is_window_current() {
            return Ok(false);
        }
        self.time.window_offset = self.service_offset().unwrap_or_default();
        let (settings, now) = (self.settings, self.clock().now_to_the_millisecond());
        let plan = window::choose(settings.span, self.fetched, settings.max_catch_up, now)?;
        let is_other = plan.window != self.plan.window;
        self.plan = plan;
        self.report.window = Some(self.plan.window);
        self.record_first_window()?;
        self.ledger.restart_clock(self.plan.window)?;
        Ok(is_other)
    }

    /// Records the start of the window as that of the first one, unless an earlier run has recorded
    /// an earlier start.
    pub(super) fn record_first_window(&self) -> Result<(), Failure> {
        let start = self.plan.window.start;
        let is_first = self.fetched.is_none_or(|fetched| start <= fetched.start);
        if is_first && self.plan.may_init_checkpoint {
            self.ledger.record_first_window(start)?;
        }
        Ok(())
    }

    /// Reports a checkpoint in the future.
    pub(super) fn check_checkpoint(&mut self, checkpoint: Option<DateTime<Utc>>) {
        let latest = self.clock().now() + MAX_DIFFERENCE;
        if let Some(checkpoint) = checkpoint.filter(|checkpoint| *checkpoint > latest) {
            self.report.fail(checkpoint_in_future(checkpoint));
        }
    }

    /// Returns whether the date of a service confirmed or corrected the clock.
    pub(super) fn is_clock_confirmed(&self) -> bool {
        self.service_offset().is_some()
    }

    /// Returns whether the clock is confirmed, and reports it where it is not and the run would
    /// move the checkpoint.
    pub(super) fn require_confirmed_clock(&mut self) -> bool {
        let is_confirmed = self.is_clock_confirmed();
        let has_ledger = self.settings.ledger.path().is_some();
        if !is_confirmed && has_ledger && self.settings.mode == Mode::Live {
            self.report.fail(unconfirmed_clock());
        }
        is_confirmed
    }

    /// Returns the time at which entries expire; `None` where no service confirmed the clock. Of
    /// two clocks the earlier one, because deleting too much would send indicators twice.
    pub(super) fn purge_time(&self) -> Option<DateTime<Utc>> {
        self.service_offset().map(|_| self.clock().now().min(self.time.local.now()))
    }
}

fn checkpoint_in_future(checkpoint: DateTime<Utc>) -> Failure {
    Failure::new(
        FailureKind::Partial,
        format!(
            "the checkpoint of this source is in the future ({}): until then, no run reads what earlier ones missed",
            window::format_seconds(checkpoint)
        ),
        "If this machine's clock is right, set the checkpoint back with `collective-insights checkpoint reset`; nothing is sent twice. If it is behind, synchronize it with NTP (timedatectl set-ntp true).",
    )
    .with_cause("this machine's clock was ahead in an earlier run, or is behind now")
}

fn unconfirmed_clock() -> Failure {
    Failure::new(
        FailureKind::Partial,
        "no service confirmed this machine's clock, so the checkpoint was not moved and nothing expired; the next run reads the same alerts again and sends nothing twice",
        "Check that no proxy removes or changes the Date header of the services; `collective-insights check` compares the clocks.",
    )
    .with_cause("no response had a Date header with a plausible time")
}
