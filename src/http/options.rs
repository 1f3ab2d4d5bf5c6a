//! Network settings: time limits, certificates and proxy.

use std::path::PathBuf;
use std::time::Duration;

use super::proxy::Proxies;
use super::trust;
use crate::failure::{Failure, FailureKind};
use crate::platform::advice;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NetworkOptions {
    /// A PEM file of certificates to trust in addition to the system's.
    pub ca_cert: Option<PathBuf>,
    /// The time limit for connecting, TLS included.
    pub connect_timeout: Duration,
    /// The time limit for one attempt, from the connection to the last byte of the response.
    pub timeout: Duration,
}

impl NetworkOptions {
    /// Checks the certificates and the environment's proxy for HTTPS, and describes them.
    ///
    /// # Errors
    /// When certificates cannot be loaded, or the environment's proxy is invalid.
    pub(crate) fn check(&self) -> Result<String, Failure> {
        let (_, proxy) = Proxies::from_environment()?;
        let (_, certificates) = self.tls()?;
        let proxy = proxy.as_deref().unwrap_or("no proxy");
        Ok(format!("{certificates}; {proxy}"))
    }

    /// Builds the TLS configuration, and describes the trusted certificates.
    pub(super) fn tls(&self) -> Result<(rustls::ClientConfig, String), Failure> {
        let (extra_roots, description) = match &self.ca_cert {
            Some(path) => {
                let certificates = trust::read(path)?;
                let description =
                    format!("system CA store and {} from {}", certificates.len(), path.display());
                (certificates, description)
            }
            None => (Vec::new(), "system CA store".to_owned()),
        };
        let tls = trust::tls(extra_roots).map_err(|error| setup_failed().with_cause(error))?;
        Ok((tls, description))
    }
}

pub(super) fn setup_failed() -> Failure {
    Failure::new(
        FailureKind::Configuration,
        "the HTTPS client could not be set up",
        advice::CERTIFICATES,
    )
}
