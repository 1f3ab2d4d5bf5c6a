//! TLS, with generated certificates.

use std::fmt;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair,
    date_time_ymd,
};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{ServerConfig, version};

const EXPECT: &str = "the names, the keys and the protocols are valid";

/// A certificate authority.
#[derive(Clone)]
pub struct CertificateAuthority(Arc<CertifiedIssuer<'static, KeyPair>>);

impl fmt::Debug for CertificateAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CertificateAuthority")
    }
}

/// The defect of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// It has no defect.
    None,
    /// It expired years ago.
    Expired,
    /// It becomes valid in many years.
    NotYetValid,
    /// It is for other hosts.
    WrongName,
    /// It is a CA certificate.
    IsAuthority,
}

impl CertificateAuthority {
    /// Creates an authority with this name.
    pub fn new(name: &str) -> Self {
        let mut params = params(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect(EXPECT);
        Self(Arc::new(CertifiedIssuer::self_signed(params, key).expect(EXPECT)))
    }

    /// Returns its own certificate as PEM.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// Returns its own certificate as DER.
    pub fn der(&self) -> Vec<u8> {
        self.0.der().to_vec()
    }

    /// Issues a certificate for a host.
    pub fn certificate(&self, host: &str, flaw: Flaw) -> Arc<CertifiedKey> {
        let (certificate, key) = self.issue(host, flaw);
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect(EXPECT);
        let key = aws_lc_rs::sign::any_supported_type(&key).expect(EXPECT);
        Arc::new(CertifiedKey::new(vec![certificate.der().clone()], key))
    }

    /// Issues a certificate for a host. Returns it and its key as PEM.
    pub fn certificate_pem(&self, host: &str) -> (String, String) {
        let (certificate, key) = self.issue(host, Flaw::None);
        (certificate.pem(), key.serialize_pem())
    }

    fn issue(&self, host: &str, flaw: Flaw) -> (Certificate, KeyPair) {
        let other_names = ["other.example", "another.example"];
        let mut params = match flaw {
            Flaw::WrongName => params(other_names[0], &other_names),
            _ => params(host, &[host]),
        };
        match flaw {
            Flaw::Expired => params.not_after = date_time_ymd(2020, 2, 1),
            Flaw::NotYetValid => params.not_before = date_time_ymd(2999, 2, 1),
            Flaw::IsAuthority => params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained),
            Flaw::None | Flaw::WrongName => {}
        }
        let key = KeyPair::generate().expect(EXPECT);
        let certificate = params.signed_by(&key, &self.0).expect(EXPECT);
        (certificate, key)
    }
}

fn params(name: &str, hosts: &[&str]) -> CertificateParams {
    let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(hosts).expect(EXPECT);
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// Returns the certificate of a host.
type CertificateForHost = dyn Fn(&str) -> Arc<CertifiedKey> + Send + Sync;

struct HostResolver(Box<CertificateForHost>);

impl fmt::Debug for HostResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HostResolver")
    }
}

impl ResolvesServerCert for HostResolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // A client sends no server name for an IP address.
        Some(self.0(hello.server_name().unwrap_or("127.0.0.1")))
    }
}

/// Returns an acceptor of TLS connections with these protocols (`h2`, `http/1.1`), and with the
/// certificate that `certificate` returns for a host.
pub fn acceptor(
    protocols: &[&str],
    certificate: impl Fn(&str) -> Arc<CertifiedKey> + Send + Sync + 'static,
) -> TlsAcceptor {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])
        .expect(EXPECT)
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(HostResolver(Box::new(certificate))));
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}
