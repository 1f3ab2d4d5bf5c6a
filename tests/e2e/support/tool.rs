//! Other programs that check or use what is generated. A test skips what is not installed.

use std::process::{Command, Stdio};

use super::RunOutput;

/// Returns a command for a tool; `None` and a message if it is not installed.
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
        // `man` uses this width instead of that of the terminal.
        command.stdin(Stdio::null()).env("MANWIDTH", "80");
        command
    })
}

/// Runs a tool, which must succeed and write nothing to stderr. Returns its stdout.
#[track_caller]
pub fn run_tool(command: &mut Command) -> String {
    let output = RunOutput::capture(command).assert_code(0);
    assert_eq!(output.stderr, "", "{command:?}");
    output.stdout
}
