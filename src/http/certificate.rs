//! Rejected certificates: which one, and why.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use chrono::{DateTime, NaiveDate};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, OtherError};
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

use super::error::links;

/// How many characters of a name are quoted: the other end wrote it.
const QUOTED_CHARACTERS: usize = 120;
/// How many of the names that a certificate is valid for are quoted.
const QUOTED_NAMES: usize = 5;

/// The reason why a certificate was rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Reason {
    /// No trusted authority issued it.
    UnknownIssuer,
    /// It expired on that day (UTC), if known.
    Expired(Option<NaiveDate>),
    /// It becomes valid on that day (UTC), if known.
    NotYetValid(Option<NaiveDate>),
    /// It is valid for other hosts.
    WrongName(Vec<String>),
    /// It is the certificate of an authority.
    IsAuthority,
    /// The verifier rejected the certificate or its chain for this reason.
    Flawed(Cow<'static, str>),
    /// The server sent none.
    Missing,
}

/// A certificate that the TLS verifier rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RejectedCertificate {
    /// The host that it should be valid for.
    pub(super) host: String,
    reason: Reason,
    /// `None` if the certificate is missing, not known, or cannot be parsed.
    subject: Option<String>,
    /// The issuer of the certificate, then the issuer of the last certificate of the chain: the one
    /// to trust.
    issuers: Vec<String>,
}

impl RejectedCertificate {
    /// Describes the certificate that the verifier rejected.
    pub(super) fn new(
        reason: &CertificateError,
        host: &ServerName<'_>,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
    ) -> Self {
        let certificate = Certificate::from_der(certificate).ok();
        let last = chain.last().and_then(|certificate| Certificate::from_der(certificate).ok());
        let mut issuers: Vec<String> = [&certificate, &last]
            .into_iter()
            .flatten()
            .map(|certificate| truncated(&certificate.tbs_certificate().issuer().to_string()))
            .collect();
        issuers.dedup();
        Self {
            host: host.to_str().into_owned(),
            reason: Reason::from_verifier(reason),
            subject: certificate
                .map(|certificate| truncated(&certificate.tbs_certificate().subject().to_string())),
            issuers,
        }
    }

    /// Returns the rejected certificate among an error's sources, if there is one.
    pub(super) fn find(error: &(dyn Error + 'static), host: &str) -> Option<Self> {
        let error = links(error).find_map(|error| {
            error.downcast_ref::<rustls::Error>().filter(|error| {
                matches!(
                    error,
                    rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented
                )
            })
        })?;
        Some(Self::from_verifier(error).unwrap_or_else(|| Self {
            host: host.to_owned(),
            reason: match error {
                rustls::Error::InvalidCertificate(reason) => Reason::from_verifier(reason),
                _ => Reason::Missing,
            },
            subject: None,
            issuers: Vec::new(),
        }))
    }

    /// Returns the description that [`DescribingVerifier`](super::trust) put into the error.
    fn from_verifier(error: &rustls::Error) -> Option<Self> {
        match error {
            rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(described))) => {
                described.downcast_ref().cloned()
            }
            _ => None,
        }
    }

    /// Returns what to do about it.
    pub(super) const fn help(&self) -> &'static str {
        match &self.reason {
            Reason::UnknownIssuer => {
                "If a proxy inspects TLS in your network, get its CA certificate (PEM) from its administrators and pass it with --ca-cert <FILE>, or add it to the system's certificates. If there should be no such proxy, the host is wrong or the connection is intercepted: find out before you trust it."
            }
            Reason::Expired(_) | Reason::NotYetValid(_) => {
                "Check the system clock. If it is right, the operator of the host, or of the TLS-inspecting proxy, has to renew the certificate; --ca-cert does not help against that."
            }
            Reason::WrongName(_) => {
                "Check the host's name in the settings. If it is right, another server answers at this address, for example a proxy's own page; --ca-cert does not help against that."
            }
            Reason::IsAuthority => {
                "The operator of the host, or of the TLS-inspecting proxy, has to install a certificate that is issued for this host; the CA certificate itself belongs into the file of --ca-cert <FILE> only."
            }
            Reason::Flawed(_) => {
                "Check the host's name in the settings. If it is right, the operator of the host, or of the TLS-inspecting proxy, has to replace the certificate; --ca-cert does not help against that."
            }
            Reason::Missing => {
                "Check the host's name and port in the settings: another server may answer at this address. --ca-cert does not help against that."
            }
        }
    }
}

