//! `help <topic>`: prints a topic. The help of a command comes from clap.

use std::process::ExitCode;

use crate::cli::HelpArgs;
use crate::report;

/// Prints the Markdown of the topic that was asked for.
#[must_use]
pub(crate) fn help(args: &HelpArgs) -> ExitCode {
    if let Some(topic) = args.topic() {
        report::out(topic.text);
    }
    ExitCode::SUCCESS
}
