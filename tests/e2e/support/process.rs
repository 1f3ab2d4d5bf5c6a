//! Runs that are looked at while they are on: begun, waited for, signalled, killed.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sandbox::{Sandbox, Service};

use super::Ran;

/// Longer than anything that goes well takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// A run that is on. It is killed when a test ends before it does.
pub struct Running(Option<Child>);

impl Running {
    /// Begins a run.
    pub fn start(command: &mut Command) -> Self {
        let piped = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(Some(piped.spawn().unwrap()))
    }

    fn child(&mut self) -> &mut Child {
        self.0.as_mut().unwrap()
    }

    /// The process's number.
    pub fn id(&mut self) -> u32 {
        self.child().id()
    }

    /// Sends a signal, for example `TERM`.
    pub fn signal(&mut self, name: &str) {
        let sent = Command::new("kill")
            .args([format!("-{name}"), self.id().to_string()])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    /// SIGKILL, and the end of it. What it wrote so far is lost with it.
    pub fn kill(&mut self) {
        self.child().kill().unwrap();
        self.child().wait().unwrap();
    }

    /// Whether it has ended by itself.
    pub fn is_over(&mut self) -> bool {
        self.child().try_wait().unwrap().is_some()
    }

    /// Its end.
    pub fn finish(mut self) -> Ran {
        let output = self.0.take().unwrap().wait_with_output().unwrap();
        Ran::from(output)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            // It may have ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Waits until a service has been asked that often.
#[track_caller]
pub fn until_asked(sandbox: &Sandbox, service: Service, times: usize) {
    let begun = Instant::now();
    while sandbox.requests_to(service).len() < times {
        assert!(begun.elapsed() < PATIENCE, "{service:?} was never asked");
        std::thread::sleep(Duration::from_millis(5));
    }
}
