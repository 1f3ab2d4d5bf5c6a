//! What is made from the command line's definition, tried with the tools it is made for. A tool that is not
//! installed is named and skipped.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use collective_insights::cli::TOPICS;
use sandbox::World;
use tempfile::TempDir;

use crate::help::every_command;
use crate::support::alerts::{carbonblack, sha256};
use crate::support::{Ran, Stage, bare_command};

/// Runs `generate` in an empty folder and an empty environment: it needs nothing else.
pub fn generate(arguments: &str) -> Ran {
    generate_in(TempDir::new().unwrap().path(), arguments)
}

pub fn generate_in(folder: &Path, arguments: &str) -> Ran {
    let mut command = bare_command(folder);
    command.arg("generate").args(arguments.split_whitespace());
    Ran::of(&mut command)
}

/// A tool, if it is installed.
pub fn tool(name: &str) -> Option<Command> {
    let found = Command::new("sh")
        .args(["-c", &format!("command -v {name}")])
        .output()
        .is_ok_and(|output| output.status.success());
    if !found {
        eprintln!("skipped: {name} is not installed");
    }
    found.then(|| {
        let mut command = Command::new(name);
        // A shell that cannot ask for its size draws as for this.
        command.stdin(Stdio::null()).env("MANWIDTH", "80");
        command
    })
}

/// Runs a tool to its end, which must be a good one, with nothing on stderr.
#[track_caller]
pub fn runs_clean(command: &mut Command) -> String {
    let ran = Ran::of(command).ended(0);
    assert_eq!(ran.stderr, "", "{command:?}");
    ran.stdout
}

#[test]
fn bash_completes() {
    let Some(mut bash) = tool("bash") else { return };
    let folder = TempDir::new().unwrap();
    let script = folder.path().join("completions");
    std::fs::write(&script, generate("completions bash").ended(0).stdout).unwrap();
    runs_clean(tool("bash").unwrap().arg("-n").arg(&script));
    bash.args(["--norc", "-c"])
        .arg(
            r#"source "$1" || exit 9
            tab() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
                    "$(complete -p collective-insights | sed 's/.*-F \([^ ]*\).*/\1/')" \
                        collective-insights "${@: -1}" "${@: -2:1}"
                    echo "${COMPREPLY[*]}"; }
            tab collective-insights car
            tab collective-insights crowdstrike --min-s
            tab collective-insights generate completions f"#,
        )
        .arg("bash")
        .arg(&script);
    assert_eq!(runs_clean(&mut bash), "carbonblack\n--min-severity\nfish\n");
}

#[test]
fn zsh_completes() {
    let Some(mut zsh) = tool("zsh") else { return };
    let folder = TempDir::new().unwrap();
    let script = folder.path().join("_collective-insights");
    std::fs::write(&script, generate("completions zsh").ended(0).stdout).unwrap();
    runs_clean(zsh.args(["-f", "-n"]).arg(&script));
    // Found by its first line, loaded, and asked in a shell of its own as a person would; it is waited for only so
    // long.
    let mut asked = Command::new("timeout");
    asked
        .args(["60", "zsh", "-f", "-c"])
        .arg(
            r#"zmodload zsh/zpty
            zpty shell "TERM=dumb zsh -f -i"
            zpty -w shell "fpath=($1 \$fpath); autoload -U compinit; compinit -D -u; bindkey '^I' complete-word; PS1='at your'' service '"
            zpty -r shell said '*at your service *'
            zpty -w -n shell $'collective-insights car\t'
            zpty -r shell said '*carbonblack*'
            print -r -- "$said"
            zpty -w -n shell $'\x15collective-insights crowdstrike --min-s\t'
            zpty -r shell said '*--min-severity*'
            print -r -- "$said""#,
        )
        .arg("zsh")
        .arg(folder.path());
    let said = Ran::of(&mut asked).ended(0).stdout;
    assert!(said.contains("collective-insights carbonblack"), "{said:?}");
    assert!(said.contains("--min-severity"), "{said:?}");
}

#[test]
fn fish_completes() {
    let Some(mut fish) = tool("fish") else { return };
    let folder = TempDir::new().unwrap();
    let script = folder.path().join("completions.fish");
    std::fs::write(&script, generate("completions fish").ended(0).stdout).unwrap();
    fish.env("HOME", folder.path())
        .args(["--no-config", "-c"])
        .arg("source $argv[1]; complete -C 'collective-insights car'; complete -C 'collective-insights crowdstrike --min-s'")
        .arg(&script);
    let said = runs_clean(&mut fish);
    assert!(said.contains("carbonblack\t"), "{said}");
    assert!(said.contains("--min-severity\t"), "{said}");
}

