//! Where a setting comes from: the argument, else a variable, else a file that a variable names, else
//! systemd's credentials folder, else a default.

use std::fmt;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use crate::failure::{Failure, FailureKind};
use crate::redact;

/// What is shown in a secret's place.
const MASK: &str = "(secret)";

/// The names of a setting that may come from outside the command line.
#[derive(Debug)]
pub struct Names {
    /// The flag.
    pub flag: &'static str,
    /// The variable; with `_FILE` behind it, the variable that names a file; in lower case, the
    /// credential.
    pub variable: &'static str,
    /// Variables that the vendors' own tools use.
    pub fallbacks: &'static [&'static str],
}

/// The Recorded Future API key.
pub const RF_API_KEY: Names =
    Names { flag: "--rf-api-key", variable: "RF_API_KEY", fallbacks: &["RF_TOKEN"] };
/// Recorded Future's address.
pub const RF_API_URL: Names =
    Names { flag: "--rf-api-url", variable: "RF_API_URL", fallbacks: &[] };
/// CrowdStrike's API client id.
pub const CS_CLIENT_ID: Names =
    Names { flag: "--client-id", variable: "CS_CLIENT_ID", fallbacks: &["FALCON_CLIENT_ID"] };
/// CrowdStrike's API client secret.
pub const CS_CLIENT_SECRET: Names = Names {
    flag: "--client-secret",
    variable: "CS_CLIENT_SECRET",
    fallbacks: &["FALCON_CLIENT_SECRET"],
};
/// CrowdStrike's address.
pub const CS_BASE_URL: Names =
    Names { flag: "--base-url", variable: "CS_BASE_URL", fallbacks: &[] };
/// CrowdStrike's cloud: only the vendor's own tools have a variable for it.
pub const CS_CLOUD: Names = Names { flag: "--cloud", variable: "FALCON_CLOUD", fallbacks: &[] };
/// Carbon Black's organization key.
pub const CB_ORG_ID: Names = Names { flag: "--org-id", variable: "CB_ORG_ID", fallbacks: &[] };
/// Carbon Black's console.
pub const CB_HOSTNAME: Names =
    Names { flag: "--hostname", variable: "CB_HOSTNAME", fallbacks: &[] };
/// Carbon Black's API secret key.
pub const CB_SECRET: Names = Names { flag: "--secret", variable: "CB_SECRET", fallbacks: &[] };
/// Carbon Black's API id.
pub const CB_API_ID: Names = Names { flag: "--api-id", variable: "CB_API_ID", fallbacks: &[] };

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The command line.
    Argument,
    /// This environment variable.
    Variable(String),
    /// This file, which this variable names.
    File(String, PathBuf),
    /// This file in systemd's credentials folder.
    Credential(PathBuf),
    /// Nobody said anything else.
    Default,
    /// It is not set.
    Unset,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Argument => f.write_str("argument"),
            Self::Variable(name) => write!(f, "variable {name}"),
            Self::File(name, path) => write!(f, "file {} ({name})", path.display()),
            Self::Credential(path) => write!(f, "credentials folder, {}", path.display()),
            Self::Default => f.write_str("default"),
            Self::Unset => f.write_str("not set"),
        }
    }
}

/// A setting in force, fit to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectiveOption {
    /// The flag.
    pub flag: String,
    /// Its value; a secret's is masked.
    pub value: String,
    /// Where it came from.
    pub origin: Origin,
}

/// Looks settings up and keeps what is to be said about them.
#[derive(Debug, Default)]
pub struct Lookup {
    missing: Vec<String>,
    secrets_as_arguments: Vec<&'static str>,
    found: Vec<EffectiveOption>,
}

impl Lookup {
    /// A text that may be left out.
    ///
    /// # Errors
    /// When its variable is not UTF-8 text.
    pub fn optional(
        &mut self,
        names: &Names,
        argument: Option<&str>,
    ) -> Result<Option<String>, Failure> {
        let found = match given(argument) {
            Some(value) => Some((value.to_owned(), Origin::Argument)),
            None => from_variable(names)?,
        };
        let (value, origin) =
            found.map_or((None, Origin::Unset), |(value, origin)| (Some(value), origin));
        self.note(names, value.clone().unwrap_or_default(), origin);
        Ok(value)
    }

    /// A text with a default.
    ///
    /// # Errors
    /// When its variable is not UTF-8 text.
    pub fn defaulted(
        &mut self,
        names: &Names,
        argument: Option<&str>,
        default: &str,
    ) -> Result<String, Failure> {
        if let Some(value) = self.optional(names, argument)? {
            return Ok(value);
        }
        self.found.pop();
        self.note(names, default.to_owned(), Origin::Default);
        Ok(default.to_owned())
    }

    /// A text that is needed.
    ///
    /// # Errors
    /// When its variable is not UTF-8 text.
    pub fn required(&mut self, names: &Names, argument: Option<&str>) -> Result<String, Failure> {
        Ok(self.optional(names, argument)?.unwrap_or_else(|| self.miss(names)))
    }

