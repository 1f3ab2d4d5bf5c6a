//! The files that a settings file names, in a container: each is a key of a Secret, and mounted at
//! the path that the settings file has for it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Component, Path};

use super::quote::quoted;

/// The folder of the settings file. One volume has it and all other files in this folder.
pub(super) const SETTINGS_FOLDER: &str = "/etc/collective-insights";
/// The name of the settings file, and its key in the Secret.
pub(super) const SETTINGS: &str = "config.toml";
/// The placeholder in the Secret for the content of a file.
pub(super) const PLACEHOLDER: &str = "REPLACE-ME";
/// What the container needs: a volume at one of these folders, or above it, would hide that.
const NEEDED_FOLDERS: [&str; 4] = [SETTINGS_FOLDER, "/usr/local/bin", "/etc/ssl/certs", "/tmp"];
/// The longest key of a Secret, less room for a suffix.
const MAX_KEY: usize = 240;

/// The files, by their paths in the container.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// The settings that use each file, for example `ca-cert of [defaults]`.
    usages: BTreeMap<String, Vec<String>>,
}

/// A file with its key in the Secret.
#[derive(Debug)]
pub(super) struct MountedFile {
    key: String,
    path: String,
    usages: Vec<String>,
}

impl Files {
    /// Adds a file that the settings file names.
    ///
    /// # Errors
    /// The reason why its path cannot be that of a file in the container.
    pub(super) fn add(&mut self, path: &str, usage: String) -> Result<(), &'static str> {
        let path = container_path(path)?;
        if path == format!("{SETTINGS_FOLDER}/{SETTINGS}") {
            return Err("is the path of the settings file in the container");
        }
        self.usages.entry(path).or_default().push(usage);
        Ok(())
    }

    /// Adds a file for a secret that is in the settings file itself, and returns the path of the
    /// file.
    pub(super) fn add_secret(&mut self, name: &str, usage: &str) -> String {
        let path =
            unique(&format!("{SETTINGS_FOLDER}/{name}"), |path| !self.usages.contains_key(path));
        self.usages.insert(path.clone(), vec![usage.to_owned()]);
        path
    }

    /// Returns each file with a key that no other file has.
    pub(super) fn mounted_files(&self) -> Vec<MountedFile> {
        let mut taken = BTreeSet::from([SETTINGS.to_owned()]);
        let usages = self.usages.iter();
        usages
            .map(|(path, usages)| {
                let key = unique(&key(path), |key| !taken.contains(key));
                taken.insert(key.clone());
                MountedFile { key, path: path.clone(), usages: usages.clone() }
            })
            .collect()
    }
}

impl MountedFile {
    /// Returns the path relative to the folder of the settings file; `None` if it is not below
    /// that.
    fn below_settings(&self) -> Option<&str> {
        self.path.strip_prefix(SETTINGS_FOLDER)?.strip_prefix('/')
    }
}

/// Returns the name, or if that is not free, the name with the first free suffix from `-2`.
fn unique(name: &str, is_free: impl Fn(&str) -> bool) -> String {
    let suffixes = (2..).map(|number: u64| format!("{name}-{number}"));
    let mut names = std::iter::once(name.to_owned()).chain(suffixes);
    names.find(|name| is_free(name)).unwrap_or_else(|| name.to_owned())
}

/// Returns a key of a Secret for the file, from its name: characters that a key cannot have become
/// hyphens, and dots at the beginning are left out.
fn key(path: &str) -> String {
    let (_, name) = path.rsplit_once('/').unwrap_or(("", path));
    let is_allowed = |char: char| char.is_ascii_alphanumeric() || "-._".contains(char);
    let allowed = |char: char| if is_allowed(char) { char } else { '-' };
    let key: String = name.chars().map(allowed).take(MAX_KEY).collect();
    match key.trim_start_matches('.') {
        "" => "file".to_owned(),
        key => key.to_owned(),
    }
}

/// Returns the path without empty and `.` components.
///
/// # Errors
/// The reason why Kubernetes cannot mount a file at this path.
fn container_path(path: &str) -> Result<String, &'static str> {
    if !path.starts_with('/') {
        return Err("must be an absolute path");
    }
    if path.contains(':') {
        return Err("has a colon, which the path of a mount cannot have");
    }
    let mut normal = String::new();
    for component in Path::new(path).components() {
        match component.as_os_str().to_str() {
            Some(name) if matches!(component, Component::Normal(_)) && !name.starts_with("..") => {
                normal.push('/');
                normal.push_str(name);
            }
            _ if component == Component::RootDir => {}
            _ => return Err("has a folder or file name that begins with two dots"),
        }
    }
    if normal.is_empty() || path.ends_with('/') {
        return Err("must name a file");
    }
    Ok(normal)
}

/// Returns the folder of a ledger.
///
/// # Errors
/// The reason why a volume cannot be mounted there.
pub(super) fn ledger_folder(path: &str) -> Result<String, &'static str> {
    let path = container_path(path)?;
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    if NEEDED_FOLDERS
        .iter()
        .any(|needed| Path::new(needed).starts_with(Path::new("/").join(folder)))
    {
        return Err("must be in a folder of its own, because a volume is mounted there");
    }
    Ok(folder.to_owned())
}

