//! The origins of the values of options.

use std::fmt;
use std::path::PathBuf;

/// The origin of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The command line.
    Argument,
    /// This environment variable.
    Variable(String),
    /// A file with a secret: the variable or the `path:line` of the settings file that names it,
    /// and its path.
    File(String, PathBuf),
    /// This file in systemd's credentials directory.
    Credential(PathBuf),
    /// This line of the settings file, from 1.
    SettingsFile {
        path: PathBuf,
        line: usize,
    },
    Default,
    /// Nowhere: there is no value.
    Unset,
}

impl Origin {
    /// Whether the value is from the settings file.
    pub(crate) const fn is_settings_file(&self) -> bool {
        matches!(self, Self::SettingsFile { .. })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Argument => f.write_str("argument"),
            Self::Variable(name) => write!(f, "variable {name}"),
            Self::File(name, path) => write!(f, "file {} ({name})", path.display()),
            Self::Credential(path) => write!(f, "credentials directory, {}", path.display()),
            Self::SettingsFile { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Default => f.write_str("default"),
            Self::Unset => f.write_str("not set"),
        }
    }
}

/// An option and its effective value, safe to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EffectiveOption {
    pub flag: String,
    /// The value; masked if it is a secret.
    pub value: String,
    pub origin: Origin,
}
