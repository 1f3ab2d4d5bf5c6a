//! Tests what `generate` prints and writes, with the tools that use it. A test whose tool is not
//! installed prints that it is skipped.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use collective_insights::cli::TOPICS;
use sandbox::World;
use tempfile::TempDir;

use crate::support::alerts::{carbonblack, sha256};
use crate::support::commands::every_command;
use crate::support::generate::{generate, generate_in};
use crate::support::tool::{run_tool, tool};
use crate::support::{RunOutput, TestEnv};

#[test]
fn the_bash_completions_work() {
    let Some(mut bash) = tool("bash") else { return };
    let folder = TempDir::new().unwrap();
    let script = folder.path().join("completions");
    std::fs::write(&script, generate("completions bash").assert_code(0).stdout).unwrap();
    run_tool(tool("bash").unwrap().arg("-n").arg(&script));
    // `tab` completes the last of its arguments and prints the suggestions.
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
    assert_eq!(run_tool(&mut bash), "carbonblack\n--min-severity\nfish\n");
}

#[test]
fn the_zsh_completions_work() {
    let Some(mut zsh) = tool("zsh") else { return };
    let folder = TempDir::new().unwrap();
    let script = folder.path().join("_collective-insights");
    std::fs::write(&script, generate("completions zsh").assert_code(0).stdout).unwrap();
    run_tool(zsh.args(["-f", "-n"]).arg(&script));
    // zsh finds the file by its name with `_` and its first line, and loads it. Completions are
    // tested in an interactive shell, with a timeout. `\t` is the tab key, and `\x15` is Ctrl-U,
    // which clears the line.
    let mut interactive = Command::new("timeout");
    interactive
        .args(["60", "zsh", "-f", "-c"])
        .arg(
            r#"zmodload zsh/zpty
            zpty shell "TERM=dumb zsh -f -i"
            zpty -w shell "fpath=($1 \$fpath); autoload -U compinit; compinit -D -u; bindkey '^I' complete-word; PS1='prompt'' ready '"
            zpty -r shell shown '*prompt ready *'
            zpty -w -n shell $'collective-insights car\t'
            zpty -r shell shown '*carbonblack*'
            print -r -- "$shown"
            zpty -w -n shell $'\x15collective-insights crowdstrike --min-s\t'
            zpty -r shell shown '*--min-severity*'
            print -r -- "$shown""#,
        )
        .arg("zsh")
        .arg(folder.path());
    let shown = RunOutput::capture(&mut interactive).assert_code(0).stdout;
    assert!(shown.contains("collective-insights carbonblack"), "{shown:?}");
    assert!(shown.contains("--min-severity"), "{shown:?}");
}

#[test]
fn the_fish_completions_work() {
    let Some(mut fish) = tool("fish") else { return };
    let folder = TempDir::new().unwrap();
    let script = folder.path().join("completions.fish");
    std::fs::write(&script, generate("completions fish").assert_code(0).stdout).unwrap();
    fish.env("HOME", folder.path())
        .args(["--no-config", "-c"])
        .arg("source $argv[1]; complete -C 'collective-insights car'; complete -C 'collective-insights crowdstrike --min-s'")
        .arg(&script);
    let shown = run_tool(&mut fish);
    assert!(shown.contains("carbonblack\t"), "{shown}");
    assert!(shown.contains("--min-severity\t"), "{shown}");
}

#[test]
fn other_shells_are_supported_and_unknown_ones_rejected() {
    for shell in ["elvish", "powershell", "ZSH"] {
        let script = generate(&format!("completions {shell}")).assert_code(0).stdout;
        assert!(script.contains("collective-insights"), "{shell}");
    }
    let output = generate("completions tcsh").assert_code(2);
    assert!(output.stderr.contains("tcsh"), "{}", output.stderr);
    assert!(output.stderr.contains("fish"), "{}", output.stderr);
}

