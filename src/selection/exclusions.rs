//! The list of known-good indicators, which are never submitted.
//!
//! One indicator a line:
//!
//! | line | covers |
//! |---|---|
//! | SHA-256, SHA-1 or MD5 | that hash |
//! | `example.com` | that name, and every URL on it |
//! | `.example.com` | that name and all below it, and every URL on them |
//! | `192.0.2.10`, `2001:db8::1` | that address, and every URL on it |
//! | `192.0.2.0/24`, `2001:db8::/32` | every address in the network, and every URL on them |
//! | `https://example.com/a` | that URL alone |
//!
//! A name or address covers URLs too because whoever lists an own or a known-good host does
//! not want it talked about in any form. Names and addresses of inner networks may be listed.
//!
//! Upper and lower case, surrounding white space, blank lines, a byte order mark and the kind
//! of line ends do not matter. `#` starts a comment; in a URL only after white space, because
//! URLs have fragments. Of a CSV file (comma, semicolon or tab) the first column counts, which
//! may be quoted. A URL that contains a comma or a semicolon has to be quoted, or it ends there.
//!
//! Any other line is an error. A line that was skipped in silence would be an indicator that
//! somebody believes to be excluded and that is submitted all the same.

use std::collections::HashSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::{fmt, fs, io};

use ipnet::IpNet;

use crate::indicator::url::{self, Host};
use crate::indicator::{Indicator, IndicatorType};

use line::Rule;

mod line;

#[cfg(test)]
mod tests;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
const QUOTED_CHARS: usize = 80;

/// Known-good indicators.
#[derive(Clone, Default)]
pub struct Exclusions {
    hashes: HashSet<String>,
    names: HashSet<String>,
    subtrees: HashSet<String>,
    addresses: HashSet<IpAddr>,
    networks: HashSet<IpNet>,
    urls: HashSet<String>,
}

impl Exclusions {
    /// Reads the list from a file.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, is not UTF-8, or has a line that is no indicator.
    pub fn read(path: &Path) -> Result<Self, ExclusionError> {
        let bytes = fs::read(path)
            .map_err(|source| ExclusionError::Unreadable { path: path.to_owned(), source })?;
        Self::parse(path, &bytes)
    }

    /// Reads the list from the content of a file; the path is for messages only.
    ///
    /// # Errors
    ///
    /// When the content is not UTF-8 or has a line that is no indicator.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self, ExclusionError> {
        let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
        let text = std::str::from_utf8(bytes).map_err(|error| ExclusionError::NotUtf8 {
            path: path.to_owned(),
            line: line_after(bytes.get(..error.valid_up_to()).unwrap_or_default()),
        })?;
        let mut exclusions = Self::default();
        for (index, line) in lines(text).enumerate() {
            match line::read(line) {
                Ok(Some(rule)) => exclusions.insert(rule),
                Ok(None) => {}
                Err(line::Malformed) => {
                    return Err(ExclusionError::Line {
                        path: path.to_owned(),
                        line: index + 1,
                        text: line.trim().escape_debug().take(QUOTED_CHARS).collect(),
                    });
                }
            }
        }
        Ok(exclusions)
    }

    /// Whether the indicator is known to be good.
    #[must_use]
    pub fn covers(&self, indicator: &Indicator) -> bool {
        let value = indicator.value();
        match indicator.kind() {
            IndicatorType::Hash => self.hashes.contains(value),
            IndicatorType::Domain => self.covers_name(value),
            IndicatorType::Ip => value.parse().is_ok_and(|address| self.covers_address(address)),
            IndicatorType::Url => self.covers_url(value),
        }
    }

    /// How many different rules the list has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.hashes.len()
            + self.names.len()
            + self.subtrees.len()
            + self.addresses.len()
            + self.networks.len()
            + self.urls.len()
    }

    /// Whether the list covers nothing at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn insert(&mut self, rule: Rule) {
        match rule {
            Rule::Hash(hash) => self.hashes.insert(hash),
            Rule::Name(name) => self.names.insert(name),
            Rule::Subtree(name) => self.subtrees.insert(name),
            Rule::Address(address) => self.addresses.insert(address),
            Rule::Network(network) => self.networks.insert(network),
            Rule::Url(url) => self.urls.insert(url),
        };
    }

    fn covers_name(&self, name: &str) -> bool {
        let mut ancestry = std::iter::successors(Some(name), |name| Some(name.split_once('.')?.1));
        self.names.contains(name) || ancestry.any(|name| self.subtrees.contains(name))
    }

    fn covers_address(&self, address: IpAddr) -> bool {
        self.addresses.contains(&address)
            || self.networks.iter().any(|network| network.contains(&address))
    }

    fn covers_url(&self, url: &str) -> bool {
        self.urls.contains(url)
            || url::normalise(url).is_some_and(|location| match location.host {
                Host::Name(name) => self.covers_name(&name),
                Host::Address(address) => self.covers_address(address),
            })
    }
}

/// Only the count: a list can be long, and it tells what an organisation owns.
impl fmt::Debug for Exclusions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Exclusions").field(&self.len()).finish()
    }
}

/// Why a list of exclusions cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ExclusionError {
    /// The file is missing, a directory, or not ours to read.
    #[error("{}: the list of exclusions cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is not text in UTF-8.
    #[error("{}:{line}: not UTF-8 text; save the file as UTF-8", path.display())]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// The first line that is not, counted from 1.
        line: usize,
    },
    /// A line is no indicator.
    #[error(
        "{}:{line}: \"{text}\" is not a hash, domain, address, network or http(s) URL; \
         put # before a header or a remark",
        path.display()
    )]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The beginning of the line, safe to print.
        text: String,
    },
}

/// The lines of a text, whether they end in LF, CRLF or CR alone.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n').flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
}

/// The number of the line on which the byte after `bytes` stands.
fn line_after(bytes: &[u8]) -> usize {
    let text = String::from_utf8_lossy(bytes);
    lines(&text).count() + usize::from(text.ends_with('\r'))
}
