//! Man pages: one for the tool, one for each command.

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use super::NAME;
use super::files::File;
use crate::cli;

/// The tool's own page.
pub(super) fn main_page() -> String {
    page(&built())
}

/// Each page and the name of its file, for example `collective-insights-outbox-list.1`.
pub(super) fn pages() -> Vec<File> {
    let mut pages = Vec::new();
    collect(&built(), &mut pages);
    pages
}

fn built() -> Command {
    let mut command = cli::definition().disable_help_subcommand(true);
    command.build();
    command
}

fn collect(command: &Command, pages: &mut Vec<File>) {
    pages.push((format!("{}.1", name(command)), page(command)));
    for subcommand in command.get_subcommands() {
        collect(subcommand, pages);
    }
}

/// A page, with the texts below the options as sections of their own instead of one that is called EXTRA.
fn page(command: &Command) -> String {
    let man = Man::new(command.clone());
    let mut body = Vec::new();
    // Writing to memory cannot fail.
    let _ = man
        .render_name_section(&mut body)
        .and_then(|()| man.render_synopsis_section(&mut body))
        .and_then(|()| man.render_description_section(&mut body));
    if command.get_arguments().next().is_some() {
        let _ = man.render_options_section(&mut body);
    }
    if command.get_subcommands().next().is_some() {
        let _ = man.render_subcommands_section(&mut body);
    }
    let _ = sections(command).to_writer(&mut body);
    // Each section comes with the definitions that a page needs once.
    let definitions = Roff::new().render();
    let once: Vec<&str> = definitions.lines().collect();
    let body = String::from_utf8_lossy(&body);
    let lines = body.lines().filter(|line| !once.contains(line));
    let head = [definitions.trim_end(), &title(command)];
    let page: Vec<&str> = head.into_iter().chain(lines).collect();
    page.join("\n") + "\n"
}

/// The page's first line. The renderer's own leaves out an empty date, and what follows takes its place.
fn title(command: &Command) -> String {
    format!(
        ".TH {} 1 \"\" \"{NAME} {}\" \"\"",
        name(command).to_uppercase(),
        env!("CARGO_PKG_VERSION")
    )
}

fn name(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

/// The text below the options: a line without indentation that ends with a colon heads a section.
fn sections(command: &Command) -> Roff {
    let mut roff = Roff::new();
    let text = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
    let mut open = false;
    for line in text.lines() {
        match line.strip_suffix(':').filter(|_| !line.starts_with(' ')) {
            Some(heading) => {
                if open {
                    roff.control("fi", []);
                }
                roff.control("SH", [heading.to_uppercase().as_str()]);
                roff.control("nf", []);
                open = true;
            }
            None if line.is_empty() => {}
            None => {
                roff.text([roman(line)]);
            }
        }
    }
    if open {
        roff.control("fi", []);
    }
    roff
}
