//! The files that a run writes, and small ones that it reads. In a folder where others can create
//! files, a name may be a link that another user placed there.

use std::fs::{self, File, FileType, OpenOptions};
use std::io::{self, ErrorKind, Read as _};
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

/// Returns who owns a file, if it is not this user, as a sentence. Of a file that does not exist or
/// cannot be seen, the folder counts.
pub(crate) fn describe_owner(path: &Path) -> Option<String> {
    let path = std::path::absolute(path).ok()?;
    let (found, metadata) =
        path.ancestors().find_map(|found| Some((found, fs::symlink_metadata(found).ok()?)))?;
    let owner = metadata.uid();
    let is_file = found == path;
    (owner != geteuid().as_raw()).then(|| {
        let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
        owned_by(found, is_file, &user_name(owner, &passwd))
    })
}

fn owned_by(found: &Path, is_file: bool, owner: &str) -> String {
    let found = found.display();
    match (is_file, owner) {
        (true, "root") => format!("{found} is owned by root: the last run was started with sudo"),
        (true, _) => format!("{found} is owned by {owner}"),
        (false, _) => format!("the folder {found} is owned by {owner}"),
    }
}

/// Returns the name of a user in the text of `/etc/passwd`, or the id.
fn user_name(id: u32, passwd: &str) -> String {
    let name = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(id)).then(|| name.to_owned())
    });
    name.unwrap_or_else(|| format!("user {id}"))
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

/// Reads a small text file. A device or a large file that was named by mistake must not fill the
/// memory.
///
/// # Errors
/// When it cannot be read, is larger than `max` bytes or is not UTF-8.
pub(crate) fn read_text(path: &Path, max: u64) -> io::Result<String> {
    let mut text = String::new();
    let read = File::open(path)?.take(max.saturating_add(1)).read_to_string(&mut text)?;
    if u64::try_from(read).unwrap_or(u64::MAX) > max {
        return Err(io::Error::other(format!("it is larger than {max} bytes")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_of_a_file_is_named() {
        let passwd =
            "root:x:0:0:root:/root:/bin/sh\n+\nbroken:x\nalice:x:1000:1000::/home/alice:\n";
        assert_eq!(user_name(0, passwd), "root");
        assert_eq!(user_name(1000, passwd), "alice");
        assert_eq!(user_name(1001, passwd), "user 1001");
        let path = Path::new("/a/b");
        for (is_file, owner, expected) in [
            (true, "root", "/a/b is owned by root: the last run was started with sudo"),
            (true, "alice", "/a/b is owned by alice"),
            (false, "root", "the folder /a/b is owned by root"),
        ] {
            assert_eq!(owned_by(path, is_file, owner), expected);
        }
    }

    #[test]
    fn an_own_file_has_no_other_owner() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(describe_owner(folder.path()), None);
        assert_eq!(describe_owner(&folder.path().join("missing/file")), None);
    }
}
