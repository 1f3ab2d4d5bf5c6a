//! Runs on a pseudo-terminal (util-linux's `script`), and what a person sees of them.

use std::process::Command;

/// How wide the terminal is.
const COLUMNS: usize = 80;

/// The same command on a terminal of its own, whose stdin, stdout and stderr are that terminal; the shell
/// before it writes its process's number into the file `pid`. `None` where no `script` is installed.
pub fn on_a_terminal(command: &Command) -> Option<Command> {
    let found = Command::new("script").arg("--version").output();
    if !found.is_ok_and(|found| found.status.success()) {
        eprintln!("skipped: no program `script` (util-linux) to make a terminal with");
        return None;
    }
    let quoted = |text: &std::ffi::OsStr| format!("'{}'", text.to_str().unwrap());
    let words: Vec<String> =
        std::iter::once(command.get_program()).chain(command.get_args()).map(quoted).collect();
    let line = format!("stty rows 24 cols {COLUMNS}; echo $$ > pid; exec {}", words.join(" "));
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

/// What stands on the screen after this was written, line by line, without blanks at the lines' ends.
///
/// It knows what this program is expected to write; anything else is a surprise and fails the test.
#[track_caller]
pub fn screen(written: &str) -> String {
    let mut rows: Vec<Vec<char>> = vec![Vec::new()];
    let mut column = 0;
    let plain = without_colours(written);
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
        // A line that is full goes on below with the next character, not before it.
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

/// The text without what sets colours.
pub fn without_colours(text: &str) -> String {
    let (plain, coloured) = text.split_once("\x1b[").unwrap_or((text, ""));
    coloured.split("\x1b[").filter(|_| plain != text).fold(plain.to_owned(), |plain, part| {
        let code = part.trim_start_matches(|char: char| char.is_ascii_digit() || char == ';');
        match code.strip_prefix('m') {
            Some(after) => plain + after,
            None => plain + "\x1b[" + part,
        }
    })
}
