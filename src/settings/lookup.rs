//! Looks up settings: the argument, then environment variables; for secrets, then the file that
//! `<VARIABLE>_FILE` names, then systemd's credentials directory. Otherwise the default, if there
//! is one.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};

use super::secret_file;
use crate::failure::{Failure, FailureKind, REPORT_BUG};
use crate::redact;

/// What is shown instead of a secret.
const MASK: &str = "(secret)";

/// The names of a setting that can be set outside the command line.
#[derive(Debug)]
pub(crate) struct Names {
    pub flag: &'static str,
    /// The environment variable. For a secret, `<VARIABLE>_FILE` names a file that holds it, and
    /// the variable in lower case is the name of its systemd credential.
    pub variable: &'static str,
    /// Variables of the vendor's own tools, used if `variable` is not set.
    pub fallbacks: &'static [&'static str],
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.flag, self.variable)
    }
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The command line.
    Argument,
    /// This environment variable.
    Variable(String),
    /// This file, named by this variable.
    File(String, PathBuf),
    /// This file in systemd's credentials directory.
    Credential(PathBuf),
    Default,
    /// Nowhere: there is no value.
    Unset,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Argument => f.write_str("argument"),
            Self::Variable(name) => write!(f, "variable {name}"),
            Self::File(name, path) => write!(f, "file {} ({name})", path.display()),
            Self::Credential(path) => write!(f, "credentials directory, {}", path.display()),
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

/// Why a source cannot run with its settings.
#[derive(Debug)]
pub(crate) enum SettingsError {
    /// Required settings have no value.
    Missing(Failure),
    /// A value cannot be read or is not valid.
    Invalid(Failure),
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        match error {
            SettingsError::Missing(failure) | SettingsError::Invalid(failure) => failure,
        }
    }
}

/// One setting that was looked up.
#[derive(Debug)]
pub(crate) struct Setting {
    pub names: &'static Names,
    /// Whether its value must not be shown.
    pub is_secret: bool,
    /// Whether a run needs a value.
    pub is_required: bool,
    shown_value: String,
    origin: Origin,
    /// The file that should contain the value, if it was read and is empty.
    empty_file: Option<String>,
}

impl Setting {
    /// Describes the setting if it has no value.
    fn describe_missing(&self) -> String {
        match &self.empty_file {
            Some(file) => format!("{} ({file} is empty)", self.names.flag),
            None => self.names.to_string(),
        }
    }
}

/// Returns the value of a variable.
pub(super) type Environment = fn(&str) -> Option<OsString>;

/// Looks settings up and remembers where they came from and what is wrong with them.
#[derive(Debug)]
pub(crate) struct Lookup {
    environment: Environment,
    settings: Vec<Setting>,
    unreadable: Option<Failure>,
    invalid: Option<Failure>,
}

impl Lookup {
    /// Returns a lookup in this process's environment.
    pub(crate) fn from_environment() -> Self {
        Self::new(|name| std::env::var_os(name))
    }

    /// Returns a lookup in an empty environment, to see which settings are looked up.
    pub(crate) fn without_environment() -> Self {
        Self::new(|_| None)
    }

    const fn new(environment: Environment) -> Self {
        Self { environment, settings: Vec::new(), unreadable: None, invalid: None }
    }

    /// Looks up an optional text.
    pub(crate) fn optional(
        &mut self,
        names: &'static Names,
        argument: Option<&str>,
    ) -> Option<String> {
        let found = self.argument_or_variable(names, argument);
        self.record(names, false, false, found)
    }

    /// Looks up a text that has a default.
    pub(crate) fn defaulted(
        &mut self,
        names: &'static Names,
        argument: Option<&str>,
        default: &str,
    ) -> String {
        let found = self.argument_or_variable(names, argument);
        let found = found.unwrap_or_else(|| (default.to_owned(), Origin::Default));
        self.record(names, false, false, Some(found)).unwrap_or_default()
    }

    /// Looks up a required text. `None` is reported as missing.
    pub(crate) fn required(
        &mut self,
        names: &'static Names,
        argument: Option<&str>,
    ) -> Option<String> {
        let found = self.argument_or_variable(names, argument);
        self.record(names, false, true, found)
    }

    /// Looks up a required secret, also in files. `None` is reported as missing.
    pub(crate) fn secret(
        &mut self,
        names: &'static Names,
        argument: Option<&SecretString>,
    ) -> Option<SecretString> {
        let argument = argument.map(ExposeSecret::expose_secret);
        let mut empty_file = None;
        let found = self.argument_or_variable(names, argument).or_else(|| {
            let file = secret_file::read(self.environment, names);
            let (value, origin) = self.record_unreadable(file)?;
            if value.is_none() {
                empty_file = Some(match &origin {
                    Origin::File(variable, path) => format!("{variable}={}", path.display()),
                    Origin::Credential(path) => format!("credential {}", path.display()),
                    other => other.to_string(),
                });
            }
            Some((value?, origin))
        });
        let secret = self.record(names, true, true, found).map(SecretString::from);
        if let Some(setting) = self.settings.last_mut() {
            setting.empty_file = empty_file;
        }
        secret.inspect(|secret| {
            redact::register_secret(secret);
            warn_if_quoted(secret, names);
        })
    }

    /// Returns a validated value; an error is reported as an invalid setting.
    pub(crate) fn accept<T>(&mut self, validated: Result<T, Failure>) -> Option<T> {
        match validated {
            Ok(value) => Some(value),
            Err(failure) => {
                self.invalid.get_or_insert(failure);
                None
            }
        }
    }

    /// Returns the settings that were looked up, in that order.
    pub(crate) fn settings(&self) -> &[Setting] {
        &self.settings
    }

