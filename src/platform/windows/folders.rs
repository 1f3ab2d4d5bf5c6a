//! The default places of the ledger and the settings file.

use std::env;
use std::path::PathBuf;

/// The variable that names the folder in which the state folder is.
pub(crate) const STATE_VARIABLES: &str = "LOCALAPPDATA";

/// Returns the state folder; `None` where the user has none.
pub(crate) fn state() -> Option<PathBuf> {
    let folder = PathBuf::from(env::var_os("LOCALAPPDATA")?);
    folder.is_absolute().then(|| folder.join("collective-insights"))
}

/// Returns where the settings file may be: in the state folder. Not in `%ProgramData%`, where every
/// user can create a folder.
pub(crate) fn settings_files() -> Vec<PathBuf> {
    state().map(|folder| folder.join("config.toml")).into_iter().collect()
}
