//! Secrets in files. `<VARIABLE>_FILE` or the settings file names such a file, or it is one of
//! systemd's credentials.

use std::io;
use std::path::{Path, PathBuf};

use super::layers::Environment;
use super::lookup::{Names, non_blank};
use super::origin::Origin;
use crate::failure::{Failure, FailureKind};
use crate::local_file;
use crate::platform::ownership;

/// The maximum size of a file with a secret.
const MAX_BYTES: u64 = 64 * 1024;

/// Reads a secret from the file that `<VARIABLE>_FILE` names; `None` if that is not set. The secret
/// is `None` if the file is empty.
pub(super) fn named(
    environment: Environment,
    variable: &str,
    key: &str,
) -> Result<Option<(Option<String>, Origin)>, Failure> {
    let name = format!("--{key} ({variable})");
    let variable = format!("{variable}_FILE");
    let Some(path) = path_in(environment, &variable) else {
        return Ok(None);
    };
    let help = format!(
        "Name a readable file with {variable}; it must contain nothing but the secret, as UTF-8 text."
    );
    let value = read_secret(&path, &name, help)?;
    warn_if_readable_by_others(&path, &name);
    Ok(Some((value, Origin::File(variable, path))))
}

/// Reads a secret from systemd's credentials directory; `None` if that has no such file. The secret
/// is `None` if the file is empty.
pub(super) fn credential(
    environment: Environment,
    names: &Names,
) -> Result<Option<(Option<String>, Origin)>, Failure> {
    let credential = names.variable.to_ascii_lowercase();
    let path = path_in(environment, "CREDENTIALS_DIRECTORY")
        .map(|directory| directory.join(&credential))
        .filter(|path| path.exists());
    let Some(path) = path else {
        return Ok(None);
    };
    let help = format!(
        "Check LoadCredential= or SetCredential= for {credential} in the unit; it must contain nothing but the secret, as UTF-8 text."
    );
    let value = read_secret(&path, &names.to_string(), help)?;
    Ok(Some((value, Origin::Credential(path))))
}

/// Reads a secret from a file that the settings file names. The secret is `None` if the file is
/// empty.
pub(super) fn in_settings(
    path: &str,
    place: &Origin,
    key: &str,
) -> Result<(Option<String>, PathBuf), Failure> {
    let path = PathBuf::from(path.trim());
    let name = format!("--{key} ({place})");
    let help = format!(
        "Name a readable file with {key}-file; it must contain nothing but the secret, as UTF-8 text."
    );
    let value = read_secret(&path, &name, help)?;
    warn_if_readable_by_others(&path, &name);
    Ok((value, path))
}

fn path_in(environment: Environment, variable: &str) -> Option<PathBuf> {
    environment(variable).filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// Returns the content of the file; `None` if it is empty. `help` is what to do if it cannot be
/// read.
fn read_secret(path: &Path, name: &str, help: String) -> Result<Option<String>, Failure> {
    let unreadable = |cause: io::Error| {
        let message = format!("the file {} for {name} cannot be read", path.display());
        Failure::new(FailureKind::Configuration, message, help).with_cause(cause)
    };
    let text = local_file::read_text(path, MAX_BYTES).map_err(unreadable)?;
    Ok(non_blank(Some(&text)).map(str::to_owned))
}

/// Logs a warning if other users can read the file. Credentials are not checked: systemd grants the
/// service's user access with an access list, which looks like permissions of the group.
fn warn_if_readable_by_others(path: &Path, name: &str) {
    if ownership::is_readable_by_others(path).is_ok_and(|is_readable| is_readable) {
        tracing::warn!(
            "the permissions of {path} let other users read it, and it contains {name}; run `chmod 600 {path}`",
            path = path.display()
        );
    }
}
