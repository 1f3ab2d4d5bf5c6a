//! The log file: appended to, bounded in size, rotated by the run that holds the lock.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// Whether this process may rotate: two that did so at once would tear each other's files away.
static ROTATION_ENABLED: AtomicBool = AtomicBool::new(false);

/// This process holds the run's lock from now on and may rotate its log.
pub fn enable_rotation() {
    ROTATION_ENABLED.store(true, Ordering::Relaxed);
}

/// Opens a log file for appending, made with mode 0600 where it is not there.
///
/// # Errors
/// The system's.
pub fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

/// A log file with its limits.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    /// Bytes, beyond which it is rotated.
    max_size: u64,
    /// How many rotated files are kept.
    keep: u8,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    file: File,
    size: u64,
    /// Rotating failed once; it is not tried again in this run.
    stuck: bool,
}

impl LogFile {
    /// Opens the file.
    pub fn new(path: &Path, max_size: u64, keep: u8) -> io::Result<Self> {
        let file = open(path)?;
        let size = file.metadata()?.len();
        let state = Mutex::new(State { file, size, stuck: false });
        Ok(Self { path: path.to_owned(), max_size, keep, state })
    }

    /// Writes one line in one write, so that lines of concurrent writers do not mix.
    pub fn write(&self, line: &str) -> io::Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let length = u64::try_from(line.len()).unwrap_or(u64::MAX);
        let too_large = state.size > 0 && state.size.saturating_add(length) > self.max_size;
        if too_large && !state.stuck && ROTATION_ENABLED.load(Ordering::Relaxed) {
            // A log that cannot be rotated grows; it is not worth ending a run for.
            match self.rotate(&state.file) {
                Ok(file) => {
                    state.size = file.metadata()?.len();
                    state.file = file;
                }
                Err(_) => state.stuck = true,
            }
        }
        state.file.write_all(line.as_bytes())?;
        state.size = state.size.saturating_add(length);
        Ok(())
    }

    /// Moves each kept file one number up and begins a new one.
    fn rotate(&self, current: &File) -> io::Result<File> {
        // Another process, or a person, moved the file away already: that was the rotation.
        if !self.is_ours(current)? {
            return open(&self.path);
        }
        for number in (1..self.keep).rev() {
            rename(&self.numbered(number), &self.numbered(number + 1))?;
        }
        rename(&self.path, &self.numbered(1))?;
        open(&self.path)
    }

    fn is_ours(&self, current: &File) -> io::Result<bool> {
        let ours = current.metadata()?;
        match std::fs::metadata(&self.path) {
            Ok(named) => Ok(named.dev() == ours.dev() && named.ino() == ours.ino()),
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

/// Renames a file where it is there, over what has the new name.
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
    fn it_keeps_as_many_as_asked_and_loses_no_line_between_them() {
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
    fn a_file_that_was_moved_away_is_not_moved_again() {
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
