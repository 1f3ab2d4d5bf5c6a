//! A file that appears under its name only when it is complete.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use crate::platform::files;

/// The users who can read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readers {
    /// Its owner only: mode 0600; on Windows this user, SYSTEM and administrators.
    Owner,
    /// All users of the machine: mode 0644, whatever the umask is; on Windows those of the folder.
    Everyone,
}

/// A file that is being written under a temporary name. Unless it is finished, it is deleted.
#[derive(Debug)]
pub(crate) struct AtomicFile {
    path: PathBuf,
    temporary: PathBuf,
    file: BufWriter<File>,
}

impl AtomicFile {
    /// Creates the temporary file in the folder of `path`. Its name begins with a dot, so that
    /// programs which read a whole folder skip it.
    ///
    /// # Errors
    /// When it cannot be created, or when the path names no file.
    pub(crate) fn create(path: &Path, readers: Readers) -> io::Result<Self> {
        let name = path.file_name().ok_or_else(|| io::Error::other("the path names no file"))?;
        let mut temporary = OsString::from(".");
        temporary.push(name);
        // Random: in two containers that share a folder, both processes may have the same id.
        temporary.push(format!(".{:08x}.tmp", fastrand::u32(..)));
        let temporary = path.with_file_name(temporary);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        let file = match readers {
            Readers::Owner => files::open_owner_only(&temporary, &mut options),
            Readers::Everyone => files::open_shared(&temporary, &mut options),
        }?;
        Ok(Self { path: path.to_owned(), temporary, file: BufWriter::new(file) })
    }

    /// Copies the mode and the group of the file that is replaced, if there is one. If the group
    /// cannot be set, no group has access. On Windows the new file keeps its own access list.
    ///
    /// # Errors
    /// When the mode cannot be set.
    pub(crate) fn keep_permissions(&self) -> io::Result<()> {
        match fs::metadata(&self.path) {
            Ok(old) => files::copy_access(self.file.get_ref(), &old),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Writes a text, which may stay in the buffer.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn write(&mut self, text: &str) -> io::Result<()> {
        self.file.write_all(text.as_bytes())
    }

    /// Makes the content durable and gives the file its name.
    ///
    /// # Errors
    /// When that fails. The file that had the name before is unchanged then, unless only the sync
    /// of the folder failed: then the new file has the name until a power cut.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        fs::rename(&self.temporary, &self.path)?;
        sync_folder(&self.path)
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        // After a rename there is nothing to delete.
        let _ = fs::remove_file(&self.temporary);
    }
}

/// Makes a rename durable. A folder that may not be read cannot be synced.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    match files::sync_folder(folder) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(()),
        synced => synced,
    }
}
