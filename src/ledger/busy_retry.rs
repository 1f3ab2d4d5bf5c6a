//! Waiting while another program, such as `sqlite3`, has the file locked.

use std::time::{Duration, Instant};

use super::error::Problem;
use crate::failure::Signal;
use crate::shutdown::Shutdown;

/// The time that `SQLite` itself waits for the lock. Between two such waits a signal is noticed.
pub(super) const ATTEMPT: Duration = Duration::from_millis(100);

/// The longest wait of a call of a command, which has no deadline: longer than a query of a person
/// takes.
const COMMAND_LIMIT: Duration = Duration::from_mins(1);

/// The time for which each call of a run keeps trying at least, also when the run's time is over;
/// after a signal, until the end of the grace period.
const MINIMUM: Duration = Duration::from_secs(5);

/// The limit for waiting until other programs unlock the file.
///
/// A batch that was accepted and cannot be recorded is in doubt, and may be sent again. So a run
/// waits until its deadline, and after a signal as long as a request in flight may take.
#[derive(Debug, Clone, Default)]
pub(crate) struct BusyRetry {
    /// The deadline of a run, and the signals that end it; `None` for a command.
    run: Option<(Instant, Shutdown)>,
}

impl BusyRetry {
    /// Returns the limit of a run that ends after `deadline` from now, or by a signal.
    pub(crate) fn until(deadline: Duration, shutdown: Shutdown) -> Self {
        Self { run: Some((Instant::now() + deadline, shutdown)) }
    }

    /// Calls `attempt` until it finds the file unlocked, or the time is over.
    pub(super) fn retry<T>(
        &self,
        mut attempt: impl FnMut() -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        let started = Instant::now();
        let mut reported = false;
        loop {
            match attempt() {
                Err(Problem::Busy(_)) if !self.is_over(started) => {
                    if !std::mem::replace(&mut reported, true) {
                        tracing::warn!("another program has the ledger locked: waiting");
                    }
                }
                done => return done,
            }
        }
    }

    /// Returns the signal that ends the run, if any.
    pub(super) fn signal(&self) -> Option<Signal> {
        self.run.as_ref().and_then(|(_, shutdown)| shutdown.signal())
    }

    /// Whether a call that started at this time has waited long enough.
    fn is_over(&self, started: Instant) -> bool {
        match &self.run {
            None => started.elapsed() >= COMMAND_LIMIT,
            Some((deadline, shutdown)) => {
                shutdown.is_grace_over()
                    || (Instant::now() >= *deadline && started.elapsed() >= MINIMUM)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns whether a call succeeds that finds the file locked `busy` times, and how often it is
    /// attempted.
    fn attempts(busy_retry: &BusyRetry, busy: u32) -> (bool, u32) {
        let mut attempts = 0;
        let done = busy_retry.retry(|| {
            attempts += 1;
            if attempts > busy { Ok(()) } else { Err(Problem::Busy(String::new())) }
        });
        (done.is_ok(), attempts)
    }

    #[test]
    fn a_call_is_attempted_until_the_file_is_unlocked() {
        let (_sender, shutdown) = Shutdown::new();
        let busy_retry = BusyRetry::until(Duration::from_hours(1), shutdown.clone());
        assert_eq!(attempts(&busy_retry, 1000), (true, 1001));
        // Not given up at once when the run's time is over.
        let over = BusyRetry::until(Duration::ZERO, shutdown);
        assert_eq!(attempts(&over, 1000), (true, 1001));
    }

    #[test]
    fn a_signal_leaves_the_time_that_a_request_in_flight_has() {
        let (sender, shutdown) = Shutdown::new();
        let busy_retry = BusyRetry::until(Duration::from_hours(1), shutdown);
        let now = Instant::now();
        sender.send(Some((Signal::Terminate, now))).unwrap();
        assert_eq!(attempts(&busy_retry, 1000), (true, 1001));
        let earlier = now.checked_sub(Duration::from_secs(5)).unwrap();
        sender.send(Some((Signal::Terminate, earlier))).unwrap();
        assert_eq!(attempts(&busy_retry, 1000), (false, 1));
    }
}
