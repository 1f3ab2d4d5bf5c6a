//! `collective-insights`: sends endpoint detections to Recorded Future Collective Insights.

use std::process::ExitCode;

fn main() -> ExitCode {
    collective_insights::main(std::env::args_os())
}
