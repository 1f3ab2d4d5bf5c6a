//! Runs on a pseudo-terminal (with `script` of util-linux), and what the screen then shows.

use std::process::Command;

use super::{RunOutput, TestEnv};

/// The width of the terminal, unless a test sets another.
const COLUMNS: usize = 80;

/// Wraps a command so that its stdin, stdout and stderr are a terminal. Its process id is written
/// to the file `pid`. Returns `None` if `script` is not installed.
pub fn in_terminal(command: &Command) -> Option<Command> {
    in_terminal_of(COLUMNS, command)
}

/// Does the same on a terminal with this many columns.
pub fn in_terminal_of(columns: usize, command: &Command) -> Option<Command> {
    let version = Command::new("script").arg("--version").output();
    if !version.is_ok_and(|version| version.status.success()) {
        eprintln!("skipped: `script` (util-linux) is not installed");
        return None;
    }
    let quoted = |text: &std::ffi::OsStr| format!("'{}'", text.to_str().unwrap());
    let words: Vec<String> =
        std::iter::once(command.get_program()).chain(command.get_args()).map(quoted).collect();
    let line = format!("stty rows 24 cols {columns}; echo $$ > pid; exec {}", words.join(" "));
    let mut script = Command::new("script");
    script
        .args(["-qec", &line, "/dev/null"])
        .current_dir(command.get_current_dir().unwrap())
        .env_clear()
        .env("TERM", "xterm")
        .env("PATH", "/usr/local/bin:/usr/bin:/bin");
    for (name, value) in command.get_envs() {
        script.env(name, value.unwrap());
    }
    Some(script)
}

/// Runs the binary on a terminal, with these variables too. The stdout of the result is everything
/// that was written to the terminal. Returns `None` if `script` is not installed.
pub fn run_in_terminal(
    env: &TestEnv,
    arguments: &str,
    variables: &[(&str, &str)],
) -> Option<RunOutput> {
    let mut command = env.command(arguments);
    command.envs(variables.iter().copied());
    Some(RunOutput::capture(&mut in_terminal(&command)?))
}

/// Returns what the screen shows after this was written, without spaces at the ends of lines.
///
/// Supports only the control sequences that the program is expected to write; others fail the test.
#[track_caller]
pub fn screen(written: &str) -> String {
    let mut rows: Vec<Vec<char>> = vec![Vec::new()];
    let mut column = 0;
    let plain = without_colors(written);
    let mut rest = plain.as_str();
    while let Some(char) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("\x1b[2K") {
            rows.last_mut().unwrap().clear();
            rest = after;
            continue;
        }
        rest = &rest[char.len_utf8()..];
        if char == '\r' {
            column = 0;
            continue;
        }
        // A full line wraps before the next character, not after its last one.
        if char == '\n' || column == COLUMNS {
            rows.push(Vec::new());
            column = if char == '\n' { column } else { 0 };
        }
        if char == '\n' {
            continue;
        }
        assert!(!char.is_control(), "{char:?} in {written:?}");
        let row = rows.last_mut().unwrap();
        row.resize(row.len().max(column + 1), ' ');
        row[column] = char;
        column += 1;
    }
    let lines: Vec<String> = rows.iter().map(String::from_iter).collect();
    let lines = lines.iter().map(|line| format!("{}\n", line.trim_end()));
    lines.collect::<String>().trim_end_matches('\n').to_owned()
}

/// Removes the color sequences from a text.
pub fn without_colors(text: &str) -> String {
    let (plain, colored) = text.split_once("\x1b[").unwrap_or((text, ""));
    colored.split("\x1b[").filter(|_| plain != text).fold(plain.to_owned(), |plain, part| {
        let code = part.trim_start_matches(|char: char| char.is_ascii_digit() || char == ';');
        match code.strip_prefix('m') {
            Some(after) => plain + after,
            None => plain + "\x1b[" + part,
        }
    })
}
