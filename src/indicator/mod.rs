//! Indicators: hashes, domains, addresses and URLs, in normal form.
//!
//! [`Indicator::parse`] is the only constructor. It guarantees that equal indicators have equal
//! texts, and that none belongs to an internal network.
//!
//! The submodules normalize each type without checking for internal networks, so that the exclusion
//! list can normalize internal names too.

use std::fmt;
use std::sync::Arc;

pub(crate) mod address;
pub(crate) mod domain;
pub(crate) mod hash;
pub(crate) mod url;

#[cfg(test)]
pub(crate) mod tests;

/// The maximum length, in bytes. Longer texts are rejected unread, which bounds the work per alert.
pub(crate) const MAX_BYTES: usize = 8192;

/// An indicator in normal form that may be sent.
///
/// ```text
/// (Domain, " WWW.Example.COM. ")          -> domain  www.example.com
/// (Url, "HTTP://me:secret@Example.com:80") -> url     http://example.com/
/// (Address, "10.1.2.3")                    -> rejected, private
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Indicator {
    kind: IndicatorType,
    /// Shared, because a run keeps each several times.
    value: Arc<str>,
}

impl Indicator {
    /// Parses `text` as the claimed type.
    ///
    /// # Errors
    /// [`RejectReason::Invalid`] if the text is not of the claimed type,
    /// [`RejectReason::Meaningless`] if it is a hash that says nothing, [`RejectReason::Private`]
    /// if it belongs to an internal network.
    pub fn parse(claim: ClaimedType, text: &str) -> Result<Self, RejectReason> {
        // A replacement character shows that the text was damaged: another indicator would be sent.
        if text.len() > MAX_BYTES || text.contains(char::REPLACEMENT_CHARACTER) {
            return Err(RejectReason::Invalid);
        }
        let (kind, value, internal) = normalize(claim, text.trim()).ok_or(RejectReason::Invalid)?;
        if kind == IndicatorType::Hash && hash::is_meaningless(&value) {
            return Err(RejectReason::Meaningless);
        }
        if internal {
            return Err(RejectReason::Private);
        }
        Ok(Self { kind, value: value.into() })
    }

    /// Returns the type.
    #[must_use]
    pub fn kind(&self) -> IndicatorType {
        self.kind
    }

    /// Returns the text in normal form.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }
}

/// Returns the type, the text in normal form, and whether it belongs to an internal network; `None`
/// if the text is not of the claimed type.
fn normalize(claim: ClaimedType, text: &str) -> Option<(IndicatorType, String, bool)> {
    let hash = |digits| Some((IndicatorType::Hash, hash::normalize(text, digits)?, false));
    match claim {
        ClaimedType::Sha256 => hash(hash::SHA256_DIGITS),
        ClaimedType::Sha1 => hash(hash::SHA1_DIGITS),
        ClaimedType::Md5 => hash(hash::MD5_DIGITS),
        ClaimedType::Domain => {
            let name = domain::normalize(text)?;
            let internal = domain::is_internal(&name);
            Some((IndicatorType::Domain, name, internal))
        }
        ClaimedType::Address => {
            let address = address::normalize(text)?;
            let internal = !address::is_global(address);
            Some((IndicatorType::Ip, address.to_string(), internal))
        }
        ClaimedType::Url => {
            let url = url::normalize(text)?;
            let internal = url.host.is_internal();
            Some((IndicatorType::Url, url.text, internal))
        }
    }
}

/// The types of indicators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum IndicatorType {
    /// A SHA-256, SHA-1 or MD5 of a file.
    Hash,
    /// A domain or host name.
    Domain,
    /// An IPv4 or IPv6 address.
    Ip,
    /// An `http` or `https` URL.
    Url,
}

impl IndicatorType {
    /// Every type.
    pub const ALL: [Self; 4] = [Self::Hash, Self::Domain, Self::Ip, Self::Url];

    /// Returns the name of the type in Recorded Future's API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hash => "hash",
            Self::Domain => "domain",
            Self::Ip => "ip",
            Self::Url => "url",
        }
    }

    /// Returns the type with this name, the inverse of [`IndicatorType::as_str`].
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

impl fmt::Display for IndicatorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The type of a text according to the vendor; [`Indicator::parse`] checks it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClaimedType {
    /// 64 hexadecimal digits.
    Sha256,
    /// 40 hexadecimal digits.
    Sha1,
    /// 32 hexadecimal digits.
    Md5,
    /// A domain or host name.
    Domain,
    /// An IPv4 or IPv6 address.
    Address,
    /// An `http` or `https` URL.
    Url,
}

/// The reason why a text is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
pub enum RejectReason {
    /// The vendor's type has no [`ClaimedType`]; only the sources use this.
    #[error("not a hash, domain, address or URL")]
    Unsupported,
    /// The text is not of the claimed type.
    #[error("not a valid indicator of the claimed type")]
    Invalid,
    /// It is a hash that says nothing: of no content or of one line break, or a placeholder.
    #[error("the hash of an empty file or of a line break, or a placeholder")]
    Meaningless,
    /// The text belongs to an internal network: useless to others, and not to be sent.
    #[error("a name or address of a private network")]
    Private,
}
