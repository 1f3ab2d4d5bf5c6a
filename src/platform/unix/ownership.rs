//! The checks of whether other users can change or read a file.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::process::{getegid, geteuid};

/// Returns a warning if the file exists and others can change it: it belongs to another user, or
/// others have write access to it.
pub(crate) fn warning(description: &str, path: &Path) -> Option<String> {
    const WRITABLE_BY_GROUP_OR_OTHERS: u32 = 0o022;
    let found = fs::symlink_metadata(path).ok()?;
    let (owner, user, mode) = (found.uid(), geteuid().as_raw(), found.mode() & 0o777);
    let path = path.display();
    if !found.is_file() {
        None
    } else if owner != user {
        Some(format!(
            "the {description} {path} belongs to another user (id {owner}; this process runs as id {user}), who can change it"
        ))
    } else if mode & WRITABLE_BY_GROUP_OR_OTHERS != 0 {
        Some(format!(
            "other users of this machine can change the {description} {path} (mode {mode:04o}): chmod 600 it"
        ))
    } else {
        None
    }
}

/// Returns who owns a file or a folder, if it is not this user, as a sentence. If it does not exist
/// or cannot be seen, the nearest folder above it counts.
pub(crate) fn describe_owner(path: &Path) -> Option<String> {
    let path = std::path::absolute(path).ok()?;
    let (found, metadata) =
        path.ancestors().find_map(|found| Some((found, fs::symlink_metadata(found).ok()?)))?;
    let owner = metadata.uid();
    let is_file = found == path && !metadata.is_dir();
    (owner != geteuid().as_raw()).then(|| {
        let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
        owned_by(found, is_file, &user_name(owner, &passwd))
    })
}

fn owned_by(found: &Path, is_file: bool, owner: &str) -> String {
    let found = found.display();
    match (is_file, owner) {
        (true, "root") => {
            format!("{found} is owned by root, for example because a run was started with sudo")
        }
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

/// Whether other users can read the file. If it belongs to root, this process may read it through
/// its own group, for example as a Kubernetes Secret: then that group does not count.
///
/// # Errors
/// When the file does not exist, or the system does not tell.
pub(crate) fn is_readable_by_others(path: &Path) -> io::Result<bool> {
    let metadata = fs::metadata(path)?;
    let file = (metadata.uid(), metadata.gid(), metadata.mode());
    Ok(is_open_to_others(file, geteuid().as_raw(), getegid().as_raw()))
}

const fn is_open_to_others(
    (owner, group, mode): (u32, u32, u32),
    user: u32,
    own_group: u32,
) -> bool {
    const ROOT: u32 = 0;
    let is_for_group = owner == ROOT && user != ROOT && group == own_group;
    mode & if is_for_group { 0o004 } else { 0o044 } != 0
}

/// Returns a warning if a file that this process created can be read by others. Here it has mode
/// 0600 from the beginning.
pub(crate) const fn created_warning() -> Option<String> {
    None
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
            (
                true,
                "root",
                "/a/b is owned by root, for example because a run was started with sudo",
            ),
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

    #[test]
    fn only_the_group_of_a_file_of_root_may_read_a_secret() {
        const GROUP: u32 = 500;
        for (owner, group, mode, user, expected) in [
            (1000, GROUP, 0o600, 1000, false),
            (1000, GROUP, 0o640, 1000, true),
            (1000, GROUP, 0o604, 1000, true),
            (0, GROUP, 0o440, 1000, false),
            (0, 501, 0o440, 1000, true),
            (0, GROUP, 0o444, 1000, true),
            (0, GROUP, 0o640, 0, true),
            (1001, GROUP, 0o640, 1000, true),
        ] {
            let is_open = is_open_to_others((owner, group, mode), user, GROUP);
            assert_eq!(is_open, expected, "{owner}:{group} {mode:o} {user}");
        }
    }
}
