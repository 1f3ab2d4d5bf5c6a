//! End-to-end tests: the real binary against the sandbox, over real HTTP on loopback.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test that cannot go on should stop where it is, and one that is skipped says so"
)]

mod addresses;
mod batches;
mod broken_off;
mod carbonblack_mapping;
mod command_line;
mod crowdstrike_hints;
mod crowdstrike_mapping;
mod exclusions;
mod halving;
mod hints;
mod hostile;
mod indicators;
mod kill;
mod log;
mod machine;
mod modes;
mod nights;
mod oracle;
mod paging;
mod readme;
mod retries;
mod samples;
mod secrets;
mod side_by_side;
mod support;
mod tenants;
mod tending;
mod thresholds;
mod uniqueness;
mod unreadable;
