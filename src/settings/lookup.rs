//! Looks up settings that have a variable of a vendor: the value is the argument, else that of the
//! [`Layers`], else the default.

use std::fmt;
use std::rc::Rc;

use secrecy::{ExposeSecret, SecretString};

use super::config_file::Value;
use super::layers::{Found, Layers, Wanted};
use super::origin::{EffectiveOption, Origin};
use crate::failure::{Failure, FailureKind, REPORT_BUG};
use crate::redact;

/// The ways to set a missing setting, for the help.
const HOW_TO_SET: &str = "Set each with its flag, with the environment variable in parentheses or in the settings file. A secret can also be in a file named by <VARIABLE>_FILE. An empty value counts as missing.";

/// The text that is shown instead of a secret.
const MASK: &str = "(secret)";

/// The names of a secret, or of another setting that has a variable in addition to
/// `COLLECTIVE_INSIGHTS_<OPTION>`.
#[derive(Debug)]
pub(crate) struct Names {
    pub flag: &'static str,
    /// The environment variable. For a secret, `<VARIABLE>_FILE` names a file that holds it, and
    /// the variable in lower case is the name of its systemd credential.
    pub variable: &'static str,
    /// Variables of the vendor's own tools, used if `variable` is not set or blank.
    pub fallbacks: &'static [&'static str],
    /// A variable of the vendor's own tools that also has other values, used after `fallbacks`.
    pub combined: Option<Part>,
}

impl Names {
    /// Returns the option without its dashes, the key of the settings file.
    pub(crate) fn key(&self) -> &'static str {
        self.flag.trim_start_matches('-')
    }
}

/// One of the values of a variable that has several, such as `<secret>/<id>`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part {
    pub variable: &'static str,
    /// The form of the variable's value, for messages.
    pub form: &'static str,
    /// Returns the part of the variable's value; `None` if that does not have this form.
    pub take: fn(&str) -> Option<&str>,
}

impl Part {
    /// Returns the part of the variable's value.
    ///
    /// # Errors
    /// When the value has another form, or the part is blank.
    pub(super) fn of(&self, value: &str) -> Result<String, Failure> {
        let part = non_blank((self.take)(value)).map(str::to_owned);
        part.ok_or_else(|| {
            Failure::new(
                FailureKind::Configuration,
                format!("the variable {} is not valid: its form is {}", self.variable, self.form),
                "Correct its value. No request was made.",
            )
        })
    }
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.flag, self.variable)
    }
}

/// The reason why a source cannot run with its settings.
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

/// Whether a run needs a setting, and whether its value may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SettingKind {
    Optional,
    Required,
    /// A required setting whose value must not be shown.
    Secret,
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
    /// The file that should contain the value but is empty, for messages.
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

/// Looks up settings, and records where they came from and what is wrong with them.
#[derive(Debug)]
pub(crate) struct Lookup {
    layers: Rc<Layers>,
    settings: Vec<Setting>,
    unreadable: Option<Failure>,
    invalid: Option<Failure>,
}

impl Lookup {
    /// Returns a lookup in these layers.
    pub(crate) fn new(layers: &Rc<Layers>) -> Self {
        let layers = Rc::clone(layers);
        Self { layers, settings: Vec::new(), unreadable: None, invalid: None }
    }

    /// Returns a lookup that finds nothing, to see which settings are looked up.
    pub(crate) fn without_layers() -> Self {
        Self::new(&Rc::new(Layers::empty()))
    }

    /// Looks up an optional text.
    pub(crate) fn optional(
        &mut self,
        names: &'static Names,
        argument: Option<&str>,
    ) -> Option<String> {
        let found = self.find_text(names, argument);
        self.record(names, SettingKind::Optional, found)
    }

    /// Looks up a text that has a default.
    pub(crate) fn defaulted(
        &mut self,
        names: &'static Names,
        argument: Option<&str>,
        default: &str,
    ) -> String {
        let found = self.find_text(names, argument);
        let found = found.unwrap_or_else(|| (default.to_owned(), Origin::Default));
        self.record(names, SettingKind::Optional, Some(found)).unwrap_or_default()
    }

    /// Looks up a required text. `None` is reported as missing.
    pub(crate) fn required(
        &mut self,
        names: &'static Names,
        argument: Option<&str>,
    ) -> Option<String> {
        let found = self.find_text(names, argument);
        self.record(names, SettingKind::Required, found)
    }

    /// Looks up a required secret, also in files. `None` is reported as missing.
    pub(crate) fn secret(
        &mut self,
        names: &'static Names,
        argument: Option<&SecretString>,
    ) -> Option<SecretString> {
        let argument = argument.map(ExposeSecret::expose_secret);
        let mut empty_file = None;
        let found = match self.find(names, argument, SettingKind::Secret) {
            Some(Found { value: Some(Value::One(value)), origin, .. }) => Some((value, origin)),
            Some(Found { origin, .. }) => {
                empty_file = Some(match &origin {
                    Origin::File(name, path) => format!("{name}={}", path.display()),
                    Origin::Credential(path) => format!("credential {}", path.display()),
                    other => other.to_string(),
                });
                None
            }
            None => None,
        };
        let secret = self.record(names, SettingKind::Secret, found).map(SecretString::from);
        if let Some(setting) = self.settings.last_mut() {
            setting.empty_file = empty_file;
        }
        secret.inspect(|secret| {
            redact::register_secret(secret);
            warn_if_quoted(secret, names);
        })
    }

