//! The help: short on one screen, long with examples that are understood.

use clap::Command as Definition;
use tempfile::TempDir;

use crate::support::{Ran, bare_command};

/// Each command with the words that lead to it.
fn commands(definition: &Definition, before: &str, all: &mut Vec<String>) {
    for command in definition.get_subcommands() {
        let words = format!("{before} {}", command.get_name());
        all.push(words.trim().to_owned());
        commands(command, &words, all);
    }
}

pub fn every_command() -> Vec<String> {
    let mut all = vec![String::new()];
    commands(&collective_insights::cli::definition(), "", &mut all);
    assert!(all.len() > 12, "{all:?}");
    all
}

/// Every command that runs a source.
pub fn sources() -> Vec<String> {
    let definition = collective_insights::cli::definition();
    let runs = |command: &&Definition| {
        command.get_arguments().any(|option| option.get_long() == Some("rf-api-key"))
    };
    definition.get_subcommands().filter(runs).map(|command| command.get_name().to_owned()).collect()
}

fn help(words: &str, flag: &str) -> String {
    let folder = TempDir::new().unwrap();
    let mut command = bare_command(folder.path());
    command.args(words.split_whitespace()).arg(flag).env("COLUMNS", "80");
    Ran::of(&mut command).ended(0).stdout
}

#[test]
fn short_help_is_one_screen() {
    for words in every_command() {
        let help = help(&words, "-h");
        let lines = help.lines().count();
        assert!(lines <= 50, "{words}: {lines} lines\n{help}");
        for line in help.lines() {
            assert!(line.chars().count() <= 80, "{words}: {line}");
        }
    }
}

#[test]
fn the_sources_have_their_options_under_headings_a_line_each() {
    for source in ["crowdstrike", "carbonblack"] {
        let help = help(source, "-h");
        let headings: Vec<&str> =
            help.lines().filter(|line| line.ends_with(':') && !line.starts_with(' ')).collect();
        assert_eq!(headings, ["Source:", "Selection:", "Delivery:", "Log and output:"]);
        for line in help.lines().filter(|line| line.starts_with(' ')) {
            assert!(
                line.trim_start().starts_with('-') && line.trim().contains("  "),
                "an option and its help do not fit on one line: {line:?}"
            );
        }
    }
}

#[test]
fn long_help_ends_with_examples_and_exit_codes() {
    for words in every_command() {
        let help = help(&words, "--help");
        assert!(help.contains("\nExit codes:\n"), "{words}");
        assert!(help.trim_end().ends_with("interrupted by SIGTERM"), "{words}");
    }
    for words in ["", "crowdstrike", "carbonblack", "history", "outbox", "generate"] {
        assert!(help(words, "--help").contains("\nExamples:\n"), "{words}");
    }
    assert!(help("", "-h").contains("\nExit codes:\n"));
}

#[test]
fn examples_are_commands_that_are_understood() {
    for words in every_command() {
        let help = help(&words, "--help").replace("\\\n", " ");
        let examples =
            help.lines().map(str::trim).filter(|line| line.starts_with("collective-insights "));
        for example in examples {
            let words = example.split_whitespace().take_while(|word| !matches!(*word, ">" | "|"));
            let read = collective_insights::cli::parse(words.map(Into::into));
            assert!(read.is_ok(), "{example}: {}", read.unwrap_err());
        }
    }
}

#[test]
fn long_help_names_the_values_that_short_help_leaves_out() {
    for command in collective_insights::cli::definition().get_subcommands() {
        for option in command.get_arguments() {
            let Some(long) = option.get_long_help().map(ToString::to_string) else {
                continue;
            };
            for value in option.get_possible_values() {
                let name = value.get_name();
                let told = !option.is_hide_possible_values_set() || long.contains(name);
                assert!(told, "{}: {name}", option.get_id());
            }
        }
    }
}
