//! The signals that end a run.

use std::io;

use tokio::signal::windows::{
    CtrlBreak, CtrlC, CtrlClose, CtrlShutdown, ctrl_break, ctrl_c, ctrl_close, ctrl_shutdown,
};

use crate::failure::Signal;

/// Receives signals from its creation on, except those of a logoff: they do not name the user, and
/// a scheduled task gets those of all users.
pub(crate) struct Signals {
    ctrl_c: CtrlC,
    ctrl_break: CtrlBreak,
    /// The window is closed. The system ends the process 5 s later.
    close: CtrlClose,
    /// The machine shuts down.
    shutdown: CtrlShutdown,
}

impl Signals {
    /// Starts to receive signals.
    ///
    /// # Errors
    /// When the handlers cannot be set up.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            ctrl_c: ctrl_c()?,
            ctrl_break: ctrl_break()?,
            close: ctrl_close()?,
            shutdown: ctrl_shutdown()?,
        })
    }

    /// Waits for the next signal.
    pub(crate) async fn received(&mut self) -> Signal {
        tokio::select! {
            _ = self.ctrl_c.recv() => Signal::Interrupt,
            _ = self.ctrl_break.recv() => Signal::Interrupt,
            _ = self.close.recv() => Signal::Hangup,
            _ = self.shutdown.recv() => Signal::Terminate,
        }
    }

    /// Waits for Ctrl-C or Ctrl-Break; `None` if none can come any more.
    pub(crate) async fn interrupted(&mut self) -> Option<()> {
        tokio::select! {
            received = self.ctrl_c.recv() => received,
            received = self.ctrl_break.recv() => received,
        }
    }
}
