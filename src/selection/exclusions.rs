//! The exclusion list: indicators that are known to be good and are never sent.
//!
//! One indicator per line:
//!
//! | line | matches |
//! |---|---|
//! | SHA-256, SHA-1 or MD5 | that hash |
//! | `example.com` | that name, and every URL on it |
//! | `.example.com` | that name and all subdomains, and every URL on them |
//! | `192.0.2.10`, `2001:db8::1` | that address, and every URL on it |
//! | `192.0.2.0/24`, `2001:db8::/32` | every address in the network, and every URL on them |
//! | `https://example.com/a` | that URL only |
//!
//! A name or address matches URLs too, because a host that is excluded should not be sent in any
//! form. Internal names and addresses may be listed.
//!
//! Case (except in a URL after its host), surrounding white space, blank lines, a byte order mark
//! and the form of line ends do not matter. `#` starts a comment; in a URL only after white space,
//! because URLs have fragments. Of a CSV file (comma, semicolon or tab) the first column counts,
//! which may be quoted. A URL that contains a comma or a semicolon has to be quoted, or it ends
//! there.
//!
//! The first of these lines may be a header, such as `sha256`. Any other line is an error: if it
//! were skipped, an indicator that the user excluded would be sent.

use std::collections::{BTreeSet, HashMap};
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
/// How many invalid lines an error names.
const MAX_NAMED_LINES: usize = 20;

/// An exclusion list.
#[derive(Clone, Default)]
pub struct Exclusions {
    /// The rules in normal form, each with the first line that has it. The forms of different kinds
    /// differ: only a suffix begins with a dot, only a network has a slash and no scheme.
    rules: HashMap<Box<str>, u32>,
    /// The prefix lengths of the networks: an address needs one lookup for each.
    ipv4_prefixes: BTreeSet<u8>,
    ipv6_prefixes: BTreeSet<u8>,
    header: Option<QuotedLine>,
}

/// A line of the file, as a message quotes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotedLine {
    /// The line, counted from 1.
    pub number: usize,
    /// The beginning of the line, safe to print.
    pub text: String,
}

impl QuotedLine {
    fn new(index: usize, line: &str) -> Self {
        let text = line.trim().escape_debug().take(QUOTED_CHARS).collect();
        Self { number: index + 1, text }
    }
}

/// A rule of an exclusion list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListedRule<'a> {
    /// The first line that has it, counted from 1.
    pub line: u32,
    /// The rule in normal form, for example `.example.com` or `192.0.2.0/24`. It stays the same
    /// where the file is sorted or written in another way.
    pub text: &'a str,
}

impl Exclusions {
    /// Reads the list from a file.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, is not UTF-8, or has lines that are not indicators.
    pub fn read(path: &Path) -> Result<Self, ExclusionError> {
        let bytes = fs::read(path)
            .map_err(|source| ExclusionError::Unreadable { path: path.to_owned(), source })?;
        Self::parse(path, &bytes)
    }

