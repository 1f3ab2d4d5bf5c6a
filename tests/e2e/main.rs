//! End-to-end tests: the real binary against the sandbox, a simulation of the services, over HTTP
//! on 127.0.0.1.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test fails by a panic, and prints that it is skipped"
)]

mod base_urls;
mod batches;
mod bisection;
mod busy_ledger;
mod carbonblack_mapping;
mod certificates;
mod check;
mod check_tenants;
mod choices;
mod clocks;
mod cloud_discovery;
mod command_line;
mod concurrency;
mod config_file;
mod config_mistakes;
mod consecutive_runs;
mod crowdstrike_errors;
mod crowdstrike_mapping;
mod crowdstrike_tokens;
mod customers;
mod doubt;
mod exclusion_hits;
mod exclusions;
mod explain;
mod file_tenants;
mod flipped_bits;
mod fuzzed_pages;
mod generate;
mod help;
mod history;
mod http2;
mod incomplete_pages;
mod indicators;
mod interrupted_reads;
mod isolation;
mod json_topic;
mod kill;
mod kubernetes;
mod local_failures;
mod local_files;
mod log;
mod maintenance;
mod metrics;
mod metrics_file;
mod metrics_help;
mod metrics_previous;
mod modes;
mod nearly_full_disk;
mod owners;
mod packaging;
mod paging;
mod progress;
mod proxies;
mod quarter;
mod quiet_feeds;
mod quoted_secrets;
mod random_faults;
mod random_faults_of_tenants;
mod readme;
mod report;
mod report_browser;
mod retries;
mod samples;
mod schedules;
mod secrets;
mod service_errors;
mod settings;
mod several_tenants;
mod shared_quota;
mod signals;
mod skipped;
mod state_folder;
mod support;
mod tenants;
mod terminal_text;
mod thresholds;
mod timeouts;
mod topics;
mod uniqueness;
mod unreadable_alerts;
mod untrusted_text;
mod usage_errors;
mod verify;
mod waiting;
mod weekly_report;
