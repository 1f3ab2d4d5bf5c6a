//! The signals that end a run.

use std::io;

use tokio::signal::unix::{self, SignalKind, signal};

use crate::failure::Signal;

/// Receives signals from its creation on.
pub(crate) struct Signals {
    interrupt: unix::Signal,
    terminate: unix::Signal,
    /// `None` if SIGHUP is ignored.
    hangup: Option<unix::Signal>,
}

impl Signals {
    /// Starts to receive signals, in the runtime that is entered.
    ///
    /// # Errors
    /// When the handlers cannot be set up.
    pub(crate) fn new() -> io::Result<Self> {
        let interrupt = signal(SignalKind::interrupt())?;
        let terminate = signal(SignalKind::terminate())?;
        let hangup = if is_hangup_ignored() { None } else { Some(signal(SignalKind::hangup())?) };
        Ok(Self { interrupt, terminate, hangup })
    }

    /// Waits for the next signal.
    pub(crate) async fn received(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::Interrupt,
            _ = self.terminate.recv() => Signal::Terminate,
            Some(()) = async { self.hangup.as_mut()?.recv().await } => Signal::Hangup,
        }
    }

    /// Waits for Ctrl-C; `None` if none can come any more.
    pub(crate) async fn interrupted(&mut self) -> Option<()> {
        self.interrupt.recv().await
    }
}

/// Whether this process ignores SIGHUP, as under `nohup`; `false` where the system does not tell.
fn is_hangup_ignored() -> bool {
    const HANGUP: u64 = 1;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & HANGUP != 0)
}
