//! The helpers that the end-to-end tests share: the test environment, runs of the binary and their
//! output, and alerts to serve.

pub mod alerts;
pub mod browser;
mod env;
pub mod failures;
pub mod https_env;
pub mod json;
pub mod metrics;
pub mod nginx;
pub mod oracle;
mod output;
pub mod process;
pub mod quarter;
pub mod real_proxy;
pub mod report_page;
pub mod safe_text;
pub mod secret_scan;
pub mod small_disk;
pub mod summary;
pub mod tenants_env;
pub mod terminal;
pub mod tls;
pub mod transport;
pub mod vendor;

pub use env::{NO_CONFIG, NOW, TestEnv, bare_command};
pub use output::RunOutput;
