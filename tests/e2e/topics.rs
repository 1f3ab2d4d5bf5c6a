//! Tests that the help topics are printed unchanged and match the program.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use collective_insights::cli::{TOPICS, Topic};
use collective_insights::failure::FailureKind;
use sandbox::World;
use tempfile::TempDir;

use crate::support::commands::{every_command, sources};
use crate::support::markdown::{code, in_backticks, table, terms, topic};
use crate::support::{RunOutput, TestEnv, bare_command};

/// The notes in brackets in the help of an option. A variable whose name is generated from that of
/// the option (`COLLECTIVE_INSIGHTS_...`) is left out.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct OptionNotes {
    variable: Option<String>,
    default: Option<String>,
}

impl OptionNotes {
    /// Reads `[env: ...]` and `[default: ...]`.
    fn read(text: &str) -> Self {
        let note = |name: &str| {
            let (_, rest) = text.split_once(&format!("[{name}: "))?;
            Some(rest.split_once(']')?.0.to_owned())
        };
        let variable = note("env").filter(|name| !name.starts_with("COLLECTIVE_INSIGHTS_"));
        Self { variable, default: note("default") }
    }
}

/// Returns the options of a command by their names (`-k, --rf-api-key`), read from its help.
pub fn help(command: &str) -> BTreeMap<String, OptionNotes> {
    let folder = TempDir::new().unwrap();
    let mut run = bare_command(folder.path());
    let text = RunOutput::capture(run.args(command.split(' ')).arg("--help")).assert_code(0).stdout;
    let mut options: Vec<(String, String)> = Vec::new();
    for line in text.lines() {
        let words = line.trim();
        // Long help is indented more than the options' names.
        let indent = line.len() - line.trim_start().len();
        if (1..10).contains(&indent) && words.starts_with('-') {
            let names: Vec<&str> =
                words.split_whitespace().take_while(|word| word.starts_with('-')).collect();
            options.push((names.join(" "), words.to_owned()));
        } else if let Some((_, about)) = options.last_mut() {
            about.push(' ');
            about.push_str(words);
        }
    }
    options
        .into_iter()
        .filter(|(names, _)| names != "-h, --help")
        .map(|(names, about)| (names, OptionNotes::read(&about)))
        .collect()
}

/// Returns the options in a list of the topic `options`.
fn documented(heading: &str) -> BTreeMap<String, OptionNotes> {
    let option = |term: &'static str| {
        let (names, notes) = term.split_once(" [").unwrap_or((term, ""));
        (in_backticks(names).join(", "), OptionNotes::read(&format!("[{}", notes.replace('`', ""))))
    };
    terms(topic("options"), heading).into_iter().map(option).collect()
}

#[test]
fn the_options_are_those_of_the_real_help() {
    for source in sources() {
        let mut options = documented("Options of all sources");
        options.extend(documented(&format!("Options of {source}")));
        assert_eq!(options, help(&source), "{source}");
    }
}

#[test]
fn the_commands_have_the_options_that_the_list_gives_them() {
    for term in terms(topic("operations"), "Commands") {
        let mut said = in_backticks(term);
        let command = said.remove(0);
        let mut real: BTreeSet<String> = help(&command).into_keys().collect();
        // The text above the list says which commands have these options.
        for common in ["--ledger", "--config", "--color"] {
            assert!(real.remove(common), "{command} {common}");
        }
        let has_filters = ["--tenant", "--source"].map(|option| real.remove(option));
        let filters_expected = !["outbox repair", "checkpoint reset"].contains(&command.as_str());
        assert_eq!(has_filters, [filters_expected; 2], "{command}");
        assert_eq!(said.into_iter().collect::<BTreeSet<_>>(), real, "{command}");
    }
}

#[test]
fn the_exit_codes_are_those_of_the_failures() {
    let real: BTreeSet<(String, String)> = FailureKind::ALL
        .into_iter()
        .map(|kind| (kind.exit_code().to_string(), kind.name().to_owned()))
        .chain([("0".to_owned(), String::new())])
        .collect();
    let rows = table(topic("operations"), "Exit codes");
    let said: BTreeSet<(String, String)> =
        rows.into_iter().map(|row| (row[0].to_owned(), row[1].to_owned())).collect();
    assert_eq!(said, real);
    let (_, names) = topic("json").split_once("The name of the exit code: ").unwrap();
    let (names, _) = names.split_once("\n- ").unwrap();
    let names: BTreeSet<String> = in_backticks(names).into_iter().collect();
    assert_eq!(names, FailureKind::ALL.map(|kind| kind.name().to_owned()).into());
}

#[test]
fn the_table_of_numbers_names_every_count_of_a_run() {
    let output = TestEnv::new(World::default()).run("crowdstrike --json");
    let document = output.assert_code(0).json();
    let real: BTreeSet<String> = document["counts"].as_object().unwrap().keys().cloned().collect();
    let rows = table(topic("numbers"), "Numbers");
    let said: BTreeSet<String> = rows.into_iter().flat_map(|row| in_backticks(row[0])).collect();
    assert_eq!(said, real);
}

#[test]
fn the_messages_in_the_topic_troubleshooting_are_those_of_the_program() {
    fn read(folder: &Path, all: &mut String) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                read(&path, all);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                all.push_str(&fs::read_to_string(path).unwrap());
            }
        }
    }
    let mut source = String::new();
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut source);
    for term in terms(topic("troubleshooting"), "Messages") {
        let message = in_backticks(term).remove(0);
        assert!(source.contains(&message), "no such message: {message:?}");
    }
}