impl Reason {
    fn from_verifier(error: &CertificateError) -> Self {
        match error {
            CertificateError::UnknownIssuer => Self::UnknownIssuer,
            CertificateError::Expired => Self::Expired(None),
            CertificateError::ExpiredContext { not_after, .. } => Self::Expired(day(*not_after)),
            CertificateError::NotValidYet => Self::NotYetValid(None),
            CertificateError::NotValidYetContext { not_before, .. } => {
                Self::NotYetValid(day(*not_before))
            }
            CertificateError::NotValidForName => Self::WrongName(Vec::new()),
            CertificateError::NotValidForNameContext { presented, .. } => Self::WrongName(
                presented.iter().take(QUOTED_NAMES).map(|name| truncated(name)).collect(),
            ),
            CertificateError::Other(OtherError(error)) => match error.to_string() {
                name if name == "CaUsedAsEndEntity" => Self::IsAuthority,
                text => Self::Flawed(in_words(text)),
            },
            other => {
                Self::Flawed(flaw(other).map_or_else(|| in_words(other.to_string()), Cow::Borrowed))
            }
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownIssuer => f.write_str("its issuer is not trusted"),
            Self::Expired(Some(day)) => write!(f, "it expired on {day}"),
            Self::Expired(None) => f.write_str("it has expired"),
            Self::NotYetValid(Some(day)) => write!(f, "it is not valid before {day}"),
            Self::NotYetValid(None) => f.write_str("it is not valid yet"),
            Self::WrongName(names) if names.is_empty() => {
                f.write_str("it is not valid for this host name")
            }
            Self::WrongName(names) => {
                write!(f, "it is valid for other names: {}", names.join(", "))
            }
            Self::IsAuthority => f.write_str("it is a CA certificate, not a server certificate"),
            Self::Flawed(reason) => f.write_str(reason),
            Self::Missing => f.write_str("the server sent none"),
        }
    }
}

impl fmt::Display for RejectedCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)?;
        if let Some(subject) = &self.subject {
            write!(f, "; its subject is \"{subject}\"")?;
        }
        if !self.issuers.is_empty() {
            write!(f, ", its issuer \"{}\"", self.issuers.join("\", under \""))?;
        }
        Ok(())
    }
}

impl Error for RejectedCertificate {}

/// Returns what is wrong in words; `None` for a variant that this release does not know.
fn flaw(error: &CertificateError) -> Option<&'static str> {
    Some(match error {
        CertificateError::BadEncoding => "it is not correctly encoded",
        CertificateError::Revoked => "it is revoked",
        CertificateError::UnhandledCriticalExtension => {
            "it has a critical extension that is not supported"
        }
        CertificateError::UnknownRevocationStatus => "it is unknown whether it is revoked",
        CertificateError::ExpiredRevocationList
        | CertificateError::ExpiredRevocationListContext { .. } => {
            "the list of revoked certificates has expired"
        }
        CertificateError::BadSignature => "its signature is wrong",
        CertificateError::UnsupportedSignatureAlgorithmContext { .. } => {
            "it is signed with an algorithm that is not supported"
        }
        CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "the algorithm of its signature does not match its issuer's key"
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "it is not meant for a server"
        }
        CertificateError::InvalidOcspResponse => {
            "the server's OCSP response, which shows that it is not revoked, is invalid"
        }
        CertificateError::ApplicationVerificationFailure => "the system's verifier rejected it",
        _ => return None,
    })
}

