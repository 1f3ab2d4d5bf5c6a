//! Trusted root certificates: the system's, and those of a file that the user names.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, OtherError,
    RootCertStore, SignatureScheme,
};
use rustls_platform_verifier::Verifier;

use super::certificate::RejectedCertificate;
use crate::failure::{Failure, FailureKind};

/// Reads the certificates of a PEM file.
///
/// # Errors
/// When the file cannot be read, contains no certificate, or contains an invalid one.
pub(super) fn read(path: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    read_pem(path).map_err(|cause| {
        Failure::new(
            FailureKind::Configuration,
            format!("the certificates in {} (--ca-cert) cannot be used", path.display()),
            "Name a file with one or more certificates in PEM format (text, each starting with -----BEGIN CERTIFICATE-----); `openssl x509 -inform der -in <FILE>` converts from the binary format. No request was made.",
        )
        .with_cause(cause)
    })
}

fn read_pem(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let pem = std::fs::read(path)?;
    let mut certificates = Vec::new();
    for (index, certificate) in CertificateDer::pem_slice_iter(&pem).enumerate() {
        let number = index + 1;
        // The parser's error is not kept as the source: it quotes the line.
        let certificate =
            certificate.map_err(|_| anyhow::anyhow!("certificate {number} is damaged"))?;
        RootCertStore::empty().add(certificate.clone()).map_err(|error| {
            anyhow::Error::new(error)
                .context(format!("certificate {number} is not an X.509 certificate"))
        })?;
        certificates.push(certificate);
    }
    anyhow::ensure!(!certificates.is_empty(), "the file contains no certificate in PEM format");
    Ok(certificates)
}

/// Builds the client's default TLS configuration with additional trusted roots. Sessions belong to
/// this configuration, so no two clients resume each other's.
pub(super) fn tls(extra_roots: Vec<CertificateDer<'static>>) -> Result<ClientConfig, Error> {
    let mut tls = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier(extra_roots)?)
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(tls)
}

/// Returns the verifier with these additional roots. The last one is kept for the next client with
/// the same roots: reading the system's certificates takes milliseconds, and a process may have
/// hundreds of clients.
fn verifier(extra_roots: Vec<CertificateDer<'static>>) -> Result<Arc<DescribingVerifier>, Error> {
    static LAST: Mutex<Option<(Vec<CertificateDer<'static>>, Arc<DescribingVerifier>)>> =
        Mutex::new(None);
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((roots, verifier)) = &*last
        && *roots == extra_roots
    {
        return Ok(Arc::clone(verifier));
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    // Without additional roots, Windows needs no list of its own for them.
    let verifier = if extra_roots.is_empty() {
        Verifier::new(provider)?
    } else {
        Verifier::new_with_extra_roots(extra_roots.iter().cloned(), provider)?
    };
    let verifier = Arc::new(DescribingVerifier(verifier));
    *last = Some((extra_roots, Arc::clone(&verifier)));
    Ok(verifier)
}

/// The system's verifier; its errors are extended with a description of the rejected certificate.
#[derive(Debug)]
struct DescribingVerifier(Verifier);

impl ServerCertVerifier for DescribingVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.0
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
            .map_err(|error| match error {
                Error::InvalidCertificate(reason) => {
                    let rejected =
                        RejectedCertificate::new(&reason, server_name, end_entity, intermediates);
                    CertificateError::Other(OtherError(Arc::new(rejected))).into()
                }
                other => other,
            })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        self.0.root_hint_subjects()
    }
}