    /// Reads the list from the content of a file; the path is for messages only.
    ///
    /// # Errors
    ///
    /// When the content is not UTF-8 or has lines that are not indicators.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self, ExclusionError> {
        let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
        let text = std::str::from_utf8(bytes).map_err(|error| ExclusionError::NotUtf8 {
            path: path.to_owned(),
            line: line_after(bytes.get(..error.valid_up_to()).unwrap_or_default()),
        })?;
        let mut exclusions = Self::default();
        let mut invalid = Vec::new();
        let mut invalid_count = 0;
        let mut is_first = true;
        for (index, line) in lines(text).enumerate() {
            match line::read(line) {
                Ok(None) => continue,
                Ok(Some(rule)) => {
                    exclusions.insert(rule, u32::try_from(index + 1).unwrap_or(u32::MAX));
                }
                Err(line::InvalidLine) if is_first && line::is_header(line) => {
                    exclusions.header = Some(QuotedLine::new(index, line));
                }
                Err(line::InvalidLine) => {
                    invalid_count += 1;
                    if invalid.len() < MAX_NAMED_LINES {
                        invalid.push(QuotedLine::new(index, line));
                    }
                }
            }
            is_first = false;
        }
        if invalid.is_empty() {
            return Ok(exclusions);
        }
        Err(ExclusionError::Lines { path: path.to_owned(), lines: invalid, count: invalid_count })
    }

    /// Returns the header line that was skipped, if there was one.
    #[must_use]
    pub const fn header(&self) -> Option<&QuotedLine> {
        self.header.as_ref()
    }

    /// Returns the rule that excludes an indicator: of several, the most specific one.
    #[must_use]
    pub fn find(&self, indicator: &Indicator) -> Option<ListedRule<'_>> {
        let value = indicator.value();
        match indicator.kind() {
            IndicatorType::Hash => self.get(value),
            IndicatorType::Domain => self.find_name(value),
            IndicatorType::Ip => self.find_address(value.parse().ok()?),
            IndicatorType::Url => self.get(value).or_else(|| match url::normalize(value)?.host {
                Host::Name(name) => self.find_name(&name),
                Host::Address(address) => self.find_address(address),
            }),
        }
    }

    /// Returns the different rules, in no particular order.
    pub fn rules(&self) -> impl Iterator<Item = ListedRule<'_>> {
        self.rules.iter().map(|(text, line)| ListedRule { line: *line, text })
    }

    /// Returns the number of different rules.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether the list has no rules.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    fn insert(&mut self, rule: Rule, line: u32) {
        let text = match rule {
            Rule::Text(text) => text,
            Rule::Network(network) => {
                let prefixes = match network {
                    IpNet::V4(_) => &mut self.ipv4_prefixes,
                    IpNet::V6(_) => &mut self.ipv6_prefixes,
                };
                prefixes.insert(network.prefix_len());
                network.to_string()
            }
        };
        self.rules.entry(text.into()).or_insert(line);
    }

    fn get(&self, text: &str) -> Option<ListedRule<'_>> {
        self.rules.get_key_value(text).map(|(text, line)| ListedRule { line: *line, text })
    }

    fn find_name(&self, name: &str) -> Option<ListedRule<'_>> {
        let suffix = format!(".{name}");
        let mut parents = suffix.match_indices('.').filter_map(|(at, _)| suffix.get(at..));
        self.get(name).or_else(|| parents.find_map(|suffix| self.get(suffix)))
    }

    fn find_address(&self, address: IpAddr) -> Option<ListedRule<'_>> {
        let prefixes = if address.is_ipv4() { &self.ipv4_prefixes } else { &self.ipv6_prefixes };
        self.get(&address.to_string()).or_else(|| {
            // The smallest network first.
            prefixes.iter().rev().find_map(|length| {
                let network = IpNet::new(address, *length).ok()?.trunc();
                self.get(&network.to_string())
            })
        })
    }
}

/// Prints the number of rules only: a list can be long, and it shows what an organization owns.
impl fmt::Debug for Exclusions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Exclusions").field(&self.len()).finish()
    }
}

/// The error of an exclusion list that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ExclusionError {
    /// The file is missing, is a directory, or may not be read.
    #[error("{}: the exclusion file cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The error of the system.
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
    /// Lines are not indicators.
    #[error(
        "{}; put # in front of a header or a comment",
        describe_lines(path, lines, *count)
    )]
    Lines {
        /// The file.
        path: PathBuf,
        /// The first of the lines, in order.
        lines: Vec<QuotedLine>,
        /// The number of all such lines.
        count: usize,
    },
}

/// Describes invalid lines, as `list.txt:7: "x y" is not ...`, the position as in a compiler's
/// message.
fn describe_lines(path: &Path, lines: &[QuotedLine], count: usize) -> String {
    const EXPECTED: &str = "a hash, domain, address, network or http(s) URL";
    let path = path.display();
    let quote = |line: &QuotedLine| format!("{path}:{}: \"{}\"", line.number, line.text);
    if let [line] = lines {
        return format!("{} is not {EXPECTED}", quote(line));
    }
    let quoted: Vec<String> = lines.iter().map(quote).collect();
    let more = match count - lines.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{count} lines are not {EXPECTED}: {}{more}", quoted.join(", "))
}

/// Returns the lines of a text, whether they end in LF, CRLF or CR alone.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n').flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
}

/// Returns the number of the line that contains the byte after `bytes`.
fn line_after(bytes: &[u8]) -> usize {
    let text = String::from_utf8_lossy(bytes);
    lines(&text).count() + usize::from(text.ends_with('\r'))
}
