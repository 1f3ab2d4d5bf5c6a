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
mod certificates;
mod check;
mod command_line;
mod crowdstrike_hints;
mod crowdstrike_mapping;
mod exclusions;
mod generate;
mod halving;
mod help;
mod hints;
mod history;
mod hostile;
mod indicators;
mod json_topic;
mod kill;
mod log;
mod machine;
mod markdown;
mod modes;
mod nights;
mod oracle;
mod origins;
mod paging;
mod progress;
mod proxies;
mod readme;
mod regions;
mod retries;
mod samples;
mod schedules;
mod secrets;
mod side_by_side;
mod support;
mod tenants;
mod tending;
mod thresholds;
mod timeouts;
mod tokens;
mod topics;
mod uniqueness;
mod unreadable;
