//! A file for the output of a command. It appears under its name only when it is complete.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::atomic_file::{AtomicFile, Readers};
use crate::failure::{Failure, FailureKind};
use crate::platform::advice;
use crate::redact::sanitize;

/// A file that is being written. Unless it is finished, nothing of it is left.
#[derive(Debug)]
pub(super) struct OutputFile {
    path: PathBuf,
    /// The option that names it.
    option: &'static str,
    file: AtomicFile,
}

impl OutputFile {
    /// Begins a file that only this user can read. `option` is the one that names it, for messages.
    ///
    /// # Errors
    /// When it cannot be created, or when `path` is the ledger or exists and is not a regular file:
    /// renaming would replace a device such as `/dev/null`.
    pub(super) fn create(
        path: &Path,
        option: &'static str,
        ledger: &Path,
    ) -> Result<Self, Failure> {
        let unusable = |reason: &str| {
            Failure::new(
                FailureKind::Configuration,
                format!("{} cannot be written", sanitize(&path.display().to_string())),
                format!("Name another file with {option} <FILE>, in a folder that this user can write to."),
            )
            .with_cause(reason)
        };
        match fs::symlink_metadata(path) {
            Ok(found) if !found.is_file() => return Err(unusable("it is not a regular file")),
            Ok(_) if is_same_file(path, ledger) => return Err(unusable("it is the ledger")),
            _ => {}
        }
        let file = AtomicFile::create(path, Readers::Owner)
            .map_err(|error| unusable(&error.to_string()))?;
        Ok(Self { path: path.to_owned(), option, file })
    }

    /// Copies the mode and the group of the file that is replaced, as
    /// [`AtomicFile::keep_permissions`] does.
    ///
    /// # Errors
    /// When the mode cannot be set.
    pub(super) fn keep_permissions(&self) -> Result<(), Failure> {
        self.file.keep_permissions().map_err(|error| unwritable(&self.path, self.option, error))
    }

    /// Writes a text, which may stay in the buffer.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn write(&mut self, text: &str) -> Result<(), Failure> {
        self.file.write(text).map_err(|error| unwritable(&self.path, self.option, error))
    }

    /// Makes the content durable and gives the file its name.
    ///
    /// # Errors
    /// As [`AtomicFile::finish`].
    pub(super) fn finish(self) -> Result<(), Failure> {
        let Self { path, option, file } = self;
        file.finish().map_err(|error| unwritable(&path, option, error))
    }
}

fn unwritable(path: &Path, option: &str, error: io::Error) -> Failure {
    Failure::new(
        FailureKind::Unexpected,
        format!("{} cannot be written", sanitize(&path.display().to_string())),
        format!(
            "Free some space (`{}`) or name a file on another disk with {option} <FILE>, then run the command again.",
            advice::DISK_SPACE
        ),
    )
    .with_cause(error)
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    matches!((fs::canonicalize(one), fs::canonicalize(other)), (Ok(one), Ok(other)) if one == other)
}
