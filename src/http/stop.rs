//! A signal's wish to end: no new request begins, the one in flight gets a short grace.

use std::time::Duration;

use tokio::sync::watch;

use crate::failure::Signal;

/// How long a request in flight may still take after a signal; the run is over within 5 s of it.
const GRACE: Duration = Duration::from_secs(4);

/// Knows whether a signal asked the run to end.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<Option<Signal>>);

impl Stop {
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

    /// Waits for a signal; for ever when nobody can send one any more.
    pub async fn signalled(&self) -> Signal {
        let mut receiver = self.0.clone();
        let seen = receiver.wait_for(Option::is_some).await.map(|signal| *signal);
        match seen {
            Ok(Some(signal)) => signal,
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }

    /// Waits for a signal and then for the grace of a request in flight.
    pub async fn grace_over(&self) -> Signal {
        let signal = self.signalled().await;
        tokio::time::sleep(GRACE).await;
        signal
    }
}