/// Returns the settings file as a value of the Secret.
pub(super) fn settings_block(text: &str) -> String {
    let mut block = format!("  {SETTINGS}: |\n");
    for line in text.lines() {
        // Writing to a String cannot fail.
        let _ = match line {
            "" => writeln!(block),
            line => writeln!(block, "    {line}"),
        };
    }
    block
}

/// Returns a placeholder for each file as a value of the Secret.
pub(super) fn secret_data(files: &[MountedFile]) -> String {
    const MAX_NAMED: usize = 3;
    let mut data = String::new();
    for MountedFile { key, path, usages } in files {
        let named = usages.iter().take(MAX_NAMED).map(String::as_str);
        let others = (usages.len() > MAX_NAMED).then_some("others");
        let usages: Vec<&str> = named.chain(others).collect();
        let _ = writeln!(
            data,
            "  # {}: {}\n  {}: {}",
            quoted(path),
            usages.join(", "),
            quoted(key),
            quoted(PLACEHOLDER)
        );
    }
    data
}

/// Returns the mounts: one for the folder of the settings file, and one for each file elsewhere,
/// because a mount of its folder would hide other files.
pub(super) fn mounts(files: &[MountedFile]) -> String {
    let mut mounts = format!(
        "            - name: settings\n              mountPath: {SETTINGS_FOLDER}\n              readOnly: true\n"
    );
    for MountedFile { key, path, .. } in elsewhere(files) {
        let _ = writeln!(
            mounts,
            "            - name: files\n              mountPath: {}\n              subPath: {}\n              readOnly: true",
            quoted(path),
            quoted(key)
        );
    }
    mounts
}

/// Returns the volumes of the mounts.
pub(super) fn volumes(secret: &str, files: &[MountedFile]) -> String {
    let below = files.iter().filter_map(|file| Some((&*file.key, file.below_settings()?)));
    let mut text = volume("settings", secret, [(SETTINGS, SETTINGS)].into_iter().chain(below));
    let mut elsewhere = elsewhere(files).map(|file| (&*file.key, &*file.key)).peekable();
    if elsewhere.peek().is_some() {
        text += &volume("files", secret, elsewhere);
    }
    text
}

fn elsewhere(files: &[MountedFile]) -> impl Iterator<Item = &MountedFile> {
    files.iter().filter(|file| file.below_settings().is_none())
}

fn volume<'a>(name: &str, secret: &str, items: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut volume = format!(
        "          - name: {name}\n            secret:\n              secretName: {}\n              defaultMode: 0400\n              items:\n",
        quoted(secret)
    );
    for (key, path) in items {
        let _ = writeln!(
            volume,
            "              - key: {}\n                path: {}",
            quoted(key),
            quoted(path)
        );
    }
    volume
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_valid_and_different() {
        let mut files = Files::default();
        for path in [
            "/a/rf",
            "/b/rf",
            "/etc/collective-insights/rf",
            "/c/config.toml",
            "/c/.hidden",
            "/c/a b",
            "/c/a\nb",
            "/c/\u{e4}",
        ] {
            files.add(path, "it".to_owned()).unwrap();
        }
        let files = files.mounted_files();
        let keys: Vec<&str> = files.iter().map(|file| &*file.key).collect();
        assert_eq!(keys, ["rf", "rf-2", "hidden", "a-b", "a-b-2", "config.toml-2", "-", "rf-3"]);
    }

    #[test]
    fn a_secret_of_the_settings_file_has_a_file_of_its_own() {
        let mut files = Files::default();
        files.add("/etc/collective-insights/defaults.key", "it".to_owned()).unwrap();
        let path = files.add_secret("defaults.key", "it");
        assert_eq!(path, "/etc/collective-insights/defaults.key-2");
    }

    #[test]
    fn paths_are_those_of_files_in_a_container() {
        for (path, expected) in [
            ("/a//b/./c", Ok("/a/b/c")),
            ("/a b/\u{e4}\n", Ok("/a b/\u{e4}\n")),
            ("a/b", Err("must be an absolute path")),
            ("/a:b", Err("has a colon, which the path of a mount cannot have")),
            ("/a/../b", Err("has a folder or file name that begins with two dots")),
            ("/a/..b", Err("has a folder or file name that begins with two dots")),
            ("/a/", Err("must name a file")),
            ("/", Err("must name a file")),
        ] {
            assert_eq!(container_path(path).as_deref(), expected.as_deref(), "{path}");
        }
    }

    #[test]
    fn the_volume_of_the_ledger_hides_nothing() {
        for (path, folder) in [
            ("/data/a.db", "/data"),
            ("/var/lib/collective-insights/a.db", "/var/lib/collective-insights"),
            ("/etc/collective-insights/state/a.db", "/etc/collective-insights/state"),
        ] {
            assert_eq!(ledger_folder(path).as_deref(), Ok(folder));
        }
        for path in
            ["/a.db", "/etc/a.db", "/etc/collective-insights/a.db", "/usr/a.db", "/tmp/a.db"]
        {
            assert!(ledger_folder(path).is_err(), "{path}");
        }
    }
}
