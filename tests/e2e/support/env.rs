//! The test environment: a sandbox, a working folder and the environment variables.

use std::path::{Path, PathBuf};
use std::process::Command;

use chrono::{DateTime, TimeDelta, Utc};
use sandbox::{
    CB_API_ID, CB_ORG, CB_SECRET, CLIENT_ID, CLIENT_SECRET, RF_TOKEN, Sandbox, Service, World,
};
use serde_json::Value;
use tempfile::TempDir;

use super::RunOutput;
use super::json::text;
use super::oracle::Tenant;
use super::transport::Transport;

/// The start time of the runs of a [`TestEnv`], unless a test sets another.
pub const NOW: &str = "2026-11-22T00:15:00Z";

/// The certificate of the authority of a sandbox with TLS, in the working folder.
const CA_FILE: &str = "sandbox-ca.pem";

/// The ledger, in the working folder.
pub const LEDGER_FILE: &str = "collective-insights.db";

/// The variable that names an empty settings file: without it, a run reads that of this machine.
pub const NO_CONFIG: (&str, &str) = ("COLLECTIVE_INSIGHTS_CONFIG", "/dev/null");

/// A sandbox, an empty working folder, and the environment of a fully configured user.
pub struct TestEnv {
    pub sandbox: Sandbox,
    folder: TempDir,
}

impl TestEnv {
    /// Starts a sandbox with this world, which uses the HTTP version and the compression of the
    /// test ([`Transport`]). The time of the services is [`NOW`], unless the world has another.
    pub fn new(world: World) -> Self {
        let mut world = Transport::current().apply(world);
        world.date = world.date.or_else(|| NOW.parse().ok());
        let env = Self { sandbox: Sandbox::start(world), folder: TempDir::new().unwrap() };
        if let Some(pem) = env.sandbox.ca_pem() {
            env.write(CA_FILE, pem);
        }
        env
    }

    /// Starts a sandbox with these Falcon alerts.
    pub fn falcon(alerts: &[Value]) -> Self {
        Self::new(World::default().falcon_alerts(alerts))
    }

    /// Starts a sandbox with these Carbon Black alerts.
    pub fn carbonblack(alerts: &[Value]) -> Self {
        Self::new(World::default().carbon_black_alerts(alerts))
    }

    /// Returns the working folder of the runs.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Returns the tenant with this name, with its sandbox and its ledger, for the oracle's checks.
    pub fn tenant<'a>(&'a self, name: &'a str) -> Tenant<'a> {
        Tenant { sandbox: &self.sandbox, ledger: self.path(LEDGER_FILE), name }
    }

    /// Returns the path of a file in the working folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file in the working folder.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Returns the log so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("collective-insights.log")).unwrap_or_default()
    }

    /// Returns a command for the binary with these arguments (split at spaces), in the working
    /// folder, with variables for the sandbox, the folder and the time, and no others. Waits and
    /// intervals are divided by 1000.
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
        if self.sandbox.ca_pem().is_some() {
            command.env("SSL_CERT_FILE", self.path(CA_FILE));
        }
        command
    }

    /// Returns the same command as [`TestEnv::command`] does, but without these variables.
    pub fn command_without(&self, variables: &[&str], arguments: &str) -> Command {
        let mut command = self.command(arguments);
        for variable in variables {
            command.env_remove(variable);
        }
        command
    }

    /// Runs the binary.
    pub fn run(&self, arguments: &str) -> RunOutput {
        RunOutput::capture(&mut self.command(arguments))
    }

    /// Runs the binary at this time.
    pub fn run_at(&self, now: &str, arguments: &str) -> RunOutput {
        RunOutput::capture(&mut self.command_at(now, arguments))
    }

    /// Returns a command for the binary at this time, which is also that of the services from now
    /// on.
    pub fn command_at(&self, now: &str, arguments: &str) -> Command {
        self.command_with_clock(now, TimeDelta::zero(), arguments)
    }

    /// Runs the binary at this time of the services, on a machine whose clock is that far ahead.
    pub fn run_with_clock(&self, now: &str, ahead: TimeDelta, arguments: &str) -> RunOutput {
        RunOutput::capture(&mut self.command_with_clock(now, ahead, arguments))
    }

    fn command_with_clock(&self, now: &str, ahead: TimeDelta, arguments: &str) -> Command {
        let now: DateTime<Utc> = now.parse().unwrap();
        self.sandbox.change(|world| world.date = Some(now));
        let mut command = self.command(arguments);
        command.env("COLLECTIVE_INSIGHTS_TEST_NOW", (now + ahead).to_rfc3339());
        command
    }

    /// Returns the items that Recorded Future stored, in the order of arrival.
    pub fn items(&self) -> Vec<Value> {
        let stored = self.sandbox.stored();
        stored.into_iter().map(|stored| stored.item).collect()
    }

    /// Returns the only item that Recorded Future stored.
    #[track_caller]
    pub fn only_item(&self) -> Value {
        let mut items = self.items();
        assert_eq!(items.len(), 1, "{items:?}");
        items.remove(0)
    }

    /// Returns the values of the stored indicators, sorted.
    pub fn stored_values(&self) -> Vec<String> {
        let mut values: Vec<String> =
            self.items().iter().map(|item| text(item, "/ioc/value")).collect();
        values.sort();
        values
    }

    /// Returns `TYPE VALUE` of the stored indicators, sorted.
    pub fn stored_indicators(&self) -> Vec<String> {
        let name =
            |item: &Value| format!("{} {}", text(item, "/ioc/type"), text(item, "/ioc/value"));
        let mut indicators: Vec<String> = self.items().iter().map(name).collect();
        indicators.sort();
        indicators
    }

    /// Returns the bodies of the requests to Recorded Future.
    pub fn submission_bodies(&self) -> Vec<Value> {
        let requests = self.sandbox.requests_to(Service::RecordedFuture);
        requests.iter().map(|request| request.json().unwrap()).collect()
    }

    /// Returns the number of items in each request to Recorded Future.
    pub fn batch_sizes(&self) -> Vec<usize> {
        let bodies = self.submission_bodies();
        bodies.iter().map(|body| body["data"].as_array().unwrap().len()).collect()
    }

    /// Returns the number of requests to a service.
    pub fn request_count(&self, service: Service) -> usize {
        self.sandbox.requests_to(service).len()
    }
}

/// Returns a command for the binary in a folder, which is its state folder too, with an empty
/// settings file and no other variables.
pub fn bare_command(folder: &Path) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("collective-insights"));
    command.current_dir(folder).env_clear().env("STATE_DIRECTORY", folder);
    command.envs([NO_CONFIG]);
    command
}

/// Runs the binary in an empty folder, with the environment of [`bare_command`].
pub fn run_bare(arguments: &[&str]) -> RunOutput {
    let folder = TempDir::new().unwrap();
    RunOutput::capture(bare_command(folder.path()).args(arguments))
}
