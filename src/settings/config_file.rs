//! The settings file, in TOML: finds, reads and parses it. Which keys a table can have, and with
//! which values, is checked in `cli::file_keys`.

mod parse;
#[cfg(test)]
mod tests;

use std::env;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::TenantName;
use super::origin::Origin;
use crate::failure::{Failure, FailureKind};
use crate::local_file;
use crate::platform::{advice, folders, ownership};

/// The maximum size of the file: thousands of tenants have less than a megabyte.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// The variable that names the file.
pub(crate) const CONFIG_VARIABLE: &str = "COLLECTIVE_INSIGHTS_CONFIG";

/// A settings file.
#[derive(Debug)]
pub(crate) struct ConfigFile {
    pub path: PathBuf,
    /// Whether no other user can read it.
    pub is_private: bool,
    /// `[defaults]`: the settings of every tenant.
    pub defaults: Table,
    /// `[defaults.<source>]`: the name of a source, and the settings of all its tenants.
    pub source_defaults: Vec<(String, Table)>,
    /// Each `[[tenant]]`.
    pub tenants: Vec<TenantTable>,
    /// The mistakes in its syntax and its tables.
    mistakes: Vec<Mistake>,
}

/// The settings of one tenant.
#[derive(Debug)]
pub(crate) struct TenantTable {
    pub name: TenantName,
    /// The name of its source.
    pub source: String,
    /// Whether `run` includes it: `enabled = false` leaves it out.
    pub is_enabled: bool,
    pub table: Table,
}

/// The settings of one table.
#[derive(Debug, Default, Clone)]
pub(crate) struct Table {
    pub entries: Vec<Entry>,
}

/// One setting.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// An option without its dashes.
    pub key: String,
    pub value: Value,
    /// The line of the key, from 1.
    pub line: usize,
}

/// A value of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Flag(bool),
    /// A string or a decimal integer.
    One(String),
    /// An array of strings and decimal integers.
    Many(Vec<String>),
    /// A value that no option accepts: what it is, for messages.
    Other(&'static str),
}

/// A mistake in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mistake {
    /// The line, from 1.
    pub line: usize,
    pub message: String,
}

impl Entry {
    /// Whether the value is empty, which counts as not set.
    pub(crate) fn is_blank(&self) -> bool {
        matches!(&self.value, Value::One(text) if text.trim().is_empty())
    }
}

impl Table {
    /// Returns the setting of this key.
    pub(crate) fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }
}

impl ConfigFile {
    /// Reads the file that the argument names, else the one of the variable, else the first
    /// existing one of the default paths: the user's file, then the machine's. Returns it with the
    /// origin of its path. `None` if no file is named and none exists, or if the only one is the
    /// machine's in a folder that this user may not look into.
    ///
    /// # Errors
    /// When a named file does not exist, and when the file cannot be read.
    pub(crate) fn find(
        argument: Option<&Path>,
        sources: &[String],
    ) -> Result<Option<(Self, Origin)>, Failure> {
        let variable = env::var_os(CONFIG_VARIABLE).filter(|path| !path.is_empty());
        let named = argument
            .map(|path| (path.to_owned(), Origin::Argument))
            .or_else(|| Some((variable?.into(), Origin::Variable(CONFIG_VARIABLE.to_owned()))));
        if let Some((path, origin)) = named {
            let text = local_file::read_text(&path, MAX_BYTES)
                .map_err(|error| unreadable(&path, error))?;
            return Ok(Some((Self::parse(path, &text, sources)?, origin)));
        }
        let paths = folders::settings_files();
        let machine = paths.last().cloned();
        for path in paths {
            let is_machine = machine.as_ref() == Some(&path);
            match local_file::read_text(&path, MAX_BYTES) {
                Ok(text) => return Ok(Some((Self::parse(path, &text, sources)?, Origin::Default))),
                Err(error) if is_absent(error.kind()) => {}
                Err(error) if is_machine && is_in_closed_folder(&path, &error) => {}
                Err(error) => return Err(unreadable(&path, error)),
            }
        }
        Ok(None)
    }

    fn parse(path: PathBuf, text: &str, sources: &[String]) -> Result<Self, Failure> {
        let is_readable =
            ownership::is_readable_by_others(&path).map_err(|error| unreadable(&path, error))?;
        let mut file = parse::parse(text, sources);
        file.path = path;
        file.is_private = !is_readable;
        Ok(file)
    }

    /// Returns a file with this text as if it was `config.toml` and only its owner could read it.
    pub(crate) fn with_text(text: &str, sources: &[String]) -> Self {
        Self { path: "config.toml".into(), is_private: true, ..parse::parse(text, sources) }
    }

    /// Whether the file has neither settings nor tenants.
    pub(crate) fn is_empty(&self) -> bool {
        self.defaults.entries.is_empty()
            && self.source_defaults.is_empty()
            && self.tenants.is_empty()
    }

    /// Returns the tenant of this name.
    pub(crate) fn tenant(&self, name: &TenantName) -> Option<&TenantTable> {
        self.tenants.iter().find(|tenant| tenant.name == *name)
    }

    /// Returns a failure if there are mistakes: those that parsing found, and `mistakes`, which are
    /// about keys and values. It lists the first 20 by line, so that they can be corrected
    /// together.
    pub(crate) fn failure(&self, mut mistakes: Vec<Mistake>) -> Option<Failure> {
        const MAX_SHOWN: usize = 20;
        mistakes.extend(self.mistakes.iter().cloned());
        mistakes.sort_by_key(|mistake| mistake.line);
        let mut shown: Vec<String> = mistakes
            .iter()
            .take(MAX_SHOWN)
            .map(|Mistake { line, message }| format!("{}:{line}: {message}", self.path.display()))
            .collect();
        if mistakes.len() > MAX_SHOWN {
            shown.push(format!("and {} more", mistakes.len() - MAX_SHOWN));
        }
        (!mistakes.is_empty()).then(|| {
            Failure::new(
                FailureKind::Configuration,
                "the settings file is not valid",
                "Correct it (--config, COLLECTIVE_INSIGHTS_CONFIG); `collective-insights help options` describes it. No request was made.",
            )
            .with_list(shown)
        })
    }
}

fn is_absent(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// Whether this user may not look into the folder of a file. The folder /etc/collective-insights of
/// an installed package is such a one for most users: its settings are not for them.
fn is_in_closed_folder(path: &Path, error: &std::io::Error) -> bool {
    let is_denied = |error: &std::io::Error| error.kind() == ErrorKind::PermissionDenied;
    is_denied(error) && path.symlink_metadata().is_err_and(|error| is_denied(&error))
}

fn unreadable(path: &Path, error: std::io::Error) -> Failure {
    Failure::new(
        FailureKind::Configuration,
        format!("the settings file {} cannot be read", path.display()),
        format!(
            "Name a readable file in UTF-8 with --config (COLLECTIVE_INSIGHTS_CONFIG); {} is one without settings. No request was made.",
            advice::EMPTY_FILE
        ),
    )
    .with_cause(error)
}
