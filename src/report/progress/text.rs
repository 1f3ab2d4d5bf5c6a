//! The progress in words: the line in wide and narrow forms, and a phase that is done.

use std::time::Duration;

use super::{Phase, Work};
use crate::report::{Styler, counted, duration, thousands};

/// The width of the bar.
const BAR_COLUMNS: u16 = 20;
/// The time after which a phase has an estimate of the rest.
const MIN_ESTIMATED: Duration = Duration::from_secs(2);

impl Phase {
    /// Returns the line for this phase, from the widest form to the narrowest.
    pub(super) fn forms(&self, styler: Styler) -> Vec<String> {
        let elapsed = self.started.elapsed();
        let (label, rejected) = match self.work {
            Work::Idle => {
                return vec![format!("Working  {}", clock(elapsed)), "Working".to_owned()];
            }
            Work::Reading { .. } => ("Reading alerts", String::new()),
            Work::Sending { rejected, .. } => ("Sending", rejected_text(rejected)),
            Work::Tenants { .. } => ("Running tenants", String::new()),
        };
        let Some((done, total)) = self.work.extent() else {
            let done = thousands(self.work.done());
            return vec![
                format!("{label}  {done}  {}", clock(elapsed)),
                format!("{label}  {done}"),
                label.to_owned(),
            ];
        };
        let percent = format!("{:>3} %", percent(done, total));
        let counts = format!("{} of {}{rejected}", thousands(self.work.done()), thousands(total));
        let time = match estimate(elapsed, done, total) {
            Some(left) => format!("{}, {} left", clock(elapsed), clock(left)),
            None => clock(elapsed),
        };
        let bar = styler.cyan(&bar(done, total));
        vec![
            format!("{label} [{bar}] {percent}  {counts}  {time}"),
            format!("{label} {percent}  {counts}  {time}"),
            format!("{label} {percent}  {time}"),
            format!("{label} {percent}"),
            label.to_owned(),
        ]
    }

    /// Returns what was done; `None` if no page was read, and for work without a line of its own.
    pub(super) fn describe_done(&self) -> Option<String> {
        let took = duration(self.started.elapsed());
        match self.work {
            // The summary has a line for each tenant.
            Work::Idle | Work::Reading { pages: 0, .. } | Work::Tenants { .. } => None,
            Work::Reading { alerts, .. } => {
                Some(format!("Read {} in {took}", counted(alerts, "alert", "alerts")))
            }
            Work::Sending { sent, rejected, .. } => Some(format!(
                "Sent {}{} in {took}",
                counted(sent, "indicator", "indicators"),
                rejected_text(rejected)
            )),
        }
    }
}

impl Work {
    /// Returns the work in words, if there is any.
    pub(super) fn describe(self) -> Option<String> {
        let done = thousands(self.done());
        match self {
            Self::Idle => None,
            Self::Reading { total, .. } => Some(match total {
                Some(total) => format!("read {done} of {} alerts", thousands(total)),
                None => format!("read {done} alerts"),
            }),
            Self::Sending { rejected, total, .. } => Some(format!(
                "sent {done} of {} indicators{}",
                thousands(total),
                rejected_text(rejected)
            )),
            Self::Tenants { total, .. } => {
                Some(format!("{done} of {} have ended", counted(total, "tenant", "tenants")))
            }
        }
    }

    /// Returns the number of alerts that were read, of indicators that were sent, or of tenants
    /// that have ended.
    const fn done(self) -> u64 {
        match self {
            Self::Idle => 0,
            Self::Reading { alerts, .. } => alerts,
            Self::Sending { sent, .. } => sent,
            Self::Tenants { done, .. } => done,
        }
    }

    /// Returns how much is finished (rejected indicators too), and of how much, if that is known.
    fn extent(self) -> Option<(u64, u64)> {
        match self {
            Self::Idle => None,
            Self::Reading { alerts, total, .. } => Some((alerts, total?)),
            Self::Sending { sent, rejected, total, .. } => {
                Some((sent.saturating_add(rejected), total))
            }
            Self::Tenants { done, total } => Some((done, total)),
        }
    }
}

/// Returns the percentage, rounded down; 100 also if `total` is 0.
pub(super) fn percent(done: u64, total: u64) -> u128 {
    match total {
        0 => 100,
        _ => (u128::from(done) * 100 / u128::from(total)).min(100),
    }
}

/// Returns how long the rest takes at the same rate; `None` in the first two seconds, and when
/// nothing is done or nothing is left.
pub(super) fn estimate(elapsed: Duration, done: u64, total: u64) -> Option<Duration> {
    let left = total.checked_sub(done).filter(|left| *left > 0)?;
    if elapsed < MIN_ESTIMATED || done == 0 {
        return None;
    }
    let millis = elapsed.as_millis() * u128::from(left) / u128::from(done);
    Some(Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX)))
}

/// Returns a time such as `3:05` (minutes) or `1:03:05` (hours).
pub(super) fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

fn rejected_text(rejected: u64) -> String {
    match rejected {
        0 => String::new(),
        _ => format!(", {} rejected", thousands(rejected)),
    }
}

/// Returns a bar such as `=====>              `.
pub(super) fn bar(done: u64, total: u64) -> String {
    let columns = u128::from(BAR_COLUMNS);
    let full = u128::from(done) * columns / u128::from(total.max(1));
    (0..columns).fold(String::new(), |mut bar, column| {
        bar.push(match column {
            _ if column < full => '=',
            _ if column == full && done > 0 => '>',
            _ => ' ',
        });
        bar
    })
}
