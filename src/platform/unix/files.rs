//! Opens files. New ones are for their owner only, except those of [`open_shared`].

use std::fs::{self, DirBuilder, File, FileType, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{
    DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _,
    PermissionsExt as _,
};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, OFlags, accessat, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;

/// Opens a file. One that is created has mode 0600.
///
/// # Errors
/// When the system does not allow it.
pub(crate) fn open_owner_only(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    options.mode(0o600).open(path)
}

/// Creates a file that all users can read, whatever the umask is.
///
/// # Errors
/// When the system does not allow it.
pub(crate) fn open_shared(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let file = open_owner_only(path, options)?;
    file.set_permissions(Permissions::from_mode(0o644))?;
    Ok(file)
}

/// Gives a file the mode and the group of another. If the group cannot be set, for example because
/// this user is not in it, no group has access.
///
/// # Errors
/// When the mode cannot be set.
pub(crate) fn copy_access(file: &File, other: &Metadata) -> io::Result<()> {
    let has_group = file.metadata()?.gid() == other.gid()
        || std::os::unix::fs::fchown(file, None, Some(other.gid())).is_ok();
    let mask = if has_group { 0o777 } else { 0o707 };
    file.set_permissions(Permissions::from_mode(other.mode() & mask))
}

/// Opens a file without following a link as its last component, and without waiting for the reader
/// of a FIFO. One that is created has mode 0600.
///
/// # Errors
/// When the system does not allow it.
pub(crate) fn open_no_follow(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK);
    let file = open_owner_only(path, options.custom_flags(flags.bits().cast_signed()))?;
    fcntl_setfl(&file, fcntl_getfl(&file)?.difference(OFlags::NONBLOCK))?;
    Ok(file)
}

/// Creates a folder, and those above it, with mode 0700.
///
/// # Errors
/// When the system does not allow it.
pub(crate) fn create_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Makes a rename in a folder durable.
///
/// # Errors
/// When the folder cannot be read, or the disk fails.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Returns the absolute path without links.
///
/// # Errors
/// When the path does not exist, or the system does not tell.
pub(crate) fn canonicalize(path: &Path) -> io::Result<PathBuf> {
    fs::canonicalize(path)
}

/// Whether this is a character device such as `/dev/null`.
pub(crate) fn is_device(found: FileType) -> bool {
    found.is_char_device()
}

/// Whether both describe one file.
pub(crate) fn is_same_file(one: &Metadata, other: &Metadata) -> bool {
    one.dev() == other.dev() && one.ino() == other.ino()
}

/// Whether this user may not read the file. The file is not opened for this: closing a ledger would
/// drop `SQLite`'s locks on it.
pub(crate) fn is_unreadable(path: &Path) -> bool {
    accessat(CWD, path, Access::READ_OK, AtFlags::EACCESS) == Err(Errno::ACCESS)
}
