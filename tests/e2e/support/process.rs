//! Runs that a test controls while they are running: started, awaited, signalled, killed.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sandbox::{Sandbox, Service};

use super::RunOutput;

/// More than any successful wait takes.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A running process. It is killed if the test ends first.
pub struct RunningProcess(Option<Child>);

impl RunningProcess {
    /// Starts a command.
    pub fn start(command: &mut Command) -> Self {
        let piped = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(Some(piped.spawn().unwrap()))
    }

    fn child(&mut self) -> &mut Child {
        self.0.as_mut().unwrap()
    }

    /// Returns the process id.
    pub fn id(&mut self) -> u32 {
        self.child().id()
    }

    /// Sends a signal, for example `TERM`.
    pub fn signal(&mut self, name: &str) {
        send_signal(name, &self.id().to_string());
    }

    /// Sends SIGKILL and waits for the end. The output is discarded.
    pub fn kill(&mut self) {
        self.child().kill().unwrap();
        self.child().wait().unwrap();
    }

    /// Reports whether it has exited.
    pub fn has_exited(&mut self) -> bool {
        self.child().try_wait().unwrap().is_some()
    }

    /// Waits for the end.
    pub fn finish(mut self) -> RunOutput {
        let output = self.0.take().unwrap().wait_with_output().unwrap();
        RunOutput::from(output)
    }
}

impl Drop for RunningProcess {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            // It may have exited already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Waits until a service has received at least `count` requests.
#[track_caller]
pub fn wait_for_requests(sandbox: &Sandbox, service: Service, count: usize) {
    wait_until(|| sandbox.requests_to(service).len() >= count);
}

/// Waits until the condition holds; panics after [`TIMEOUT`].
#[track_caller]
pub fn wait_until(is_true: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_true() {
        assert!(started.elapsed() < TIMEOUT, "the condition did not hold in time");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Sends a signal, for example `TERM`, to a process.
pub fn send_signal(name: &str, pid: &str) {
    // The shell's own `kill`: a minimal system has no other.
    let sent = Command::new("sh").args(["-c", r#"kill -"$0" "$1""#, name, pid]).status();
    assert!(sent.unwrap().success());
}
