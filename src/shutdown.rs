//! Graceful shutdown: no new requests; one in flight gets 4 s.

use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::failure::{Failure, FailureKind, Signal};
use crate::platform::advice;
use crate::platform::signals::Signals;
use crate::report::progress;

/// The time that a request in flight has after a signal; the process exits within 5 s of it.
const GRACE: Duration = Duration::from_secs(4);

/// The first signal, and when it came.
type Received = Option<(Signal, Instant)>;

/// A handle that reports whether a signal requested shutdown.
#[derive(Debug, Clone)]
pub(crate) struct Shutdown(watch::Receiver<Received>);

impl Shutdown {
    /// Creates a handle and the sender that requests shutdown.
    pub(crate) fn new() -> (watch::Sender<Received>, Self) {
        let (sender, receiver) = watch::channel(None);
        (sender, Self(receiver))
    }

    /// Waits for a signal; forever if the sender is gone.
    pub(crate) async fn requested(&self) -> Signal {
        let mut receiver = self.0.clone();
        let signal = receiver.wait_for(Option::is_some).await.map(|signal| *signal);
        match signal {
            Ok(Some((signal, _))) => signal,
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }

    /// Returns the signal that came, if any.
    pub(crate) fn signal(&self) -> Option<Signal> {
        self.0.borrow().map(|(signal, _)| signal)
    }

    /// Whether a signal came, and the grace period since then is over.
    pub(crate) fn is_grace_over(&self) -> bool {
        self.0.borrow().is_some_and(|(_, received_at)| received_at.elapsed() >= GRACE)
    }

    /// Waits for a signal, and then for the grace period of a request in flight.
    pub(crate) async fn grace_expired(&self) -> Signal {
        let signal = self.requested().await;
        tokio::time::sleep(GRACE).await;
        signal
    }
}

/// Runs asynchronous work to its end, on this thread. The work gets a handle that reports signals.
///
/// # Errors
/// When the runtime or the signal handlers cannot be set up.
pub(crate) fn block_on<T>(work: impl AsyncFnOnce(Shutdown) -> T) -> Result<T, Failure> {
    let shutdown = watch()?;
    block_on_with(shutdown, work)
}

/// Returns a handle that reports signals from now on. A process does this once.
///
/// # Errors
/// When the signal handlers cannot be set up.
pub(crate) fn watch() -> Result<Shutdown, Failure> {
    let (sender, shutdown) = Shutdown::new();
    watch_signals(sender).map_err(unavailable)?;
    Ok(shutdown)
}

/// Does the same as [`block_on`] with a handle that there is already.
///
/// # Errors
/// When the runtime cannot be set up.
pub(crate) fn block_on_with<T>(
    shutdown: Shutdown,
    work: impl AsyncFnOnce(Shutdown) -> T,
) -> Result<T, Failure> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(unavailable)?;
    let done = runtime.block_on(work(shutdown));
    // A host name lookup cannot be canceled: waiting for it would delay the exit after a signal.
    runtime.shutdown_background();
    Ok(done)
}

fn unavailable(error: std::io::Error) -> Failure {
    Failure::new(
        FailureKind::Unexpected,
        "the asynchronous runtime could not be started",
        advice::LIMITS,
    )
    .with_cause(error)
}

/// Reports the first signal. After it, and after the end of the work, Ctrl-C ends the process at
/// once; other signals change nothing. On a thread of its own, because the work may wait for a file
/// that is locked, and has to notice a signal then too.
fn watch_signals(sender: watch::Sender<Received>) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let entered = runtime.enter();
    let mut signals = Signals::new()?;
    let watch = async move {
        let signal = tokio::select! {
            signal = signals.received() => signal,
            () = sender.closed() => return end_at_once_after(signals).await,
        };
        if signal == Signal::Interrupt {
            progress::show_stopping();
        }
        tracing::info!("received {}: shutting down", signal.name());
        // The receivers are gone when the run has just ended.
        let _ = sender.send(Some((signal, Instant::now())));
        end_at_once_after(signals).await;
    };
    drop(entered);
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || runtime.block_on(watch))?;
    Ok(())
}

/// Ends the process when Ctrl-C is pressed; other signals are received and change nothing. The
/// ledger is as after a crash: nothing in it is lost.
async fn end_at_once_after(mut signals: Signals) {
    if signals.interrupted().await.is_some() {
        progress::clear_in_time();
        #[expect(clippy::exit, reason = "whatever the work waits for, it must not delay the end")]
        std::process::exit(FailureKind::Interrupted(Signal::Interrupt).exit_code().into());
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_slow_host_name_lookup_does_not_delay_the_end() {
        let started = Instant::now();
        // Like the system's lookup of a host name, this cannot be canceled.
        let lookup = || std::thread::sleep(Duration::from_secs(20));
        block_on(async |_| {
            drop(tokio::task::spawn_blocking(lookup));
            tokio::time::sleep(Duration::from_millis(100)).await;
        })
        .unwrap();
        assert!(started.elapsed() < Duration::from_secs(5));
    }
}
