//! What differs between operating systems, under the same names for each. No other module has code
//! for one of them only.
//!
//! | module | purpose |
//! |---|---|
//! | `access_list` | access lists of Windows, tested on every system |
//! | `advice` | parts of help texts, such as commands |
//! | `arguments` | parts of arguments that need not be UTF-8 |
//! | `files` | opens files, for their owner or for all users |
//! | `folders` | where the ledger and the settings file are |
//! | `ownership` | who else can change or read a file |
//! | `process` | what is set up when the program starts |
//! | `signals` | the signals that end a run |

#[cfg(any(windows, test))]
mod access_list;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(crate) use self::unix::{advice, arguments, files, folders, ownership, process, signals};
#[cfg(windows)]
pub(crate) use self::windows::{advice, arguments, files, folders, ownership, process, signals};

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    /// Adds the Rust files of a folder, except those in folders named `platform` or `tests`.
    fn add_files(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("platform") && !path.ends_with("tests") {
                add_files(&path, files);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }

    #[test]
    fn no_other_module_has_code_for_one_system() {
        let mut files = Vec::new();
        add_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
        assert!(files.len() > 100, "{files:?}");
        for file in files {
            let text = fs::read_to_string(&file).unwrap();
            for word in
                ["std::os::", "rustix::", "signal::unix", "(unix)", "(windows)", "target_os"]
            {
                assert!(!text.contains(word), "{} has {word}", file.display());
            }
        }
    }
}
