//! The wait for another run that has the ledger locked.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use super::Mode;
use crate::clock::Clock;
use crate::failure::Failure;
use crate::ledger::{Ledger, LedgerError, Lock, Problem};
use crate::redact::sanitize;
use crate::report::{self, progress};
use crate::settings::{LedgerChoice, LockWait};
use crate::shutdown::Shutdown;

/// The time between two attempts to take the lock.
const INTERVAL: Duration = Duration::from_millis(500);

/// Takes the ledger's lock, and waits for it as long as the settings allow. `None` where the run
/// does not wait: then opening the ledger takes it.
///
/// # Errors
/// When another run has the lock for longer, when a signal comes, and when the lock cannot be used.
pub(super) async fn take_lock(
    ledger: &LedgerChoice,
    wait: Option<LockWait>,
    mode: Mode,
    clock: Clock,
    shutdown: &Shutdown,
) -> Result<Option<Lock>, Failure> {
    let Some((wait, path)) = wait.zip(ledger.path()) else {
        return Ok(None);
    };
    // Without a ledger, a run that is not live takes no lock.
    if mode != Mode::Live && !path.exists() {
        return Ok(None);
    }
    let started = Instant::now();
    let mut is_waiting = false;
    loop {
        let locked = match Ledger::lock(path, clock.now()) {
            Err(error @ LedgerError { problem: Problem::Locked { .. }, .. }) => error,
            done => {
                let lock = done?;
                if is_waiting {
                    let seconds = started.elapsed().as_secs();
                    tracing::info!(seconds, "the other run has ended");
                }
                return Ok(Some(lock));
            }
        };
        let remaining = wait.limit.saturating_sub(started.elapsed());
        if remaining.is_zero() {
            return Err(locked.into());
        }
        if !std::mem::replace(&mut is_waiting, true) {
            announce(&locked, wait);
        }
        tokio::select! {
            signal = shutdown.requested() => {
                return Err(Problem::Interrupted(signal).at(path).into());
            }
            () = tokio::time::sleep(INTERVAL.min(remaining)) => {}
        }
    }
}

/// Logs that the run waits, and shows it to a person on a terminal.
fn announce(locked: &LedgerError, wait: LockWait) {
    let text = format!("{locked}; waiting for up to {} s", wait.limit.as_secs());
    tracing::info!("{text}");
    if wait.announce && std::io::stderr().is_terminal() {
        progress::suspend(|| report::write_stderr(&format!("{}\n", sanitize(&text))));
    }
}
