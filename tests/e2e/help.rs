//! Tests the help of the commands: short help (`-h`) fits on one screen, and the examples of long
//! help (`--help`) are valid.

use tempfile::TempDir;

use crate::support::commands::every_command;
use crate::support::vendor::Vendor;
use crate::support::{RunOutput, bare_command};

/// Returns the help of a command, on a terminal of 80 columns.
fn help(subcommand: &str, flag: &str) -> String {
    let folder = TempDir::new().unwrap();
    let mut command = bare_command(folder.path());
    command.args(subcommand.split_whitespace()).arg(flag).env("COLUMNS", "80");
    RunOutput::capture(&mut command).assert_code(0).stdout
}

#[test]
fn short_help_fits_on_one_screen() {
    for subcommand in every_command() {
        let help = help(&subcommand, "-h");
        let lines = help.lines().count();
        assert!(lines <= 60, "{subcommand}: {lines} lines\n{help}");
        for line in help.lines() {
            assert!(line.chars().count() <= 80, "{subcommand}: {line}");
        }
    }
}

#[test]
fn short_help_of_a_source_has_headings_and_one_line_per_option() {
    for source in Vendor::ALL.map(Vendor::command) {
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
    for subcommand in every_command() {
        let help = help(&subcommand, "--help");
        assert!(help.contains("\nExit codes:\n"), "{subcommand}");
        assert!(help.trim_end().ends_with("interrupted by SIGTERM"), "{subcommand}");
    }
    for subcommand in ["", "crowdstrike", "carbonblack", "history", "outbox", "generate"] {
        assert!(help(subcommand, "--help").contains("\nExamples:\n"), "{subcommand}");
    }
    assert!(help("", "-h").contains("\nExit codes:\n"));
}

#[test]
fn the_examples_are_valid_commands() {
    for subcommand in every_command() {
        let help = help(&subcommand, "--help").replace("\\\n", " ");
        let examples =
            help.lines().map(str::trim).filter(|line| line.starts_with("collective-insights "));
        for example in examples {
            let arguments =
                example.split_whitespace().take_while(|word| !matches!(*word, ">" | "|"));
            let parsed = collective_insights::cli::parse(arguments.map(Into::into));
            assert!(parsed.is_ok(), "{example}: {}", parsed.unwrap_err());
        }
    }
}

#[test]
fn long_help_names_the_values_that_short_help_omits() {
    for command in collective_insights::cli::definition().get_subcommands() {
        for option in command.get_arguments() {
            let Some(long) = option.get_long_help().map(ToString::to_string) else {
                continue;
            };
            for value in option.get_possible_values() {
                let name = value.get_name();
                let named = !option.is_hide_possible_values_set() || long.contains(name);
                assert!(named, "{}: {name}", option.get_id());
            }
        }
    }
}
