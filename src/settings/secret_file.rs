//! Secrets in files: the one that `<VARIABLE>_FILE` names, and systemd's credentials.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::lookup::{Environment, Names, Origin, non_blank};
use crate::failure::{Failure, FailureKind};

/// Reads a secret from the file that `<VARIABLE>_FILE` names, else from the credentials
/// directory. The secret is `None` if the file is empty.
pub(super) fn read(
    environment: Environment,
    names: &Names,
) -> Result<Option<(Option<String>, Origin)>, Failure> {
    let path_in =
        |variable: &str| environment(variable).filter(|path| !path.is_empty()).map(PathBuf::from);
    let variable = format!("{}_FILE", names.variable);
    if let Some(path) = path_in(&variable) {
        let help = format!(
            "Name a readable file with {variable}; it must contain nothing but the secret, as UTF-8 text."
        );
        let value = read_secret(&path, names, help)?;
        warn_if_open(&path, names);
        return Ok(Some((value, Origin::File(variable, path))));
    }
    let credential = names.variable.to_ascii_lowercase();
    let path = path_in("CREDENTIALS_DIRECTORY")
        .map(|directory| directory.join(&credential))
        .filter(|path| path.exists());
    let Some(path) = path else {
        return Ok(None);
    };
    let help = format!(
        "Check LoadCredential= or SetCredential= for {credential} in the unit; it must contain nothing but the secret, as UTF-8 text."
    );
    let value = read_secret(&path, names, help)?;
    Ok(Some((value, Origin::Credential(path))))
}

/// Returns the content of the file; `None` if it is empty. `help` is what to do if it cannot be
/// read.
fn read_secret(path: &Path, names: &Names, help: String) -> Result<Option<String>, Failure> {
    let unreadable = |cause: io::Error| {
        let message = format!("the file {} for {names} cannot be read", path.display());
        Failure::new(FailureKind::Configuration, message, help).with_cause(cause)
    };
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    Ok(non_blank(Some(&text)).map(str::to_owned))
}

/// Logs a warning if other users can read the file. Credentials are not checked: systemd grants the
/// service's user access with an access list, which looks like permissions of the group.
fn warn_if_open(path: &Path, names: &Names) {
    const READ_BY_GROUP_OR_OTHERS: u32 = 0o044;
    let mode =
        std::fs::metadata(path).map(|metadata| metadata.permissions().mode()).unwrap_or_default();
    if mode & READ_BY_GROUP_OR_OTHERS != 0 {
        tracing::warn!(
            "the permissions of {path} let other users read it, and it contains {names}; run `chmod 600 {path}`",
            path = path.display()
        );
    }
}