    /// Returns whether the layer of the first setting takes precedence over the layer of the second
    /// one, or only the first one has a value. Each is given with its argument.
    pub(crate) fn precedes(
        &mut self,
        (one, one_argument): (&'static Names, Option<&str>),
        (other, other_argument): (&'static Names, Option<&str>),
    ) -> bool {
        let one = self.find(one, one_argument, SettingKind::Optional);
        let other = self.find(other, other_argument, SettingKind::Optional);
        one.is_some_and(|one| other.is_none_or(|other| one.rank < other.rank))
    }

    /// Returns the validated value of a setting. An error is recorded as for [`Self::accept`], with
    /// the line of the settings file as its cause if the value is from there.
    pub(crate) fn validate<T>(
        &mut self,
        names: &Names,
        validated: Result<T, Failure>,
    ) -> Option<T> {
        let setting = self.settings.iter().find(|setting| setting.names.flag == names.flag);
        let origin = setting.map(|setting| setting.origin.clone());
        self.accept(validated.map_err(|failure| match origin {
            Some(place @ Origin::SettingsFile { .. }) => {
                failure.with_cause(format!("the value is from {place}"))
            }
            _ => failure,
        }))
    }

    /// Returns a validated value; [`Self::finish`] returns the first error as an invalid setting.
    pub(crate) fn accept<T>(&mut self, validated: Result<T, Failure>) -> Option<T> {
        match validated {
            Ok(value) => Some(value),
            Err(failure) => {
                self.invalid.get_or_insert(failure);
                None
            }
        }
    }

    /// Returns the settings in the order in which they were looked up.
    pub(crate) fn settings(&self) -> &[Setting] {
        &self.settings
    }

    /// Returns `value`, which was created from the settings, and the effective options. Logs a
    /// warning about secrets that others may see, and about a tenant that the settings file does
    /// not have.
    ///
    /// # Errors
    /// When a setting is unreadable, missing or invalid (in this order), even if there is a
    /// `value`.
    pub(crate) fn finish<T>(
        self,
        value: Option<T>,
    ) -> Result<(T, Vec<EffectiveOption>), SettingsError> {
        self.warn_about_exposed_secrets();
        if let Some(warning) = self.layers.unknown_tenant() {
            tracing::warn!("{warning}");
        }
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
                format!("{HOW_TO_SET}{}", self.layers.tenant_hint()),
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

    fn warn_about_exposed_secrets(&self) {
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
        for setting in self.settings.iter().filter(|setting| setting.is_secret) {
            if setting.origin.is_settings_file() {
                tracing::warn!(
                    "the secret of {} is in the settings file itself ({}); name a file that contains it with {}-file",
                    setting.names.flag,
                    setting.origin,
                    setting.names.key()
                );
            }
        }
    }

    fn find_text(
        &mut self,
        names: &'static Names,
        argument: Option<&str>,
    ) -> Option<(String, Origin)> {
        match self.find(names, argument, SettingKind::Optional)? {
            Found { value: Some(Value::One(text)), origin, .. } => Some((text, origin)),
            _ => None,
        }
    }

    /// Returns the argument if it is not blank (with rank 0), else what the layers have.
    fn find(
        &mut self,
        names: &'static Names,
        argument: Option<&str>,
        kind: SettingKind,
    ) -> Option<Found> {
        if let Some(text) = non_blank(argument) {
            let value = Some(Value::One(text.to_owned()));
            return Some(Found { value, origin: Origin::Argument, rank: 0 });
        }
        let is_secret = kind == SettingKind::Secret;
        let wanted = Wanted { key: names.key(), names: Some(names), is_secret };
        let found = self.layers.find(wanted);
        let found = self.record_unreadable(found)?;
        Some(Found { rank: found.rank + 1, ..found })
    }

    /// Records a value and returns it.
    fn record(
        &mut self,
        names: &'static Names,
        kind: SettingKind,
        found: Option<(String, Origin)>,
    ) -> Option<String> {
        let is_secret = kind == SettingKind::Secret;
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
            is_required: kind != SettingKind::Optional,
            shown_value,
            origin,
            empty_file: None,
        });
        value
    }

    /// Returns what was found. An error is recorded: [`Self::finish`] returns the first one.
    fn record_unreadable<T>(&mut self, found: Result<Option<T>, Failure>) -> Option<T> {
        found.unwrap_or_else(|failure| {
            self.unreadable.get_or_insert(failure);
            None
        })
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

/// Logs a warning if the secret is in quotation marks, which some env files keep, such as those of
/// `docker run`. They are not removed: they may be part of the secret.
fn warn_if_quoted(secret: &SecretString, names: &Names) {
    let plain = secret.expose_secret();
    let unquoted = |mark| plain.strip_prefix(mark)?.strip_suffix(mark);
    if let Some(unquoted) = unquoted('"').or_else(|| unquoted('\'')) {
        // Usually this is the real secret: hide it in messages too.
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