#[test]
fn there_is_a_man_page_for_each_command_and_topic() {
    let folder = TempDir::new().unwrap();
    let printed = generate_in(folder.path(), "man --dir deep/man").assert_code(0);
    let names = man_pages(&folder.path().join("deep/man"));
    let commands = every_command().into_iter().map(|words| {
        let words = format!("collective-insights {words}");
        format!("man1/{}.1", words.trim().replace(' ', "-"))
    });
    let topics = TOPICS.map(|topic| format!("man7/collective-insights-{}.7", topic.name));
    let mut expected: Vec<String> = commands.chain(topics).collect();
    expected.sort();
    assert_eq!(names, expected);
    assert_eq!(printed.stdout.lines().count(), names.len());
    let main_page = folder.path().join("deep/man/man1/collective-insights.1");
    let main = std::fs::read_to_string(&main_page).unwrap();
    assert_eq!(generate("man").assert_code(0).stdout, main);
    for name in &names {
        std::fs::write(folder.path().join("deep/man").join(name), "an older page").unwrap();
    }
    generate_in(folder.path(), "man --dir deep/man").assert_code(0);
    assert_eq!(std::fs::read_to_string(&main_page).unwrap(), main);
}

/// Returns the pages below a folder, as `man1/name.1`, sorted.
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
    generate_in(folder.path(), "man --dir .").assert_code(0);
    for name in man_pages(folder.path()) {
        let page = folder.path().join(&name);
        if let Some(mut man) = tool("man") {
            let text = run_tool(man.args(["--warnings=all", "-l"]).arg(&page));
            assert!(text.contains("EXIT CODES") || name.starts_with("man7"), "{text}");
            let title = page.file_stem().unwrap().to_str().unwrap();
            let words: Vec<&str> = text.split_whitespace().collect();
            assert!(words.windows(2).any(|two| two == [title, "-"]), "{text}");
        }
        if let Some(mut mandoc) = tool("mandoc") {
            run_tool(mandoc.args(["-T", "lint", "-W", "error"]).arg(&page));
        }
    }
}

#[test]
fn edited_units_are_not_overwritten() {
    let folder = TempDir::new().unwrap();
    let unit = folder.path().join("collective-insights-carbonblack.timer");
    std::fs::write(&unit, "edited").unwrap();
    let output = generate_in(folder.path(), "systemd --dir .").assert_code(2);
    assert!(output.stderr.contains("collective-insights-carbonblack.timer"), "{}", output.stderr);
    assert_eq!(std::fs::read(&unit).unwrap(), b"edited");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    std::fs::remove_file(&unit).unwrap();
    generate_in(folder.path(), "systemd --dir .").assert_code(0);
    generate_in(folder.path(), "systemd --dir .").assert_code(0);
}

#[test]
fn a_folder_that_cannot_be_written_is_an_error() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    for subcommand in ["man", "systemd"] {
        let output =
            generate_in(folder.path(), &format!("{subcommand} --dir file/below")).assert_code(2);
        assert!(
            output.stderr.starts_with("error: file/below cannot be written"),
            "{}",
            output.stderr
        );
    }
}

#[test]
fn a_run_accepts_the_generated_exclusion_file() {
    let env = TestEnv::new(World::default().carbon_black_alerts(&[carbonblack("a1", &sha256(1))]));
    let mut file = std::fs::File::create(env.path("known-good.txt")).unwrap();
    let text = generate("exclusions").assert_code(0).stdout;
    assert!(text.starts_with('#'));
    write!(file, "{text}\n{}\n", sha256(1)).unwrap();
    let output = env.run("carbonblack --dry-run --json --exclusion-file known-good.txt");
    let output = output.assert_code(0);
    assert_eq!(output.assert_counts_add_up().count("indicators_excluded"), 1);
}

#[test]
fn no_files_are_left_behind() {
    let folder = TempDir::new().unwrap();
    for arguments in ["completions bash", "man", "cron", "systemd", "kubernetes", "exclusions"] {
        let output = generate_in(folder.path(), arguments).assert_code(0);
        assert!(!output.stdout.is_empty() && output.stderr.is_empty(), "{arguments}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
