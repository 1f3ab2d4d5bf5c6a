//! The default places of the ledger and the settings file.

use std::env;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::process::geteuid;

/// The name of this program's folder, in the folder for the state of all programs.
const FOLDER: &str = "collective-insights";

/// The variables that name a state folder.
pub(crate) const STATE_VARIABLES: &str = "STATE_DIRECTORY or XDG_STATE_HOME";

/// The inputs that decide where the state is.
#[derive(Debug, Default)]
struct Environment {
    /// `STATE_DIRECTORY` of systemd: one or more folders.
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

/// Returns the state folder; `None` where the user has none.
pub(crate) fn state() -> Option<PathBuf> {
    Environment::current().folder()
}

/// Returns the paths where the settings file may be: the user's, then that of the machine.
pub(crate) fn settings_files() -> Vec<PathBuf> {
    settings_files_in(env::var_os("XDG_CONFIG_HOME"), env::home_dir())
}

fn settings_files_in(xdg_config_home: Option<OsString>, home: Option<PathBuf>) -> Vec<PathBuf> {
    const FILE: &str = "collective-insights/config.toml";
    // A relative path is not valid there, and is ignored (XDG Base Directory Specification).
    let absolute = |path: &PathBuf| path.is_absolute();
    let given = xdg_config_home.map(PathBuf::from).filter(absolute);
    let home = home.filter(absolute).map(|home| home.join(".config"));
    given.or(home).into_iter().chain(["/etc".into()]).map(|folder| folder.join(FILE)).collect()
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

    #[test]
    fn the_users_folder_is_before_the_machines() {
        let paths = |xdg: Option<&str>, home: Option<&str>| {
            settings_files_in(xdg.map(Into::into), home.map(Into::into))
                .iter()
                .map(|path| path.display().to_string())
                .collect::<Vec<_>>()
        };
        let machine = "/etc/collective-insights/config.toml";
        let user = "/home/a/.config/collective-insights/config.toml";
        assert_eq!(paths(None, Some("/home/a")), [user, machine]);
        assert_eq!(paths(Some("relative"), Some("/home/a")), [user, machine]);
        let xdg = "/xdg/collective-insights/config.toml";
        assert_eq!(paths(Some("/xdg"), Some("/home/a")), [xdg, machine]);
        assert_eq!(paths(None, None), [machine]);
    }
}
