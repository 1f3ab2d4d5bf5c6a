//! The numbered steps of a run, at each of which a test can end the process as a power cut would.
//!
//! Builds with debug assertions read `COLLECTIVE_INSIGHTS_TEST_KILL_AT=<n>` and die by SIGKILL when the
//! run comes to its n-th step; in a release build a step is nothing.

use std::sync::atomic::{AtomicU32, Ordering};

static STEPS: AtomicU32 = AtomicU32::new(0);

/// A place between two things that a run does: dying here must lose nothing.
pub(super) fn step() {
    if !cfg!(debug_assertions) {
        return;
    }
    let this = STEPS.fetch_add(1, Ordering::Relaxed) + 1;
    let wanted = std::env::var("COLLECTIVE_INSIGHTS_TEST_KILL_AT").ok();
    if wanted.and_then(|text| text.parse().ok()) == Some(this) {
        // A process cannot send itself a signal without unsafe code; its child can.
        let _ = std::process::Command::new("/bin/sh")
            .args(["-c", "kill -KILL $PPID"])
            .status();
        std::process::abort();
    }
}
