//! The asynchronous half of the program: one thread, and the signals that ask it to end.

use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

use tokio::sync::watch;

use crate::failure::{Failure, FailureKind, Signal};

/// How long a request in flight may still take after a signal; the run is over within 5 s of it.
const GRACE: Duration = Duration::from_secs(4);

/// Knows whether a signal asked the run to end.
#[derive(Debug, Clone)]
pub struct Shutdown(watch::Receiver<Option<Signal>>);

impl Shutdown {
    /// A stop and the sender that asks for it.
    #[must_use]
    pub fn new() -> (watch::Sender<Option<Signal>>, Self) {
        let (sender, receiver) = watch::channel(None);
        (sender, Self(receiver))
    }

    /// The signal that came, if one did.
    #[must_use]
    pub fn asked(&self) -> Option<Signal> {
        *self.0.borrow()
    }

    /// PendingWaits for a signal; for ever when nobody can send one any more.
    pub async fn requested(&self) -> Signal {
        let mut receiver = self.0.clone();
        let seen = receiver.wait_for(Option::is_some).await.map(|signal| *signal);
        match seen {
            Ok(Some(signal)) => signal,
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }

    /// PendingWaits for a signal and then for the grace of a request in flight.
    pub async fn grace_expired(&self) -> Signal {
        let signal = self.requested().await;
        tokio::time::sleep(GRACE).await;
        signal
    }
}

/// Does asynchronous work that a signal can ask to end.
///
/// # Errors
/// When the system refuses what a runtime needs.
pub fn block_on<T>(work: impl AsyncFnOnce(Shutdown) -> T) -> Result<T, Failure> {
    let unavailable = |error: std::io::Error| {
        Failure::new(
            FailureKind::Unexpected,
            "the system refuses what a run needs",
            "Check the limits of this user (ulimit -a).",
        )
        .with_cause(error.to_string())
    };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(unavailable)?;
    let done = runtime.block_on(async {
        let (sender, stop) = Shutdown::new();
        watch_signals(sender).map_err(unavailable)?;
        Ok(work(stop).await)
    });
    // The look-up of a host's name cannot be broken off: waiting for it, a run would outlast its signal.
    runtime.shutdown_background();
    done
}

/// Passes the first signal on. The run ends by itself within seconds; a second one changes nothing.
fn watch_signals(sender: watch::Sender<Option<Signal>>) -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        let signal = tokio::select! {
            _ = interrupt.recv() => Signal::Interrupt,
            _ = terminate.recv() => Signal::Terminate,
        };
        tracing::warn!("a signal asks the run to end");
        // Nobody listens any more when the run is over.
        let _ = sender.send(Some(signal));
        std::future::pending::<()>().await;
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_name_that_is_looked_up_for_long_does_not_hold_the_end_up() {
        let begun = Instant::now();
        // As the system's look-up of a host's name, which nothing can break off.
        let look_up = || std::thread::sleep(Duration::from_secs(20));
        block_on(async |_| {
            drop(tokio::task::spawn_blocking(look_up));
            tokio::time::sleep(Duration::from_millis(100)).await;
        })
        .unwrap();
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
}
