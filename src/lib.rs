//! Sends endpoint detections to Recorded Future Collective Insights.
//!
//! A batch program for cron. Data moves in one direction:
//!
//! ```text
//! cli -> settings -> run -> source -> selection -> ledger (outbox) -> recorded_future -> report
//!                           crowdstrike  thresholds                   batches,
//!                           carbonblack  exclusions                   bisection
//!                                        uniqueness
//! ```
//!
//! Vendor JSON becomes a `Detection` (vendor-neutral, validated), then a `Submission` (one item of
//! Collective Insights), and ends up delivered, quarantined, queued or dropped.
//!
//! # Terms
//! - **alert**: a record of the vendor, as its API returns it. **Detection**: the same, in the form
//!   that all sources share.
//! - **indicator**: a hash, domain, IP address or URL. **Mention**: an indicator named by an alert,
//!   before it is unique; an alert can mention several, and several alerts the same one.
//! - **submission**: one item of a request to Recorded Future: an indicator and the alert that
//!   represents it. **Batch**: the submissions of one request; in the ledger also the entries that
//!   one command drops, or puts in doubt, together.
//! - **source**: a vendor. **Tenant**: one account of a source, with its settings and its part of
//!   the ledger. **Customer**: whose alerts they are, as the vendor names it (the CID of Falcon);
//!   an account can see the alerts of several. **Withdrawn**: a run that stopped because the alerts
//!   belong to another customer; the ledger keeps nothing that it stored.
//! - **organization** (`--organization-id`): who receives the submissions in Recorded Future.
//!   **Receipt**: a response of Recorded Future that confirms a batch.
//! - **the scripts**: Recorded Future's two Python scripts, which this program replaces.
//! - **layer**: a place other than the command line in which settings have values: variables,
//!   secret files, systemd's credentials directory, and the tables of the settings file.
//! - **test mode** (`--debug`): Recorded Future checks what is sent and does not store it.
//! - **window**: the span of time that a run reads. **Checkpoint**: up to when all alerts were
//!   read. **Gap**: a span before the checkpoint that no run read.
//! - **ledger**: the file that runs share. **Outbox**: its entries that are not delivered: queued
//!   (`waiting` in JSON), or in **quarantine** because Recorded Future rejected them or the
//!   stored item is damaged. **Sighting**: an alert that named the indicator of an entry.
//! - **in doubt**: sent, and perhaps stored, but not confirmed. The next run searches Recorded
//!   Future for it before it sends it again; until then it counts as queued.
//! - **settled**: in a batch that is being sent, was delivered, or was dropped by a person.
//! - **left out**: a mention that is not sent on purpose, because its alert is below a threshold or
//!   dismissed, or because it is excluded, private, trusted, unsupported or invalid; a mention that
//!   repeats another or was delivered before is not.
//!
//! # Modules
//! | module | purpose | must not know |
//! |---|---|---|
//! | `app` | one command, from arguments to exit code | |
//! | `commands` | one file or directory per command | SQL, HTTP details |
//! | `run` | one run of one source, or of several tenants | vendor fields, SQL, status codes |
//! | `cli` | the definition of the command line, help texts | HTTP, files |
//! | `settings` | validated settings, their file, and the origin of values | clap, the sources |
//! | `sources` | one directory per vendor | each other, Recorded Future, the ledger |
//! | `selection` | which indicators are sent; counts the others | services, the ledger |
//! | `recorded_future` | the requests, and what the responses mean | the vendors |
//! | `ledger` | the only module that knows SQL | HTTP |
//! | `http` | the only client: retries, limits, TLS, proxy | what the payloads mean |
//! | `indicator`, `mitre`, `detection`, `submission`, `window` | the domain | any service |
//! | `report`, `logging`, `redact` | the output, the log, masking secrets | decisions |
//! | `metrics` | the file for Prometheus | SQL |
//! | `local_file`, `atomic_file` | open and replace the files that a run writes | what is in them |
//! | `platform` | what differs between Unix and Windows | all others except `failure` |
//! | [`failure`], `shutdown`, `clock` | errors with cause, help and exit code; signals; time | |
//! | `version` | the version, commit and target of this program | |

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::print_stdout,
        clippy::print_stderr,
        clippy::as_conversions,
        reason = "a test that cannot continue fails where it is"
    )
)]

mod app;
mod atomic_file;
pub mod cli;
mod clock;
mod commands;
mod detection;
pub mod failure;
mod http;
mod indicator;
mod ledger;
mod local_file;
mod logging;
mod metrics;
mod mitre;
mod platform;
mod recorded_future;
mod redact;
mod report;
mod run;
mod selection;
mod settings;
mod shutdown;
mod sources;
mod submission;
mod version;
mod window;

#[cfg(test)]
#[path = "../tests/statuses.rs"]
mod statuses;

pub use app::main;

/// The functions that `tests/bench.rs` measures. Not a public interface.
#[doc(hidden)]
pub mod bench_api {
    pub use crate::indicator::{ClaimedType, Indicator};
    pub use crate::selection::exclusions::Exclusions;
    pub use crate::sources::carbonblack::{
        IndicatorChoice as CarbonBlackIndicators, read_page as read_carbonblack_page,
    };
    pub use crate::sources::crowdstrike::{
        IndicatorChoice as CrowdStrikeIndicators, read_page as read_crowdstrike_page,
    };
}
