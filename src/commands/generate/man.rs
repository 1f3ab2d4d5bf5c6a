//! Man pages: one for the program and one for each command.

use std::io;

use clap::Command;
use clap_mangen::Man;

use super::files::File;
use crate::cli::{self, NAME};
use crate::failure::{Failure, FailureKind};

/// Returns the page of the program.
pub(super) fn main_page() -> Result<String, Failure> {
    page(&definition()).map(|(_, text)| text)
}

/// Returns each page with its file name, for example `collective-insights-outbox-list.1`.
pub(super) fn pages() -> Result<Vec<File>, Failure> {
    let mut pages = Vec::new();
    collect(&definition(), &mut pages)?;
    Ok(pages)
}

fn definition() -> Command {
    let mut command = cli::definition().disable_help_subcommand(true);
    command.build();
    command
}

fn collect(command: &Command, pages: &mut Vec<File>) -> Result<(), Failure> {
    pages.push(page(command)?);
    command.get_subcommands().try_for_each(|subcommand| collect(subcommand, pages))
}

fn page(command: &Command) -> Result<File, Failure> {
    let man = Man::new(command.clone());
    let file_name = man.get_filename();
    let title = file_name.trim_end_matches(".1").to_uppercase();
    let man = man
        .title(title)
        // An empty date would be left out, and the next field would take its place.
        .date(" ")
        .source(format!("{NAME} {}", env!("CARGO_PKG_VERSION")));
    let mut text = Vec::new();
    man.render(&mut text).map_err(|error| internal(&error))?;
    let text = String::from_utf8(text).map_err(|error| internal(&io::Error::other(error)))?;
    // Without filling, so that commands are neither justified nor hyphenated.
    let text = text.replace(".SH EXTRA\n", ".SH EXAMPLES AND EXIT CODES\n.nf\n") + ".fi\n";
    Ok((file_name, text))
}

fn internal(error: &io::Error) -> Failure {
    Failure::new(
        FailureKind::Unexpected,
        format!("internal error: a man page cannot be rendered: {error}"),
        "Report this.",
    )
}
