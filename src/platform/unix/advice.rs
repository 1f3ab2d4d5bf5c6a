//! Parts of help texts that depend on the system.

use std::path::Path;

/// Renames a file.
pub(crate) const MOVE: &str = "mv";
/// Shows the free space of all disks.
pub(crate) const DISK_SPACE: &str = "df -h";
/// The help when the system has no more memory, threads or open files for this user.
pub(crate) const LIMITS: &str = "Check the limits of this user (ulimit -a).";
/// The limits of the size of a file.
pub(crate) const FILE_SIZE_LIMIT: &str = "ulimit -f";
/// The path of a settings file without settings.
pub(crate) const EMPTY_FILE: &str = "/dev/null";
/// The help when there are no root certificates.
pub(crate) const CERTIFICATES: &str =
    "Check that the system's certificates are installed (package ca-certificates).";

/// Shows the free space of the disk with this file.
pub(crate) fn disk_space_of(path: &Path) -> String {
    format!("{DISK_SPACE} {}", path.display())
}

/// Shows who has access to a file.
pub(crate) fn show_access(path: &Path) -> String {
    format!("ls -ld {}", path.display())
}

/// The help for a ledger that belongs to another user.
pub(crate) fn take_over(ledger: &Path) -> String {
    format!(
        "Run this as the owner (`sudo -u <USER>`), or give the files to this user (`sudo chown <USER> {}*`)",
        ledger.display()
    )
}

/// Moves a ledger into a folder, which is created.
pub(crate) fn move_into(folder: &Path, ledger: &str) -> String {
    let folder = folder.display();
    format!("mkdir -p -m 700 {folder} && mv {ledger}* {folder}/")
}