    /// Returns `value` and its options. Logs a warning if a secret was given as an argument.
    ///
    /// # Errors
    /// When a setting is unreadable, missing or invalid (in this order), even if there is a value.
    pub(crate) fn finish<T>(
        self,
        value: Option<T>,
    ) -> Result<(T, Vec<EffectiveOption>), SettingsError> {
        self.warn_about_secrets_in_arguments();
        if let Some(failure) = self.unreadable {
            return Err(SettingsError::Invalid(failure));
        }
        let missing: Vec<String> = self
            .settings
            .iter()
            .filter(|setting| setting.is_required && setting.origin == Origin::Unset)
            .map(Setting::describe_missing)
            .collect();
        if !missing.is_empty() {
            let failure = Failure::new(
                FailureKind::Configuration,
                "required settings are missing",
                "Set each with its flag or with the environment variable in parentheses. A secret can also be in a file named by <VARIABLE>_FILE. An empty value counts as missing.",
            );
            return Err(SettingsError::Missing(failure.with_list(missing)));
        }
        match (self.invalid, value) {
            (Some(failure), _) => Err(SettingsError::Invalid(failure)),
            (None, Some(value)) => Ok((value, effective(self.settings))),
            (None, None) => Err(SettingsError::Invalid(Failure::new(
                FailureKind::Unexpected,
                "internal error: a source reported no reason why it cannot run",
                REPORT_BUG,
            ))),
        }
    }

    /// Returns the options that were looked up, also if some are missing or not valid.
    ///
    /// # Errors
    /// When a value could not be read.
    pub(crate) fn into_options(self) -> Result<Vec<EffectiveOption>, Failure> {
        match self.unreadable {
            Some(failure) => Err(failure),
            None => Ok(effective(self.settings)),
        }
    }

    fn warn_about_secrets_in_arguments(&self) {
        let secrets: Vec<String> = self
            .settings
            .iter()
            .filter(|setting| setting.is_secret && setting.origin == Origin::Argument)
            .map(|setting| setting.names.to_string())
            .collect();
        if !secrets.is_empty() {
            tracing::warn!(
                "other users of this machine can see secrets given on the command line: {}; environment variables and files are safer",
                secrets.join(", ")
            );
        }
    }

    fn argument_or_variable(
        &mut self,
        names: &Names,
        argument: Option<&str>,
    ) -> Option<(String, Origin)> {
        if let Some(value) = non_blank(argument) {
            return Some((value.to_owned(), Origin::Argument));
        }
        let found = self.read_variable(names);
        self.record_unreadable(found)
    }

    /// Records a value and returns it.
    fn record(
        &mut self,
        names: &'static Names,
        is_secret: bool,
        is_required: bool,
        found: Option<(String, Origin)>,
    ) -> Option<String> {
        let (value, origin) = found.unzip();
        let shown_value = match &value {
            None => String::new(),
            Some(_) if is_secret => MASK.to_owned(),
            Some(value) => mask_userinfo(value),
        };
        let origin = origin.unwrap_or(Origin::Unset);
        self.settings.push(Setting {
            names,
            is_secret,
            is_required,
            shown_value,
            origin,
            empty_file: None,
        });
        value
    }

    /// Returns what was found; an error is recorded as an unreadable setting.
    fn record_unreadable<T>(&mut self, found: Result<Option<T>, Failure>) -> Option<T> {
        found.unwrap_or_else(|failure| {
            self.unreadable.get_or_insert(failure);
            None
        })
    }

    fn read_variable(&self, names: &Names) -> Result<Option<(String, Origin)>, Failure> {
        for name in std::iter::once(&names.variable).chain(names.fallbacks) {
            let Some(value) = (self.environment)(name) else {
                continue;
            };
            let value = value.to_str().ok_or_else(|| {
                Failure::new(
                    FailureKind::Configuration,
                    format!("the variable {name} is not UTF-8 text"),
                    "Correct its value. No request was made.",
                )
            })?;
            if let Some(value) = non_blank(Some(value)) {
                return Ok(Some((value.to_owned(), Origin::Variable((*name).to_owned()))));
            }
        }
        Ok(None)
    }
}

fn effective(settings: Vec<Setting>) -> Vec<EffectiveOption> {
    let option = |setting: Setting| EffectiveOption {
        flag: setting.names.flag.to_owned(),
        value: setting.shown_value,
        origin: setting.origin,
    };
    settings.into_iter().map(option).collect()
}

/// Replaces user name and password in a URL with `(secret)`. Applied to every value that is shown;
/// text before an `@` is masked even if it is not a URL.
fn mask_userinfo(value: &str) -> String {
    match value.rsplit_once('@') {
        Some((before, rest)) => match before.split_once("://") {
            Some((scheme, _)) => format!("{scheme}://{MASK}@{rest}"),
            None => format!("{MASK}@{rest}"),
        },
        None => value.to_owned(),
    }
}

/// Logs a warning if the secret is in quotation marks, which env files and crontabs keep. They may
/// be part of it, so the value stays as it is.
fn warn_if_quoted(secret: &SecretString, names: &Names) {
    let plain = secret.expose_secret();
    let unquoted = |mark| plain.strip_prefix(mark)?.strip_suffix(mark);
    if let Some(unquoted) = unquoted('"').or_else(|| unquoted('\'')) {
        // Usually the real secret.
        redact::register_secret(&SecretString::from(unquoted));
        tracing::warn!(
            "the value of {names} begins and ends with a quotation mark; remove the quotation marks if they are not part of it"
        );
    }
}

/// Returns the text without surrounding white space; `None` if nothing is left.
pub(crate) fn non_blank(text: Option<&str>) -> Option<&str> {
    text.map(str::trim).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests;
