//! Man pages: one for the program, one for each command and each help topic.

use std::error::Error;

use clap::Command;
use clap_mangen::Man;

use super::files::File;
use super::topic_page;
use crate::cli::{self, NAME, TOPICS};
use crate::failure::{Failure, FailureKind, REPORT_BUG};

/// Returns the page of the program.
pub(super) fn main_page() -> Result<String, Failure> {
    page(&definition()).map(|(_, text)| text)
}

/// Returns each page with its path, for example `man1/collective-insights-outbox-list.1`.
pub(super) fn pages() -> Result<Vec<File>, Failure> {
    let mut pages = Vec::new();
    collect(&definition(), &mut pages)?;
    pages.extend(
        TOPICS.iter().map(|topic| {
            (format!("man7/{NAME}-{}.7", topic.name), topic_page::page(topic).render())
        }),
    );
    Ok(pages)
}

fn definition() -> Command {
    let mut command = cli::definition().clone().disable_help_subcommand(true);
    command.build();
    command
}

fn collect(command: &Command, pages: &mut Vec<File>) -> Result<(), Failure> {
    let (file_name, text) = page(command)?;
    pages.push((format!("man1/{file_name}"), text));
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
    man.render(&mut text).map_err(internal)?;
    let text = String::from_utf8(text).map_err(internal)?;
    // Without filling, so that commands are neither justified nor hyphenated.
    let text = text.replace(".SH EXTRA\n", ".SH EXAMPLES AND EXIT CODES\n.nf\n") + ".fi\n";
    Ok((file_name, text))
}

fn internal(error: impl Error + Send + Sync + 'static) -> Failure {
    let message = "internal error: a man page cannot be rendered";
    Failure::new(FailureKind::Unexpected, message, REPORT_BUG).with_cause(error)
}
