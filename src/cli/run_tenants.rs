//! The options of `run`: all enabled tenants of the settings file, or some of them.

#![allow(
    clippy::doc_markdown,
    reason = "the doc comments of the arguments are help texts, read in a terminal"
)]

use clap::Args;

use super::run_args::{ProcessArgs, SpanArgs};
use crate::settings::TenantName;

/// The highest value of `--jobs`.
const MAX_JOBS: i64 = 64;

#[derive(Debug, Args)]
#[command(next_help_heading = "Delivery")]
pub(crate) struct RunTenantsArgs {
    /// Only this tenant of the settings file; repeatable
    #[arg(long, value_name = "NAME", help_heading = "Selection")]
    pub tenant: Vec<TenantName>,
    #[command(flatten)]
    pub span: SpanArgs,
    /// Maximum tenants that run at a time
    ///
    /// From 1 to 64. Up to 64 runs that have not got any further for 30 seconds do not count.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=MAX_JOBS))]
    pub jobs: u8,
    #[command(flatten)]
    pub process: ProcessArgs,
}
