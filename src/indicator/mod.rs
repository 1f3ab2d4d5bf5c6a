//! Indicators: hashes, domains, addresses and URLs, each in one normal spelling.
//!
//! [`Indicator::parse`] is the only way to make one. Whatever holds an [`Indicator`] can
//! therefore rely on two things: equal indicators are spelled equally, and nothing in it
//! belongs to somebody's inner network.
//!
//! The submodules hold the spelling rule of each kind without the judgement about inner
//! networks, so that the exclusion list can spell an inner name by the same rule.

use std::fmt;
use std::sync::Arc;

pub(crate) mod address;
pub(crate) mod domain;
pub(crate) mod hash;
pub(crate) mod url;

#[cfg(test)]
pub(crate) mod tests;

/// Longer texts are refused unread, which bounds the work one alert can cause.
pub(crate) const MAX_BYTES: usize = 8192;

/// A normal, shareable indicator.
///
/// ```text
/// (Domain, " WWW.Example.COM. ")          -> domain  www.example.com
/// (Url, "HTTP://me:secret@Example.com:80") -> url     http://example.com/
/// (Address, "10.1.2.3")                    -> refused, private
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Indicator {
    kind: IndicatorType,
    /// Shared, because a run holds each several times.
    value: Arc<str>,
}

impl Indicator {
    /// Reads `text` as what `claim` says it is.
    ///
    /// # Errors
    ///
    /// [`RejectReason::Invalid`] when the text is not what was claimed, [`RejectReason::Private`] when
    /// it is, but names something on an inner network.
    pub fn parse(claim: ClaimedType, text: &str) -> Result<Self, RejectReason> {
        if text.len() > MAX_BYTES {
            return Err(RejectReason::Invalid);
        }
        let (kind, value, inner) = spell(claim, text.trim()).ok_or(RejectReason::Invalid)?;
        if inner {
            return Err(RejectReason::Private);
        }
        Ok(Self { kind, value: value.into() })
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> IndicatorType {
        self.kind
    }

    /// Its normal spelling.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }
}

/// The kind, the normal spelling, and whether it belongs to an inner network.
fn spell(claim: ClaimedType, text: &str) -> Option<(IndicatorType, String, bool)> {
    let hash = |digits| Some((IndicatorType::Hash, hash::normalise(text, digits)?, false));
    match claim {
        ClaimedType::Sha256 => hash(hash::SHA256_DIGITS),
        ClaimedType::Sha1 => hash(hash::SHA1_DIGITS),
        ClaimedType::Md5 => hash(hash::MD5_DIGITS),
        ClaimedType::Domain => {
            let name = domain::normalise(text)?;
            let inner = domain::is_inner(&name);
            Some((IndicatorType::Domain, name, inner))
        }
        ClaimedType::Address => {
            let address = address::normalise(text)?;
            let inner = !address::is_global(address);
            Some((IndicatorType::Ip, address.to_string(), inner))
        }
        ClaimedType::Url => {
            let location = url::normalise(text)?;
            let inner = location.host.is_inner();
            Some((IndicatorType::Url, location.text, inner))
        }
    }
}

/// The kinds of indicator, by the names Recorded Future gives them.
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
    /// Every kind, in the order of the enum.
    pub const ALL: [Self; 4] = [Self::Hash, Self::Domain, Self::Ip, Self::Url];

    /// The name of the kind.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hash => "hash",
            Self::Domain => "domain",
            Self::Ip => "ip",
            Self::Url => "url",
        }
    }

    /// The kind of that name, spelled exactly as [`IndicatorType::as_str`] spells it.
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

/// What a vendor says a text is. Only a claim: [`Indicator::parse`] checks it.
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

/// Why a text does not become an indicator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
pub enum RejectReason {
    /// The vendor's type has no [`ClaimedType`]. Only the sources can know that, so only they say it.
    #[error("not a hash, domain, address or URL")]
    Unsupported,
    /// The text is not what it was claimed to be.
    #[error("not a well-formed indicator of its kind")]
    Invalid,
    /// The text names something on an inner network: of no use outside, and not for sharing.
    #[error("a name or address of a private network")]
    Private,
}
