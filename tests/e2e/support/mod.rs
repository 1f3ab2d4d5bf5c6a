//! What every end-to-end test stands on: a stage (sandbox, folder, environment), runs of the binary on
//! it, and alerts made by hand.

pub mod alerts;
pub mod failures;
pub mod https_env;
pub mod oracle;
pub mod output;
pub mod process;
pub mod real_proxy;
pub mod secret_scan;
pub mod terminal;
pub mod tls;
pub mod vendor;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use sandbox::{CB_API_ID, CB_ORG, CB_SECRET, CLIENT_ID, CLIENT_SECRET, RF_TOKEN, Sandbox, World};
use serde_json::Value;
use tempfile::TempDir;

/// The time at which every staged run starts, unless a test sets another.
pub const NOW: &str = "2026-11-22T00:15:00Z";

/// A sandbox, an empty working folder, and the environment of a user who has set everything up.
pub struct Stage {
    pub sandbox: Sandbox,
    folder: TempDir,
}

/// How a run of the binary ended.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Stage {
    /// Opens a stage on a world.
    pub fn new(world: World) -> Self {
        Self { sandbox: Sandbox::start(world), folder: TempDir::new().unwrap() }
    }

    /// The working folder of the runs.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A file in the working folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file in the working folder.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// The log so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("collective-insights.log")).unwrap_or_default()
    }

    /// The binary with these arguments, split at blanks, in the working folder and with nothing in its
    /// environment but what the sandbox needs. Waits between tries take a thousandth.
    pub fn command(&self, arguments: &str) -> Command {
        let mut command = bare_command(self.folder());
        command.args(arguments.split_whitespace()).envs([
            ("CS_BASE_URL", self.sandbox.url().as_str()),
            ("CS_CLIENT_ID", CLIENT_ID),
            ("CS_CLIENT_SECRET", CLIENT_SECRET),
            ("CB_HOSTNAME", &self.sandbox.url()),
            ("CB_ORG_ID", CB_ORG),
            ("CB_API_ID", CB_API_ID),
            ("CB_SECRET", CB_SECRET),
            ("RF_API_URL", &self.sandbox.url()),
            ("RF_API_KEY", RF_TOKEN),
            ("COLLECTIVE_INSIGHTS_TEST_NOW", NOW),
            ("COLLECTIVE_INSIGHTS_TEST_WAIT_DIVISOR", "1000"),
        ]);
        command
    }

    /// Runs the binary to its end.
    pub fn run(&self, arguments: &str) -> Ran {
        Ran::of(&mut self.command(arguments))
    }

    /// Runs the binary as if it were this time.
    pub fn run_at(&self, now: &str, arguments: &str) -> Ran {
        Ran::of(self.command(arguments).env("COLLECTIVE_INSIGHTS_TEST_NOW", now))
    }

    /// The values of the indicators that the sandbox stored, sorted.
    pub fn stored_values(&self) -> Vec<String> {
        let mut values: Vec<String> =
            self.sandbox.stored().iter().map(|stored| text(&stored.item, "/ioc/value")).collect();
        values.sort();
        values
    }
}

impl Ran {
    /// Runs a command to its end.
    pub fn of(command: &mut Command) -> Self {
        Self::from(command.output().unwrap())
    }

    /// The run, which must have ended with this exit code.
    #[track_caller]
    pub fn ended(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    /// The one JSON document on stdout.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error} in {:?}", self.stdout))
    }

    /// One of the numbers in the JSON document.
    #[track_caller]
    pub fn count(&self, name: &str) -> u64 {
        let document = self.json();
        document["counts"][name].as_u64().unwrap_or_else(|| panic!("no {name} in {document}"))
    }

    /// Checks that the numbers of the JSON document add up.
    #[track_caller]
    pub fn adds_up(&self) -> &Self {
        let sum = |names: &[&str]| names.iter().map(|name| self.count(name)).sum::<u64>();
        let places = [
            "indicators_unsupported",
            "indicators_invalid",
            "indicators_private",
            "indicators_excluded",
            "indicators_repeated",
            "already_delivered",
            "processed",
            "unprocessed",
            "quarantined",
            "waiting",
        ];
        assert_eq!(sum(&["carried_in", "indicators_found"]), sum(&places), "{}", self.stdout);
        assert_eq!(self.count("submitted"), sum(&["processed", "unprocessed"]), "{}", self.stdout);
        self
    }
}

impl From<Output> for Ran {
    /// A process that a signal ended has the code -1.
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// The binary in a folder, with an empty environment.
pub fn bare_command(folder: &Path) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("collective-insights"));
    command.current_dir(folder).env_clear();
    command
}

/// The text at a place in a JSON value.
#[track_caller]
pub fn text(value: &Value, place: &str) -> String {
    value
        .pointer(place)
        .and_then(Value::as_str)
        .unwrap_or_else(|| panic!("no text at {place} in {value}"))
        .to_owned()
}
