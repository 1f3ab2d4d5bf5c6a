//! `collective-insights`: shares what endpoint tools detect with Recorded Future.

use std::process::ExitCode;

fn main() -> ExitCode {
    collective_insights::main(std::env::args_os())
}
