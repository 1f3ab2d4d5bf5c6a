//! Whose certificates are believed: the system's, and beside them those of a file that the user names.

use std::path::Path;
use std::sync::Arc;

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

/// The certificates of a PEM file, each of them fit to be trusted.
///
/// # Errors
/// When the file cannot be read, or is not what it should be.
pub(super) fn read(path: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let refuse = |why: String| {
        Failure::new(
            FailureKind::Configuration,
            format!("the certificates in {} (--ca-cert) cannot be used: {why}", path.display()),
            "Name a file with one or more certificates in PEM form (text, each beginning with -----BEGIN CERTIFICATE-----); `openssl x509 -inform der -in <FILE>` turns the binary form into it. Nothing was asked or sent.",
        )
    };
    let pem = std::fs::read(path).map_err(|error| refuse(error.to_string()))?;
    let mut certificates = Vec::new();
    for (at, certificate) in CertificateDer::pem_slice_iter(&pem).enumerate() {
        let number = at + 1;
        // The parser's own words quote the line.
        let certificate =
            certificate.map_err(|_| refuse(format!("certificate {number} is damaged")))?;
        RootCertStore::empty()
            .add(certificate.clone())
            .map_err(|_| refuse(format!("certificate {number} is no X.509 certificate")))?;
        certificates.push(certificate);
    }
    if certificates.is_empty() {
        return Err(refuse("it holds no certificate in PEM form".into()));
    }
    Ok(certificates)
}

/// TLS as the client does it by itself, with further certificates that are trusted like the system's.
pub(super) fn tls(extra_roots: Vec<CertificateDer<'static>>) -> Result<ClientConfig, Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Verifier::new_with_extra_roots(extra_roots, Arc::clone(&provider))?;
    let mut tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(DescribingVerifier(verifier)))
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(tls)
}

/// The system's verifier. It alone decides; to its refusals is added which certificate it refused.
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
                Error::InvalidCertificate(why) => {
                    let refused =
                        RejectedCertificate::new(&why, server_name, end_entity, intermediates);
                    CertificateError::Other(OtherError(Arc::new(refused))).into()
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
