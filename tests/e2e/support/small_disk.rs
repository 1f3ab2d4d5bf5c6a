//! A small file system, for tests of a full disk.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A small file system, unmounted when this is dropped.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts a file system of this size, such as `8m`. Returns `None` if this user cannot mount.
    pub fn mount(path: &Path, size: &str) -> Option<Self> {
        fs::create_dir(path).unwrap();
        let options = format!("size={size},nr_inodes=64");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(path).output();
        mounted.is_ok_and(|mounted| mounted.status.success()).then(|| Self(path.to_owned()))
    }

    /// Changes its size.
    pub fn resize(&self, size: &str) {
        let options = format!("remount,size={size}");
        let resized = Command::new("mount").args(["-o", &options]).arg(&self.0).status().unwrap();
        assert!(resized.success());
    }

    /// Fills it until only this much is free, in KiB.
    pub fn fill(&self, free: u64) {
        let filler = self.filler();
        let mut content = Vec::new();
        let mut size = 1 << 24;
        while size >= 4096 {
            content.resize(content.len() + size, 1);
            if fs::write(&filler, &content).is_err() {
                content.truncate(content.len() - size);
            }
            size /= 2;
        }
        content.truncate(content.len().saturating_sub(usize::try_from(free * 1024).unwrap()));
        fs::write(filler, content).unwrap();
    }

    /// Undoes [`SmallDisk::fill`].
    pub fn remove_filler(&self) {
        fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).output();
    }
}
