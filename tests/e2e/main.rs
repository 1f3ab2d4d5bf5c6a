//! End-to-end tests: the real binary against the sandbox, over real HTTP on loopback.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test that cannot go on should stop where it is, and one that is skipped says so"
)]

mod broken_off;
mod carbonblack_mapping;
mod crowdstrike_mapping;
mod halving;
mod indicators;
mod kill;
mod machine;
mod nights;
mod oracle;
mod paging;
mod readme;
mod retries;
mod support;
mod tenants;
mod tending;
mod thresholds;
mod uniqueness;
mod unreadable;
