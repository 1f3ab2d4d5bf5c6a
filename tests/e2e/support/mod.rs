//! The helpers that the end-to-end tests share: the test environment, runs of the binary and their
//! output, and alerts to serve.

pub mod alerts;
pub mod browser;
pub mod commands;
mod env;
pub mod failures;
pub mod falcon_run;
pub mod generate;
pub mod https_env;
pub mod json;
pub mod markdown;
pub mod metrics;
pub mod metrics_runs;
pub mod nginx;
pub mod oracle;
mod output;
pub mod paging;
pub mod process;
pub mod quarter;
pub mod real_proxy;
pub mod report_page;
pub mod safe_text;
pub mod secret_scan;
pub mod settings_file;
pub mod small_disk;
pub mod summary;
pub mod tenants_env;
pub mod terminal;
pub mod tls;
pub mod tool;
pub mod transport;
pub mod vendor;

pub use env::{LEDGER_FILE, NO_CONFIG, NOW, TestEnv, bare_command, run_bare};
pub use output::RunOutput;
