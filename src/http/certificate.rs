//! Which certificate was refused, and why, in words a person can act upon.

use std::error::Error;
use std::fmt;

use chrono::{DateTime, NaiveDate};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, OtherError};
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

/// How much of a name is quoted, in characters: whoever is at the other end wrote it.
const QUOTED_CHARACTERS: usize = 120;
/// How many of the names that a certificate is for are quoted.
const QUOTED_NAMES: usize = 5;

/// Why a certificate is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// It was issued by nobody who is trusted here.
    UnknownIssuer,
    /// Its time is over; since that day (UTC), where it is told.
    Expired(Option<NaiveDate>),
    /// Its time has not begun; it does on that day (UTC), where it is told.
    NotYetValid(Option<NaiveDate>),
    /// It is for other hosts.
    WrongName(Vec<String>),
    /// Anything else, in the verifier's words.
    Other(String),
}

/// A certificate that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedCertificate {
    /// Whose it should have been.
    pub host: String,
    /// Why.
    pub reason: Reason,
    /// Whose it says it is; `None` where it cannot be read.
    pub subject: Option<String>,
    /// Who issued it, and who issued the last of those sent along with it: who is to be trusted.
    pub issuers: Vec<String>,
}

impl RejectedCertificate {
    /// A refusal of the verifier's.
    pub(super) fn new(
        why: &CertificateError,
        host: &ServerName<'_>,
        certificate: &CertificateDer<'_>,
        sent_along: &[CertificateDer<'_>],
    ) -> Self {
        let certificate = Certificate::from_der(certificate).ok();
        let last =
            sent_along.last().and_then(|certificate| Certificate::from_der(certificate).ok());
        let mut issuers: Vec<String> = [&certificate, &last]
            .into_iter()
            .flatten()
            .map(|certificate| in_short(&certificate.tbs_certificate().issuer().to_string()))
            .collect();
        issuers.dedup();
        Self {
            host: host.to_str().into_owned(),
            reason: Reason::of(why),
            subject: certificate
                .map(|certificate| in_short(&certificate.tbs_certificate().subject().to_string())),
            issuers,
        }
    }

    /// The refusal in an error's chain of causes, if that is what it ends in.
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
            // An I/O error leaves out of its sources the very error it wraps, and is itself wrapped in
            // others.
            let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
            next = match wrapped {
                Some(wrapped) => Some(wrapped),
                None => error.source(),
            };
        }
        None
    }

    /// The refusal as our own verifier tells it.
    fn from_verifier(error: &rustls::Error) -> Option<Self> {
        match error {
            rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(told))) => {
                told.downcast_ref().cloned()
            }
            _ => None,
        }
    }

    /// What to do about it.
    pub(super) const fn hint(&self) -> &'static str {
        match &self.reason {
            Reason::UnknownIssuer | Reason::Other(_) => {
                "Where a proxy inspects HTTPS here, get its issuer's certificate from whoever runs it and name it with --ca-cert <FILE>, or add it to the system's certificates. Where none should, somebody is in between, or the host is wrong: ask first."
            }
            Reason::Expired(_) | Reason::NotYetValid(_) => {
                "Check this machine's clock. If it is right, whoever runs the host, or the proxy that inspects HTTPS here, has to renew the certificate; --ca-cert does not help against that."
            }
            Reason::WrongName(_) => {
                "Check the host's name in the settings. If it is right, something else answers in its place, such as a proxy's own page; --ca-cert does not help against that."
            }
        }
    }
}

impl Reason {
    fn of(why: &CertificateError) -> Self {
        match why {
            CertificateError::UnknownIssuer => Self::UnknownIssuer,
            CertificateError::Expired => Self::Expired(None),
            CertificateError::ExpiredContext { not_after, .. } => Self::Expired(day(*not_after)),
            CertificateError::NotValidYet => Self::NotYetValid(None),
            CertificateError::NotValidYetContext { not_before, .. } => {
                Self::NotYetValid(day(*not_before))
            }
            CertificateError::NotValidForName => Self::WrongName(Vec::new()),
            CertificateError::NotValidForNameContext { presented, .. } => Self::WrongName(
                presented.iter().take(QUOTED_NAMES).map(|name| in_short(name)).collect(),
            ),
            other => Self::Other(other.to_string()),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownIssuer => f.write_str("its issuer is not trusted here"),
            Self::Expired(Some(day)) => write!(f, "it expired on {day}"),
            Self::Expired(None) => f.write_str("it has expired"),
            Self::NotYetValid(Some(day)) => write!(f, "it is not valid before {day}"),
            Self::NotYetValid(None) => f.write_str("it is not valid yet"),
            Self::WrongName(names) if names.is_empty() => f.write_str("it is for no host's name"),
            Self::WrongName(names) => write!(f, "it is for other names: {}", names.join(", ")),
            Self::Other(words) => f.write_str(words),
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

fn in_short(name: &str) -> String {
    name.chars().take(QUOTED_CHARACTERS).collect()
}
