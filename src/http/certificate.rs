//! Rejected certificates: which one, and why.

use std::error::Error;
use std::fmt;

use chrono::{DateTime, NaiveDate};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, OtherError};
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

/// How many characters of a name are quoted: the other end wrote it.
const QUOTED_CHARACTERS: usize = 120;
/// How many of the names that a certificate is valid for are quoted.
const QUOTED_NAMES: usize = 5;

/// Why a certificate was rejected.
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
    /// Anything else, in the verifier's words.
    Other(String),
}

/// A certificate that the TLS verifier rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RejectedCertificate {
    /// The host that it should be valid for.
    pub(super) host: String,
    reason: Reason,
    /// `None` if the certificate cannot be parsed.
    subject: Option<String>,
    /// The issuer, and that of the last certificate of the chain: the one to trust.
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
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(
                error @ (rustls::Error::InvalidCertificate(_)
                | rustls::Error::NoCertificatesPresented),
            ) = error.downcast_ref()
            {
                return Some(Self::from_verifier(error).unwrap_or_else(|| Self {
                    host: host.to_owned(),
                    reason: Reason::Other(error.to_string()),
                    subject: None,
                    issuers: Vec::new(),
                }));
            }
            // An I/O error skips the error that it wraps in its own sources.
            let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
            next = match wrapped {
                Some(wrapped) => Some(wrapped),
                None => error.source(),
            };
        }
        None
    }

    /// Returns the description that our verifier put into the error.
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
            Reason::UnknownIssuer | Reason::Other(_) => {
                "If a proxy inspects TLS in your network, get its CA certificate (PEM) from its administrators and pass it with --ca-cert <FILE>, or add it to the system's certificates. If there should be no such proxy, the host is wrong or the connection is intercepted: find out before you trust it."
            }
            Reason::Expired(_) | Reason::NotYetValid(_) => {
                "Check the system clock. If it is right, the operator of the host, or of the TLS-inspecting proxy, has to renew the certificate; --ca-cert does not help against that."
            }
            Reason::WrongName(_) => {
                "Check the host's name in the settings. If it is right, another server answers at this address, for example a proxy's own page; --ca-cert does not help against that."
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
            other => Self::Other(other.to_string()),
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
                f.write_str("it is not valid for any host name")
            }
            Self::WrongName(names) => {
                write!(f, "it is valid for other names: {}", names.join(", "))
            }
            Self::Other(reason) => f.write_str(reason),
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

fn day(time: UnixTime) -> Option<NaiveDate> {
    let seconds = i64::try_from(time.as_secs()).ok()?;
    DateTime::from_timestamp(seconds, 0).map(|time| time.date_naive())
}

fn truncated(name: &str) -> String {
    name.chars().take(QUOTED_CHARACTERS).collect()
}
