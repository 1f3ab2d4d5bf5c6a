//! Shares what endpoint tools detect with Recorded Future's Collective Insights.
//!
//! A batch tool for cron. What flows through it changes its form once at each door:
//!
//! ```text
//! cli ─► run ─► sources ──► Detection ──► selection ──► ledger ──► recorded_future ──► report
//!               crowdstrike               thresholds    (outbox)   batches, halving    what happened,
//!               carbonblack               exclusions                                   as numbers that
//!                                         unique                                       add up
//! ```
//!
//! Vendor JSON becomes a [`Detection`](detection::Detection) (ours, vendor-free, validated), a
//! [`Submission`](submission::Submission) (one Collective Insights item), and is settled: delivered, in
//! quarantine, or waiting.
//!
//! | module | what it is for | what it does not know |
//! |---|---|---|
//! | [`cli`] | the command line and one validated `Settings` | HTTP, JSON |
//! | [`run`] | the recipe of one run | vendor fields, SQL, status codes |
//! | [`indicator`], [`mitre`], [`detection`], [`submission`] | the domain | where things come from and go |
//! | [`sources`] | one folder a vendor: sign-in, pages, mapping | each other, Recorded Future, the ledger |
//! | [`selection`] | pure decisions, and a number for each that does not go on | I/O |
//! | [`recorded_future`] | what is sent, the client, what an answer means | the vendors |
//! | [`http`] | the one client: retries, waits, limits | what payloads mean |
//! | [`ledger`] | the one place that knows SQL | HTTP |
//! | [`check`] | is everything in place for a run? | |
//! | [`manage`] | the commands that look at and tend the ledger | HTTP |
//! | [`generate`] | what is made from the command line's definition: completions, man pages, schedules | services, the ledger |
//! | [`report`] | the one place that prints | decisions |
//! | [`failure`] | what went wrong, why, what to do, and the exit code | |
//! | [`logging`] | the log, and what may be shown at all | |

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::print_stdout,
        clippy::print_stderr,
        clippy::as_conversions,
        reason = "a test that cannot go on should stop where it is"
    )
)]

mod app;
pub mod cli;
mod clock;
mod commands;
mod detection;
pub mod failure;
mod http;
mod indicator;
mod ledger;
mod logging;
mod mitre;
mod recorded_future;
mod redact;
mod report;
mod run;
mod selection;
mod settings;
mod shutdown;
mod sources;
mod submission;
mod window;

#[cfg(test)]
#[path = "../tests/statuses.rs"]
mod statuses;

pub use app::main;

/// What the benchmarks in `tests/bench.rs` measure. Not an interface.
#[doc(hidden)]
pub mod bench_api {
    pub use crate::detection::AlertOutcome;
    pub use crate::indicator::{ClaimedType, Indicator};
    pub use crate::selection::exclusions::Exclusions;
    pub use crate::sources::carbonblack::{HashChoice, read_page as read_carbonblack_page};
    pub use crate::sources::crowdstrike::read_page as read_crowdstrike_page;
}
