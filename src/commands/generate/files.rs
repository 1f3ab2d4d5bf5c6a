//! Writing generated files to a folder.

use std::fs;
use std::path::Path;

use crate::failure::{Failure, FailureKind};
use crate::report::line;

/// A file's name and content.
pub(super) type File = (String, String);

/// Writes the files, over those of the same names: nobody changes a man page by hand.
pub(super) fn replace(folder: &Path, files: &[File]) -> Result<String, Failure> {
    fs::create_dir_all(folder).map_err(|error| unwritable(folder, &error))?;
    files
        .iter()
        .map(|(name, content)| {
            let path = folder.join(name);
            fs::write(&path, content).map_err(|error| unwritable(&path, &error))?;
            Ok(format!("wrote {}\n", shown(&path)))
        })
        .collect()
}

/// Writes the files unless one of them is there with other content: a person may have changed it.
pub(super) fn add(folder: &Path, files: &[File]) -> Result<String, Failure> {
    let changed: Vec<String> = files
        .iter()
        .map(|(name, content)| (folder.join(name), content))
        .filter(|(path, content)| {
            fs::symlink_metadata(path).is_ok()
                && fs::read(path).ok().as_deref() != Some(content.as_bytes())
        })
        .map(|(path, _)| shown(&path))
        .collect();
    if changed.is_empty() {
        return replace(folder, files);
    }
    Err(Failure::new(
        FailureKind::Configuration,
        format!("there already, and different from what would be written: {}", changed.join(", ")),
        "Nothing was written. Write to an empty folder and compare, or take these files away first; changes of your own are safest in `systemctl edit`.",
    ))
}

fn shown(path: &Path) -> String {
    line(&path.display().to_string())
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(
        FailureKind::Configuration,
        format!("{} cannot be written", shown(path)),
        "Name a folder that this user may write to.",
    )
    .with_cause(error.to_string())
}
