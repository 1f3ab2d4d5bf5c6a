//! Opens files, and restricts new ones to this user, SYSTEM and administrators.
//!
//! A new file first inherits the access list of its folder. Before anything is written to it, it
//! gets a list of its own; creating it with that list would require unsafe code. A user who may
//! read files in that folder, and opens the new one in between, can read it.

use std::fs::{self, File, FileType, Metadata, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Component, Path, PathBuf, Prefix};

use super::ownership;

/// Opens a file. One that is created gets an access list of its own.
///
/// # Errors
/// When the system does not allow it.
pub(crate) fn open_owner_only(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let is_new = is_absent(path);
    let file = options.open(path)?;
    if is_new {
        ownership::restrict(path);
    }
    Ok(file)
}

/// Creates a file with the access list of its folder.
///
/// # Errors
/// When the system does not allow it.
pub(crate) fn open_shared(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    options.open(path)
}

/// Does nothing: the file keeps its access list. To copy another would require unsafe code.
///
/// # Errors
/// None.
#[allow(clippy::unnecessary_wraps, reason = "it can fail on other systems")]
pub(crate) fn copy_access(_file: &File, _other: &Metadata) -> io::Result<()> {
    Ok(())
}

/// Does the same as [`open_owner_only`]: the caller has verified that it is not a link. In between,
/// only users who can write to the folder can replace it by one.
///
/// # Errors
/// When the system does not allow it.
pub(crate) fn open_no_follow(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    open_owner_only(path, options)
}

/// Creates a folder, and those above it. The folder gets an access list of its own, which the files
/// in it inherit.
///
/// # Errors
/// When the system does not allow it.
pub(crate) fn create_folder(path: &Path) -> io::Result<()> {
    let is_new = is_absent(path);
    fs::create_dir_all(path)?;
    if is_new {
        ownership::restrict(path);
    }
    Ok(())
}

fn is_absent(path: &Path) -> bool {
    fs::symlink_metadata(path).is_err_and(|error| error.kind() == ErrorKind::NotFound)
}

/// Does nothing: NTFS has a journal for the names of files, and a folder cannot be synced.
#[expect(clippy::unnecessary_wraps, reason = "it can fail on other systems")]
pub(crate) fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}

/// Returns the absolute path without links, in its usual form: `C:\a` and not `\\?\C:\a`, which few
/// programs accept.
///
/// # Errors
/// When the path does not exist, or the system does not tell.
pub(crate) fn canonicalize(path: &Path) -> io::Result<PathBuf> {
    // The path may be a folder: the name of a file in it follows, then SQLite's `-journal`. The
    // limit for all of it is 260.
    const MAX_LENGTH: usize = 200;
    let full = fs::canonicalize(path)?;
    let mut components = full.components();
    let Some(Component::Prefix(prefix)) = components.next() else {
        return Ok(full);
    };
    let Prefix::VerbatimDisk(letter) = prefix.kind() else {
        return Ok(full);
    };
    let mut usual = PathBuf::from(format!("{}:", char::from(letter)));
    usual.push(components.as_path());
    // Some names exist in the full form only, for example `a.` and `nul`.
    let is_same = fs::canonicalize(&usual).is_ok_and(|path| path == full);
    Ok(if is_same && usual.as_os_str().len() <= MAX_LENGTH { usual } else { full })
}

/// Devices have no file type of their own here.
pub(crate) const fn is_device(_found: FileType) -> bool {
    false
}

/// Whether both may describe one file: they have the same length. Used before the log is rotated,
/// in case another process did that: a new log of this length is large enough to be rotated too.
pub(crate) fn is_same_file(one: &Metadata, other: &Metadata) -> bool {
    one.len() == other.len()
}

/// Whether this user may not read the file.
pub(crate) fn is_unreadable(path: &Path) -> bool {
    File::open(path).is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
}
