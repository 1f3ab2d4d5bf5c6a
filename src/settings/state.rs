//! Where the ledger is, unless an option names it.
//!
//! The ledger is state, and state has one home: in the working folder, a second folder would send
//! everything again. The log stays there, because it is for a person to read.

use std::env;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::process::geteuid;

use crate::failure::{Failure, FailureKind};

/// The name of the ledger in its folder.
const LEDGER: &str = "collective-insights.db";
/// The name of the folder in that of all programs' state.
const FOLDER: &str = "collective-insights";

/// What decides where the state is.
#[derive(Debug, Default)]
struct Environment {
    /// Of systemd: one or more folders.
    state_directory: Option<OsString>,
    xdg_state_home: Option<OsString>,
    home: Option<PathBuf>,
    is_root: bool,
}

impl Environment {
    fn current() -> Self {
        Self {
            state_directory: env::var_os("STATE_DIRECTORY"),
            xdg_state_home: env::var_os("XDG_STATE_HOME"),
            home: env::home_dir(),
            is_root: geteuid().is_root(),
        }
    }

    /// Returns the state folder; `None` where the user has none.
    fn folder(&self) -> Option<PathBuf> {
        let directories = self.state_directory.as_deref().unwrap_or_default();
        let first = directories.as_bytes().split(|byte| *byte == b':').find(|dir| !dir.is_empty());
        if let Some(first) = first {
            return Some(OsStr::from_bytes(first).into());
        }
        // A relative path is not valid there, and is ignored (XDG Base Directory Specification).
        let given = self.xdg_state_home.as_ref().map(PathBuf::from);
        let given = given.filter(|path| path.is_absolute());
        if given.is_none() && self.is_root {
            return Some(Path::new("/var/lib").join(FOLDER));
        }
        let home = self.home.as_ref().filter(|home| home.is_absolute());
        let state = given.or_else(|| Some(home?.join(".local").join("state")));
        Some(state?.join(FOLDER))
    }
}

/// Returns the default path of the ledger.
///
/// # Errors
/// When the user has no state folder, and when the ledger seems to be in the working folder, where
/// earlier versions had it.
pub(crate) fn default_ledger() -> Result<PathBuf, Failure> {
    let folder = Environment::current().folder().ok_or_else(no_folder)?;
    let path = folder.join(LEDGER);
    let exists = |path: &Path| path.symlink_metadata().is_ok();
    if !exists(&path) && exists(Path::new(LEDGER)) {
        return Err(in_working_folder(&folder));
    }
    Ok(path)
}

fn no_folder() -> Failure {
    Failure::new(
        FailureKind::Configuration,
        "there is no folder for the ledger: the user has no home folder",
        "Name the ledger's file with --ledger, or set STATE_DIRECTORY or XDG_STATE_HOME to a folder.",
    )
}

fn in_working_folder(folder: &Path) -> Failure {
    let folder = folder.display();
    Failure::new(
        FailureKind::Configuration,
        format!("there is a ledger in the working folder ({LEDGER}), and none in {folder}"),
        format!(
            "To keep what it remembers, move it: mkdir -p -m 700 {folder} && mv {LEDGER}* {folder}/. Or name it with --ledger {LEDGER}. Nothing was read or sent."
        ),
    )
    .with_cause("without --ledger, the ledger is in the state folder, so that it is the same one in every working folder")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_folder_is_the_first_that_is_set() {
        let systemd = |value: &str| Environment {
            state_directory: Some(value.into()),
            xdg_state_home: Some("/xdg".into()),
            home: Some("/home/a".into()),
            is_root: true,
        };
        let user = Environment { home: Some("/home/a".into()), ..Environment::default() };
        let root =
            Environment { home: Some("/root".into()), is_root: true, ..Environment::default() };
        let relative = Environment {
            xdg_state_home: Some("xdg".into()),
            home: Some("/home/a".into()),
            ..Environment::default()
        };
        for (environment, expected) in [
            (systemd("/var/lib/a"), Some("/var/lib/a")),
            (systemd("/var/lib/a:/var/lib/b"), Some("/var/lib/a")),
            (systemd(":/var/lib/b"), Some("/var/lib/b")),
            (systemd(""), Some("/xdg/collective-insights")),
            (user, Some("/home/a/.local/state/collective-insights")),
            (root, Some("/var/lib/collective-insights")),
            (relative, Some("/home/a/.local/state/collective-insights")),
            (Environment::default(), None),
        ] {
            assert_eq!(environment.folder(), expected.map(PathBuf::from), "{environment:?}");
        }
    }
}
