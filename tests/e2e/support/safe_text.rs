//! Asserts that nothing from a service reaches a terminal or the log unescaped.

use super::{RunOutput, TestEnv};

/// Reports whether a character affects a terminal or the direction of text.
pub fn is_unsafe(char: char) -> bool {
    let is_bidi = matches!(char, '\u{61c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}');
    (char.is_control() && char != '\n') || is_bidi || matches!(char, '\u{2028}' | '\u{2029}')
}

/// Asserts that the output and the log of a run contain no unsafe character, and that no line is
/// the log line that hostile texts forge.
#[track_caller]
pub fn assert_safe(env: &TestEnv, output: &RunOutput) {
    for (name, text) in
        [("stdout", &output.stdout), ("stderr", &output.stderr), ("log", &env.log())]
    {
        assert!(!text.contains(is_unsafe), "{name}: {}", text.escape_debug());
        for line in text.lines() {
            assert!(
                !line.starts_with("2026-11-22T00:15:00.000Z ERROR run=000000000000"),
                "{name}: {line}"
            );
        }
    }
    // Each line has the id of its run: `run=` and 12 hex digits.
    for line in env.log().lines() {
        assert_eq!(
            line.split(' ').find(|word| word.starts_with("run=")).map(str::len),
            Some(16),
            "{line}"
        );
    }
}