#[test]
fn every_topic_is_printed_as_it_is() {
    let folder = TempDir::new().unwrap();
    for Topic { name, text } in TOPICS {
        let output =
            RunOutput::capture(bare_command(folder.path()).args(["help", name])).assert_code(0);
        assert_eq!((output.stdout.as_str(), output.stderr.as_str()), (text, ""), "{name}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn help_with_a_command_prints_the_same_as_the_flag_help() {
    let folder = TempDir::new().unwrap();
    let print = |arguments: &str| {
        let mut command = bare_command(folder.path());
        RunOutput::capture(command.args(arguments.split_whitespace())).assert_code(0).stdout
    };
    for command in every_command() {
        let help = print(&format!("help {command}"));
        assert_eq!(help, print(&format!("{command} --help")), "{command}");
        for topic in TOPICS {
            let is_listed = help.contains(topic.summary());
            assert_eq!(is_listed, command.is_empty(), "{command}: {}", topic.name);
        }
    }
}

#[test]
fn help_on_something_unknown_is_an_error() {
    let folder = TempDir::new().unwrap();
    for (words, said) in
        [("optoins", "'options'"), ("json options", "subcommand"), ("status list", "argument")]
    {
        let mut command = bare_command(folder.path());
        let output = RunOutput::capture(command.arg("help").args(words.split(' '))).assert_code(2);
        assert_eq!(output.stdout, "", "{words}");
        assert!(output.stderr.contains(said), "{words}: {}", output.stderr);
    }
}

#[test]
fn the_flags_of_the_python_scripts_are_accepted() {
    for row in table(topic("options"), "Flags of the Python scripts") {
        let source = row[0].to_lowercase().replace(' ', "");
        let flag = in_backticks(row[1]).remove(0);
        let value = if flag == "--debug" { "" } else { "DEBUG" };
        for command in ["", "check"] {
            let line = format!("collective-insights {command} {source} {flag} {value}");
            let parsed = collective_insights::cli::parse(line.split_whitespace().map(Into::into));
            assert!(parsed.is_ok(), "{line}");
        }
        assert!(help(&source).contains_key(&in_backticks(row[2]).join(", ")), "{source} {flag}");
    }
}

#[test]
fn no_topic_has_the_name_of_a_command() {
    for command in every_command() {
        assert!(TOPICS.into_iter().all(|topic| topic.name != command), "{command}");
    }
}

#[test]
fn commands_in_the_texts_are_understood() {
    let mut commands = 0;
    let texts = TOPICS.map(|topic| topic.text).into_iter().chain([include_str!("../../README.md")]);
    for text in texts {
        let blocks = code(text, "sh").into_iter().flat_map(str::lines).map(str::to_owned);
        for command in blocks.chain(in_backticks(text)) {
            // A placeholder such as <command> is not a value.
            if !command.starts_with("collective-insights ") || command.contains('<') {
                continue;
            }
            let words = command.split_whitespace().take_while(|word| !matches!(*word, ">" | "|"));
            match collective_insights::cli::parse(words.map(Into::into)) {
                Ok(_) => commands += 1,
                Err(error) => assert_eq!(error.exit_code(), 0, "{command}: {error}"),
            }
        }
    }
    assert!(commands > 15, "{commands}");
}

#[test]
fn the_help_and_the_topic_explain_each_exit_code_alike() {
    let folder = TempDir::new().unwrap();
    let print = |arguments: &[&str]| {
        RunOutput::capture(bare_command(folder.path()).args(arguments)).assert_code(0).stdout
    };
    let help = print(&["crowdstrike", "--help"]);
    let (_, codes) = help.split_once("Exit codes:\n").unwrap();
    let in_help: Vec<(&str, &str)> = codes
        .lines()
        .map_while(|line| line.trim().split_once(' '))
        .map(|(code, text)| (code, text.trim()))
        .collect();
    let topic = print(&["help", "operations"]);
    let (_, table) = topic.split_once("|------|").unwrap();
    let rows = table.lines().skip(1).map_while(|line| line.strip_prefix('|'));
    let in_topic: Vec<(&str, &str)> = rows
        .map(|row| {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            (cells[0], cells[2])
        })
        .collect();
    assert!(in_topic.len() > 8, "{topic}");
    assert_eq!(in_help, in_topic);
}

#[test]
fn the_scheduled_task_of_windows_runs_a_command_that_is_understood() {
    let [block] = code(topic("operations"), "bat")[..] else {
        panic!("there must be one block of it")
    };
    // The circumflex continues a line in cmd.exe.
    let line = block.replace("^\n   ", "");
    assert!(line.starts_with("schtasks /Create "), "{line}");
    assert!(line.contains(" /ST 00:15 ") && line.contains(" /RP * "), "{line}");
    let (_, command) = line.trim_end().split_once(" /TR ").unwrap();
    // The limit of schtasks.
    assert!(command.len() < 261, "{command}");
    // Double quotes for the shell, and in them single quotes for schtasks.
    let command = command.strip_prefix("\"'").and_then(|text| text.strip_suffix('"')).unwrap();
    let (program, arguments) = command.split_once("' ").unwrap();
    assert!(program.ends_with("\\collective-insights.exe"), "{program}");
    let words = ["collective-insights"].into_iter().chain(arguments.split_whitespace());
    assert!(collective_insights::cli::parse(words.map(Into::into)).is_ok(), "{arguments}");
}
