//! How far a run is, for whoever looks on: one line on a terminal's stderr, and one in the log every ten
//! seconds.
//!
//! The run leaves its numbers here, once a page or batch. A thread of its own draws them ten times a
//! second, so a terminal that stands still (Ctrl-S) does not hold up the run, and a busy run does not hold
//! up the line. It is made of numbers, our own words and the name of a host: no vendor's text comes here.

mod painter;

use std::io::stderr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use console::Term;

use self::painter::{Margin, Painter};
use super::{Output, Styler};
use crate::clock::Clock;
use crate::http::PendingWaits;

/// How often the log is told.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// What a run is at, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Work {
    /// Nothing that takes long.
    #[default]
    Idle,
    /// Reading the vendor's alerts.
    Reading {
        /// Pages that came.
        pages: u64,
        /// Alerts in them, each counted once.
        alerts: u64,
        /// How many there are, where the vendor says.
        total: Option<u64>,
    },
    /// Putting what was selected into the outbox.
    Storing {
        /// How many submissions.
        submissions: u64,
    },
    /// Sending the outbox.
    Sending {
        /// Batches that were accepted.
        batches: u64,
        /// Submissions in them.
        sent: u64,
        /// Submissions that were refused one by one.
        refused: u64,
        /// Submissions in all: these, and what waits.
        all: u64,
    },
}

/// The handle that a run leaves its numbers with.
#[derive(Debug, Clone)]
pub struct Progress(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    begun: Instant,
    work: Mutex<Work>,
    waits: OnceLock<PendingWaits>,
    painter: Mutex<Option<Painter>>,
}

impl Default for Progress {
    fn default() -> Self {
        Self(Arc::new(Shared {
            begun: Instant::now(),
            work: Mutex::default(),
            waits: OnceLock::new(),
            painter: Mutex::default(),
        }))
    }
}

impl Progress {
    /// Draws from now on, where stderr is a terminal that can wipe a line again and nobody asked for
    /// silence. With the log on stderr there is no place for it.
    pub fn show(&self, output: Output, log_on_stderr: bool) {
        let terminal = Term::buffered_stderr();
        if terminal.is_term() && !console::is_dumb() && !output.quiet && !log_on_stderr {
            let paint = Styler::new(output.color, &stderr());
            *self.painter() = Painter::start(self.clone(), Margin::of(terminal), paint);
        }
    }

    /// Wipes the line, and draws no more. Must come before anything else is printed.
    pub fn clear(&self) {
        let painter = self.painter().take();
        if let Some(painter) = painter {
            painter.end();
        }
    }

    /// From now on, the run is at this.
    pub fn set(&self, work: Work) {
        *self.0.work.lock().unwrap_or_else(PoisonError::into_inner) = work;
    }

    /// Shows these waits too.
    pub fn follow(&self, waits: PendingWaits) {
        // Only a second run of the same process could come second.
        let _ = self.0.waits.set(waits);
    }

    /// Tells the log every ten seconds how far the run is; has no end.
    pub async fn log_heartbeat(self, clock: Clock) {
        let pause = clock.scaled(HEARTBEAT).max(Duration::from_millis(1));
        loop {
            tokio::time::sleep(pause).await;
            if let Some(words) = self.work().describe() {
                let wait = self.wait().map(|wait| format!("; waiting {wait}")).unwrap_or_default();
                tracing::info!("{words}{wait}");
            }
        }
    }

    fn work(&self) -> Work {
        *self.0.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The wait that is on, counted down: `12 s for the.host`.
    fn wait(&self) -> Option<String> {
        let (host, left) = self.0.waits.get()?.longest_remaining()?;
        let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
        Some(format!("{seconds} s for {}", super::line(&host)))
    }

    fn painter(&self) -> MutexGuard<'_, Option<Painter>> {
        let painter = self.0.painter.lock();
        painter.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Work {
    /// For the log; nothing where there is nothing to say.
    fn describe(self) -> Option<String> {
        match self {
            Self::Idle => None,
            Self::Reading { alerts, total, .. } => Some(match total {
                Some(total) => format!("read {alerts} of {total} alerts"),
                None => format!("read {alerts} alerts"),
            }),
            Self::Storing { submissions } => Some(format!("storing {submissions} submissions")),
            Self::Sending { sent, refused, all, .. } => {
                Some(format!("sent {sent} of {all} submissions{}", in_quarantine(refused)))
            }
        }
    }
}

fn in_quarantine(refused: u64) -> String {
    match refused {
        0 => String::new(),
        _ => format!(", {refused} refused"),
    }
}

/// `1 page`, `2 pages`.
fn counted(count: u64, one: &str, more: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { more })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_gets_what_is_known() {
        let reading = |total| Work::Reading { pages: 12, alerts: 12_000, total };
        let sending = |refused| Work::Sending { batches: 3, sent: 3000, refused, all: 5000 };
        for (work, words) in [
            (Work::Idle, None),
            (reading(Some(20_000)), Some("read 12000 of 20000 alerts")),
            (reading(None), Some("read 12000 alerts")),
            (Work::Storing { submissions: 9 }, Some("storing 9 submissions")),
            (sending(0), Some("sent 3000 of 5000 submissions")),
            (sending(2), Some("sent 3000 of 5000 submissions, 2 refused")),
        ] {
            assert_eq!(work.describe().as_deref(), words);
        }
    }
}
