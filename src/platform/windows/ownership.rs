//! The checks of whether other users can change or read a file.
//!
//! Access lists are set for what the program creates, with the system's own programs, and are not
//! examined: to read one would require unsafe code.

use std::env;
use std::io;
use std::os::windows::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};

use crate::platform::access_list::{icacls_arguments, parse_sid};

/// The first file or folder whose access list could not be set, and the reason.
static NOT_RESTRICTED: Mutex<Option<String>> = Mutex::new(None);

/// Gives a file or folder that was just created to this user, SYSTEM and administrators only. If
/// that fails, for example on FAT, the reason is in [`created_warning`].
pub(super) fn restrict(path: &Path) {
    if let Err(reason) = set_access_list(path) {
        let mut first = NOT_RESTRICTED.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert_with(|| format!("{}: {reason}", path.display()));
    }
}

/// Returns a warning if a file that this process created can be read by others.
pub(crate) fn created_warning() -> Option<String> {
    let first = NOT_RESTRICTED.lock().unwrap_or_else(PoisonError::into_inner);
    let first = first.as_ref()?;
    Some(format!(
        "other users of this machine may be able to read new files, because their access list could not be set ({first}); keep them in a folder that only this user can read"
    ))
}

fn set_access_list(path: &Path) -> Result<(), String> {
    let whoami = run("whoami.exe", |command| command.args(["/user", "/fo", "csv", "/nh"]))?;
    let sid = parse_sid(&whoami).ok_or("whoami does not name the user's number")?;
    run("icacls.exe", |command| command.arg(path).args(icacls_arguments(sid, path.is_dir())))?;
    Ok(())
}

/// Runs a program of the system, and returns its output.
fn run(
    program: &str,
    arguments: impl FnOnce(&mut Command) -> &mut Command,
) -> Result<String, String> {
    /// The program has no window, and gets no Ctrl-C.
    const CREATE_NO_WINDOW: u32 = 0x0800_0000;
    let system = env::var_os("SystemRoot").map_or_else(|| r"C:\Windows".into(), PathBuf::from);
    // Its full path: a program of this name in the working folder is not started.
    let mut command = Command::new(system.join("System32").join(program));
    command.stdin(Stdio::null()).creation_flags(CREATE_NO_WINDOW);
    let output: io::Result<Output> = arguments(&mut command).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{program}: {} {}", output.status, message.trim())
            .trim_end()
            .to_owned());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Returns no warning: the access list of a file that exists is not examined.
pub(crate) const fn warning(_description: &str, _path: &Path) -> Option<String> {
    None
}

/// Returns nothing: the owner of a file is not examined.
pub(crate) const fn describe_owner(_path: &Path) -> Option<String> {
    None
}

/// Returns `false`: who can read a file is not examined.
#[expect(clippy::unnecessary_wraps, reason = "it can fail on other systems")]
pub(crate) const fn is_readable_by_others(_path: &Path) -> io::Result<bool> {
    Ok(false)
}
