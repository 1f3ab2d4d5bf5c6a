//! The files that a run writes.

use std::fs::{self, File, FileType, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

/// What kind of file is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Accept {
    /// A regular file, or a character device such as `/dev/null`.
    FileOrDevice,
}

/// Opens a file for writing without waiting: opening a FIFO would wait for its reader.
///
/// # Errors
/// When the system does not allow it, or when it is not an accepted kind of file.
pub(crate) fn open(path: &Path, options: &mut OpenOptions, accept: Accept) -> io::Result<File> {
    // Before it is opened: opening a FIFO or a device can have effects, and fails in other words.
    match fs::metadata(path) {
        Ok(found) => verify_type(found.file_type(), accept)?,
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let file = options.custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path)?;
    // It may have been replaced meanwhile.
    verify_type(file.metadata()?.file_type(), accept)?;
    fcntl_setfl(&file, fcntl_getfl(&file)?.difference(OFlags::NONBLOCK))?;
    Ok(file)
}

fn verify_type(found: FileType, accept: Accept) -> io::Result<()> {
    let is_accepted = match accept {
        Accept::FileOrDevice => found.is_file() || found.is_char_device(),
    };
    let reason = if is_accepted {
        return Ok(());
    } else if found.is_dir() {
        "it is a directory"
    } else {
        "it is not a regular file"
    };
    Err(io::Error::other(reason))
}
