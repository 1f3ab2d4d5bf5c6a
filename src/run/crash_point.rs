//! The numbered steps of a run, at each of which a test can end the process as a power cut would, or let
//! it meet a fault of its own.
//!
//! Builds with debug assertions read two variables when the run comes to its n-th step; in a release build
//! a step is nothing. With `COLLECTIVE_INSIGHTS_TEST_KILL_AT=<n>` they die by SIGKILL, with
//! `COLLECTIVE_INSIGHTS_TEST_PANIC_AT=<n>` they panic with all that the environment holds in their words.

use std::sync::atomic::{AtomicU32, Ordering};

static STEPS: AtomicU32 = AtomicU32::new(0);

/// A place between two things that a run does: dying here must lose nothing.
pub(super) fn crash_point() {
    if !cfg!(debug_assertions) {
        return;
    }
    let this = STEPS.fetch_add(1, Ordering::Relaxed) + 1;
    let wanted = |variable: &str| {
        let number = std::env::var(variable).ok().and_then(|text| text.parse().ok());
        number == Some(this)
    };
    if wanted("COLLECTIVE_INSIGHTS_TEST_KILL_AT") {
        // A process cannot send itself a signal without unsafe code; its child can.
        let _ = std::process::Command::new("/bin/sh").args(["-c", "kill -KILL $PPID"]).status();
        std::process::abort();
    }
    assert!(
        !wanted("COLLECTIVE_INSIGHTS_TEST_PANIC_AT"),
        "asked for by a test: {:?}",
        std::env::vars_os().collect::<Vec<_>>()
    );
}
