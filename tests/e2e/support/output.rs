//! The output of a run, and assertions on it.

use std::process::{Command, Output};

use serde_json::Value;

/// The exit code and the output of a run of the binary.
#[derive(Debug)]
pub struct RunOutput {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl RunOutput {
    /// Runs a command and captures its output.
    pub fn capture(command: &mut Command) -> Self {
        Self::from(command.output().unwrap())
    }

    /// Asserts the exit code: 0 success, 1 unexpected error, 2 configuration, 3 partly done, 4
    /// credentials, 5 temporary error, 6 ledger, 7 locked by another run, 128 + n interrupted by
    /// signal n, and -1 killed.
    #[track_caller]
    pub fn assert_code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    /// Asserts that stderr contains each of these texts.
    #[track_caller]
    pub fn assert_stderr(&self, texts: &[&str]) -> &Self {
        for text in texts {
            assert!(self.stderr.contains(text), "no {text:?} in {}", self.stderr);
        }
        self
    }

    /// Parses stdout as one JSON document.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error} in {:?}", self.stdout))
    }

    /// Returns one of the counts in the JSON document. The topic `numbers` explains their names.
    #[track_caller]
    pub fn count(&self, name: &str) -> u64 {
        let document = self.json();
        document["counts"][name].as_u64().unwrap_or_else(|| panic!("no {name} in {document}"))
    }

    /// Returns the notes in the JSON document, except the note that the ledger was created.
    #[track_caller]
    pub fn notes(&self) -> Vec<String> {
        let notes = self.json()["notes"].as_array().cloned().unwrap_or_default();
        let notes = notes.iter().map(|note| note.as_str().unwrap().to_owned());
        notes.filter(|note| !note.starts_with("created the ledger ")).collect()
    }

    /// Asserts that the counts in the JSON document add up.
    #[track_caller]
    pub fn assert_counts_add_up(&self) -> &Self {
        let sum = |names: &[&str]| names.iter().map(|name| self.count(name)).sum::<u64>();
        let outcomes = [
            "indicators_unsupported", "indicators_invalid", "indicators_private",
            "indicators_trusted", "indicators_excluded", "indicators_repeated",
            "already_delivered", "processed", "unprocessed", "would_submit", "quarantined",
            "waiting", "not_stored",
        ];
        assert_eq!(sum(&["carried_in", "indicators_found"]), sum(&outcomes), "{}", self.stdout);
        assert_eq!(self.count("submitted"), sum(&["processed", "unprocessed"]), "{}", self.stdout);
        self
    }

    /// Asserts these counts in the JSON document, that all others are 0, and that they add up.
    #[track_caller]
    pub fn assert_counts(&self, expected: &[(&str, u64)]) -> &Self {
        let document = self.json();
        for (name, count) in document["counts"].as_object().unwrap() {
            let entry = expected.iter().find(|(expected_name, _)| expected_name == name);
            let expected_count = entry.map_or(0, |(_, count)| *count);
            assert_eq!(count.as_u64(), Some(expected_count), "{name} in {document}");
        }
        for (name, _) in expected {
            self.count(name);
        }
        self.assert_counts_add_up()
    }
}

impl From<Output> for RunOutput {
    /// The code of a process that was killed by a signal is -1.
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}
