//! The setup of the process when the program starts.

use rustix::process::{Resource, Rlimit, Signal, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

/// Sets up the process, as far as the system allows.
pub(crate) fn set_up() {
    disable_core_dumps();
    handle_file_size_limit();
}

/// A core dump would contain secrets in plain text.
fn disable_core_dumps() {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    // Lowering a limit needs no privilege.
    let _ = setrlimit(Resource::Core, none);
}

/// Lets a write beyond the limit of file sizes (`ulimit -f`) fail like one to a full disk, instead
/// of ending the process with SIGXFSZ. The handler stays for the life of the process.
fn handle_file_size_limit() {
    // If this fails, the signal keeps its effect.
    if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_io().build() {
        let _entered = runtime.enter();
        let _ = signal(SignalKind::from_raw(Signal::XFSZ.as_raw()));
    }
}
