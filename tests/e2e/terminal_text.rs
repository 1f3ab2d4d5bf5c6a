//! Tests of text on a terminal: colors, and lines that are wrapped between words at any width.

use sandbox::World;
use sandbox::seed::Recipe;

use crate::support::alerts::{falcon, sha256};
use crate::support::terminal::{in_terminal_of, run_in_terminal, screen, without_colors};
use crate::support::{NOW, RunOutput, TestEnv};

/// Returns an environment with one alert.
fn one_alert() -> TestEnv {
    TestEnv::falcon(&[falcon("f1", "hash_sha256", &sha256(1))])
}

/// The option, the value of `NO_COLOR`, and whether there are colors on a terminal.
const COLOR_CASES: [(&str, &str, bool); 7] = [
    ("", "", true),
    ("", "1", false),
    ("--color auto", "1", false),
    ("--color never", "", false),
    ("--color NEVER", "1", false),
    ("--color always", "", true),
    ("--color always", "1", true),
];

#[test]
fn color_changes_nothing_but_color() {
    for command in ["crowdstrike", "crowdstrike -n", "check crowdstrike", "check"] {
        let mut texts = Vec::new();
        for (option, no_color, colored) in COLOR_CASES {
            let env = one_alert();
            let arguments = format!("{command} {option}");
            let Some(output) = run_in_terminal(&env, &arguments, &[("NO_COLOR", no_color)]) else {
                return;
            };
            let shown = output.stdout;
            let plain = without_colors(&shown);
            assert_eq!(plain != shown, colored, "{arguments}: {shown:?}");
            // Remove what differs between runs: the folder, which may wrap, and numbers (times,
            // ports).
            let screen = screen(&shown).split_whitespace().collect::<Vec<_>>().join(" ");
            let screen = screen.replace(env.folder().to_str().unwrap(), "");
            let digits = |char: char| char.is_ascii_digit() || char == '-';
            texts.push(screen.replace(digits, "").replace(" ms", " s"));
        }
        texts.dedup();
        assert_eq!(texts.len(), 1, "{command}: {texts:?}");
    }
}

#[test]
fn without_a_terminal_only_color_always_gives_colors() {
    for (arguments, colored) in [
        ("check", false),
        ("check --color auto", false),
        ("check --color always", true),
        ("check --color always crowdstrike", true),
        ("check crowdstrike --color always", true),
        ("check --color always crowdstrike --color never", false),
        ("crowdstrike --color always", true),
        ("--color always crowdstrike", true),
        ("status --color always", true),
        ("status", false),
        ("history --color always", true),
        ("--color=always --help", true),
    ] {
        let env = one_alert();
        env.run("crowdstrike").assert_code(0);
        let output = env.run(arguments).assert_code(0);
        assert_eq!(output.stdout.contains("\x1b["), colored, "{output:?}");
        assert!(!output.stderr.contains('\x1b'), "{output:?}");
    }
}

#[test]
fn the_label_of_an_error_is_red_with_color() {
    for (arguments, labels) in [
        ("crowdstrike -k x", ["\x1b[1;31merror:\x1b[0m ", "\x1b[1mhelp:\x1b[0m "]),
        ("status --ledger none.db", ["\x1b[1;31merror:\x1b[0m ", "\x1b[1mhelp:\x1b[0m "]),
        // clap's own errors.
        ("crowdstrike --hours 0", ["error:", "--hours"]),
    ] {
        let env = one_alert();
        let output = env.run(&format!("{arguments} --color always"));
        output.assert_stderr(&labels);
        assert!(output.stderr.contains('\x1b'), "{output:?}");
        for option in ["", "--color never", "--color auto"] {
            let output = env.run(&format!("{arguments} {option}"));
            assert!(!output.stderr.contains('\x1b'), "{output:?}");
        }
    }
}

/// Returns the lines that stay on a terminal, as they were written.
fn written_lines(written: &str) -> Vec<String> {
    let plain = without_colors(written);
    let stays = |line: &str| {
        let line = line.trim_end_matches('\r');
        let line = line.rsplit('\r').next().unwrap_or_default();
        line.rsplit("\x1b[2K").next().unwrap_or_default().to_owned()
    };
    plain.lines().map(stays).collect()
}

#[test]
fn lines_end_between_words_at_every_width() {
    let recipe = Recipe::new(60, NOW.parse().unwrap());
    let env = TestEnv::new(World::default().seed_falcon(&recipe));
    // A path with a name that is longer than every line.
    let file = format!("{}.db", "long-".repeat(45));
    for command in [
        "crowdstrike -k x",
        "outbox list --limit 9",
        "history --runs",
        "crowdstrike",
        "crowdstrike -n",
        "crowdstrike --member-cid 1 --all-cids -k x",
        "check",
        "check --show-config",
        "check crowdstrike -k x",
        "status",
        "history",
        "status --ledger FILE",
    ] {
        let command = command.replace("FILE", &file);
        // The first run changes the ledger, and so what the next one prints.
        env.run(&command);
        let piped = env.run(&command);
        let piped = format!("{}\n{}", piped.stdout, piped.stderr);
        let words: Vec<&str> = piped.split_whitespace().collect();
        for columns in [24, 50, 80, 120, 200] {
            let Some(mut terminal) = in_terminal_of(columns, &env.command(&command)) else {
                return;
            };
            let output = RunOutput::capture(&mut terminal);
            for line in written_lines(&output.stdout) {
                let width = line.chars().count();
                assert!(width <= columns, "{command}: {width} of {columns} in {line:?}");
                // Numbers, times and trace ids differ from those of the piped run, and the bars of
                // the history depend on the width.
                let words_of_line = line.split_whitespace();
                for word in words_of_line.filter(|word| !has_digit(word) && !word.contains('#')) {
                    let is_of = |whole: &&&str| match word.split_once('…') {
                        Some((start, end)) => whole.starts_with(start) && whole.ends_with(end),
                        None => whole.trim_end_matches(',') == word.trim_end_matches(','),
                    };
                    let is_progress = ["Read", "alerts", "indicator", "in", "s", "ms", "✓", "Sent"];
                    assert!(
                        words.iter().any(|whole| is_of(&whole)) || is_progress.contains(&word),
                        "{command} at {columns}: {word:?} of {line:?}"
                    );
                }
            }
        }
    }
}

fn has_digit(word: &str) -> bool {
    word.contains(|char: char| char.is_ascii_digit())
}

#[test]
fn piped_output_is_not_wrapped_or_shortened() {
    let env = one_alert();
    let hash = sha256(1);
    let output = env.run("crowdstrike -n").assert_code(0);
    assert!(output.stdout.contains(&format!(" {hash}\n")), "{}", output.stdout);
    let output = env.run("status --ledger none.db").assert_code(6);
    let lines: Vec<&str> = output.stderr.lines().collect();
    assert!(
        lines[1].starts_with("  help: ") && lines[1].ends_with("run this command as that user.")
    );
    assert_eq!(lines.len(), 2, "{lines:?}");
}
