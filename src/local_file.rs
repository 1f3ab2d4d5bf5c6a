//! The files that a run writes, and small ones that it reads. In a folder where others can create
//! files, a name may be a link that another user placed there.

use std::fs::{self, File, FileType, OpenOptions};
use std::io::{self, ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use crate::platform::{files, ownership};

/// The kinds of files that are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Accept {
    /// A regular file only.
    File,
    /// A regular file, or a character device such as `/dev/null`.
    FileOrDevice,
}

/// Returns the path in its resolved folder, which must exist. The last component is not resolved: a
/// link there is refused when the file is opened.
///
/// # Errors
/// When the folder cannot be resolved, or the path names no file.
pub(crate) fn resolve(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or_else(|| io::Error::other("the path names no file"))?;
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    Ok(files::canonicalize(folder)?.join(name))
}

/// Verifies that the path names an accepted kind of file, or nothing yet.
///
/// # Errors
/// When it names anything else, or when the system does not tell.
pub(crate) fn verify(path: &Path, accept: Accept) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) => verify_type(found.file_type(), accept),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Opens a file for writing without following a link as its last component, and without waiting:
/// opening a FIFO would wait for its reader. A file that is created is for its owner only.
///
/// # Errors
/// When the system does not allow it, or when it is not an accepted kind of file.
pub(crate) fn open(path: &Path, options: &mut OpenOptions, accept: Accept) -> io::Result<File> {
    // Before it is opened: opening a FIFO or a device can have effects, and the system's error
    // would not say what is wrong.
    verify(path, accept)?;
    let file = files::open_no_follow(path, options)?;
    // It may have been replaced meanwhile.
    verify_type(file.metadata()?.file_type(), accept)?;
    Ok(file)
}

/// Returns a warning if the file exists and others can change it: it belongs to another user, or
/// others have write access to it.
pub(crate) fn warning(description: &str, path: &Path) -> Option<String> {
    ownership::warning(description, &resolve(path).ok()?)
}

fn verify_type(found: FileType, accept: Accept) -> io::Result<()> {
    let is_accepted = match accept {
        Accept::File => found.is_file(),
        Accept::FileOrDevice => found.is_file() || files::is_device(found),
    };
    let reason = if is_accepted {
        return Ok(());
    } else if found.is_dir() {
        "it is a directory"
    } else if found.is_symlink() {
        "it is a symbolic link; name the file itself"
    } else {
        "it is not a regular file"
    };
    Err(io::Error::other(reason))
}

/// Reads a small text file, without the byte order mark that editors on Windows write. A device or
/// a large file that was named by mistake must not fill the memory.
///
/// # Errors
/// When it cannot be read, is larger than `max` bytes or is not UTF-8.
pub(crate) fn read_text(path: &Path, max: u64) -> io::Result<String> {
    let mut text = String::new();
    let read = File::open(path)?.take(max.saturating_add(1)).read_to_string(&mut text)?;
    if u64::try_from(read).unwrap_or(u64::MAX) > max {
        return Err(io::Error::other(format!("it is larger than {max} bytes")));
    }
    if text.starts_with('\u{feff}') {
        text.remove(0);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_order_mark_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        fs::write(&path, "\u{feff}secret\r\n").unwrap();
        assert_eq!(read_text(&path, 100).unwrap(), "secret\r\n");
    }
}
