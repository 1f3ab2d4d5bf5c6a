//! A file for the output of a command. It appears under its name only when it is complete.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use crate::failure::{Failure, FailureKind};
use crate::report::line;

/// A file that is being written under a temporary name. Unless it is finished, it is deleted.
#[derive(Debug)]
pub(super) struct OutputFile {
    path: PathBuf,
    temporary: PathBuf,
    file: BufWriter<File>,
}

impl OutputFile {
    /// Creates the temporary file in the folder of `path`, with mode 0600.
    ///
    /// # Errors
    /// When it cannot be created, or when `path` names the ledger or anything but a regular file:
    /// renaming would replace a device such as `/dev/null`.
    pub(super) fn create(path: &Path, ledger: &Path) -> Result<Self, Failure> {
        let unusable = |reason: &str| {
            Failure::new(
                FailureKind::Configuration,
                format!("{} cannot be written", line(&path.display().to_string())),
                "Name another file with --output <FILE>, in a folder that this user can write to.",
            )
            .with_cause(reason)
        };
        let Some(name) = path.file_name() else {
            return Err(unusable("the path names no file"));
        };
        match fs::symlink_metadata(path) {
            Ok(found) if !found.is_file() => return Err(unusable("it is not a regular file")),
            Ok(_) if is_same_file(path, ledger) => return Err(unusable("it is the ledger")),
            _ => {}
        }
        let mut temporary = OsString::from(name);
        temporary.push(format!(".{}.tmp", std::process::id()));
        let temporary = path.with_file_name(temporary);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&temporary).map_err(|error| unusable(&error.to_string()))?;
        Ok(Self { path: path.to_owned(), temporary, file: BufWriter::new(file) })
    }

    /// Writes a text, which may stay in the buffer.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn write(&mut self, text: &str) -> Result<(), Failure> {
        self.file.write_all(text.as_bytes()).map_err(|error| self.unwritable(error))
    }

    /// Makes the content durable and gives the file its name.
    ///
    /// # Errors
    /// When that fails; then a file that had the name before is unchanged.
    pub(super) fn finish(mut self) -> Result<(), Failure> {
        self.file
            .flush()
            .and_then(|()| self.file.get_ref().sync_all())
            .and_then(|()| fs::rename(&self.temporary, &self.path))
            .and_then(|()| sync_folder(&self.path))
            .map_err(|error| self.unwritable(error))
    }

    fn unwritable(&self, error: io::Error) -> Failure {
        Failure::new(
            FailureKind::Unexpected,
            format!("{} cannot be written", line(&self.path.display().to_string())),
            "Free some space (`df -h`) or name a file on another disk with --output <FILE>, then run the command again.",
        )
        .with_cause(error)
    }
}

impl Drop for OutputFile {
    fn drop(&mut self) {
        // After a rename there is nothing to delete.
        let _ = fs::remove_file(&self.temporary);
    }
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    matches!((fs::canonicalize(one), fs::canonicalize(other)), (Ok(one), Ok(other)) if one == other)
}

/// Makes a rename durable. A folder that may not be read cannot be synced.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    if !cfg!(unix) {
        return Ok(());
    }
    match File::open(folder) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(()),
        opened => opened?.sync_all(),
    }
}
