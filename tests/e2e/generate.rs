//! What is made from the command line's definition, tried with the tools it is made for. A tool that is not
//! installed is named and skipped.

use std::ffi::OsStr;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use clap::Command as Definition;
use sandbox::{CB_API_ID, CB_ORG, CB_SECRET, CLIENT_ID, CLIENT_SECRET, RF_TOKEN, World};
use tempfile::TempDir;

use crate::support::alerts::{carbonblack, falcon, sha256};
use crate::support::{NOW, Ran, Stage, bare_command};

/// Runs `generate` in an empty folder and an empty environment: it needs nothing else.
fn generate(arguments: &str) -> Ran {
    generate_in(TempDir::new().unwrap().path(), arguments)
}

fn generate_in(folder: &Path, arguments: &str) -> Ran {
    let mut command = bare_command(folder);
    command.arg("generate").args(arguments.split_whitespace());
    Ran::of(&mut command)
}

/// A tool, if it is installed.
fn tool(name: &str) -> Option<Command> {
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
fn runs_clean(command: &mut Command) -> String {
    let ran = Ran::of(command).ended(0);
    assert_eq!(ran.stderr, "", "{command:?}");
    ran.stdout
}

/// Each command with the words that lead to it.
fn commands(definition: &Definition, before: &str, all: &mut Vec<String>) {
    for command in definition.get_subcommands() {
        let words = format!("{before} {}", command.get_name());
        all.push(words.trim().to_owned());
        commands(command, &words, all);
    }
}

fn every_command() -> Vec<String> {
    let mut all = vec![String::new()];
    commands(&collective_insights::cli::definition(), "", &mut all);
    assert!(all.len() > 12, "{all:?}");
    all
}

fn help(words: &str, flag: &str) -> String {
    let folder = TempDir::new().unwrap();
    let mut command = bare_command(folder.path());
    command
        .args(words.split_whitespace())
        .arg(flag)
        .env("COLUMNS", "80");
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
        let headings: Vec<&str> = help
            .lines()
            .filter(|line| line.ends_with(':') && !line.starts_with(' '))
            .collect();
        assert_eq!(
            headings,
            ["Source:", "Selection:", "Delivery:", "Log and output:"]
        );
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
        assert!(
            help.trim_end().ends_with("by Ctrl-C, by SIGTERM"),
            "{words}"
        );
    }
    for words in [
        "",
        "crowdstrike",
        "carbonblack",
        "history",
        "outbox",
        "generate",
    ] {
        assert!(help(words, "--help").contains("\nExamples:\n"), "{words}");
    }
    assert!(help("", "-h").contains("\nExit codes:\n"));
}

