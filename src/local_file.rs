//! The files that a run writes. In a folder where others can create files, a name may be a link
//! that another user placed there.

use std::fs::{self, File, FileType, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::geteuid;

/// What kind of file is accepted.
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
    Ok(fs::canonicalize(folder)?.join(name))
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
/// opening a FIFO would wait for its reader.
///
/// # Errors
/// When the system does not allow it, or when it is not an accepted kind of file.
pub(crate) fn open(path: &Path, options: &mut OpenOptions, accept: Accept) -> io::Result<File> {
    // Before it is opened: opening a FIFO or a device can have effects, and fails in other words.
    verify(path, accept)?;
    let flags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK);
    let file = options.custom_flags(flags.bits().cast_signed()).open(path)?;
    // It may have been replaced meanwhile.
    verify_type(file.metadata()?.file_type(), accept)?;
    fcntl_setfl(&file, fcntl_getfl(&file)?.difference(OFlags::NONBLOCK))?;
    Ok(file)
}

/// Returns a warning if the file exists and others can change it: it belongs to another user, or
/// others have write access to it.
pub(crate) fn warning(description: &str, path: &Path) -> Option<String> {
    const WRITTEN_BY_GROUP_OR_OTHERS: u32 = 0o022;
    let found = fs::symlink_metadata(resolve(path).ok()?).ok()?;
    let (owner, user, mode) = (found.uid(), geteuid().as_raw(), found.mode() & 0o777);
    let path = path.display();
    if !found.is_file() {
        None
    } else if owner != user {
        Some(format!(
            "the {description} {path} belongs to another user (id {owner}; this process runs as id {user}), who can change it"
        ))
    } else if mode & WRITTEN_BY_GROUP_OR_OTHERS != 0 {
        Some(format!(
            "other users of this machine can change the {description} {path} (mode {mode:04o}): chmod 600 it"
        ))
    } else {
        None
    }
}

fn verify_type(found: FileType, accept: Accept) -> io::Result<()> {
    let is_accepted = match accept {
        Accept::File => found.is_file(),
        Accept::FileOrDevice => found.is_file() || found.is_char_device(),
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
