//! The log file: appended to, limited in size, rotated by runs that have opened their ledger.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::local_file::{self, Accept};
use crate::platform::files::is_same_file;

/// Whether this process may rotate: two that rotate at once would rename each other's files.
static ROTATION_ENABLED: AtomicBool = AtomicBool::new(false);

/// Allows this process to rotate its log: its run has opened its ledger. The lock of the ledger
/// lets one run at a time do so; runs without a ledger, or with different ones, need logs of their
/// own.
pub(crate) fn enable_rotation() {
    ROTATION_ENABLED.store(true, Ordering::Relaxed);
}

/// Opens a log file for appending; a new one is created with mode 0600.
///
/// # Errors
/// When the system does not allow it, or when it is a link or anything else but a regular file or a
/// character device.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    local_file::open(&local_file::resolve(path)?, &mut options, Accept::FileOrDevice)
}

/// An open log file and its limits.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    /// The maximum size, in bytes: before it gets larger, it is rotated.
    max_size: u64,
    /// How many rotated files are kept.
    keep: u8,
    state: Mutex<OpenFile>,
}

#[derive(Debug)]
struct OpenFile {
    file: File,
    size: u64,
    /// Whether rotation failed: it is not tried again in this process.
    rotation_failed: bool,
}

impl LogFile {
    pub(crate) fn new(path: &Path, max_size: u64, keep: u8) -> io::Result<Self> {
        // Resolved once: rotation must not rename the files of another folder.
        let path = local_file::resolve(path)?;
        let file = open(&path)?;
        let metadata = file.metadata()?;
        let size = metadata.len();
        // Rotation would rename a device.
        let max_size = if metadata.is_file() { max_size } else { u64::MAX };
        let state = Mutex::new(OpenFile { file, size, rotation_failed: false });
        Ok(Self { path, max_size, keep, state })
    }

    /// Writes a line with one system call, so that the lines of concurrent processes do not mix.
    pub(crate) fn write(&self, line: &str) -> io::Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let length = u64::try_from(line.len()).unwrap_or(u64::MAX);
        let too_large = state.size > 0 && state.size.saturating_add(length) > self.max_size;
        if too_large && !state.rotation_failed && ROTATION_ENABLED.load(Ordering::Relaxed) {
            // A log that cannot be rotated grows, which is better than to end the run.
            match self.rotate(&state.file) {
                Ok(file) => {
                    state.size = file.metadata()?.len();
                    state.file = file;
                }
                Err(_) => state.rotation_failed = true,
            }
        }
        state.file.write_all(line.as_bytes())?;
        state.size = state.size.saturating_add(length);
        Ok(())
    }

    /// Increments the number of each rotated file and opens a new file.
    fn rotate(&self, current: &File) -> io::Result<File> {
        // Another process or a person has already moved the file away.
        if !self.is_same_file(current)? {
            return open(&self.path);
        }
        for number in (1..self.keep).rev() {
            rename(&self.numbered(number), &self.numbered(number + 1))?;
        }
        rename(&self.path, &self.numbered(1))?;
        open(&self.path)
    }

    fn is_same_file(&self, current: &File) -> io::Result<bool> {
        let current = current.metadata()?;
        match std::fs::symlink_metadata(&self.path) {
            Ok(named) => Ok(is_same_file(&named, &current)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn numbered(&self, number: u8) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    }
}

/// Renames a file if it exists, and replaces the target.
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    match std::fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_given_number_of_files_is_kept_and_no_line_is_lost_between_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        enable_rotation();
        let log = LogFile::new(&path, 30, 2).unwrap();
        for number in 0..9 {
            log.write(&format!("line {number} ......\n")).unwrap();
        }
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(read("a.log"), "line 8 ......\n");
        assert_eq!(read("a.log.1"), "line 6 ......\nline 7 ......\n");
        assert_eq!(read("a.log.2"), "line 4 ......\nline 5 ......\n");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3);
    }

    #[test]
    fn a_device_is_not_rotated() {
        enable_rotation();
        let device = Path::new("/dev/null");
        let log = LogFile::new(device, 1, 1).unwrap();
        assert_eq!(log.max_size, u64::MAX);
    }

    #[test]
    fn a_file_that_was_moved_away_is_not_rotated() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        enable_rotation();
        let log = LogFile::new(&path, 10, 2).unwrap();
        log.write("first line\n").unwrap();
        std::fs::rename(&path, folder.path().join("elsewhere")).unwrap();
        std::fs::write(&path, "of another process\n").unwrap();
        log.write("second line\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "of another process\nsecond line\n");
    }
}
