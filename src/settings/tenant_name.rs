//! The name of a tenant.

use std::fmt;
use std::str::FromStr;

/// The longest name, in characters.
const MAX_CHARACTERS: usize = 64;

/// The name under which a ledger keeps the part of one tenant: letters,
/// digits, `.`, `_` and `-`, so that it can be part of a log line, a file name and a URL.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TenantName(String);

impl TenantName {
    /// Returns the default name of a tenant: the name of its source.
    pub(crate) fn of_source(source: &str) -> Self {
        Self(source.to_owned())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TenantName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_allowed = |char: char| char.is_ascii_alphanumeric() || "._-".contains(char);
        let is_valid = text.starts_with(|first: char| first.is_ascii_alphanumeric())
            && text.len() <= MAX_CHARACTERS
            && text.chars().all(is_allowed);
        is_valid.then(|| Self(text.to_owned())).ok_or(
            "a name has up to 64 letters a to z, digits, '.', '_' and '-', and begins with a letter or digit; for example acme-falcon",
        )
    }
}

impl fmt::Display for TenantName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_word_that_fits_everywhere() {
        for name in ["crowdstrike", "acme-falcon", "A.b_3", &"x".repeat(64)] {
            assert_eq!(name.parse::<TenantName>().unwrap().as_str(), name);
        }
        for name in ["", " a", "a b", "-a", ".a", "a/b", "a\n", "é", &"x".repeat(65)] {
            assert!(name.parse::<TenantName>().is_err(), "{name:?}");
        }
    }
}