#[test]
fn other_shells_are_served_and_unknown_ones_named() {
    for shell in ["elvish", "powershell", "ZSH"] {
        let script = generate(&format!("completions {shell}")).ended(0).stdout;
        assert!(script.contains("collective-insights"), "{shell}");
    }
    let refused = generate("completions tcsh").ended(2);
    assert!(refused.stderr.contains("tcsh"), "{}", refused.stderr);
    assert!(refused.stderr.contains("fish"), "{}", refused.stderr);
}

#[test]
fn there_is_a_man_page_for_each_command_and_topic() {
    let folder = TempDir::new().unwrap();
    let said = generate_in(folder.path(), "man --dir deep/man").ended(0);
    let names = man_pages(&folder.path().join("deep/man"));
    let commands = every_command().into_iter().map(|words| {
        let words = format!("collective-insights {words}");
        format!("man1/{}.1", words.trim().replace(' ', "-"))
    });
    let topics = TOPICS.map(|topic| format!("man7/collective-insights-{}.7", topic.name));
    let mut expected: Vec<String> = commands.chain(topics).collect();
    expected.sort();
    assert_eq!(names, expected);
    assert_eq!(said.stdout.lines().count(), names.len());
    let main_page = folder.path().join("deep/man/man1/collective-insights.1");
    let main = std::fs::read_to_string(&main_page).unwrap();
    assert_eq!(generate("man").ended(0).stdout, main);
    for name in &names {
        std::fs::write(folder.path().join("deep/man").join(name), "an older one").unwrap();
    }
    generate_in(folder.path(), "man --dir deep/man").ended(0);
    assert_eq!(std::fs::read_to_string(&main_page).unwrap(), main);
}

/// The pages below a folder, as `man1/name.1`, sorted.
fn man_pages(folder: &Path) -> Vec<String> {
    let names = |folder: &Path| {
        let entries = std::fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>()
    };
    let mut pages: Vec<String> = names(folder)
        .into_iter()
        .flat_map(|section| {
            let pages = names(&folder.join(&section)).into_iter();
            pages.map(|name| format!("{section}/{name}")).collect::<Vec<_>>()
        })
        .collect();
    pages.sort();
    pages
}

#[test]
fn man_pages_render_without_warnings() {
    let folder = TempDir::new().unwrap();
    generate_in(folder.path(), "man --dir .").ended(0);
    for name in man_pages(folder.path()) {
        let page = folder.path().join(&name);
        if let Some(mut man) = tool("man") {
            let text = runs_clean(man.args(["--warnings=all", "-l"]).arg(&page));
            assert!(text.contains("EXIT CODES") || name.starts_with("man7"), "{text}");
            let title = page.file_stem().unwrap().to_str().unwrap();
            let words: Vec<&str> = text.split_whitespace().collect();
            assert!(words.windows(2).any(|two| two == [title, "-"]), "{text}");
        }
        if let Some(mut mandoc) = tool("mandoc") {
            runs_clean(mandoc.args(["-T", "lint", "-W", "error"]).arg(&page));
        }
    }
}

#[test]
fn units_changed_by_hand_are_not_replaced() {
    let folder = TempDir::new().unwrap();
    let unit = folder.path().join("collective-insights-carbonblack.timer");
    std::fs::write(&unit, "mine").unwrap();
    let refused = generate_in(folder.path(), "systemd --dir .").ended(2);
    assert!(refused.stderr.contains("collective-insights-carbonblack.timer"), "{}", refused.stderr);
    assert_eq!(std::fs::read(&unit).unwrap(), b"mine");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    std::fs::remove_file(&unit).unwrap();
    generate_in(folder.path(), "systemd --dir .").ended(0);
    generate_in(folder.path(), "systemd --dir .").ended(0);
}

#[test]
fn a_folder_that_cannot_be_written_is_a_clear_error() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    for what in ["man", "systemd"] {
        let refused = generate_in(folder.path(), &format!("{what} --dir file/below")).ended(2);
        assert!(
            refused.stderr.starts_with("error: file/below cannot be written"),
            "{}",
            refused.stderr
        );
    }
}

#[test]
fn the_exclusion_file_is_one_that_a_run_reads() {
    let stage = Stage::new(World::default().carbon_black_alerts(&[carbonblack("a1", &sha256(1))]));
    let mut file = std::fs::File::create(stage.path("known-good.txt")).unwrap();
    let text = generate("exclusions").ended(0).stdout;
    assert!(text.starts_with('#'));
    write!(file, "{text}\n{}\n", sha256(1)).unwrap();
    let ran = stage.run("carbonblack --dry-run --json --exclusion-file known-good.txt");
    let ran = ran.ended(0);
    assert_eq!(ran.adds_up().count("indicators_excluded"), 1);
}

#[test]
fn nothing_is_left_behind() {
    let folder = TempDir::new().unwrap();
    for what in ["completions bash", "man", "cron", "systemd", "exclusions"] {
        let ran = generate_in(folder.path(), what).ended(0);
        assert!(!ran.stdout.is_empty() && ran.stderr.is_empty(), "{what}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
