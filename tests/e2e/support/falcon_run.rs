//! A CrowdStrike run with a few alerts, for tests in which it does not matter what is sent.

use std::process::Command;
use std::time::Duration;

use sandbox::{Fault, Service, World};
use serde_json::Value;

use super::TestEnv;
use super::alerts::falcon_at;
use super::process::{RunningProcess, wait_for_requests};

/// The arguments of the run.
pub const RUN: &str = "crowdstrike --json";

/// The time of the run after the first one: an hour after [`NOW`](super::NOW).
pub const LATER: &str = "2026-11-22T01:15:00Z";

/// Returns an environment with this many Falcon alerts, each with an indicator of its own.
pub fn env_with_alerts(count: u64) -> TestEnv {
    let alerts: Vec<Value> =
        (0..count).map(|number| falcon_at(number, "2026-11-21T08:00:00Z")).collect();
    TestEnv::new(World::default().falcon_alerts(&alerts))
}

/// Starts a run that hangs in its first request to a service.
pub fn start_hanging_at(env: &TestEnv, service: Service) -> RunningProcess {
    let hang = Fault::HangThenReset(Duration::from_mins(1));
    env.sandbox.queue_faults(service, vec![hang]);
    let running = RunningProcess::start(&mut env.command(RUN));
    wait_for_requests(&env.sandbox, service, 1);
    running
}

/// Returns a shell command that runs `preparation`, and then [`RUN`].
pub fn in_shell(env: &TestEnv, preparation: &str) -> Command {
    let run = env.command(RUN);
    let mut shell = Command::new("sh");
    shell.current_dir(env.folder()).env_clear();
    shell.envs(run.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.arg("-c").arg(format!("{preparation}; exec \"$0\" {RUN}")).arg(run.get_program());
    shell
}
