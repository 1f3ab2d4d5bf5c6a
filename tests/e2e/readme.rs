//! The README says what is so: its tables are held against the program itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use collective_insights::failure::FailureKind;
use sandbox::{Service, World};
use serde_json::Value;

use crate::support::alerts::{carbonblack, falcon, sha256};
use crate::support::{Ran, Stage, bare_command};

const README: &str = include_str!("../../README.md");
const CI: &str = include_str!("../../.ci/run");

/// The rows of the first table under a heading, its head left out, each cell trimmed.
#[track_caller]
fn table(heading: &str) -> Vec<Vec<&'static str>> {
    let rows: Vec<_> = README
        .lines()
        .skip_while(|line| line.trim_start_matches('#').trim() != heading)
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'))
        .skip(2)
        .map(|line| {
            let cells = line.trim_matches('|').split(" |");
            cells.map(str::trim).collect()
        })
        .collect();
    assert!(!rows.is_empty(), "the README has no table under {heading}");
    rows
}

/// What stands in backticks in a cell.
fn quoted(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// What the help says of one option.
#[derive(Debug, Default, PartialEq, Eq)]
struct About {
    variable: Option<String>,
    default: Option<String>,
}

/// The options of a command by their names (`-k, --rf-api-key`), read from its real help.
fn help(command: &str) -> BTreeMap<String, About> {
    let folder = tempfile::tempdir().unwrap();
    let mut run = bare_command(folder.path());
    let text = Ran::of(run.args(command.split(' ')).arg("--help")).ended(0).stdout;
    let mut options: Vec<(String, String)> = Vec::new();
    for line in text.lines() {
        let words = line.trim();
        // Long help stands further in than the options' names.
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
    let noted = |about: &str, what: &str| {
        let (_, rest) = about.split_once(&format!("[{what}: "))?;
        Some(rest.split_once(']')?.0.to_owned())
    };
    options
        .into_iter()
        .filter(|(names, _)| names != "-h, --help")
        .map(|(names, about)| {
            let option =
                About { variable: noted(&about, "env"), default: noted(&about, "default") };
            (names, option)
        })
        .collect()
}

/// The same from a table of the README.
fn documented(heading: &str) -> BTreeMap<String, About> {
    let said = |cell: &str| {
        let plain = cell.replace('`', "");
        (!plain.is_empty()).then_some(plain)
    };
    table(heading)
        .into_iter()
        .map(|row| {
            let option = About { variable: said(row[1]), default: said(row[2]) };
            (quoted(row[0]).join(", "), option)
        })
        .collect()
}

#[test]
fn the_option_tables_are_the_real_help() {
    for source in ["crowdstrike", "carbonblack"] {
        let mut tables = documented("Options of both sources");
        tables.extend(documented(&format!("Options of {source}")));
        assert_eq!(tables, help(source), "{source}");
    }
}

#[test]
fn the_commands_have_the_options_that_the_table_gives_them() {
    for row in table("Looking after it") {
        let command = quoted(row[0]).remove(0);
        let real: BTreeSet<String> = help(&command).into_keys().collect();
        let said: BTreeSet<String> = quoted(row[1]).into_iter().collect();
        assert_eq!(said, real, "{command}");
    }
}

#[test]
fn the_exit_codes_are_those_of_the_failures() {
    let real: BTreeSet<(String, String)> = FailureKind::ALL
        .into_iter()
        .map(|kind| (kind.exit_code().to_string(), kind.name().to_owned()))
        .chain([("0".to_owned(), String::new())])
        .collect();
    let said: BTreeSet<(String, String)> =
        table("Exit codes").into_iter().map(|row| (row[0].to_owned(), row[1].to_owned())).collect();
    assert_eq!(said, real);
}

/// The paths of all values in a JSON value, `[]` for each element of a list.
fn paths(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                paths(value, &path, found);
            }
        }
        Value::Array(elements) => {
            for element in elements {
                paths(element, &format!("{path}[]"), found);
            }
        }
        _ => {
            found.insert(path.to_owned());
        }
    }
}

#[test]
fn the_table_of_what_is_sent_is_exactly_what_is_sent() {
    let stage = Stage::new(
        World::default()
            .falcon_alerts(&[falcon("cid:ind:1", "hash_sha256", &sha256(1))])
            .carbon_black_alerts(&[carbonblack("a1", &sha256(2))]),
    );
    for source in ["crowdstrike", "carbonblack"] {
        let options = "--organization-id uhash:made";
        stage.run(&format!("{source} {options}")).ended(0);
    }
    let mut sent = BTreeSet::new();
    for request in stage.sandbox.requests_to(Service::RecordedFuture) {
        paths(&request.json().unwrap(), "", &mut sent);
    }
    let said: BTreeSet<String> =
        table("What leaves the building").into_iter().flat_map(|row| quoted(row[0])).collect();
    assert_eq!(said, sent);
}

#[test]
fn the_table_of_numbers_names_all_of_them() {
    let ran = Stage::new(World::default()).run("crowdstrike --json");
    let document = ran.ended(0).json();
    let real: BTreeSet<String> = document["counts"].as_object().unwrap().keys().cloned().collect();
    let said: BTreeSet<String> =
        table("What the numbers mean").into_iter().flat_map(|row| quoted(row[0])).collect();
    assert_eq!(said, real);
}

#[test]
fn the_scripts_flags_are_taken() {
    for row in table("Coming from the Python scripts") {
        let source = row[0].to_lowercase().replace(' ', "");
        let old = quoted(row[1]).remove(0);
        let with_value = [source.as_str(), &old, "DEBUG"];
        let arguments: &[&str] = if old == "--debug" { &with_value[..2] } else { &with_value };
        let program = ["collective-insights"].iter();
        let parsed = collective_insights::cli::parse(program.chain(arguments).map(Into::into));
        assert!(parsed.is_ok(), "{source} {old}");
        assert!(help(&source).contains_key(&quoted(row[2]).join(", ")), "{source} {old}");
    }
}

#[test]
fn the_messages_of_the_troubleshooting_table_are_the_programs() {
    fn read(folder: &Path, all: &mut String) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                read(&path, all);
            } else {
                all.push_str(&fs::read_to_string(path).unwrap());
            }
        }
    }
    let mut source = String::new();
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut source);
    for row in table("Troubleshooting") {
        let message = quoted(row[0]).remove(0);
        assert!(source.contains(&message), "no such message: {message:?}");
    }
}

#[test]
fn the_checks_run_the_readmes_commands() {
    let commands = README.split("```sh\n").nth(1).unwrap();
    let commands = commands.split("```").next().unwrap();
    let mut seen = 0;
    for line in commands.lines() {
        let command = line.split('#').next().unwrap().trim();
        let in_ci = |line: &str| line.replace(" --locked", "").starts_with(command);
        assert!(CI.lines().any(in_ci), "{command}");
        seen += 1;
    }
    assert_eq!(seen, 2);
}