    /// A secret that is needed. It may also come from a file.
    ///
    /// # Errors
    /// When a file that is named for it cannot be read.
    pub fn secret(
        &mut self,
        names: &Names,
        argument: Option<&SecretString>,
    ) -> Result<SecretString, Failure> {
        let found = match given(argument.map(ExposeSecret::expose_secret)) {
            Some(value) => {
                self.secrets_as_arguments.push(names.flag);
                Some((value.to_owned(), Origin::Argument))
            }
            None => match from_variable(names)? {
                Some(found) => Some(found),
                None => from_file(names)?,
            },
        };
        let (value, origin) = found.unwrap_or_else(|| (self.miss(names), Origin::Unset));
        let secret = SecretString::from(value);
        redact::register_secret(&secret);
        let shown = if origin == Origin::Unset { String::new() } else { MASK.to_owned() };
        self.note(names, shown, origin);
        Ok(secret)
    }

    /// What was found, where.
    pub fn into_found(self) -> Vec<EffectiveOption> {
        self.found
    }

    /// Warns of secrets that others can see, and refuses to go on where something is missing.
    ///
    /// # Errors
    /// One failure that names everything missing.
    pub fn check(&self) -> Result<(), Failure> {
        if !self.secrets_as_arguments.is_empty() {
            tracing::warn!(
                "given on the command line, where other users of this machine can see it: {}; environment variables or files are safer",
                self.secrets_as_arguments.join(", ")
            );
        }
        if self.missing.is_empty() {
            return Ok(());
        }
        Err(Failure::new(
            FailureKind::Configuration,
            format!("missing: {}", self.missing.join(", ")),
            "Set each as its flag or as the environment variable in brackets, or name a file that holds a secret with <VARIABLE>_FILE; an empty value counts as missing.",
        ))
    }

    fn miss(&mut self, names: &Names) -> String {
        self.missing.push(format!("{} ({})", names.flag, names.variable));
        String::new()
    }

    fn note(&mut self, names: &Names, value: String, origin: Origin) {
        self.found.push(EffectiveOption {
            flag: names.flag.to_owned(),
            value: without_password(value),
            origin,
        });
    }
}

/// An address as it may be shown: a run refuses one with a user name and a password in it, and what is
/// shown of it must not hold them either.
fn without_password(value: String) -> String {
    match value.rsplit_once('@') {
        Some((before, place)) => match before.split_once("://") {
            Some((scheme, _)) => format!("{scheme}://{MASK}@{place}"),
            None => format!("{MASK}@{place}"),
        },
        None => value,
    }
}

fn from_variable(names: &Names) -> Result<Option<(String, Origin)>, Failure> {
    for name in std::iter::once(&names.variable).chain(names.fallbacks) {
        let Some(value) = std::env::var_os(name) else {
            continue;
        };
        let value = value.to_str().ok_or_else(|| {
            Failure::new(
                FailureKind::Configuration,
                format!("the variable {name} is not UTF-8 text"),
                "Set it anew; nothing was asked or sent.",
            )
        })?;
        if let Some(value) = given(Some(value)) {
            return Ok(Some((value.to_owned(), Origin::Variable((*name).to_owned()))));
        }
    }
    Ok(None)
}

/// A secret from the file that `<VARIABLE>_FILE` names, else from systemd's credentials folder.
fn from_file(names: &Names) -> Result<Option<(String, Origin)>, Failure> {
    let variable = format!("{}_FILE", names.variable);
    if let Some(path) = std::env::var_os(&variable).filter(|path| !path.is_empty()) {
        let path = PathBuf::from(path);
        let value = read_secret(&path, names)?;
        warn_if_open(&path, names);
        return Ok(
            given(Some(&value)).map(|value| (value.to_owned(), Origin::File(variable, path)))
        );
    }
    let Some(folder) =
        std::env::var_os("CREDENTIALS_DIRECTORY").filter(|folder| !folder.is_empty())
    else {
        return Ok(None);
    };
    let path = PathBuf::from(folder).join(names.variable.to_ascii_lowercase());
    if !path.exists() {
        return Ok(None);
    }
    let value = read_secret(&path, names)?;
    Ok(given(Some(&value)).map(|value| (value.to_owned(), Origin::Credential(path))))
}

fn read_secret(path: &Path, names: &Names) -> Result<String, Failure> {
    let unreadable = |reason: String| {
        Failure::new(
            FailureKind::Configuration,
            format!("the file {} for {} cannot be read: {reason}", path.display(), names.flag),
            format!(
                "Name a readable file with {}_FILE; it holds the secret alone, as text.",
                names.variable
            ),
        )
    };
    let bytes = std::fs::read(path).map_err(|error| unreadable(error.to_string()))?;
    String::from_utf8(bytes).map_err(|_| unreadable("it is not UTF-8 text".into()))
}

/// Files that anybody on the machine may read keep no secret. (systemd looks after its credentials: it lets
/// the service's user in by an access list, which looks like rights of a group.)
fn warn_if_open(path: &Path, names: &Names) {
    use std::os::unix::fs::PermissionsExt as _;
    const READ_BY_GROUP_OR_OTHERS: u32 = 0o044;
    let mode =
        std::fs::metadata(path).map(|metadata| metadata.permissions().mode()).unwrap_or_default();
    if mode & READ_BY_GROUP_OR_OTHERS != 0 {
        tracing::warn!(
            "other users of this machine can read {}, which holds {}: chmod 600 it",
            path.display(),
            names.flag
        );
    }
}

/// A text that says something: not empty, not white space alone.
pub fn given(text: Option<&str>) -> Option<&str> {
    text.map(str::trim).filter(|text| !text.is_empty())
}
