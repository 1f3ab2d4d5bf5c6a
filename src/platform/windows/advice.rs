//! Parts of help texts that depend on the system. The commands work in PowerShell and in the
//! command prompt.

use std::path::Path;

/// Renames a file.
pub(crate) const MOVE: &str = "move";
/// Shows the free space of drive C:.
pub(crate) const DISK_SPACE: &str = "fsutil volume diskfree C:";
/// The help when the system has no more memory or handles.
pub(crate) const LIMITS: &str = "Check the free memory of this machine.";
/// The limits of the size of a file.
pub(crate) const FILE_SIZE_LIMIT: &str = "4 GiB on FAT32";
/// The path of a settings file without settings.
pub(crate) const EMPTY_FILE: &str = "NUL";
/// The help when there are no root certificates.
pub(crate) const CERTIFICATES: &str = "Check the system's certificate store (certlm.msc).";

/// Shows the free space of the disk with this file.
pub(crate) fn disk_space_of(path: &Path) -> String {
    let folder = path.parent().unwrap_or(path);
    format!("fsutil volume diskfree \"{}\"", folder.display())
}

/// Shows who has access to a file.
pub(crate) fn show_access(path: &Path) -> String {
    format!("icacls \"{}\"", path.display())
}

/// The help for a ledger that belongs to another user.
pub(crate) fn take_over(ledger: &Path) -> String {
    format!(
        "Run this as the user who created it, or let an administrator give this user access to the files (`icacls \"{}*\" /grant <USER>:F`)",
        ledger.display()
    )
}

/// Moves a ledger into a folder, which is created.
pub(crate) fn move_into(folder: &Path, ledger: &str) -> String {
    let folder = folder.display();
    format!("mkdir \"{folder}\", then move {ledger}* \"{folder}\"")
}