/// Replaces the name of an error in Rust with words: libraries print errors that have no text of
/// their own as `NameOfTheError` or `NameOfTheError(..)`.
fn in_words(text: String) -> Cow<'static, str> {
    let name = text.split(['(', '{', ' ']).next().unwrap_or_default();
    Cow::Borrowed(match name {
        "BadDer" | "BadDerTime" | "TrailingData" | "MalformedExtensions" => {
            "it is not correctly encoded"
        }
        "EndEntityUsedAsCa" => {
            "its issuer's certificate is a server certificate, not a CA certificate"
        }
        "PathLenConstraintViolated" => "its chain has more CA certificates than one of them allows",
        "NameConstraintViolation" => "its issuer may not issue certificates for this name",
        "RequiredEkuNotFound" | "EmptyEkuExtension" => "it is not meant for a server",
        "UnsupportedCertVersion" => "it has another version than 3",
        "InvalidCertValidity" => "it ends before it begins to be valid",
        "InvalidSerialNumber" => "its serial number is invalid",
        "CertDistrusted" => "its issuer is distrusted",
        "MaximumPathBuildCallsExceeded"
        | "MaximumPathDepthExceeded"
        | "MaximumSignatureChecksExceeded"
        | "MaximumNameConstraintComparisonsExceeded" => "its chain is too long to be verified",
        _ => return Cow::Owned(separate_words(name).unwrap_or(text)),
    })
}

/// Returns the words of a name such as `NameOfTheError`; `None` if it is not such a name.
fn separate_words(name: &str) -> Option<String> {
    let is_name = name.starts_with(|char: char| char.is_ascii_uppercase())
        && name.contains(|char: char| char.is_ascii_lowercase())
        && name.chars().all(|char| char.is_ascii_alphanumeric())
        && name.chars().skip(1).any(|char| char.is_ascii_uppercase());
    if !is_name {
        return None;
    }
    let mut words = String::from("the verifier reports:");
    for char in name.chars() {
        if char.is_ascii_uppercase() {
            words.push(' ');
        }
        words.push(char.to_ascii_lowercase());
    }
    Some(words)
}

fn day(time: UnixTime) -> Option<NaiveDate> {
    let seconds = i64::try_from(time.as_secs()).ok()?;
    DateTime::from_timestamp(seconds, 0).map(|time| time.date_naive())
}

fn truncated(name: &str) -> String {
    name.chars().take(QUOTED_CHARACTERS).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// An error that is printed as its name in Rust.
    #[derive(Debug)]
    #[expect(dead_code, reason = "printed by Debug")]
    enum Webpki {
        CaUsedAsEndEntity,
        PathLenConstraintViolated,
        SomethingNew { at: u8 },
    }

    impl fmt::Display for Webpki {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{self:?}")
        }
    }

    impl Error for Webpki {}

    #[test]
    fn no_error_is_printed_as_its_name_in_rust() {
        let other = |error: Webpki| CertificateError::Other(OtherError(Arc::new(error)));
        let time = UnixTime::now();
        for error in [
            CertificateError::BadEncoding,
            CertificateError::Expired,
            CertificateError::NotValidYet,
            CertificateError::Revoked,
            CertificateError::UnhandledCriticalExtension,
            CertificateError::UnknownIssuer,
            CertificateError::UnknownRevocationStatus,
            CertificateError::ExpiredRevocationList,
            CertificateError::ExpiredRevocationListContext { time, next_update: time },
            CertificateError::BadSignature,
            CertificateError::UnsupportedSignatureAlgorithmContext {
                signature_algorithm_id: Vec::new(),
                supported_algorithms: Vec::new(),
            },
            CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext {
                signature_algorithm_id: Vec::new(),
                public_key_algorithm_id: Vec::new(),
            },
            CertificateError::NotValidForName,
            CertificateError::InvalidPurpose,
            CertificateError::InvalidOcspResponse,
            CertificateError::ApplicationVerificationFailure,
            other(Webpki::CaUsedAsEndEntity),
            other(Webpki::PathLenConstraintViolated),
            other(Webpki::SomethingNew { at: 7 }),
        ] {
            let text = Reason::from_verifier(&error).to_string();
            assert!(text.starts_with("it") || text.starts_with("the "), "{text}");
            let is_name = |word: &str| {
                word.chars().skip(1).any(|char| char.is_ascii_uppercase())
                    && word != "OCSP"
                    && word != "CA"
            };
            assert!(!text.split(' ').any(is_name) && !text.contains(['{', '(']), "{text}");
        }
        let new = Reason::from_verifier(&other(Webpki::SomethingNew { at: 7 }));
        assert_eq!(new.to_string(), "the verifier reports: something new");
        let text = "the system's own text".to_owned();
        assert_eq!(in_words(text.clone()), text);
    }
}
