//! Writes generated files to a directory.

use std::fs;
use std::path::Path;

use crate::failure::{Failure, FailureKind};
use crate::redact::sanitize;

/// A file's path below the directory, and its content.
pub(super) type File = (String, String);

/// Writes the files and replaces those of the same names: man pages are not edited by hand.
pub(super) fn replace(directory: &Path, files: &[File]) -> Result<String, Failure> {
    fs::create_dir_all(directory).map_err(|error| unwritable(directory, error))?;
    files
        .iter()
        .map(|(name, content)| {
            let path = directory.join(name);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent).map_err(|error| unwritable(parent, error))?;
            }
            fs::write(&path, content).map_err(|error| unwritable(&path, error))?;
            Ok(format!("wrote {}\n", display(&path)))
        })
        .collect()
}

/// Writes the files, or none if one of them exists with other content: it may have been edited.
pub(super) fn add(directory: &Path, files: &[File]) -> Result<String, Failure> {
    let changed: Vec<String> = files
        .iter()
        .map(|(name, content)| (directory.join(name), content))
        .filter(|(path, content)| {
            fs::symlink_metadata(path).is_ok()
                && fs::read(path).ok().as_deref() != Some(content.as_bytes())
        })
        .map(|(path, _)| display(&path))
        .collect();
    if changed.is_empty() {
        return replace(directory, files);
    }
    Err(Failure::new(
        FailureKind::Configuration,
        format!("these files exist with other content: {}", changed.join(", ")),
        "Nothing was written. Write to an empty directory and compare, or remove these files first. Keep changes of your own in `systemctl edit`.",
    ))
}

fn display(path: &Path) -> String {
    sanitize(&path.display().to_string())
}

fn unwritable(path: &Path, error: std::io::Error) -> Failure {
    Failure::new(
        FailureKind::Configuration,
        format!("{} cannot be written", display(path)),
        "Give a directory that this user can write to.",
    )
    .with_cause(error)
}
