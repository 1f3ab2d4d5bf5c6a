//! Numbered crash points, for tests.
//!
//! In builds with debug assertions, crash point number n ends the process with SIGKILL if
//! `COLLECTIVE_INSIGHTS_TEST_KILL_AT=n`, and panics if `COLLECTIVE_INSIGHTS_TEST_PANIC_AT=n`. The
//! panic message contains the whole environment, to test that secrets are masked. Release builds
//! ignore both.

use std::sync::atomic::{AtomicU32, Ordering};

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A crash point for tests: nothing may be lost if the process dies here.
pub(super) fn crash_point() {
    if !cfg!(debug_assertions) {
        return;
    }
    let this = COUNT.fetch_add(1, Ordering::Relaxed) + 1;
    let is_set = |variable: &str| {
        let number = std::env::var(variable).ok().and_then(|text| text.parse().ok());
        number == Some(this)
    };
    if is_set("COLLECTIVE_INSIGHTS_TEST_KILL_AT") {
        // Through a shell: rustix, which could send the signal, is a dependency on Unix only.
        let _ = std::process::Command::new("/bin/sh").args(["-c", "kill -KILL $PPID"]).status();
        std::process::abort();
    }
    assert!(
        !is_set("COLLECTIVE_INSIGHTS_TEST_PANIC_AT"),
        "requested by a test: {:?}",
        std::env::vars_os().collect::<Vec<_>>()
    );
}