#[test]
fn examples_are_commands_that_are_understood() {
    for words in every_command() {
        let help = help(&words, "--help").replace("\\\n", " ");
        let examples = help
            .lines()
            .map(str::trim)
            .filter(|line| line.starts_with("collective-insights "));
        for example in examples {
            let words = example
                .split_whitespace()
                .take_while(|word| !matches!(*word, ">" | "|"));
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
fn there_is_a_man_page_for_each_command() {
    let folder = TempDir::new().unwrap();
    let said = generate_in(folder.path(), "man --dir deep/man1").ended(0);
    let pages = folder.path().join("deep/man1");
    let mut names: Vec<String> = std::fs::read_dir(&pages)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let mut expected: Vec<String> = every_command()
        .iter()
        .map(|words| format!("collective-insights {words}"))
        .map(|words| format!("{}.1", words.trim().replace(' ', "-")))
        .collect();
    expected.sort();
    assert_eq!(names, expected);
    assert_eq!(said.stdout.lines().count(), names.len());
    let main = std::fs::read_to_string(pages.join("collective-insights.1")).unwrap();
    assert_eq!(generate("man").ended(0).stdout, main);
    for name in &names {
        std::fs::write(pages.join(name), "an older one").unwrap();
    }
    generate_in(folder.path(), "man --dir deep/man1").ended(0);
    assert_eq!(
        std::fs::read_to_string(pages.join("collective-insights.1")).unwrap(),
        main
    );
}

#[test]
fn man_pages_render_without_warnings() {
    let folder = TempDir::new().unwrap();
    generate_in(folder.path(), "man --dir .").ended(0);
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let page = entry.unwrap().path();
        if page.extension() != Some(OsStr::new("1")) {
            continue;
        }
        if let Some(mut man) = tool("man") {
            let text = runs_clean(man.args(["--warnings=all", "-l"]).arg(&page));
            assert!(text.contains("EXIT CODES"), "{text}");
            let title = page.file_stem().unwrap().to_str().unwrap();
            let words: Vec<&str> = text.split_whitespace().collect();
            assert!(words.windows(2).any(|two| two == [title, "-"]), "{text}");
        }
        if let Some(mut mandoc) = tool("mandoc") {
            runs_clean(mandoc.args(["-T", "lint", "-W", "error"]).arg(&page));
        }
    }
}

/// The crontab's lines without its comments.
fn crontab() -> Vec<String> {
    let text = generate("cron").ended(0).stdout;
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

#[test]
fn cron_lines_come_one_after_the_other_and_hold_no_secret() {
    let lines = crontab();
    let times: Vec<&str> = lines
        .iter()
        .map(|line| line.split_once(" cd ").unwrap().0)
        .collect();
    assert_eq!(times, ["15 0 * * *", "25 0 * * *"]);
    for line in lines {
        assert!(!line.contains('%') && !line.contains("KEY"), "{line}");
    }
}

#[test]
fn cron_lines_run_as_they_are() {
    let stage = Stage::new(
        World::default()
            .falcon_alerts(&[falcon("cid:ind:1", "hash_sha256", &sha256(1))])
            .carbon_black_alerts(&[carbonblack("a1", &sha256(2))]),
    );
    let home = stage.path("home of a user");
    let folder = home.join("collective-insights");
    std::fs::create_dir_all(&folder).unwrap();
    let settings = folder.join("collective-insights.env");
    let url = stage.sandbox.url();
    let text = format!(
        "RF_API_KEY='{RF_TOKEN}'\nRF_API_URL='{url}'\nCS_CLIENT_ID='{CLIENT_ID}'\nCS_CLIENT_SECRET='{CLIENT_SECRET}'\nCS_BASE_URL='{url}'\n\
         CB_ORG_ID='{CB_ORG}'\nCB_HOSTNAME='{url}'\nCB_SECRET='{CB_SECRET}'\nCB_API_ID='{CB_API_ID}'\n"
    );
    std::fs::write(&settings, text).unwrap();
    std::fs::set_permissions(&settings, std::fs::Permissions::from_mode(0o600)).unwrap();
    for line in crontab() {
        let (_, command) = line.split_once("* * * ").unwrap();
        // What cron gives a command: these two, and nothing else.
        let ran = Ran::of(
            Command::new("sh")
                .args(["-c", command])
                .env_clear()
                .env("HOME", &home)
                .env("PATH", "/usr/bin:/bin")
                .env("COLLECTIVE_INSIGHTS_TEST_NOW", NOW),
        )
        .ended(0);
        assert_eq!((ran.stdout, ran.stderr), (String::new(), String::new()));
    }
    assert_eq!(stage.stored_values(), [sha256(1), sha256(2)]);
    assert!(folder.join("collective-insights.db").exists());
}

#[test]
fn cron_names_the_variables_that_a_run_misses() {
    let text = generate("cron").ended(0).stdout;
    let folder = TempDir::new().unwrap();
    let mut missed: Vec<String> = ["crowdstrike", "carbonblack"]
        .iter()
        .flat_map(|source| {
            let ran = Ran::of(bare_command(folder.path()).arg(source)).ended(2);
            let missing = ran.stderr.lines().next().unwrap().to_owned();
            let names = missing
                .split('(')
                .skip(1)
                .map(|rest| rest.split_once(')').unwrap().0.to_owned());
            names.collect::<Vec<_>>()
        })
        .collect();
    missed.sort();
    missed.dedup();
    let mut named: Vec<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("#        ")?.split_once("='...'"))
        .map(|(name, _)| name.to_owned())
        .collect();
    named.sort();
    assert_eq!(named, missed);
}

#[test]
fn systemd_accepts_the_units() {
    let folder = TempDir::new().unwrap();
    generate_in(folder.path(), "systemd --dir units").ended(0);
    let units: Vec<_> = std::fs::read_dir(folder.path().join("units"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(units.len(), 4);
    let Some(mut analyze) = tool("systemd-analyze") else {
        return;
    };
    let said = runs_clean(analyze.arg("verify").args(&units));
    assert_eq!(said, "");
    for service in units
        .iter()
        .filter(|unit| unit.extension() == Some(OsStr::new("service")))
    {
        let mut analyze = tool("systemd-analyze").unwrap();
        analyze.args(["security", "--offline=true", "--threshold=15", "--no-pager"]);
        let ran = Ran::of(analyze.arg(service));
        if ran.stderr.contains("unrecognized option") {
            eprintln!("skipped: this systemd-analyze cannot score a file");
            return;
        }
        ran.ended(0);
    }
}

#[test]
fn systemd_units_name_what_the_program_defines() {
    let text = generate("systemd").ended(0).stdout;
    for line in [
        "# --- collective-insights-crowdstrike.service ---",
        "# --- collective-insights-carbonblack.timer ---",
        "OnCalendar=*-*-* 00:15:00",
        "Persistent=true",
        "After=collective-insights-crowdstrike.service",
        "RestartPreventExitStatus=1 2 3 4 6",
        "SuccessExitStatus=143",
        "TimeoutStartSec=65min",
        "LoadCredential=cs_client_secret:/etc/collective-insights/cs_client_secret",
        "LoadCredential=cb_api_id:/etc/collective-insights/cb_api_id",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}");
    }
}

#[test]
fn a_run_reads_the_credentials_that_a_unit_loads() {
    let stage = Stage::new(
        World::default()
            .falcon_alerts(&[falcon("cid:ind:1", "hash_sha256", &sha256(1))])
            .carbon_black_alerts(&[carbonblack("a1", &sha256(2))]),
    );
    let url = stage.sandbox.url();
    generate_in(stage.folder(), "systemd --dir units").ended(0);
    for source in ["crowdstrike", "carbonblack"] {
        let unit = stage.path(&format!("units/collective-insights-{source}.service"));
        let credentials = stage.path(source);
        std::fs::create_dir(&credentials).unwrap();
        for line in std::fs::read_to_string(unit).unwrap().lines() {
            let Some(loaded) = line.strip_prefix("LoadCredential=") else {
                continue;
            };
            let (name, _) = loaded.split_once(':').unwrap();
            let secret = match name {
                "rf_api_key" => RF_TOKEN,
                "cs_client_id" => CLIENT_ID,
                "cs_client_secret" => CLIENT_SECRET,
                "cb_secret" => CB_SECRET,
                "cb_api_id" => CB_API_ID,
                other => panic!("{other}"),
            };
            std::fs::write(credentials.join(name), format!("{secret}\n")).unwrap();
        }
        let mut run = bare_command(stage.folder());
        run.arg(source).envs([
            ("CREDENTIALS_DIRECTORY", credentials.to_str().unwrap()),
            ("COLLECTIVE_INSIGHTS_TEST_NOW", NOW),
            ("RF_API_URL", &url),
            ("CS_BASE_URL", &url),
            ("CB_HOSTNAME", &url),
            ("CB_ORG_ID", CB_ORG),
        ]);
        Ran::of(&mut run).ended(0);
    }
    assert_eq!(stage.stored_values(), [sha256(1), sha256(2)]);
}

#[test]
fn units_changed_by_hand_are_not_replaced() {
    let folder = TempDir::new().unwrap();
    let unit = folder.path().join("collective-insights-carbonblack.timer");
    std::fs::write(&unit, "mine").unwrap();
    let refused = generate_in(folder.path(), "systemd --dir .").ended(2);
    assert!(
        refused
            .stderr
            .contains("collective-insights-carbonblack.timer"),
        "{}",
        refused.stderr
    );
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
            refused
                .stderr
                .starts_with("error: file/below cannot be written"),
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
